package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"time"

	"github.com/strongroom/strongroom/internal/backup"
	"github.com/strongroom/strongroom/internal/iam"
	"github.com/strongroom/strongroom/internal/seal"
)

// BackupRequest says who may read a backup: age recipients, or whoever knows a
// passphrase.
type BackupRequest struct {
	Recipients []string `json:"recipients,omitempty"`
	Passphrase string   `json:"passphrase,omitempty"`
	Release    string   `json:"release"` // of the command, for whoever restores
	// NoAudit leaves the audit record out.
	NoAudit bool `json:"noAudit,omitempty"`
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
		record := s.auditFiles
		if in.NoAudit {
			record = nil
		}
		out, err = backup.Write(ctx, sealed, s.db, root, backup.Header{Account: st.Account, Region: s.config.Region, Regions: s.config.Regions, Release: in.Release}, record)
		if err != nil {
			return err // The stream stays without its end, and is refused for that.
		}
		return sealed.Close()
	})
	return out, err
}

// auditFiles are what a backup holds of the audit record: what is on disk of it.
func (s *Server) auditFiles(done map[string]int64, most int) ([]backup.Piece, error) {
	pieces, err := s.audit.Durable(done, most)
	var out []backup.Piece
	for _, p := range pieces {
		out = append(out, backup.Piece(p))
	}
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
