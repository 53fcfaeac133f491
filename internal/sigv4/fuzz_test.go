package sigv4_test

import (
	"crypto/sha256"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/sigv4"
)

// Whatever comes, Parse neither panics nor lets through what its bounds exclude,
// and nothing of it verifies under a key that it was not signed with.
func FuzzParse(f *testing.F) {
	good := signed(f, "POST", "https://localhost/?a=b", "{}", "token", nil)
	f.Add(good.Header.Get("Authorization"), good.Header.Get("X-Amz-Date"), "a=b", "/", "", "v")
	p := presigned(f, "https://localhost/?Action=GetCallerIdentity", "60", "token", nil)
	f.Add("", "", p.URL.RawQuery, "/", "", "v")
	f.Add("AWS4-HMAC-SHA256 Credential=a/b/c/d/e,SignedHeaders=host;x-h,Signature=0", "20260219T183451Z", "", "/a/../b//c", "UNSIGNED-PAYLOAD", " a  b ")
	f.Add("AWS4-HMAC-SHA256 =,,=", "Thu, 19 Feb 2026 18:29:50 GMT", "&=&%41=%", "..", "STREAMING-", "\n")
	f.Fuzz(func(t *testing.T, auth, date, query, path, payload, value string) {
		r := &http.Request{Method: "POST", Host: "localhost", URL: &url.URL{Path: path, RawQuery: query}, Header: http.Header{"X-H": {value, value}}}
		for name, v := range map[string]string{"Authorization": auth, "X-Amz-Date": date, "X-Amz-Content-Sha256": payload} {
			if v != "" {
				r.Header[name] = []string{v}
			}
		}
		s, err := sigv4.Parse(r)
		if err != nil {
			e, ok := err.(*sigv4.Error)
			if !ok || e.Class == 0 || len(e.Error()) > 16<<10 {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		if len(s.SignedHeaders) == 0 || len(s.SignedHeaders) > 64 || s.Time.IsZero() && date == "" || s.Presigned && (s.Expires < time.Second || s.Expires > sigv4.MaxExpires) {
			t.Fatalf("out of bounds: %+v", s)
		}
		if strings.Contains(s.AccessKeyID+s.Region+s.Service+s.Date, "/") {
			t.Fatalf("scope %+v", s)
		}
		_ = s.CheckScope("sts", anyRegion, signedAt, time.Minute)
		sum := sha256.Sum256(nil)
		if err := s.Verify(&sigv4.Key{1}, &sum, true); err != sigv4.ErrSignature {
			t.Fatalf("verified: %v", err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	const body = `{"SecretId":"prod/database/primary"}`
	for name, token := range map[string]string{"user": "", "session": strings.Repeat("abcd", 250)} {
		b.Run(name, func(b *testing.B) {
			r := signed(b, "POST", "https://localhost:4766/", body, token, http.Header{
				"Content-Type": {"application/x-amz-json-1.1"}, "X-Amz-Target": {"secretsmanager.GetSecretValue"},
				"Amz-Sdk-Invocation-Id": {"5ae1f4e5-3b3b-4f4c-9d5b-9a1ad4d4b0bb"}, "Amz-Sdk-Request": {"attempt=1; max=3"}})
			cache := sigv4.NewKeyCache(16)
			s, err := sigv4.Parse(r.Request)
			if err != nil {
				b.Fatal(err)
			}
			cache.Put(s, 1, sigv4.SigningKey([]byte(secretKey), s.Date, s.Region, s.Service))
			sum := sha256.Sum256([]byte(body))
			b.ReportAllocs()
			for b.Loop() {
				s, err := sigv4.Parse(r.Request)
				if err != nil {
					b.Fatal(err)
				}
				if err := s.CheckScope("secretsmanager", anyRegion, signedAt, 5*time.Minute); err != nil {
					b.Fatal(err)
				}
				key, ok := cache.Get(s, 1)
				if !ok {
					b.Fatal("no key")
				}
				if err := s.Verify(&key, &sum, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSigningKey(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = sigv4.SigningKey([]byte(secretKey), "20260219", "eu-west-1", "secretsmanager")
	}
}
