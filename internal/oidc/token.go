package oidc

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// MaxToken bounds a token in characters, as AssumeRoleWithWebIdentity does.
const MaxToken = 20_000

// Bounds of ours inside a token. A token of Kubernetes has three levels and some
// thirty values.
var tokenBounds = bounds{depth: 10, tokens: 1000}

// skew is how far the clock of an issuer may be ahead of ours: a token may begin,
// and may have been issued, that much in the future. It does not prolong a token,
// since AWS says of one that the time "must be before the expiration". What AWS
// allows is unconfirmed.
const skew = 60 * time.Second

// algorithms are those that are verified. "none" and HMAC are not among them: the
// one is no signature, under the other who can verify can sign.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}

// Claims are what a verified token says.
type Claims struct {
	Issuer, Subject string
	// Audience is the claim aud, at least one.
	Audience []string
	// AuthorizedParty is the claim azp; empty when there is none.
	AuthorizedParty string
	// AMR are the authentication methods of the claim amr.
	AMR               []string
	Expires, IssuedAt time.Time
	// NotBefore is zero when there is no claim nbf.
	NotBefore time.Time
}

// token is a parsed one, not yet verified.
type token struct {
	alg    jose.SignatureAlgorithm
	kid    string // empty when the header has none
	claims Claims
	signed *jose.JSONWebSignature
	body   []byte
}

// Peek returns the issuer that a token names, unverified: good for finding the
// provider and for nothing else. The error is ErrMalformed for a token that
// Verify would find malformed.
func Peek(raw string) (issuer string, err error) {
	t, err := parse(raw)
	if err != nil {
		return "", err
	}
	return t.claims.Issuer, nil
}

// parse reads the compact form. Each part must be base64url in its one canonical
// spelling, so that a token has only one text.
func parse(raw string) (*token, error) {
	if len(raw) > MaxToken {
		return nil, malformed("too long")
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return nil, malformed("not three parts")
	}
	var decoded [3][]byte
	for i, p := range parts {
		// The decoder skips line ends.
		b, err := base64.RawURLEncoding.Strict().DecodeString(p)
		if err != nil || len(b) == 0 || strings.ContainsAny(p, "\r\n") {
			return nil, malformed("a part is not base64url")
		}
		decoded[i] = b
	}
	t := &token{body: decoded[1]}
	if err := t.readHeader(decoded[0]); err != nil {
		return nil, err
	}
	if err := t.readClaims(decoded[1]); err != nil {
		return nil, err
	}
	var err error
	if t.signed, err = jose.ParseSignedCompact(raw, algorithms); err != nil {
		return nil, malformed("not a JWS")
	}
	return t, nil
}

// readHeader takes the algorithm and the key's id. "typ" is not looked at: AWS
// takes access tokens too, and providers disagree on what they write there.
func (t *token) readHeader(src []byte) error {
	h, err := object(src, tokenBounds)
	if err != nil {
		return malformed("header: " + err.Error())
	}
	// What is critical must be understood, and there is nothing of the kind here.
	for _, name := range []string{"crit", "b64", "enc", "zip"} {
		if _, ok := h[name]; ok {
			return malformed("header has " + name)
		}
	}
	alg, err := text(h["alg"])
	if err != nil || !slices.Contains(algorithms, jose.SignatureAlgorithm(alg)) {
		return malformed("algorithm not accepted")
	}
	t.alg = jose.SignatureAlgorithm(alg)
	if raw, ok := h["kid"]; ok {
		if t.kid, err = text(raw); err != nil {
			return malformed("header: kid")
		}
	}
	return nil
}

func (t *token) readClaims(src []byte) error {
	m, err := object(src, tokenBounds)
	if err != nil {
		return malformed("claims: " + err.Error())
	}
	c := &t.claims
	for _, claim := range []struct {
		name   string
		needed bool
		read   func(json.RawMessage) error
	}{
		{"iss", true, into(&c.Issuer, text)},
		{"sub", true, into(&c.Subject, text)},
		{"aud", true, into(&c.Audience, texts)},
		{"exp", true, into(&c.Expires, instant)},
		{"iat", true, into(&c.IssuedAt, instant)},
		{"nbf", false, into(&c.NotBefore, instant)},
		{"azp", false, into(&c.AuthorizedParty, text)},
		{"amr", false, into(&c.AMR, texts)},
	} {
		raw, ok := m[claim.name]
		if !ok && claim.needed {
			return malformed("claim " + claim.name + " is missing")
		}
		if !ok {
			continue
		}
		if err := claim.read(raw); err != nil {
			return malformed("claim " + claim.name + ": " + err.Error())
		}
	}
	if len(c.Audience) == 0 {
		return malformed("claim aud is empty")
	}
	return nil
}

// into makes a reader of one type a reader into a field.
func into[T any](field *T, read func(json.RawMessage) (T, error)) func(json.RawMessage) error {
	return func(raw json.RawMessage) (err error) {
		*field, err = read(raw)
		return err
	}
}

// meantFor reports whether the token is for one of the ids.
func (c *Claims) meantFor(ids []string) bool {
	return slices.ContainsFunc(ids, func(id string) bool {
		return slices.Contains(c.Audience, id) || id != "" && c.AuthorizedParty == id
	})
}

// inTime checks the token's times.
func (c *Claims) inTime(now time.Time) error {
	if !now.Before(c.Expires) {
		return &ExpiredError{Now: now, Expires: c.Expires}
	}
	if latest := now.Add(skew); c.NotBefore.After(latest) || c.IssuedAt.After(latest) {
		return ErrNotYetValid
	}
	return nil
}

// verify checks the signature against keys that suit.
func (t *token) verify(keys []key) error {
	for _, k := range keys {
		if payload, err := t.signed.Verify(k.public); err == nil && bytes.Equal(payload, t.body) {
			return nil
		}
	}
	return ErrSignature
}
