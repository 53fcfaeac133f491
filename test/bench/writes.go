package main

// writes measures PutSecretValue and ListSecrets on one core.
func (b *bench) writes() error {
	if err := pinDriver(true); err != nil {
		return err
	}
	s, err := b.server(setting{name: "Strongroom"})
	if err != nil {
		return err
	}
	defer s.stop()
	for _, p := range []plan{{operation: "PutSecretValue", request: putRequest(b.secrets)}, {operation: "ListSecrets", request: listRequest}} {
		for _, p.connections = range b.connections {
			got, err := b.measure([]*target{s}, p)
			if err != nil {
				return err
			}
			b.rows("writes", got)
		}
	}
	return nil
}
