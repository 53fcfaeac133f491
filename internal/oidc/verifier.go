package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/strongroom/strongroom/internal/panics"
)

const (
	// keyLife is how long keys are used before the provider is asked again: the
	// longest that a key which the provider took back is still believed.
	keyLife = 10 * time.Minute
	// staleLife is the same while the provider does not answer.
	staleLife = time.Hour
	// pause is the least time between two requests to an issuer. A token costs
	// nothing to make, and neither does one that names a key nobody has.
	pause = 10 * time.Second
	// fetchTime bounds the two requests of one fetch together.
	fetchTime = 20 * time.Second
	// maxIssuers bounds what is kept.
	maxIssuers = 1000
)

// Provider is what the operator said of an issuer.
type Provider struct {
	// Issuer is the https URL, compared exactly with the claim iss.
	Issuer string
	// ClientIDs are the audiences that are accepted.
	ClientIDs []string
	// JWKS is a pasted document with the provider's keys. If it is there, the
	// provider is never asked.
	JWKS []byte
}

// Fetch gets a document over https, bounded in time and size, following no
// redirect. Its error may have a method Retryable() bool that says whether the
// provider was only out of reach.
type Fetch func(ctx context.Context, url string) ([]byte, error)

// Verifier verifies tokens and keeps the keys of issuers. It is safe for
// concurrent use.
type Verifier struct {
	fetch   Fetch
	mu      sync.Mutex
	issuers map[string]*issuer // :: URL → keys
}

// New returns a Verifier that asks providers through fetch; with nil it asks none,
// and pasted documents alone are left.
func New(fetch Fetch) *Verifier {
	return &Verifier{fetch: fetch, issuers: map[string]*issuer{}}
}

// Verify returns the claims of a token that the provider signed for one of its
// client ids and that is in force at now. What is wrong is told in the order in
// which AWS tells it: form, issuer, audience, key, signature, time.
func (v *Verifier) Verify(ctx context.Context, raw string, p Provider, now time.Time) (Claims, error) {
	t, err := parse(raw)
	if err != nil {
		return Claims{}, err
	}
	if t.claims.Issuer != p.Issuer {
		return Claims{}, ErrIssuer
	}
	if !t.claims.meantFor(p.ClientIDs) {
		return Claims{}, ErrAudience
	}
	keys, err := v.keys(ctx, t, p, now)
	if err != nil {
		return Claims{}, err
	}
	if err := t.verify(keys); err != nil {
		return Claims{}, err
	}
	if err := t.claims.inTime(now); err != nil {
		return Claims{}, err
	}
	return t.claims, nil
}

// keys returns the keys that may have signed t, at least one.
func (v *Verifier) keys(ctx context.Context, t *token, p Provider, now time.Time) ([]key, error) {
	if len(p.JWKS) == 0 {
		return v.issuer(p.Issuer).keysFor(ctx, t, now)
	}
	all, err := readKeys(p.JWKS, false)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoKeys, err)
	}
	if keys := t.pick(all); len(keys) > 0 {
		return keys, nil
	}
	return nil, noKeys("the pasted document has none for this token")
}

func (v *Verifier) issuer(url string) *issuer {
	v.mu.Lock()
	defer v.mu.Unlock()
	is := v.issuers[url]
	if is == nil {
		if len(v.issuers) >= maxIssuers {
			clear(v.issuers) // they are fetched again as they are needed
		}
		is = &issuer{fetch: func(ctx context.Context) ([]key, error) { return v.discover(ctx, url) }}
		v.issuers[url] = is
	}
	return is
}

// issuer keeps the keys of one issuer.
type issuer struct {
	fetch func(context.Context) ([]key, error)

	mu      sync.Mutex
	keys    []key         // of the last fetch that succeeded
	fetched time.Time     // when it began
	tried   time.Time     // when the last one began
	err     error         // of the last one
	flight  chan struct{} // closed when the fetch under way has ended; nil if there is none
}

// keysFor returns the keys for t, after a fetch where the kept ones are old or
// have none. Callers share a fetch. While the provider is known to be down they
// get the old keys at once, and the fetch goes on beside them.
func (is *issuer) keysFor(ctx context.Context, t *token, now time.Time) ([]key, error) {
	for {
		is.mu.Lock()
		// A clock that was set back must not keep old keys until it has caught up.
		if now.Before(is.fetched) {
			is.fetched = time.Time{}
		}
		if now.Before(is.tried) {
			is.tried = time.Time{}
		}
		found, age := t.pick(is.keys), now.Sub(is.fetched)
		if len(found) > 0 && age < keyLife {
			is.mu.Unlock()
			return found, nil
		}
		if is.flight == nil && now.Sub(is.tried) >= pause {
			is.start(ctx, now)
		}
		flight, failed := is.flight, is.err
		is.mu.Unlock()
		switch {
		case len(found) > 0 && age < staleLife && failed != nil:
			return found, nil
		case flight == nil && failed != nil:
			return nil, failed
		case flight == nil:
			return nil, noKeys("the provider has none for this token")
		}
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrUnreachable, ctx.Err())
		}
	}
}

// start fetches in the background: the caller who happened to come first may
// leave, the others still wait. It expects the mutex.
func (is *issuer) start(ctx context.Context, now time.Time) {
	flight := make(chan struct{})
	is.tried, is.flight = now, flight
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTime)
	go func() {
		defer cancel()
		keys, err := is.fetchSafely(ctx)
		is.mu.Lock()
		defer is.mu.Unlock()
		if is.err = err; err == nil {
			is.keys, is.fetched = keys, now
		}
		is.flight = nil
		close(flight)
	}()
}

// fetchSafely keeps what a provider sends from ending the process.
func (is *issuer) fetchSafely(ctx context.Context) (keys []key, err error) {
	defer panics.Catch(&err)
	return is.fetch(ctx)
}

// discover asks the provider for its keys (OpenID Connect Discovery section 4).
func (v *Verifier) discover(ctx context.Context, issuer string) ([]key, error) {
	if !secure(issuer) || strings.Contains(issuer, "?") {
		return nil, noKeys("the issuer is not an https URL")
	}
	src, err := v.get(ctx, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return nil, err
	}
	doc, err := object(src, documentBounds)
	if err != nil {
		return nil, noKeys("discovery document: " + err.Error())
	}
	// Section 4.3: otherwise one tenant of a host could speak for another.
	if named, err := text(doc["issuer"]); err != nil || named != issuer {
		return nil, noKeys("the discovery document is of another issuer")
	}
	at, err := text(doc["jwks_uri"])
	if err != nil || !secure(at) {
		return nil, noKeys("the discovery document has no https jwks_uri")
	}
	if src, err = v.get(ctx, at); err != nil {
		return nil, err
	}
	keys, err := readKeys(src, false)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoKeys, err)
	}
	return keys, nil
}

func (v *Verifier) get(ctx context.Context, url string) ([]byte, error) {
	if v.fetch == nil {
		return nil, noKeys("no provider is asked here")
	}
	src, err := v.fetch(ctx, url)
	if err != nil {
		class := ErrNoKeys
		if r, ok := errors.AsType[interface {
			error
			Retryable() bool
		}](err); ok && r.Retryable() || ctx.Err() != nil {
			class = ErrUnreachable
		}
		return nil, fmt.Errorf("%w: %w", class, err)
	}
	if len(src) > maxDocument {
		return nil, noKeys("a document is too large")
	}
	return src, nil
}

// secure reports whether a URL may be fetched from.
func secure(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && u.Fragment == ""
}
