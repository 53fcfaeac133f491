package iam

import (
	"sync"

	"github.com/strongroom/strongroom/internal/policy"
)

// documentLimit bounds the compiled policies held, a few kilobytes each, and
// documentMemory the bytes that they take: whoever may write policies can make them
// take a hundred times as much, and put one after the other.
const (
	documentLimit  = 20_000
	documentMemory = 128 << 20
)

// documents keeps compiled policies by their text. A compiled policy follows from
// its text alone, so nothing here goes stale, and thousands of users with the
// same managed policy share one.
type documents struct {
	mu   sync.RWMutex
	held map[string]*policy.Document
	// memory is what those held take.
	memory int
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
	if other := d.held[text]; other != nil {
		return other, nil
	}
	size := doc.Memory()
	for k, other := range d.held { // arbitrary ones: the next use parses them again
		if len(d.held) < documentLimit && d.memory+size <= documentMemory {
			break
		}
		d.memory -= other.Memory()
		delete(d.held, k)
	}
	d.held[text] = doc
	d.memory += size
	return doc, nil
}
