package denial_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/denial"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/store"
)

// BenchmarkDenial is what one denial costs under ten policies of twenty
// statements: on the call's path, and off it for explaining and writing.
func BenchmarkDenial(b *testing.B) {
	db, err := store.Open(b.Context(), store.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	c := call(own, "x")
	e := c.Decisions[0].Evidence.(*auth.Evidence)
	for i := range 10 {
		var list []string
		for j := range 20 {
			list = append(list, fmt.Sprintf(`{"Effect":"Allow","Action":["secretsmanager:Get*","secretsmanager:Describe*"],"Resource":"arn:aws:secretsmanager:*:*:secret:team%d/%d/*","Condition":{"StringEquals":{"aws:RequestedRegion":"eu-west-1"}}}`, i, j))
		}
		doc, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":[` + strings.Join(list, ",") + `]}`))
		if err != nil {
			b.Fatal(err)
		}
		e.Policies.Identity = append(e.Policies.Identity, policy.Source{ID: fmt.Sprint("p", i), Version: "1", Doc: doc})
	}
	b.Run("observe", func(b *testing.B) {
		b.ReportAllocs()
		l := newLog(db, func(c *denial.Config) { c.Queue = 1 << 30 })
		for b.Loop() {
			l.Observe(c)
		}
	})
	b.Run("flush", func(b *testing.B) {
		l := newLog(db, func(c *denial.Config) { c.Queue = 1 << 30 })
		n := 0
		for b.Loop() {
			for range 100 {
				n++
				c.EventID, c.RequestID = fmt.Sprint("event", n), fmt.Sprint("request", n)
				l.Observe(c)
			}
			if err := l.Flush(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n), "us/denial")
		var bytes int64
		if err := db.Get(b.Context(), `SELECT COALESCE(MAX(LENGTH(explanation)), 0) FROM denials`).Scan(&bytes); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(bytes), "B/row")
	})
}
