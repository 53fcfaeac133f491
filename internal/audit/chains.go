package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/strongroom/strongroom/internal/store"
)

// Chain is what the database knows of a node.
type Chain struct {
	Node   string `json:"node"`
	Public []byte `json:"publicKey"` // Ed25519
	// Begun is when the chain was begun, Opened when the node last started to ship
	// it; zero when it never did.
	Begun  time.Time `json:"begun"`
	Opened time.Time `json:"opened,omitzero"`
}

// Chains lists the chains of all nodes that there ever were, by name.
func Chains(ctx context.Context, s Store) ([]Chain, error) {
	var out []Chain
	err := s.Read(ctx, func(tx store.Tx) error {
		out = nil
		rows, err := tx.Query(`SELECT k.node, k.public, k.created, COALESCE(n.opened, 0)
			FROM audit_keys k LEFT JOIN audit_nodes n ON n.node = k.node ORDER BY k.node`)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var c Chain
			var begun, opened int64
			if err := rows.Scan(&c.Node, &c.Public, &begun, &opened); err != nil {
				return err
			}
			c.Begun = time.UnixMicro(begun).UTC()
			if opened > 0 {
				c.Opened = time.UnixMicro(opened).UTC()
			}
			out = append(out, c)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list audit chains: %w", err)
	}
	return out, nil
}

// Merge passes on the records of several chains by their time, each chain from the
// number that from returns for its node. Within a chain the order is the chain's
// own.
func Merge(ctx context.Context, sources []Source, from func(node string) uint64, fn func(Entry) error) error {
	var heads []*merging
	defer func() {
		for _, m := range heads {
			m.stop()
		}
	}()
	for _, s := range sources {
		m := &merging{}
		m.next, m.stop = iter.Pull2(s.each(ctx, from(s.Node)))
		heads = append(heads, m)
		if err := m.advance(); err != nil {
			return err
		}
	}
	for {
		var first *merging
		for _, m := range heads {
			if m.more && (first == nil || m.at.Before(first.at)) {
				first = m
			}
		}
		if first == nil {
			return nil
		}
		if err := fn(first.entry); err != nil {
			return err
		}
		if err := first.advance(); err != nil {
			return err
		}
	}
}

var errStopped = errors.New("enough was read")

// each is Scan as a sequence.
func (s Source) each(ctx context.Context, from uint64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		err := s.Scan(ctx, from, func(e Entry) error {
			if !yield(e, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && err != errStopped {
			yield(Entry{}, err)
		}
	}
}

// merging is a chain on its way through Merge.
type merging struct {
	next  func() (Entry, error, bool)
	stop  func()
	entry Entry
	at    time.Time
	more  bool
}

// advance goes to the next record. A chain's clock that goes back does not hold the
// others up: its records count as no older than those before them.
func (m *merging) advance() (err error) {
	m.entry, err, m.more = m.next()
	if err != nil || !m.more {
		return err
	}
	if at := m.entry.Time(); at.After(m.at) {
		m.at = at
	}
	return nil
}

// eventTime begins the member that Time reads.
var eventTime = []byte(`"eventTime":"`)

// Time is the record's time; zero when its body was dropped.
func (e Entry) Time() time.Time {
	// The name cannot come earlier in one of our records except inside a string,
	// where its quotes would be escaped.
	i := bytes.Index(e.Body, eventTime)
	if i < 0 {
		return time.Time{}
	}
	rest := e.Body[i+len(eventTime):]
	end := bytes.IndexByte(rest, '"')
	if end < 0 {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, string(rest[:end]))
	if err != nil {
		return time.Time{}
	}
	return at
}

// Follow is Merge that goes on: it looks for more until ctx ends, whose cause it
// returns, or fn fails. What one look finds is in order of time; between two looks
// a node that ships later than another may come behind it.
func Follow(ctx context.Context, sources []Source, from func(node string) uint64, fn func(Entry) error) error {
	next := make(map[string]uint64)
	err := Merge(ctx, sources, from, func(e Entry) error {
		next[e.Node] = e.Seq + 1
		return fn(e)
	})
	if err != nil {
		return err
	}
	cursors := make([]cursor, len(sources))
	for i, s := range sources {
		cursors[i] = cursor{source: s, from: max(from(s.Node), next[s.Node])}
		defer cursors[i].close()
	}
	t := time.NewTicker(tailPoll)
	defer t.Stop()
	for {
		var found []Entry
		for i := range cursors {
			_, err := cursors[i].advance(ctx, func(e Entry) error {
				e.Body = bytes.Clone(e.Body)
				found = append(found, e)
				return nil
			})
			if err != nil {
				return err
			}
		}
		slices.SortStableFunc(found, func(a, b Entry) int { return a.Time().Compare(b.Time()) })
		for _, e := range found {
			if err := fn(e); err != nil {
				return err
			}
		}
		if len(found) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
		}
	}
}
