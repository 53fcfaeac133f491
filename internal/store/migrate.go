package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// migration is one file NNNN_slice_noun.sql.
type migration struct {
	number int64
	name   string
	text   string
	// version is the store version this migration demands of every release
	// that opens the store afterwards. It is 1 unless the file says
	// "-- store version: N", which one does that takes away what older
	// releases need. All others only add, so that the previous release still
	// runs beside the new one (expand, deploy, contract).
	version int64
}

var (
	migrationName    = regexp.MustCompile(`^(\d{4})_([a-z0-9_]+)\.sql$`)
	migrationVersion = regexp.MustCompile(`(?m)^-- store version: (\d{1,9})$`)
	deferrable       = regexp.MustCompile(`(?i)\b(DEFERRABLE|DEFERRED)\b`)
)

// loadMigrations reads the files and orders them by number. Numbers may have
// gaps.
func loadMigrations(files fs.FS) ([]migration, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	var list []migration
	for _, name := range names {
		parts := migrationName.FindStringSubmatch(name)
		if parts == nil {
			return nil, fmt.Errorf("migration %s: name is not NNNN_slice_noun.sql", name)
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		m := migration{name: parts[2], text: string(text), version: 1}
		if m.number, err = strconv.ParseInt(parts[1], 10, 64); err != nil {
			return nil, err
		}
		if v := migrationVersion.FindStringSubmatch(m.text); v != nil {
			if m.version, err = strconv.ParseInt(v[1], 10, 64); err != nil {
				return nil, err
			}
		}
		// A deferred constraint fails at COMMIT, where one caller's mistake
		// would take those down who share the commit.
		if deferrable.MatchString(m.text) {
			return nil, fmt.Errorf("migration %s: deferrable constraint", name)
		}
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b migration) int { return int(a.number - b.number) })
	for i := 1; i < len(list); i++ {
		if list[i].number == list[i-1].number {
			return nil, fmt.Errorf("migration number %04d is taken twice: %s, %s",
				list[i].number, list[i-1].name, list[i].name)
		}
	}
	return list, nil
}

// createMigrations is the runner's own table. Its form never changes, since any
// release must be able to read it before it decides anything.
const createMigrations = `
CREATE TABLE IF NOT EXISTS store_migrations (
    number     BIGINT NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL,
    version    BIGINT NOT NULL,
    applied_at BIGINT NOT NULL
)`

// maxRaces bounds how often migrate starts over because another node migrates
// the same database.
const maxRaces = 100

// migrate applies what is missing, in order of number, each in a transaction of
// its own. Several nodes may do so at once: each transaction claims its number
// first, so a node that comes second waits there, fails, and looks again.
func migrate(ctx context.Context, e engine, list []migration) error {
	var err error
	for range maxRaces {
		err = migrateOnce(ctx, e, list)
		if err == nil || !errors.Is(err, errRace) && !retriable(err) {
			return err
		}
		if err := pause(ctx, 5*time.Millisecond+rand.N(45*time.Millisecond)); err != nil {
			return err
		}
	}
	return err
}

// errRace says that another node made the same change first.
var errRace = errors.New("another node migrates")

// asRace marks the failure of a statement that two nodes may run at once. The
// text of a migration is none: it runs only after its number was claimed.
func asRace(err error) error {
	state := sqlState(err)
	if IsUnique(err) || state == stateDuplicateTable || state == stateDuplicateObject {
		return fmt.Errorf("%w: %w", errRace, err)
	}
	return err
}

func migrateOnce(ctx context.Context, e engine, list []migration) error {
	applied := make(map[int64]string)
	var version int64
	err := e.migrate(ctx, func(t *txn, script func(string) error) error {
		if err := script(createMigrations); err != nil {
			return asRace(err)
		}
		var err error
		version, err = readMigrations(t, applied)
		return err
	})
	if err != nil {
		return err
	}

	if understood := understood(list); version > understood {
		return &hintError{
			err: fmt.Errorf("%w: store version %d, this release understands up to %d", ErrNewer, version, understood),
			hint: "start the release that last ran on this data, or a later one; " +
				"to go back, restore a backup made before the upgrade",
		}
	}
	for _, m := range list {
		name, done := applied[m.number]
		if done && name != m.name {
			return fmt.Errorf("migration %04d is %s in the store and %s in this release", m.number, name, m.name)
		}
		if done {
			continue
		}
		if err := e.migrate(ctx, m.apply); err != nil {
			return fmt.Errorf("migration %04d_%s: %w", m.number, m.name, err)
		}
	}
	return nil
}

// understood is the highest store version that a release with these migrations
// understands.
func understood(list []migration) int64 {
	v := int64(1)
	for _, m := range list {
		v = max(v, m.version)
	}
	return v
}

// readMigrations fills applied and returns the store version.
func readMigrations(t *txn, applied map[int64]string) (version int64, err error) {
	rows, err := t.Query(`SELECT number, name, version FROM store_migrations`)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var number, v int64
		var name string
		if err := rows.Scan(&number, &name, &v); err != nil {
			return 0, err
		}
		applied[number] = name
		version = max(version, v)
	}
	return version, rows.Err()
}

func (m migration) apply(t *txn, script func(string) error) error {
	_, err := t.Exec(`INSERT INTO store_migrations (number, name, version, applied_at) VALUES ($1, $2, $3, $4)`,
		m.number, m.name, m.version, t.Now().UnixMicro())
	if err != nil {
		return asRace(err)
	}
	return script(m.text)
}

// collate makes the TEXT columns of a migration compare bytewise on PostgreSQL,
// whose databases otherwise follow a language's order: then a list would come
// in another order than on SQLite, and keyset paging, which compares with the
// last row seen, would depend on the server's locale. Comments, quoted text and
// CAST (… AS TEXT) are left alone.
func collate(text string) string {
	var out strings.Builder
	previous := ""
	for len(text) > 0 {
		n := token(text)
		word := text[:n]
		out.WriteString(word)
		switch {
		case strings.EqualFold(word, "TEXT") && !strings.EqualFold(previous, "AS"):
			out.WriteString(` COLLATE "C"`)
			previous = word
		case strings.TrimSpace(word) != "" && !strings.HasPrefix(word, "--") && !strings.HasPrefix(word, "/*"):
			previous = word
		}
		text = text[n:]
	}
	return out.String()
}

// token returns the length of the comment, quoted text, word, or single other
// byte at the start of SQL text.
func token(text string) int {
	until := func(from int, end string) int {
		if i := strings.Index(text[from:], end); i >= 0 {
			return from + i + len(end)
		}
		return len(text)
	}
	switch c := text[0]; {
	case strings.HasPrefix(text, "--"):
		return until(2, "\n")
	case strings.HasPrefix(text, "/*"):
		return until(2, "*/")
	case c == '\'' || c == '"':
		// A doubled quote inside reads as two quoted texts in a row, which
		// comes to the same.
		return until(1, string(c))
	case isWord(c):
		n := 1
		for n < len(text) && isWord(text[n]) {
			n++
		}
		return n
	}
	return 1
}

func isWord(c byte) bool {
	return c == '_' || c == '$' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// pause waits for d, or returns why ctx ended.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// retriable reports whether the transaction can run again: the database asks for
// it (serialisation failure, deadlock), or it is certain that nothing of it was
// committed. Nothing else counts (security invariant 5 of the design: applied
// once).
func retriable(err error) bool {
	if errors.Is(err, errNotSent) || errors.Is(err, errVoided) {
		return true
	}
	state := sqlState(err)
	return state == stateSerializationFailure || state == stateDeadlock
}
