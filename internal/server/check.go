package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"time"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/iam"
	"github.com/strongroom/strongroom/internal/keyring"
	"github.com/strongroom/strongroom/internal/kms"
	"github.com/strongroom/strongroom/internal/seal"
	"github.com/strongroom/strongroom/internal/secretsmanager"
	"github.com/strongroom/strongroom/internal/store"
)

// StoreReport is what a check of the whole store found.
type StoreReport struct {
	Engine string `json:"engine"`
	// At is the moment that the check looked at.
	At   time.Time        `json:"at"`
	Rows map[string]int64 `json:"rows"`
	// Faults are the first of Found.
	Faults []store.Fault    `json:"faults"`
	Found  int64            `json:"found"`
	Notes  map[string]int64 `json:"notes"`
}

// OK reports whether the store is what it must be.
func (r *StoreReport) OK() bool { return r.Found == 0 }

// CheckStore proves the store of a stopped server: it needs the database and the
// root key and nothing else, so that damage which keeps a server from starting is
// found as well.
func CheckStore(ctx context.Context, cfg config.Config, log *slog.Logger) (_ StoreReport, err error) {
	root, err := seal.OpenFile(filepath.Join(cfg.Data, RootKeyFile))
	if err != nil {
		return StoreReport{}, err
	}
	db, done, err := OpenStore(ctx, cfg, log)
	if err != nil {
		return StoreReport{}, err
	}
	defer func() { err = errors.Join(err, done()) }()
	return checkStore(ctx, db, root)
}

// CheckStore proves the store while the server runs, as it was at one moment.
func (s *Server) CheckStore(ctx context.Context) (StoreReport, error) {
	root, err := seal.OpenFile(filepath.Join(s.config.Data, RootKeyFile))
	if err != nil {
		return StoreReport{}, err
	}
	return checkStore(ctx, s.db, root)
}

// checkStore looks at everything in one snapshot.
func checkStore(ctx context.Context, db *store.DB, root seal.Provider) (StoreReport, error) {
	var in store.Inspection
	var at time.Time
	err := db.Read(ctx, func(tx store.Tx) error {
		in, at = store.Inspection{}, tx.Now() // It may run more than once.
		return inspect(ctx, &in, db, tx, root)
	})
	report := StoreReport{Engine: db.Engine(), At: at, Rows: in.Rows, Faults: in.Faults, Found: in.Found, Notes: in.Notes}
	if report.Faults == nil {
		report.Faults = []store.Fault{}
	}
	return report, err
}

// inspect asks every part about its own tables.
func inspect(ctx context.Context, in *store.Inspection, db *store.DB, tx store.Tx, root seal.Provider) error {
	if err := db.InspectPages(in, tx); err != nil {
		return err
	}
	keys, err := keyring.Inspect(ctx, in, tx, root)
	if err != nil {
		return fmt.Errorf("open keyring: %w", err)
	}
	defer keys.Close()
	if err := audit.Inspect(in, tx, keys); err != nil {
		return err
	}
	if err := inspectDeployment(in, tx, keys); err != nil {
		return err
	}
	if err := iam.Inspect(in, tx, keys); err != nil {
		return err
	}
	materials, err := kms.Inspect(in, tx, keys)
	if err != nil {
		return err
	}
	defer materials.Close()
	return secretsmanager.Inspect(in, tx, materials, func(err error) bool { return errors.Is(err, kms.ErrGone) })
}

// checkOperator answers the command while this process keeps everybody else out of
// the database. What keeps the check from ending is told to the operator whole:
// nobody else can ask.
func (s *Server) checkOperator(w http.ResponseWriter, r *http.Request) {
	// A large store takes longer than a request of the API may. The deadline for
	// reading would end the request's context.
	control := http.NewResponseController(w)
	if err := errors.Join(control.SetReadDeadline(time.Time{}), control.SetWriteDeadline(time.Time{})); err != nil {
		s.operatorAnswer(w, nil, err)
		return
	}
	report, err := s.CheckStore(r.Context())
	if err != nil {
		writeAnswer(w, http.StatusInternalServerError, operatorError{err.Error()})
		return
	}
	writeAnswer(w, http.StatusOK, report)
}
