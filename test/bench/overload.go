package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// overload measures what more clients than the server can serve do to it.
func (b *bench) overload() error {
	if err := pinDriver(true); err != nil {
		return err
	}
	s, err := b.server(setting{name: "Strongroom", yaml: fmt.Sprintf("limits: {connections_per_address: %d}\n", 2*crowd)})
	if err != nil {
		return err
	}
	defer s.stop()
	capacity, err := b.closedLoop(s)
	if err != nil {
		return err
	}
	return b.openLoop(s, 1.5*capacity)
}

// closedLoop compares 512 connections with 64, each asking again once answered. It
// returns the rate at 64. They take turns.
func (b *bench) closedLoop(s *target) (peak float64, err error) {
	var few, many []*client
	for i := range 64 + 512 {
		c, err := s.dial()
		if err != nil {
			return 0, err
		}
		defer c.conn.Close()
		if i < 64 {
			few = append(few, c)
		} else {
			many = append(many, c)
		}
	}
	next := getRequest(b.secrets)
	var all [2][]result
	for i := range b.rounds + 1 {
		for j, clients := range [][]*client{few, many} {
			before := s.cpu()
			r, err := round(clients, b.length, next)
			if err != nil {
				return 0, err
			}
			r.CPU = (s.cpu() - before).Seconds() * 1e6 / float64(r.answered)
			r.Server, r.Operation, r.Connections = s.name, read+", closed loop", len(clients)
			if i > 0 { // the first warms up
				all[j] = append(all[j], r)
			}
		}
	}
	got := []result{middle(all[0]), middle(all[1])}
	b.rows("overload", got)
	b.least("closed loop at 512 connections, of 64", 100*ratioOf(got[1], got[0]), 85, "%")
	return got[0].PerSecond, nil
}

// crowd is how many connections the clients of an open loop have. They are as many
// as it takes never to be what bounds them.
const crowd = 2000

// openLoop sends rate requests a second whether they are answered or not, as many
// independent clients do. Time counts from when a request was due.
func (b *bench) openLoop(s *target, rate float64) error {
	var clients []*client
	for range crowd {
		c, err := s.dial()
		if err != nil {
			return err
		}
		defer c.conn.Close()
		// A connection that says nothing for five seconds is closed; one that has asked
		// may wait for two minutes.
		if _, err := c.do(readRequest(len(clients) % b.secrets)); err != nil {
			return err
		}
		clients = append(clients, c)
	}
	before := s.memory()
	// One stream of requests over all rounds, since the server takes its time to
	// find that it is overloaded; the first second is not counted.
	o, err := arrivals(clients, rate, time.Second+time.Duration(b.rounds)*b.length, time.Second, getRequest(b.secrets))
	if err != nil {
		return err
	}
	p50, p99 := percentiles(o.accepted)
	served, refused := float64(len(o.accepted))/o.counted.Seconds(), float64(o.refused)/o.counted.Seconds()
	after := s.memory()
	peak := rate / 1.5
	fmt.Fprintf(b.stdout, "\nOpen loop at 1.5 times the peak, %s/s offered over %d connections: %s/s accepted (p50 %.0f ms, p99 %.0f ms), %s/s refused, %s/s of the clients' own too late to be sent; resident memory %d MB before and %d MB after.\n",
		thousands(rate), crowd, thousands(served), p50/1e3, p99/1e3, thousands(refused), thousands(max(0, rate-served-refused)), before>>20, after>>20)
	b.least("open loop at 1.5 times the peak: accepted, of the peak", 100*served/peak, 60, "%")
	b.most("open loop: p99 of the accepted", p99/1e3, 50, "ms")
	b.most("open loop: growth of memory", float64(after-before)/(1<<20), 100, "MB")
	return nil
}

// outcome of an open loop.
type outcome struct {
	accepted []time.Duration
	refused  int
	counted  time.Duration
}

// arrivals lets requests be due at random, rate of them a second on average, and
// counts those that are due after lead.
func arrivals(clients []*client, rate float64, length, lead time.Duration, next request) (outcome, error) {
	due := make(chan time.Time, int(rate*length.Seconds())+len(clients))
	o := outcome{counted: length - lead}
	var failed error
	var mu sync.Mutex
	var wg sync.WaitGroup
	start := time.Now()
	for _, c := range clients {
		wg.Go(func() {
			var mine []time.Duration
			refused := 0
			var wrong error
			for at := range due {
				status, said, err := c.ask(next(0, 0))
				switch {
				case err != nil:
					wrong = err
				case status == http.StatusOK && at.Sub(start) >= lead:
					mine = append(mine, time.Since(at))
				case throttled(status, said) && at.Sub(start) >= lead:
					refused++
				case status != http.StatusOK && !throttled(status, said):
					wrong = fmt.Errorf("status %d: %s", status, said)
				}
				if wrong != nil || time.Since(start) > length {
					break
				}
			}
			mu.Lock()
			defer mu.Unlock()
			o.accepted = append(o.accepted, mine...)
			o.refused += refused
			if wrong != nil {
				failed = wrong
			}
		})
	}
	at := start
	for at.Sub(start) < length {
		// All that are due by now, then a pause as short as the system's clock allows.
		for now := time.Now(); !at.After(now); at = at.Add(time.Duration(rand.ExpFloat64() / rate * 1e9)) {
			due <- at
		}
		time.Sleep(500 * time.Microsecond)
	}
	close(due)
	wg.Wait()
	if failed == nil && len(o.accepted) == 0 {
		failed = errors.New("nothing was accepted")
	}
	return o, failed
}

// middle is the median round, with the rates of all.
func middle(rounds []result) result {
	var rates []float64
	least := rounds[0].CPU
	for _, r := range rounds {
		rates = append(rates, r.PerSecond)
		least = min(least, r.CPU)
	}
	m := median(rates)
	for _, r := range rounds {
		if r.PerSecond == m {
			r.Rounds, r.LeastCPU = rates, least
			return r
		}
	}
	return result{}
}

// memory is what of the process is resident, in bytes.
func (t *target) memory() int64 {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(t.cmd.Process.Pid) + "/statm")
	if err != nil {
		return 0
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
