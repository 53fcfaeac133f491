package denial_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/denial"
	"github.com/strongroom/strongroom/internal/pgtest"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

const own, other = "111122223333", "444455556666"

var (
	secrets = &wire.Service{Name: "secretsmanager"}
	keys    = &wire.Service{Name: "kms"}
	started = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
)

// each runs fn on both databases.
func each(t *testing.T, fn func(t *testing.T, db *store.DB)) {
	t.Parallel()
	for name, config := range map[string]func(*testing.T) store.Config{
		"sqlite":     func(t *testing.T) store.Config { return store.Config{Dir: t.TempDir()} },
		"postgresql": func(t *testing.T) store.Config { return store.Config{URL: pgtest.Start(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := store.Open(t.Context(), config(t))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			fn(t, db)
		})
	}
}

func newLog(db *store.DB, change func(*denial.Config)) *denial.Log {
	c := denial.Config{DB: db, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return started }}
	if change != nil {
		change(&c)
	}
	return denial.New(c)
}

// call is a call of user u that was denied.
func call(account, id string) *wire.Call {
	c := &wire.Call{
		RequestID: id, EventID: "event-" + id, Start: started, Service: secrets, Operation: "GetSecretValue", Region: "us-east-1",
		Principal: &aws.Principal{Type: aws.PrincipalUser, Account: account, ARN: "arn:aws:iam::" + account + ":user/u", UserID: "AIDAU", UserName: "u"},
		Err:       errors.New("denied"),
	}
	refuse(c)
	return c
}

// refuse notes a refused decision in c.
func refuse(c *wire.Call) {
	q := policy.Request{
		Principal: &policy.Principal{Type: policy.User, Account: c.Principal.Account, ARN: c.Principal.ARN, UserID: c.Principal.UserID, UserName: "u"},
		Action:    c.Service.Name + ":" + c.Operation, Resource: "arn:aws:" + c.Service.Name + ":us-east-1:" + own + ":x:y", ResourceAccount: own, Context: new(policy.Context),
	}
	c.Decide(wire.Decision{Action: q.Action, Resource: q.Resource, Evidence: &auth.Evidence{Request: q, Decision: policy.Evaluate(&q, &policy.Set{})}})
}

func find(t *testing.T, l *denial.Log, account, id string) []*denial.Denial {
	t.Helper()
	found, err := l.FindAny(t.Context(), id)
	if account != "" {
		found, err = l.Find(t.Context(), account, id)
	}
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func flush(t *testing.T, l *denial.Log) {
	t.Helper()
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A denial is found on its node before it is written, and everywhere afterwards,
// and reads the same.
func TestFoundAtOnceAndByOthersOnceWritten(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		here, there := newLog(db, nil), newLog(db, nil)
		here.Observe(call(own, "one"))
		before := find(t, here, "", "one")
		if len(before) != 1 || len(find(t, there, "", "one")) != 0 {
			t.Fatalf("before the flush %d denials", len(before))
		}
		text := before[0].Text(before[0].Explanation)
		for _, want := range []string{"Request one, 2026-03-10T12:00:00Z", "AIDAU, of account " + own, "secretsmanager:GetSecretValue in us-east-1",
			"event event-one", "implicitDeny, because no identity-based policy allows", "arn:aws:iam::" + own + ":user/u", "To have it allowed:"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
		flush(t, here)
		for name, l := range map[string]*denial.Log{"here": here, "there": there, "after a restart": newLog(db, nil)} {
			after := find(t, l, "", "one")
			if len(after) != 1 || after[0].Text(after[0].Explanation) != text {
				t.Errorf("%s: %d denials: %v", name, len(after), after)
			}
		}
		if s := here.Stats(); s.Written != 1 || s.Dropped != 0 || s.Waiting != 0 {
			t.Errorf("stats %+v", s)
		}
		flush(t, here) // Nothing waits.
		if len(find(t, here, "", "two")) != 0 || len(find(t, here, "", "")) != 0 {
			t.Error("something is found that never was")
		}
	})
}

func TestCallMadeByAServiceIsFoundByBothIDs(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		l := newLog(db, nil)
		outer := call(own, "outer")
		outer.Decisions = nil
		inner := call(own, "inner")
		inner.Service, inner.Operation, inner.Decisions = keys, "Decrypt", nil
		inner.Parent, inner.Via = outer, "secretsmanager.amazonaws.com"
		refuse(inner)
		refuse(inner)
		l.Observe(inner)
		l.Observe(outer)
		check := func() {
			t.Helper()
			for _, id := range []string{"outer", "inner"} {
				found := find(t, l, own, id)
				if len(found) != 2 || found[0].RequestID != "outer" || found[1].CallID != "inner" || found[0].Explanation.Action != "kms:Decrypt" ||
					!strings.Contains(found[0].Text(found[0].Explanation), "secretsmanager.amazonaws.com on the principal's behalf, as request inner") {
					t.Errorf("by %s: %v", id, found)
				}
			}
		}
		check()
		flush(t, l)
		check()
	})
}

// An account finds the denials of its own callers only, also of its resources.
func TestAccountsAreApart(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		l := newLog(db, nil)
		foreign := call(other, "foreign") // on a resource of own
		l.Observe(foreign)
		l.Observe(call(own, "home"))
		check := func() {
			t.Helper()
			for _, c := range []struct {
				account, id string
				n           int
			}{{own, "home", 1}, {own, "foreign", 0}, {other, "foreign", 1}, {other, "home", 0}, {"", "home", 1}, {"", "foreign", 1}} {
				if found := find(t, l, c.account, c.id); len(found) != c.n {
					t.Errorf("account %q finds %d under %s", c.account, len(found), c.id)
				}
			}
		}
		check()
		flush(t, l)
		check()
		if found, err := l.Find(t.Context(), "", "home"); len(found) != 0 || err != nil {
			t.Errorf("without an account: %v, %v", found, err)
		}
		d := find(t, l, other, "foreign")[0]
		if d.Told == nil || d.ForAccount() != d.Told || find(t, l, own, "home")[0].Told != nil {
			t.Error("the caller's account is told the wrong explanation")
		}
	})
}

func TestLatest(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		here, there := newLog(db, nil), newLog(db, nil)
		for i := range 30 {
			c := call(own, fmt.Sprint("c", i))
			c.Start = started.Add(time.Duration(i) * time.Second)
			here.Observe(c)
		}
		got, err := here.Latest(t.Context(), 20)
		if err != nil || len(got) != 20 || got[0].RequestID != "c29" || got[19].RequestID != "c10" {
			t.Fatalf("%v, %v", got, err)
		}
		want := denial.Summary{RequestID: "c29", Time: started.Add(29 * time.Second), Account: own, Principal: "arn:aws:iam::" + own + ":user/u",
			Action: "secretsmanager:GetSecretValue", Resource: "arn:aws:secretsmanager:us-east-1:" + own + ":x:y"}
		if got[0] != want {
			t.Errorf("%+v", got[0])
		}
		if others, err := there.Latest(t.Context(), 1); err != nil || len(others) != 1 || others[0] != want {
			t.Errorf("%v, %v", others, err)
		}
	})
}

func TestOnlyRefusalsAreKept(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		l := newLog(db, nil)
		allowed := call(own, "allowed")
		allowed.Decisions[0].Allowed = true
		l.Observe(allowed)
		served := call(own, "served")
		served.Err = nil
		l.Observe(served)
		anonymous := call(own, "anonymous")
		anonymous.Principal = nil
		l.Observe(anonymous)
		if s := l.Stats(); s != (denial.Stats{}) {
			t.Errorf("stats %+v", s)
		}
	})
}

// However many calls are denied, what waits is bounded, and one account's flood
// leaves room for the others.
func TestFloodIsBounded(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		l := newLog(db, func(c *denial.Config) { c.Queue = 20 })
		for i := range 1000 {
			l.Observe(call(own, fmt.Sprint("flood", i)))
		}
		if s := l.Stats(); s.Waiting != 10 || s.Dropped != 990 {
			t.Fatalf("one account: %+v", s)
		}
		l.Observe(call(other, "quiet"))
		if len(find(t, l, other, "quiet")) != 1 {
			t.Error("a flood of one account keeps out another")
		}
		for i := range 1000 {
			l.Observe(call(fmt.Sprintf("%012d", i), fmt.Sprint("all", i)))
		}
		if s := l.Stats(); s.Waiting != 20 || s.Dropped != 990+991 {
			t.Errorf("all accounts: %+v", s)
		}
		many := call(own, "many")
		for range 99 {
			refuse(many)
		}
		flush(t, l)
		l = newLog(db, nil)
		l.Observe(many)
		if s := l.Stats(); s.Waiting != 16 || s.Dropped != 84 {
			t.Errorf("one call: %+v", s)
		}
		flush(t, l)
		if n := len(find(t, l, own, "many")); n != 16 {
			t.Errorf("%d denials of one call", n)
		}
		if len(find(t, l, own, "flood0")) != 1 || len(find(t, l, own, "flood999")) != 0 {
			t.Error("not the first ones are kept")
		}
	})
}

// What cannot be written stays, and is written once.
func TestFlushIsRepeatable(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		l := newLog(db, nil)
		for i := range 250 {
			l.Observe(call(own, fmt.Sprint("c", i)))
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.Flush(gone); err == nil {
			t.Fatal("flushed although the context had ended")
		}
		if len(find(t, l, own, "c249")) != 1 {
			t.Error("lost by a failed flush")
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := l.Flush(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		some := newLog(db, nil)
		for i := range 50 {
			some.Observe(call(own, fmt.Sprint("c", i)))
		}
		for runs := 0; some.Stats().Waiting > 0; runs++ {
			before := some.Stats().Waiting
			if err := some.FlushSome(t.Context()); err != nil || some.Stats().Waiting >= before {
				t.Fatalf("run %d ends with %v, and %d wait after %d", runs, err, some.Stats().Waiting, before)
			}
		}
		again := newLog(db, nil)
		again.Observe(call(own, "c0")) // The same event, as after a commit whose outcome was unknown.
		flush(t, again)
		if n := count(t, db); n != 250 {
			t.Errorf("%d rows", n)
		}
		if s := l.Stats(); s.Written != 250 || s.Waiting != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

func count(t *testing.T, db *store.DB) (n int) {
	t.Helper()
	if err := db.Get(t.Context(), `SELECT COUNT(*) FROM denials`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestPrune(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		now := started
		l := newLog(db, func(c *denial.Config) {
			c.Keep, c.PerAccount, c.Queue = 24*time.Hour, 100, 10_000
			c.Now = func() time.Time { return now }
		})
		at := func(account, id string, when time.Time) {
			c := call(account, id)
			c.Start = when
			l.Observe(c)
		}
		// In no order of time: which are the newest is not which came last.
		for _, i := range rand.Perm(1300) {
			at(own, fmt.Sprint("own", i), started.Add(time.Duration(i)*time.Second))
		}
		at(other, "other", started)
		flush(t, l)
		next, err := l.Prune(t.Context())
		if err != nil || !next.After(now) {
			t.Fatalf("%v, next %v", err, next)
		}
		if n := count(t, db); n != 101 {
			t.Errorf("%d rows", n)
		}
		for id, n := range map[string]int{"own1299": 1, "own1200": 1, "own1199": 0, "own0": 0, "other": 1} {
			if found := find(t, l, "", id); len(found) != n {
				t.Errorf("%s: %d", id, len(found))
			}
		}
		now = started.Add(24*time.Hour + 1250*time.Second)
		if _, err := l.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		for id, n := range map[string]int{"own1299": 1, "own1251": 1, "own1250": 0, "other": 0} {
			if found := find(t, l, "", id); len(found) != n {
				t.Errorf("a day later %s: %d", id, len(found))
			}
		}
	})
}

// Whoever may write policies cannot have them repeated without bound.
func TestLongExplanationsAreAbridged(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		var statements, values []string
		for i := range 4000 {
			statements = append(statements, fmt.Sprintf(`{"Sid":"s%d","Effect":"Allow","Action":"s%d:Get*","Resource":"arn:aws:s3:::%s","Condition":{"StringEquals":{"aws:TagKeys":"x"}}}`, i, i, strings.Repeat("r", 100)))
			values = append(values, fmt.Sprint("value", i))
		}
		statements = append(statements, `{"Sid":"Decides","Effect":"Deny","Action":"secretsmanager:*","Resource":"*"}`)
		doc, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		c := call(own, "long")
		e := c.Decisions[0].Evidence.(*auth.Evidence)
		e.Request.Context.SetMany("aws:TagKeys", values)
		e.Policies.Identity = []policy.Source{{ID: "long", Version: "7", Doc: doc}}
		e.Decision = policy.Evaluate(&e.Request, &e.Policies)
		l := newLog(db, nil)
		l.Observe(c)
		flush(t, l)
		var packed []byte
		if err := db.Get(t.Context(), `SELECT explanation FROM denials`).Scan(&packed); err != nil {
			t.Fatal(err)
		}
		if len(packed) > 64<<10 {
			t.Errorf("%d bytes", len(packed))
		}
		d := find(t, l, own, "long")[0]
		text := d.Text(d.Explanation)
		if !strings.Contains(text, `statement 4001 "Decides" (Deny), line 1: matches`) || !strings.Contains(text, "long (7)") ||
			!strings.Contains(text, "4000 statements that do not match") || strings.Contains(text, "value999") || len(text) > 10_000 {
			t.Errorf("%d bytes: %.2000s", len(text), text)
		}
	})
}

// A damaged row is an error, not a denial.
func TestDamagedRow(t *testing.T) {
	for _, packed := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte{0x78, 0x9c}, 9)} {
		if d, err := denial.Unpack(packed); err == nil {
			t.Errorf("%x is %v", packed, d)
		}
	}
}
