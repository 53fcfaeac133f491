package workload_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	iamapi "github.com/strongroom/strongroom/internal/iam"
	kmsapi "github.com/strongroom/strongroom/internal/kms"
	secretsapi "github.com/strongroom/strongroom/internal/secretsmanager"
	"github.com/strongroom/strongroom/internal/servertest"
	"github.com/strongroom/strongroom/internal/servertest/workload"
	stsapi "github.com/strongroom/strongroom/internal/sts"
	"github.com/strongroom/strongroom/internal/wire"
)

func start(t *testing.T, s *servertest.Server, writers int, change ...func(*workload.Config)) *workload.Workload {
	t.Helper()
	cfg := workload.Config{
		Endpoints: []string{s.URL}, HTTP: s.HTTP, Credentials: s.Admin, Regions: [2]string{servertest.Region, servertest.Other}, Seed: 1, Writers: writers,
		Records: workload.Chains(s.Dir),
	}
	for _, f := range change {
		f(&cfg)
	}
	w, err := workload.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// until runs a load until so many changes are acknowledged.
func until(t *testing.T, w *workload.Workload, n int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		for w.Acknowledged() < n && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
	}()
	if err := w.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestUndisturbed: a server that nothing happens to keeps its word, and so does
// the load's model of it.
func TestUndisturbed(t *testing.T) {
	for engine, o := range map[string][]servertest.Option{"sqlite": nil, "postgresql": {servertest.Postgres()}} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			s := servertest.Start(t, o...)
			w := start(t, s, 8)
			until(t, w, 400)
			t.Log(w.VerifyRecent(t.Context(), t))
			until(t, w, 1200)
			w.AwaitReplicas(t.Context(), t)
			s.Restart()
			w.SetEndpoints(s.URL)
			r := w.Verify(t.Context(), t)
			t.Log(r)
			if r.Unknown > 0 || r.Behind > 0 || r.Replicas == 0 {
				t.Errorf("not as it is where nothing happens: %s", r)
			}
		})
	}
}

// refusesAll are operations that change nothing, ever: no service here has a
// service-linked role.
var refusesAll = []string{"iam:CreateServiceLinkedRole", "iam:DeleteServiceLinkedRole"}

// TestOperationsAreComplete fails for an operation that changes something and is
// not in the load.
func TestOperationsAreComplete(t *testing.T) {
	for _, s := range []*wire.Service{&secretsapi.API, &kmsapi.API, &iamapi.API, &stsapi.API} {
		for _, o := range s.Operations {
			name := s.Name + ":" + o.Name
			if o.Built && !o.ReadOnly && !slices.Contains(refusesAll, name) && !slices.Contains(workload.Operations(), name) {
				t.Errorf("%s is missing", name)
			}
		}
	}
}

// lossy loses requests on their way, and answers on theirs.
type lossy struct {
	http.RoundTripper
	mu     sync.Mutex
	random *rand.Rand
	off    bool
}

func (l *lossy) RoundTrip(r *http.Request) (*http.Response, error) {
	l.mu.Lock()
	n := l.random.IntN(20)
	if l.off {
		n = 20
	}
	l.mu.Unlock()
	if n == 0 {
		return nil, errors.New("lost on the way there")
	}
	res, err := l.RoundTripper.RoundTrip(r)
	if err == nil && n == 1 {
		_, err = io.Copy(io.Discard, res.Body)
		return nil, errors.Join(errors.New("lost on the way back"), err, res.Body.Close())
	}
	return res, err
}

// TestLostAnswers: what became of a change whose answer was lost is found out,
// and all operations come up.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	l := &lossy{RoundTripper: s.HTTP.Transport, random: rand.New(rand.NewPCG(1, 1)), off: true}
	w := start(t, s, 16, func(c *workload.Config) { c.HTTP = &http.Client{Transport: l} })
	lost, done := 0, 0
	for i := 0; i < 5 || i < 40 && len(missing(w)) > 0; i++ {
		l.off = false
		until(t, w, w.Acknowledged()+400)
		l.off = true
		r := w.VerifyRecent(t.Context(), t)
		lost, done = lost+r.Unknown, done+r.Done
	}
	t.Log(w.Verify(t.Context(), t))
	if done == 0 || done == lost {
		t.Errorf("of %d lost answers %d belonged to changes that were made", lost, done)
	}
	if never := missing(w); len(never) > 0 {
		t.Errorf("never came up: %v", never)
	}
}

// missing are the operations that have not come up.
func missing(w *workload.Workload) []string {
	counts := w.Counts()
	return slices.DeleteFunc(workload.Operations(), func(o string) bool { return counts[o] > 0 })
}

// faults is a Reporter that expects them.
type faults struct {
	mu  sync.Mutex
	all []string
}

func (f *faults) Helper() {}

func (f *faults) Errorf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, fmt.Sprintf(format, args...))
}

// TestFaultsAreFound does behind the load's back what must not happen, one after
// the other: each is reported, and as what it is.
func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	var twice, never string // marks whose records are read so
	records := workload.Chains(s.Dir)
	w := start(t, s, 4, func(c *workload.Config) {
		c.Records = func(ctx context.Context, since map[string]uint64, yield func(string, uint64, []byte) error) error {
			return records(ctx, since, func(chain string, seq uint64, body []byte) error {
				if never != "" && bytes.Contains(body, []byte(never)) {
					return nil
				}
				if twice != "" && bytes.Contains(body, []byte(twice)) {
					if err := yield(chain, seq, body); err != nil {
						return err
					}
				}
				return yield(chain, seq, body)
			})
		}
	})
	until(t, w, 300)
	if r := w.Verify(t.Context(), t); r.Lost > 0 {
		t.Fatal(r)
	}
	live := liveSecret(t, s)
	ctx := t.Context()
	for _, tt := range []struct {
		want string
		do   func() error
	}{
		{"description is \"changed\"", func() error {
			_, err := s.Secrets().UpdateSecret(ctx, &secretsmanager.UpdateSecretInput{SecretId: &live, Description: aws.String("changed")})
			return err
		}},
		{"another than was written", func() error {
			_, err := s.Secrets().PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &live, SecretString: aws.String("x")})
			return err
		}},
		{"secret is gone", func() error {
			_, err := s.Secrets().DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &live, ForceDeleteWithoutRecovery: aws.Bool(true)})
			return err
		}},
		{"user wl-nobodys is there and nobody's", func() error {
			_, err := s.IAM().CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("wl-nobodys")})
			return err
		}},
		{"secret eu-west-1 nobodys is there and nobody's", func() error {
			_, err := s.SecretsAs(s.Admin, servertest.Other).CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("nobodys")})
			return err
		}},
		{"is there and nobody's", func() error {
			_, err := s.KMS(servertest.Other).CreateKey(ctx, &kms.CreateKeyInput{})
			return err
		}},
		{"has no audit record", func() error { never = "-w01-0000001-"; return nil }},
		{"has more than one audit record", func() error { twice = "-w02-0000001-"; return nil }},
	} {
		if err := tt.do(); err != nil {
			t.Fatal(err)
		}
		var f faults
		if r := w.Verify(ctx, &f); r.Lost != len(f.all) || !slices.ContainsFunc(f.all, func(s string) bool { return strings.Contains(s, tt.want) }) {
			t.Errorf("%q is not found: %d faults, %s", tt.want, r.Lost, strings.Join(f.all, "\n"))
		}
	}
}

// liveSecret is one of the load's without a replica.
func liveSecret(t *testing.T, s *servertest.Server) string {
	t.Helper()
	out, err := s.Secrets().ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range out.SecretList {
		if x.PrimaryRegion == nil {
			return *x.Name
		}
	}
	t.Fatal("no secret is without a replica")
	return ""
}

// TestTrials: every change has a way to where it is possible, and changes
// something there.
func TestTrials(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	w := start(t, s, 1)
	for _, name := range workload.Changes() {
		x := w.Trial(name)
		if err := x.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		if answered, err := x.Do(); err != nil || !answered {
			t.Fatalf("%s: %v", name, err)
		}
	}
	r := w.Verify(t.Context(), t)
	t.Log(r)
	counts := w.Counts()
	for _, name := range workload.Changes() {
		if counts[name] == 0 {
			t.Errorf("%s was not done", name)
		}
	}
}
