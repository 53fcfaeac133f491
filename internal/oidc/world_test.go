package oidc_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/strongroom/strongroom/internal/oidc"
)

const (
	issuerURL = "https://issuer.example/tenant"
	client    = "sts.amazonaws.com"
)

var now = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// keys are made once: RSA keys take long.
var keys = sync.OnceValue(func() map[string]crypto.Signer {
	out := map[string]crypto.Signer{}
	for name, make := range map[string]func() (crypto.Signer, error){
		"rsa":   func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) },
		"rsa2":  func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) },
		"weak":  func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 1024) },
		"p256":  func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
		"p384":  func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) },
		"p521":  func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P521(), rand.Reader) },
		"ed":    func() (crypto.Signer, error) { _, k, err := ed25519.GenerateKey(rand.Reader); return k, err },
		"other": func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
	} {
		k, err := make()
		if err != nil {
			panic(err)
		}
		out[name] = k
	}
	return out
})

// claims are good ones, with changes; nil takes a claim away.
func claims(changes map[string]any) map[string]any {
	c := map[string]any{"iss": issuerURL, "sub": "system:serviceaccount:ns:app", "aud": client, "exp": now.Add(time.Hour).Unix(), "iat": now.Add(-time.Minute).Unix()}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// sign makes a token by any header and payload, with the right signature.
func sign(tb testing.TB, alg string, k crypto.Signer, header map[string]any, payload any) string {
	tb.Helper()
	body, ok := payload.([]byte)
	if !ok {
		var err error
		if body, err = json.Marshal(payload); err != nil {
			tb.Fatal(err)
		}
	}
	o := (&jose.SignerOptions{})
	for name, value := range header {
		o.WithHeader(jose.HeaderKey(name), value)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: k}, o)
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

func kid(id string) map[string]any { return map[string]any{"kid": id} }

// jwk is the public half of a named key.
func jwk(id, name string, more map[string]any) map[string]any {
	b, err := json.Marshal(jose.JSONWebKey{Key: keys()[name].Public(), KeyID: id})
	if err != nil {
		panic(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		panic(err)
	}
	maps.Copy(m, more)
	return m
}

func jwks(list ...map[string]any) []byte {
	b, err := json.Marshal(map[string]any{"keys": append([]map[string]any{}, list...)})
	if err != nil {
		panic(err)
	}
	return b
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// web answers for URLs from a table, and counts.
type web struct {
	mu    sync.Mutex
	docs  map[string][]byte
	err   error // instead of an answer
	wait  func(context.Context)
	asked atomic.Int32
}

func (w *web) fetch(ctx context.Context, url string) ([]byte, error) {
	w.asked.Add(1)
	w.mu.Lock()
	doc, err, wait := w.docs[url], w.err, w.wait
	w.mu.Unlock()
	if wait != nil {
		wait(ctx)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	if doc == nil {
		return nil, errors.New("404")
	}
	return doc, nil
}

func (w *web) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

const (
	discoveryURL = issuerURL + "/.well-known/openid-configuration"
	keysURL      = "https://keys.example/jwks?v=1"
)

func discovery(issuer, jwksURI string) []byte {
	return fmt.Appendf(nil, `{"issuer":%q,"jwks_uri":%q,"id_token_signing_alg_values_supported":["RS256"]}`, issuer, jwksURI)
}

// published is a provider with these keys.
func published(list ...map[string]any) *web {
	return &web{docs: map[string][]byte{discoveryURL: discovery(issuerURL, keysURL), keysURL: jwks(list...)}}
}

type down struct{}

func (down) Error() string   { return "no connection" }
func (down) Retryable() bool { return true }

var provider = oidc.Provider{Issuer: issuerURL, ClientIDs: []string{"unused", client}}
