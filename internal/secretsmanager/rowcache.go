package secretsmanager

import (
	"sync"

	"github.com/strongroom/strongroom/internal/store"
)

// rowCache keeps secrets with versions as they rest: sealed. It exists where the
// process owns the database (SQLite), and every change to a row names the row in
// its own transaction, so an entry is gone before the change is acknowledged.
//
// A read that overlaps with a change must not put back what it read before: it
// notes the epoch first, and every change begins a new one.
type rowCache struct {
	on bool
	// most bounds what is kept, in bytes. A full cache drops any entries: each costs
	// one statement to come back.
	most int

	mu    sync.RWMutex
	epoch uint64
	names map[rowName]*row
	uids  map[string]rowName // :: uid key → name
	bytes int
}

// rowName is what a read looks for.
type rowName struct{ account, region, name string }

// row is a secret with those of its versions that were read; "" stands for the
// current one. Nothing in it is ever written to.
type row struct {
	secret *secret
	// versions are few, one most of the time: a map would take more than they do.
	versions []rowVersion
	bytes    int
}

type rowVersion struct {
	id string // as asked for, "" for the current one
	v  *version
}

func (r *row) find(id string) (*version, bool) {
	for i := range r.versions {
		if r.versions[i].id == id {
			return r.versions[i].v, true
		}
	}
	return nil, false
}

// rowOverhead is about what an entry takes besides texts and blobs.
const rowOverhead = 700

// uidKey names a secret's row in the changes of a transaction.
func uidKey(account, region, uid string) string { return account + "/" + region + "/" + uid }

// touched says in the transaction that a secret or one of its versions changes.
func touched(tx store.Tx, s *secret) error {
	return store.Changed(tx, uidKey(s.Account, s.Region, s.UID))
}

// get returns what is kept for a name and a version id, "" for the current one.
// Otherwise it returns the epoch that a later put must name.
func (c *rowCache) get(name rowName, versionID string) (sec *secret, v *version, ok bool, epoch uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if r := c.names[name]; r != nil {
		if v, ok := r.find(versionID); ok {
			return r.secret, v, true, 0
		}
	}
	return nil, nil, false, c.epoch
}

// put keeps what was read, unless anything has changed since epoch.
func (c *rowCache) put(epoch uint64, name rowName, versionID string, sec *secret, v *version) {
	size := rowOverhead
	if v != nil {
		size += len(v.DataKey) + len(v.Sealed)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch != epoch {
		return
	}
	for other := range c.names {
		if c.bytes+size <= c.most {
			break
		}
		c.drop(other)
	}
	r := c.names[name]
	if r == nil {
		sec.arnText = sec.arn() // Every read of a value needs it several times.
		r = &row{secret: sec, bytes: rowOverhead + len(sec.Policy) + len(sec.Description)}
		c.names[name] = r
		c.uids[uidKey(sec.Account, sec.Region, sec.UID)] = name
		c.bytes += r.bytes
	}
	if _, there := r.find(versionID); there {
		return // Somebody else has read it at the same time.
	}
	r.versions = append(r.versions, rowVersion{versionID, v})
	r.bytes += size
	c.bytes += size
}

// drop forgets an entry.
func (c *rowCache) drop(name rowName) {
	r := c.names[name]
	if r == nil {
		return
	}
	c.bytes -= r.bytes
	delete(c.names, name)
	delete(c.uids, uidKey(r.secret.Account, r.secret.Region, r.secret.UID))
}

// forget is told by the store which rows have changed.
func (c *rowCache) forget(keys []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	for _, k := range keys {
		if name, ok := c.uids[k]; ok {
			c.drop(name)
		}
	}
}
