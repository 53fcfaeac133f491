package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/strongroom/strongroom/internal/backup"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/ship"
	"github.com/strongroom/strongroom/internal/store"
)

// Known is what there is in a store that somebody may have taken away since: access
// keys, users, roles, secrets and KMS keys.
type Known struct {
	// At is its moment.
	At    time.Time
	items map[item]facts
	// names are of users, by account and unique id.
	names map[string]string
}

// item is a thing by what it never changes.
type item struct{ kind, id string }

// facts are what may have changed of an item.
type facts struct {
	account, name string
	// usable says that it works: a key is active, a secret not deleted.
	usable bool
	// state is compared as it is: a version, a state's name.
	state string
	// voided is when sessions were last voided, in microseconds.
	voided int64
	// owner is the user of an access key, by unique id.
	owner string
}

// Revival is something that a restore brings back although a newer state has taken it
// away, or puts back to what it was.
type Revival struct {
	Kind    string `json:"kind"`
	Account string `json:"account"`
	Name    string `json:"name"`
	// Since is what happened to it in the newer state.
	Since string `json:"since"`
}

// The kinds of items.
const (
	kindAccessKey = "access key"
	kindUser      = "user"
	kindRole      = "role"
	kindSecret    = "secret"
	kindKMSKey    = "KMS key"
)

// knownColumns are what is read of each table.
var knownColumns = map[string][]string{
	"iam_access_keys": {"account", "key_id", "user_id", "active"},
	"iam_users":       {"account", "id", "name", "sessions_after"},
	"iam_roles":       {"account", "id", "name", "sessions_after"},
	"secrets":         {"account", "region", "uid", "name", "current_version", "changed_at", "deleted_at"},
	"kms_keys":        {"account", "region", "id", "state"},
}

func newKnown(at time.Time) *Known {
	return &Known{At: at, items: make(map[item]facts), names: make(map[string]string)}
}

// add notes a row; v are the table's columns of knownColumns, in their order.
func (k *Known) add(table string, v []any) {
	text := func(i int) string { s, _ := v[i].(string); return s }
	number := func(i int) int64 { n, _ := v[i].(int64); return n }
	switch table {
	case "iam_access_keys":
		active, _ := v[3].(bool)
		k.items[item{kindAccessKey, text(1)}] = facts{account: text(0), name: text(1), usable: active, owner: text(2)}
	case "iam_users":
		k.items[item{kindUser, text(0) + " " + text(1)}] = facts{account: text(0), name: text(2), usable: true, voided: number(3)}
		k.names[text(0)+" "+text(1)] = text(2)
	case "iam_roles":
		k.items[item{kindRole, text(0) + " " + text(1)}] = facts{account: text(0), name: text(2), usable: true, voided: number(3)}
	case "secrets":
		k.items[item{kindSecret, text(0) + " " + text(1) + " " + text(2)}] = facts{account: text(0), name: text(3) + " (" + text(1) + ")",
			usable: number(6) == 0, state: text(4) + fmt.Sprintf(" %d", number(5))}
	case "kms_keys":
		k.items[item{kindKMSKey, text(0) + " " + text(1) + " " + text(2)}] = facts{account: text(0), name: text(2) + " (" + text(1) + ")", usable: true, state: text(3)}
	}
}

// knownOf reads a store.
func knownOf(db *store.DB, tx store.Tx) (*Known, error) {
	k := newKnown(tx.Now())
	tables, err := db.Tables(tx)
	if err != nil {
		return nil, err
	}
	for _, t := range tables {
		columns := knownColumns[t.Name]
		if columns == nil {
			continue
		}
		if err := k.readTable(tx, t, columns); err != nil {
			return nil, fmt.Errorf("read %s: %w", t.Name, err)
		}
	}
	return k, nil
}

func (k *Known) readTable(tx store.Tx, t store.Table, columns []string) error {
	rows, err := tx.Query(`SELECT ` + strings.Join(columns, ", ") + ` FROM ` + t.Name)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		dest := make([]any, len(columns))
		for i, name := range columns {
			switch columnType(t, name) {
			case "BIGINT":
				dest[i] = new(int64)
			case "BOOLEAN":
				dest[i] = new(bool)
			default:
				dest[i] = new(string)
			}
		}
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		for i := range dest {
			switch p := dest[i].(type) {
			case *int64:
				dest[i] = *p
			case *bool:
				dest[i] = *p
			case *string:
				dest[i] = *p
			}
		}
		k.add(t.Name, dest)
	}
	return rows.Err()
}

func columnType(t store.Table, name string) string {
	for _, c := range t.Columns {
		if c.Name == name {
			return c.Type
		}
	}
	return ""
}

// knownIn reads a backup.
func knownIn(from io.Reader) (*Known, error) {
	k := newKnown(time.Time{})
	summary, err := backup.Rows(from, func(table string) bool { return knownColumns[table] != nil }, func(t store.Table, values []any) error {
		columns := knownColumns[t.Name]
		v := make([]any, len(columns))
		for i, name := range columns {
			at := slices.IndexFunc(t.Columns, func(c store.Column) bool { return c.Name == name })
			if at < 0 {
				return fmt.Errorf("the newer state has no %s of %s: it is of another release", name, t.Name)
			}
			v[i] = values[at]
		}
		k.add(t.Name, v)
		return nil
	})
	k.At = summary.At
	return k, err
}

// compare lists what of an older state a newer one has taken away or changed.
func compare(older, newer *Known) []Revival {
	out := []Revival{}
	for i, was := range older.items {
		is, there := newer.items[i]
		since := ""
		switch {
		case !was.usable:
			continue // It brings nothing back that works.
		case !there && i.kind == kindKMSKey:
			since = "destroyed: what it encrypted can be decrypted again"
		case !there:
			since = "deleted"
		case !is.usable && i.kind == kindAccessKey:
			since = "made inactive"
		case !is.usable:
			since = "deleted, and can be restored until its recovery window ends"
		case is.voided > was.voided:
			since = "sessions revoked at " + time.UnixMicro(is.voided).UTC().Format(time.RFC3339)
		case is.state != was.state && i.kind == kindKMSKey:
			since = fmt.Sprintf("made %s; it is %s here", is.state, was.state)
		case is.state != was.state:
			since = changedSince(was.state, is.state)
		default:
			continue
		}
		name := was.name
		if i.kind == kindAccessKey {
			owner := older.names[was.account+" "+was.owner]
			name += " of " + cmp.Or(owner, "the root user")
		}
		out = append(out, Revival{i.kind, was.account, name, since})
	}
	slices.SortFunc(out, func(a, b Revival) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Account, b.Account), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// changedSince tells a secret's new value from a change of what surrounds it.
func changedSince(was, is string) string {
	before, _, _ := strings.Cut(was, " ")
	after, _, _ := strings.Cut(is, " ")
	if before != after {
		return "given another value"
	}
	return "changed"
}

// NewerRequest names a newer state.
type NewerRequest struct {
	// Name is a data directory, a postgres:// URL, a target (a directory, or
	// s3://bucket/prefix) or a backup.
	Name string
	// Target opens a bucket.
	Target func() (ship.Target, error)
	// Running asks the server that runs on a data directory for a backup to the given
	// recipient.
	Running func(ctx context.Context, dir, recipient string) (io.ReadCloser, error)
	// Identities open backups and targets.
	Identities backup.Identities
	Getenv     func(string) string
}

// ErrNotRunning is what NewerRequest.Running answers where no server runs.
var ErrNotRunning = errors.New("no server runs there")

// ReadNewer reads a newer state. Nothing is changed in it.
func ReadNewer(ctx context.Context, in NewerRequest, log *slog.Logger) (*Known, error) {
	switch {
	case strings.HasPrefix(in.Name, "postgres://"), strings.HasPrefix(in.Name, "postgresql://"):
		return knownAt(ctx, store.Config{URL: in.Name, Log: log, AsIs: true})
	case strings.HasPrefix(in.Name, "s3://"):
		target, err := in.Target()
		if err != nil {
			return nil, err
		}
		return knownShipped(ctx, target, in.Identities)
	}
	info, err := os.Stat(in.Name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		f, err := os.Open(in.Name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return knownBackup(f, in.Identities)
	}
	if _, err := readState(in.Name); err != nil {
		return knownShipped(ctx, ship.Directory(in.Name), in.Identities)
	}
	recipient, own, err := backup.Once()
	if err != nil {
		return nil, err
	}
	body, err := in.Running(ctx, in.Name, recipient)
	if err == nil {
		defer body.Close()
		return knownBackup(body, own)
	}
	if !errors.Is(err, ErrNotRunning) {
		return nil, err
	}
	cfg, err := config.Load(in.Name, in.Getenv, nil)
	if err != nil {
		return nil, err
	}
	return knownAt(ctx, store.Config{Dir: in.Name, URL: cfg.Database, Log: log, AsIs: true})
}

func knownBackup(from io.Reader, ids backup.Identities) (*Known, error) {
	r, err := backup.Decrypt(from, ids)
	if err != nil {
		return nil, err
	}
	return knownIn(r)
}

// knownAt reads a store that is there.
func knownAt(ctx context.Context, c store.Config) (k *Known, err error) {
	db, err := store.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.Read(ctx, func(tx store.Tx) (err error) {
		k, err = knownOf(db, tx)
		return err
	})
	return k, err
}

// knownShipped reads the last state that was shipped.
func knownShipped(ctx context.Context, t ship.Target, ids backup.Identities) (*Known, error) {
	plan, err := ship.Prove(ctx, t, ids, time.Time{})
	if err != nil {
		return nil, err
	}
	defer plan.Close()
	return knownOfPlan(ctx, plan)
}

// knownOfPlan reads the state of a moment, in a folder that goes again.
func knownOfPlan(ctx context.Context, plan *ship.Plan) (_ *Known, err error) {
	dir, err := os.MkdirTemp("", "strongroom-newer-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := plan.WriteDatabase(ctx, store.DatabasePath(dir)); err != nil {
		return nil, err
	}
	k, err := knownAt(ctx, store.Config{Dir: dir, AsIs: true})
	if err == nil {
		k.At = plan.At
	}
	return k, err
}
