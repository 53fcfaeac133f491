package audit

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// small makes a closed chain of three segments with four records each.
func small(t *testing.T) *bench { return chain(t, 3) }

// chain makes three segments with a start record and some calls each.
func chain(t testing.TB, calls int) *bench {
	b := newBench(t)
	for range 3 {
		l := b.open()
		for range calls {
			b.run(l, getCall(), nil)
		}
		b.close()
	}
	b.mustVerify()
	return b
}

// withoutDatabase verifies from the files alone.
func (b *bench) withoutDatabase() *Report {
	b.Helper()
	r, err := Verify(b.Context(), Source{Dir: b.dir(), Node: testNode})
	if err != nil {
		b.Fatal(err)
	}
	return r
}

func TestVerifyFindsEveryChangedByte(t *testing.T) {
	b := chain(t, 1)
	key, err := readPublicKey(b.dir(), testNode)
	if err != nil {
		t.Fatal(err)
	}
	for n, path := range b.segments() {
		data := b.read(path)
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i := range data {
			// One bit, and the case bit, which many readers overlook.
			bits := []byte{0x01, 0x20}
			if n != 1 {
				bits = bits[:1]
			}
			for _, bit := range bits {
				if _, err := f.WriteAt([]byte{data[i] ^ bit}, int64(i)); err != nil {
					t.Fatal(err)
				}
				// Not even heads are needed.
				w := newWalker(Source{Dir: b.dir(), Node: testNode, Public: key}, nil)
				all, err := listSegments(b.dir(), testNode)
				if err != nil {
					t.Fatal(err)
				}
				if err := w.run(t.Context(), all); err != nil {
					t.Fatal(err)
				}
				// In the last segment a changed byte may make a trailer, or a
				// line feed, look like a write cut short: heads tell.
				if w.report.Broken == nil && w.report.Torn == 0 {
					t.Fatalf("segment %d, byte %d of %d (%q), bit %#x: not found", n, i, len(data), data[i], bit)
				}
				if br := w.report.Broken; br != nil && (br.Segment != filepath.Base(path) && n == 2 || br.Offset > int64(i) && br.Segment == filepath.Base(path)) {
					t.Fatalf("segment %d, byte %d: named %v", n, i, br)
				}
			}
			if _, err := f.WriteAt(data[i:i+1], int64(i)); err != nil {
				t.Fatal(err)
			}
		}
		_ = f.Close()
	}
	b.mustVerify()
}

func TestVerifyFindsEveryChangedByteOfHeads(t *testing.T) {
	b := small(t)
	paths, err := filepath.Glob(filepath.Join(b.dir(), "*"+headSuffix))
	if err != nil || len(paths) != 3 {
		t.Fatal(paths, err)
	}
	for _, path := range paths[1:2] {
		data := b.read(path)
		for i := range data {
			changed := bytes.Clone(data)
			changed[i] ^= 1
			b.write(path, changed)
			if r := b.withoutDatabase(); r.Broken == nil || r.Broken.Kind != BadHead {
				t.Fatalf("%s byte %d (%q): %v", path, i, data[i], r.Broken)
			}
		}
		b.write(path, data)
	}
}

// lines splits a segment into its lines, line feeds kept.
func lines(data []byte) [][]byte {
	return slices.Collect(bytes.Lines(data))
}

func TestVerifyNamesFirstBreak(t *testing.T) {
	// Segments hold records 1-4, 5-8, 9-12; line 0 is the header, 5 the trailer.
	const second = "n1.00000000000000000005.jsonl"
	tests := []struct {
		name   string
		change func(b *bench, paths []string)
		kind   Kind
		seq    uint64
		file   string
	}{
		{"body changed", func(b *bench, p []string) {
			data := b.read(p[1])
			b.write(p[1], bytes.Replace(data, []byte("alice"), []byte("mally"), 1))
		}, BadBody, 6, second},
		{"record hash changed", func(b *bench, p []string) {
			data := b.read(p[1])
			l := lines(data)[2]
			at := bytes.Index(data, l) + bytes.Index(l, []byte(`"record":"`)) + 10
			data[at] = flipHex(data[at])
			b.write(p[1], data)
		}, BadHash, 6, second},
		{"line removed", func(b *bench, p []string) {
			l := lines(b.read(p[1]))
			b.write(p[1], bytes.Join(slices.Delete(l, 2, 3), nil))
		}, Missing, 6, second},
		{"lines swapped", func(b *bench, p []string) {
			l := lines(b.read(p[1]))
			l[2], l[3] = l[3], l[2]
			b.write(p[1], bytes.Join(l, nil))
		}, Reordered, 6, second},
		{"line doubled", func(b *bench, p []string) {
			l := lines(b.read(p[1]))
			b.write(p[1], bytes.Join(slices.Insert(l, 3, l[2]), nil))
		}, Repeated, 6, second},
		{"sound line inserted", func(b *bench, p []string) {
			l := lines(b.read(p[1]))
			five, err := parseLine(bytes.TrimSuffix(l[1], []byte("\n")))
			if err != nil {
				t.Fatal(err)
			}
			e := newEvent([]byte(`{"eventName":"Forged"}`))
			forged := appendLine(nil, 6, five.chain, e.hash, link(five.chain, 6, e.hash), e.body)
			b.write(p[1], bytes.Join(slices.Insert(l, 2, forged), nil))
		}, Repeated, 6, second},
		{"rubbish inserted", func(b *bench, p []string) {
			l := lines(b.read(p[1]))
			b.write(p[1], bytes.Join(slices.Insert(l, 2, []byte("hello\n")), nil))
		}, BadLine, 6, second},
		{"tail of a middle segment removed", func(b *bench, p []string) {
			l := lines(b.read(p[1]))
			b.write(p[1], bytes.Join(l[:3], nil))
		}, Truncated, 7, second},
		{"trailer removed", func(b *bench, p []string) {
			l := lines(b.read(p[1]))
			b.write(p[1], bytes.Join(l[:5], nil))
		}, Truncated, 9, second},
		{"bytes behind the trailer", func(b *bench, p []string) {
			b.write(p[1], append(b.read(p[1]), "\x00\x00hidden"...))
		}, Trailing, 9, second},
		{"segment removed", func(b *bench, p []string) {
			if err := os.Remove(p[1]); err != nil {
				b.Fatal(err)
			}
		}, MissingSegment, 5, "n1.00000000000000000009.jsonl"},
		{"first segment removed", func(b *bench, p []string) {
			if err := os.Remove(p[0]); err != nil {
				b.Fatal(err)
			}
		}, MissingSegment, 1, second},
		{"all segments removed", func(b *bench, p []string) {
			for _, path := range p {
				if err := os.Remove(path); err != nil {
					b.Fatal(err)
				}
			}
		}, Truncated, 1, "n1.00000000000000000001.jsonl"},
		{"last segment removed", func(b *bench, p []string) {
			if err := os.Remove(p[2]); err != nil {
				b.Fatal(err)
			}
		}, Truncated, 9, second},
		{"tail behind the head removed, trailer forged", func(b *bench, p []string) {
			l := lines(b.read(p[2]))
			eleven, err := parseLine(bytes.TrimSuffix(l[3], []byte("\n")))
			if err != nil {
				t.Fatal(err)
			}
			b.write(p[2], append(bytes.Join(l[:4], nil), appendTrailer(nil, 11, 3, eleven.chain)...))
		}, Truncated, 12, "n1.00000000000000000009.jsonl"},
		{"segment renamed", func(b *bench, p []string) {
			if err := os.Rename(p[1], strings.Replace(p[1], "05.jsonl", "06.jsonl", 1)); err != nil {
				b.Fatal(err)
			}
		}, BadHeader, 5, "n1.00000000000000000006.jsonl"},
		{"segments exchanged", func(b *bench, p []string) {
			one, two := b.read(p[1]), b.read(p[2])
			b.write(p[1], two)
			b.write(p[2], one)
		}, BadHeader, 5, second},
		{"last segment rewritten with sound hashes", func(b *bench, p []string) {
			rewrite(b, p[2], "alice", "mally")
		}, Rewritten, 12, "n1.00000000000000000009.jsonl"},
		{"all rewritten from the second on with sound hashes", func(b *bench, p []string) {
			prev := rewrite(b, p[1], "alice", "mally")
			rewriteFrom(b, p[2], &prev, "alice", "mally")
		}, Rewritten, 8, second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := small(t)
			tt.change(b, b.segments())
			for _, r := range []*Report{b.verify(), b.withoutDatabase()} {
				if r.Broken == nil {
					t.Fatal("not found")
				}
				if r.Broken.Kind != tt.kind || r.Broken.Seq != tt.seq || r.Broken.Segment != tt.file {
					t.Fatalf("got %v", r.Broken)
				}
			}
		})
	}
}

func flipHex(c byte) byte {
	if c == '0' {
		return '1'
	}
	return '0'
}

// rewrite changes all records of a segment and makes every hash in it right.
func rewrite(b *bench, path, old, new string) Hash {
	return rewriteFrom(b, path, nil, old, new)
}

func rewriteFrom(b *bench, path string, prev *Hash, old, new string) Hash {
	b.Helper()
	in := lines(b.read(path))
	h, _, err := parseHeader(bytes.TrimSuffix(in[0], []byte("\n")))
	if err != nil {
		b.Fatal(err)
	}
	if prev != nil {
		h.prev = *prev
	}
	out, chain := h.appendHeader(nil)
	var last, n uint64
	for _, l := range in[1 : len(in)-1] {
		p, err := parseLine(bytes.TrimSuffix(l, []byte("\n")))
		if err != nil {
			b.Fatal(err)
		}
		e := newEvent(bytes.ReplaceAll(p.event, []byte(old), []byte(new)))
		next := link(chain, p.seq, e.hash)
		out = appendLine(out, p.seq, chain, e.hash, next, e.body)
		chain, last = next, p.seq
		n++
	}
	b.write(path, appendTrailer(out, last, n, chain))
	return chain
}

func TestVerifyRefusesForgedHead(t *testing.T) {
	b := small(t)
	rewrite(b, b.segments()[2], "alice", "mally")
	// The forger signs with a key of his own, in the database too.
	h, err := parseHeadFile(b.read(filepath.Join(b.dir(), fileName(testNode, 9, headSuffix))))
	if err != nil {
		t.Fatal(err)
	}
	h.Chain[0] ^= 1
	b.write(filepath.Join(b.dir(), fileName(testNode, 9, headSuffix)), h.appendFile(nil))
	if r := b.withoutDatabase(); r.Broken == nil || r.Broken.Kind != BadHead {
		t.Fatalf("got %v", r.Broken)
	}
}

func TestVerifyWhileAppending(t *testing.T) {
	b := newBench(t)
	l := b.open(func(c *Config) { c.HeadEvery, c.SyncEvery = time.Millisecond, 2*time.Millisecond })
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				parent := getCall()
				b.run(l, parent, func(context.Context) { b.run(l, decryptCall(parent), nil) })
			}
		}
	}()
	defer func() {
		close(stop)
		<-done
		b.close()
		b.mustVerify()
	}()
	for start := time.Now(); time.Since(start) < 1500*time.Millisecond; {
		if r := b.verify(); !r.OK() {
			t.Fatalf("a running chain is called broken: %v %v", r.Broken, r.Gaps)
		}
	}
}

func TestExtractForOneAccountProvesItself(t *testing.T) {
	b := newBench(t)
	l := b.open()
	for i := range 30 {
		c := getCall()
		c.Principal.Account = fmt.Sprintf("%012d", 100+i%3)
		c.Resources = nil
		c.UserAgent = "agent-of-" + c.Principal.Account
		b.run(l, c, nil)
	}
	dst := filepath.Join(t.TempDir(), "extract")
	for _, state := range []string{"running", "closed"} {
		if state == "closed" {
			b.close()
		}
		if err := Extract(t.Context(), b.source(), dst+state, ForAccount("000000000101")); err != nil {
			t.Fatal(err)
		}
		r, err := Verify(t.Context(), Source{Dir: dst + state, Node: testNode})
		if err != nil || !r.OK() || r.Records != 31 || r.Dropped != 20 {
			t.Fatalf("%s: %+v %v", state, r, err)
		}
		data := b.read(filepath.Join(dst+state, fileName(testNode, 1, segmentSuffix)))
		if bytes.Contains(data, []byte("agent-of-000000000100")) || !bytes.Contains(data, []byte("agent-of-000000000101")) {
			t.Fatal("wrong records kept")
		}
		// A kept record cannot be dropped, changed or moved afterwards.
		p := filepath.Join(dst+state, fileName(testNode, 1, segmentSuffix))
		if err := os.WriteFile(p, bytes.Replace(data, []byte("agent-of"), []byte("agent_of"), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := Verify(t.Context(), Source{Dir: dst + state, Node: testNode}); err != nil || r.Broken == nil || r.Broken.Kind != BadBody {
			t.Fatalf("%s: %+v %v", state, r, err)
		}
	}
	if err := Extract(t.Context(), b.source(), b.dir(), ForAccount("x")); err == nil {
		t.Fatal("an extract overwrote the chain")
	}
}
