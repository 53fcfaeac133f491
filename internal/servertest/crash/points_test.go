package crash

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/iam"
	"github.com/strongroom/strongroom/internal/kms"
	"github.com/strongroom/strongroom/internal/pgtest"
	"github.com/strongroom/strongroom/internal/secretsmanager"
	"github.com/strongroom/strongroom/internal/sts"
	"github.com/strongroom/strongroom/internal/wire"
)

// refusesAll are operations that change nothing, ever: no service here has a
// service-linked role.
var refusesAll = map[string]bool{"iam:CreateServiceLinkedRole": true, "iam:DeleteServiceLinkedRole": true}

// TestChangesAreComplete fails for an operation that changes something and is not
// put through the crashes.
func TestChangesAreComplete(t *testing.T) {
	for _, s := range []*wire.Service{&secretsmanager.API, &kms.API, &iam.API, &sts.API} {
		for _, o := range s.Operations {
			name := s.Name + ":" + o.Name
			if o.Built && !o.ReadOnly && !refusesAll[name] && !slices.ContainsFunc(changes(), func(x change) bool { return x.name == name }) {
				t.Errorf("%s is missing", name)
			}
		}
	}
}

// trial is one change on its way through a crash.
type trial struct {
	change
	id   string
	aim  string // what do is given as target
	mark string // what its audit record names it by
	// before and after are its states as an undisturbed twin had them.
	before, after string
}

// prepare makes what all changes need, and lets a twin of each show what it does.
// All of it happens in one process: a replica needs the job, and its lease
// outlives a killed process for half a minute.
func prepare(t *testing.T, c *clients, all []change) []*trial {
	t.Helper()
	var out []*trial
	for i, x := range all {
		r := &trial{change: x, id: fmt.Sprintf("change-%02d", i)}
		twin := fmt.Sprintf("twin-of-%02d", i)
		for _, id := range []string{r.id, twin} {
			if x.prepare != nil {
				x.prepare(c, id)
			}
		}
		r.before = x.state(c, r.id)
		if got := x.state(c, twin); got != r.before {
			t.Fatalf("%s: twins differ:\n%s\n%s", x.name, got, r.before)
		}
		if _, err := x.do(c, twin, x.target(c, twin)); err != nil {
			t.Fatalf("%s: %v", x.name, err)
		}
		if r.after = x.state(c, twin); r.after == r.before {
			t.Fatalf("%s changes nothing: %s", x.name, r.after)
		}
		r.aim, r.mark = x.target(c, r.id), r.id
		if x.service() == "kms" && r.aim != "" {
			r.mark = r.aim
		}
		if strings.HasSuffix(x.name, "AccountPasswordPolicy") {
			r.mark = accountOf(r.id)
		}
		out = append(out, r)
	}
	return out
}

// TestFaultPoints kills the server in the middle of each operation that changes
// something.
func TestFaultPoints(t *testing.T) {
	some := slices.DeleteFunc(changes(), func(x change) bool {
		return !slices.Contains([]string{"secretsmanager:CreateSecret", "secretsmanager:PutSecretValue", "kms:CreateKey", "iam:CreateAccessKey"}, x.name)
	})
	for _, tt := range []struct {
		point     string
		committed bool
	}{
		{audit.FaultAfterReserve, false},
		{audit.FaultBeforeAppend, true},
		{audit.FaultAfterAppend, true},
	} {
		t.Run("sqlite/"+tt.point, func(t *testing.T) {
			t.Parallel()
			killAt(t, initialised(t, ""), changes(), tt.point, tt.committed)
		})
		t.Run("postgresql/"+tt.point, func(t *testing.T) {
			t.Parallel()
			killAt(t, initialised(t, pgtest.Start(t)), some, tt.point, tt.committed)
		})
	}
}

func killAt(t *testing.T, p place, all []change, point string, committed bool) {
	s := p.start(t)
	for _, x := range prepare(t, newClients(t, s.Server), all) {
		s.arm(t, point, 1)
		if _, err := x.do(newClients(t, s.Server), x.id, x.aim); err == nil {
			t.Fatalf("%s was answered by a server that died", x.name)
		}
		s.died(t)
		s = p.start(t)
		c := newClients(t, s.Server)
		want, records := x.before, 0
		if committed {
			want, records = x.after, 1
		}
		x.expect(c, p, want, records)
		if committed && !x.repeatable {
			continue
		}
		// The client tries again, twice.
		first, err := x.do(c, x.id, x.aim)
		if err != nil {
			t.Errorf("%s: second try: %v", x.name, err)
		}
		if x.repeatable {
			if again, err := x.do(c, x.id, x.aim); err != nil || again != first {
				t.Errorf("%s: third try: %q, %v, after %q", x.name, again, err, first)
			}
		}
		if got := x.state(c, x.id); got != x.after {
			t.Errorf("%s tried again:\ngot  %s\nwant %s", x.name, got, x.after)
		}
		p.sound(t, true)
	}
	s.kill(t)
	p.sound(t, false)
}

// TestKilledBeforeForget kills the server when the records of answered changes
// are on disk and their pending rows still in the database: none may be recorded
// again.
func TestKilledBeforeForget(t *testing.T) {
	t.Parallel()
	p := initialised(t, "")
	s := p.start(t)
	c := newClients(t, s.Server)
	all := prepare(t, c, changes())
	for _, x := range all {
		if _, err := x.do(c, x.id, x.aim); err != nil {
			t.Fatalf("%s: %v", x.name, err)
		}
	}
	s.arm(t, audit.FaultBeforeForget, 1)
	s.died(t)
	s = p.start(t)
	c = newClients(t, s.Server)
	records := p.records(t)
	for _, x := range all {
		x.expectRecords(c, records, x.after, 1)
	}
	s.kill(t)
	p.sound(t, false)
}

// expect compares what is there with what must be.
func (x *trial) expect(c *clients, p place, want string, records int) {
	c.Helper()
	x.expectRecords(c, p.records(c.T), want, records)
	p.sound(c.T, true)
}

func (x *trial) expectRecords(c *clients, all []record, want string, records int) {
	c.Helper()
	if got := x.state(c, x.id); got != want {
		c.Errorf("%s after the crash:\ngot  %s\nwant %s", x.name, got, want)
	}
	if n := successes(c.T, all, x.operation(), x.mark); n != records {
		c.Errorf("%s has %d audit records, want %d", x.name, n, records)
	}
}
