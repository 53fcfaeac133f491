package audit

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/store"
)

func TestGapIsSignedAndReported(t *testing.T) {
	tests := []struct {
		name     string
		damage   func(b *bench)
		from, to uint64
	}{
		{"tail removed behind the head", func(b *bench) {
			p := b.segments()[2]
			b.write(p, bytes.Join(lines(b.read(p))[:3], nil))
		}, 11, 12},
		{"last segment removed", func(b *bench) {
			if err := os.Remove(b.segments()[2]); err != nil {
				b.Fatal(err)
			}
		}, 9, 12},
		{"all segments removed", func(b *bench) {
			for _, p := range b.segments() {
				if err := os.Remove(p); err != nil {
					b.Fatal(err)
				}
			}
		}, 1, 12},
		{"record changed in the last segment", func(b *bench) {
			p := b.segments()[2]
			b.write(p, bytes.Replace(b.read(p), []byte("alice"), []byte("mally"), 1))
		}, 10, 12},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := small(t)
			tt.damage(b)
			before := map[string][]byte{}
			for _, p := range b.segments() {
				before[p] = b.read(p)
			}
			l := b.open()
			rec := l.Recovered()
			if !rec.Lost() || rec.Head != 12 || rec.Found != tt.from-1 {
				t.Fatalf("recovery %+v", rec)
			}
			if !strings.Contains(b.out.String(), "lost or changed") {
				t.Fatalf("log: %s", b.out.String())
			}
			b.run(l, getCall(), nil)
			b.close()
			for p, data := range before {
				if !bytes.Equal(b.read(p), data) {
					t.Errorf("evidence in %s was touched", p)
				}
			}
			// A later start finds nothing new.
			if b.open().Recovered().Lost() {
				t.Error("the same loss is found twice")
			}
			b.close()
			r := b.verify()
			if r.OK() || r.Broken != nil || len(r.Gaps) != 1 || r.Gaps[0].From != tt.from || r.Gaps[0].To != tt.to {
				t.Fatalf("broken %v, gaps %+v", r.Broken, r.Gaps)
			}
			if want := tt.to + 4; r.Last != want-1 {
				t.Fatalf("last record %d, want %d", r.Last, want-1)
			}
		})
	}
}

func TestGapIsNotForgeable(t *testing.T) {
	b := small(t)
	// Records 7 and 8 are cut off and the third segment's start record, which is
	// genuine and signed, is made to say that the node found them missing.
	p := b.segments()
	b.write(p[1], bytes.Join(lines(b.read(p[1]))[:3], nil))
	rewrite(b, p[2], `"found":8`, `"found":6`)
	if r := b.verify(); r.Broken == nil || r.Broken.Seq != 7 || len(r.Gaps) > 0 {
		t.Fatalf("broken %v, gaps %+v", r.Broken, r.Gaps)
	}
}

func TestRewrittenTailIsFoundAtStart(t *testing.T) {
	b := small(t)
	rewrite(b, b.segments()[2], "alice", "mally")
	l := b.open()
	if rec := l.Recovered(); !rec.Lost() || rec.Break.Kind != Rewritten {
		t.Fatalf("recovery %+v", rec)
	}
	b.close()
	if r := b.verify(); r.Broken == nil || r.Broken.Kind != Rewritten || r.Broken.Seq != 12 {
		t.Fatalf("got %v", r.Broken)
	}
}

func TestTornEndIsMended(t *testing.T) {
	tests := []struct {
		name string
		tear func(data []byte, end int) []byte // end: behind the last line
		lost uint64
	}{
		{"nothing torn", func(d []byte, end int) []byte { return d }, 0},
		{"half a line more", func(d []byte, end int) []byte { copy(d[end:], `{"seq":6,"pr`); return d }, 0},
		{"last line cut", func(d []byte, end int) []byte { clear(d[end-100:]); return d }, 1},
		{"last line without its line feed", func(d []byte, end int) []byte { clear(d[end-1:]); return d }, 1},
		{"a page never reached the disk", func(d []byte, end int) []byte { clear(d[end-2000 : end-1000]); return d }, 2},
		{"file cut short", func(d []byte, end int) []byte { return d[:end-5] }, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			l := b.open()
			for range 4 {
				b.run(l, getCall(), nil)
			}
			b.crash()
			p := b.segments()[0]
			data := b.read(p)
			end := bytes.LastIndexByte(data, '\n') + 1
			b.write(p, tt.tear(data, end))
			l = b.open()
			rec := l.Recovered()
			if rec.Lost() || rec.Clean || rec.Found != 5-tt.lost {
				t.Fatalf("recovery %+v", rec)
			}
			if (rec.Discarded > 0) != (tt.name != "nothing torn") {
				t.Fatalf("discarded %d", rec.Discarded)
			}
			torn, err := filepath.Glob(filepath.Join(b.dir(), "*.torn-*"))
			if err != nil || (len(torn) == 1) != (rec.Discarded > 0) {
				t.Fatalf("%v %v", torn, err)
			}
			b.run(l, getCall(), nil)
			b.close()
			if r := b.mustVerify(); r.Last != 5-tt.lost+2 {
				t.Fatalf("last record %d", r.Last)
			}
			// The start record says what was found.
			var s struct {
				Details struct {
					Start start `json:"start"`
				} `json:"serviceEventDetails"`
			}
			err = Scan(t.Context(), b.dir(), testNode, 6-tt.lost, func(e Entry) error {
				if s.Details.Start.Node == "" {
					return json.Unmarshal(e.Body, &s)
				}
				return nil
			})
			if err != nil || s.Details.Start.Clean || s.Details.Start.Found != 5-tt.lost || s.Details.Start.Discarded != rec.Discarded {
				t.Fatalf("start record %+v, %v", s, err)
			}
		})
	}
}

func TestSegmentWithoutRecordsIsDropped(t *testing.T) {
	for name, content := range map[string]func(h []byte) []byte{
		"header only":   func(h []byte) []byte { return append(h, make([]byte, 100)...) },
		"half a header": func(h []byte) []byte { return h[:20] },
		"zeros":         func([]byte) []byte { return make([]byte, 1000) },
		"nothing":       func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			b := small(t)
			data := lines(b.read(b.segments()[2]))
			last, err := parseLine(bytes.TrimSuffix(data[4], []byte("\n")))
			if err != nil {
				t.Fatal(err)
			}
			h, _ := header{node: testNode, first: 13, prev: last.chain, created: time.Now()}.appendHeader(nil)
			b.write(filepath.Join(b.dir(), fileName(testNode, 13, segmentSuffix)), content(h))
			b.mustVerify()
			if rec := b.open().Recovered(); rec.Lost() || rec.Found != 12 {
				t.Fatalf("recovery %+v", rec)
			}
			b.close()
			b.mustVerify()
		})
	}
}

func TestKeyAndDirectoryMustBelongTogether(t *testing.T) {
	b := small(t)
	err := b.db.Maintain(t.Context(), func(tx store.Tx) error {
		_, err := tx.Exec(`DELETE FROM audit_keys`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), b.config()); err == nil || !strings.Contains(err.Error(), "does not know the key") {
		t.Fatalf("got %v", err)
	}
}

// TestPowerCutAcrossSegments leaves what a power cut may when segments filled up faster than they were flushed: files reach
// the disk in no order. Nothing of it was under a head, so the chain ends before the first hole and is sound.
func TestPowerCutAcrossSegments(t *testing.T) {
	for name, tear := range map[string]func(b *bench, p []string){
		"a page in the middle": func(b *bench, p []string) { d := b.read(p[1]); clear(d[4096:8192]); b.write(p[1], d) },
		"half of a closed one": func(b *bench, p []string) { b.write(p[1], b.read(p[1])[:100_000]) },
		"one is missing":       func(b *bench, p []string) { os.Remove(p[1]) },
		"one is empty":         func(b *bench, p []string) { b.write(p[1], nil) },
		"a header":             func(b *bench, p []string) { d := b.read(p[2]); clear(d[:512]); b.write(p[2], d) },
		"a trailer": func(b *bench, p []string) {
			d := bytes.TrimRight(b.read(p[1]), "\x00") // Cut to its length already, or not yet.
			b.write(p[1], d[:len(d)-100])
		},
		"the last is missing": func(b *bench, p []string) { os.Remove(p[len(p)-1]) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			l := b.open()
			for len(b.segments()) < 4 {
				b.run(l, getCall(), nil)
			}
			whole := l.Stats().Seq
			b.crash()
			tear(b, b.segments())
			rec := b.open().Recovered()
			if rec.Lost() || rec.Clean || rec.Found == 0 || rec.Found >= whole {
				t.Fatalf("recovery %+v of %d records", rec, whole)
			}
			b.run(b.log, getCall(), nil)
			b.close()
			if r := b.mustVerify(); r.Last != rec.Found+2 {
				t.Errorf("the chain ends with record %d, %d were found", r.Last, rec.Found)
			}
			if rec = b.open().Recovered(); !rec.Clean {
				t.Errorf("after closing: %+v", rec)
			}
			b.close()
		})
	}
}
