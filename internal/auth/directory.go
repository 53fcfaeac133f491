package auth

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
)

// ErrUnknownKey is what a Directory answers for an access key that does not
// exist, is inactive or was deleted: callers must not be able to tell which.
var ErrUnknownKey = errors.New("unknown access key")

// Identity is one access key with everything a decision about its holder
// needs. It is immutable: a change makes a new one under a new generation.
type Identity struct {
	Principal *aws.Principal
	// Secret signs. It lives as long as the cache entry.
	Secret string
	// Token must accompany temporary credentials; "" for long-term keys.
	Token string
	// Expires is zero for keys that do not expire.
	Expires time.Time
	// Policies are the identity side of the decision: inline and attached
	// policies, boundary, session policies.
	Policies policy.Set

	// once guards asked, the principal in the policy engine's words.
	once  sync.Once
	asked *policy.Principal
}

// subject is the principal as the policy engine knows it, made once.
func (id *Identity) subject() *policy.Principal {
	id.once.Do(func() {
		p := id.Principal
		id.asked = &policy.Principal{
			Type: policy.PrincipalType(p.Type), Account: p.Account, ARN: p.ARN, UserID: p.UserID, UserName: p.UserName,
			RoleARN: p.RoleARN, UserARN: p.UserARN, Service: p.Service,
		}
		for _, t := range p.Tags {
			id.asked.Tags = append(id.asked.Tags, policy.Tag{Key: t.Key, Value: t.Value})
		}
	})
	return id.asked
}

// Directory knows who access keys belong to. IAM provides it.
type Directory interface {
	// Identity loads the holder of an access key, or ErrUnknownKey.
	Identity(ctx context.Context, accessKeyID string) (*Identity, error)
	// Entity loads a user (later a role) by its unique id, for work that is done
	// on its behalf without its key, or ErrUnknownKey.
	Entity(ctx context.Context, account, uniqueID string) (*Identity, error)
}

// Generations tells whether something cached may still be used.
type Generations interface {
	Generation(ctx context.Context, account, region, kind string) (int64, error)
	// Known is Generation where that costs no round trip.
	Known(ctx context.Context, account, region, kind string) (value int64, ok bool)
}

// IAMGeneration is the kind under which IAM counts its changes. IAM is global:
// its generations have no region.
const IAMGeneration = "iam"

// cacheLimit bounds the identities held in memory. A full cache drops an
// arbitrary entry: with 100,000 keys in use the next load costs two statements.
const cacheLimit = 100_000

// cache keeps identities under the generation they were loaded at. Unknown keys
// are not remembered: whoever guesses ids could push the useful entries out, and
// a look-up costs one indexed read.
type cache struct {
	dir  Directory
	gens Generations
	// dropped is told of access keys that were known and are no more.
	dropped func(accessKeyID string)

	mu      sync.RWMutex
	entries map[string]cached
}

type cached struct {
	generation int64
	identity   *Identity
}

func newCache(dir Directory, gens Generations, dropped func(string)) *cache {
	return &cache{dir: dir, gens: gens, dropped: dropped, entries: make(map[string]cached)}
}

// claimed returns the holder of an access key for verifying a signature. Where
// asking for the generation costs a round trip it takes an entry as it is: the
// secret behind a key id never changes, and whether the key and its rights are
// still good is asked again, of the generation that the operation's own statement
// returns, before anything is decided.
func (c *cache) claimed(ctx context.Context, account, keyID string) (*Identity, int64, error) {
	if _, free := c.gens.Known(ctx, account, "", IAMGeneration); free {
		return c.key(ctx, account, keyID)
	}
	c.mu.RLock()
	e, ok := c.entries[keyID]
	c.mu.RUnlock()
	if ok {
		return e.identity, e.generation, nil
	}
	return c.key(ctx, account, keyID)
}

// key returns the holder of an account's access key as it is now, and the
// generation it belongs to.
func (c *cache) key(ctx context.Context, account, keyID string) (*Identity, int64, error) {
	id, generation, err := c.current(ctx, account, keyID)
	if id != nil || err != nil {
		return id, generation, err
	}
	id, err = c.dir.Identity(ctx, keyID)
	if errors.Is(err, ErrUnknownKey) && c.forget(keyID) {
		c.dropped(keyID)
	}
	return c.keep(keyID, generation, id, err)
}

// entity returns a user by its unique id as it is now. Unique ids and access keys
// differ in their first letters, so they share the map; a unique id is unique per
// account only.
func (c *cache) entity(ctx context.Context, account, uniqueID string) (*Identity, int64, error) {
	key := account + uniqueID
	id, generation, err := c.current(ctx, account, key)
	if id != nil || err != nil {
		return id, generation, err
	}
	id, err = c.dir.Entity(ctx, account, uniqueID)
	if errors.Is(err, ErrUnknownKey) {
		c.forget(key)
	}
	return c.keep(key, generation, id, err)
}

// current returns the entry if it is the account's latest, else nil. It reads the
// generation, under which the caller then loads: a change between the two leaves
// an entry that looks older than it is, which costs a reload and never serves a
// stale one.
func (c *cache) current(ctx context.Context, account, key string) (*Identity, int64, error) {
	generation, err := c.gens.Generation(ctx, account, "", IAMGeneration)
	if err != nil {
		return nil, 0, err
	}
	c.mu.RLock()
	e, ok := c.entries[key]
	c.mu.RUnlock()
	if ok && e.generation == generation {
		return e.identity, generation, nil
	}
	return nil, generation, nil
}

// keep stores what was loaded, unless loading failed.
func (c *cache) keep(key string, generation int64, id *Identity, err error) (*Identity, int64, error) {
	if err != nil {
		return nil, 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.entries[key]; !ok && len(c.entries) >= cacheLimit {
		for k := range c.entries {
			delete(c.entries, k)
			break
		}
	}
	// Cloned: it may be a piece of a header, which would be kept whole.
	c.entries[strings.Clone(key)] = cached{generation, id}
	return id, generation, nil
}

// forget drops an entry, its secret with it, and reports whether there was one.
func (c *cache) forget(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.entries[key]
	delete(c.entries, key)
	return ok
}
