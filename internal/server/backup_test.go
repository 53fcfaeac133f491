package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/strongroom/strongroom/internal/backup"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/pgtest"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
	"github.com/strongroom/strongroom/internal/store"
)

// newIdentity makes somebody to encrypt to.
func newIdentity(t *testing.T) (recipient string, ids backup.Identities) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	if ids, err = backup.ParseIdentities(strings.NewReader(id.String())); err != nil {
		t.Fatal(err)
	}
	return id.Recipient().String(), ids
}

func takeBackup(t *testing.T, s *server.Server, recipient string) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := s.Backup(t.Context(), &b, server.BackupRequest{Recipients: []string{recipient}, Release: "test"}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func from(b []byte, ids backup.Identities) server.RestoreRequest {
	return server.RestoreRequest{Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }, Identities: ids}
}

var silent = slog.New(slog.DiscardHandler)

// restore makes a new deployment of a backup; "" is SQLite. A short directory: the
// operator's socket has to fit.
func restore(t *testing.T, in server.RestoreRequest, database string) (config.Config, server.Restored) {
	t.Helper()
	cfg := empty(t, database)
	out, err := server.Restore(t.Context(), cfg, in, silent)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Region, cfg.Regions = out.Region, out.Regions
	db, err := store.Open(t.Context(), store.Config{Dir: cfg.Data, URL: cfg.Database})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if steady, err := db.Steady(t.Context()); err != nil || steady {
		t.Errorf("what a backup holds may be destroyed at once: %v", err)
	}
	return cfg, out
}

func empty(t *testing.T, database string) config.Config {
	t.Helper()
	cfg := config.Default()
	cfg.Data, cfg.Database = filepath.Join(t.TempDir(), "data"), database
	cfg.Listen, cfg.Operations = "127.0.0.1:0", ""
	return cfg
}

// content is every row of a deployment that a backup is to carry, sorted, and
// without those that starting and recording write by themselves.
func content(t *testing.T, db *store.DB) map[string][]string {
	t.Helper()
	out := make(map[string][]string)
	err := db.Read(t.Context(), func(tx store.Tx) error {
		tables, err := db.Tables(tx)
		if err != nil {
			return err
		}
		for _, table := range tables {
			switch table.Name {
			case "clock", "deployment", "generations", "keyring", "leases", "store_commits", "store_migrations", "audit_keys", "audit_heads", "audit_pending", "audit_nodes", "audit_lines":
				continue
			}
			var names []string
			for _, c := range table.Columns {
				names = append(names, c.Name)
			}
			slices.Sort(names)
			rows, err := tx.Query(`SELECT ` + strings.Join(names, ", ") + ` FROM ` + table.Name)
			if err != nil {
				return err
			}
			out[table.Name] = []string{}
			for rows.Next() {
				values := make([]any, len(names))
				for i, name := range names {
					values[i] = new(string)
					for _, c := range table.Columns {
						switch {
						case c.Name == name && c.Type == "BIGINT":
							values[i] = new(int64)
						case c.Name == name && c.Type == "BYTEA":
							values[i] = new([]byte)
						case c.Name == name && c.Type == "BOOLEAN":
							values[i] = new(bool)
						}
					}
				}
				if err := rows.Scan(values...); err != nil {
					return err
				}
				line := ""
				for i, v := range values {
					switch v := v.(type) {
					case *string:
						line += fmt.Sprintf("%s=%q ", names[i], *v)
					case *int64:
						line += fmt.Sprintf("%s=%d ", names[i], *v)
					case *[]byte:
						line += fmt.Sprintf("%s=%x ", names[i], *v)
					case *bool:
						line += fmt.Sprintf("%s=%t ", names[i], *v)
					}
				}
				out[table.Name] = append(out[table.Name], line)
			}
			if err := rows.Err(); err != nil {
				return err
			}
			slices.Sort(out[table.Name])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func opened(t *testing.T, cfg config.Config) *server.Server {
	t.Helper()
	s, err := server.Open(t.Context(), server.Options{Config: cfg, Log: silent, ManualJobs: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestBackupRoundTrip: SQLite to PostgreSQL and back loses nothing and changes
// nothing, under a new root key each time.
func TestBackupRoundTrip(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.ManualJobs())
	furnish(t, s)
	if err := s.Server().RunJobsOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	recipient, ids := newIdentity(t)
	file := takeBackup(t, s.Server(), recipient)
	want := content(t, s.Server().Store())
	for _, canary := range []string{"canary", "Correct-horse", servertest.Account, "secretsmanager", s.Admin.SecretAccessKey, s.Admin.AccessKeyID} {
		if bytes.Contains(file, []byte(canary)) {
			t.Errorf("%q is in the backup in the clear", canary)
		}
	}
	rootBefore, err := os.ReadFile(filepath.Join(s.Dir, server.RootKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, database := range []string{pgtest.Start(t), ""} {
		found, err := server.VerifyBackup(from(file, ids))
		if err != nil {
			t.Fatal(err)
		}
		in := from(file, ids)
		in.AsOf = found.At.Truncate(time.Second)
		cfg, out := restore(t, in, database)
		if !out.Kept || len(out.Keys) != 2 {
			t.Errorf("kept %t, keys %v", out.Kept, out.Keys)
		}
		r := opened(t, cfg)
		got := content(t, r.Store())
		for _, table := range slices.Sorted(maps.Keys(want)) {
			if !slices.Equal(want[table], got[table]) {
				t.Errorf("%q: %s differs:\n%v\n%v", database, table, want[table], got[table])
			}
		}
		report, err := r.CheckStore(t.Context())
		if err != nil || !report.OK() {
			t.Errorf("check: %v, %v", report.Faults, err)
		}
		root, err := os.ReadFile(filepath.Join(cfg.Data, server.RootKeyFile))
		if err != nil || bytes.Equal(root, rootBefore) {
			t.Errorf("the root key is the old one, or %v", err)
		}
		file = takeBackup(t, r, recipient)
	}
}

// TestRestoreIsQuiet: without more words access keys do not work afterwards, and
// sessions are void.
func TestRestoreIsQuiet(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.ManualJobs())
	furnish(t, s)
	role := s.Role(t, s.Admin, "worker", servertest.Trust("arn:aws:iam::"+servertest.Account+":root", "sts:AssumeRole"), allowRead)
	session := s.AssumeRole(t, s.Admin, role)
	recipient, ids := newIdentity(t)
	file := takeBackup(t, s.Server(), recipient)
	cfg, out := restore(t, from(file, ids), "")
	if out.Kept || len(out.Keys) != 2 || out.Keys[0].User == "" {
		t.Errorf("kept %t, keys %v", out.Kept, out.Keys)
	}
	r := opened(t, cfg)
	var active, live int64
	err := r.Store().Read(t.Context(), func(tx store.Tx) error {
		if err := tx.QueryRow(`SELECT COUNT(*) FROM iam_access_keys WHERE active`).Scan(&active); err != nil {
			return err
		}
		return tx.QueryRow(`SELECT (SELECT COUNT(*) FROM iam_users WHERE sessions_after < $1) + (SELECT COUNT(*) FROM iam_roles WHERE sessions_after < $1)`,
			out.At.UnixMicro()).Scan(&live)
	})
	if err != nil || active != 0 || live != 0 {
		t.Errorf("%d keys work, sessions of %d entities live, %v", active, live, err)
	}
	// Over the network, and as a control with the moment named.
	kept := from(file, ids)
	kept.AsOf = out.At.Truncate(time.Second)
	keptConfig, _ := restore(t, kept, "")
	for name, c := range map[string]server.Credentials{"key": s.Admin, "session": session} {
		if err := whoAmI(t, r, c); err == nil || !strings.Contains(err.Error(), "InvalidClientTokenId") && !strings.Contains(err.Error(), "ExpiredToken") {
			t.Errorf("%s after a restore: %v", name, err)
		}
	}
	k := opened(t, keptConfig)
	for name, c := range map[string]server.Credentials{"key": s.Admin, "session": session} {
		if err := whoAmI(t, k, c); err != nil {
			t.Errorf("%s after a restore as of its moment: %v", name, err)
		}
	}
	wrong := from(file, ids)
	wrong.AsOf = out.At.Add(-time.Hour)
	if _, err := server.Restore(t.Context(), empty(t, ""), wrong, silent); err == nil || !strings.Contains(err.Error(), "the backup is of") {
		t.Errorf("another moment: %v", err)
	}
	if _, err := server.Restore(t.Context(), cfg, from(file, ids), silent); !errors.Is(err, server.ErrInitialised) {
		t.Errorf("twice into one directory: %v", err)
	}
}

// whoAmI asks a server that is open and not served.
func whoAmI(t *testing.T, s *server.Server, c server.Credentials) error {
	t.Helper()
	h := httptest.NewServer(s.Handler())
	defer h.Close()
	_, err := sts.New(sts.Options{BaseEndpoint: &h.URL, Region: servertest.Region,
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken),
	}).GetCallerIdentity(t.Context(), nil)
	return err
}

// TestBackupBreaksOff: what fails on the way is no answer that ends well.
func TestBackupBreaksOff(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	err := s.Server().Store().Maintain(t.Context(), func(tx store.Tx) error {
		_, err := tx.Exec(`INSERT INTO keyring (id, provider, wrapped, created_at) VALUES ('0102', 'file:x', 'x', 1)`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	recipient, ids := newIdentity(t)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(s.Dir, server.SocketFile))
	}}}
	var file []byte
	answer, err := client.Post("http://operator/v1/backup", "application/json", strings.NewReader(`{"recipients":["`+recipient+`"]}`))
	if err == nil {
		defer answer.Body.Close()
		file, err = io.ReadAll(answer.Body)
	}
	if err == nil {
		t.Errorf("a whole answer of %d bytes", len(file))
	}
	if _, err := server.VerifyBackup(from(file, ids)); err == nil {
		t.Error("what there was is taken for a backup")
	}
	if !strings.Contains(s.Log.String(), "backup failed") {
		t.Error("the log does not say why")
	}
}

// TestRestoreRefuses: what is not whole, unaltered and ours has no effect at all.
func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.ManualJobs())
	furnish(t, s)
	recipient, ids := newIdentity(t)
	_, others := newIdentity(t)
	file := takeBackup(t, s.Server(), recipient)
	refuse := func(name string, b []byte, ids backup.Identities) {
		t.Helper()
		cfg := empty(t, "")
		if _, err := server.Restore(t.Context(), cfg, from(b, ids), silent); err == nil {
			t.Errorf("%s: restored", name)
		}
		if _, err := os.Stat(cfg.Data); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the data directory was made: %v", name, err)
		}
	}
	refuse("another identity", file, others)
	phrase, err := backup.Passphrase("not the right one")
	if err != nil {
		t.Fatal(err)
	}
	refuse("a passphrase", file, phrase)
	refuse("nothing", nil, ids)
	refuse("another file", []byte("hello"), ids)
	for i := 0; i < len(file); i += max(1, len(file)/60) {
		refuse(fmt.Sprintf("cut at %d", i), file[:i], ids)
		altered := bytes.Clone(file)
		altered[i] ^= 1
		refuse(fmt.Sprintf("byte %d altered", i), altered, ids)
	}
	refuse("last byte missing", file[:len(file)-1], ids)
	refuse("a byte more", append(bytes.Clone(file), 0), ids)

	// A database that holds something.
	cfg := empty(t, pgtest.Start(t))
	full := cfg
	full.Data = filepath.Join(t.TempDir(), "full")
	if _, err := server.Init(t.Context(), full, "444455556666", silent); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Restore(t.Context(), cfg, from(file, ids), silent); !errors.Is(err, backup.ErrNotEmpty) {
		t.Errorf("a database in use: %v", err)
	}

	// A backup of a damaged store: nothing is kept.
	if err := s.Server().Store().Maintain(t.Context(), flip("secret_versions", "sealed", "version_id")); err != nil {
		t.Fatal(err)
	}
	cfg = empty(t, "")
	if _, err := server.Restore(t.Context(), cfg, from(takeBackup(t, s.Server(), recipient), ids), silent); !errors.Is(err, server.ErrFaults) {
		t.Errorf("a damaged store: %v", err)
	}
	if server.Initialised(cfg.Data) {
		t.Error("a damaged store was restored")
	}
}

// TestBackupUnderWrites: everything acknowledged before a backup began is in it,
// and it is consistent although the store changes meanwhile.
func TestBackupUnderWrites(t *testing.T) {
	for name, options := range map[string][]servertest.Option{"sqlite": nil, "postgresql": {servertest.Postgres()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := servertest.Start(t, options...)
			sm := s.Secrets()
			recipient, ids := newIdentity(t)
			ctx, stop := context.WithCancel(t.Context())
			var mu sync.Mutex
			var acknowledged []string
			first := make(chan struct{})
			var wg sync.WaitGroup
			for w := range 4 {
				wg.Go(func() {
					for i := 0; ctx.Err() == nil; i++ {
						name := fmt.Sprintf("w%d-%d", w, i)
						if _, err := sm.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: &name}); err != nil {
							if ctx.Err() == nil {
								t.Error(err)
							}
							return
						}
						mu.Lock()
						if acknowledged = append(acknowledged, name); len(acknowledged) == 20 {
							close(first)
						}
						mu.Unlock()
					}
				})
			}
			<-first
			mu.Lock()
			before := slices.Clone(acknowledged)
			mu.Unlock()
			file := takeBackup(t, s.Server(), recipient)
			stop()
			wg.Wait()
			cfg, _ := restore(t, from(file, ids), "") // which checks it
			have := make(map[string]bool)
			err := opened(t, cfg).Store().Read(t.Context(), func(tx store.Tx) error {
				rows, err := tx.Query(`SELECT name FROM secrets`)
				if err != nil {
					return err
				}
				for rows.Next() {
					var name string
					if err := rows.Scan(&name); err != nil {
						return err
					}
					have[name] = true
				}
				return rows.Err()
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range before {
				if !have[name] {
					t.Errorf("%s was acknowledged before the backup and is not in it", name)
				}
			}
		})
	}
}
