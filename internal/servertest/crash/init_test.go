package crash

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
	"github.com/strongroom/strongroom/internal/servertest/program"
)

// TestKilledDuringInit kills init as soon as each of its files is there, and at
// random moments. The next init must bring it to its end, or say what to do first.
func TestKilledDuringInit(t *testing.T) {
	program.Path(t)
	start := time.Now()
	initialised(t, "")
	takes := time.Since(start)
	for _, milestone := range []string{
		server.RootKeyFile, "strongroom.db", "strongroom.db-wal", "tls/ca.key", "tls/ca.pem", "tls/server.pem", "strongroom.yaml",
		"node.json*", server.AuditDir + "/*.pub", server.AuditDir + "/*.jsonl", server.AuditDir + "/*.head", server.CredentialsFile + "*",
	} {
		t.Run(milestone, func(t *testing.T) {
			killInit(t, func(dir string, ended <-chan struct{}) {
				for {
					if found, _ := filepath.Glob(filepath.Join(dir, milestone)); found != nil {
						return
					}
					select {
					case <-ended:
						return
					default:
					}
				}
			})
		})
	}
	seed := seedOf(t)
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	n, _ := rounds(t, 6)
	for range min(n, 50) {
		moment := time.Duration(random.Int64N(int64(takes * 3 / 2)))
		t.Run("after "+moment.String(), func(t *testing.T) {
			killInit(t, func(_ string, ended <-chan struct{}) {
				select {
				case <-time.After(moment):
				case <-ended:
				}
			})
		})
	}
}

// killInit kills an init when moment returns, runs it again, and uses what it
// has made.
func killInit(t *testing.T, moment func(dir string, ended <-chan struct{})) {
	p := program.NewPlace(t, "", settings)
	cmd := p.Command(t, "init", "--account-id", servertest.Account)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	var waited error
	go func() {
		waited = cmd.Wait()
		close(ended)
	}()
	moment(p.Dir, ended)
	_ = cmd.Process.Kill() // It may have ended by itself.
	<-ended
	if _, killed := errors.AsType[*exec.ExitError](waited); waited != nil && !killed {
		t.Fatal(waited)
	}
	cfg, err := configuration(p.Dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = server.Init(t.Context(), cfg, servertest.Account, quiet())
	if h, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok && strings.Contains(h.Hint(), "remove it and run init again") {
		// Half a root key could be what is left of a whole one, so it is the
		// operator who removes it.
		if err := os.Remove(filepath.Join(p.Dir, server.RootKeyFile)); err != nil {
			t.Fatal(err)
		}
		_, err = server.Init(t.Context(), cfg, servertest.Account, quiet())
	}
	switch {
	case waited == nil && !errors.Is(err, server.ErrInitialised):
		t.Fatalf("init had ended, the next one says %v", err)
	case waited != nil && err != nil && !errors.Is(err, server.ErrInitialised):
		t.Fatalf("init cannot be taken up: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(p.Dir, "*.new")); left != nil && err == nil {
		t.Errorf("init left %v behind", left)
	}
	if _, err := os.Stat(filepath.Join(p.Dir, server.CredentialsFile)); err != nil {
		t.Fatalf("nobody can use what init has made: %v", err)
	}
	s := p.Start(t)
	works(t, s)
	c := iam.NewFromConfig(clients(s, s.Admin))
	if keys, err := c.ListAccessKeys(t.Context(), nil); err != nil || len(keys.AccessKeyMetadata) != 1 {
		t.Errorf("admin has not one key: %v", err)
	}
	s.Kill()
	sound(t, p, false)
}

// clients are the SDK's settings for a key.
func clients(s *program.Process, key server.Credentials) aws.Config {
	return aws.Config{
		Region: servertest.Region, BaseEndpoint: &s.URL, HTTPClient: s.HTTP, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(key.AccessKeyID, key.SecretAccessKey, key.SessionToken),
	}
}

// works fails unless the first user can use the server.
func works(t *testing.T, s *program.Process) {
	t.Helper()
	who, err := sts.NewFromConfig(clients(s, s.Admin)).GetCallerIdentity(t.Context(), nil)
	if err != nil || *who.Account != servertest.Account {
		t.Fatalf("admin: %v", err)
	}
	_, err = secretsmanager.NewFromConfig(clients(s, s.Admin)).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("works"), SecretString: aws.String("x")})
	if err != nil {
		t.Error(err)
	}
}

// TestInitTakenUp takes from a finished init what one would not have that was
// killed between the account and its credentials.
func TestInitTakenUp(t *testing.T) {
	for _, tt := range []struct {
		name   string
		lost   []string
		newKey bool
	}{
		{"before the credentials", []string{server.CredentialsFile}, true},
		{"before the last name", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := program.NewPlace(t, "", settings)
			c, err := configuration(p.Dir)
			if err != nil {
				t.Fatal(err)
			}
			first, err := server.Init(t.Context(), c, servertest.Account, quiet())
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(p.Dir, "node.json"), filepath.Join(p.Dir, "node.json.begun")); err != nil {
				t.Fatal(err)
			}
			for _, name := range tt.lost {
				if err := os.Remove(filepath.Join(p.Dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := server.Init(t.Context(), c, "999988887777", quiet()); err == nil || !strings.Contains(err.Error(), servertest.Account) {
				t.Errorf("another account: %v", err)
			}
			again, err := server.Init(t.Context(), c, "", quiet())
			if err != nil {
				t.Fatal(err)
			}
			if again.Account != servertest.Account || (again != first) != tt.newKey {
				t.Errorf("account %s, key %s after %s", again.Account, again.AccessKeyID, first.AccessKeyID)
			}
			s := p.Start(t)
			if _, err := sts.NewFromConfig(clients(s, again)).GetCallerIdentity(t.Context(), nil); err != nil {
				t.Errorf("the key that init returned: %v", err)
			}
			if _, err := sts.NewFromConfig(clients(s, first)).GetCallerIdentity(t.Context(), nil); (err != nil) != tt.newKey {
				t.Errorf("the key whose secret was lost: %v", err)
			}
			s.Kill()
			sound(t, p, false)
		})
	}
}

// TestKilledDuringRenewal starts a server whose certificate does not belong to
// its key, as a crash between the two files of a renewal leaves them.
func TestKilledDuringRenewal(t *testing.T) {
	t.Parallel()
	p, other := initialised(t, ""), initialised(t, "")
	key, err := os.ReadFile(filepath.Join(other.Dir, "tls/server.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.Dir, "tls/server.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	works(t, p.Start(t))
}
