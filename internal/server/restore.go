package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/backup"
	"github.com/strongroom/strongroom/internal/ca"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/iam"
	"github.com/strongroom/strongroom/internal/keyring"
	"github.com/strongroom/strongroom/internal/seal"
	"github.com/strongroom/strongroom/internal/ship"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// RestoreRequest says what is restored, and how.
type RestoreRequest struct {
	// Open begins the encrypted stream of a backup. It is read twice: nothing is
	// written before all of it was proven.
	Open func() (io.ReadCloser, error)
	// Shipped is the target to restore from instead, At the moment; zero for the last.
	Shipped ship.Target
	At      time.Time

	Identities backup.Identities
	// AsOf is the moment of what is restored, for those who want access keys and
	// sessions as they were then; zero leaves them inactive and void.
	AsOf time.Time
	// Newer is a later state to compare with; nil when none is known.
	Newer *Known
}

// Restored is the outcome of Restore.
type Restored struct {
	backup.Summary
	// Node is the name of the audit chain that begins here.
	Node string `json:"node"`
	// Keys are the access keys that worked at the moment.
	Keys []iam.RevivedKey `json:"accessKeys"`
	// Kept says that they work again.
	Kept bool `json:"accessKeysWork"`
	// Audit are the chains of audit records that were restored with it.
	Audit []RestoredChain `json:"audit"`
	// Shipped says what a restore from a target was made of.
	Shipped *ship.Plan `json:"shipped,omitempty"`
	// Revived is what was taken away or changed in the newer state; nil when none was
	// named.
	Revived []Revival `json:"revived,omitempty"`
}

// RestoredChain is the audit record of a node as it was restored.
type RestoredChain struct {
	Node    string `json:"node"`
	Records uint64 `json:"records"`
	Last    uint64 `json:"last"`
	Chain   string `json:"chain"`
	// OK says that everything that was signed is there and unaltered; Problem says
	// what is not.
	OK      bool   `json:"ok"`
	Problem string `json:"problem,omitempty"`
}

// ErrFaults means that what a backup holds does not pass a check.
var ErrFaults = errors.New("the backup holds a damaged store")

// VerifyBackup reads a backup to its end.
func VerifyBackup(in RestoreRequest) (out backup.Summary, err error) {
	err = in.read(func(r io.Reader) error {
		out, err = backup.Verify(r)
		return err
	})
	return out, err
}

// ProveRestore proves what would be restored, compares it with a newer state where one
// is named, and writes nothing.
func ProveRestore(ctx context.Context, in RestoreRequest) (out Restored, err error) {
	var mine *Known
	if in.Shipped == nil {
		if out.Summary, err = VerifyBackup(in); err == nil && in.Newer != nil {
			err = in.read(func(r io.Reader) error {
				mine, err = knownIn(r)
				return err
			})
		}
	} else {
		var plan *ship.Plan
		if plan, err = ship.Prove(ctx, in.Shipped, in.Identities, in.At); err != nil {
			return out, err
		}
		defer plan.Close()
		out.Summary, out.Shipped = shippedSummary(plan), plan
		if in.Newer != nil {
			mine, err = knownOfPlan(ctx, plan)
		}
	}
	if err == nil && mine != nil {
		out.Revived = compare(mine, in.Newer)
	}
	return out, err
}

func (in *RestoreRequest) read(do func(io.Reader) error) (err error) {
	f, err := in.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	r, err := backup.Decrypt(f, in.Identities)
	if err != nil {
		return err
	}
	return do(r)
}

// Restore makes a data directory as Init does, with a root key of its own and what a
// backup or a target holds. All of that is proven before the directory is touched, and
// the restored store is checked before it is kept. A run that was cut short, by kill -9
// too, leaves a directory that the next run begins anew in.
func Restore(ctx context.Context, cfg config.Config, in RestoreRequest, log *slog.Logger) (out Restored, err error) {
	if _, err := readState(cfg.Data); !errors.Is(err, ErrNotInitialised) {
		return out, ErrInitialised
	}
	var plan *ship.Plan
	if in.Shipped != nil {
		if plan, err = ship.Prove(ctx, in.Shipped, in.Identities, in.At); err != nil {
			return out, err
		}
		defer plan.Close()
		out.Summary = shippedSummary(plan)
	} else if out.Summary, err = VerifyBackup(in); err != nil {
		return out, err
	}
	if !in.AsOf.IsZero() && !in.AsOf.Equal(out.At.Truncate(time.Second)) {
		return out, fmt.Errorf("the backup is of %s, not of %s", out.At.Format(time.RFC3339), in.AsOf.UTC().Format(time.RFC3339))
	}
	cfg.Region, cfg.Regions = out.Region, out.Regions
	cfg.Backup = config.Default().Backup // Where this store is shipped to is for its operator to say.
	if err := cfg.Validate(); err != nil {
		return out, err
	}
	if plan != nil && cfg.Database != "" {
		return out, errors.New("what was shipped is a SQLite store: restore it into one, then move it with backup and restore")
	}
	if err := beginRestore(cfg); err != nil {
		return out, err
	}
	begun, _, err := begin(cfg.Data, out.Account)
	if err != nil {
		return out, err
	}
	path := filepath.Join(cfg.Data, RootKeyFile)
	root, err := seal.OpenFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		root, err = seal.CreateFile(path)
	}
	if err != nil {
		return out, fmt.Errorf("make root key: %w", err)
	}
	if plan != nil {
		err = restoreShipped(ctx, cfg, &in, plan, root, &out, log)
	} else {
		err = restoreStore(ctx, cfg, &in, root, &out, log)
	}
	if err != nil {
		return out, err
	}
	if _, err := os.Stat(filepath.Join(cfg.Data, ca.CertificateFile)); errors.Is(err, fs.ErrNotExist) {
		if err := ca.Init(cfg.Data, cfg.CertificateHosts(), time.Now()); err != nil {
			return out, fmt.Errorf("make certificates: %w", err)
		}
	}
	if err := writeConfig(cfg); err != nil {
		return out, err
	}
	out.Node = begun.Node
	if err := recordRestore(ctx, cfg, begun, &out, log); err != nil {
		return out, err
	}
	if err := os.Remove(filepath.Join(cfg.Data, restoringFile)); err != nil {
		return out, err
	}
	if err := os.Rename(filepath.Join(cfg.Data, begunFile), filepath.Join(cfg.Data, stateFile)); err != nil {
		return out, err
	}
	return out, syncDir(cfg.Data)
}

func shippedSummary(p *ship.Plan) backup.Summary {
	return backup.Summary{Header: backup.Header{Account: p.Account, Region: p.Region, Regions: p.Regions, Release: p.Release, Engine: store.SQLite, At: p.At}}
}

// restoringFile marks a directory in which a restore has begun: what of a database is
// in it came from there, and goes when the next one begins.
const restoringFile = "restoring"

// beginRestore makes the directory, and removes what a restore that was cut short has
// left in it. A database that no restore has begun is never touched.
func beginRestore(cfg config.Config) error {
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return err
	}
	mark := filepath.Join(cfg.Data, restoringFile)
	_, err := os.Stat(mark)
	again := err == nil
	if cfg.Database == "" {
		_, err := os.Stat(store.DatabasePath(cfg.Data))
		if err == nil && !again {
			return fmt.Errorf("%w: there is a database in the directory", backup.ErrNotEmpty)
		}
	}
	if !again {
		if err := writeFile(mark, nil); err != nil {
			return err
		}
		return syncDir(cfg.Data)
	}
	return undoRestore(cfg)
}

// undoRestore removes database and audit record of a restore that did not end.
func undoRestore(cfg config.Config) error {
	errs := []error{os.RemoveAll(filepath.Join(cfg.Data, AuditDir))}
	if cfg.Database == "" {
		for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
			if err := os.Remove(store.DatabasePath(cfg.Data) + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(append(errs, syncDir(cfg.Data))...)
}

// restoreStore fills the database from a backup in one transaction, which is committed
// only when what it holds passes the check.
func restoreStore(ctx context.Context, cfg config.Config, in *RestoreRequest, root seal.Provider, out *Restored, log *slog.Logger) (err error) {
	files, err := audit.NewCopy(filepath.Join(cfg.Data, AuditDir))
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, store.Config{Dir: cfg.Data, URL: cfg.Database, Log: log})
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.Maintain(ctx, func(tx store.Tx) error {
		err := in.read(func(r io.Reader) (err error) {
			out.Summary, err = backup.Load(ctx, r, db, tx, root, func(p backup.Piece) error { return files.Write(audit.Piece(p)) })
			return err
		})
		if err != nil {
			return err
		}
		if err := files.Close(); err != nil {
			return err
		}
		return settle(ctx, db, tx, in, root, out)
	})
	if err != nil {
		return err
	}
	return proveChains(ctx, cfg, db, out)
}

// restoreShipped writes the database file as it was, and puts it under the new root
// key.
func restoreShipped(ctx context.Context, cfg config.Config, in *RestoreRequest, plan *ship.Plan, root seal.Provider, out *Restored, log *slog.Logger) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, undoRestore(cfg))
		}
	}()
	if err := plan.WriteDatabase(ctx, store.DatabasePath(cfg.Data)); err != nil {
		return err
	}
	if err := plan.WriteAudit(ctx, filepath.Join(cfg.Data, AuditDir)); err != nil {
		return err
	}
	out.Shipped = plan
	db, err := store.Open(ctx, store.Config{Dir: cfg.Data, Log: log})
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.Maintain(ctx, func(tx store.Tx) error {
		var err error
		if out.Schema, err = store.Schema(tx); err != nil {
			return err
		}
		if out.Summary.Keys, err = keyring.Replace(ctx, tx, root, plan.Keys()); err != nil {
			return err
		}
		return settle(ctx, db, tx, in, root, out)
	})
	if err != nil {
		return err
	}
	// The old storage keys, wrapped under the old root key, shall not stay in the log.
	if err := db.Scrub(ctx); err != nil {
		return err
	}
	return proveChains(ctx, cfg, db, out)
}

// settle checks a restored store, and takes away what it would revive; what its time has
// come for is not destroyed on the first day.
func settle(ctx context.Context, db *store.DB, tx store.Tx, in *RestoreRequest, root seal.Provider, out *Restored) error {
	if err := store.Distrust(tx); err != nil {
		return err
	}
	var found store.Inspection
	if err := inspect(ctx, &found, db, tx, root); err != nil {
		return err
	}
	if !found.OK() {
		f := found.Faults[0]
		return fmt.Errorf("%w: %d faults, the first in %s: %s: %s", ErrFaults, found.Found, f.Table, f.Row, f.Problem)
	}
	if out.Rows == nil {
		out.Rows = found.Rows
	}
	if in.Newer != nil {
		mine, err := knownOf(db, tx)
		if err != nil {
			return err
		}
		out.Revived = compare(mine, in.Newer)
	}
	var err error
	if out.Keys, err = iam.Revived(tx); err != nil {
		return err
	}
	if out.Kept = !in.AsOf.IsZero(); out.Kept {
		return nil
	}
	return iam.Quiet(tx)
}

// proveChains proves the audit records that came with what was restored. One that is
// broken was so before, or lacks its end: it is told, and is no reason to have no
// secrets.
func proveChains(ctx context.Context, cfg config.Config, db *store.DB, out *Restored) error {
	dir := filepath.Join(cfg.Data, AuditDir)
	nodes, err := audit.Nodes(dir)
	if err != nil {
		return err
	}
	out.Audit = []RestoredChain{}
	for _, node := range nodes {
		report, err := audit.Verify(ctx, audit.Source{Dir: dir, Node: node, Heads: func(ctx context.Context) ([]audit.Head, error) {
			return audit.StoredHeads(ctx, db, node)
		}})
		if err != nil {
			return err
		}
		chain := RestoredChain{Node: node, Records: report.Records, Last: report.Last, Chain: report.Chain.String(), OK: report.OK()}
		switch {
		case report.Broken != nil:
			chain.Problem = report.Broken.Error()
		case len(report.Gaps) > 0:
			chain.Problem = fmt.Sprintf("%d losses that the node itself found and signed", len(report.Gaps))
		}
		out.Audit = append(out.Audit, chain)
	}
	return nil
}

// recordRestore opens the restored server once, which proves that it opens, and
// makes this the first record of its audit chain: what was restored, and where the
// chains before it end.
func recordRestore(ctx context.Context, cfg config.Config, begun state, out *Restored, log *slog.Logger) (err error) {
	s, err := Open(ctx, Options{Config: cfg, Log: log, begun: begun})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close(ctx)) }()
	return s.registry.Background(ctx, iam.API.Name, "RestoreBackup", begun.Account, cfg.Region, func(ctx context.Context) error {
		details := map[string]any{"moment": out.At.UTC().Format(time.RFC3339Nano), "accessKeysWork": out.Kept}
		if out.Shipped != nil {
			details["stream"] = out.Shipped.Stream
		}
		var chains []any
		for _, c := range out.Audit {
			chains = append(chains, map[string]any{"node": c.Node, "last": int64(c.Last), "chain": c.Chain, "ok": c.OK})
		}
		if len(chains) > 0 {
			details["chains"] = chains
		}
		wire.CallFrom(ctx).Extra = details
		return nil
	})
}
