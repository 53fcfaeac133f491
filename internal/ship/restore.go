package ship

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/strongroom/strongroom/internal/backup"
	"github.com/strongroom/strongroom/internal/keyring"
)

// Plan is a restore that was proven: everything that it needs was read, opened and
// found to be what it must be.
type Plan struct {
	About
	Stream string `json:"stream"`
	// At is the moment that is restored: commits up to it are in it, later ones not.
	At time.Time `json:"at"`
	// First and Last are the moments between which the stream can restore any, up to
	// a gap.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Unsure is set when the moments of some commits between it and At are not known.
	Unsure time.Time `json:"unsureSince,omitzero"`
	// Bytes is the size of all objects that were read.
	Bytes int64 `json:"bytes"`
	Logs  int   `json:"logObjects"`
	// Commits and Pages are what is replayed.
	Commits int64 `json:"commits"`

	target Target
	key    streamKey
	base   base
	// names and sums are the log objects, files and fileSums those of the audit
	// record, with their SHA-256.
	names, sums     []string
	files, fileSums []string
	keys            []keyring.Bare
	at              int64
	audit           uint64 // how many audit objects there must be
}

// ErrNoMoment means that a target cannot restore the moment that was asked for.
var ErrNoMoment = errors.New("that moment cannot be restored")

// Prove finds what a restore of a moment needs, the latest one if at is zero, and
// proves all of it. Nothing is written.
func Prove(ctx context.Context, t Target, ids backup.Identities, at time.Time) (*Plan, error) {
	names, err := t.List(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", t, err)
	}
	streams := streamsOf(names)
	if len(streams) == 0 {
		return nil, fmt.Errorf("%w: nothing was shipped to %s", ErrNoMoment, t)
	}
	var why error
	for _, stream := range streams { // The newest first.
		p := &Plan{Stream: stream, target: t, at: 1<<63 - 1}
		if !at.IsZero() {
			p.at = at.UnixMicro()
		}
		found, err := p.find(ctx, names, ids)
		if err != nil {
			return nil, err
		}
		if !found {
			if why == nil {
				why = p.tooEarly(at)
			}
			continue
		}
		if err := p.prove(ctx, names); err != nil {
			return nil, err
		}
		return p, nil
	}
	return nil, why
}

func (p *Plan) tooEarly(at time.Time) error {
	if p.First.IsZero() {
		return fmt.Errorf("%w: no copy of the database is whole yet", ErrNoMoment)
	}
	return fmt.Errorf("%w: the first one is %s, not %s", ErrNoMoment, p.First.Format(time.RFC3339Nano), at.UTC().Format(time.RFC3339Nano))
}

func streamsOf(names []string) []string {
	var out []string
	for _, name := range names {
		stream, rest, ok := strings.Cut(name, "/")
		if ok && rest == streamFile && streamName.MatchString(stream) {
			out = append(out, stream)
		}
	}
	slices.Sort(out)
	slices.Reverse(out)
	return out
}

// numbers returns the numbers of a stream's objects of a kind, in order.
func numbers(stream, kind string, names []string) []uint64 {
	var out []uint64
	for _, name := range names {
		if k, n, part, ok := parseName(stream, name); ok && k == kind && part < 0 {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// find opens the stream and chooses the newest base that is old enough.
func (p *Plan) find(ctx context.Context, names []string, ids backup.Identities) (bool, error) {
	object, err := p.get(ctx, p.Stream+"/"+streamFile)
	if err != nil {
		return false, err
	}
	h, err := openStream(object, p.Stream, ids)
	if err != nil {
		return false, fmt.Errorf("open stream %s: %w", p.Stream, err)
	}
	p.key, p.About = h.Key, h.About
	bases := numbers(p.Stream, kindBase, names)
	logs := numbers(p.Stream, kindLog, names)
	for _, n := range slices.Backward(bases) {
		name := objectName(p.Stream, kindBase, n)
		object, err := p.get(ctx, name)
		if err != nil {
			return false, err
		}
		plain, err := p.key.open(name, object)
		if err != nil {
			return false, err
		}
		var b base
		if json.Unmarshal(plain, &b) != nil || b.Number != n || b.PageSize < 512 || b.PageSize > 1<<16 || b.Size < 0 || b.Keys == 0 {
			return false, fmt.Errorf("%w: %s", ErrDamaged, name)
		}
		p.First = moment(b.Until)
		// Of the newest base the log may still be on its way.
		arrived := b.Through < b.Number || len(logs) > 0 && logs[len(logs)-1] >= b.Through
		if b.Until <= p.at && arrived {
			p.base = b
			return true, nil
		}
	}
	return false, nil
}

func (p *Plan) get(ctx context.Context, name string) ([]byte, error) {
	object, err := p.target.Get(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("%w: %s is missing", ErrDamaged, name)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	p.Bytes += int64(len(object))
	return object, nil
}

func (p *Plan) prove(ctx context.Context, names []string) error {
	if err := p.proveKeys(ctx); err != nil {
		return err
	}
	if err := p.eachPart(ctx, func([]byte) error { return nil }); err != nil {
		return err
	}
	if err := p.proveLogs(ctx, numbers(p.Stream, kindLog, names)); err != nil {
		return err
	}
	return p.proveAudit(ctx, numbers(p.Stream, kindAudit, names))
}

func (p *Plan) proveKeys(ctx context.Context) error {
	for n := uint64(1); ; n++ {
		name := objectName(p.Stream, kindKeys, n)
		object, err := p.target.Get(ctx, name)
		if errors.Is(err, ErrNotFound) {
			if n <= p.base.Keys {
				return fmt.Errorf("%w: %s is missing", ErrDamaged, name)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		plain, err := p.key.open(name, object)
		if err != nil {
			return err
		}
		var keys []keyring.Bare
		if json.Unmarshal(plain, &keys) != nil {
			return fmt.Errorf("%w: %s", ErrDamaged, name)
		}
		clear(plain)
		p.keys = append(p.keys, keys...)
	}
}

// eachPart calls fn with the database file's bytes, in order.
func (p *Plan) eachPart(ctx context.Context, fn func([]byte) error) error {
	var names []string
	for i := range p.base.Parts {
		names = append(names, partName(p.Stream, p.base.Number, i))
	}
	size := int64(0)
	err := p.each(ctx, names, p.base.Parts, func(_ int, _, plain []byte) error {
		r := flate.NewReader(bytes.NewReader(plain))
		b, err := io.ReadAll(io.LimitReader(r, partSize+1))
		if err != nil || len(b) > partSize {
			return fmt.Errorf("%w: a part of the database", ErrDamaged)
		}
		size += int64(len(b))
		return fn(b)
	})
	if err == nil && size != p.base.Size {
		err = fmt.Errorf("%w: the database has %d bytes, not %d", ErrDamaged, size, p.base.Size)
	}
	return err
}

// ahead is how many objects are read in advance.
const ahead = 8

// each reads objects, proves that they have the SHA-256 in sums, where there are any,
// and calls fn with each in order, as it lies at the target and opened.
func (p *Plan) each(ctx context.Context, names, sums []string, fn func(i int, object, plain []byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		object []byte
		err    error
	}
	answers := make([]chan answer, len(names))
	begin := func(i int) {
		answers[i] = make(chan answer, 1)
		go func() {
			object, err := p.target.Get(ctx, names[i])
			answers[i] <- answer{object, err}
		}()
	}
	for i := range min(ahead, len(names)) {
		begin(i)
	}
	for i, name := range names {
		a := <-answers[i]
		answers[i] = nil
		if i+ahead < len(names) {
			begin(i + ahead)
		}
		switch {
		case errors.Is(a.err, ErrNotFound):
			return fmt.Errorf("%w: %s is missing", ErrDamaged, name)
		case a.err != nil:
			return fmt.Errorf("read %s: %w", name, a.err)
		case sums != nil && hash(a.object) != sums[i]:
			return fmt.Errorf("%w: %s is another object than was named", ErrDamaged, name)
		}
		plain, err := p.key.open(name, a.object)
		if err != nil {
			return err
		}
		p.Bytes += int64(len(a.object))
		if err := fn(i, a.object, plain); err != nil {
			return err
		}
	}
	return nil
}

// errEnough ends reading without a fault.
var errEnough = errors.New("enough was read")

// proveLogs follows the log from the base to the moment.
func (p *Plan) proveLogs(ctx context.Context, all []uint64) error {
	all = slices.DeleteFunc(all, func(n uint64) bool { return n < p.base.Number })
	var names []string
	for i, n := range all {
		if n != p.base.Number+uint64(i) {
			return fmt.Errorf("%w: %s is missing", ErrDamaged, objectName(p.Stream, kindLog, p.base.Number+uint64(i)))
		}
		names = append(names, objectName(p.Stream, kindLog, n))
	}
	prev, until := p.base.Prev, p.base.Until
	latest := p.at == 1<<63-1
	reached := p.at <= until
	err := p.each(ctx, names, nil, func(i int, object, plain []byte) error {
		n := all[i]
		if reached && n > p.base.Through {
			return errEnough
		}
		commits := int64(0)
		h, err := readLog(plain, func(c *commit) error {
			if c.at <= p.at {
				commits++
			}
			return nil
		})
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", names[i], err)
		case h.Number != n || h.Prev != prev || h.PageSize != p.base.PageSize:
			return fmt.Errorf("%w: %s does not continue what is before it", ErrDamaged, names[i])
		case h.Gap && n <= p.base.Through:
			return fmt.Errorf("%w: %s begins behind a gap", ErrDamaged, names[i])
		case h.Gap && latest:
			return errEnough
		case h.Gap:
			return fmt.Errorf("%w: what happened between %s and %s was not shipped; the next moment that can be restored is that of the copy of the database after it",
				ErrNoMoment, moment(until).Format(time.RFC3339Nano), moment(h.Until).Format(time.RFC3339Nano))
		}
		if h.Unsure > 0 && h.Unsure <= p.at {
			p.Unsure = moment(h.Unsure)
		}
		prev, until, p.audit = hash(object), max(until, h.Until), h.Audit
		p.Commits += commits
		p.names, p.sums = append(p.names, names[i]), append(p.sums, prev)
		reached = p.at <= until
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	if len(p.names) == 0 && p.base.Through >= p.base.Number {
		return fmt.Errorf("%w: %s is missing", ErrDamaged, objectName(p.Stream, kindLog, p.base.Number))
	}
	p.Logs = len(p.names)
	p.Last = moment(until)
	switch {
	case latest:
		p.at = until
	case !reached:
		return fmt.Errorf("%w: what was shipped ends at %s, before %s", ErrNoMoment, p.Last.Format(time.RFC3339Nano), moment(p.at).Format(time.RFC3339Nano))
	}
	p.At = moment(p.at)
	return nil
}

// auditFile are the names that a file of the audit record may have.
var auditFile = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}\.(pub|\d{20}\.(jsonl|head))$`)

// proveAudit reads all that was shipped of the audit record, also what is later than
// the moment: going back must not forget what happened since.
func (p *Plan) proveAudit(ctx context.Context, all []uint64) error {
	for i, n := range all {
		name := objectName(p.Stream, kindAudit, uint64(i)+1)
		if n != uint64(i)+1 {
			return fmt.Errorf("%w: %s is missing", ErrDamaged, name)
		}
		p.files = append(p.files, name)
	}
	if n := uint64(len(all)); n < p.audit {
		return fmt.Errorf("%w: %s is missing", ErrDamaged, objectName(p.Stream, kindAudit, n+1))
	}
	prev := ""
	lengths := make(map[string]int64)
	return p.each(ctx, p.files, nil, func(i int, object, plain []byte) error {
		h, err := readAudit(plain, func(piece Piece) error {
			if !auditFile.MatchString(piece.Name) || piece.Offset != 0 && piece.Offset != lengths[piece.Name] {
				return ErrDamaged
			}
			lengths[piece.Name] = piece.Offset + int64(len(piece.Data))
			return nil
		})
		if err == nil && (h.Number != uint64(i)+1 || h.Prev != prev) {
			err = ErrDamaged
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.files[i], err)
		}
		prev = hash(object)
		p.fileSums = append(p.fileSums, prev)
		return nil
	})
}

// Keys are the storage keys, without the root key around them.
func (p *Plan) Keys() []keyring.Bare { return p.keys }

// WriteDatabase writes the database file as it was at the moment.
func (p *Plan) WriteDatabase(ctx context.Context, path string) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	err = p.eachPart(ctx, func(b []byte) error {
		_, err := f.Write(b)
		return err
	})
	if err != nil {
		return err
	}
	size := p.base.Size
	err = p.each(ctx, p.names, p.sums, func(_ int, _, plain []byte) error {
		_, err := readLog(plain, func(c *commit) error {
			if c.at > p.at {
				return nil
			}
			for _, fr := range c.frames {
				if _, err := f.WriteAt(fr.data, int64(fr.page-1)*int64(p.base.PageSize)); err != nil {
					return err
				}
			}
			size = int64(c.pages) * int64(p.base.PageSize)
			return nil
		})
		return err
	})
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Sync())
}

// WriteAudit writes the files of the audit record.
func (p *Plan) WriteAudit(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	seen := make(map[string]bool)
	err := p.each(ctx, p.files, p.fileSums, func(_ int, _, plain []byte) error {
		_, err := readAudit(plain, func(piece Piece) error {
			seen[piece.Name] = true
			return writePiece(filepath.Join(dir, piece.Name), piece)
		})
		return err
	})
	if err != nil {
		return err
	}
	for name := range seen {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

func writePiece(path string, piece Piece) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if piece.Offset == 0 {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(piece.Data, piece.Offset)
	}
	return errors.Join(err, f.Close())
}

// Close forgets the keys.
func (p *Plan) Close() {
	clear(p.key)
	for _, k := range p.keys {
		clear(k.Secret)
	}
}
