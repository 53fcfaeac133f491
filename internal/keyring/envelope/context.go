package envelope

import (
	"encoding/binary"
	"slices"
)

// Context encodes an encryption context: pairs sorted by the bytes of their
// keys, each text after its length in four bytes, nothing at all for an empty or
// absent context (spec kms.md 5.1). Equal contexts, and only they, give equal
// bytes. That keys are distinct is the map's doing; a wire decoder must refuse
// repeated ones before they get here.
func Context(pairs map[string]string) []byte {
	if len(pairs) == 0 {
		return nil
	}
	// Contexts of Strongroom's own have two pairs; eight fit without the heap.
	var room [8]string
	keys := room[:0]
	size := 0
	for k, v := range pairs {
		keys = append(keys, k)
		size += 8 + len(k) + len(v)
	}
	slices.Sort(keys)
	out := make([]byte, 0, size)
	for _, k := range keys {
		out = AppendText(AppendText(out, k), pairs[k])
	}
	return out
}

// AppendText appends text after its length in four bytes. Additional data made
// of several texts uses it so that no two lists of texts give the same bytes.
func AppendText[T ~string | ~[]byte](dst []byte, text T) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(text)))
	return append(dst, text...)
}
