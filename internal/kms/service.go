package kms

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// Sealer keeps key material at rest: the keyring.
type Sealer interface {
	Seal(purpose string, aad, plaintext []byte) ([]byte, error)
	Open(purpose string, aad, sealed []byte) ([]byte, error)
}

// Authorizer decides whether the caller of the call in ctx may do something.
type Authorizer interface {
	// Authorize decides and records the decision; a denial is an *aws.Error.
	Authorize(ctx context.Context, q *auth.Request) error
	// Would decides without a record, to foresee what a policy would do.
	Would(ctx context.Context, q *auth.Request) (bool, error)
}

// Quotas are the limits of spec kms.md 10; zero means AWS's number.
type Quotas struct {
	// Keys is the number of customer keys per account and region: 100,000.
	Keys int
	// AliasesPerKey is 50.
	AliasesPerKey int
	// PolicySize is the length of a key policy in bytes: 32,768.
	PolicySize int
	// TagsPerKey is 50.
	TagsPerKey int
}

func (q *Quotas) setDefaults() {
	for _, d := range []struct {
		value *int
		usual int
	}{{&q.Keys, 100_000}, {&q.AliasesPerKey, 50}, {&q.PolicySize, 32 << 10}, {&q.TagsPerKey, 50}} {
		if *d.value == 0 {
			*d.value = d.usual
		}
	}
}

// defaultCacheEntries bounds what is held in memory: some tens of megabytes with
// policies of usual size.
const defaultCacheEntries = 10_000

// Config is what the slice needs. All but Quotas and CacheEntries is required.
type Config struct {
	DB       *store.DB
	Sealer   Sealer
	Auth     Authorizer
	Registry *wire.Registry
	// Principals knows who a key policy may name.
	Principals auth.Entities
	Quotas     Quotas
	// CacheEntries bounds the keys and aliases held in memory; 0 means 10,000.
	CacheEntries int
}

// Service performs KMS's operations. It is safe for concurrent use.
type Service struct {
	db         *store.DB
	sealer     Sealer
	auth       Authorizer
	registry   *wire.Registry
	principals auth.Entities
	quotas     Quotas
	cache      *cache

	// creating lets one caller at a time make a managed key, so that the first
	// use by many leaves one creation in the audit trail.
	creating sync.Mutex
	// scrubbed says that nothing was destroyed since the store was last scrubbed.
	scrubbed atomic.Bool
}

// New makes the service. The caller registers its operations with Register.
func New(c Config) *Service {
	c.Quotas.setDefaults()
	if c.CacheEntries == 0 {
		c.CacheEntries = defaultCacheEntries
	}
	return &Service{
		db:         c.DB,
		sealer:     c.Sealer,
		auth:       c.Auth,
		registry:   c.Registry,
		principals: c.Principals,
		quotas:     c.Quotas,
		cache:      newCache(c.DB, c.CacheEntries),
	}
}

// Close clears the key material held in memory. It is the last call: what runs
// beside it may fill the cache again.
func (s *Service) Close() { s.cache.close() }
