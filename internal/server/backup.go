package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/strongroom/strongroom/internal/backup"
	"github.com/strongroom/strongroom/internal/ca"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/iam"
	"github.com/strongroom/strongroom/internal/seal"
	"github.com/strongroom/strongroom/internal/store"
)

// BackupRequest says who may read a backup: age recipients, or whoever knows a
// passphrase.
type BackupRequest struct {
	Recipients []string `json:"recipients,omitempty"`
	Passphrase string   `json:"passphrase,omitempty"`
	Release    string   `json:"release"` // of the command, for whoever restores
}

// Backup writes an encrypted backup of the whole store. It is recorded.
func (s *Server) Backup(ctx context.Context, to io.Writer, in BackupRequest) (out backup.Summary, err error) {
	root, err := seal.OpenFile(filepath.Join(s.config.Data, RootKeyFile))
	if err != nil {
		return out, err
	}
	st, err := readState(s.config.Data)
	if err != nil {
		return out, err
	}
	err = s.registry.Background(ctx, iam.API.Name, "CreateBackup", st.Account, s.config.Region, func(ctx context.Context) error {
		sealed, err := backup.Encrypt(to, in.Recipients, in.Passphrase)
		if err != nil {
			return err
		}
		out, err = backup.Write(ctx, sealed, s.db, root, backup.Header{Account: st.Account, Region: s.config.Region, Regions: s.config.Regions, Release: in.Release})
		if err != nil {
			return err // The stream stays without its end, and is refused for that.
		}
		return sealed.Close()
	})
	return out, err
}

// started notes that a byte of the answer is on its way.
type started struct {
	http.ResponseWriter
	begun bool
}

func (w *started) Write(b []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// backupOperator streams a backup, since SQLite lets nobody but this process read.
func (s *Server) backupOperator(w http.ResponseWriter, r *http.Request) {
	var in BackupRequest
	if !readOperator(w, r, &in) {
		return
	}
	control := http.NewResponseController(w)
	if err := errors.Join(control.SetReadDeadline(time.Time{}), control.SetWriteDeadline(time.Time{})); err != nil {
		s.operatorAnswer(w, nil, err)
		return
	}
	out := &started{ResponseWriter: w}
	_, err := s.Backup(r.Context(), out, in)
	switch {
	case err == nil:
	case out.begun:
		s.log.Error("backup failed", "error", err)
		panic(http.ErrAbortHandler) // The reader sees a broken answer, not a short one.
	default:
		writeAnswer(w, http.StatusBadRequest, operatorError{err.Error()})
	}
}

// RestoreRequest says what is restored, and how.
type RestoreRequest struct {
	// Open begins the encrypted stream. It is read twice: nothing is written
	// before all of it was proven.
	Open       func() (io.ReadCloser, error)
	Identities backup.Identities
	// AsOf is the backup's moment, for those who want access keys and sessions as
	// they were then; zero leaves them inactive and void.
	AsOf time.Time
}

// Restored is the outcome of Restore.
type Restored struct {
	backup.Summary
	// Node is the name of the audit chain that begins here.
	Node string `json:"node"`
	// Keys are the access keys that worked when the backup was made.
	Keys []iam.RevivedKey `json:"accessKeys"`
	// Kept says that they work again.
	Kept bool `json:"accessKeysWork"`
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

// Restore makes a data directory as Init does, with a root key of its own and what
// a backup holds. The backup is proven before the directory is touched, and the
// restored store is checked before it is committed.
func Restore(ctx context.Context, cfg config.Config, in RestoreRequest, log *slog.Logger) (out Restored, err error) {
	if _, err := readState(cfg.Data); !errors.Is(err, ErrNotInitialised) {
		return out, ErrInitialised
	}
	if out.Summary, err = VerifyBackup(in); err != nil {
		return out, err
	}
	if !in.AsOf.IsZero() && !in.AsOf.Equal(out.At.Truncate(time.Second)) {
		return out, fmt.Errorf("the backup is of %s, not of %s", out.At.Format(time.RFC3339), in.AsOf.UTC().Format(time.RFC3339))
	}
	cfg.Region, cfg.Regions = out.Region, out.Regions
	if err := cfg.Validate(); err != nil {
		return out, err
	}
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
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
	if err := restoreStore(ctx, cfg, &in, root, &out, log); err != nil {
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
	if err := recordRestore(ctx, cfg, begun, log); err != nil {
		return out, err
	}
	if err := os.Rename(filepath.Join(cfg.Data, begunFile), filepath.Join(cfg.Data, stateFile)); err != nil {
		return out, err
	}
	return out, syncDir(cfg.Data)
}

// restoreStore fills the database in one transaction, which is committed only when
// what it holds passes the check.
func restoreStore(ctx context.Context, cfg config.Config, in *RestoreRequest, root seal.Provider, out *Restored, log *slog.Logger) (err error) {
	db, err := store.Open(ctx, store.Config{Dir: cfg.Data, URL: cfg.Database, Log: log})
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.Maintain(ctx, func(tx store.Tx) error {
		err := in.read(func(r io.Reader) (err error) {
			out.Summary, err = backup.Load(ctx, r, db, tx, root)
			return err
		})
		if err != nil {
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
		if out.Keys, err = iam.Revived(tx); err != nil {
			return err
		}
		if out.Kept = !in.AsOf.IsZero(); out.Kept {
			return nil
		}
		return iam.Quiet(tx)
	})
}

// recordRestore opens the restored server once, which proves that it opens, and
// makes this the first record of its audit chain.
func recordRestore(ctx context.Context, cfg config.Config, begun state, log *slog.Logger) (err error) {
	s, err := Open(ctx, Options{Config: cfg, Log: log, begun: begun})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close(ctx)) }()
	return s.registry.Background(ctx, iam.API.Name, "RestoreBackup", begun.Account, cfg.Region, func(context.Context) error { return nil })
}
