package keyring_test

import (
	"bytes"
	"testing"

	"github.com/strongroom/strongroom/internal/keyring"
)

func FuzzSealOpen(f *testing.F) {
	fix := start(f)
	f.Add("iam.access-key", []byte("AKIA"), []byte("secret"), uint16(1), "kms.material")
	f.Add("p", []byte{}, []byte{}, uint16(60), "q")
	f.Add("a", []byte("b"), []byte("c"), uint16(999), "ab")
	f.Fuzz(func(t *testing.T, purpose string, aad, plaintext []byte, at uint16, other string) {
		sealed, err := fix.ring.Seal(purpose, aad, plaintext)
		if err != nil {
			if purpose != "" && len(purpose) <= 64 && len(plaintext) <= 64<<10 {
				t.Fatal(err)
			}
			return
		}
		got, err := fix.ring.Open(purpose, aad, sealed)
		if err != nil || !bytes.Equal(got, plaintext) {
			t.Fatalf("open∘seal: %q, %v", got, err)
		}
		if _, err := fix.ring.Open(other, aad, sealed); purpose != other && err != keyring.ErrInvalid {
			t.Fatalf("purpose %q for %q: %v", other, purpose, err)
		}
		if _, err := fix.ring.Open(purpose, append(aad[:len(aad):len(aad)], 0), sealed); err != keyring.ErrInvalid {
			t.Fatalf("other aad: %v", err)
		}
		sealed[int(at)%len(sealed)] ^= byte(at>>8) | 1
		if _, err := fix.ring.Open(purpose, aad, sealed); err == nil {
			t.Fatalf("byte %d changed: accepted", at)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	f := start(b)
	b.ReportAllocs()
	for b.Loop() {
		mustSeal(b, f.ring, "kms.material", "arn:aws:kms:us-east-1:111122223333:key/1", "0123456789abcdef0123456789abcdef")
	}
}

func BenchmarkOpen(b *testing.B) {
	f := start(b)
	aad := []byte("arn:aws:kms:us-east-1:111122223333:key/1")
	sealed, err := f.ring.Seal("kms.material", aad, make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.ring.Open("kms.material", aad, sealed); err != nil {
			b.Fatal(err)
		}
	}
}
