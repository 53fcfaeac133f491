package secretsmanager

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// Keys is what secrets need of key management. Every method runs as a nested
// call of the current one: same principal, its own decision and audit record.
// Failures come back as *aws.Error with KMS's codes; see keyError.
type Keys interface {
	// DefaultKey returns the ARN of alias/aws/secretsmanager, made at first use.
	DefaultKey(ctx context.Context, account, region string) (arn string, err error)
	// Resolve finds the key that an id, ARN, alias name or alias ARN means now.
	// managed says that it is the default key.
	Resolve(ctx context.Context, account, region, keyID string) (arn string, managed bool, err error)
	// Generate makes a 256-bit data key and wraps it.
	Generate(ctx context.Context, keyARN string, encryptionContext map[string]string) (plain, wrapped []byte, err error)
	// Encrypt wraps plaintext under a key.
	Encrypt(ctx context.Context, keyARN string, plaintext []byte, encryptionContext map[string]string) ([]byte, error)
	// Decrypt opens what Generate or Encrypt wrapped.
	Decrypt(ctx context.Context, wrapped []byte, encryptionContext map[string]string) ([]byte, error)
}

// Quotas are the limits of spec secretsmanager.md 12; zero means AWS's number.
type Quotas struct {
	SecretsPerRegion  int // 500,000 per account and region
	VersionsPerSecret int // 100; the oldest without a label are removed beyond it
	LabelsPerSecret   int // 20 over all versions
	TagsPerSecret     int // 50
}

func (q *Quotas) setDefaults() {
	for _, d := range []struct {
		p *int
		n int
	}{{&q.SecretsPerRegion, 500_000}, {&q.VersionsPerSecret, 100}, {&q.LabelsPerSecret, 20}, {&q.TagsPerSecret, 50}} {
		if *d.p == 0 {
			*d.p = d.n
		}
	}
}

// Config is what the service is made from.
type Config struct {
	DB         *store.DB
	Auth       *auth.Service
	Keys       Keys
	Principals auth.Entities
	Registry   *wire.Registry
	// Regions are those of the deployment: the ones replicas may live in.
	Regions []string
	Quotas  Quotas
	// CachedRows is how many bytes of sealed rows are kept in memory where the
	// process owns the database; 0 keeps none.
	CachedRows int64
	Now        func() time.Time
	Log        *slog.Logger
}

// Service answers the operations of AWS Secrets Manager.
type Service struct {
	db         *store.DB
	auth       *auth.Service
	keys       Keys
	principals auth.Entities
	registry   *wire.Registry
	regions    []string
	quotas     Quotas
	now        func() time.Time
	log        *slog.Logger

	rows     rowCache
	policies policyCache
	accesses accessLog

	countsMu sync.Mutex
	counts   map[place]*estimate
}

// place is one account in one region.
type place struct{ Account, Region string }

// New makes the service.
func New(c Config) *Service {
	c.Quotas.setDefaults()
	s := &Service{
		db: c.DB, auth: c.Auth, keys: c.Keys, principals: c.Principals, registry: c.Registry,
		regions: c.Regions, quotas: c.Quotas, now: c.Now, log: c.Log, counts: make(map[place]*estimate),
		rows: rowCache{most: int(c.CachedRows), names: make(map[rowName]*row), uids: make(map[string]rowName)},
	}
	s.rows.on = c.CachedRows > 0 && c.DB.OnChange(s.rows.forget)
	return s
}

// here is the account and region that a call without an ARN speaks of.
func here(ctx context.Context) place {
	c := wire.CallFrom(ctx)
	return place{c.Principal.Account, c.Region}
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
