package main

const put = "PutSecretValue"

// writes measures PutSecretValue and ListSecrets, on one core and then with both
// cores shared with the driver.
func (b *bench) writes() error {
	for _, shared := range []bool{false, true} {
		if err := b.writesOn(shared); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) writesOn(shared bool) error {
	if err := pinDriver(!shared); err != nil {
		return err
	}
	name := "one core"
	if shared {
		name = "shared cores"
	}
	s, err := b.server(setting{name: name, shared: shared})
	if err != nil {
		return err
	}
	defer s.stop()
	for _, p := range []plan{{operation: put, request: putRequest(b.secrets)}, {operation: "ListSecrets", request: listRequest}} {
		for _, p.connections = range b.connections {
			got, err := b.measure([]*target{s}, p)
			if err != nil {
				return err
			}
			b.rows("writes", got)
			switch {
			case !shared || p.operation != put:
			case p.connections == 64:
				b.least("durable writes at 64 connections, all cores shared", got[0].PerSecond, 6_000, "/s")
			case p.connections == 1:
				b.least("durable writes at one connection", got[0].PerSecond, 2_000, "/s")
				b.most("the same, p50", got[0].P50, 500, "µs")
			}
		}
	}
	return nil
}
