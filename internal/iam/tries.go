package iam

import "time"

// Six digits stand up to guesses only if guesses are slow. The first wrong ones cost
// nothing: people mistype. From the freeTries-th on in a row nothing is looked at
// for a while, which doubles each time up to an hour: at one guess an hour, with
// three codes being right at a time, finding one takes 38 years on average. The
// right one ends it. Whoever tries holds the user's access key already, so nobody
// else can lock a user out.
const (
	freeTries = 5
	firstWait = 30 * time.Second
	maxWait   = time.Hour
)

// tries are the wrong guesses at a code or password.
type tries struct {
	// failures are those in a row.
	failures int64
	// blockedUntil is when the next guess is looked at, zero for at once.
	blockedUntil time.Time
}

// blocked reports whether no guess is looked at yet. A time further off than any wait
// was noted while the clock was ahead, and says nothing.
func (t *tries) blocked(now time.Time) bool {
	return now.Before(t.blockedUntil) && t.blockedUntil.Sub(now) <= maxWait
}

func (t *tries) fail(now time.Time) {
	t.failures++
	if over := t.failures - freeTries; over >= 0 {
		t.blockedUntil = now.Add(min(firstWait<<min(over, 10), maxWait))
	}
}
