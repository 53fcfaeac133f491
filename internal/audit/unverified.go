package audit

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/wire"
)

const (
	// window is how long requests are counted before a record tells of them.
	window = time.Minute
	// maxSources bounds the pairs of source and reason that are counted apart,
	// maxReasons the reasons in Stats; what comes beyond is counted as "other".
	maxSources = 1024
	maxReasons = 32
	// maxSamples bounds how many pairs the record names, those with the
	// highest counts. With it the record stays below leastEvent.
	maxSamples = 12

	otherReason = "other"
)

// unverifiedEvent is the name of the records that tell of unverified requests.
const unverifiedEvent = "StrongroomUnverifiedRequests"

// unverified counts requests whose caller could not be told.
type unverified struct {
	mu      sync.Mutex
	since   time.Time // of the window; zero when nothing is counted
	total   uint64
	sources map[unverifiedKey]*sample
	other   uint64            // requests beyond maxSources
	reasons map[string]uint64 // since the log was opened
}

type unverifiedKey struct {
	source netip.Addr
	reason string
}

// sample is the first request of a source and reason in a window.
type sample struct {
	unverifiedKey
	count              uint64
	at                 time.Time
	service, operation string
	agent              string
}

// Unverified counts a request that was refused before its caller was known. One
// record a minute tells of all of them, with the first request of the most
// frequent sources, so that a flood cannot fill the disk.
func (l *Log) Unverified(c *wire.Call, err error) {
	reason := reasonOf(err)
	l.stats.unverified.Add(1)
	u := &l.unverified
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.reasons == nil {
		u.reasons = make(map[string]uint64)
	}
	if _, ok := u.reasons[reason]; !ok && len(u.reasons) >= maxReasons {
		u.reasons[otherReason]++
	} else {
		u.reasons[reason]++
	}
	if u.since.IsZero() {
		u.since = l.now()
		u.sources = make(map[unverifiedKey]*sample)
	}
	u.total++
	k := unverifiedKey{sourceOf(c.Source), reason}
	if s := u.sources[k]; s != nil {
		s.count++
		return
	}
	if len(u.sources) >= maxSources {
		u.other++
		return
	}
	s := &sample{unverifiedKey: k, count: 1, at: c.Start, operation: c.Operation, agent: cut(c.UserAgent)}
	if c.Service != nil {
		s.service = c.Service.EventSource
	}
	u.sources[k] = s
}

// sourceOf is what a source is counted under: an IPv6 peer owns at least the
// 64 bits behind its prefix and could show a new address in each request.
func sourceOf(a netip.Addr) netip.Addr {
	if a = a.Unmap().WithZone(""); !a.Is6() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}

// maxAgent bounds what is kept of an unverified request's user agent.
const maxAgent = 128

// cut copies the beginning of s, so that a long header is not kept alive.
func cut(s string) string {
	return string([]byte(s[:min(len(s), maxAgent)]))
}

// reasonOf is the error's code: our own words, never the requester's.
func reasonOf(err error) string {
	if e, ok := errors.AsType[*aws.Error](err); ok {
		return e.Code
	}
	return "InternalFailure"
}

// due reports whether the window is over.
func (u *unverified) due(now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	// A clock that was set back ends it, too, or it would last until that has caught up.
	return !u.since.IsZero() && (now.Sub(u.since) >= window || now.Before(u.since))
}

// flushUnverified writes the record of the window. When there is no room for
// it the counts stay and the next attempt tells of more.
func (l *Log) flushUnverified() error {
	u := &l.unverified
	u.mu.Lock()
	if u.since.IsZero() {
		u.mu.Unlock()
		return nil
	}
	body := l.appendNodeEvent(nil, unverifiedEvent, l.now(), u.details(l.now()))
	u.mu.Unlock()
	if err := l.appendOwn(body); err != nil {
		return err
	}
	// Requests that came meanwhile are in the totals of Stats and miss the
	// record at most once a minute.
	u.mu.Lock()
	u.since, u.total, u.other, u.sources = time.Time{}, 0, 0, nil
	u.mu.Unlock()
	return nil
}

// details encodes the counts. The caller holds mu.
func (u *unverified) details(now time.Time) []byte {
	list := make([]*sample, 0, len(u.sources))
	for _, s := range u.sources {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *sample) int {
		return cmp.Or(cmp.Compare(b.count, a.count), a.source.Compare(b.source), cmp.Compare(a.reason, b.reason))
	})
	shown := min(len(list), maxSamples)
	rest := u.other
	for _, s := range list[shown:] {
		rest += s.count
	}
	b := append([]byte(nil), `{"since":`...)
	b = appendTime(b, u.since)
	b = append(b, `,"until":`...)
	b = appendTime(b, now)
	b = append(b, `,"requests":`...)
	b = strconv.AppendUint(b, u.total, 10)
	b = append(b, `,"others":`...)
	b = strconv.AppendUint(b, rest, 10)
	b = append(b, `,"sources":[`...)
	for i, s := range list[:shown] {
		if i > 0 {
			b = append(b, ',')
		}
		b = s.append(b)
	}
	return append(b, `]}`...)
}

func (s *sample) append(b []byte) []byte {
	b = append(b, `{"sourceIPAddress":"`...)
	if s.source.IsValid() {
		b = s.source.AppendTo(b)
	}
	b = append(b, '"')
	if s.source.Is6() {
		b = append(b, `,"prefix":64`...)
	}
	b = appendMember(b, "errorCode", s.reason, shortLimits.name)
	b = append(b, `,"requests":`...)
	b = strconv.AppendUint(b, s.count, 10)
	b = append(b, `,"first":{"eventTime":`...)
	b = appendTime(b, s.at)
	b = appendMember(b, "eventSource", s.service, 64)
	b = appendMember(b, "eventName", s.operation, 64)
	b = appendMember(b, "userAgent", s.agent, maxAgent)
	return append(b, `}}`...)
}
