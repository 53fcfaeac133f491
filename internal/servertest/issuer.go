package servertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/strongroom/strongroom/internal/config"
)

// Issuer is an OpenID Connect provider: a web server with a discovery document and
// keys, and tokens signed by them, such as a Kubernetes API server is.
type Issuer struct {
	// URL is the claim "iss" of its tokens, Host the same without its scheme.
	URL, Host string
	// CAFile holds its certificate, to be trusted by the server's egress.
	CAFile string
	// Down makes it answer nothing but errors.
	Down atomic.Bool
	// Asked counts requests.
	Asked atomic.Int64

	tb  testing.TB
	key *ecdsa.PrivateKey
}

// issuerKey is the id of the issuer's key.
const issuerKey = "key-1"

// NewIssuer starts an issuer.
func NewIssuer(tb testing.TB) *Issuer {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	i := &Issuer{tb: tb, key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": i.URL, "jwks_uri": i.URL + "/openid/v1/jwks"})
	})
	mux.HandleFunc("GET /openid/v1/jwks", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(i.JWKS()) })
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.Asked.Add(1)
		if i.Down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	tb.Cleanup(s.Close)
	i.URL, i.Host = s.URL, strings.TrimPrefix(s.URL, "https://")
	i.CAFile = filepath.Join(tb.TempDir(), "issuer.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(i.CAFile, block, 0o600); err != nil {
		tb.Fatal(err)
	}
	return i
}

// Trusted lets a server reach the issuer.
func (i *Issuer) Trusted() Option {
	return Config(func(c *config.Config) { c.Egress.CAFile = i.CAFile })
}

// JWKS are the issuer's public keys.
func (i *Issuer) JWKS() []byte {
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: issuerKey, Use: "sig", Algorithm: "ES256"}}})
	if err != nil {
		i.tb.Fatal(err)
	}
	return b
}

// Token is a token for a service account at a moment, as Kubernetes makes them,
// with changes to its claims; nil takes a claim away.
func (i *Issuer) Token(tb testing.TB, now time.Time, changes map[string]any) string {
	tb.Helper()
	return i.Sign(tb, issuerKey, i.Claims(now, changes))
}

// Claims are those of Token.
func (i *Issuer) Claims(now time.Time, changes map[string]any) map[string]any {
	c := map[string]any{
		"iss": i.URL, "sub": "system:serviceaccount:shop:cart", "aud": []string{"sts.amazonaws.com"},
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"kubernetes.io": map[string]any{"namespace": "shop", "serviceaccount": map[string]string{"name": "cart"}},
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// Sign signs claims under a key id, which need not be the issuer's.
func (i *Issuer) Sign(tb testing.TB, kid string, claims any) string {
	tb.Helper()
	body, err := json.Marshal(claims)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: i.key}, (&jose.SignerOptions{}).WithHeader("kid", kid))
	if err != nil {
		tb.Fatal(err)
	}
	signed, err := s.Sign(body)
	if err != nil {
		tb.Fatal(err)
	}
	raw, err := signed.CompactSerialize()
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}
