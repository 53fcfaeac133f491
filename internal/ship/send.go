package ship

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"filippo.io/age"

	"github.com/strongroom/strongroom/internal/backup"
)

// streamHeader is the stream's first object: age, to the recipients.
type streamHeader struct {
	Version int    `json:"version"`
	Stream  string `json:"stream"`
	Key     []byte `json:"key"`
	About
	Begun time.Time `json:"begun"`
}

// maxBackoff is the longest pause after failures.
const maxBackoff = 30 * time.Second

// sending brings what is taken to the target, in order.
func (s *Shipper) sending(ctx context.Context) {
	backoff := s.c.Interval
	checked := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		var err error
		if !checked {
			err = s.compare(ctx)
			checked = err == nil
		}
		if err == nil {
			err = s.send(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.fail(err)
			pause(ctx, backoff)
			backoff = min(2*backoff, maxBackoff)
		default:
			s.works()
			backoff = s.c.Interval
		}
	}
}

// Flush takes and sends everything now.
func (s *Shipper) Flush(ctx context.Context) error {
	s.Take()
	return s.send(ctx)
}

// compare looks whether the target holds what this machine knows nothing of: then
// another one, or a later state of this one, has gone on with the stream, and nothing
// of it may be written over.
func (s *Shipper) compare(ctx context.Context) error {
	s.take.Lock()
	stream, next := s.st.Stream, map[string]uint64{kindLog: s.st.Log.Next, kindAudit: s.st.Audit.Next}
	s.take.Unlock()
	names, err := s.list(ctx, stream+"/")
	if err != nil {
		return err
	}
	for _, name := range names {
		kind, n, _, ok := parseName(stream, name)
		if limit, counted := next[kind]; !ok || !counted || n < limit {
			continue
		}
		s.c.Log.Warn("shipping begins a new stream", "why", "somebody else has gone on with this one, such as a copy of the data directory", "object", name)
		s.take.Lock()
		defer s.take.Unlock()
		return s.begin()
	}
	return nil
}

func (s *Shipper) list(ctx context.Context, prefix string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.c.Timeout)
	defer cancel()
	return s.c.Target.List(ctx, prefix)
}

func (s *Shipper) deliver(ctx context.Context, name string, object []byte) error {
	ctx, cancel := context.WithTimeout(ctx, s.c.Timeout)
	defer cancel()
	if err := s.c.Target.Put(ctx, name, object); err != nil {
		return err
	}
	s.counters.objects.Add(1)
	s.counters.bytes.Add(int64(len(object)))
	return nil
}

// send brings everything that is taken to the target: storage keys and the audit
// record before the log, so that whatever of the log arrives has both.
func (s *Shipper) send(ctx context.Context) error {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	s.take.Lock()
	st, until, gap := s.st, s.st.Until, s.st.Gap
	s.take.Unlock()
	if !st.Begun {
		if err := s.sendStream(ctx, &st); err != nil {
			return err
		}
	}
	if err := s.sendKeys(ctx, st.Stream); err != nil {
		return err
	}
	if err := s.sendAudit(ctx, st.Stream); err != nil {
		return err
	}
	if err := s.sendSeries(ctx, st.Stream, kindLog, &s.st.Log, st.Log.Next); err != nil {
		return err
	}
	if !gap {
		s.counters.sentUntil.Store(until)
	}
	return nil
}

// sendStream begins the stream at the target.
func (s *Shipper) sendStream(ctx context.Context, st *state) error {
	h := streamHeader{Version: stateVersion, Stream: st.Stream, Key: s.key, About: s.c.About, Begun: s.c.Now().UTC().Truncate(time.Second)}
	b, err := json.Marshal(h)
	if err != nil {
		return err
	}
	defer clear(b)
	var object bytes.Buffer
	w, err := backup.Encrypt(&object, s.c.Recipients, "")
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	if err := s.deliver(ctx, st.Stream+"/"+streamFile, object.Bytes()); err != nil {
		return err
	}
	return s.change(st.Stream, func(st *state) { st.Begun = true })
}

// change changes the state, unless it is another stream's by now.
func (s *Shipper) change(stream string, fn func(*state)) error {
	s.take.Lock()
	defer s.take.Unlock()
	if s.st.Stream != stream {
		return errors.New("a new stream has begun")
	}
	fn(&s.st)
	return s.spool.save(&s.st)
}

// sendKeys brings storage keys to the target that it does not have.
func (s *Shipper) sendKeys(ctx context.Context, stream string) error {
	s.take.Lock()
	have, number := s.st.Keys, s.st.Numbered+1
	s.take.Unlock()
	fresh, err := s.src.Keys(ctx, have)
	if err != nil {
		return fmt.Errorf("read the storage keys: %w", err)
	}
	defer func() {
		for _, k := range fresh {
			clear(k.Secret)
		}
	}()
	if len(fresh) == 0 {
		return nil
	}
	name := objectName(stream, kindKeys, number)
	object, err := s.key.seal(name, func(w io.Writer) error {
		b, err := json.Marshal(fresh)
		if err != nil {
			return err
		}
		defer clear(b)
		_, err = w.Write(b)
		return err
	})
	if err != nil {
		return err
	}
	if err := s.deliver(ctx, name, object); err != nil {
		return err
	}
	return s.change(stream, func(st *state) {
		st.Numbered, st.Keys = number, slices.Clone(st.Keys)
		for _, k := range fresh {
			st.Keys = append(st.Keys, k.ID)
		}
	})
}

// sendAudit brings to the target what is durable of the audit record.
func (s *Shipper) sendAudit(ctx context.Context, stream string) error {
	for {
		s.take.Lock()
		if s.st.Stream != stream {
			s.take.Unlock()
			return nil
		}
		files := maps.Clone(s.st.Files)
		h := segment{Number: s.st.Audit.Next, Prev: s.st.Audit.Prev, Until: s.st.Until}
		s.take.Unlock()
		pieces, err := s.src.Audit(files, chunkAudit)
		if err != nil {
			return fmt.Errorf("read the audit record: %w", err)
		}
		if len(pieces) > 0 {
			name := objectName(stream, kindAudit, h.Number)
			object, err := s.key.seal(name, func(w io.Writer) error { return writeAudit(w, &h, pieces) })
			if err != nil {
				return err
			}
			if err := s.spool.put(kindAudit, h.Number, object); err != nil {
				return fmt.Errorf("write to the spool: %w", err)
			}
			for _, p := range pieces {
				files[p.Name] = p.Offset + int64(len(p.Data))
			}
			s.take.Lock()
			err = s.count(&s.st.Audit, object, func(st *state) { st.Files = files })
			s.take.Unlock()
			if err != nil {
				return err
			}
		}
		if err := s.sendSeries(ctx, stream, kindAudit, &s.st.Audit, h.Number+1); err != nil {
			return err
		}
		if len(pieces) == 0 {
			return nil
		}
	}
}

// sendSeries brings the objects before next to the target.
func (s *Shipper) sendSeries(ctx context.Context, stream, kind string, sr *series, next uint64) error {
	s.take.Lock()
	first := sr.Sent + 1
	next = min(next, sr.Next)
	s.take.Unlock()
	var failed error
	sent, size := first, int64(0)
	for ; sent < next && failed == nil; sent++ {
		object, err := s.spool.get(kind, sent)
		if err == nil {
			err = s.deliver(ctx, objectName(stream, kind, sent), object)
		}
		if failed = err; failed != nil {
			break
		}
		size += int64(len(object))
	}
	if sent == first {
		return failed
	}
	err := s.change(stream, func(*state) {
		sr.Sent = sent - 1
		s.spooled -= size
		s.counters.waiting.Store(s.spooled)
	})
	for n := first; n < sent && err == nil; n++ {
		err = s.spool.remove(kind, n)
	}
	return errors.Join(failed, err)
}

// openStream opens a stream's first object.
func openStream(object []byte, stream string, ids backup.Identities) (h streamHeader, err error) {
	r, err := backup.Decrypt(bytes.NewReader(object), ids)
	if err != nil {
		return h, err
	}
	b, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return h, fmt.Errorf("%w: %s: %w", ErrDamaged, streamFile, err)
	}
	defer clear(b)
	if json.Unmarshal(b, &h) != nil || h.Stream != stream || len(h.Key) != streamKeySize {
		return h, fmt.Errorf("%w: %s belongs to another stream", ErrDamaged, streamFile)
	}
	if h.Version != stateVersion {
		return h, fmt.Errorf("the stream is of version %d, which this release cannot read", h.Version)
	}
	return h, nil
}

var _ age.Recipient = named{}
