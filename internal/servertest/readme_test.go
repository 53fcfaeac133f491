package servertest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/internal/ca"
	"github.com/strongroom/strongroom/internal/servertest"
)

// TestREADMEGo compiles and runs the README's Go program against a server. Its
// shell and Python lines run in test/conformance.
func TestREADMEGo(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```go\n(.*?)```").FindSubmatch(readme)
	if block == nil {
		t.Fatal("README.md has no Go program")
	}
	s := servertest.Start(t)
	if _, err := s.Secrets().CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("app/db"), SecretString: aws.String("from the readme")}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, block[1], 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", file)
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+s.URL, "AWS_REGION="+servertest.Region, "AWS_CA_BUNDLE="+filepath.Join(s.Dir, ca.CertificateFile),
		"AWS_ACCESS_KEY_ID="+s.Admin.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+s.Admin.SecretAccessKey, "AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull)
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "from the readme" {
		t.Errorf("%v\n%s", err, out)
	}
}
