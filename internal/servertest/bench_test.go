package servertest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	signer "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/internal/servertest"
)

// BenchmarkHandler is a signed GetSecretValue from the HTTP handler down, without
// network and TLS: what a profile of our own code should look at.
func BenchmarkHandler(b *testing.B) {
	s := servertest.Start(b)
	const secrets = 1000
	value := strings.Repeat("x", 1024)
	for i := range secrets {
		if _, err := s.Secrets().CreateSecret(b.Context(), &secretsmanager.CreateSecretInput{Name: aws.String(name(i)), SecretString: &value}); err != nil {
			b.Fatal(err)
		}
	}
	requests := make([]*http.Request, secrets)
	bodies := make([]string, secrets)
	for i := range requests {
		bodies[i] = `{"SecretId":"` + name(i) + `"}`
		requests[i] = signed(b, s, "secretsmanager.GetSecretValue", bodies[i])
	}
	h := s.Server().Handler()
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		i := rand.IntN(secrets)
		r := requests[i].Clone(b.Context())
		r.Body = http.NoBody
		r.Body = readCloser{strings.NewReader(bodies[i])}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Code, w.Body)
		}
	}
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

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
