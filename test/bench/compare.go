package main

import (
	"errors"
	"fmt"
)

// compare measures reads of two builds by turns on one core. On a machine that does
// other things too, the least processor time of many short rounds says most: what
// else runs only ever adds.
func (b *bench) compare() error {
	if b.other == "" {
		return errors.New("-other names no build to compare with")
	}
	if err := pinDriver(true); err != nil {
		return err
	}
	s, stop, err := b.servers(setting{name: "other", binary: b.other}, setting{name: "Strongroom"})
	if err != nil {
		return err
	}
	defer stop()
	for _, n := range b.connections {
		got, err := b.measure(s, plan{read, n, getRequest(b.secrets)})
		if err != nil {
			return err
		}
		b.rows("compare", got)
		fmt.Fprintf(b.stdout, "\nLeast processor time of a round: %.1f µs a request, other %.1f µs.\n\n", got[1].LeastCPU, got[0].LeastCPU)
	}
	return nil
}
