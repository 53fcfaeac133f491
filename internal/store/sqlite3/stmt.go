package sqlite3

import (
	"fmt"
	"strconv"
	"strings"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// Type is the storage class of a value.
type Type int

// The storage classes of https://www.sqlite.org/datatype3.html.
const (
	Integer Type = lib.SQLITE_INTEGER
	Float   Type = lib.SQLITE_FLOAT
	Text    Type = lib.SQLITE_TEXT
	Blob    Type = lib.SQLITE_BLOB
	Null    Type = lib.SQLITE_NULL
)

// Stmt is one prepared statement of a connection.
type Stmt struct {
	c      *Conn
	handle uintptr
	// params maps SQLite's parameter index - 1 to the number after the $, less
	// one. SQLite treats $2 as a name and numbers by first appearance.
	params []int
	// args is the number of arguments the text asks for: its largest $n.
	args int
	// readOnly says that running the statement changes nothing.
	readOnly bool
	// declared holds the upper-case declared type of each result column, ""
	// for expressions.
	declared []string
}

func (c *Conn) prepare(text string) (*Stmt, error) {
	sql, err := cString(text)
	if err != nil {
		return nil, err
	}
	defer libc.Xfree(c.tls, sql)
	out, err := c.malloc(2 * pointerSize)
	if err != nil {
		return nil, err
	}
	defer libc.Xfree(c.tls, out)
	tail := out + uintptr(pointerSize)

	rc := lib.Xsqlite3_prepare_v3(c.tls, c.db, sql, int32(len(text))+1, lib.SQLITE_PREPARE_PERSISTENT, out, tail)
	if rc != lib.SQLITE_OK {
		return nil, c.failure(rc)
	}
	s := &Stmt{c: c, handle: pointerAt(out)}
	rest := libc.GoString(pointerAt(tail))
	if s.handle == 0 || strings.TrimRight(rest, "; \t\r\n") != "" {
		lib.Xsqlite3_finalize(c.tls, s.handle)
		return nil, fmt.Errorf("sqlite: not one single statement")
	}
	if err := s.describe(); err != nil {
		lib.Xsqlite3_finalize(c.tls, s.handle)
		return nil, err
	}
	return s, nil
}

// describe reads what never changes about the statement, so that running it
// needs no look-up by name.
func (s *Stmt) describe() error {
	n := lib.Xsqlite3_bind_parameter_count(s.c.tls, s.handle)
	s.params = make([]int, n)
	for i := range s.params {
		name := libc.GoString(lib.Xsqlite3_bind_parameter_name(s.c.tls, s.handle, int32(i)+1))
		number, err := strconv.Atoi(strings.TrimPrefix(name, "$"))
		if err != nil || number < 1 || name[0] != '$' {
			return fmt.Errorf("sqlite: parameter %q is not of the form $1", name)
		}
		s.params[i] = number - 1
		s.args = max(s.args, number)
	}
	s.readOnly = lib.Xsqlite3_stmt_readonly(s.c.tls, s.handle) != 0
	s.declared = make([]string, lib.Xsqlite3_column_count(s.c.tls, s.handle))
	for i := range s.declared {
		s.declared[i] = strings.ToUpper(libc.GoString(lib.Xsqlite3_column_decltype(s.c.tls, s.handle, int32(i))))
	}
	return nil
}

// Bind sets all arguments. Each is nil, string, []byte, int64 or bool; a nil
// []byte is NULL, an empty one is not. The number must be that of the text.
func (s *Stmt) Bind(args []any) error {
	if len(args) != s.args {
		return fmt.Errorf("sqlite: statement takes %d arguments, got %d", s.args, len(args))
	}
	size := 0
	for _, arg := range args {
		switch a := arg.(type) {
		case string:
			size += len(a)
		case []byte:
			size += len(a)
		}
	}
	// Even empty text needs an address: a null pointer would bind NULL.
	if err := s.c.reserve(size + 1); err != nil {
		return err
	}
	arena := libc.GoBytes(s.c.arena, s.c.arenaSize)
	used := 0
	for i, number := range s.params {
		tls, index := s.c.tls, int32(i)+1
		rc := int32(lib.SQLITE_OK)
		switch a := args[number].(type) {
		case nil:
			rc = lib.Xsqlite3_bind_null(tls, s.handle, index)
		case int64:
			rc = lib.Xsqlite3_bind_int64(tls, s.handle, index, a)
		case bool:
			var v int32
			if a {
				v = 1
			}
			rc = lib.Xsqlite3_bind_int(tls, s.handle, index, v)
		case string:
			// The last argument 0 is SQLITE_STATIC: the arena outlives the run.
			rc = lib.Xsqlite3_bind_text(tls, s.handle, index, s.c.arena+uintptr(used), int32(len(a)), 0)
			used += copy(arena[used:], a)
		case []byte:
			if a == nil {
				rc = lib.Xsqlite3_bind_null(tls, s.handle, index)
				break
			}
			rc = lib.Xsqlite3_bind_blob(tls, s.handle, index, s.c.arena+uintptr(used), int32(len(a)), 0)
			used += copy(arena[used:], a)
		default:
			return fmt.Errorf("sqlite: argument $%d has type %T", number+1, a)
		}
		if rc != lib.SQLITE_OK {
			return s.c.failure(rc)
		}
	}
	return nil
}

// Step advances to the next row and reports whether there is one.
func (s *Stmt) Step() (bool, error) {
	switch rc := lib.Xsqlite3_step(s.c.tls, s.handle); rc {
	case lib.SQLITE_ROW:
		return true, nil
	case lib.SQLITE_DONE:
		return false, nil
	default:
		return false, s.c.failure(rc)
	}
}

// Reset ends the run, so that the statement holds no lock. It returns nothing:
// sqlite3_reset only repeats the failure that Step has already reported.
func (s *Stmt) Reset() {
	lib.Xsqlite3_reset(s.c.tls, s.handle)
	if s.c.arenaSize > keepArena {
		s.c.freeArena()
	}
}

// ReadOnly reports whether running the statement changes nothing.
func (s *Stmt) ReadOnly() bool { return s.readOnly }

// Columns returns the number of result columns.
func (s *Stmt) Columns() int { return len(s.declared) }

// Declared returns the upper-case declared type of result column i, or "" when
// the column is an expression.
func (s *Stmt) Declared(i int) string { return s.declared[i] }

// Type returns the storage class of column i of the current row.
func (s *Stmt) Type(i int) Type {
	return Type(lib.Xsqlite3_column_type(s.c.tls, s.handle, int32(i)))
}

// Int64 returns column i of the current row, which must be an Integer.
func (s *Stmt) Int64(i int) int64 { return lib.Xsqlite3_column_int64(s.c.tls, s.handle, int32(i)) }

// Text returns a copy of column i of the current row, which must be Text.
func (s *Stmt) Text(i int) string {
	return string(s.bytes(lib.Xsqlite3_column_text(s.c.tls, s.handle, int32(i)), i))
}

// Blob returns a copy of column i of the current row, which must be a Blob. It
// is not nil when the value is empty: NULL is told apart by Type.
func (s *Stmt) Blob(i int) []byte {
	view := s.bytes(lib.Xsqlite3_column_blob(s.c.tls, s.handle, int32(i)), i)
	return append(make([]byte, 0, len(view)), view...)
}

// bytes views the value at p, which SQLite owns until the next step.
func (s *Stmt) bytes(p uintptr, i int) []byte {
	n := lib.Xsqlite3_column_bytes(s.c.tls, s.handle, int32(i))
	if p == 0 || n == 0 {
		return nil
	}
	return libc.GoBytes(p, int(n))
}
