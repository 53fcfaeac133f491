package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/backup"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
	"github.com/strongroom/strongroom/internal/ship"
	"github.com/strongroom/strongroom/internal/store"
)

// shipping configures a server to be shipped to a directory.
func shipping(target, recipient string) servertest.Option {
	return servertest.Config(func(c *config.Config) {
		c.Backup.Ship.To, c.Backup.Ship.Recipients = target, []string{recipient}
		c.Backup.Ship.Interval = 100 * time.Millisecond
	})
}

// arrived waits until the target can restore the moment.
func arrived(t *testing.T, s *servertest.Server, at time.Time) {
	t.Helper()
	for {
		st := s.Server().Status().Ship
		if st.Until.After(at) && !st.Since.IsZero() {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("%+v", st)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// fromTarget restores a moment as it was.
func fromTarget(target string, ids backup.Identities, at time.Time) server.RestoreRequest {
	return server.RestoreRequest{Shipped: ship.Directory(target), Identities: ids, At: at, AsOf: at.Truncate(time.Second)}
}

// values are the secrets of a restored store by name, opened.
func values(t *testing.T, cfg config.Config, c server.Credentials) map[string]string {
	t.Helper()
	h := httptest.NewServer(opened(t, cfg).Handler())
	defer h.Close()
	sm := secretsmanager.New(secretsmanager.Options{BaseEndpoint: &h.URL, Region: servertest.Region,
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, "")})
	list, err := sm.ListSecrets(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	for _, s := range list.SecretList {
		v, err := sm.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: s.ARN})
		if err != nil {
			t.Fatal(err)
		}
		out[*s.Name] = *v.SecretString
	}
	return out
}

// TestShipped: a server that is shipped restores to any moment under a new root key,
// with its audit record proven, and nothing lies at the target in the clear.
func TestShipped(t *testing.T) {
	t.Parallel()
	recipient, ids := newIdentity(t)
	target := filepath.Join(t.TempDir(), "target")
	s := servertest.Start(t, shipping(target, recipient))
	sm := s.Secrets()
	arrived(t, s, time.Now()) // A first copy of the database.
	moments := []time.Time{time.Now()}
	for i := range 5 {
		name, value := fmt.Sprint("db/", i), fmt.Sprint("canary-value-", i)
		if _, err := sm.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value}); err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			s.Restart()
			sm = s.Secrets()
		}
		moments = append(moments, time.Now())
	}
	arrived(t, s, time.Now())
	st := s.Server().Status()
	if st.Ship.Gaps != 0 || st.Ship.Error != "" || st.Ship.Objects == 0 || st.Ship.Stream == "" {
		t.Errorf("%+v", st.Ship)
	}
	found, err := s.Server().Metrics().Gather()
	if err != nil || !strings.Contains(fmt.Sprint(found), "strongroom_ship_lag_seconds") {
		t.Errorf("no metric of shipping: %v", err)
	}
	s.Stop()
	root, err := os.ReadFile(filepath.Join(s.Dir, server.RootKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	for i, at := range moments {
		cfg := empty(t, "")
		out, err := server.Restore(t.Context(), cfg, fromTarget(target, ids, at), silent)
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		cfg.Region, cfg.Regions = out.Region, out.Regions
		got := values(t, cfg, s.Admin)
		if len(got) != i {
			t.Errorf("at moment %d there are %v", i, got)
		}
		for j := range i {
			if got[fmt.Sprint("db/", j)] != fmt.Sprint("canary-value-", j) {
				t.Errorf("at moment %d: %v", i, got)
			}
		}
		if len(out.Audit) != 1 || !out.Audit[0].OK || out.Audit[0].Records == 0 {
			t.Errorf("audit record: %+v", out.Audit)
		}
		fresh, err := os.ReadFile(filepath.Join(cfg.Data, server.RootKeyFile))
		if err != nil || bytes.Equal(fresh, root) {
			t.Errorf("the root key is the old one, or %v", err)
		}
	}

	// Quiet by default, and the new chain says what was before it.
	cfg := empty(t, "")
	in := fromTarget(target, ids, time.Time{})
	in.AsOf = time.Time{}
	out, err := server.Restore(t.Context(), cfg, in, silent)
	if err != nil || out.Kept || len(out.Keys) != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	cfg.Region, cfg.Regions = out.Region, out.Regions
	r := opened(t, cfg)
	if err := whoAmI(t, r, s.Admin); err == nil {
		t.Error("an access key works after a restore")
	}
	report, err := r.CheckStore(t.Context())
	if err != nil || !report.OK() {
		t.Errorf("check: %v, %v", report.Faults, err)
	}
	told := false
	err = audit.Scan(t.Context(), filepath.Join(cfg.Data, server.AuditDir), out.Node, 1, func(e audit.Entry) error {
		told = told || bytes.Contains(e.Body, []byte(`"RestoreBackup"`)) && bytes.Contains(e.Body, []byte(out.Audit[0].Chain)) && bytes.Contains(e.Body, []byte(out.Shipped.Stream))
		return nil
	})
	if err != nil || !told {
		t.Errorf("the restore is not recorded with the chain before it: %v", err)
	}
	if _, err := server.Restore(t.Context(), cfg, in, silent); !errors.Is(err, server.ErrInitialised) {
		t.Errorf("twice into one directory: %v", err)
	}

	// Nothing in the clear: no value, no name, no key.
	err = filepath.WalkDir(target, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, text := range []string{"canary", "db/", servertest.Account, s.Admin.AccessKeyID, s.Admin.SecretAccessKey, "secretsmanager", "SQLite format", "eventName"} {
			if bytes.Contains(b, []byte(text)) {
				t.Errorf("%q is in %s in the clear", text, path)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestRestoreAgain: a restore that was cut short anywhere is begun anew by the next,
// and a database that no restore has made is left alone.
func TestRestoreAgain(t *testing.T) {
	t.Parallel()
	recipient, ids := newIdentity(t)
	target := filepath.Join(t.TempDir(), "target")
	s := servertest.Start(t, shipping(target, recipient))
	furnish(t, s)
	arrived(t, s, time.Now())
	file := takeBackup(t, s.Server(), recipient)
	s.Stop()
	shipped := fromTarget(target, ids, time.Time{})
	shipped.AsOf = time.Time{}
	for name, in := range map[string]server.RestoreRequest{"shipped": shipped, "backup": from(file, ids)} {
		cfg := empty(t, "")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := server.Restore(ctx, cfg, in, silent); err == nil {
			t.Errorf("%s: restored although given up", name)
		}
		// As after kill -9: half a database, half an audit record.
		if err := os.MkdirAll(filepath.Join(cfg.Data, server.AuditDir), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"restoring", "strongroom.db", "strongroom.db-wal", "audit/node-x.00000000000000000001.jsonl"} {
			if err := os.WriteFile(filepath.Join(cfg.Data, path), []byte("half"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		out, err := server.Restore(t.Context(), cfg, in, silent)
		if err != nil {
			t.Errorf("%s again: %v", name, err)
			continue
		}
		if len(out.Audit) != 1 || !out.Audit[0].OK {
			t.Errorf("%s: audit record %+v", name, out.Audit)
		}
		report, err := opened(t, cfg).CheckStore(t.Context())
		if err != nil || !report.OK() {
			t.Errorf("%s: check: %v, %v", name, report.Faults, err)
		}
		other := empty(t, "")
		db, err := store.Open(t.Context(), store.Config{Dir: other.Data})
		if err != nil {
			t.Fatal(err)
		}
		db.Close()
		if _, err := server.Restore(t.Context(), other, in, silent); !errors.Is(err, backup.ErrNotEmpty) {
			t.Errorf("%s into somebody's database: %v", name, err)
		}
	}
}

// TestNewer: what a newer state has taken away is listed, whatever the newer state is.
func TestNewer(t *testing.T) {
	t.Parallel()
	recipient, ids := newIdentity(t)
	target := filepath.Join(t.TempDir(), "target")
	s := servertest.Start(t, shipping(target, recipient))
	sm, im := s.Secrets(), s.IAM()
	ctx := t.Context()
	for _, name := range []string{"kept", "changed", "deleted"} {
		if _, err := sm.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: &name}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"leaver", "stayer"} {
		if _, err := im.CreateUser(ctx, &iam.CreateUserInput{UserName: &name}); err != nil {
			t.Fatal(err)
		}
		if _, err := im.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &name}); err != nil {
			t.Fatal(err)
		}
	}
	arrived(t, s, time.Now())
	file := takeBackup(t, s.Server(), recipient)
	at := time.Now()
	value, gone := "another", "deleted"
	if _, err := sm.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: new("changed"), SecretString: &value}); err != nil {
		t.Fatal(err)
	}
	if _, err := sm.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &gone}); err != nil {
		t.Fatal(err)
	}
	for user, drop := range map[string]bool{"leaver": true, "stayer": false} {
		keys, err := im.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: &user})
		if err != nil || len(keys.AccessKeyMetadata) != 1 {
			t.Fatalf("%v, %v", keys, err)
		}
		id := keys.AccessKeyMetadata[0].AccessKeyId
		if !drop {
			_, err = im.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: &user, AccessKeyId: id, Status: iamtypes.StatusTypeInactive})
		} else if _, err = im.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: &user, AccessKeyId: id}); err == nil {
			_, err = im.DeleteUser(ctx, &iam.DeleteUserInput{UserName: &user})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	arrived(t, s, time.Now())
	later := takeBackup(t, s.Server(), recipient)
	s.Stop()
	laterFile := filepath.Join(t.TempDir(), "later.age")
	if err := os.WriteFile(laterFile, later, 0o600); err != nil {
		t.Fatal(err)
	}
	running := func(context.Context, string, string) (io.ReadCloser, error) { return nil, server.ErrNotRunning }
	want := []string{
		"access key * of leaver: deleted", "access key * of stayer: made inactive",
		"secret changed (us-east-1): given another value", "secret deleted (us-east-1): deleted, and can be restored until its recovery window ends",
		"user leaver: deleted",
	}
	for name, newer := range map[string]string{"backup": laterFile, "target": target, "data directory": s.Dir} {
		known, err := server.ReadNewer(ctx, server.NewerRequest{Name: newer, Identities: ids, Getenv: func(string) string { return "" }, Running: running}, silent)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		old := fromTarget(target, ids, at)
		old.AsOf = time.Time{}
		for kind, in := range map[string]server.RestoreRequest{"shipped": old, "backup": from(file, ids)} {
			in.Newer = known
			proven, err := server.ProveRestore(ctx, in)
			if err != nil {
				t.Fatal(err)
			}
			if got := told(proven.Revived); !slices.Equal(got, want) {
				t.Errorf("%s against %s:\n%s\nwant\n%s", kind, name, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			_, out := restore(t, in, "")
			if got := told(out.Revived); !slices.Equal(got, want) || out.Kept {
				t.Errorf("%s against %s, restored: %v", kind, name, got)
			}
		}
	}
}

func told(all []server.Revival) []string {
	var out []string
	for _, r := range all {
		name := r.Name
		if r.Kind == "access key" {
			_, name, _ = strings.Cut(name, " ")
			name = "* " + name
		}
		out = append(out, r.Kind+" "+name+": "+r.Since)
	}
	slices.Sort(out)
	return out
}
