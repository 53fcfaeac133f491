package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strconv"
	"time"
)

// The three kinds of line in a segment. Their form is exact to the byte: a
// reader accepts only what the writer would have written, so that there is no
// byte in a segment that could change unseen.
//
//	{"segment":"strongroom-audit/1","node":"n1","first":1,"prev":"<chain>","created":"2026-03-10T13:05:00.000000Z"}
//	{"seq":1,"prev":"<chain>","record":"<hash>","chain":"<chain>","event":{…}}
//	{"seq":2,"prev":"<chain>","record":"<hash>","chain":"<chain>"}
//	{"end":2,"records":2,"chain":"<chain>"}
//	{"end":2,"records":2,"chain":"<chain>","closed":true}
//
// The last line ends a segment; with closed it also says that the log was closed
// and nothing came after it.
//
// record is the SHA-256 of the bytes of event, braces included; the third line
// is a record whose body was dropped. The hashes of dropped bodies tell nothing:
// each body holds a random event id, so it cannot be guessed.
const (
	formatName = "strongroom-audit/1"

	// lineOverhead bounds what a line adds to its event.
	lineOverhead = 320
	// maxHeader and maxTrailer bound the lines that frame a segment.
	maxHeader, maxTrailer = 384, 160
	// maxEvent bounds one record. CloudTrail's own bound is 256 KB (spec
	// audit-events.md 1.2); ours is lower, since room for records is
	// reserved before a call acts.
	maxEvent = 64 << 10
	maxLine  = maxEvent + lineOverhead

	headerTime = "2006-01-02T15:04:05.000000Z"
)

// Hash is a SHA-256 value: of a record, or of the chain up to one.
type Hash [sha256.Size]byte

// String returns lower-case hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// The first byte of what is hashed keeps links and headers apart, so that no
// header can be passed off as a link.
const (
	domainLink   = 0x00
	domainHeader = 0x01
)

// link returns the chain hash of record seq.
func link(prev Hash, seq uint64, record Hash) Hash {
	var b [1 + 32 + 8 + 32]byte
	b[0] = domainLink
	copy(b[1:], prev[:])
	binary.BigEndian.PutUint64(b[33:], seq)
	copy(b[41:], record[:])
	return sha256.Sum256(b[:])
}

// header is a segment's first line. It names the chain hash it continues from,
// and its own hash is what the first record continues from: headers are links.
type header struct {
	node    string
	first   uint64
	prev    Hash
	created time.Time
}

// appendHeader appends the line and returns the chain hash that it makes.
func (h header) appendHeader(b []byte) ([]byte, Hash) {
	start := len(b)
	b = append(b, `{"segment":"`+formatName+`","node":"`...)
	b = append(b, h.node...)
	b = append(b, `","first":`...)
	b = strconv.AppendUint(b, h.first, 10)
	b = append(b, `,"prev":"`...)
	b = hex.AppendEncode(b, h.prev[:])
	b = append(b, `","created":"`...)
	b = h.created.UTC().AppendFormat(b, headerTime)
	b = append(b, `"}`...)
	sum := sha256.New()
	sum.Write([]byte{domainHeader})
	sum.Write(b[start:])
	var c Hash
	sum.Sum(c[:0])
	return append(b, '\n'), c
}

var errMalformed = errors.New("malformed line")

// parseHeader reads a header line (without its line feed) and returns the chain
// hash that it makes.
func parseHeader(line []byte) (header, Hash, error) {
	var h header
	s := scanner{rest: line}
	s.word(`{"segment":"` + formatName + `","node":"`)
	h.node = string(s.until('"'))
	s.word(`","first":`)
	h.first = s.number()
	s.word(`,"prev":"`)
	h.prev = s.hash()
	s.word(`","created":"`)
	created := string(s.until('"'))
	s.word(`"}`)
	if s.bad || len(s.rest) != 0 || !validNode(h.node) {
		return header{}, Hash{}, errMalformed
	}
	t, err := time.Parse(headerTime, created)
	if err != nil {
		return header{}, Hash{}, errMalformed
	}
	h.created = t
	again, c := h.appendHeader(make([]byte, 0, maxHeader))
	if !bytes.Equal(again[:len(again)-1], line) {
		return header{}, Hash{}, errMalformed
	}
	return h, c, nil
}

// appendLine appends a record's line. A nil event writes the form of a dropped
// body.
func appendLine(b []byte, seq uint64, prev, record, chain Hash, event []byte) []byte {
	b = append(b, `{"seq":`...)
	b = strconv.AppendUint(b, seq, 10)
	b = append(b, `,"prev":"`...)
	b = hex.AppendEncode(b, prev[:])
	b = append(b, `","record":"`...)
	b = hex.AppendEncode(b, record[:])
	b = append(b, `","chain":"`...)
	b = hex.AppendEncode(b, chain[:])
	if event == nil {
		return append(b, "\"}\n"...)
	}
	b = append(b, `","event":`...)
	b = append(b, event...)
	return append(b, "}\n"...)
}

// line is a parsed record line; event points into the bytes it was parsed from.
type line struct {
	seq                 uint64
	prev, record, chain Hash
	event               []byte
}

// parseLine reads a record line without its line feed.
func parseLine(b []byte) (line, error) {
	var l line
	s := scanner{rest: b}
	s.word(`{"seq":`)
	l.seq = s.number()
	s.word(`,"prev":"`)
	l.prev = s.hash()
	s.word(`","record":"`)
	l.record = s.hash()
	s.word(`","chain":"`)
	l.chain = s.hash()
	if s.bad {
		return line{}, errMalformed
	}
	if string(s.rest) == `"}` {
		return l, nil
	}
	s.word(`","event":{`)
	n := len(s.rest)
	if s.bad || n < 2 || s.rest[n-1] != '}' || s.rest[n-2] != '}' {
		return line{}, errMalformed
	}
	l.event = b[len(b)-n-1 : len(b)-1]
	return l, nil
}

// appendTrailer appends a segment's last line. It holds nothing that does not
// follow from the records before it, so it needs no hash of its own.
func appendTrailer(b []byte, end, records uint64, chain Hash) []byte {
	b = append(b, `{"end":`...)
	b = strconv.AppendUint(b, end, 10)
	b = append(b, `,"records":`...)
	b = strconv.AppendUint(b, records, 10)
	b = append(b, `,"chain":"`...)
	b = hex.AppendEncode(b, chain[:])
	return append(b, "\"}\n"...)
}

// closing turns the trailer that b ends with into the last of a closed log.
func closing(b []byte) []byte { return append(b[:len(b)-len("}\n")], ",\"closed\":true}\n"...) }

// isTrailer tells a trailer from a record by its first member.
func isTrailer(b []byte) bool { return bytes.HasPrefix(b, []byte(`{"end":`)) }

// scanner walks along a line; after the first mismatch it stays bad.
type scanner struct {
	rest []byte
	bad  bool
}

func (s *scanner) word(w string) {
	if len(s.rest) < len(w) || string(s.rest[:len(w)]) != w {
		s.bad = true
		return
	}
	s.rest = s.rest[len(w):]
}

func (s *scanner) until(c byte) []byte {
	i := bytes.IndexByte(s.rest, c)
	if i < 0 {
		s.bad = true
		return nil
	}
	out := s.rest[:i]
	s.rest = s.rest[i:]
	return out
}

// number reads a decimal without sign or leading zero.
func (s *scanner) number() uint64 {
	i := 0
	for i < len(s.rest) && s.rest[i] >= '0' && s.rest[i] <= '9' {
		i++
	}
	n, err := strconv.ParseUint(string(s.rest[:i]), 10, 64)
	if err != nil || (i > 1 && s.rest[0] == '0') {
		s.bad = true
		return 0
	}
	s.rest = s.rest[i:]
	return n
}

// hash reads 64 lower-case hexadecimal digits; upper case would be a second
// form of the same line.
func (s *scanner) hash() Hash {
	var h Hash
	if len(s.rest) < 2*len(h) {
		s.bad = true
		return h
	}
	for i := range h {
		hi, lo := hexDigit(s.rest[2*i]), hexDigit(s.rest[2*i+1])
		if hi > 15 || lo > 15 {
			s.bad = true
			return Hash{}
		}
		h[i] = hi<<4 | lo
	}
	s.rest = s.rest[2*len(h):]
	return h
}

func hexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}
