package wire

import (
	"bytes"
	"sync"
)

const (
	initialBuffer = 4 << 10
	// keptBuffer bounds what waits in the pool after an unusually large call.
	keptBuffer = 64 << 10
)

var bufferPool = sync.Pool{New: func() any { return bytes.NewBuffer(make([]byte, 0, initialBuffer)) }}

func getBuffer() *bytes.Buffer { return bufferPool.Get().(*bytes.Buffer) }

// putBuffer wipes a buffer, because requests and answers hold secret values, and
// keeps it for the next call. Nothing may refer to its bytes any more.
func putBuffer(b *bytes.Buffer) {
	clear(b.Bytes())
	if b.Cap() > keptBuffer {
		return
	}
	b.Reset()
	bufferPool.Put(b)
}
