package kms

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/keyring/envelope"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/store"
)

// generationKind is what the slice counts its changes under, per account and
// region.
const generationKind = "kms"

// errNoKey says that a key or alias does not exist. It stays inside: what a
// caller is told depends on his rights.
var errNoKey = errors.New("no such key")

// loadedKey is a key as it is used: row, compiled policy, aliases, what of the
// request context never changes, and opened material. All but the material is
// immutable and may be read after the cache has dropped the key.
type loadedKey struct {
	key
	arnText string
	source  policy.Source
	facts   []auth.Key
	// seals is the part of Material that blobs carry.
	seals envelope.MaterialID

	mu sync.RWMutex
	// dropped says that the cache has let go of the key: whoever still holds
	// it opens material for one use and keeps none.
	dropped  bool
	material map[envelope.MaterialID]*openMaterial
}

type openMaterial struct {
	id    string
	bytes []byte
}

// load reads a key and compiles its policy, or returns errNoKey.
func load(ctx context.Context, db *store.DB, p place, id string) (*loadedKey, error) {
	k := &loadedKey{material: make(map[envelope.MaterialID]*openMaterial)}
	var aliases []string
	err := db.Read(ctx, func(tx store.Tx) (err error) {
		if k.key, err = selectKey(tx, p, id); err != nil {
			return err
		}
		aliases, err = aliasNames(tx, p, id)
		return err
	})
	if errors.Is(err, store.ErrNoRows) {
		return nil, errNoKey
	}
	if err != nil {
		return nil, fmt.Errorf("load key: %w", err)
	}
	doc, err := policy.Parse([]byte(k.Policy))
	if err != nil {
		// Put checks every text, so this is damage. Deciding without the policy
		// could drop a Deny: refuse instead.
		return nil, fmt.Errorf("policy of key %s: %w", id, err)
	}
	if _, err := hex.Decode(k.seals[:], []byte(k.Material)[:2*len(k.seals)]); err != nil {
		return nil, fmt.Errorf("material id of key %s: %w", id, err)
	}
	k.arnText = k.arn()
	k.source = policy.Source{ID: k.arnText, Version: strconv.FormatInt(k.PolicyVersion, 10), Doc: doc}
	k.facts = k.keyFacts(aliases)
	return k, nil
}

// withMaterial calls fn with the material that id names, or returns errNoKey.
// fn must not keep the bytes: they are cleared when the key is dropped.
func (k *loadedKey) withMaterial(ctx context.Context, db *store.DB, sealer Sealer, id envelope.MaterialID, fn func(*openMaterial) error) error {
	k.mu.RLock()
	if m := k.material[id]; m != nil {
		// The lock is held while the bytes are used: clearing waits.
		defer k.mu.RUnlock()
		return fn(m)
	}
	k.mu.RUnlock()

	m, err := loadMaterial(ctx, db, sealer, &k.key, id)
	if err != nil {
		return err
	}
	err = fn(m)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dropped || k.material[id] != nil {
		clear(m.bytes)
		return err
	}
	k.material[id] = m
	return err
}

// drop clears the material.
func (k *loadedKey) drop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dropped = true
	for _, m := range k.material {
		clear(m.bytes)
	}
	clear(k.material)
}

func loadMaterial(ctx context.Context, db *store.DB, sealer Sealer, k *key, id envelope.MaterialID) (*openMaterial, error) {
	m := &openMaterial{}
	var sealed []byte
	err := db.Get(ctx, materialSQL, k.account, k.region, k.ID, hex.EncodeToString(id[:])).Scan(&m.id, &sealed)
	if errors.Is(err, store.ErrNoRows) {
		return nil, errNoKey
	}
	if err != nil {
		return nil, fmt.Errorf("load key material: %w", err)
	}
	if m.bytes, err = sealer.Open(sealPurpose, sealContext(k, m.id), sealed); err != nil {
		return nil, fmt.Errorf("open material of key %s: %w", k.ID, err)
	}
	return m, nil
}

// cache holds keys and alias targets under the generation they were read at.
// One account and region is one scope: any change there empties it, so that
// what is found needs no further check.
type cache struct {
	db    *store.DB
	limit int

	mu     sync.RWMutex
	scopes map[place]*scope
	size   int // keys and aliases of all scopes
}

type scope struct {
	generation int64
	keys       map[string]*loadedKey
	// aliases :: name → key id
	aliases map[string]string
}

func newCache(db *store.DB, limit int) *cache {
	return &cache{db: db, limit: limit, scopes: make(map[place]*scope)}
}

// key returns the key as it is now, or errNoKey. The generation is read before
// the key: a change between the two leaves an entry that looks older than it is,
// which costs a reload and never serves a stale one.
func (c *cache) key(ctx context.Context, p place, id string) (*loadedKey, error) {
	generation, err := c.db.Generation(ctx, p.account, p.region, generationKind)
	if err != nil {
		return nil, err
	}
	if k := c.find(p, generation, id); k != nil {
		return k, nil
	}
	k, err := load(ctx, c.db, p, id)
	if err != nil {
		return nil, err
	}
	return c.keep(p, generation, k), nil
}

func (c *cache) find(p place, generation int64, id string) *loadedKey {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if s := c.scopes[p]; s != nil && s.generation == generation {
		return s.keys[id]
	}
	return nil
}

// keep stores a key that was read at generation, unless another caller was
// first: then his is returned. A key read at a generation that has passed
// already is handed back dropped: good for the one call that asked.
func (c *cache) keep(p place, generation int64, k *loadedKey) *loadedKey {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.scope(p, generation)
	if s == nil {
		k.drop()
		return k
	}
	if first := s.keys[k.ID]; first != nil {
		return first
	}
	c.makeRoom()
	// Making room may have emptied the scope, which then is no longer listed.
	c.scopes[p] = s
	s.keys[k.ID] = k
	c.size++
	return k
}

// alias returns the id of the key that an alias stands for, or errNoKey.
func (c *cache) alias(ctx context.Context, p place, name string) (string, error) {
	generation, err := c.db.Generation(ctx, p.account, p.region, generationKind)
	if err != nil {
		return "", err
	}
	c.mu.RLock()
	if s := c.scopes[p]; s != nil && s.generation == generation {
		if id, ok := s.aliases[name]; ok {
			c.mu.RUnlock()
			return id, nil
		}
	}
	c.mu.RUnlock()
	var id string
	err = c.db.Get(ctx, aliasTargetSQL, p.account, p.region, name).Scan(&id)
	if errors.Is(err, store.ErrNoRows) {
		return "", errNoKey
	}
	if err != nil {
		return "", fmt.Errorf("look up alias: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.scope(p, generation)
	if s == nil {
		return id, nil
	}
	if _, ok := s.aliases[name]; !ok {
		c.makeRoom()
		c.scopes[p] = s
		s.aliases[name] = id
		c.size++
	}
	return id, nil
}

// scope returns the scope of generation, emptied if it held an older one; nil if
// it holds a newer one. The caller holds the lock.
func (c *cache) scope(p place, generation int64) *scope {
	s := c.scopes[p]
	if s != nil && s.generation > generation {
		return nil
	}
	if s != nil && s.generation == generation {
		return s
	}
	c.remove(p)
	s = &scope{generation: generation, keys: make(map[string]*loadedKey), aliases: make(map[string]string)}
	c.scopes[p] = s
	return s
}

// remove drops a scope. The caller holds the lock.
func (c *cache) remove(p place) {
	s := c.scopes[p]
	if s == nil {
		return
	}
	for _, k := range s.keys {
		k.drop()
	}
	c.size -= len(s.keys) + len(s.aliases)
	clear(s.keys)
	clear(s.aliases)
	delete(c.scopes, p)
}

// makeRoom drops an arbitrary entry of an arbitrary scope when the cache is full:
// with that many in use, one reload more or less is noise. The caller holds the
// lock.
func (c *cache) makeRoom() {
	if c.size < c.limit {
		return
	}
	for p, s := range c.scopes {
		for id, k := range s.keys {
			k.drop()
			delete(s.keys, id)
			c.size--
			return
		}
		for name := range s.aliases {
			delete(s.aliases, name)
			c.size--
			return
		}
		delete(c.scopes, p)
	}
}

// forget drops what is cached of an account and region.
func (c *cache) forget(p place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(p)
}

// close clears everything.
func (c *cache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.scopes {
		c.remove(p)
	}
}
