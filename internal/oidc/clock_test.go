package oidc_test

import (
	"errors"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/oidc"
)

// TestClockWasAhead: keys that were fetched while the clock was ahead are old once it
// is right, and do not keep others away until that time has come.
func TestClockWasAhead(t *testing.T) {
	t.Parallel()
	w := published(jwk("p256", "p256", nil))
	v := oidc.New(w.fetch)
	if _, err := v.Verify(t.Context(), token(t, "p256"), provider, now.Add(40*time.Hour)); err != nil {
		t.Fatal(err)
	}
	w.set(func() { w.docs[keysURL] = jwks(jwk("other", "other", nil)) })
	if _, err := v.Verify(t.Context(), token(t, "other"), provider, now); err != nil {
		t.Errorf("the new key: %v", err)
	}
	if _, err := v.Verify(t.Context(), token(t, "p256"), provider, now.Add(time.Second)); !errors.Is(err, oidc.ErrNoKeys) {
		t.Errorf("the key that was taken back: %v", err)
	}
}
