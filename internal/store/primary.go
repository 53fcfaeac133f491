package store

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/strongroom/strongroom/internal/panics"
)

// headStart is how long the server that was the primary last is asked alone.
const headStart = 250 * time.Millisecond

// nobody is the place of a primary that is not known.
const nobody = -1

// primary finds the server that takes writes among those that the database's
// address names.
//
// All are asked side by side: one that is stopped or cut off answers nothing
// for as long as the connection may take, and must not hold up everybody who
// needs the one that took its place. The one found last comes first, so that an
// old primary which wakes up is not taken for the new one while that answers,
// and connections to all others are dropped.
type primary struct {
	hosts []*pgx.ConnConfig
	limit time.Duration // for an answer
	log   *slog.Logger

	current atomic.Int64 // in hosts, or nobody
	changes atomic.Int64
}

func newPrimary(config *pgx.ConnConfig, limit time.Duration, log *slog.Logger) *primary {
	p := &primary{limit: limit, log: log}
	p.current.Store(nobody)
	ways := append([]*pgconn.FallbackConfig{{Host: config.Host, Port: config.Port, TLSConfig: config.TLSConfig}}, config.Fallbacks...)
	for i, way := range ways {
		if i > 0 && way.Host == ways[i-1].Host && way.Port == ways[i-1].Port {
			last := p.hosts[len(p.hosts)-1]
			last.Fallbacks = append(last.Fallbacks, way) // with TLS and without, as sslmode has it
			continue
		}
		host := config.Copy()
		host.Host, host.Port, host.TLSConfig, host.Fallbacks = way.Host, way.Port, way.TLSConfig, nil
		p.hosts = append(p.hosts, host)
	}
	return p
}

// connect opens a connection to the primary.
func (p *primary) connect(ctx context.Context) (*postgresConn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // for those that are still being asked
	type answer struct {
		conn *postgresConn
		err  error
	}
	answers := make(chan answer, len(p.hosts))
	asked := 0
	ask := func(hosts []int) {
		asked += len(hosts)
		for _, host := range hosts {
			go func() {
				conn, err := p.dial(ctx, host)
				answers <- answer{conn, err}
			}()
		}
	}
	first, rest := p.order()
	ask(first)
	timer := time.NewTimer(headStart)
	defer timer.Stop()
	var failures []error
	for len(failures) < len(p.hosts) {
		select {
		case a := <-answers:
			if a.err == nil {
				p.found(a.conn.host)
				late := asked - len(failures) - 1
				go func() {
					for range late {
						if a := <-answers; a.err == nil {
							a.conn.abandon()
						}
					}
				}()
				return a.conn, nil
			}
			failures = append(failures, a.err)
		case <-timer.C:
		}
		ask(rest)
		rest = nil
	}
	return nil, errors.Join(failures...)
}

// order returns whom to ask first, and whom if that does not answer.
func (p *primary) order() (first, rest []int) {
	current := int(p.current.Load())
	for i := range p.hosts {
		if i == current {
			first = append(first, i)
		} else {
			rest = append(rest, i)
		}
	}
	if first == nil {
		return rest, nil
	}
	return first, rest
}

func (p *primary) dial(ctx context.Context, host int) (_ *postgresConn, err error) {
	defer panics.Catch(&err)
	conn, l, err := connect(ctx, p.hosts[host], p.limit)
	if err != nil {
		return nil, err
	}
	return &postgresConn{Conn: conn, link: l, host: host}, nil
}

func (p *primary) found(host int) {
	before := int(p.current.Swap(int64(host)))
	if before != nobody && before != host {
		p.changes.Add(1)
		p.log.Warn("another database server takes the writes now", slog.String("server", p.address(host)), slog.String("before", p.address(before)))
	}
}

// lost says that a server turned out to take no writes.
func (p *primary) lost(host int) { p.current.CompareAndSwap(int64(host), nobody) }

// is reports whether a server is the one found last.
func (p *primary) is(host int) bool { return p.current.Load() == int64(host) }

func (p *primary) address(host int) string {
	c := p.hosts[host]
	return net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))
}
