package store

import "fmt"

// Changed notes in a transaction that what is cached under key has changed; see
// OnChange. Keys are the caller's own words.
func Changed(tx Tx, key string) error {
	t, ok := tx.(*txn)
	if !ok {
		return fmt.Errorf("store: change in a %T", tx)
	}
	t.changed = append(t.changed, key)
	return nil
}

// OnChange registers the one function that is told which keys a transaction has
// changed: after its commit and before its author is answered, so that whoever
// forgets those keys then serves nothing that an acknowledged change has
// replaced. It must be quick: the writer waits for it.
//
// It returns false on PostgreSQL, where other nodes change things unheard and
// nothing may be cached by key.
func (db *DB) OnChange(fn func(keys []string)) bool {
	s, ok := db.engine.(*sqlite)
	if ok {
		s.writer.onChange.Store(&fn)
	}
	return ok
}
