package servertest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/pgtest"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
	"github.com/strongroom/strongroom/internal/store"
)

// BenchmarkPrincipals shows what it costs a request that there are many others who
// could have made it: GetSecretValue by 100 users in turn, in a deployment of these
// and the administrator, and in one of 100,000 users with 1,000,000 access keys.
// "known" requests find their user in memory; before each hundred of "new" ones
// something in IAM has changed, so that they all read key, user and policies from
// the database.
func BenchmarkPrincipals(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgresql"} {
		for _, size := range []struct {
			name        string
			users, keys int
		}{{"100-users", 0, 0}, {"100000-users", 100_000, 1_000_000}} {
			b.Run(engine+"/"+size.name, func(b *testing.B) {
				d := newCrowd(b, engine == "postgresql", size.users, size.keys)
				b.Run("known", func(b *testing.B) { d.run(b, false) })
				b.Run("new", func(b *testing.B) { d.run(b, true) })
			})
		}
	}
}

// crowd is a server with many principals, and signed requests of 100 of them.
type crowd struct {
	s        *servertest.Server
	requests []*http.Request
}

const (
	askers  = 100
	askBody = `{"SecretId":"s"}`
)

func newCrowd(b *testing.B, postgres bool, users, keys int) *crowd {
	where := store.Config{}
	s := servertest.Start(b, servertest.ManualJobs(), servertest.Config(func(c *config.Config) {
		if postgres {
			c.Database = pgtest.Start(b)
		}
		where.URL = c.Database
		where.Dir = c.Data
	}))
	if _, err := s.Secrets().CreateSecret(b.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("s"), SecretString: aws.String(strings.Repeat("x", 1024))}); err != nil {
		b.Fatal(err)
	}
	var holders []server.Credentials
	for i := range askers {
		holders = append(holders, s.User(b, fmt.Sprintf("asker-%03d", i), servertest.Allow("*", "secretsmanager:GetSecretValue")))
	}
	if users > 0 {
		s.Stop()
		fill(b, where, users, keys)
		s.Restart()
	}
	d := &crowd{s: s}
	for _, c := range holders {
		d.requests = append(d.requests, s.Request(b, servertest.Raw{Service: "secretsmanager", Target: "secretsmanager.GetSecretValue", Key: c, Body: askBody}))
	}
	return d
}

// fill puts users, with a policy each, and keys that nobody has the secrets of into
// the database.
func fill(b *testing.B, where store.Config, users, keys int) {
	b.Helper()
	db, err := store.Open(b.Context(), where)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	const numbers = `WITH RECURSIVE n(i) AS (SELECT $1 + 1 UNION ALL SELECT i + 1 FROM n WHERE i < $2) `
	insert := func(n int, text string, args ...any) {
		// In parts: no statement of the server's takes long.
		for from := 0; from < n; from += 20_000 {
			err := db.Maintain(b.Context(), func(tx store.Tx) error {
				_, err := tx.Exec(numbers+text, append([]any{from, min(from+20_000, n)}, args...)...)
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	allow := servertest.Allow("*", "secretsmanager:GetSecretValue")
	insert(users, `INSERT INTO iam_users (account, id, name, name_fold, path, boundary, tags, sessions_after, created_at)
		SELECT $3, 'AIDAFILL' || i, 'filler-' || i, 'filler-' || i, '/', '', '', 0, 0 FROM n`, servertest.Account)
	insert(users, `INSERT INTO iam_inline_policies (account, entity_id, name, document, version, updated_at)
		SELECT $3, 'AIDAFILL' || i, 'p', $4, 1, 0 FROM n`, servertest.Account, allow)
	insert(keys, `INSERT INTO iam_access_keys (account, key_id, user_id, active, sealed, created_at, expires_at)
		SELECT $3, 'AKIAFILL' || i, 'AIDAFILL' || (i % $4 + 1), TRUE, $5, 0, 0 FROM n`, servertest.Account, users, make([]byte, 100))
}

// run asks; with changed, nothing that was read of the askers stands any more when
// each of them has asked once.
func (d *crowd) run(b *testing.B, changed bool) {
	h := d.s.Server().Handler()
	ask := func(i int) {
		r := d.requests[i%askers].Clone(b.Context())
		r.Body = io.NopCloser(strings.NewReader(askBody))
		r.RemoteAddr = "127.0.0.1:40000"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Code, w.Body)
		}
	}
	for i := range askers {
		ask(i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		if changed && i%askers == 0 {
			b.StopTimer()
			d.s.SetPolicy(b, d.s.Admin, "asker-000", servertest.Allow("*", "secretsmanager:GetSecretValue"))
			b.StartTimer()
		}
		ask(i)
	}
}
