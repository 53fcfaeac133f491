package secretsmanager

import (
	"context"
	"sync"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
)

// accessLog gathers which versions were read today, so that a read waits for no
// write. What it holds is lost in a crash: it is the date of a day, not the
// record of a read, which audit keeps.
type accessLog struct {
	mu      sync.Mutex
	pending map[secretKey]*reads
}

type secretKey struct{ account, region, uid string }

// reads are the versions of one secret that were read, and the latest day.
type reads struct {
	day      int64
	versions map[string]int64
}

func keyFor(sec *secret) secretKey { return secretKey{sec.Account, sec.Region, sec.UID} }

// note remembers a read unless its day stands in the rows already.
func (l *accessLog) note(sec *secret, v *version, day int64) {
	if zeroOrMicros(sec.AccessedAt) >= day && zeroOrMicros(v.AccessedAt) >= day {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(keyFor(sec), v.ID, day)
}

func (l *accessLog) add(key secretKey, version string, day int64) {
	if l.pending == nil {
		l.pending = make(map[secretKey]*reads)
	}
	r := l.pending[key]
	if r == nil {
		r = &reads{versions: make(map[string]int64)}
		l.pending[key] = r
	}
	r.day = max(r.day, day)
	r.versions[version] = max(r.versions[version], day)
}

// show puts days that are not in the rows yet into what a caller is about to be
// shown.
func (l *accessLog) show(sec *secret, versions []*version) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.pending[keyFor(sec)]
	if r == nil {
		return
	}
	if day := aws.Micros(r.day); day.After(sec.AccessedAt) {
		sec.AccessedAt = day
	}
	for _, v := range versions {
		if day := microsOrZero(r.versions[v.ID]); day.After(v.AccessedAt) {
			v.AccessedAt = day
		}
	}
}

// FlushAccesses writes the gathered days; a job calls it about every second.
// What cannot be written waits for the next time.
func (s *Service) FlushAccesses(ctx context.Context) error {
	l := &s.accesses
	l.mu.Lock()
	pending := l.pending
	l.pending = nil
	l.mu.Unlock()
	if len(pending) == 0 {
		return nil
	}
	err := s.db.Maintain(ctx, func(tx store.Tx) error {
		for k, r := range pending {
			if err := store.Changed(tx, uidKey(k.account, k.region, k.uid)); err != nil {
				return err
			}
			if _, err := tx.Exec(`UPDATE secrets SET accessed_at = $4 WHERE account = $1 AND region = $2 AND uid = $3 AND accessed_at < $4`,
				k.account, k.region, k.uid, r.day); err != nil {
				return err
			}
			for id, day := range r.versions {
				if _, err := tx.Exec(`UPDATE secret_versions SET accessed_at = $5
					WHERE account = $1 AND region = $2 AND secret_uid = $3 AND version_id = $4 AND accessed_at < $5`,
					k.account, k.region, k.uid, id, day); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, r := range pending {
		for id, day := range r.versions {
			l.add(k, id, day)
		}
	}
	return err
}

const dayMicros = 24 * 60 * 60 * 1_000_000

// today is the start of the current UTC day.
func (s *Service) today() int64 {
	us := s.now().UnixMicro()
	return us - us%dayMicros
}
