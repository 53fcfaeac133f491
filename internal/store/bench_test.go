package store

import (
	"fmt"
	"sync"
	"testing"
)

// Run PostgreSQL's with STRONGROOM_TEST_POSTGRES_FSYNC=1, or it does not flush.

func benchmarkEngines(b *testing.B, bench func(b *testing.B, db *DB)) {
	for _, engine := range []string{SQLite, PostgreSQL} {
		b.Run(engine, func(b *testing.B) { bench(b, newOpener(b, engine)(b)) })
	}
}

func BenchmarkGet(b *testing.B) {
	benchmarkEngines(b, func(b *testing.B, db *DB) {
		const rows = 10_000
		write(b, db, func(tx Tx) error {
			for i := range rows {
				_, err := tx.Exec(`INSERT INTO things (name, note, n, flag, bytes) VALUES ($1, 'note', $2, TRUE, $3)`,
					fmt.Sprintf("name-%d", i), i, make([]byte, 1024))
				if err != nil {
					return err
				}
			}
			return nil
		})
		get := func(b *testing.B, i int) {
			var note *string
			var n int64
			var flag bool
			var bytes []byte
			err := db.Get(b.Context(), `SELECT note, n, flag, bytes FROM things WHERE name = $1`, fmt.Sprintf("name-%d", i*7919%rows)).
				Scan(&note, &n, &flag, &bytes)
			if err != nil {
				b.Error(err)
			}
		}
		b.Run("1", func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				get(b, i)
			}
		})
		b.Run("16", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					get(b, i)
				}
			})
		})
	})
}

func BenchmarkRead(b *testing.B) {
	benchmarkEngines(b, func(b *testing.B, db *DB) {
		write(b, db, insert("x"))
		b.ReportAllocs()
		for b.Loop() {
			err := db.Read(b.Context(), func(tx Tx) error {
				return tx.QueryRow(`SELECT name FROM things WHERE name = $1`, "x").Scan(new(string))
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkWrite inserts rows of 1 KB from several callers; ns/op is the time
// between two acknowledgements.
func BenchmarkWrite(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			benchmarkEngines(b, func(b *testing.B, db *DB) {
				value := make([]byte, 1024)
				work := make(chan int)
				var wg sync.WaitGroup
				for range writers {
					wg.Go(func() {
						for i := range work {
							err := db.Write(b.Context(), func(tx Tx) error {
								_, err := tx.Exec(`INSERT INTO things (name, bytes) VALUES ($1, $2)`, fmt.Sprintf("%x", uint64(i)*0x9e3779b97f4a7c15), value)
								return err
							})
							if err != nil {
								b.Error(err)
							}
						}
					})
				}
				b.ResetTimer()
				for i := range b.N {
					work <- i
				}
				close(work)
				wg.Wait()
				s := db.Stats()
				b.ReportMetric(float64(s.Commits)/float64(s.Batches), "writes/commit")
			})
		})
	}
}
