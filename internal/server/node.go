package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/ca"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/iam"
	"github.com/strongroom/strongroom/internal/keyring"
	"github.com/strongroom/strongroom/internal/seal"
	"github.com/strongroom/strongroom/internal/store"
)

// deployment is what all nodes have in common, as the database keeps it.
type deployment struct {
	account, region string
	regions         []string
	authority       []byte // PEM
	sealed          []byte // the authority's key
}

// authorityPurpose is what the authority's key is sealed for.
const authorityPurpose = "certificate-authority"

var (
	// ErrNoDeployment means that the database belongs to no deployment that a node
	// could join.
	ErrNoDeployment = errors.New("the database holds no deployment to join")
	// ErrNotShared means that the database is SQLite, which no other node can use.
	ErrNotShared = errors.New("several nodes need PostgreSQL")
	// ErrUnknownNode means that no node of that name has shipped anything.
	ErrUnknownNode = errors.New("there is no such node")
)

// publish puts into the database what further nodes need, unless it is there: the
// first node does so when it is made, or when it first starts with this release.
func (s *Server) publish(ctx context.Context, account string) error {
	if s.db.Engine() != store.PostgreSQL {
		return nil
	}
	certificate, key, err := ca.Export(s.config.Data)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // An operator who has the certificates elsewhere.
	}
	if err != nil {
		return err
	}
	defer clear(key)
	sealed, err := s.keys.Seal(authorityPurpose, nil, key)
	if err != nil {
		return err
	}
	err = s.db.Maintain(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(`INSERT INTO deployment (id, account, region, regions, authority, sealed) VALUES (1, $1, $2, $3, $4, $5)
			ON CONFLICT (id) DO NOTHING`, account, s.config.Region, strings.Join(s.config.Regions, ","), certificate, sealed)
		return err
	})
	if err != nil {
		return fmt.Errorf("tell other nodes of the deployment: %w", err)
	}
	return nil
}

func readDeployment(ctx context.Context, db *store.DB) (d deployment, err error) {
	var regions string
	err = db.Get(ctx, `SELECT account, region, regions, authority, sealed FROM deployment WHERE id = 1`).
		Scan(&d.account, &d.region, &regions, &d.authority, &d.sealed)
	if errors.Is(err, store.ErrNoRows) {
		return d, ErrNoDeployment
	}
	d.regions = strings.Split(regions, ",")
	return d, err
}

// Join makes the data directory of a further node over the database that cfg names:
// certificates of the deployment's authority, configuration, and an audit chain of
// its own, named node or at random. The root key of the deployment lies in the
// directory already, or in the file rootKey. A run that was cut short is taken up by
// the next one.
func Join(ctx context.Context, cfg config.Config, rootKey, node string, log *slog.Logger) (out config.Config, err error) {
	switch {
	case Initialised(cfg.Data):
		return cfg, ErrInitialised
	case cfg.Database == "":
		return cfg, ErrNotShared
	case node != "" && !audit.ValidNode(node):
		return cfg, fmt.Errorf("node name %q has other characters than letters, digits, '-' and '_', or more than 64", node)
	}
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return cfg, err
	}
	root, err := takeRootKey(cfg.Data, rootKey)
	if err != nil {
		return cfg, err
	}
	begun, err := joinDeployment(ctx, &cfg, root, node)
	if err != nil {
		return cfg, err
	}
	if err := writeConfig(cfg); err != nil {
		return cfg, err
	}
	s, err := Open(ctx, Options{Config: cfg, Log: log, begun: begun})
	if err != nil {
		return cfg, err
	}
	err = s.registry.Background(ctx, iam.API.Name, "JoinNode", begun.Account, cfg.Region, func(context.Context) error { return nil })
	if err := errors.Join(err, s.Close(ctx)); err != nil {
		return cfg, err
	}
	if err := os.Rename(filepath.Join(cfg.Data, begunFile), filepath.Join(cfg.Data, stateFile)); err != nil {
		return cfg, err
	}
	return cfg, syncDir(cfg.Data)
}

// takeRootKey copies the root key to its place, unless it is there.
func takeRootKey(dir, from string) (seal.Provider, error) {
	path := filepath.Join(dir, RootKeyFile)
	if from == "" || filepath.Clean(from) == filepath.Clean(path) {
		return seal.OpenFile(path)
	}
	if _, err := seal.OpenFile(from); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	if err := writeFile(path, b); err != nil {
		return nil, err
	}
	return seal.OpenFile(path)
}

// joinDeployment takes over what the database says of the deployment. A wrong root
// key is found here, before anything is written that would have to be removed.
func joinDeployment(ctx context.Context, cfg *config.Config, root seal.Provider, node string) (begun state, err error) {
	db, err := store.Open(ctx, store.Config{URL: cfg.Database})
	if err != nil {
		return begun, fmt.Errorf("open store: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	d, err := readDeployment(ctx, db)
	if err != nil {
		return begun, err
	}
	keys, err := keyring.Open(ctx, keyring.SQL{Read: db.Read, Change: db.Maintain}, root, time.Now)
	if err != nil {
		return begun, fmt.Errorf("open keyring: %w", err)
	}
	defer keys.Close()
	cfg.Region, cfg.Regions = d.region, d.regions
	if err := cfg.Validate(); err != nil {
		return begun, err
	}
	key, err := keys.Open(authorityPurpose, nil, d.sealed)
	if err != nil {
		return begun, fmt.Errorf("open the authority's key: %w", err)
	}
	defer clear(key)
	if err := ca.Join(cfg.Data, d.authority, key, cfg.CertificateHosts(), time.Now()); err != nil {
		return begun, err
	}
	if begun, err = readStateFile(cfg.Data, begunFile); err == nil || !errors.Is(err, ErrNotInitialised) {
		return begun, err
	}
	begun = state{Node: cmp.Or(node, newNodeName()), Account: d.account}
	return begun, writeJSON(filepath.Join(cfg.Data, begunFile), begun)
}

func newNodeName() string {
	return "node-" + aws.RandomString("abcdefghijklmnopqrstuvwxyz0123456789", 8)
}

// Retire ends the audit chain of a node that will not come back: the records of its
// last changes join it, a start record says what may be missing, and it is closed.
// Should the node live after all, it is refused everything until it is started
// again.
func Retire(ctx context.Context, cfg config.Config, node string, log *slog.Logger) (audit.Recovery, error) {
	var none audit.Recovery
	if cfg.Database == "" {
		return none, ErrNotShared
	}
	root, err := seal.OpenFile(filepath.Join(cfg.Data, RootKeyFile))
	if err != nil {
		return none, err
	}
	st, err := readState(cfg.Data)
	if err != nil {
		return none, err
	}
	if st.Node == node {
		return none, errors.New("that is the node of this directory")
	}
	db, err := store.Open(ctx, store.Config{URL: cfg.Database, Log: log})
	if err != nil {
		return none, fmt.Errorf("open store: %w", err)
	}
	found, err := retire(ctx, cfg, db, root, st.Account, node, log)
	return found, errors.Join(err, db.Close())
}

func retire(ctx context.Context, cfg config.Config, db *store.DB, root seal.Provider, account, node string, log *slog.Logger) (found audit.Recovery, err error) {
	chains, err := audit.Chains(ctx, db)
	if err != nil {
		return found, err
	}
	if !slices.ContainsFunc(chains, func(c audit.Chain) bool { return c.Node == node && !c.Opened.IsZero() }) {
		return found, ErrUnknownNode
	}
	keys, err := keyring.Open(ctx, keyring.SQL{Read: db.Read, Change: db.Maintain}, root, time.Now)
	if err != nil {
		return found, fmt.Errorf("open keyring: %w", err)
	}
	defer keys.Close()
	// Beside the node's own files, since it holds records as they do.
	dir, err := os.MkdirTemp(cfg.Data, "retire-*")
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	l, err := audit.Open(ctx, audit.Config{Dir: dir, Node: node, Account: account, Store: db, Sealer: keys, Ship: true,
		SegmentSize: cfg.Audit.SegmentSize, HeadEvery: shipEvery, Log: log})
	if err != nil {
		return found, err
	}
	return l.Recovered(), l.Close(ctx)
}

// inspectDeployment looks at what the database keeps for further nodes.
func inspectDeployment(in *store.Inspection, tx store.Tx, keys audit.Sealer) error {
	return store.Each(in, tx, "deployment", func(r store.Row) (d deployment, err error) {
		var regions string
		return d, r.Scan(&d.account, &d.region, &regions, &d.authority, &d.sealed)
	}, func(*deployment) string { return "the deployment" }, func(d *deployment) {
		key, err := keys.Open(authorityPurpose, nil, d.sealed)
		if err != nil {
			in.Fault("deployment", "the deployment", "the key of its authority does not open: %v", err)
			return
		}
		clear(key)
	}, `SELECT account, region, regions, authority, sealed FROM deployment`)
}
