package iam

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/aws"
)

func TestPasswordHash(t *testing.T) {
	t.Parallel()
	h := newHasher()
	hash, err := h.hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := h.hash(t.Context(), "correct horse"); again == hash || strings.Contains(hash, "correct") {
		t.Errorf("%s, and again %s", hash, again)
	}
	for password, want := range map[aws.SensitiveString]bool{"correct horse": true, "correct horsf": false, "": false, "correct horse\x00": false} {
		if got, err := h.matches(t.Context(), hash, password); got != want || err != nil {
			t.Errorf("%q: %v, %v", string(password), got, err)
		}
	}
	// One of an earlier choice of parameters, made by the reference implementation.
	const old = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	if got, err := h.matches(t.Context(), old, "password"); !got || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "$", "$2a$10$abc", strings.Replace(hash, "id$", "i$", 1), strings.Replace(hash, "m=", "x=", 1), hash[:len(hash)-1] + "!"} {
		if _, err := h.matches(t.Context(), bad, "x"); err == nil {
			t.Errorf("%q is a hash", bad)
		}
	}
}

// No more passwords are hashed at once than there is memory set aside for.
func TestHashingWaits(t *testing.T) {
	t.Parallel()
	h := newHasher()
	for range maxHashing {
		if _, err := h.turn(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.hash(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	<-h
	if _, err := h.hash(t.Context(), "x"); err != nil {
		t.Error(err)
	}
}

func BenchmarkPasswordHash(b *testing.B) {
	h := newHasher()
	for b.Loop() {
		if _, err := h.hash(b.Context(), "correct horse"); err != nil {
			b.Fatal(err)
		}
	}
}
