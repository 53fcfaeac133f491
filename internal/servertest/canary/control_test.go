package canary_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// controlTag selects the build without sealing, see package envelope.
const controlTag = "strongroom_nosealing_control"

// insideVariable marks the run inside the control run, which must not start
// another.
const insideVariable = "STRONGROOM_CANARY_CONTROL"

// TestControlIsCaught runs the canary test on a build in which sealing does
// nothing. It must fail there, and say where the values lie.
func TestControlIsCaught(t *testing.T) {
	if os.Getenv(insideVariable) != "" {
		t.Skip("this is the control run")
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-tags", controlTag, "-count=1", "-vet=off", "-run", "^TestCanary$/^sqlite$", ".")
	cmd.Env = append(os.Environ(), insideVariable+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatal("a server that seals nothing passed the canary test")
	}
	if strings.Contains(string(out), "[build failed]") {
		t.Fatalf("the control does not build:\n%s", out)
	}
	for what, pattern := range map[string]string{
		"values in the database": `LEAK in \S*/data/strongroom\.db: ` + kindSecret + `: CreateSecret as raw text`,
		"binary values":          `LEAK in \S*/data/strongroom\.db: ` + kindSecret + `: SecretBinary as raw text`,
		"values while running":   `LEAK in \S*/running/strongroom\.db(-wal)?: ` + kindSecret,
		"access-key secrets":     `LEAK in \S*/data/strongroom\.db: ` + kindKey + ` of nobody as raw text`,
		"storage keys":           `LEAK in \S*/data/strongroom\.db: ` + kindInternal + `: storage key as raw text`,
		"key material":           `LEAK in \S*/data/strongroom\.db: ` + kindInternal + `: material of a KMS key as raw text`,
		"data keys":              `LEAK in \S*/data/strongroom\.db: ` + kindInternal + `: data key of a version of text as raw text`,
		"signing keys":           `LEAK in \S*/data/strongroom\.db: ` + kindInternal + `: audit key as raw text`,
	} {
		if !regexp.MustCompile(pattern).Match(out) {
			t.Errorf("the control run did not find %s (%s)", what, pattern)
		}
	}
	if t.Failed() {
		t.Logf("the control run said:\n%s", out)
	}
}
