package audit

import (
	"crypto/sha256"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/wire"
)

// BenchmarkRecord is what a read costs: two records, one of them nested.
func BenchmarkRecord(b *testing.B) {
	for _, durability := range []Durability{Written, Synced} {
		for _, workers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/%d", []string{"written", "synced"}[durability], workers), func(b *testing.B) {
				w := newBench(b)
				l := w.open(func(c *Config) { c.SegmentSize, c.Durability = defaultSegment, durability })
				b.ReportAllocs()
				b.SetParallelism(max(1, workers/2)) // Times GOMAXPROCS.
				read := func() {
					parent := getCall()
					child := decryptCall(parent)
					for _, c := range []*wire.Call{parent, child} {
						if err := l.Begin(b.Context(), c); err != nil {
							b.Fatal(err)
						}
					}
					for _, c := range []*wire.Call{child, parent} {
						if err := l.Record(b.Context(), c); err != nil {
							b.Fatal(err)
						}
					}
				}
				b.ResetTimer()
				before := processor()
				if workers == 1 {
					for b.Loop() {
						read()
					}
				} else {
					b.RunParallel(func(p *testing.PB) {
						for p.Next() {
							read()
						}
					})
				}
				b.StopTimer()
				// Of the processor, since time alone says little on a busy machine.
				b.ReportMetric(float64(processor()-before)/float64(2*b.N), "cpu-ns/record")
				s := l.Stats()
				b.ReportMetric(float64(s.Bytes)/float64(s.Appended), "B/record")
				w.close()
			})
		}
	}
}

// processor returns the processor time that this process has used.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCall is what of BenchmarkRecord the test itself costs.
func BenchmarkCall(b *testing.B) {
	for b.Loop() {
		_ = decryptCall(getCall())
	}
}

// BenchmarkHash is the yardstick: 679 ns on the reference machine when it is
// quiet (bench-anchors.md 1).
func BenchmarkHash(b *testing.B) {
	kilobyte := make([]byte, 1000)
	for b.Loop() {
		sha256.Sum256(kilobyte)
	}
}

func BenchmarkRender(b *testing.B) {
	l := &Log{cfg: Config{Account: testAccount}}
	c := getCall()
	buf := new([]byte)
	b.ReportAllocs()
	for b.Loop() {
		l.render(buf, nil, c, &fullLimits, maxCopies)
	}
}

func BenchmarkVerify(b *testing.B) {
	w := newBench(b)
	l := w.open(func(c *Config) { c.SegmentSize = defaultSegment })
	for range 20000 {
		w.run(l, getCall(), nil)
	}
	w.close()
	for b.Loop() {
		w.mustVerify()
	}
	b.ReportMetric(20000*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
