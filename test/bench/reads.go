package main

import "fmt"

const read = "GetSecretValue"

// reads measures GetSecretValue on one core.
func (b *bench) reads() error {
	if err := pinDriver(true); err != nil {
		return err
	}
	f, err := b.floor(false, false)
	if err != nil {
		return err
	}
	defer f.stop()
	s, stop, err := b.servers(
		setting{name: "Strongroom"},
		setting{name: "cache off", yaml: "cache: {rows: 0}\n"},
	)
	if err != nil {
		return err
	}
	defer stop()
	role := *s[0]
	role.name, role.session = "as a role", b.role
	for _, n := range b.connections {
		got, err := b.measure([]*target{f, s[0], &role, s[1]}, plan{read, n, getRequest(b.secrets)})
		if err != nil {
			return err
		}
		b.rows("reads", got)
		if n == 64 {
			b.least("reads at 64 connections, one core", find(got, "Strongroom").PerSecond, 18_000, "/s")
			b.least("the same with the cache off", find(got, "cache off").PerSecond, 12_000, "/s")
			b.least("reads at 64 connections, of the floor", 100*ratioOf(find(got, "Strongroom"), got[0]), 85, "%")
		}
	}
	return b.durabilities(s[0])
}

// durabilities compares what the audit log may promise, at 64 connections.
func (b *bench) durabilities(written *target) error {
	settings := []setting{{name: "audit synced", yaml: "audit: {durability: synced}\n"}}
	if b.noAudit != "" {
		settings = append(settings, setting{name: "without audit", binary: b.noAudit})
	}
	s, stop, err := b.servers(settings...)
	if err != nil {
		return err
	}
	defer stop()
	got, err := b.measure(append([]*target{written}, s...), plan{read, 64, getRequest(b.secrets)})
	if err != nil {
		return err
	}
	b.rows("reads", got)
	b.least("audit synced, of written", 100*ratioOf(got[1], got[0]), 60, "%")
	if b.noAudit != "" {
		b.least("audit written, of none", 100*ratioOf(got[0], got[2]), 80, "%")
	}
	return nil
}

// shared measures it where server and driver share all cores, with TLS and without.
func (b *bench) shared() error {
	if err := pinDriver(false); err != nil {
		return err
	}
	for _, plain := range []bool{false, true} {
		if err := b.sharedWith(plain); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) sharedWith(plain bool) error {
	f, err := b.floor(true, plain)
	if err != nil {
		return err
	}
	defer f.stop()
	s, err := b.server(setting{name: "Strongroom", shared: true, plain: plain})
	if err != nil {
		return err
	}
	defer s.stop()
	if plain {
		s.name, f.name = s.name+" without TLS", f.name+" without TLS"
	}
	for _, n := range []int{1, 64} {
		got, err := b.measure([]*target{f, s}, plan{read, n, getRequest(b.secrets)})
		if err != nil {
			return err
		}
		b.rows("shared", got)
		switch {
		case n == 64 && !plain:
			b.least(fmt.Sprintf("reads at %d connections, all cores shared", n), got[1].PerSecond, 20_000, "/s")
		case n == 1 && plain:
			b.most("reads at one connection without TLS, p50", got[1].P50, 150, "µs")
			b.most("reads at one connection without TLS, p99", got[1].P99, 500, "µs")
		}
	}
	return nil
}
