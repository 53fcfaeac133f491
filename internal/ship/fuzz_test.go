package ship

import (
	"bytes"
	"errors"
	"testing"
)

// FuzzName: an object's name says what it is in one way only.
func FuzzName(f *testing.F) {
	const stream = "20260102T030405.000000Z-abcdefgh"
	for _, s := range []string{objectName(stream, kindLog, 7), partName(stream, 7, 2), stream + "/log-7", stream + "/base-000000000001.-00001", stream + "/-", "x/log-000000000001", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		kind, n, part, ok := parseName(stream, name)
		if !ok {
			return
		}
		again := objectName(stream, kind, n)
		if part >= 0 {
			again = partName(stream, n, part)
		}
		if again != name {
			t.Fatalf("%q is %s %d %d, which is %q", name, kind, n, part, again)
		}
	})
}

// FuzzObjects: what was shipped and is read back is whole or damaged, and nothing of it
// is outside of what it says it holds.
func FuzzObjects(f *testing.F) {
	var b bytes.Buffer
	page := bytes.Repeat([]byte{7}, 512)
	if err := writeLog(&b, &segment{PageSize: 512, Until: 9}, []commit{{at: 3, pages: 2, frames: []frame{{page: 1, data: page}, {page: 2, data: page}}}, {at: 9, pages: 2, frames: []frame{{page: 1, data: page}}}}, false); err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.Clone(b.Bytes()))
	f.Add(b.Bytes()[:b.Len()/2])
	b.Reset()
	if err := writeAudit(&b, &segment{}, []Piece{{Name: "a", Offset: 5, Data: []byte("x")}}); err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.Clone(b.Bytes()))
	f.Fuzz(func(t *testing.T, plain []byte) {
		h, err := readLog(plain, func(c *commit) error {
			for _, x := range c.frames {
				if x.page == 0 || len(x.data) < 512 || len(x.data) > 1<<16 {
					t.Fatalf("page %d of %d bytes", x.page, len(x.data))
				}
			}
			return nil
		})
		if err == nil && (h.PageSize < 512 || h.PageSize > 1<<16) || err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatalf("%+v %v", h, err)
		}
		_, err = readAudit(plain, func(p Piece) error {
			if p.Offset < 0 || len(p.Name) > 256 {
				t.Fatalf("%+v", p)
			}
			return nil
		})
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
	})
}
