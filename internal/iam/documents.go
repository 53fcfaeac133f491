package iam

import (
	"sync"

	"github.com/strongroom/strongroom/internal/policy"
)

// documentLimit bounds the compiled policies held, a few kilobytes each.
const documentLimit = 20_000

// documents keeps compiled policies by their text. A compiled policy follows from
// its text alone, so nothing here goes stale, and thousands of users with the
// same managed policy share one.
type documents struct {
	mu   sync.RWMutex
	held map[string]*policy.Document
}

// compile parses a stored text or finds it parsed.
func (d *documents) compile(text string) (*policy.Document, error) {
	d.mu.RLock()
	doc := d.held[text]
	d.mu.RUnlock()
	if doc != nil {
		return doc, nil
	}
	doc, err := policy.Parse([]byte(text))
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held == nil {
		d.held = make(map[string]*policy.Document)
	}
	if len(d.held) >= documentLimit {
		for k := range d.held { // an arbitrary one: the next use parses it again
			delete(d.held, k)
			break
		}
	}
	d.held[text] = doc
	return doc, nil
}
