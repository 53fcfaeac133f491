package auth

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/strongroom/strongroom/internal/auth/session"
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
	// Session is set for temporary credentials only.
	Session *aws.Session
	// SessionsAfter is when the sessions of a user or role were last voided, zero if
	// never. Those made since carry it (aws.Session.Voided); all others are void.
	SessionsAfter time.Time
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
			EntityID: p.EntityID, RoleARN: p.RoleARN, UserARN: p.UserARN, Service: p.Service, Federated: p.Provider,
		}
		if p.Type == aws.PrincipalService {
			// The account of a service's principal is the one that it works in.
			// It has none of its own, and is no principal of that account.
			id.asked.Account = ""
		}
		for _, t := range p.Tags {
			id.asked.Tags = append(id.asked.Tags, policy.Tag{Key: t.Key, Value: t.Value})
		}
	})
	return id.asked
}

// Directory knows who access keys belong to. IAM provides it.
type Directory interface {
	// Identity loads the holder of a long-term access key, or ErrUnknownKey.
	Identity(ctx context.Context, accessKeyID string) (*Identity, error)
	// Entity loads a user or role by its unique id, or the root user by the
	// account's, or ErrUnknownKey: for sessions, and for work that is done on its
	// behalf without a key.
	Entity(ctx context.Context, account, uniqueID string) (*Identity, error)
	// ManagedPolicy loads a version of a managed policy, or ErrUnknownKey.
	ManagedPolicy(ctx context.Context, account, arn, version string) (policy.Source, error)
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

// cacheLimit bounds the identities held in memory, and what sessions hold of their
// own, in units of cacheUnit bytes: everybody who may take a role can make as many
// sessions as it likes, each with policies and tags. A full cache drops arbitrary
// entries: with 100,000 keys in use the next load costs two statements.
//
// Sessions have a tenth of it. They are many and short-lived, nothing tells when the
// last call with one has come, and what is dropped is in the next call's token
// again: it costs opening that. So whoever takes a role again and again fills neither
// the memory nor the room of the others.
const (
	cacheLimit   = 100_000
	sessionLimit = cacheLimit / 10
	cacheUnit    = 4 << 10
)

// cache keeps identities under the generation they were loaded at. Unknown keys
// are not remembered: whoever guesses ids could push the useful entries out, and
// a look-up costs one indexed read.
type cache struct {
	dir  Directory
	gens Generations
	// open opens session tokens.
	open func(accessKeyID, token string) (*aws.Session, string, error)
	// dropped is told of access keys that were known and are no more.
	dropped func(accessKeyID string)

	mu      sync.RWMutex
	entries map[string]cached
	// weight is that of all entries, sessions of those of them that are sessions'.
	weight, sessions int
}

type cached struct {
	generation int64
	identity   *Identity
	weight     int
}

// weight is how many units of the cache an identity takes. Users, roles and their
// policies are bounded by the quotas of their account; what a session brings is not.
func (id *Identity) weight() int {
	if id.Session == nil {
		return 1
	}
	n := len(id.Token)
	for _, t := range id.Session.Tags {
		n += 2 * (len(t.Key) + len(t.Value)) // The principal has them again.
	}
	for i := range id.Policies.Session {
		if i < len(id.Session.Policies) && id.Session.Policies[i].ARN == "" { // Managed ones are shared.
			n += id.Policies.Session[i].Doc.Memory()
		}
	}
	return 1 + n/cacheUnit
}

func newCache(dir Directory, gens Generations, keys session.Keys, dropped func(string)) *cache {
	return &cache{dir: dir, gens: gens, dropped: dropped, entries: make(map[string]cached),
		open: func(accessKeyID, token string) (*aws.Session, string, error) {
			return session.Open(keys, accessKeyID, token)
		}}
}

// claimed returns the holder of an access key for verifying a signature; token is
// the session token that came with it, "" for none. Where asking for the
// generation costs a round trip it takes an entry as it is: the secret behind a key
// id never changes, and whether the key and its rights are still good is asked
// again, of the generation that the operation's own statement returns, before
// anything is decided.
func (c *cache) claimed(ctx context.Context, account, keyID, token string) (*Identity, int64, error) {
	if _, free := c.gens.Known(ctx, account, "", IAMGeneration); !free {
		c.mu.RLock()
		e, ok := c.entries[keyID]
		c.mu.RUnlock()
		if ok {
			return e.identity, e.generation, nil
		}
	}
	if strings.HasPrefix(keyID, aws.TemporaryKeyPrefix) {
		return c.token(ctx, account, keyID, token)
	}
	return c.key(ctx, account, keyID)
}

// key returns the holder of an account's long-term access key as it is now, and
// the generation it belongs to.
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

// token returns the holder of temporary credentials by the token that came with
// them. A token is opened once; later calls find the session by the access key id
// and have their token compared with the one that was opened.
func (c *cache) token(ctx context.Context, account, keyID, token string) (*Identity, int64, error) {
	c.mu.RLock()
	e, ok := c.entries[keyID]
	c.mu.RUnlock()
	if ok {
		return c.session(ctx, account, keyID, e.identity)
	}
	s, secret, err := c.open(keyID, token)
	if errors.Is(err, session.ErrInvalid) {
		return nil, 0, ErrUnknownKey
	}
	if err != nil {
		return nil, 0, err
	}
	// Cloned: it may be a piece of a URL, which would be kept whole.
	return c.session(ctx, account, keyID, &Identity{Secret: secret, Token: strings.Clone(token), Session: s})
}

// session returns the holder of opened temporary credentials as it is now; of
// opened only Secret, Token and Session are looked at. A call under way has no
// Token: it takes that of the entry, and if there is none any more, nothing is kept.
func (c *cache) session(ctx context.Context, account, keyID string, opened *Identity) (*Identity, int64, error) {
	id, generation, err := c.current(ctx, account, keyID)
	if id != nil || err != nil {
		return id, generation, err
	}
	s := opened.Session
	if opened.Token == "" {
		c.mu.RLock()
		if e, ok := c.entries[keyID]; ok {
			opened = e.identity
		}
		c.mu.RUnlock()
	}
	holder, generation, err := c.entity(ctx, account, s.EntityID)
	if err == nil && s.Voided.Before(holder.SessionsAfter) {
		err = errRevoked
	}
	if err == nil {
		id, err = c.compose(ctx, holder, s)
	}
	if errors.Is(err, ErrUnknownKey) || errors.Is(err, errRevoked) {
		if c.forget(keyID) {
			c.dropped(keyID)
		}
		return nil, 0, err
	}
	if err != nil {
		return nil, 0, err
	}
	id.Secret, id.Token, id.Principal.AccessKeyID = opened.Secret, opened.Token, keyID
	if id.Token == "" {
		return id, generation, nil
	}
	return c.keep(keyID, generation, id, nil)
}

// entity returns a user or role by its unique id as it is now. Unique ids and access keys
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
	weight := id.weight()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(key)
	c.room(id.Session != nil, weight)
	// Cloned: it may be a piece of a header, which would be kept whole.
	c.entries[strings.Clone(key)] = cached{generation, id, weight}
	c.weigh(id, weight)
	return id, generation, nil
}

// room makes room for an entry. It expects mu to be held.
func (c *cache) room(session bool, weight int) {
	for k, e := range c.entries {
		many := session && c.sessions+weight > sessionLimit
		if !many && c.weight+weight <= cacheLimit {
			return
		}
		if !many || e.identity.Session != nil {
			c.drop(k)
		}
	}
}

// weigh notes that an entry came, or with a negative weight went.
func (c *cache) weigh(id *Identity, weight int) {
	c.weight += weight
	if id.Session != nil {
		c.sessions += weight
	}
}

// forget drops an entry, its secret with it, and reports whether there was one.
func (c *cache) forget(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.drop(key)
}

// drop expects mu to be held.
func (c *cache) drop(key string) bool {
	e, ok := c.entries[key]
	if ok {
		c.weigh(e.identity, -e.weight)
		delete(c.entries, key)
	}
	return ok
}
