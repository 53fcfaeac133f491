package audit

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/store"
)

// TestDoubtIsSettled: a change whose outcome nobody knew when its call was
// recorded has been committed. Its record follows, by itself or with the next
// start, once.
func TestDoubtIsSettled(t *testing.T) {
	for name, crash := range map[string]bool{"while the server runs": false, "after a crash": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			l := b.open(func(c *Config) {
				c.HeadEvery = 10 * time.Millisecond
				if crash {
					c.HeadEvery = time.Hour
				}
			})
			c := putCall()
			b.run(l, c, func(ctx context.Context) {
				b.change(ctx, "x")
				c.Err = fmt.Errorf("in the end: %w", store.ErrUnknown)
			})
			if n, record := b.count(c.EventID); !crash && n == 2 {
				// Settled already.
			} else if n != 1 || record["strongroom"].(map[string]any)["outcome"] != "unknown" || record["errorCode"] == nil {
				t.Fatalf("%d records: %v", n, record)
			}
			if crash {
				b.crash()
				l = b.open()
			}
			n, record := 0, map[string]any(nil)
			for deadline := time.Now().Add(10 * time.Second); n != 2; time.Sleep(5 * time.Millisecond) {
				if n, record = b.count(c.EventID); time.Now().After(deadline) {
					t.Fatalf("%d records: %v", n, record)
				}
			}
			ours := record["strongroom"].(map[string]any)
			if ours["recovered"] != true || ours["outcome"] != nil || record["errorCode"] != nil {
				t.Errorf("the second record is %v", record)
			}
			for range 2 {
				b.close()
				l = b.open()
			}
			if n, _ := b.count(c.EventID); n != 2 || b.pendingRows() != 0 || len(l.doubts) > 0 {
				t.Errorf("%d records in the end, %d rows, doubts %v", n, b.pendingRows(), l.doubts)
			}
			b.mustVerify()
		})
	}
}

// TestDoubtAboutNothing: the change was not made, and no record says that it was.
func TestDoubtAboutNothing(t *testing.T) {
	b := newBench(t)
	l := b.open(func(c *Config) { c.HeadEvery = time.Hour })
	c := putCall()
	b.run(l, c, func(ctx context.Context) {
		no := errors.New("no")
		err := b.db.Maintain(ctx, func(tx store.Tx) error { return errors.Join(l.Intent(ctx, tx), no) })
		if !errors.Is(err, no) {
			t.Fatal(err)
		}
		c.Err = store.ErrUnknown
	})
	if err := l.settleDoubts(t.Context()); err != nil || len(l.doubts) != 1 {
		t.Fatalf("doubts %v, %v", l.doubts, err)
	}
	l.doubts[0].since = l.now().Add(-doubtTime - time.Second)
	if err := l.settleDoubts(t.Context()); err != nil || len(l.doubts) != 0 {
		t.Fatalf("doubts %v, %v", l.doubts, err)
	}
	if n, _ := b.count(c.EventID); n != 1 {
		t.Errorf("%d records", n)
	}
	b.close()
	b.mustVerify()
}
