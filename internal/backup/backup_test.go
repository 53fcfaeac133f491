package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/keyring"
	"github.com/strongroom/strongroom/internal/store"
)

var sample = store.Table{Name: "things", Columns: []store.Column{{Name: "a", Type: "TEXT"}, {Name: "b", Type: "BIGINT"}, {Name: "c", Type: "BYTEA"}, {Name: "d", Type: "BOOLEAN"}}}

// stream is a whole backup without its encryption.
func stream(tb testing.TB) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := &writer{bufio.NewWriter(&b), sha256.New()}
	text, number, octets, yes := "text", int64(-2), []byte{0, 255}, true
	var row []byte
	for _, v := range []any{&text, &number, &octets, &yes} {
		row = appendValue(row, v)
	}
	_, err := w.Write([]byte(magic))
	err = errors.Join(err, w.json('H', Header{Account: "111122223333", At: time.Unix(1, 0).UTC()}),
		w.frame('K', append(make([]byte, 40), "id"...)), w.json('T', sample), w.frame('R', row), w.frame('R', row),
		w.frame('A', append(append(make([]byte, 9), 1), "fbytes"...)))
	err = errors.Join(err, w.frame('E', w.sum.Sum(nil)), w.w.Flush())
	if err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// kept is a sink that remembers.
type kept struct {
	keys []keyring.Bare
	rows [][]any
	file Piece
}

func (k *kept) key(b keyring.Bare) error { k.keys = append(k.keys, b); return nil }
func (k *kept) table(store.Table) error  { return nil }
func (k *kept) row(_ store.Table, v []any) error {
	k.rows = append(k.rows, v)
	return nil
}

func TestReadWhatWasWritten(t *testing.T) {
	var k kept
	got, err := read(bytes.NewReader(stream(t)), &k)
	if err != nil || got.Account != "111122223333" || got.Keys != 1 || got.Rows["things"] != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if want := `[text -2 [0 255] true]`; fmt.Sprint(k.rows[1]) != want {
		t.Errorf("row %v, want %s", k.rows[1], want)
	}
	if k.file.Name != "f" || string(k.file.Data) != "bytes" || got.AuditBytes != 5 {
		t.Errorf("file %+v", k.file)
	}
	if len(k.keys) != 1 || k.keys[0].ID != "id" {
		t.Errorf("keys %v", k.keys)
	}
}

func (k *kept) piece(p Piece) error { k.file = p; return nil }

// TestReadRefuses: the hash alone notices every cut and every changed bit, so that
// the proof does not rest on the encryption only.
func TestReadRefuses(t *testing.T) {
	good := stream(t)
	for i := range good {
		if _, err := Verify(bytes.NewReader(good[:i])); err == nil {
			t.Errorf("cut at %d: accepted", i)
		}
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			if _, err := Verify(bytes.NewReader(bad)); err == nil {
				t.Errorf("bit %d of byte %d: accepted", bit, i)
			}
		}
	}
	if _, err := Verify(bytes.NewReader(append(bytes.Clone(good), 0))); !errors.Is(err, ErrDamaged) {
		t.Errorf("a byte more: %v", err)
	}
}

// FuzzRead: whatever is read, a stream that is accepted ends where it says: no part
// of it and nothing longer is accepted as well.
func FuzzRead(f *testing.F) {
	good := stream(f)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte(magic + "H\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Verify(bytes.NewReader(b)); err != nil {
			return
		}
		for _, other := range [][]byte{b[:len(b)-1], append(bytes.Clone(b), 'x')} {
			if _, err := Verify(bytes.NewReader(other)); err == nil {
				t.Fatal("two ends are accepted")
			}
		}
	})
}
