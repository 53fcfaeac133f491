package limit

import (
	"slices"
	"sync"
	"time"
)

// Rates are how many requests a second are answered. Each bound is for one region
// of one account, as AWS counts, and has room for the requests of one second in a
// row. The zero value of a bound means none.
type Rates struct {
	// Account is for all requests together, Principal for those of one user or role.
	Account, Principal float64
	// Groups are bounds on operations.
	Groups []Group
}

// Group is operations that share a rate, each such as "kms:Decrypt".
type Group struct {
	Operations []string
	Rate       float64
}

// Caller is who asks, for what.
type Caller struct{ Account, Region, Principal, Operation string }

// maxBuckets bounds what a Limiter remembers: some 20 MB.
const maxBuckets = 100_000

// Limiter says which requests are too many. It knows of those on this node only.
type Limiter struct {
	account, principal bound
	operations         map[string]operation
	now                func() time.Time
	most               int

	mu sync.Mutex
	// full is, of each bucket, when it will be full again if nothing more is taken
	// (GCRA's theoretical arrival time). One that is in the past says nothing.
	full map[bucket]time.Time
}

type operation struct {
	group int // from 1
	bound bound
}

// bucket is who shares one: of the other fields only those of its kind are set.
type bucket struct {
	account, region, principal string
	group                      int
}

// overflow is the bucket of all for whom there is no room.
var overflow = bucket{group: -1}

// bound is a rate: the time that one request takes of it, and of how many in a row.
type bound struct{ each, burst time.Duration }

func boundOf(rate float64) bound {
	if rate <= 0 {
		return bound{}
	}
	each := time.Duration(float64(time.Second) / rate)
	return bound{each: max(each, 1), burst: max(time.Second, each)}
}

// NewLimiter returns a limiter, nil when there are no bounds. An operation belongs
// to the last group that names it.
func NewLimiter(r Rates, now func() time.Time) *Limiter {
	l := &Limiter{account: boundOf(r.Account), principal: boundOf(r.Principal), operations: make(map[string]operation),
		now: now, most: maxBuckets, full: make(map[bucket]time.Time)}
	for i, g := range r.Groups {
		for _, o := range g.Operations {
			l.operations[o] = operation{i + 1, boundOf(g.Rate)}
		}
	}
	if l.account == (bound{}) && l.principal == (bound{}) && len(l.operations) == 0 {
		return nil
	}
	return l
}

// The reasons why a request is refused.
const (
	ByOperation = "operation"
	ByPrincipal = "principal"
	ByAccount   = "account"
)

// Take counts a request, or says why it is one too many and when the next may
// come. What is refused is counted nowhere: who asks too often is slowed down, not
// shut out.
func (l *Limiter) Take(c Caller) (reason string, wait time.Duration) {
	if l == nil {
		return "", 0
	}
	type asked struct {
		bucket
		bound
		reason string
	}
	o := l.operations[c.Operation]
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	var next [3]time.Time
	all := [3]asked{
		{bucket{account: c.Account, region: c.Region, group: o.group}, o.bound, ByOperation},
		{bucket{account: c.Account, region: c.Region, principal: c.Principal}, l.principal, ByPrincipal},
		{bucket{account: c.Account, region: c.Region}, l.account, ByAccount},
	}
	for i := range all {
		a := &all[i]
		if a.bound == (bound{}) {
			continue
		}
		a.bucket = l.room(a.bucket, now)
		full := l.full[a.bucket]
		// A clock that was set back must not keep everybody out until it has caught up.
		if full.Before(now) || full.Sub(now) > a.burst {
			full = now
		}
		next[i] = full.Add(a.each)
		if over := next[i].Sub(now) - a.burst; over > 0 {
			return a.reason, over
		}
	}
	for i := range all {
		if !next[i].IsZero() {
			l.full[all[i].bucket] = next[i]
		}
	}
	return "", 0
}

// room returns b, or the overflow when there is no room for b: all who come then
// share one bucket. It expects the mutex.
func (l *Limiter) room(b bucket, now time.Time) bucket {
	if _, known := l.full[b]; known || len(l.full) < l.most {
		return b
	}
	for k, full := range l.full {
		if !full.After(now) {
			delete(l.full, k) // As good as none.
		}
	}
	if len(l.full) < l.most {
		return b
	}
	return overflow
}

// Merge puts further groups behind those of r: they decide where both name an
// operation.
func (r Rates) Merge(o Rates) Rates {
	if o.Account > 0 {
		r.Account = o.Account
	}
	if o.Principal > 0 {
		r.Principal = o.Principal
	}
	r.Groups = slices.Concat(r.Groups, o.Groups)
	return r
}
