package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	connectTimeout = 5 * time.Second
	// slotTimeout bounds the wait for a connection while all are in use.
	slotTimeout = 5 * time.Second
	// crowdedPause is how long to wait before the database, which has no connection
	// left for us, is asked again.
	crowdedPause = 50 * time.Millisecond
	// probeEvery is how often a database that is down is tried.
	probeEvery = time.Second
	// statementTimeout bounds each statement on the server.
	statementTimeout = 10 * time.Second
	// idleTimeout makes the server end the transaction of a node that it can't
	// hear any more. It is well below resolveTimeout, so that the rows such a
	// transaction holds are free when its node asks for them.
	idleTimeout = 10 * time.Second
	// commitTimeout bounds a commit, which is awaited even if its caller left.
	commitTimeout = 15 * time.Second
	// resolveTimeout bounds the search for the outcome of a lost commit. It is
	// longer than the failover of a cluster takes, some 30 seconds, and leaves time
	// to answer the caller (limits.write_time).
	resolveTimeout = 40 * time.Second
	// lookUpTimeout bounds one try of it.
	lookUpTimeout = 5 * time.Second
	// rollbackTimeout bounds a rollback before the connection is dropped.
	rollbackTimeout = 5 * time.Second
	// maxLifetime is when a connection is replaced, so that nodes find their way
	// to new servers behind the same address. It varies by a quarter, so that
	// not all are replaced at once.
	maxLifetime = time.Hour
	// checkAfter is how long a connection may lie idle before it is tried out:
	// a server that was restarted closes them without a word.
	checkAfter = time.Second
	// checkTimeout bounds that.
	checkTimeout = 2 * time.Second
	// maxAttempts bounds how often a transaction runs.
	maxAttempts = 12
	// maxConns bounds the connections an operator may ask for.
	maxConns = 1000
	// markerAge is how long the row of a commit is kept: many times as long as
	// anybody may ask for it.
	markerAge = 24 * time.Hour
	// pruneEvery is how often older ones are removed, pruneBatch how many at a
	// time.
	pruneEvery = 10 * time.Minute
	pruneBatch = 5000
)

// postgres is the shared engine. It keeps nothing in memory between calls, so
// that any number of nodes agree.
type postgres struct {
	pool    *pool[*postgresConn]
	gets    gets
	primary *primary
	health  *health
	now     func() time.Time
	log     *slog.Logger

	quit       chan struct{}
	quitOnce   sync.Once
	background sync.WaitGroup

	waiting, commits, rollbacks, retries, lost atomic.Int64
}

// postgresConn is one connection with what the pool judges it by.
type postgresConn struct {
	*pgx.Conn
	link      *link
	host      int // in primary.hosts
	expires   time.Time
	idleSince time.Time
}

// abandon closes a connection without a word to the server, which may be unable
// to hear it.
func (c *postgresConn) abandon() {
	c.link.Close()
	c.Close(context.Background())
}

func openPostgres(ctx context.Context, c Config) (*postgres, error) {
	config, conns, err := postgresConfig(c.URL, c.Log)
	if err != nil {
		return nil, err
	}
	limit, err := answerLimit(config)
	if err != nil {
		return nil, err
	}
	p := &postgres{primary: newPrimary(config, limit, c.Log), health: newHealth(c.Log), now: c.Now, log: c.Log, quit: make(chan struct{})}
	p.pool = &pool[*postgresConn]{
		open:     p.connect,
		close:    closePostgres,
		fit:      p.fit,
		slots:    make(chan struct{}, conns),
		patience: slotTimeout,
	}
	if err := p.ping(ctx); err != nil {
		return nil, &hintError{
			err:  errors.Join(err, p.close()),
			hint: "check that the database runs, and the address, user and password given for it",
		}
	}
	return p, nil
}

// connect opens a connection, unless it is known that none can be: then it says so
// at once, and probe finds out when that is over.
func (p *postgres) connect(ctx context.Context) (*postgresConn, error) {
	if err := p.health.outage(); err != nil {
		return nil, err
	}
	started := time.Now()
	conn, err := p.primary.connect(ctx)
	if err != nil {
		if ctx.Err() == nil { // Our caller's patience says nothing of the database.
			p.health.failed(err, started)
		}
		return nil, err
	}
	p.health.works()
	conn.expires = time.Now().Add(maxLifetime*3/4 + rand.N(maxLifetime/4))
	return conn, nil
}

// probe tries to connect, whenever the database is down, until it succeeds, so that
// no caller has to wait for a database that is down. Connections that are still open
// go on being used.
func (p *postgres) probe() {
	for {
		var again <-chan time.Time // never, while it is up
		if p.health.outage() != nil {
			again = time.After(probeEvery/2 + rand.N(probeEvery/2)) // Nodes should not all come at once.
		}
		select {
		case <-p.quit:
			return
		case <-p.health.fell:
			continue
		case <-again:
		}
		started := time.Now()
		conn, err := p.primary.connect(context.Background()) // Bounded by the timeout of its settings.
		if err != nil {
			p.health.failed(err, started)
			continue
		}
		closePostgres(conn)
		p.health.works()
	}
}

func closePostgres(c *postgresConn) error {
	ctx, cancel := context.WithTimeout(context.Background(), rollbackTimeout)
	defer cancel()
	return c.Close(ctx)
}

// fit reports whether an idle connection can still be used.
func (p *postgres) fit(ctx context.Context, c *postgresConn) bool {
	now := time.Now()
	if c.IsClosed() || now.After(c.expires) {
		return false
	}
	if !p.primary.is(c.host) {
		c.abandon()
		return false
	}
	switch doubt := p.health.doubt(c.idleSince); {
	case doubt == silent:
		c.abandon() // Each would cost the time for an answer that does not come.
		return false
	case doubt == none && now.Sub(c.idleSince) < checkAfter:
		return true
	}
	check, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	err := c.Ping(check)
	if err != nil && ctx.Err() == nil {
		p.health.broke(err)
	}
	return err == nil
}

// acquire takes a connection from the pool.
func (p *postgres) acquire(ctx context.Context) (*postgresConn, error) {
	p.waiting.Add(1)
	defer p.waiting.Add(-1)
	for started := time.Now(); ; {
		conn, err := p.pool.acquire(ctx)
		// A database that has none left for us is asked again for a while: another
		// call's may come free before.
		crowded := sqlState(err) == stateTooManyConnections && time.Since(started) < slotTimeout
		switch {
		case err == nil || errors.Is(err, ErrClosed) || errors.Is(err, ErrUnavailable):
			return conn, err
		case !crowded || pause(ctx, crowdedPause/2+rand.N(crowdedPause/2)) != nil:
			if cause := contextError(ctx); cause != nil {
				return nil, cause
			}
			return nil, unavailable(postgresError(ctx, err))
		}
	}
}

// release gives a connection back, if it is still one and leads to the primary.
func (p *postgres) release(c *postgresConn) {
	if !c.IsClosed() && !p.primary.is(c.host) {
		c.abandon()
	}
	if c.IsClosed() {
		p.pool.discard(c)
		return
	}
	c.idleSince = time.Now()
	p.pool.release(c)
}

// postgresConfig adds our defaults to what the address leaves open, and returns
// how many connections a node may have.
func postgresConfig(address string, log *slog.Logger) (config *pgx.ConnConfig, conns int, err error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		// The parser's error repeats the address, which holds the password.
		return nil, 0, errors.New("database address is not of the form postgres://user:password@host:port/database")
	}
	query := u.Query()
	conns = max(16, 4*runtime.GOMAXPROCS(0))
	if text := query.Get("pool_max_conns"); text != "" { // the spelling of pgxpool and others
		if conns, err = strconv.Atoi(text); err != nil || conns < 2 || conns > maxConns {
			return nil, 0, fmt.Errorf("database address: pool_max_conns is not between 2 and %d", maxConns)
		}
		query.Del("pool_max_conns")
		u.RawQuery = query.Encode()
	}
	// A standby answers reads with what was, and must not be taken for the
	// database, whether the address names several servers or one that may
	// change behind it.
	if !query.Has("target_session_attrs") {
		query.Set("target_session_attrs", "read-write")
		u.RawQuery = query.Encode()
	}
	if config, err = pgx.ParseConfig(u.String()); err != nil {
		return nil, 0, err // pgx leaves the password out
	}
	// pgx would fall back to plain text by itself. The link carries the session
	// of a user who may do anything to the data: off this machine it is
	// encrypted and the server's name checked, unless the operator decides.
	remote := !loopback(config.Host)
	for _, f := range config.Fallbacks {
		remote = remote || !loopback(f.Host)
	}
	switch mode := query.Get("sslmode"); {
	case remote && mode == "":
		query.Set("sslmode", "verify-full")
		u.RawQuery = query.Encode()
		if config, err = pgx.ParseConfig(u.String()); err != nil {
			return nil, 0, err
		}
	case remote && mode != "verify-full":
		log.Warn("link to the database is not fully verified", slog.String("sslmode", mode))
	}
	if !query.Has("connect_timeout") {
		config.ConnectTimeout = connectTimeout
	}
	for name, value := range map[string]string{
		"application_name":                    "strongroom",
		"statement_timeout":                   milliseconds(statementTimeout),
		"idle_in_transaction_session_timeout": milliseconds(idleTimeout),
	} {
		if _, ok := config.RuntimeParams[name]; !ok {
			config.RuntimeParams[name] = value
		}
	}
	return config, conns, nil
}

// answerLimit is how long an answer is awaited: somewhat longer than the server
// may work on it, or without limit if it may do so, too.
func answerLimit(config *pgx.ConnConfig) (time.Duration, error) {
	text := config.RuntimeParams["statement_timeout"]
	if strings.Trim(text, "0123456789") == "" {
		text += "ms"
	}
	limit, err := time.ParseDuration(strings.Replace(text, "min", "m", 1))
	switch {
	case err != nil || limit < 0:
		return 0, errors.New("database address: statement_timeout is not a number of milliseconds")
	case limit == 0:
		return 0, nil
	}
	return limit + answerGrace, nil
}

// loopback reports whether a host, as pgx has it, never leaves this machine: a
// loopback address or the directory of a Unix socket.
func loopback(host string) bool {
	if strings.HasPrefix(host, "/") || host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

func milliseconds(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

func (p *postgres) name() string { return PostgreSQL }

// once is again for what begins no transaction: only a broken connection is a reason
// to do it once more.
func (p *postgres) once(ctx context.Context, run func() error) error {
	err := run()
	if err == nil || !errors.Is(err, errNotSent) {
		return err
	}
	return p.again(ctx, run)
}

func (p *postgres) getOnce(ctx context.Context, query string, args, dest []any) error {
	conn, err := p.acquire(ctx)
	if err != nil {
		return err
	}
	defer p.release(conn)
	return p.unsent(ctx, conn, postgresError(ctx, conn.QueryRow(ctx, query, args...).Scan(dest...)))
}

func (p *postgres) generation(ctx context.Context, k generationKey) (int64, error) {
	var value int64
	err := p.get(ctx, selectGeneration, []any{k.account, k.region, k.kind}, []any{&value})
	if errors.Is(err, ErrNoRows) {
		return 0, nil
	}
	return value, err
}

// clock is the database's, the only one that all nodes see.
func (p *postgres) clock(tx Tx) (time.Time, error) {
	var micros int64
	err := tx.QueryRow(`SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)`).Scan(&micros)
	return time.UnixMicro(micros).UTC(), err
}

func (p *postgres) scrub(context.Context) error { return nil }

func (p *postgres) ping(ctx context.Context) error {
	return p.once(ctx, func() error {
		conn, err := p.acquire(ctx)
		if err != nil {
			return err
		}
		defer p.release(conn)
		return p.unsent(ctx, conn, postgresError(ctx, conn.Ping(ctx)))
	})
}

func (p *postgres) stats() Stats {
	commits := p.commits.Load()
	s := Stats{
		Waiting:   p.waiting.Load(),
		Commits:   commits,
		Batches:   commits,
		Rollbacks: p.rollbacks.Load(),
		Retries:   p.retries.Load(),
		Lost:      p.lost.Load(),
		Primaries: p.primary.changes.Load(),
		Readers:   int64(p.pool.inUse()),
	}
	p.health.fill(&s)
	return s
}

func (p *postgres) close() error {
	first := false
	p.quitOnce.Do(func() {
		first = true
		close(p.quit)
	})
	if !first {
		return nil
	}
	p.background.Wait()
	return p.pool.stop()
}

// ready starts the pruner, and the watch over the database's health.
func (p *postgres) ready(_ context.Context, steady func(context.Context) (bool, error)) error {
	p.health.watch()
	p.background.Go(p.probe)
	p.background.Go(func() {
		// Nodes started together should not prune together.
		timer := time.NewTimer(rand.N(pruneEvery))
		defer timer.Stop()
		for {
			select {
			case <-p.quit:
				return
			case <-timer.C:
			}
			// By a clock that is a day ahead a marker could go that a node still looks
			// for, which would then do its change once more.
			if steady, err := steady(context.Background()); err != nil || !steady {
				timer.Reset(pruneEvery)
				continue
			}
			if err := p.prune(context.Background()); err != nil {
				p.log.Warn("prune commit markers", slog.Any("error", err))
			}
			timer.Reset(pruneEvery)
		}
	})
	return nil
}

// prune removes old commit markers, a bounded number in each transaction.
func (p *postgres) prune(ctx context.Context) error {
	for {
		var n int64
		err := p.write(ctx, func(t *txn) error {
			var err error
			n, err = t.Exec(`
				DELETE FROM store_commits WHERE id IN (
					SELECT id FROM store_commits WHERE at < $1 ORDER BY at LIMIT $2)`,
				t.Now().Add(-markerAge).UnixMicro(), pruneBatch)
			return err
		})
		if err != nil || n < pruneBatch {
			return err
		}
		select {
		case <-p.quit:
			return nil
		default:
		}
	}
}

// postgresError maps the driver's errors to ours.
func postgresError(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows):
		return ErrNoRows
	}
	if e, ok := errors.AsType[pgx.ScanArgError](err); ok {
		return &scanError{column: e.ColumnIndex, err: e.Err}
	}
	if cause := contextError(ctx); cause != nil && sqlState(err) == "" {
		return cause
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return fmt.Errorf("database connection: %w", e)
	}
	return err
}
