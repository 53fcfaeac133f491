package server

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// observe registers the collectors and returns what is told of each call: it
// counts it, and hands a denied one over to be explained.
// Labels are limited to service, operation and error code: never a name, a
// principal or an address.
func (s *Server) observe(also func(*wire.Call)) wire.Observer {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "strongroom_requests_total", Help: "Finished calls, nested ones included.",
	}, []string{"service", "operation", "code"})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "strongroom_request_seconds", Help: "Time from the first byte of a call to its answer.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
	}, []string{"service", "operation"})
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "strongroom_refused_total", Help: "Requests refused before their caller was known.",
	}, []string{"code"})
	throttled := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "strongroom_throttled_total", Help: "Requests refused because they were too many, by the bound that refused them.",
	}, []string{"bound"})
	var noted atomic.Int64
	var meters meters
	s.metrics.MustRegister(requests, seconds, refused, throttled)
	s.metrics.MustRegister(s.collectors()...)
	// Goroutines, memory and descriptors: what grows shows there first.
	s.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return func(c *wire.Call, _ int, took time.Duration) {
		s.endpoints.Observe(c)
		s.denials.Observe(c)
		if also != nil {
			also(c)
		}
		if c.Throttled != "" {
			throttled.WithLabelValues(c.Throttled).Inc()
			s.noteThrottled(&noted, c)
		}
		code := "OK"
		if e, ok := errors.AsType[*aws.Error](c.Err); ok {
			code = e.Code
		} else if c.Err != nil {
			code = "InternalFailure"
		}
		if c.Principal == nil || c.Service == nil {
			refused.WithLabelValues(code).Inc()
			return
		}
		if c.Info() == nil { // a service event
			requests.WithLabelValues(c.Service.Name, c.Operation, code).Inc()
			seconds.WithLabelValues(c.Service.Name, c.Operation).Observe(took.Seconds())
			return
		}
		m := meters.of(c.Info(), func() *meter {
			return &meter{requests.WithLabelValues(c.Service.Name, c.Operation, "OK"), seconds.WithLabelValues(c.Service.Name, c.Operation)}
		})
		if c.Err == nil {
			m.good.Inc()
		} else {
			requests.WithLabelValues(c.Service.Name, c.Operation, code).Inc()
		}
		m.seconds.Observe(took.Seconds())
	}
}

// meter is what an operation counts with each call that succeeds: found once,
// since looking labels up costs more than counting.
type meter struct {
	good    prometheus.Counter
	seconds prometheus.Observer
}

// meters has the meter of each operation; there are as many as operations.
type meters struct{ all sync.Map } // *wire.OperationInfo → *meter

func (m *meters) of(o *wire.OperationInfo, make func() *meter) *meter {
	if found, ok := m.all.Load(o); ok {
		return found.(*meter)
	}
	found, _ := m.all.LoadOrStore(o, make())
	return found.(*meter)
}

func (s *Server) collectors() []prometheus.Collector {
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
	}
	counter := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, f)
	}
	return append(s.shipCollectors(), []prometheus.Collector{
		gauge("strongroom_connections_open", "Connections open at the public listeners.", func() float64 { return float64(s.public.Open()) }),
		counter("strongroom_connections_refused_total", "Connections refused because their address had too many, at any listener.", func() float64 { return float64(s.addresses.Refused()) }),
		gauge("strongroom_store_writes_waiting", "Writes that wait for their turn.", func() float64 { return float64(s.db.Stats().Waiting) }),
		counter("strongroom_store_commits_total", "Committed writes.", func() float64 { return float64(s.db.Stats().Commits) }),
		counter("strongroom_store_batches_total", "Transactions that they shared.", func() float64 { return float64(s.db.Stats().Batches) }),
		counter("strongroom_store_rollbacks_total", "Writes that were not committed.", func() float64 { return float64(s.db.Stats().Rollbacks) }),
		counter("strongroom_store_primary_changes_total", "How often another database server took the writes.", func() float64 { return float64(s.db.Stats().Primaries) }),
		counter("strongroom_denials_explained_total", "Denied calls whose explanation was written.", func() float64 { return float64(s.denials.Stats().Written) }),
		counter("strongroom_denials_dropped_total", "Denied calls whose explanation was dropped: too many came at once.", func() float64 { return float64(s.denials.Stats().Dropped) }),
		gauge("strongroom_denials_waiting", "Explanations that wait to be written.", func() float64 { return float64(s.denials.Stats().Waiting) }),
		gauge("strongroom_clock_wait_seconds", "For how long nothing is destroyed because the clock was set ahead, or the server off.", func() float64 {
			return s.db.Stats().ClockWait.Seconds()
		}),
		gauge("strongroom_store_up", "1 while the database answers and its disk takes changes.", func() float64 {
			if s.db.Stats().DownSince.IsZero() {
				return 1
			}
			return 0
		}),
		counter("strongroom_store_outages_total", "How often the database stopped answering.", func() float64 { return float64(s.db.Stats().Outages) }),
		counter("strongroom_store_disk_errors_total", "Calls that failed for the sake of SQLite's disk.", func() float64 { return float64(s.db.Stats().DiskErrors) }),
		counter("strongroom_store_damaged_total", "Calls that met a damaged page of SQLite's file.", func() float64 { return float64(s.db.Stats().Damaged) }),
		gauge("strongroom_audit_up", "1 while audit records can be written; without, calls are refused.", func() float64 {
			if a := s.audit.Stats(); a.Failed || a.NoRoom {
				return 0
			}
			return 1
		}),
		gauge("strongroom_audit_room_bytes", "Room for audit records that is there already.", func() float64 { return float64(s.audit.Stats().Free) }),
		counter("strongroom_audit_refused_total", "Calls refused because there was no room for their records.", func() float64 { return float64(s.audit.Stats().Refused) }),
		counter("strongroom_audit_records_total", "Audit records.", func() float64 { return float64(s.audit.Stats().Appended) }),
		gauge("strongroom_audit_flush_seconds", "How long the last flush of the audit log took.", func() float64 { return s.audit.Stats().LastFlush.Seconds() }),
		counter("strongroom_store_connections_broken_total", "Connections to the database that broke in use.", func() float64 { return float64(s.db.Stats().Broken) }),
		counter("strongroom_store_commits_lost_total", "Commits whose answer was lost and whose outcome was looked up.", func() float64 { return float64(s.db.Stats().Lost) }),
		gauge("strongroom_store_connections_used", "Connections to the database in use.", func() float64 { return float64(s.db.Stats().Readers) }),
		gauge("strongroom_audit_records_unshipped", "Audit records that only this node's disk has; always 0 on SQLite.", func() float64 {
			if st := s.audit.Stats(); s.db.Engine() == store.PostgreSQL {
				return float64(st.Seq - min(st.Seq, st.ShippedSeq))
			}
			return 0
		}),
		counter("strongroom_store_retries_total", "Writes that ran again after a conflict.", func() float64 { return float64(s.db.Stats().Retries) }),
	}...)
}
