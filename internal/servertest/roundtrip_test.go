package servertest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/pgtest"
	"github.com/strongroom/strongroom/internal/servertest"
)

// TestReadIsOneRoundTrip: on PostgreSQL a warm GetSecretValue, with its two
// decisions, asks the database once. PostgreSQL's own log is the witness.
func TestReadIsOneRoundTrip(t *testing.T) {
	watched := pgtest.Watch(t)
	s := servertest.Start(t, servertest.Config(func(c *config.Config) { c.Database = watched.Address }))
	if _, err := s.Secrets().CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("a"), SecretString: aws.String("b")}); err != nil {
		t.Fatal(err)
	}
	read := func() {
		t.Helper()
		if _, err := s.Secrets().GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("a")}); err != nil {
			t.Fatal(err)
		}
	}
	statements := func(part string) int {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(watched.Dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "LOG:") && strings.Contains(line, part) {
				n++
			}
		}
		return n
	}
	read() // warm: identity, key and policy are cached
	const joined, alone, identity = ": SELECT s.account", ": SELECT value FROM generations", "FROM iam_access_keys"
	before := [...]int{statements(joined), statements(alone), statements(identity)}
	if before[1] == 0 {
		t.Fatal("the log shows no look at a generation, not even of the first call: the test is blind")
	}
	const reads = 20
	for range reads {
		read()
	}
	if n := statements(joined) - before[0]; n != reads {
		t.Errorf("%d reads made %d statements", reads, n)
	}
	if n := statements(alone) - before[1]; n != 0 {
		t.Errorf("%d reads asked for a generation %d times besides", reads, n)
	}
	if n := statements(identity) - before[2]; n != 0 {
		t.Errorf("%d reads loaded the caller %d times", reads, n)
	}
}
