package endpoint

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/strongroom/strongroom/internal/wire"
)

// unknownEndpoint is the label of what was refused before its endpoint was known.
const unknownEndpoint = "unknown"

// meters count what happens at the endpoints. Labels are ids of the
// configuration and reasons from a fixed list, never what a client sent.
type meters struct {
	connections, requests, refused *prometheus.CounterVec
	open                           *prometheus.GaugeVec

	mu  sync.Mutex
	all map[string]*meter // :: endpoint id → its own, kept over reloads
}

// meter is the counters of one endpoint.
type meter struct {
	accepted, requests prometheus.Counter
	gauge              prometheus.Gauge
	open               atomic.Int64
}

// newMeters makes the metrics of all endpoints, for a Manager that comes later.
func newMeters() *meters {
	return &meters{
		connections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "strongroom_endpoint_connections_total", Help: "Connections let in by private endpoints.",
		}, []string{"endpoint"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "strongroom_endpoint_requests_total", Help: "Requests that came through private endpoints.",
		}, []string{"endpoint"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "strongroom_endpoint_refused_total", Help: "Connections and requests that private endpoints refused, by reason.",
		}, []string{"endpoint", "reason"}),
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "strongroom_endpoint_connections_open", Help: "Connections open at private endpoints.",
		}, []string{"endpoint"}),
		all: make(map[string]*meter),
	}
}

func (m *meters) of(id string) *meter {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.all[id]
	if e == nil {
		e = &meter{accepted: m.connections.WithLabelValues(id), requests: m.requests.WithLabelValues(id), gauge: m.open.WithLabelValues(id)}
		m.all[id] = e
	}
	return e
}

// enter counts a connection unless there are limit already.
func (e *meter) enter(limit int) bool {
	if n := e.open.Add(1); n > int64(limit) {
		e.open.Add(-1)
		return false
	}
	e.accepted.Inc()
	e.gauge.Inc()
	return true
}

func (e *meter) leave() {
	e.open.Add(-1)
	e.gauge.Dec()
}

// refuse counts a refusal; id is "" when the endpoint is not known.
func (m *meters) refuse(id, reason string) {
	if id == "" {
		id = unknownEndpoint
	}
	m.refused.WithLabelValues(id, reason).Inc()
}

// Observe counts the calls that were refused because their endpoint does not lead
// to their service.
func (m *Manager) Observe(c *wire.Call) {
	if c.Endpoint != nil && c.Parent == nil && c.Service != nil && !c.Endpoint.Serves(c.Service.Name) {
		m.meters.refuse(c.Endpoint.ID, refusedService)
	}
}

// Collectors are the metrics of all endpoints.
func (m *Manager) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.meters.connections, m.meters.requests, m.meters.refused, m.meters.open}
}
