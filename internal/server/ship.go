package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/egress"
	"github.com/strongroom/strongroom/internal/keyring"
	"github.com/strongroom/strongroom/internal/seal"
	"github.com/strongroom/strongroom/internal/ship"
	"github.com/strongroom/strongroom/internal/store"
)

// shipDir is the shipper's folder in the data directory.
const shipDir = "ship"

// shipTimeout bounds one exchange with a target.
const shipTimeout = time.Minute

// ShipTarget opens the target that the configuration names. It is asked nothing yet.
func ShipTarget(c *config.Config, getenv func(string) string, now func() time.Time, own func() []netip.AddrPort) (ship.Target, error) {
	s := &c.Backup.Ship
	name, prefix, ok := s.Bucket()
	if !ok {
		return ship.Directory(filepath.Clean(s.To)), nil
	}
	// Not the policy for what callers name: the operator names this one. Metadata
	// services and we ourselves stay out of reach.
	e := egress.Config{Private: egress.Always, Loopback: egress.Always, Own: own, Time: c.Egress.Time, Now: now}
	if c.Egress.CAFile != "" {
		roots, err := authorities(c.Data, c.Egress.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read egress.ca_file: %w", err)
		}
		e.RootCAs = roots
	}
	credentials := ship.EnvironmentCredentials(getenv)
	if s.CredentialsFile != "" {
		credentials = ship.FileCredentials(c.Path(s.CredentialsFile))
	}
	return ship.OpenBucket(ship.BucketConfig{Name: name, Prefix: prefix, Endpoint: s.Endpoint, Region: s.Region,
		Credentials: credentials, Dialer: egress.New(e), Now: now})
}

// newShipper returns the shipper that the configuration asks for; nil for none.
func newShipper(c config.Config, node state, release string, now func() time.Time, log *slog.Logger, own func() []netip.AddrPort) (*ship.Shipper, error) {
	s := &c.Backup.Ship
	if s.To == "" || c.Database != "" {
		return nil, nil
	}
	target, err := ShipTarget(&c, os.Getenv, now, own)
	if err != nil {
		return nil, fmt.Errorf("backup.ship: %w", err)
	}
	return ship.New(ship.Config{
		Data: c.Data, Dir: filepath.Join(c.Data, shipDir), Target: target, Recipients: s.Recipients,
		Interval: s.Interval, BaseEvery: s.BaseEvery, Retention: s.Retention, Spool: s.Spool, Timeout: shipTimeout,
		About: ship.About{Account: node.Account, Region: c.Region, Regions: c.Regions, Node: node.Node, Release: release}, Now: now, Log: log,
	})
}

// follower keeps a shipper that is none from being a follower that is one.
func follower(s *ship.Shipper) store.Follower {
	if s == nil {
		return nil
	}
	return s
}

func (s *Server) attachShipper(root seal.Provider) error {
	if s.ship == nil {
		return nil
	}
	return s.ship.Attach(ship.Source{DB: s.db, Sealer: s.keys, Keys: storageKeys(s.db, root), Audit: func(done map[string]int64, most int) ([]ship.Piece, error) {
		pieces, err := s.audit.Durable(done, most)
		return shipPieces(pieces), err
	}})
}

func shipPieces(pieces []audit.Piece) []ship.Piece {
	var out []ship.Piece
	for _, p := range pieces {
		out = append(out, ship.Piece(p))
	}
	return out
}

// storageKeys returns the keys that a target does not have yet.
func storageKeys(db *store.DB, root seal.Provider) func(context.Context, []string) ([]keyring.Bare, error) {
	return func(ctx context.Context, have []string) (fresh []keyring.Bare, err error) {
		err = db.Read(ctx, func(tx store.Tx) error {
			ids, err := keyring.IDs(tx)
			if err != nil || !slices.ContainsFunc(ids, func(id string) bool { return !slices.Contains(have, id) }) {
				return err
			}
			all, err := keyring.Export(ctx, tx, root)
			for _, k := range all {
				if slices.Contains(have, k.ID) {
					clear(k.Secret)
					continue
				}
				fresh = append(fresh, k)
			}
			return err
		})
		return fresh, err
	}
}

// OpenStore opens the store of a stopped server, for a look at it. Where the store is
// shipped, what opening it writes is taken as well, for the next server to send: the
// thread would break otherwise. done closes it.
func OpenStore(ctx context.Context, c config.Config, log *slog.Logger) (db *store.DB, done func() error, err error) {
	var sh *ship.Shipper
	if node, err := readState(c.Data); err == nil {
		if sh, err = newShipper(c, node, "", nil, log, nil); err != nil {
			return nil, nil, err
		}
	}
	done = func() error {
		var errs []error
		if sh != nil {
			sh.Stop()
		}
		if db != nil {
			errs = append(errs, db.Close())
		}
		if sh != nil {
			errs = append(errs, sh.Close())
		}
		return errors.Join(errs...)
	}
	if db, err = store.Open(ctx, store.Config{Dir: c.Data, URL: c.Database, Log: log, Follower: follower(sh)}); err != nil {
		return nil, nil, errors.Join(err, done())
	}
	if sh == nil {
		return db, done, nil
	}
	// Whoever looks for damage must not be kept out by it; then the next server
	// begins with a new copy.
	root, err := seal.OpenFile(filepath.Join(c.Data, RootKeyFile))
	if err != nil {
		return db, done, nil
	}
	keys, err := keyring.Open(ctx, keyring.SQL{Read: db.Read, Change: db.Maintain}, root, time.Now)
	if err != nil {
		return db, done, nil
	}
	defer keys.Close()
	err = sh.Attach(ship.Source{DB: db, Sealer: keys, Keys: storageKeys(db, root),
		Audit: func(map[string]int64, int) ([]ship.Piece, error) { return nil, nil }})
	if err != nil {
		return nil, nil, errors.Join(err, done())
	}
	return db, done, nil
}

// shipRest sends what is left when the server stops. What cannot be sent then is sent
// by the next one.
func (s *Server) shipRest(ctx context.Context) error {
	if s.ship == nil {
		return nil
	}
	if err := s.ship.Flush(ctx); err != nil {
		s.log.Warn("the last commits were not shipped; the next start will", "error", err)
	}
	return nil
}

// shipLate is how far behind a target may be before status warns.
const shipLate = time.Minute

func shipWarnings(st *ship.Status, now time.Time) []string {
	var out []string
	if st.Error != "" && now.Sub(st.FailingSince) > shipLate {
		out = append(out, fmt.Sprintf("shipping to %s has failed since %s: %s", st.Target, st.FailingSince.UTC().Format(time.RFC3339), st.Error))
	}
	if st.Lag > shipLate.Seconds() {
		out = append(out, fmt.Sprintf("what is shipped to %s is %.0f seconds behind: a lost machine takes that much with it", st.Target, st.Lag))
	}
	if st.Ahead > shipLate.Seconds() {
		out = append(out, fmt.Sprintf("the clock was ahead: the moments of what is shipped to %s are %.0f seconds ahead of it until it has caught up; to have them right at once, ship to another prefix", st.Target, st.Ahead))
	}
	return out
}

// shipCollectors are the metrics of shipping.
func (s *Server) shipCollectors() []prometheus.Collector {
	if s.ship == nil {
		return nil
	}
	gauge := func(name, help string, f func(ship.Status) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return f(s.ship.Status()) })
	}
	counter := func(name, help string, f func(ship.Status) int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(f(s.ship.Status())) })
	}
	return []prometheus.Collector{
		gauge("strongroom_ship_lag_seconds", "How far the target is behind.", func(st ship.Status) float64 { return st.Lag }),
		gauge("strongroom_ship_waiting_bytes", "What waits for the target.", func(st ship.Status) float64 { return float64(st.Waiting) }),
		gauge("strongroom_ship_failing", "1 while the last attempt failed.", func(st ship.Status) float64 {
			if st.Error != "" {
				return 1
			}
			return 0
		}),
		gauge("strongroom_ship_until_timestamp_seconds", "The last moment that the target can restore; 0 for none.", func(st ship.Status) float64 {
			if st.Until.IsZero() {
				return 0
			}
			return float64(st.Until.UnixMicro()) / 1e6
		}),
		counter("strongroom_ship_objects_total", "Objects sent.", func(st ship.Status) int64 { return st.Objects }),
		counter("strongroom_ship_bytes_total", "Bytes sent.", func(st ship.Status) int64 { return st.Bytes }),
		counter("strongroom_ship_copies_total", "Copies of the whole database sent.", func(st ship.Status) int64 { return st.Bases }),
		counter("strongroom_ship_gaps_total", "Times that commits were lost to the target.", func(st ship.Status) int64 { return st.Gaps }),
		counter("strongroom_ship_failures_total", "Attempts that failed.", func(st ship.Status) int64 { return st.Failures }),
	}
}
