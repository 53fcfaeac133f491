package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/internal/pgtest"
)

const (
	// roundsVariable asks for more rounds.
	roundsVariable = "STRONGROOM_CRASH_ROUNDS"
	writers        = 16
	// perSecret is how many versions a writer gives to a secret before it makes
	// the next one.
	perSecret = 10
)

func rounds(t *testing.T, most int) int {
	t.Helper()
	v := os.Getenv(roundsVariable)
	if v == "" {
		return most
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("%s: %v", roundsVariable, err)
	}
	return n
}

// writer is the model of one client, which writes step after step.
type writer struct {
	number int
	// acknowledged is the last step that was answered, -1 for none; asked is the
	// last that was sent.
	acknowledged, asked int
	// again are the steps that were sent twice, both times with success.
	again map[int]bool
}

func (w *writer) secret(step int) string {
	return fmt.Sprintf("writer-%02d-%04d", w.number, step/perSecret)
}
func (w *writer) value(step int) string { return fmt.Sprintf("value-%02d-%06d", w.number, step) }
func (w *writer) token(step int) string {
	return fmt.Sprintf("token-%02d-%06d-000000000000000000000000", w.number, step)
}

// write performs a step and returns the version that the answer names.
func (w *writer) write(c *clients, step int) (version string, err error) {
	name, text, token := w.secret(step), w.value(step), w.token(step)
	if step%perSecret == 0 {
		out, err := c.secrets.CreateSecret(c.ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: &text, ClientRequestToken: &token})
		if err != nil {
			return "", err
		}
		return *out.VersionId, nil
	}
	out, err := c.secrets.PutSecretValue(c.ctx, &secretsmanager.PutSecretValueInput{SecretId: &name, SecretString: &text, ClientRequestToken: &token})
	if err != nil {
		return "", err
	}
	return *out.VersionId, nil
}

// run writes until the server is gone, and counts what is acknowledged.
func (w *writer) run(c *clients, count *atomic.Int64) {
	for {
		w.asked = w.acknowledged + 1
		if _, err := w.write(c, w.asked); err != nil {
			if code(err) != "" {
				c.Errorf("writer %d, step %d: %v", w.number, w.asked, err)
			}
			return
		}
		w.acknowledged = w.asked
		count.Add(1)
	}
}

// TestKilledUnderWriters kills the server at any moment while many clients
// write, and compares what is there with what they were told.
func TestKilledUnderWriters(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		killUnderWriters(t, initialised(t, ""), rounds(t, 4))
	})
	t.Run("postgresql", func(t *testing.T) {
		t.Parallel()
		killUnderWriters(t, initialised(t, pgtest.Start(t)), rounds(t, 2))
	})
}

func killUnderWriters(t *testing.T, p place, rounds int) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var all []*writer
	for i := range writers {
		all = append(all, &writer{number: i, acknowledged: -1, asked: -1, again: map[int]bool{}})
	}
	s := p.start(t)
	for range rounds {
		c := newClients(t, s.Server)
		var wg sync.WaitGroup
		var count atomic.Int64
		for _, w := range all {
			wg.Go(func() { w.run(c, &count) })
		}
		// So many writes, not so long: a slow machine tests as much.
		for enough := int64(writers + random.IntN(10*writers)); count.Load() < enough; time.Sleep(time.Millisecond) {
			if t.Context().Err() != nil || t.Failed() {
				break
			}
		}
		time.Sleep(time.Duration(random.IntN(10_000)) * time.Microsecond)
		s.kill(t)
		wg.Wait()
		s = p.start(t)
		checkWriters(newClients(t, s.Server), p, all)
	}
	s.kill(t)
	p.sound(t, false)
	total := 0
	for _, w := range all {
		total += w.acknowledged + 1
	}
	t.Logf("%d rounds, %d writes acknowledged", rounds, total)
	if total < writers*rounds {
		t.Errorf("only %d writes: the test proves nothing", total)
	}
}

// checkWriters compares store and audit chain with the models, and settles in
// them what became of the writes that were not answered.
func checkWriters(c *clients, p place, all []*writer) {
	c.Helper()
	recorded := make(map[string]int)
	for _, r := range p.records(c.T) {
		if r.ErrorCode == "" && (r.EventName == "CreateSecret" || r.EventName == "PutSecretValue") {
			_, rest, _ := strings.Cut(string(r.body), `"clientRequestToken":"`)
			token, _, _ := strings.Cut(rest, `"`)
			recorded[token]++
		}
	}
	for _, w := range all {
		done := w.acknowledged
		if w.asked > done && w.current(c, w.asked) == w.value(w.asked) {
			done = w.asked
		}
		if done >= 0 {
			if got := w.current(c, done); got != w.value(done) {
				c.Errorf("writer %d: %s is %q, want %q", w.number, w.secret(done), got, w.value(done))
			}
		}
		for step := 0; step <= w.asked; step++ {
			want := 1
			switch {
			case step > done:
				want = 0
			case w.again[step]:
				want = 2
			}
			if n := recorded[w.token(step)]; n != want {
				c.Errorf("writer %d, step %d of %d acknowledged, %d done: %d audit records, want %d", w.number, step, w.acknowledged, done, n, want)
			}
		}
		if done > w.acknowledged {
			// Its client asks again and is told what it would have been told.
			// One more record is that call's own.
			if version, err := w.write(c, done); err != nil || version != w.token(done) {
				c.Errorf("writer %d, step %d again: %q, %v", w.number, done, version, err)
			}
			w.again[done] = true
		}
		w.acknowledged, w.asked = done, done
	}
	p.sound(c.T, true)
}

// current is the value of the secret that a step writes, "" if there is none.
func (w *writer) current(c *clients, step int) string {
	c.Helper()
	out, err := c.secrets.GetSecretValue(c.ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(w.secret(step))})
	if code(err) == "ResourceNotFoundException" {
		return ""
	}
	c.must(err)
	return *out.SecretString
}
