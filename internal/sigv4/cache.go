package sigv4

import (
	"strings"
	"sync"
)

// KeyCache remembers signing keys, which cost four HMACs and the opening of the
// secret to derive. It holds a bounded number, prefers those used lately, and
// clears what it drops. It is safe for concurrent use.
//
// generation is the caller's count of changes to the secret: a key found under
// an older generation is not found.
type KeyCache struct {
	mu sync.RWMutex
	// Two halves: a key used again moves to young; when young is full the old
	// half is cleared and young becomes old. Cheaper than a linked list, and hot
	// keys never leave.
	young, old map[cacheKey]*Key // scope and generation → signing key
	half       int
}

type cacheKey struct {
	accessKeyID, date, region, service string
	generation                         int64
}

// NewKeyCache makes a cache of at most size keys, some 250 bytes each.
func NewKeyCache(size int) *KeyCache {
	return &KeyCache{young: map[cacheKey]*Key{}, old: map[cacheKey]*Key{}, half: max(1, size/2)}
}

// Get returns the key for the signature's scope. It is a copy, so that dropping
// the original cannot disturb a verification under way.
func (c *KeyCache) Get(s *Signature, generation int64) (Key, bool) {
	k := cacheKey{s.AccessKeyID, s.Date, s.Region, s.Service, generation}
	c.mu.RLock()
	key, ok := c.young[k]
	if ok {
		out := *key
		c.mu.RUnlock()
		return out, true
	}
	_, ok = c.old[k]
	c.mu.RUnlock()
	if !ok {
		return Key{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// Looked up again: it may have moved or gone between the locks.
	if key, ok = c.young[k]; ok {
		return *key, true
	}
	if key, ok = c.old[k]; !ok {
		return Key{}, false
	}
	out := *key
	clear(key[:])
	delete(c.old, k)
	c.insert(k, out)
	return out, true
}

// Put keeps the key of the signature's scope. Put keys of verified signatures
// only: otherwise anyone could push the useful ones out.
func (c *KeyCache) Put(s *Signature, generation int64, key Key) {
	// Cloned, since these are pieces of a header that would be kept whole.
	k := cacheKey{strings.Clone(s.AccessKeyID), strings.Clone(s.Date), strings.Clone(s.Region), strings.Clone(s.Service), generation}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.insert(k, key)
}

// insert expects the mutex.
func (c *KeyCache) insert(k cacheKey, key Key) {
	if _, ok := c.young[k]; !ok && len(c.young) >= c.half {
		for _, dropped := range c.old {
			clear(dropped[:])
		}
		c.old, c.young = c.young, map[cacheKey]*Key{}
	}
	c.young[k] = &key
}

// Drop forgets all keys of an access key: it was deleted or deactivated.
func (c *KeyCache) Drop(accessKeyID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range [...]map[cacheKey]*Key{c.young, c.old} {
		for k, key := range m {
			if k.accessKeyID == accessKeyID {
				clear(key[:])
				delete(m, k)
			}
		}
	}
}

// Clear forgets everything.
func (c *KeyCache) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range [...]map[cacheKey]*Key{c.young, c.old} {
		for _, key := range m {
			clear(key[:])
		}
		clear(m)
	}
}

// Len returns how many keys are held.
func (c *KeyCache) Len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.young) + len(c.old)
}
