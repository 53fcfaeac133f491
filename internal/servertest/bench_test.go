package servertest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	signer "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/servertest"
)

// BenchmarkHandler is a signed GetSecretValue from the HTTP handler down, without
// network and TLS: what a profile of our own code should look at. "cpu-ns/op" is
// the processor time of the whole process, so that it means something on a machine
// that does other things too.
func BenchmarkHandler(b *testing.B) {
	for _, v := range []struct {
		name string
		rows int64
	}{{"cached", 32 << 20}, {"from the database", 0}} {
		b.Run(v.name, func(b *testing.B) {
			benchmarkHandler(b, servertest.Start(b, servertest.Quiet(), servertest.Config(func(c *config.Config) {
				c.Cache.Rows, c.Audit.SegmentSize = v.rows, 64<<20
			})))
		})
	}
}

// BenchmarkServer is the same over TLS, by a client in the same process. It is no
// measure of the server, but its profile has the server's share of net/http and
// crypto/tls.
func BenchmarkServer(b *testing.B) {
	s := servertest.Start(b, servertest.Quiet())
	createAll(b, s)
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		body := `{"SecretId":"` + name(rand.IntN(secrets)) + `"}`
		r := signed(b, s, "secretsmanager.GetSecretValue", body)
		for pb.Next() {
			r.Body = io.NopCloser(strings.NewReader(body))
			answer, err := s.HTTP.Do(r)
			if err != nil {
				b.Error(err)
				return
			}
			if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != http.StatusOK {
				b.Error(answer.StatusCode, err)
			}
			answer.Body.Close()
		}
	})
}

// secrets are how many a benchmark reads.
const secrets = 1000

var value = strings.Repeat("0123456789abcdef", 64)

func createAll(b *testing.B, s *servertest.Server) {
	for i := range secrets {
		if _, err := s.Secrets().CreateSecret(b.Context(), &secretsmanager.CreateSecretInput{Name: aws.String(name(i)), SecretString: &value}); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkHandler(b *testing.B, s *servertest.Server) {
	createAll(b, s)
	requests := make([]*http.Request, secrets)
	bodies := make([]*strings.Reader, secrets)
	for i := range requests {
		body := `{"SecretId":"` + name(i) + `"}`
		bodies[i] = strings.NewReader(body)
		requests[i] = signed(b, s, "secretsmanager.GetSecretValue", body)
		requests[i].Body = io.NopCloser(bodies[i])
	}
	h := s.Server().Handler()
	w := &answer{header: make(http.Header)}
	ask := func(i int) {
		if _, err := bodies[i].Seek(0, io.SeekStart); err != nil {
			b.Fatal(err)
		}
		clear(w.header)
		h.ServeHTTP(w, requests[i])
		if w.status != http.StatusOK || w.size < len(value) {
			b.Fatal(w.status, w.size)
		}
	}
	for i := range secrets {
		ask(i) // The first read on a day notes the day.
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := processorTime(b)
	for b.Loop() {
		ask(rand.IntN(secrets))
	}
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
}

// answer is a http.ResponseWriter that keeps nothing.
type answer struct {
	header       http.Header
	status, size int
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) { a.status, a.size = status, 0 }

func (a *answer) Write(p []byte) (int, error) {
	a.size += len(p)
	return len(p), nil
}

// processorTime is what the process has used, in the kernel too.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func name(i int) string { return fmt.Sprintf("bench/secret-%04d", i) }

func signed(b *testing.B, s *servertest.Server, target, body string) *http.Request {
	b.Helper()
	r, err := http.NewRequest(http.MethodPost, s.URL+"/", strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", target)
	hash := sha256.Sum256([]byte(body))
	c := aws.Credentials{AccessKeyID: s.Admin.AccessKeyID, SecretAccessKey: s.Admin.SecretAccessKey}
	if err := signer.NewSigner().SignHTTP(b.Context(), c, r, hex.EncodeToString(hash[:]), "secretsmanager", servertest.Region, time.Now()); err != nil {
		b.Fatal(err)
	}
	r.RemoteAddr = "127.0.0.1:40000"
	return r
}
