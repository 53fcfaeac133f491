package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// settled is a call whose pending row may go once record seq is on disk.
type settled struct {
	id  string
	seq uint64
}

// errNoCall is the bug of changing something outside any call.
var errNoCall = errors.New("change without a call: no audit record could be written with it")

// Intent writes the record of the call in ctx, as known now, into the
// transaction of the change that the call makes; it is the store's Config.Audit.
// It fails, and the change with it, when there is no such call. If a crash keeps
// the record out of the chain, the next Open appends this one, marked
// "recovered".
//
// It may run several times for one call: the last change of the call counts.
func (l *Log) Intent(ctx context.Context, tx store.Tx) error {
	c := wire.CallFrom(ctx)
	if c == nil || c.EventID == "" {
		return errNoCall
	}
	if l == nil {
		return errors.New("change before the audit log is open")
	}
	b := l.renderPending(c)
	l.mu.Lock()
	if l.calls[rootOf(c)] == nil {
		l.mu.Unlock()
		return errNotBegun
	}
	l.intents[c.EventID] = struct{}{}
	// Whatever the chain holds by now is not this call's record.
	after := l.end.seq
	l.mu.Unlock()
	_, err := tx.Exec(`INSERT INTO audit_pending (node, event_id, after_seq, at, records) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (node, event_id) DO UPDATE SET records = excluded.records, at = excluded.at`,
		l.cfg.Node, c.EventID, int64(after), tx.Now().UnixMicro(), b)
	if err != nil {
		return fmt.Errorf("write pending audit record: %w", err)
	}
	return nil
}

// renderPending encodes c's records as lines.
func (l *Log) renderPending(c *wire.Call) []byte {
	r := renderer{limits: &fullLimits, call: c, recipient: l.recipient(c), recovered: true}
	others := otherAccounts(c, r.recipient, maxCopies)
	if len(others) > 0 {
		r.shared = derivedID(c.EventID, "shared")
	}
	b := r.append(make([]byte, 0, 2<<10))
	r.copied = true
	for _, r.recipient = range others {
		b = r.append(append(b, '\n'))
	}
	return b
}

// forgetChunk is how many rows one statement deletes.
const forgetChunk = 50

// forgetStatement deletes forgetChunk rows by id; a shorter list repeats its
// last, so that there is one statement to prepare.
func forgetStatement() string {
	b := []byte(`DELETE FROM audit_pending WHERE node = $1 AND event_id IN (`)
	for i := range forgetChunk {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = fmt.Appendf(b, "$%d", i+2)
	}
	return string(append(b, ')'))
}

// forgetPending deletes the rows of calls whose records are on disk, or shipped.
func (l *Log) forgetPending(ctx context.Context) error {
	// With several nodes a disk may be lost with the node: then a row is needed until
	// the record is in the database.
	safe := l.syncedSeq.Load()
	if l.cfg.Ship {
		safe = l.shippedSeq.Load()
	}
	l.mu.Lock()
	// Settled in order of seq, so the first that is not safe ends the list.
	n := 0
	for n < len(l.settled) && l.settled[n].seq <= safe {
		n++
	}
	due := l.settled[:n:n]
	l.mu.Unlock()
	if n == 0 {
		return nil
	}
	l.cfg.Fault(FaultBeforeForget)
	statement := forgetStatement()
	err := l.cfg.Store.Maintain(ctx, func(tx store.Tx) error {
		for from := 0; from < n; from += forgetChunk {
			args := make([]any, 1, 1+forgetChunk)
			args[0] = l.cfg.Node
			for i := range forgetChunk {
				args = append(args, due[min(from+i, n-1)].id)
			}
			if _, err := tx.Exec(statement, args...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("delete pending audit records: %w", err)
	}
	l.mu.Lock()
	l.settled = append(l.settled[:0:0], l.settled[n:]...)
	l.mu.Unlock()
	return nil
}

// row is a pending row.
type row struct {
	id      string
	records [][]byte
}

// reconcile appends the pending records that the chain does not have. Open
// calls it, before any call.
func (l *Log) reconcile(ctx context.Context) error {
	var rows []row
	var after uint64
	err := l.cfg.Store.Read(ctx, func(tx store.Tx) error {
		rows, after = nil, 0
		found, err := tx.Query(`SELECT event_id, after_seq, records FROM audit_pending WHERE node = $1 ORDER BY at, event_id`, l.cfg.Node)
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
			var r row
			var seq int64
			var records []byte
			if err := found.Scan(&r.id, &seq, &records); err != nil {
				return err
			}
			r.records = bytes.Split(records, []byte{'\n'})
			if len(rows) == 0 || uint64(seq) < after {
				after = uint64(seq)
			}
			rows = append(rows, r)
		}
		return found.Err()
	})
	if err != nil {
		return fmt.Errorf("read pending audit records: %w", err)
	}
	if len(rows) == 0 {
		return nil
	}
	there, err := l.eventsAfter(ctx, after)
	if err != nil {
		return err
	}
	for _, r := range rows {
		for _, body := range r.records {
			if id, _ := eventID(body); there[id] {
				continue
			}
			if err := l.appendRecovered(ctx, body); err != nil {
				return fmt.Errorf("append pending audit record: %w", err)
			}
			l.found.Pending++
		}
		l.settled = append(l.settled, settled{r.id, l.end.seq})
	}
	if l.found.Pending > 0 {
		l.log.Warn("audit records of committed changes were recovered after a crash", "records", l.found.Pending)
	}
	return nil
}

func (l *Log) appendRecovered(ctx context.Context, body []byte) error {
	n := int64(len(body)) + lineOverhead
	if err := l.reserve(ctx, n); err != nil {
		return err
	}
	l.mu.Lock()
	err := l.order(newEvent(body))
	seq := l.end.seq
	l.giveBack(n)
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return l.write(seq, false)
}

// eventsAfter returns the event ids of the records behind seq.
func (l *Log) eventsAfter(ctx context.Context, seq uint64) (map[string]bool, error) {
	out := make(map[string]bool)
	err := l.Source().Scan(ctx, seq+1, func(e Entry) error {
		if id, known := eventID(e.Body); known {
			out[id] = true
		}
		return nil
	})
	return out, err
}

// eventID returns a record's eventID, "" for a dropped body. known is false for one
// that was written before it was known whether the change took effect: the one in
// the pending row then tells more.
func eventID(body []byte) (id string, known bool) {
	var e struct {
		EventID    string `json:"eventID"`
		Strongroom struct {
			Outcome string `json:"outcome"`
		} `json:"strongroom"`
	}
	if json.Unmarshal(body, &e) != nil {
		return "", false
	}
	return e.EventID, e.Strongroom.Outcome == ""
}
