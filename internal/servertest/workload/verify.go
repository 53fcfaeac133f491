package workload

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// Reporter is told what is wrong; a testing.TB is one.
type Reporter interface {
	Helper()
	Errorf(format string, args ...any)
}

// Report says what was looked at.
type Report struct {
	// Acknowledged are the changes whose answers came, in all so far; Unknown,
	// of those since the last Verify, the ones whose answers were lost, and Done
	// how many of these have been made all the same.
	Acknowledged, Unknown, Done int
	// Objects were compared, Records read.
	Objects, Records int
	// Replicas were compared with their primaries; Behind are not copied yet.
	Replicas, Behind int
	// Lost are the faults that were reported.
	Lost int
}

func (r Report) String() string {
	return fmt.Sprintf("%d changes acknowledged, %d answers lost (%d of them done), %d objects, %d replicas (%d behind) and %d audit records checked, %d faults",
		r.Acknowledged, r.Unknown, r.Done, r.Objects, r.Replicas, r.Behind, r.Records, r.Lost)
}

// Verify reads everything back, from every node, and reports what is not as it
// must be. The load must not run, and what it sent must have come to its end.
// Lost answers are settled by it.
func (w *Workload) Verify(ctx context.Context, t Reporter) Report {
	t.Helper()
	w.trail.again()
	return w.verify(ctx, t, true)
}

// VerifyRecent does the same to what was changed since the last look, and to the
// audit records that are new; names are compared in full.
func (w *Workload) VerifyRecent(ctx context.Context, t Reporter) Report {
	t.Helper()
	return w.verify(ctx, t, false)
}

// VerifyCopy compares another deployment that was made from this one's backup, and
// is reached at a URL with a client that trusts it, with what this one held when
// it was last verified.
func (w *Workload) VerifyCopy(ctx context.Context, t Reporter, url string, client *http.Client) Report {
	t.Helper()
	cfg := w.cfg
	cfg.HTTP = client
	v := &verification{w: w, t: t}
	v.node(ctx, newClients(url, &cfg), true, false)
	return v.report
}

func (w *Workload) verify(ctx context.Context, t Reporter, all bool) Report {
	t.Helper()
	v := &verification{w: w, t: t}
	v.report.Acknowledged = int(w.acks.Load())
	for i, c := range *w.nodes.Load() {
		v.node(ctx, c, all, i == 0)
	}
	for _, u := range w.units() {
		u.changed = false
	}
	v.account(ctx)
	return v.report
}

// units are all that there ever were.
func (w *Workload) units() []*unit {
	var out []*unit
	for _, x := range w.all() {
		out = append(append(out, x.left...), x.units...)
	}
	return out
}

// all are the writers, and the one of the trials.
func (w *Workload) all() []*writer { return append(slices.Clone(w.writers), w.trials) }

// verification is one Verify.
type verification struct {
	w      *Workload
	t      Reporter
	mu     sync.Mutex
	report Report
}

func (v *verification) wrong(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.Lost++
	v.t.Errorf(format, args...)
}

func (v *verification) count(f func(*Report)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f(&v.report)
}

// readers is how many units are read at once.
const readers = 16

// node compares what a node says. The first one settles what is unknown.
func (v *verification) node(ctx context.Context, c *clients, all, first bool) {
	r, err := v.w.take(ctx, c)
	if err != nil {
		v.wrong("%s cannot be read: %v", c.endpoint, err)
		return
	}
	r.verification = v
	work := make(chan *unit)
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			for u := range work {
				v.unit(ctx, r, u, first)
			}
		})
	}
	for _, u := range v.w.units() {
		if all || u.changed {
			work <- u
		}
	}
	close(work)
	wg.Wait()
	v.census(r)
}

// unit reads one unit and compares it. Replicas are awaited by nobody here: the
// job that copies them may run on a node that is gone, until its lease is over.
func (v *verification) unit(ctx context.Context, r *reading, u *unit, first bool) {
	got, err := u.kind.read(ctx, r, u)
	if err != nil {
		v.wrong("%s: %s cannot be read: %v", r.endpoint, u.name, err)
		return
	}
	v.count(func(n *Report) { n.Objects++ })
	if !first {
		if diff := u.differs(u.state, got); diff != "" {
			v.wrong("%s: %s: %s", r.endpoint, u.name, diff)
		}
		return
	}
	s := u.maybe
	did, both, diff := u.resolve(got)
	if diff != "" {
		v.wrong("%s: %s: %s", r.endpoint, u.name, diff)
	}
	if s == nil {
		return
	}
	v.count(func(n *Report) {
		n.Unknown++
		if did {
			n.Done++
		}
	})
	switch {
	case both || diff != "" || s.op.quiet:
		v.trail(func(t *trail) { t.may[s.mark] = true })
	case did:
		v.trail(func(t *trail) { t.must[s.mark] = "" })
	}
}

func (v *verification) trail(f func(*trail)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f(&v.w.trail)
}

// census finds what is there and nobody's, and what is missing as a whole.
func (v *verification) census(r *reading) {
	want := map[string]bool{}
	for _, u := range v.w.units() {
		for name := range u.names() {
			want[name] = true
		}
	}
	for name := range r.names {
		if !want[name] && !v.w.base.names[name] {
			v.wrong("%s: %s is there and nobody's", r.endpoint, name)
		}
	}
	for name := range want {
		if !r.names[name] {
			v.wrong("%s: %s is in no list", r.endpoint, name)
		}
	}
}

// names are those that lists must show of a unit, each with where.
func (u *unit) names() map[string]bool {
	f, out := u.state, map[string]bool{}
	switch u.kind {
	case &secrets:
		if f.has("secret") {
			out["secret "+u.region+" "+u.name] = true
		}
		if f.has("far.secret") {
			out["secret "+u.other+" "+u.name] = true
		}
	case &keys:
		if f.has("key") {
			out["key "+u.region+" "+f["key"]] = true
		}
	case &identities:
		for _, what := range []string{"user", "group", "role", "policy", "device"} {
			if f.has(what) {
				out[what+" "+u.name] = true
			}
		}
	case &providers:
		if f.has("provider") {
			out["provider "+*providerARN(u)] = true
		}
	}
	return out
}

// account compares the audit log with what was answered.
func (v *verification) account(ctx context.Context) {
	for _, x := range v.w.all() {
		for _, s := range x.sent {
			switch {
			case s.outcome != acknowledged:
			case s.quiet && v.w.cfg.QuietMayBeLost:
				v.w.trail.may[s.mark] = true
			default:
				v.w.trail.must[s.mark] = s.requestID
			}
		}
		x.sent = nil
	}
	if v.w.cfg.Records == nil {
		return
	}
	n, err := v.w.trail.read(ctx, v.w.cfg.Records)
	if err != nil {
		v.wrong("audit log: %v", err)
	}
	v.report.Records = n
	for _, wrong := range v.w.trail.judge() {
		v.wrong("%s", wrong)
	}
}

// reading is what one node says in one Verify.
type reading struct {
	*clients
	*verification
	*census
	details *details
}

// census are the names of all that a node lists.
type census struct {
	names map[string]bool
	// unknown are the keys of a region that no unit knows, by description.
	unknown map[string]map[string]string
}

func (c *census) strays(region string) map[string]string { return c.unknown[region] }

// take lists everything.
func (w *Workload) take(ctx context.Context, c *clients) (*reading, error) {
	r := &reading{clients: c, census: &census{names: map[string]bool{}, unknown: map[string]map[string]string{}}}
	var err error
	if r.details, err = readDetails(ctx, c.iam); err != nil {
		return nil, err
	}
	for name := range r.details.users {
		r.names["user "+name] = true
	}
	for name := range r.details.groups {
		r.names["group "+name] = true
	}
	for name := range r.details.roles {
		r.names["role "+name] = true
	}
	for name := range r.details.policies {
		r.names["policy "+name] = true
	}
	for name := range r.details.devices {
		r.names["device "+name] = true
	}
	all, err := c.iam.ListOpenIDConnectProviders(ctx, &iam.ListOpenIDConnectProvidersInput{})
	if err != nil {
		return nil, err
	}
	for _, p := range all.OpenIDConnectProviderList {
		r.names["provider "+*p.Arn] = true
	}
	known := map[string]bool{}
	for _, u := range w.units() {
		known[u.state["key"]] = true
	}
	for _, region := range w.cfg.Regions {
		if err := r.listSecrets(ctx, region); err != nil {
			return nil, err
		}
		if err := r.listKeys(ctx, region, known); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// listSecrets notes the secrets of a region that are no replicas: those come and
// go with a job.
func (r *reading) listSecrets(ctx context.Context, region string) error {
	pages := secretsmanager.NewListSecretsPaginator(r.secrets[region], &secretsmanager.ListSecretsInput{MaxResults: aws.Int32(100), IncludePlannedDeletion: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, s := range page.SecretList {
			if s.PrimaryRegion == nil || *s.PrimaryRegion == region {
				r.names["secret "+region+" "+*s.Name] = true
			}
		}
	}
	return nil
}

func (r *reading) listKeys(ctx context.Context, region string, known map[string]bool) error {
	r.unknown[region] = map[string]string{}
	pages := kms.NewListKeysPaginator(r.kms[region], &kms.ListKeysInput{Limit: aws.Int32(1000)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, k := range page.Keys {
			if known[*k.KeyId] {
				r.names["key "+region+" "+*k.KeyId] = true
				continue
			}
			d, err := r.kms[region].DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: k.KeyId})
			if err != nil {
				return err
			}
			if d.KeyMetadata.KeyManager == "AWS" {
				continue // The service's own, made when it is first used.
			}
			r.names["key "+region+" "+*k.KeyId] = true
			r.unknown[region][aws.ToString(d.KeyMetadata.Description)] = *k.KeyId
		}
	}
	return nil
}

// AwaitReplicas waits until every replica that was asked for is in sync: the job
// that copies them may have to wait for the lease of a node that is gone.
func (w *Workload) AwaitReplicas(ctx context.Context, t Reporter) {
	t.Helper()
	c := (*w.nodes.Load())[0]
	var waiting []*unit
	for _, u := range w.units() {
		if u.kind == &secrets && u.state.has("replica") {
			waiting = append(waiting, u)
		}
	}
	for len(waiting) > 0 {
		ok, err := inSync(ctx, c, waiting[0])
		if ok {
			waiting = waiting[1:]
			continue
		}
		select {
		case <-ctx.Done():
			t.Errorf("the replica of %s, and perhaps of %d more, is not in sync: %v", waiting[0].name, len(waiting)-1, err)
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Operations are the names of all operations that the load performs.
func Operations() []string {
	names := map[string]bool{}
	for _, k := range kinds {
		for _, o := range k.ops {
			names[o.name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

var kinds = []*kind{&secrets, &keys, &identities, &providers, &account}
