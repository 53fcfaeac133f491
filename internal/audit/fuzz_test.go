package audit

import (
	"bytes"
	"os"
	"testing"
)

// FuzzVerify puts any bytes in the place of a segment: the chain holds with those that
// were there, and with no others. Zeros behind them are room that was taken ahead, and
// the trailer may be missing, as after a crash: the heads say where the chain ends.
func FuzzVerify(f *testing.F) {
	b := chain(f, 1)
	paths := b.segments()
	path := paths[len(paths)-1]
	good := b.read(path)
	open := good[:bytes.LastIndexByte(good[:len(good)-1], '\n')+1]
	f.Add(good)
	f.Add(open)
	f.Add(good[:len(good)/2])
	f.Add(append(bytes.Clone(good), 0))
	f.Add(bytes.Replace(good, []byte(`"`), []byte(`'`), 1))
	f.Add(append(bytes.Clone(good), good...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, segment []byte) {
		if err := os.WriteFile(path, segment, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Verify(t.Context(), Source{Dir: b.dir(), Node: testNode})
		if err != nil {
			return // Not to be read at all.
		}
		text := bytes.TrimRight(segment, "\x00")
		if same := bytes.Equal(text, good) || bytes.Equal(text, open); r.OK() != same {
			t.Fatalf("whole %v, same %v: %v %v\n%q", r.OK(), same, r.Broken, r.Gaps, segment)
		}
	})
}
