package nodes

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/internal/servertest"
	"github.com/strongroom/strongroom/internal/store"
)

// load calls both nodes until it is told to stop, and counts what is not answered as
// it must be. A node is let be while it is restarted, as behind a load balancer.
type load struct {
	nodes  [2]*node
	gates  [2]sync.RWMutex
	calls  atomic.Int64
	failed atomic.Pointer[error]
	stop   chan struct{}
	wg     sync.WaitGroup
}

func (l *load) start() {
	l.stop = make(chan struct{})
	for i, n := range l.nodes {
		for w := range 2 {
			name := fmt.Sprintf("of-%d-%d", i, w)
			l.wg.Go(func() {
				for round := 0; ; round++ {
					select {
					case <-l.stop:
						return
					default:
					}
					l.gates[i].RLock()
					err := exercise(n, name, round)
					l.gates[i].RUnlock()
					if err != nil {
						l.failed.CompareAndSwap(nil, &err)
						return
					}
					l.calls.Add(1)
				}
			})
		}
	}
}

// exercise makes or changes a secret and reads it back.
func exercise(n *node, name string, round int) (err error) {
	const versions = 50 // Of each secret, below the quota.
	ctx, value := n.t.Context(), fmt.Sprint(round)
	name = fmt.Sprint(name, "-", round/versions)
	if round%versions == 0 {
		_, err = n.Secrets().CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value})
	} else {
		_, err = n.Secrets().PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &name, SecretString: &value})
	}
	if err != nil {
		return err
	}
	out, err := n.Secrets().GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name})
	if err == nil && *out.SecretString != value {
		err = fmt.Errorf("%s is %s, not %s", name, *out.SecretString, value)
	}
	return err
}

// some waits for a number of further calls.
func (l *load) some(t *testing.T) {
	t.Helper()
	from := l.calls.Load()
	await(t, "calls were answered", func() bool { return l.calls.Load() >= from+40 || l.failed.Load() != nil })
	if err := l.failed.Load(); err != nil {
		t.Fatal(*err)
	}
}

// restart ends a node and starts it again, with what runs then.
func (l *load) restart(t *testing.T, i int, start func()) {
	t.Helper()
	l.gates[i].Lock()
	defer l.gates[i].Unlock()
	if err := l.nodes[i].stop(); err != nil {
		t.Logf("it ends with: %v", err) // What it could not flush; the calls are what counts here.
	}
	start()
}

func (l *load) end(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.wg.Wait()
	if err := l.failed.Load(); err != nil {
		t.Error(*err)
	}
	t.Logf("%d rounds of writing and reading back", l.calls.Load())
}

// migrate does what a later release does to the database.
func migrate(t *testing.T, db *store.DB, number int, version int, statements ...string) {
	t.Helper()
	check(t, db.Maintain(t.Context(), func(tx store.Tx) error {
		for _, s := range append(statements, fmt.Sprintf(`INSERT INTO store_migrations (number, name, version, applied_at) VALUES (%d, 'later', %d, 1)`, number, version)) {
			if _, err := tx.Exec(s); err != nil {
				return err
			}
		}
		return nil
	}))
}

// A later release's migrations that only add leave this release serving, and
// starting, beside it, under load and with every write there. One that takes away
// makes this release not ready, and it does not start again.
func TestOlderReleaseBesideANewer(t *testing.T) {
	l := &load{nodes: pair(t)}
	db := l.nodes[0].database()
	l.start()
	l.some(t)
	migrate(t, db, 9001, 1, `ALTER TABLE secrets ADD COLUMN later TEXT`, `ALTER TABLE secret_versions ADD COLUMN later BIGINT DEFAULT 7`,
		`CREATE TABLE later (name TEXT NOT NULL)`, `CREATE INDEX secrets_later ON secrets (later)`)
	l.some(t)
	for i := range l.nodes {
		l.restart(t, i, func() { l.nodes[i].start() })
		l.some(t)
	}
	l.end(t)

	// The second step of such a change, made once all nodes understand the first.
	if status := l.nodes[1].ready(); status != 200 {
		t.Errorf("before: /readyz %d", status)
	}
	migrate(t, db, 9002, 99)
	await(t, "the older release is not ready", func() bool { return l.nodes[1].ready() == 503 })
	l.nodes[1].kill()
	out, code := l.nodes[1].strongroom("server", "--listen", "127.0.0.1:0", "--operations", "")
	if code != 1 || !strings.Contains(out, "newer release") || !strings.Contains(out, "hint:") {
		t.Errorf("started on what it does not understand: %d %s", code, out)
	}
}

// ready asks as a load balancer does.
func (n *node) ready() int {
	n.t.Helper()
	a, err := n.HTTP.Get(n.URL + "/readyz")
	check(n.t, err)
	a.Body.Close()
	return a.StatusCode
}

// previousVariable names the program of the previous release.
const previousVariable = "STRONGROOM_PREVIOUS"

// The previous release's own program beside this one, in both directions: first it
// alone, then one of each, then this one alone, and back to one of each.
func TestPreviousReleaseBesideThisOne(t *testing.T) {
	program := os.Getenv(previousVariable)
	if program == "" {
		t.Skip("needs the program of the previous release in " + previousVariable)
	}
	l := &load{nodes: unstarted(t)}
	previous := func(i int) func() { return func() { l.nodes[i].startProgram(program) } }
	this := func(i int) func() { return func() { l.nodes[i].start() } }
	previous(0)()
	previous(1)()
	l.start()
	l.some(t)
	for _, step := range []struct {
		i     int
		start func()
	}{{0, this(0)}, {1, this(1)}, {0, previous(0)}, {0, this(0)}} {
		l.restart(t, step.i, step.start)
		l.some(t)
	}
	l.end(t)
	if v := l.nodes[0].verify(); !v.OK {
		t.Errorf("%+v", v)
	}
}

// startProgram is start for a strongroom program.
func (n *node) startProgram(program string) {
	n.t.Helper()
	n.Log = &servertest.Buffer{}
	n.cmd = exec.Command(program, "server", "--data", n.Dir, "--listen", "127.0.0.1:0", "--operations", "")
	n.cmd.Env = append(os.Environ(), "STRONGROOM_DATABASE="+n.url)
	n.cmd.Stderr = n.Log
	check(n.t, n.cmd.Start())
	n.in = interrupt{n.cmd.Process}
	await(n.t, "it serves", func() bool {
		_, rest, ok := strings.Cut(n.Log.String(), " address=")
		if ok {
			n.URL = "https://" + strings.Fields(rest)[0]
		}
		return ok
	})
}

// interrupt ends a process in good order.
type interrupt struct{ p *os.Process }

func (i interrupt) Close() error { return i.p.Signal(os.Interrupt) }
