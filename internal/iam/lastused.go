package iam

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
)

const (
	// useStep is how old the written use of a key may be before another one is
	// written. It bounds the writes: four an hour for each key, however busy.
	useStep = 15 * time.Minute
	// useMove is the same where the use is of another service or region: who looks
	// at it wants to know whether a key is used for more than it is meant for.
	useMove = time.Minute
	// useLimit bounds the keys remembered. A full map drops an arbitrary one, which
	// costs a write that was not needed.
	useLimit = 100_000
	// useBatch is how many are written in one transaction, so that other writes do
	// not wait for long.
	useBatch = 500
)

// use is when something was last used, and with what; zero is never.
type use struct {
	at              int64 // microseconds
	service, region string
}

// usedKey names a key or role. Access key ids and unique ids never look alike.
type usedKey struct{ account, id string }

// useLog gathers the latest uses of keys and roles, so that no call waits for a
// write. What it holds is lost in a crash: it is a date for people to look at; the
// audit keeps the calls.
type useLog struct {
	mu sync.RWMutex
	// noted has each key's latest use that was noted, written or not.
	noted map[string]use // by id alone, which is one string to hash
	// pending are those not written yet.
	pending map[usedKey]use
}

// Used notes a call of a long-term key or of a role's session (auth.Uses). Calls
// with a user's temporary credentials are not the key's.
func (d *Directory) Used(p *aws.Principal, service, region string, now time.Time) {
	key := usedKey{p.Account, p.AccessKeyID}
	if p.Session != nil {
		if p.Type != aws.PrincipalAssumedRole {
			return
		}
		key.id = p.EntityID
	}
	d.uses.note(key, use{now.UnixMicro(), service, region})
}

func (l *useLog) note(key usedKey, u use) {
	l.mu.RLock()
	last, ok := l.noted[key.id]
	l.mu.RUnlock()
	if age := time.Duration(u.at-last.at) * time.Microsecond; ok && (age < useMove || age < useStep && last.service == u.service && last.region == u.region) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.noted == nil {
		l.noted = make(map[string]use)
	}
	if len(l.noted) >= useLimit {
		for k := range l.noted {
			delete(l.noted, k)
			break
		}
	}
	// Cloned: they may be pieces of a header, which would be kept whole.
	key.id, u.service, u.region = strings.Clone(key.id), strings.Clone(u.service), strings.Clone(u.region)
	l.noted[key.id] = u
	l.add(key, u)
}

// add expects mu to be held. While nothing can be written no more are kept than
// are remembered.
func (l *useLog) add(key usedKey, u use) {
	if l.pending == nil {
		l.pending = make(map[usedKey]use)
	}
	if held, ok := l.pending[key]; ok && held.at > u.at || !ok && len(l.pending) >= useLimit {
		return
	}
	l.pending[key] = u
}

// show returns a use that is not written yet, if it is later than written.
func (l *useLog) show(key usedKey, written use) use {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if u := l.pending[key]; u.at > written.at {
		return u
	}
	return written
}

// FlushUses writes the uses gathered; a job calls it about every second. What
// cannot be written waits for the next time.
func (d *Directory) FlushUses(ctx context.Context) error {
	l := &d.uses
	l.mu.Lock()
	pending := l.pending
	l.pending = nil
	l.mu.Unlock()
	if len(pending) == 0 {
		return nil
	}
	// In an order, so that nodes that write the same keys wait for each other and
	// do not collide.
	keys := slices.SortedFunc(maps.Keys(pending), func(a, b usedKey) int {
		return cmp.Or(cmp.Compare(a.account, b.account), cmp.Compare(a.id, b.id))
	})
	for batch := range slices.Chunk(keys, useBatch) {
		err := d.db.Maintain(ctx, func(tx store.Tx) error {
			for _, k := range batch {
				if err := saveUse(tx, k, pending[k]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			for k, u := range pending { // those written are written again, to no effect
				l.add(k, u)
			}
			return err
		}
	}
	return nil
}

func saveUse(tx store.Tx, k usedKey, u use) (err error) {
	if strings.HasPrefix(k.id, roleIDPrefix) {
		_, err = tx.Exec(`UPDATE iam_roles SET used_at = $3, used_region = $4 WHERE account = $1 AND id = $2 AND used_at < $3`, k.account, k.id, u.at, u.region)
	} else {
		_, err = tx.Exec(`UPDATE iam_access_keys SET used_at = $3, used_service = $4, used_region = $5 WHERE account = $1 AND key_id = $2 AND used_at < $3`,
			k.account, k.id, u.at, u.service, u.region)
	}
	return err
}
