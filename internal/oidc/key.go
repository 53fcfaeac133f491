package oidc

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

const (
	// maxDocument bounds what a provider publishes, in bytes; a set of twenty keys
	// with their certificates takes a tenth of it.
	maxDocument = 512 << 10
	maxKeys     = 100
	// RSA below 2048 bits has been broken or soon will be (RFC 7518 section 3.3
	// forbids it); above 8192 a check costs more than a caller may make us spend.
	minRSA, maxRSA = 2048, 8192
)

var documentBounds = bounds{depth: 10, tokens: 20_000}

// key is a public key that may verify tokens.
type key struct {
	id     string // empty when it has none
	alg    string // empty when it is bound to none
	public any    // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// ErrKeySet means that a JWKS document holds no key to verify tokens with.
var ErrKeySet = errors.New("no usable key in the JWKS document")

// CheckKeys says whether a JWKS document can stand for a provider's keys: it must
// hold a usable key, and no private one, which somebody pasted by mistake.
func CheckKeys(jwks []byte) error {
	_, err := readKeys(jwks, true)
	return err
}

// readKeys reads a JWKS document (RFC 7517 section 5). Keys that are of no use
// here are passed over, as the RFC says. A private or secret key is one of them,
// or an error if strict: whoever has read it can sign. That no key is left is an
// error only if strict: a provider takes its keys back by leaving them out.
func readKeys(src []byte, strict bool) ([]key, error) {
	if len(src) > maxDocument {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrKeySet, maxDocument)
	}
	doc, err := object(src, documentBounds)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeySet, err)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(doc["keys"], &list); err != nil || len(list) > maxKeys {
		return nil, fmt.Errorf("%w: no list of at most %d keys", ErrKeySet, maxKeys)
	}
	var keys []key
	for _, raw := range list {
		k, err := readKey(raw)
		if errors.Is(err, errPrivate) && strict {
			return nil, fmt.Errorf("%w: it holds a private key", ErrKeySet)
		}
		if err == nil {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 && strict {
		return nil, ErrKeySet
	}
	return keys, nil
}

var (
	errPrivate = errors.New("private key")
	errUnfit   = errors.New("no key for verifying")
)

func readKey(raw json.RawMessage) (key, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		return key{}, errUnfit
	}
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		if _, ok := m[name]; ok {
			return key{}, errPrivate
		}
	}
	var k key
	for name, field := range map[string]*string{"kid": &k.id, "alg": &k.alg} {
		if v, ok := m[name]; ok {
			s, err := text(v)
			if err != nil {
				return key{}, errUnfit
			}
			*field = s
		}
	}
	if v, ok := m["use"]; ok {
		if use, err := text(v); err != nil || use != "sig" {
			return key{}, errUnfit
		}
	}
	if v, ok := m["key_ops"]; ok {
		if ops, err := texts(v); err != nil || !slices.Contains(ops, "verify") {
			return key{}, errUnfit
		}
	}
	// The library gets the numbers and no more: certificates beside them are
	// parsed and may spoil a good key, and trust does not come from them.
	numbers := map[string]json.RawMessage{}
	for _, name := range []string{"kty", "crv", "n", "e", "x", "y"} {
		if v, ok := m[name]; ok {
			numbers[name] = v
		}
	}
	b, err := json.Marshal(numbers)
	if err != nil {
		return key{}, errUnfit
	}
	var parsed jose.JSONWebKey
	if err := parsed.UnmarshalJSON(b); err != nil || !parsed.Valid() || !parsed.IsPublic() || !strong(parsed.Key) {
		return key{}, errUnfit
	}
	k.public = parsed.Key
	return k, nil
}

func strong(public any) bool {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= minRSA && k.N.BitLen() <= maxRSA && k.E >= 3 && k.E%2 == 1
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}

// suits reports whether the key may verify under alg.
func (k key) suits(alg jose.SignatureAlgorithm) bool {
	if k.alg != "" && k.alg != string(alg) {
		return false
	}
	switch p := k.public.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(string(alg), "RS") || strings.HasPrefix(string(alg), "PS")
	case *ecdsa.PublicKey:
		return alg == jose.ES256 && p.Curve == elliptic.P256() || alg == jose.ES384 && p.Curve == elliptic.P384() || alg == jose.ES512 && p.Curve == elliptic.P521()
	case ed25519.PublicKey:
		return alg == jose.EdDSA
	}
	return false
}

// pick returns the keys that may have signed the token: those of its key id, or,
// if it names none, the only one that suits its algorithm. Where several would
// suit there is none: to try them all lets a caller choose among keys.
func (t *token) pick(keys []key) []key {
	var out []key
	for _, k := range keys {
		if k.suits(t.alg) && (t.kid == "" || t.kid == k.id) {
			out = append(out, k)
		}
	}
	if t.kid == "" && len(out) != 1 {
		return nil
	}
	return out
}
