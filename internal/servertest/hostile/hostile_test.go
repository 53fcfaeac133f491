package hostile

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	signer "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

const (
	// gunners send at once.
	gunners = 12
	// roomFor bounds the memory that the server may take of the system while it is
	// attacked, however long: body_memory alone is 256 MB.
	roomFor = 512 << 20
	// keeps bounds what it still uses afterwards.
	keeps = 128 << 20
)

// healthy are clients who do what clients do, all the time, each call of which must
// succeed. They are the SDK's as it comes: on a busy machine a connection may be shut
// for being slow, and they try once more, as everybody's do.
type healthy struct {
	wg    sync.WaitGroup
	stop  context.CancelFunc
	calls atomic.Int64
	mu    sync.Mutex
	took  []time.Duration
}

func (g *target) healthy() *healthy {
	ctx, stop := context.WithCancel(context.Background())
	h := &healthy{stop: stop}
	config := g.AWS(g.Admin, "")
	config.RetryMaxAttempts = 3
	sm, k, i, s := secretsmanager.NewFromConfig(config), kms.NewFromConfig(config), iam.NewFromConfig(config), sts.NewFromConfig(config)
	_, err := sm.CreateSecret(g.t.Context(), &secretsmanager.CreateSecretInput{Name: new("healthy"), SecretString: new("v")})
	check(g.t, err)
	key, err := k.CreateKey(g.t.Context(), &kms.CreateKeyInput{})
	check(g.t, err)
	calls := map[string]func() error{
		"GetSecretValue": func() error {
			out, err := sm.GetSecretValue(context.Background(), &secretsmanager.GetSecretValueInput{SecretId: new("healthy")})
			if err == nil && *out.SecretString != "v" {
				return fmt.Errorf("the value is %q", *out.SecretString)
			}
			return err
		},
		"UpdateSecret": func() error {
			_, err := sm.UpdateSecret(context.Background(), &secretsmanager.UpdateSecretInput{SecretId: new("healthy"), Description: new(fmt.Sprint(h.calls.Load()))})
			return err
		},
		"Encrypt": func() error {
			_, err := k.Encrypt(context.Background(), &kms.EncryptInput{KeyId: key.KeyMetadata.KeyId, Plaintext: []byte("x")})
			return err
		},
		"ListUsers": func() error { _, err := i.ListUsers(context.Background(), &iam.ListUsersInput{}); return err },
		"GetCallerIdentity": func() error {
			_, err := s.GetCallerIdentity(context.Background(), &sts.GetCallerIdentityInput{})
			return err
		},
	}
	for name, call := range calls {
		h.wg.Go(func() {
			for ctx.Err() == nil {
				started := time.Now()
				if err := call(); err != nil {
					g.t.Errorf("a healthy client's %s: %v", name, err)
				}
				h.calls.Add(1)
				h.mu.Lock()
				h.took = append(h.took, time.Since(started))
				h.mu.Unlock()
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	return h
}

// end stops them and says how they fared.
func (h *healthy) end() string {
	h.stop()
	h.wg.Wait()
	slices.Sort(h.took)
	at := func(q float64) time.Duration {
		return h.took[int(q*float64(len(h.took)-1))].Round(100 * time.Microsecond)
	}
	return fmt.Sprintf("%d healthy calls, all served: p50 %v, p99 %v, longest %v", len(h.took), at(.5), at(.99), at(1))
}

// furnish makes what the attacks are about, in the attacker's account.
func (g *target) furnish() {
	sm, k, i := g.SecretsAs(g.attacker, ""), kms.NewFromConfig(g.AWS(g.attacker, "")), iam.NewFromConfig(g.AWS(g.attacker, ""))
	ctx := g.t.Context()
	for n := range 4 {
		_, err := sm.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: new(fmt.Sprintf("s%d", n)), SecretString: new("v")})
		check(g.t, err)
		_, err = i.CreateUser(ctx, &iam.CreateUserInput{UserName: new(fmt.Sprintf("u%d", n))})
		check(g.t, err)
		_, err = i.CreateRole(ctx, &iam.CreateRoleInput{RoleName: new(fmt.Sprintf("r%d", n)), AssumeRolePolicyDocument: &documents[2]})
		check(g.t, err)
		_, err = i.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: new(fmt.Sprintf("g%d", n))})
		check(g.t, err)
	}
	for n := range 2 {
		key, err := k.CreateKey(ctx, &kms.CreateKeyInput{})
		check(g.t, err)
		_, err = k.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: new(fmt.Sprintf("alias/k%d", n)), TargetKeyId: key.KeyMetadata.KeyId})
		check(g.t, err)
	}
	_, err := i.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: new("p0"), PolicyDocument: &documents[0]})
	check(g.t, err)
}

// tally counts outcomes by kind.
type tally struct {
	mu       sync.Mutex
	kinds    map[string]map[string]int
	signed   int
	failures int
}

func (y *tally) note(t *testing.T, n int, a attack, o outcome) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if a.signed {
		y.signed++
	}
	kind := a.kind
	if a.signed {
		kind += ", signed"
	}
	if y.kinds[kind] == nil {
		y.kinds[kind] = map[string]int{}
	}
	if len(o.statuses) == 0 {
		y.kinds[kind]["shut"]++
	}
	for _, s := range o.statuses {
		y.kinds[kind][fmt.Sprint(s)]++
	}
	// net/http answers 501 and 505 to encodings and versions that it does not speak:
	// RFC 9112 asks for just that, and the request has not reached us.
	bad := slices.ContainsFunc(o.statuses, func(s int) bool {
		return s >= 500 && (a.request != nil || s != http.StatusNotImplemented && s != http.StatusHTTPVersionNotSupported)
	})
	if a.request != nil && o.err != nil || a.slow && o.err != nil {
		bad = true
	}
	// Whoever has a good key keeps it, whatever is asked with it.
	if a.signed && (strings.Contains(o.body, "InvalidClientTokenId") || strings.Contains(o.body, "UnrecognizedClient")) && !strings.HasPrefix(a.kind, "odd headers") {
		bad = true
	}
	if bad {
		if y.failures++; y.failures <= 10 {
			t.Errorf("attack %d (%s): %v %v %.500s\n%.1000s", n, kind, o.statuses, o.err, o.body, a.describe())
		}
	}
}

func (a attack) describe() string {
	if a.request == nil {
		return fmt.Sprintf("%.600q", a.raw)
	}
	body := ""
	if b, err := a.request.GetBody(); err == nil {
		buf := make([]byte, 600)
		n, _ := b.Read(buf)
		body = string(buf[:n])
	}
	return fmt.Sprintf("%s %s %.200v %q", a.request.Method, a.request.URL.RawQuery, a.request.Header, body)
}

func (g *target) arsenal(t *testing.T) *arsenal {
	a := &arsenal{url: g.URL, host: strings.TrimPrefix(g.URL, "https://"), seed: uint64(number(t, "HOSTILE_SEED", 1)), models: models(t), signer: signer.NewSigner(),
		creds: aws.Credentials{AccessKeyID: g.attacker.AccessKeyID, SecretAccessKey: g.attacker.SecretAccessKey}}
	for _, m := range a.models {
		for _, name := range m.names {
			a.operations = append(a.operations, operation{m, name})
		}
	}
	return a
}

func TestHostileRequests(t *testing.T) {
	total := number(t, "HOSTILE_REQUESTS", 10_000)
	g := start(t)
	g.furnish()
	weapons := g.arsenal(t)
	t.Logf("seed %d", weapons.seed)
	before := g.look(true)
	h := g.healthy()
	y := &tally{kinds: map[string]map[string]int{}}
	gun := newGunner(weapons.host)

	var peak atomic.Uint64
	watching, seen := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for watching.Err() == nil {
			peak.Store(max(peak.Load(), g.look(false).RSS))
			time.Sleep(100 * time.Millisecond)
		}
	})
	started := time.Now()
	var next atomic.Int64
	var fire sync.WaitGroup
	for range gunners {
		fire.Go(func() {
			var slow sync.WaitGroup
			defer slow.Wait()
			for {
				n := int(next.Add(1)) - 1
				if n >= total {
					return
				}
				a := weapons.make(n)
				if a.slow { // It takes its time, which the others do not wait for.
					slow.Go(func() { y.note(t, n, a, gun.send(a)) })
					continue
				}
				y.note(t, n, a, gun.send(a))
			}
		})
	}
	fire.Wait()
	took := time.Since(started)
	fared := h.end()
	seen()
	wg.Wait()
	gun.client.CloseIdleConnections()
	g.HTTP.CloseIdleConnections()
	g.calm(before)
	after := g.look(true)
	if peak.Load() > roomFor || after.Heap > keeps {
		t.Errorf("the server took %s of memory and still uses %s", mb(peak.Load()), mb(after.Heap))
	}
	if 2*y.signed < total {
		t.Errorf("%d of %d were signed", y.signed, total)
	}
	g.spotless()
	report(t, g, y, after)
	t.Logf("%d hostile requests in %v, %d signed; %s; memory at most %s, in use %s before and %s after; goroutines %d before and %d after",
		total, took.Round(time.Second), y.signed, fared, mb(peak.Load()), mb(before.Heap), mb(after.Heap), before.Goroutines, after.Goroutines)
}

// report prints what was reached, and fails if an operation was not.
func report(t *testing.T, g *target, y *tally, s stats) {
	rows := [][]string{{"kind", "outcomes"}}
	for _, kind := range slices.Sorted(maps.Keys(y.kinds)) {
		text := ""
		for _, o := range slices.Sorted(maps.Keys(y.kinds[kind])) {
			text += fmt.Sprintf("%s: %d  ", o, y.kinds[kind][o])
		}
		rows = append(rows, []string{kind, text})
	}
	t.Logf("\n%s", table(rows))
	rows = [][]string{{"operation", "validation", "handler"}}
	sum := [2]int{}
	for _, m := range models(t) {
		for _, name := range m.names {
			operation := m.Metadata.SigningName + ":" + name
			n := s.Operations[operation]
			sum[0], sum[1] = sum[0]+n[0], sum[1]+n[1]
			rows = append(rows, []string{operation, fmt.Sprint(n[0]), fmt.Sprint(n[1])})
			if n[0] == 0 && name != "AssumeRoleWithWebIdentity" { // Nobody is known to have called that.
				t.Errorf("no hostile request reached %s", operation)
			}
		}
	}
	rows = append(rows, []string{"all", fmt.Sprint(sum[0]), fmt.Sprint(sum[1])})
	t.Logf("requests that reached each operation, healthy ones included\n%s", table(rows))
}
