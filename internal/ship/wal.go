package ship

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// This file reads SQLite's write-ahead log (https://www.sqlite.org/fileformat2.html,
// section 4): a header, then frames, each a page with its number. A frame whose
// header holds the size of the database ends a transaction. All frames since the log
// last began anew carry the header's salts, and a checksum that runs through them.

const (
	walHeader   = 32
	frameHeader = 24

	magicLittle = 0x377f0682
	magicBig    = 0x377f0683
)

// run is a log from one beginning to the next.
type run struct {
	Salt uint64 `json:"salt"`
	// PageSize is in bytes.
	PageSize int `json:"pageSize"`
	// Big says which order of bytes the checksums are made with.
	Big bool `json:"bigEndian"`
}

// place is how far a log has been read.
type place struct {
	run
	Frames int64  `json:"frames"`
	Sum    uint64 `json:"sum"` // the checksum at that frame, or of the header
}

var (
	// errNoLog means that the log is empty or not there.
	errNoLog = errors.New("no log")
	errFrame = errors.New("the database's log is not what was committed")
)

// readRun reads a log's header and returns the place before its first frame.
func readRun(f io.ReaderAt) (place, error) {
	var b [walHeader]byte
	if _, err := f.ReadAt(b[:], 0); err != nil {
		if errors.Is(err, io.EOF) {
			return place{}, errNoLog
		}
		return place{}, err
	}
	p := place{run: run{Salt: binary.BigEndian.Uint64(b[16:]), PageSize: int(binary.BigEndian.Uint32(b[8:]))}}
	switch binary.BigEndian.Uint32(b[:]) {
	case magicLittle:
	case magicBig:
		p.Big = true
	default:
		return place{}, errNoLog
	}
	p.Sum = p.checksum(0, b[:24])
	if p.Sum != binary.BigEndian.Uint64(b[24:]) || p.PageSize < 512 || p.PageSize > 1<<16 {
		return place{}, errNoLog
	}
	return p, nil
}

// checksum continues the log's checksum over b, whose length is a multiple of 8.
func (r *run) checksum(sum uint64, b []byte) uint64 {
	s0, s1 := uint32(sum>>32), uint32(sum)
	if r.Big {
		for ; len(b) >= 8; b = b[8:] {
			s0 += binary.BigEndian.Uint32(b) + s1
			s1 += binary.BigEndian.Uint32(b[4:]) + s0
		}
	} else {
		for ; len(b) >= 8; b = b[8:] {
			s0 += binary.LittleEndian.Uint32(b) + s1
			s1 += binary.LittleEndian.Uint32(b[4:]) + s0
		}
	}
	return uint64(s0)<<32 | uint64(s1)
}

func (r *run) frameSize() int64 { return frameHeader + int64(r.PageSize) }

// sumAt returns the checksum that the frame before a place carries.
func (p *place) sumAt(f io.ReaderAt) (uint64, error) {
	if p.Frames == 0 {
		at, err := readRun(f)
		return at.Sum, err
	}
	var b [frameHeader]byte
	if _, err := f.ReadAt(b[:], walHeader+(p.Frames-1)*p.frameSize()); err != nil {
		return 0, err
	}
	if binary.BigEndian.Uint64(b[8:]) != p.Salt {
		return 0, errFrame
	}
	return binary.BigEndian.Uint64(b[16:]), nil
}

// frame is a page as a transaction left it.
type frame struct {
	page uint32
	// pages is the size of the database in pages where the frame ends a transaction,
	// otherwise 0.
	pages uint32
	data  []byte
}

// readFrames reads the frames up to the given one, checks them and moves the place
// behind them.
func (p *place) readFrames(f io.ReaderAt, to int64) ([]frame, error) {
	n := to - p.Frames
	if n <= 0 {
		return nil, nil
	}
	b := make([]byte, n*p.frameSize())
	if _, err := f.ReadAt(b, walHeader+p.Frames*p.frameSize()); err != nil {
		return nil, fmt.Errorf("read the database's log: %w", err)
	}
	out := make([]frame, 0, n)
	sum := p.Sum
	for i := range n {
		raw := b[i*p.frameSize():][:p.frameSize()]
		data := raw[frameHeader:]
		sum = p.checksum(p.checksum(sum, raw[:8]), data)
		if binary.BigEndian.Uint64(raw[8:]) != p.Salt || binary.BigEndian.Uint64(raw[16:]) != sum {
			return nil, fmt.Errorf("%w: frame %d", errFrame, p.Frames+i+1)
		}
		out = append(out, frame{binary.BigEndian.Uint32(raw), binary.BigEndian.Uint32(raw[4:]), data})
	}
	if out[n-1].pages == 0 {
		return nil, fmt.Errorf("%w: frame %d ends no transaction", errFrame, to)
	}
	p.Frames, p.Sum = to, sum
	return out, nil
}
