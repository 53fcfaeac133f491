package ship

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// A log object, inside its seal: the line "strongroom log v1", a header in JSON after
// its length in four bytes, and, deflated, commits followed by the letter E:
//
//	C  when in microseconds (8 bytes), pages of the database (4), frames (4); each
//	   frame: page number (4), 0 for the page or 1 for its difference (exclusive or)
//	   from the image of the same page before it in this object, the bytes
//
// All numbers are big-endian. An audit object has the same form with pieces of files:
//
//	F  offset (8), length of the name (4), length (4), name, bytes
const (
	logMagic   = "strongroom log v1\n"
	auditMagic = "strongroom audit v1\n"
)

// segment is the header of a log or audit object.
type segment struct {
	Number uint64 `json:"number"`
	// Prev is the SHA-256 of the object before it, "" for the first.
	Prev string `json:"prev"`
	// Gap says that commits are missing between that one and this.
	Gap      bool `json:"gap,omitempty"`
	PageSize int  `json:"pageSize,omitempty"`
	// Until is a moment, in microseconds: commits up to it are in this object or
	// before, later ones behind it.
	Until int64 `json:"until"`
	// Audit is, in a log object, how many audit objects there are at least.
	Audit uint64 `json:"audit,omitempty"`
	// Unsure is set where the moments of some commits are not known, since the
	// machine stopped before they were written down: they happened after it, and are
	// taken to have happened when the server was back.
	Unsure int64 `json:"unsure,omitempty"`
}

// commit is a transaction.
type commit struct {
	at     int64
	pages  uint32
	frames []frame
}

// maxPlain bounds what an object may unfold to.
const maxPlain = 1 << 30

func appendHead(w io.Writer, magic string, header any) error {
	b, err := json.Marshal(header)
	if err != nil {
		return err
	}
	head := binary.BigEndian.AppendUint32([]byte(magic), uint32(len(b)))
	_, err = w.Write(append(head, b...))
	return err
}

// splitHead parses a header and returns what follows it.
func splitHead(plain []byte, magic string, header any) ([]byte, error) {
	rest, ok := bytes.CutPrefix(plain, []byte(magic))
	if !ok || len(rest) < 4 {
		return nil, ErrDamaged
	}
	n := uint64(binary.BigEndian.Uint32(rest))
	if rest = rest[4:]; uint64(len(rest)) < n || json.Unmarshal(rest[:n], header) != nil {
		return nil, ErrDamaged
	}
	return rest[n:], nil
}

// writeLog writes a log object's content; quick, where the database waits for it,
// without looking for repetitions.
func writeLog(w io.Writer, h *segment, commits []commit, quick bool) error {
	if err := appendHead(w, logMagic, h); err != nil {
		return err
	}
	level := flate.BestSpeed
	if quick {
		level = flate.HuffmanOnly
	}
	z, err := flate.NewWriter(w, level)
	if err != nil {
		return err
	}
	before := make(map[uint32][]byte)
	delta := make([]byte, h.PageSize)
	for i := range commits {
		c := &commits[i]
		head := binary.BigEndian.AppendUint64([]byte{'C'}, uint64(c.at))
		head = binary.BigEndian.AppendUint32(head, c.pages)
		head = binary.BigEndian.AppendUint32(head, uint32(len(c.frames)))
		if _, err := z.Write(head); err != nil {
			return err
		}
		for _, f := range c.frames {
			head := binary.BigEndian.AppendUint32(nil, f.page)
			data := f.data
			if old := before[f.page]; old != nil {
				xor(delta, old, f.data)
				head, data = append(head, 1), delta
			} else {
				head = append(head, 0)
			}
			before[f.page] = f.data
			if _, err := z.Write(head); err != nil {
				return err
			}
			if _, err := z.Write(data); err != nil {
				return err
			}
		}
	}
	if _, err := z.Write([]byte{'E'}); err != nil {
		return err
	}
	return z.Close()
}

func xor(dst, a, b []byte) {
	for i := range dst {
		dst[i] = a[i] ^ b[i]
	}
}

// unfold begins to read what is deflated.
func unfold(rest []byte) *unfolder {
	return &unfolder{r: bufio.NewReaderSize(io.LimitReader(flate.NewReader(bytes.NewReader(rest)), maxPlain), 64<<10)}
}

type unfolder struct{ r *bufio.Reader }

func (u *unfolder) take(b []byte) error {
	if _, err := io.ReadFull(u.r, b); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// end checks that nothing follows.
func (u *unfolder) end() error {
	if _, err := u.r.ReadByte(); !errors.Is(err, io.EOF) {
		return ErrDamaged
	}
	return nil
}

// readLog parses a log object's content and calls fn with its commits in order.
func readLog(plain []byte, fn func(*commit) error) (segment, error) {
	var h segment
	rest, err := splitHead(plain, logMagic, &h)
	if err != nil {
		return h, err
	}
	if h.PageSize < 512 || h.PageSize > 1<<16 {
		return h, ErrDamaged
	}
	u := unfold(rest)
	images := make(map[uint32][]byte)
	for last := int64(0); ; {
		kind, err := u.r.ReadByte()
		if err != nil {
			return h, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if kind == 'E' {
			return h, u.end()
		}
		var head [16]byte
		if kind != 'C' {
			return h, ErrDamaged
		}
		if err := u.take(head[:]); err != nil {
			return h, err
		}
		c := commit{at: int64(binary.BigEndian.Uint64(head[:])), pages: binary.BigEndian.Uint32(head[8:])}
		if c.at < last || c.at > h.Until || c.pages == 0 {
			return h, ErrDamaged
		}
		last = c.at
		for range binary.BigEndian.Uint32(head[12:]) {
			var head [5]byte
			if err := u.take(head[:]); err != nil {
				return h, err
			}
			f := frame{page: binary.BigEndian.Uint32(head[:]), data: make([]byte, h.PageSize)}
			if err := u.take(f.data); err != nil {
				return h, err
			}
			old := images[f.page]
			if f.page == 0 || head[4] > 1 || head[4] == 1 && old == nil {
				return h, ErrDamaged
			}
			if head[4] == 1 {
				xor(f.data, f.data, old)
			}
			images[f.page] = f.data
			c.frames = append(c.frames, f)
		}
		if err := fn(&c); err != nil {
			return h, err
		}
	}
}

// Piece is a part of a file of the audit record. At offset 0 it begins the file
// anew.
type Piece struct {
	Name   string
	Offset int64
	Data   []byte
}

func writeAudit(w io.Writer, h *segment, pieces []Piece) error {
	if err := appendHead(w, auditMagic, h); err != nil {
		return err
	}
	z, err := flate.NewWriter(w, flate.BestSpeed)
	if err != nil {
		return err
	}
	for _, p := range pieces {
		head := binary.BigEndian.AppendUint64([]byte{'F'}, uint64(p.Offset))
		head = binary.BigEndian.AppendUint32(head, uint32(len(p.Name)))
		head = binary.BigEndian.AppendUint32(head, uint32(len(p.Data)))
		if _, err := z.Write(append(append(head, p.Name...), p.Data...)); err != nil {
			return err
		}
	}
	if _, err := z.Write([]byte{'E'}); err != nil {
		return err
	}
	return z.Close()
}

func readAudit(plain []byte, fn func(Piece) error) (segment, error) {
	var h segment
	rest, err := splitHead(plain, auditMagic, &h)
	if err != nil {
		return h, err
	}
	u := unfold(rest)
	for {
		kind, err := u.r.ReadByte()
		if err != nil {
			return h, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if kind == 'E' {
			return h, u.end()
		}
		var head [16]byte
		if kind != 'F' {
			return h, ErrDamaged
		}
		if err := u.take(head[:]); err != nil {
			return h, err
		}
		p := Piece{Offset: int64(binary.BigEndian.Uint64(head[:]))}
		name, size := binary.BigEndian.Uint32(head[8:]), binary.BigEndian.Uint32(head[12:])
		if p.Offset < 0 || name > 256 || size > maxObject {
			return h, ErrDamaged
		}
		b := make([]byte, name+size)
		if err := u.take(b); err != nil {
			return h, err
		}
		p.Name, p.Data = string(b[:name]), b[name:]
		if err := fn(p); err != nil {
			return h, err
		}
	}
}

// moment turns microseconds into a time.
func moment(us int64) time.Time { return time.UnixMicro(us).UTC() }
