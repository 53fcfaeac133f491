package auth

import (
	"context"
	"errors"
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
			RoleARN: p.RoleARN, UserARN: p.UserARN, Service: p.Service, Tags: policyTags(p.Tags),
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
}

// IAMGeneration is the kind under which IAM counts its changes. IAM is global:
// its generations have no region.
const IAMGeneration = "iam"

// cacheLimit bounds the identities held in memory. A full cache drops an
// arbitrary entry: with 100,000 keys in use the next load costs two statements.
const cacheLimit = 100_000

// cache keeps identities under the generation they were loaded at. Unknown keys
// are not remembered: whoever guesses ids could push the useful entries out.
type cache struct {
	dir  Directory
	gens Generations

	mu      sync.RWMutex
	entries map[string]cached
}

type cached struct {
	generation int64
	identity   *Identity
}

func newCache(dir Directory, gens Generations) *cache {
	return &cache{dir: dir, gens: gens, entries: make(map[string]cached)}
}

// key returns the holder of an access key as it is now, and the generation it
// belongs to.
func (c *cache) key(ctx context.Context, keyID string) (*Identity, int64, error) {
	account, ok := aws.AccessKeyAccount(keyID)
	if !ok {
		return nil, 0, ErrUnknownKey
	}
	return c.current(ctx, account, keyID, func() (*Identity, error) { return c.dir.Identity(ctx, keyID) })
}

// entity returns a user by its unique id as it is now.
func (c *cache) entity(ctx context.Context, account, uniqueID string) (*Identity, int64, error) {
	// Unique ids and access keys differ in their first four letters, so they
	// share the map; unique ids are unique per account only.
	return c.current(ctx, account, account+uniqueID, func() (*Identity, error) { return c.dir.Entity(ctx, account, uniqueID) })
}

// current reads the generation before it loads: a change between the two leaves
// an entry that looks older than it is, which costs a reload and never serves a
// stale one.
func (c *cache) current(ctx context.Context, account, key string, load func() (*Identity, error)) (*Identity, int64, error) {
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
	id, err := load()
	if err != nil {
		return nil, 0, err
	}
	c.keep(key, cached{generation, id})
	return id, generation, nil
}

func (c *cache) keep(key string, e cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= cacheLimit {
		for k := range c.entries {
			delete(c.entries, k)
			break
		}
	}
	c.entries[key] = e
}
