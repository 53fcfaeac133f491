package iam

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/pgtest"
	"github.com/strongroom/strongroom/internal/store"
)

// The codes of RFC 6238, appendix B, cut to six digits.
func TestTOTPVectors(t *testing.T) {
	seed := []byte("12345678901234567890")
	for at, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		if got := totp(seed, stepAt(time.Unix(at, 0))); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
	}
}

func TestOTPAuth(t *testing.T) {
	const want = "otpauth://totp/a%2Cb+c=d.e@111122223333?secret=ABCD&issuer=Strongroom"
	if got := otpauth("111122223333", "a,b+c=d.e", "ABCD"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// plain seals by doing nothing but binding the context.
type plain struct{}

func (plain) Seal(purpose string, aad, text []byte) ([]byte, error) {
	return append([]byte(purpose+string(aad)), text...), nil
}

func (plain) Open(purpose string, aad, sealed []byte) ([]byte, error) {
	bound := purpose + string(aad)
	if len(sealed) < len(bound) || string(sealed[:len(bound)]) != bound {
		return nil, errors.New("sealed for something else")
	}
	return append([]byte(nil), sealed[len(bound):]...), nil
}

// factor is a directory with one user's device and a clock of its own.
type factor struct {
	*testing.T
	*Directory
	clock atomic.Int64
	seed  []byte
}

const (
	factorAccount = "111122223333"
	factorUser    = "AIDAEXAMPLEEXAMPLE000"
	factorSerial  = "arn:aws:iam::111122223333:mfa/phone"
)

func newFactor(t *testing.T, url string) *factor {
	f := &factor{T: t, seed: []byte("a seed of no particular meaning, forty b")}
	f.clock.Store(time.Date(2026, 3, 1, 12, 0, 10, 0, time.UTC).Unix())
	c := store.Config{Dir: t.TempDir(), Now: f.now}
	if url != "" {
		c = store.Config{URL: url, Now: f.now}
	}
	db, err := store.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	f.Directory = NewDirectory(db, plain{})
	m := mfaDevice{Account: factorAccount, ID: "1", Serial: factorSerial, UserID: factorUser}
	m.Sealed, _ = plain{}.Seal(seedPurpose, seedContext(&m), f.seed)
	if err := db.Maintain(t.Context(), func(tx store.Tx) error { return saveMFADevice(tx, m) }); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *factor) now() time.Time { return time.Unix(f.clock.Load(), 0) }

// code is that of a step counted from now.
func (f *factor) code(step int64) string { return totp(f.seed, stepAt(f.now())+step) }

// wrong is a code that is right at no time near.
func (f *factor) wrong() string {
	for _, c := range []string{"000000", "111111", "222222", "333333", "444444", "555555"} {
		if c != f.code(-2) && c != f.code(-1) && c != f.code(0) && c != f.code(1) && c != f.code(2) {
			return c
		}
	}
	panic("not reached: five codes cannot be six")
}

func (f *factor) want(want error, code string) {
	f.Helper()
	if got := f.VerifyMFA(f.Context(), factorAccount, factorUser, factorSerial, code); got != want {
		f.Errorf("code at %v: %v, want %v", f.now(), got, want)
	}
}

func bothEngines(t *testing.T, test func(f *factor)) {
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); test(newFactor(t, "")) })
	t.Run("postgresql", func(t *testing.T) { t.Parallel(); test(newFactor(t, pgtest.Start(t))) })
}

func TestVerifyMFA(t *testing.T) {
	bothEngines(t, func(f *factor) {
		f.want(auth.ErrMFACode, f.wrong())
		f.want(auth.ErrMFACode, f.code(-2))
		f.want(auth.ErrMFACode, f.code(2))
		f.want(auth.ErrMFACode, "")
		f.want(nil, f.code(-1))
		f.want(auth.ErrMFACode, f.code(-1)) // used
		f.want(nil, f.code(1))
		f.want(auth.ErrMFACode, f.code(0)) // older than the one used
		f.want(auth.ErrMFACode, f.code(1))
		f.clock.Add(60)
		f.want(nil, f.code(0))
		// Whose device it is, nobody else learns.
		for _, who := range [][3]string{
			{factorAccount, "AIDAEXAMPLEEXAMPLE001", factorSerial}, {"444455556666", factorUser, factorSerial},
			{factorAccount, factorUser, factorSerial + "2"}, {factorAccount, "", factorSerial}, {factorAccount, factorAccount, factorSerial},
		} {
			if err := f.VerifyMFA(f.Context(), who[0], who[1], who[2], f.code(1)); !errors.Is(err, auth.ErrMFADevice) {
				f.Errorf("%v: %v", who, err)
			}
		}
		f.want(nil, f.code(1))
	})
}

func TestWrongCodesSlowDown(t *testing.T) {
	bothEngines(t, func(f *factor) {
		for range freeTries {
			f.want(auth.ErrMFACode, f.wrong())
		}
		// Blocked, even for the right one, and blocked tries do not prolong it.
		for wait := firstWait; ; wait *= 2 {
			if wait >= maxWait {
				wait = maxWait
			}
			f.want(auth.ErrMFABlocked, f.code(0))
			f.clock.Add(int64(wait/time.Second) - 1)
			f.want(auth.ErrMFABlocked, f.code(0))
			f.clock.Add(1)
			f.want(auth.ErrMFACode, f.wrong())
			if wait == maxWait {
				break
			}
		}
		f.clock.Add(int64(maxWait / time.Second))
		f.want(nil, f.code(0))
		// A right code makes all good.
		f.clock.Add(30)
		f.want(auth.ErrMFACode, f.wrong())
		f.want(nil, f.code(0))
	})
}

// A code is taken once, by however many at the same time.
func TestCodeIsTakenOnce(t *testing.T) {
	bothEngines(t, func(f *factor) {
		var taken atomic.Int64
		var wg sync.WaitGroup
		code := f.code(0)
		for range 4 {
			wg.Go(func() {
				err := f.VerifyMFA(context.WithoutCancel(f.Context()), factorAccount, factorUser, factorSerial, code)
				if err == nil {
					taken.Add(1)
				} else if !errors.Is(err, auth.ErrMFACode) {
					f.Errorf("%v", err)
				}
			})
		}
		wg.Wait()
		if taken.Load() != 1 {
			f.Errorf("taken %d times", taken.Load())
		}
	})
}

func TestUseLog(t *testing.T) {
	t.Parallel()
	var l useLog
	key := usedKey{factorAccount, "AKIAEXAMPLE"}
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration, service, region string) use {
		return use{start.Add(d).UnixMicro(), service, region}
	}
	for _, s := range []struct {
		u     use
		noted bool
	}{
		{at(0, "kms", "us-east-1"), true},
		{at(time.Second, "kms", "us-east-1"), false},
		{at(59*time.Second, "sts", "us-east-1"), false}, // too soon for a move
		{at(time.Minute, "sts", "us-east-1"), true},
		{at(3*time.Minute, "sts", "eu-west-1"), true},
		{at(17*time.Minute, "sts", "eu-west-1"), false},
		{at(18*time.Minute, "sts", "eu-west-1"), true},
	} {
		l.pending = nil
		l.note(key, s.u)
		if _, noted := l.pending[key]; noted != s.noted {
			t.Errorf("%+v: noted %v", s.u, noted)
		}
	}
	if written := at(time.Hour, "kms", "us-east-1"); l.show(key, written) != written {
		t.Error("an older use is shown in place of the written one")
	}
	for i := range useLimit + 10 {
		l.note(usedKey{factorAccount, string(rune(i))}, at(0, "kms", "us-east-1"))
	}
	if len(l.noted) > useLimit || len(l.pending) > useLimit {
		t.Errorf("%d noted, %d pending", len(l.noted), len(l.pending))
	}
}

// What a call pays for being remembered, warm.
func BenchmarkUsed(b *testing.B) {
	var l useLog
	key, u := usedKey{factorAccount, "AKIAEXAMPLE"}, use{time.Now().UnixMicro(), "secretsmanager", "us-east-1"}
	l.note(key, u)
	b.ReportAllocs()
	for b.Loop() {
		l.note(key, u)
	}
}
