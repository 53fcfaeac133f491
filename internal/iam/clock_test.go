package iam

import (
	"testing"
	"time"
)

// TestClockWasAhead: what was noted while the clock was ten years ahead says nothing
// once it is right, and goes on to say what it should where it was right all along.
func TestClockWasAhead(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ahead := now.AddDate(10, 0, 0)
	var b tries
	for range freeTries + 20 {
		b.fail(ahead)
	}
	if !b.blocked(ahead) || b.blocked(now) {
		t.Errorf("blocked %v while ahead, %v afterwards", b.blocked(ahead), b.blocked(now))
	}
	b.fail(now)
	if !b.blocked(now) || b.blocked(now.Add(maxWait)) {
		t.Error("a wait of the right time is not kept")
	}

	seed := []byte("12345678901234567890")
	step, ok := matchStep(seed, totp(seed, stepAt(ahead)), ahead, 0)
	if !ok {
		t.Fatal("the code is not taken")
	}
	code := totp(seed, stepAt(now))
	step, ok = matchStep(seed, code, now, step)
	if !ok || step != stepAt(now) {
		t.Fatal("a code is not taken because of one of a time to come")
	}
	if _, ok := matchStep(seed, code, now, step); ok {
		t.Error("a code is taken twice")
	}
	if _, ok := matchPair(seed, totp(seed, stepAt(now)-1), code, now, stepAt(ahead)); !ok {
		t.Error("two codes are not taken because of one of a time to come")
	}

	r := report{GeneratedAt: ahead}
	if !r.fresh(ahead.Add(time.Minute)) || r.fresh(now) || r.fresh(ahead.Add(reportLife)) {
		t.Error("a report of a time to come is good")
	}
}
