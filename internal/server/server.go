// Package server joins all parts into one handler and one set of jobs. It is the
// only package that knows everybody; tests build the same value as main does.
//
// Its one invariant: what is served is whole. Open either returns a server whose
// keys open, whose audit chain is continued and whose store is migrated, or an
// error that says what to do.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/denial"
	"github.com/strongroom/strongroom/internal/egress"
	"github.com/strongroom/strongroom/internal/endpoint"
	"github.com/strongroom/strongroom/internal/iam"
	"github.com/strongroom/strongroom/internal/jobs"
	"github.com/strongroom/strongroom/internal/keyring"
	"github.com/strongroom/strongroom/internal/kms"
	"github.com/strongroom/strongroom/internal/limit"
	"github.com/strongroom/strongroom/internal/memory"
	"github.com/strongroom/strongroom/internal/oidc"
	"github.com/strongroom/strongroom/internal/seal"
	"github.com/strongroom/strongroom/internal/secretsmanager"
	"github.com/strongroom/strongroom/internal/ship"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/sts"
	"github.com/strongroom/strongroom/internal/wire"
)

// Options are what a server is opened with besides its configuration.
type Options struct {
	Config config.Config
	Log    *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Fault is called at the named points of crash tests; nil in production.
	Fault func(point string)
	// ManualJobs keeps Serve from starting the jobs: a test that needs to know
	// when they ran calls RunJobsOnce itself.
	ManualJobs bool
	// Observe is called with every finished call, in its goroutine; nil in
	// production. It may read the call until it returns.
	Observe func(*wire.Call)
	// Reload reads the configuration again; nil when it cannot change.
	Reload func() (config.Config, error)

	// Memory is what the system has promised about the process.
	Memory memory.State
	// Release is the program's, for whoever restores what is shipped.
	Release string

	// begun is what Init knows of the node before there is a node.json.
	begun state
}

// Server is an open deployment: its store, its services, and the handler of the
// API. It listens to nothing until Serve.
type Server struct {
	config   config.Config
	log      *slog.Logger
	now      func() time.Time
	manual   bool // Options.ManualJobs
	db       *store.DB
	keys     *keyring.Keyring
	audit    *audit.Log
	denials  *denial.Log
	registry *wire.Registry
	auth     *auth.Service
	iam      *iam.Service
	known    *iam.Directory
	kms      *kms.Service
	secrets  *secretsmanager.Service
	metrics  *prometheus.Registry
	api      http.Handler
	own      listeners
	// public are the connections of the public listeners together, addresses those
	// of one address at any door.
	public    *limit.Slots
	addresses *limit.Addresses
	rates     *limit.Limiter    // nil without bounds
	clients   *endpoint.Clients // nil unless the public listeners ask for certificates
	egress    *egress.Dialer    // the one way out
	ship      *ship.Shipper     // nil unless the store is shipped

	endpoints *endpoint.Manager // listens from Serve on
	reload    func() (config.Config, error)
	reloading sync.Mutex
	fault     atomic.Pointer[networkFault]
	readiness readiness
	memory    memory.State
}

// Open opens the data directory and the database and joins the parts.
func Open(ctx context.Context, o Options) (_ *Server, err error) {
	s := &Server{config: o.Config, log: o.Log, now: o.Now, manual: o.ManualJobs, reload: o.Reload, memory: o.Memory}
	if s.now == nil {
		s.now = time.Now
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close(context.WithoutCancel(ctx)))
		}
	}()
	root, err := seal.OpenFile(filepath.Join(o.Config.Data, RootKeyFile))
	if err != nil {
		return nil, err
	}
	node := o.begun
	if node == (state{}) {
		if node, err = readState(o.Config.Data); err != nil {
			return nil, err
		}
		if s.ship, err = newShipper(o.Config, node, o.Release, o.Now, o.Log, s.ownAddresses); err != nil {
			return nil, err
		}
	}
	s.db, err = store.Open(ctx, store.Config{
		Dir: o.Config.Data, URL: o.Config.Database, Now: o.Now, Log: o.Log, Follower: follower(s.ship),
		Audit: func(ctx context.Context, tx store.Tx) error { return s.audit.Intent(ctx, tx) },
	})
	if err != nil {
		return nil, err
	}
	s.keys, err = keyring.Open(ctx, keyring.SQL{Read: s.db.Read, Change: s.db.Write}, root, s.now)
	if err != nil {
		return nil, err
	}
	s.audit, err = audit.Open(ctx, s.auditConfig(node, o))
	if err != nil {
		return nil, err
	}
	if err = s.attachShipper(root); err != nil {
		return nil, err
	}
	if err = s.publish(ctx, node.Account); err != nil {
		return nil, err
	}
	if s.egress, err = openEgress(o.Config, s.now, s.ownAddresses); err != nil {
		return nil, err
	}
	rates, err := Rates(&o.Config)
	if err != nil {
		return nil, err
	}
	s.rates = limit.NewLimiter(rates, s.now)
	s.join(node.Account, o)
	if err = s.kms.BindPrincipals(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// shipEvery is how often a node hands on what is on its disk; with the 200 ms until
// it is there, a record is in the database within a second.
const shipEvery = 500 * time.Millisecond

func (s *Server) auditConfig(node state, o Options) audit.Config {
	c := audit.Config{
		Dir: filepath.Join(o.Config.Data, AuditDir), Node: node.Node, Account: node.Account, Store: s.db, Sealer: s.keys,
		SegmentSize: o.Config.Audit.SegmentSize, Spool: o.Config.Audit.Spool, Now: o.Now, Log: o.Log, Fault: o.Fault,
	}
	switch o.Config.Audit.Durability {
	case "synced":
		c.Durability = audit.Synced
	case "replicated":
		c.Durability = audit.Replicated
	}
	// SQLite's database is on the same disk, and this node's alone: a copy in it
	// would save nothing.
	if s.db.Engine() == store.PostgreSQL {
		c.Ship, c.HeadEvery = true, shipEvery
	}
	return c
}

// join makes the services in the order in which they need each other.
func (s *Server) join(account string, o Options) {
	l := s.config.Limits
	s.public, s.addresses = limit.NewSlots(connections(&s.config)), limit.NewAddresses(l.ConnectionsPerAddress)
	s.metrics = prometheus.NewRegistry()
	s.endpoints = s.newEndpoints(account)
	s.metrics.MustRegister(s.endpoints.Collectors()...)
	s.denials = denial.New(denial.Config{DB: s.db, Log: s.log, Now: s.now, Keep: s.config.Denials.Keep, PerAccount: s.config.Denials.PerAccount})
	s.registry = wire.NewRegistry(wire.Config{Recorder: s.recorder(), Log: s.log, Now: s.now, Trouble: trouble, Observe: s.observe(o.Observe)})
	directory := iam.NewDirectory(s.db, s.keys)
	s.known = directory
	q := s.config.Quotas
	s.auth = auth.New(auth.Config{Directory: directory, Generations: s.db, Sessions: s.keys, Regions: s.config.Regions, Uses: directory, Now: s.now})
	s.iam = iam.New(iam.Config{DB: s.db, Keys: s.keys, Auth: s.auth, Directory: directory,
		Quotas: iam.Quotas{UsersPerAccount: q.Users, RolesPerAccount: q.Roles, PoliciesPerAccount: q.Policies, GroupsPerAccount: q.Groups,
			AccessKeysPerUser: q.AccessKeysPerUser, GroupsPerUser: q.GroupsPerUser, PoliciesPerEntity: q.PoliciesPerEntity}})
	s.kms = kms.New(kms.Config{DB: s.db, Sealer: s.keys, Auth: s.auth, Registry: s.registry, Principals: directory})
	s.secrets = secretsmanager.New(secretsmanager.Config{
		DB: s.db, Auth: s.auth, Keys: s.kms.Via(secretsmanager.API.Name), Principals: directory, Registry: s.registry,
		Regions: s.config.Regions, CachedRows: s.config.Cache.Rows, Now: s.now, Log: s.log,
		Quotas: secretsmanager.Quotas{SecretsPerRegion: q.Secrets, VersionsPerSecret: q.VersionsPerSecret,
			LabelsPerSecret: q.LabelsPerSecret, TagsPerSecret: q.TagsPerSecret},
	})
	iam.Register(s.registry, s.iam)
	sts.Register(s.registry, sts.New(sts.Config{
		Auth: s.auth, Denials: s.denials, Sessions: s.keys, Directory: directory, MFA: directory, Tokens: oidc.New(s.fetchDocument), Region: s.config.Region, Now: s.now,
	}))
	kms.Register(s.registry, s.kms)
	secretsmanager.Register(s.registry, s.secrets)
	s.api = s.registry.Handler(s.auth, wire.Limits{
		Body: l.Body, Bodies: l.BodyMemory, Nesting: l.Nesting, Members: l.Members, Elements: l.Elements, Parameters: l.Parameters,
		InFlight: l.InFlight, Queue: l.QueueTime, Time: l.RequestTime, Admit: s.admit(),
	})
}

// Handler is the API.
func (s *Server) Handler() http.Handler { return s.api }

// Metrics is what /metrics shows.
func (s *Server) Metrics() prometheus.Gatherer { return s.metrics }

// Config is the configuration in force.
func (s *Server) Config() config.Config { return s.config }

// RunJobs does the deployment's own work until ctx ends.
func (s *Server) RunJobs(ctx context.Context) {
	if err := s.db.EndLeases(ctx); err != nil {
		s.log.WarnContext(ctx, "jobs may rest until the leases of an earlier process have run out", "error", err)
	}
	jobs.Run(ctx, s.db, s.log, s.jobs()...)
}

// RunJobsOnce runs every job once, one after the other in a fixed order and
// without its lease, and returns the first error. It is for servers opened with
// ManualJobs.
func (s *Server) RunJobsOnce(ctx context.Context) error {
	for _, j := range s.jobs() {
		if _, err := j.Run(ctx); err != nil {
			return fmt.Errorf("run job %s: %w", j.Name, err)
		}
	}
	return nil
}

func (s *Server) jobs() []jobs.Job {
	return []jobs.Job{
		{Name: "secretsmanager.accesses", Every: time.Second, Shared: true, Run: func(ctx context.Context) (time.Time, error) {
			return time.Time{}, s.secrets.FlushAccesses(ctx)
		}},
		{Name: "iam.uses", Every: time.Second, Shared: true, Run: func(ctx context.Context) (time.Time, error) {
			return time.Time{}, s.known.FlushUses(ctx)
		}},
		{Name: "iam.reports", Every: time.Second, Shared: true, Run: func(ctx context.Context) (time.Time, error) {
			return time.Time{}, s.iam.MakeReports(ctx)
		}},
		{Name: "denial.flush", Every: time.Second, Shared: true, Run: func(ctx context.Context) (time.Time, error) {
			return time.Time{}, s.denials.FlushSome(ctx)
		}},
		{Name: "denial.prune", Every: time.Minute, Destroys: true, Run: s.denials.Prune},
		{Name: "secretsmanager.replication", Every: time.Second, Run: s.secrets.ReplicateDue},
		{Name: "secretsmanager.purge", Every: 10 * time.Second, Destroys: true, Run: s.secrets.PurgeDue},
		{Name: "kms.purge", Every: 10 * time.Second, Destroys: true, Run: func(ctx context.Context) (time.Time, error) {
			_, next, err := s.kms.PurgeDue(ctx)
			return next, err
		}},
	}
}

// Close ends what Open began, in the opposite order. Calls must have ended.
func (s *Server) Close(ctx context.Context) error {
	var errs []error
	if s.secrets != nil {
		errs = append(errs, s.secrets.FlushAccesses(ctx))
	}
	if s.known != nil {
		errs = append(errs, s.known.FlushUses(ctx))
	}
	if s.denials != nil {
		errs = append(errs, s.denials.Flush(ctx))
	}
	if s.kms != nil {
		s.kms.Close()
	}
	if s.audit != nil {
		errs = append(errs, s.audit.Close(ctx))
	}
	if s.keys != nil {
		s.keys.Close()
	}
	if s.ship != nil {
		s.ship.Stop()
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.ship != nil {
		errs = append(errs, s.ship.Close())
	}
	return errors.Join(errs...)
}
