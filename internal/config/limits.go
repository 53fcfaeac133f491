package config

import (
	"slices"
	"time"
)

// validate says what cannot be: a limit of 0 would be none, or would serve nobody.
func (l *Limits) validate() error {
	for _, n := range []struct {
		key   string
		value int64
	}{
		{"body", l.Body}, {"body_memory", l.BodyMemory}, {"header", int64(l.Header)}, {"nesting", int64(l.Nesting)}, {"members", int64(l.Members)},
		{"elements", int64(l.Elements)}, {"parameters", int64(l.Parameters)}, {"connections", int64(l.Connections)}, {"in_flight", int64(l.InFlight)},
	} {
		if n.value <= 0 {
			return mistake("limits."+n.key, "limits.%s must be more than 0, not %d", n.key, n.value)
		}
	}
	for _, d := range []struct {
		key   string
		value time.Duration
	}{
		{"request_time", l.RequestTime}, {"header_time", l.HeaderTime}, {"read_time", l.ReadTime}, {"write_time", l.WriteTime},
		{"idle_time", l.IdleTime}, {"shutdown_time", l.ShutdownTime},
	} {
		if d.value <= 0 {
			return mistake("limits."+d.key, "limits.%s must be more than 0, not %s", d.key, d.value)
		}
	}
	if l.QueueTime < 0 {
		return mistake("limits.queue_time", "limits.queue_time must be 0 for no bound, or more, not %s", l.QueueTime)
	}
	if l.DrainTime < 0 {
		return mistake("limits.drain_time", "limits.drain_time must be 0 for none, or more, not %s", l.DrainTime)
	}
	if l.ConnectionsPerAddress < 0 {
		return mistake("limits.connections_per_address", "limits.connections_per_address must be 0 for no bound, or more, not %d", l.ConnectionsPerAddress)
	}
	return l.Rates.validate()
}

func (r *Rates) validate() error {
	if !slices.Contains([]string{RatesOff, RatesAWS, RatesCustom}, r.Mode) {
		return mistake("limits.rates.mode", "limits.rates.mode %q is none of off, aws and custom", r.Mode)
	}
	for _, n := range []struct {
		key   string
		value float64
	}{{"account", r.Account}, {"principal", r.Principal}} {
		// NaN is neither.
		if !(n.value >= 0) {
			return mistake("limits.rates."+n.key, "limits.rates.%s must be 0 for no bound, or more, not %v", n.key, n.value)
		}
	}
	for _, o := range r.Operations {
		if len(o.Names) == 0 || !(o.Rate > 0) {
			return mistake("limits.rates.operations", "limits.rates.operations: each needs names, and a rate of more than 0")
		}
	}
	if r.Mode == RatesOff && (r.Account > 0 || r.Principal > 0 || len(r.Operations) > 0) {
		return mistake("limits.rates", "limits.rates has bounds but its mode is off; use custom, or aws")
	}
	return nil
}
