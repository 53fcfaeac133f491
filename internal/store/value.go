package store

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/strongroom/strongroom/internal/store/sqlite3"
)

var (
	errText = errors.New("store: text argument is not UTF-8 without NUL")
	errNull = errors.New("NULL into a destination that can't hold it")
)

// scanError is a destination that does not fit its column. The transaction is
// none the worse for it.
type scanError struct {
	column int
	err    error
}

func (e *scanError) Error() string {
	return fmt.Sprintf("store: scan column %d: %v", e.column+1, e.err)
}
func (e *scanError) Unwrap() error { return e.err }

// plainArgs turns arguments into nil, string, []byte, int64 and bool, the types
// that both engines take alike, and refuses the rest. args is not changed.
func plainArgs(args []any) ([]any, error) {
	out := args
	for i, arg := range args {
		plain, err := plainArg(arg)
		if err != nil {
			return nil, fmt.Errorf("%w ($%d)", err, i+1)
		}
		if isPlain(arg) {
			continue
		}
		if &out[0] == &args[0] {
			out = append([]any(nil), args...)
		}
		out[i] = plain
	}
	return out, nil
}

func isPlain(arg any) bool {
	switch arg.(type) {
	case nil, string, []byte, int64, bool:
		return true
	}
	return false
}

func plainArg(arg any) (any, error) {
	switch a := arg.(type) {
	case nil, []byte, int64, bool:
		return arg, nil
	case string:
		// PostgreSQL refuses both; SQLite would store them.
		if !utf8.ValidString(a) || strings.IndexByte(a, 0) >= 0 {
			return nil, errText
		}
		return arg, nil
	case int:
		return int64(a), nil
	case driver.Valuer:
		v, err := a.Value()
		if err != nil {
			return nil, err
		}
		if _, again := v.(driver.Valuer); again {
			return nil, fmt.Errorf("store: %T yields a driver.Valuer", arg)
		}
		return plainArg(v)
	}
	v := reflect.ValueOf(arg)
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil, nil
		}
		return plainArg(v.Elem().Interface())
	case reflect.String:
		return plainArg(v.String())
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int(), nil
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return int64(v.Uint()), nil
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return v.Bytes(), nil
		}
	}
	return nil, fmt.Errorf("store: argument of type %T", arg)
}

// scanRow copies the columns of a statement's current row to dest.
func scanRow(s *sqlite3.Stmt, dest []any) error {
	if len(dest) != s.Columns() {
		return &scanError{err: fmt.Errorf("%d columns into %d destinations", s.Columns(), len(dest))}
	}
	for i, d := range dest {
		if err := scanColumn(s, i, d); err != nil {
			return &scanError{column: i, err: err}
		}
	}
	return nil
}

// scanColumn is as strict as PostgreSQL's binary protocol: text is no number,
// a BOOLEAN no integer, and NULL only goes where NULL fits.
func scanColumn(s *sqlite3.Stmt, i int, dest any) error {
	storage := s.Type(i)
	switch d := dest.(type) {
	case *string:
		if storage == sqlite3.Text {
			*d = s.Text(i)
			return nil
		}
	case *int64:
		if storage == sqlite3.Integer && s.Declared(i) != "BOOLEAN" {
			*d = s.Int64(i)
			return nil
		}
	case *bool:
		if storage == sqlite3.Integer && s.Declared(i) != "BIGINT" {
			*d = s.Int64(i) != 0
			return nil
		}
	case *[]byte:
		switch storage {
		case sqlite3.Blob:
			*d = s.Blob(i)
			return nil
		case sqlite3.Null:
			*d = nil
			return nil
		}
	case sql.Scanner:
		return scanScanner(s, i, storage, d)
	}
	return scanReflected(s, i, storage, dest)
}

// scanScanner gives a sql.Scanner what database/sql would.
func scanScanner(s *sqlite3.Stmt, i int, storage sqlite3.Type, d sql.Scanner) error {
	switch storage {
	case sqlite3.Null:
		return d.Scan(nil)
	case sqlite3.Text:
		return d.Scan(s.Text(i))
	case sqlite3.Blob:
		return d.Scan(s.Blob(i))
	case sqlite3.Integer:
		if s.Declared(i) == "BOOLEAN" {
			return d.Scan(s.Int64(i) != 0)
		}
		return d.Scan(s.Int64(i))
	}
	return fmt.Errorf("%s into %T", storageName(storage), d)
}

// scanReflected handles pointers for NULL, the smaller integers and named types.
func scanReflected(s *sqlite3.Stmt, i int, storage sqlite3.Type, dest any) error {
	p := reflect.ValueOf(dest)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return fmt.Errorf("destination of type %T", dest)
	}
	v := p.Elem()
	if v.Kind() == reflect.Pointer {
		if storage == sqlite3.Null {
			v.SetZero()
			return nil
		}
		fresh := reflect.New(v.Type().Elem())
		if err := scanColumn(s, i, fresh.Interface()); err != nil {
			return err
		}
		v.Set(fresh)
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		if storage == sqlite3.Text {
			v.SetString(s.Text(i))
			return nil
		}
	case reflect.Bool:
		if storage == sqlite3.Integer && s.Declared(i) != "BIGINT" {
			v.SetBool(s.Int64(i) != 0)
			return nil
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if storage != sqlite3.Integer || s.Declared(i) == "BOOLEAN" {
			break
		}
		n := s.Int64(i)
		if v.OverflowInt(n) {
			return fmt.Errorf("%d overflows %s", n, v.Type())
		}
		v.SetInt(n)
		return nil
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		if storage != sqlite3.Integer || s.Declared(i) == "BOOLEAN" {
			break
		}
		n := s.Int64(i)
		if n < 0 || n > math.MaxUint32 || v.OverflowUint(uint64(n)) {
			return fmt.Errorf("%d overflows %s", n, v.Type())
		}
		v.SetUint(uint64(n))
		return nil
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Uint8 {
			break
		}
		switch storage {
		case sqlite3.Blob:
			v.SetBytes(s.Blob(i))
			return nil
		case sqlite3.Null:
			v.SetZero()
			return nil
		}
	}
	if storage == sqlite3.Null {
		return errNull
	}
	return fmt.Errorf("%s into %T", storageName(storage), dest)
}

func storageName(t sqlite3.Type) string {
	switch t {
	case sqlite3.Integer:
		return "integer"
	case sqlite3.Float:
		return "float"
	case sqlite3.Text:
		return "text"
	case sqlite3.Blob:
		return "bytes"
	}
	return "NULL"
}
