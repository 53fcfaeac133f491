package seal

import (
	"bytes"
	"testing"
)

// FuzzDecode: a root-key file is refused with a reason, or is the one text of its key.
func FuzzDecode(f *testing.F) {
	good := encode(bytes.Repeat([]byte{7}, keySize))
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(good[:10])
	f.Add(bytes.ToUpper(good))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, text []byte) {
		key, why := decode(text)
		if (key == nil) == (why == "") {
			t.Fatalf("%d bytes of a key, %q", len(key), why)
		}
		if key != nil && !bytes.Equal(bytes.TrimSuffix(encode(key), []byte("\n")), bytes.TrimSuffix(text, []byte("\n"))) {
			t.Fatalf("%q is another spelling", text)
		}
	})
}
