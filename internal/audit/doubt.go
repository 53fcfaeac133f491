package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// doubt is a call whose change may or may not be committed: the database went away
// in the middle, and was away for longer than anybody waited. The chain says so.
// If the change is there after all, so is its pending row, which is the proof, and
// its record follows.
type doubt struct {
	id    string
	since time.Time
}

// doubtTime is how long a pending row is looked for. One that comes still later,
// out of a primary that slept, is found by the next Open.
const doubtTime = 10 * time.Minute

func doubtful(c *wire.Call) bool { return c.Err != nil && errors.Is(c.Err, store.ErrUnknown) }

// settleDoubts appends the records of changes that turn out to be committed.
func (l *Log) settleDoubts(ctx context.Context) error {
	l.mu.Lock()
	open := slices.Clone(l.doubts)
	l.mu.Unlock()
	for _, d := range open {
		var records []byte
		err := l.cfg.Store.Read(ctx, func(tx store.Tx) error {
			return tx.QueryRow(`SELECT records FROM audit_pending WHERE node = $1 AND event_id = $2`, l.cfg.Node, d.id).Scan(&records)
		})
		switch {
		case errors.Is(err, store.ErrNoRows):
			if l.now().Sub(d.since) > doubtTime {
				l.drop(d.id)
			}
			continue
		case err != nil:
			return fmt.Errorf("look for a pending audit record: %w", err)
		}
		for body := range bytes.SplitSeq(records, []byte{'\n'}) {
			if err := l.appendRecovered(ctx, body); err != nil {
				return fmt.Errorf("append pending audit record: %w", err)
			}
		}
		l.drop(d.id)
		l.mu.Lock()
		l.settled = append(l.settled, settled{d.id, l.end.seq})
		l.mu.Unlock()
		l.log.Warn("a change whose outcome was not known has been committed; its audit record follows", "event", d.id)
	}
	return nil
}

func (l *Log) drop(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubts = slices.DeleteFunc(l.doubts, func(d doubt) bool { return d.id == id })
}
