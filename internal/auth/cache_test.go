package auth

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
)

// shelf is a directory and its generations, by key.
type shelf struct {
	held       map[string]*Identity
	generation int64
}

func (s *shelf) Generation(context.Context, string, string, string) (int64, error) {
	return s.generation, nil
}

func (s *shelf) Identity(_ context.Context, keyID string) (*Identity, error) {
	if id := s.held[keyID]; id != nil {
		return id, nil
	}
	return nil, ErrUnknownKey
}

func (s *shelf) Entity(ctx context.Context, _, id string) (*Identity, error) {
	return s.Identity(ctx, id)
}

func (s *shelf) ManagedPolicy(context.Context, string, string, string) (policy.Source, error) {
	return policy.Source{}, ErrUnknownKey
}

// A withdrawn key's secret leaves memory with the first call that it is refused,
// and what was derived from it too; a guess costs nothing of the kind.
func TestWithdrawnKeysLeaveMemory(t *testing.T) {
	s := &shelf{held: map[string]*Identity{"AKIA1": {Principal: &aws.Principal{}}, "AIDA1": {Principal: &aws.Principal{}}}}
	var dropped []string
	c := newCache(s, s, nil, func(id string) { dropped = append(dropped, id) })
	ask := func() {
		_, _, _ = c.key(t.Context(), "111122223333", "AKIA1")
		_, _, _ = c.key(t.Context(), "111122223333", "AKIA2")
		_, _, _ = c.entity(t.Context(), "111122223333", "AIDA1")
	}
	if ask(); len(c.entries) != 2 || len(dropped) != 0 {
		t.Fatalf("%d entries, dropped %v", len(c.entries), dropped)
	}
	clear(s.held)
	s.generation++
	ask()
	ask()
	if len(c.entries) != 0 || len(dropped) != 1 || dropped[0] != "AKIA1" {
		t.Errorf("%d entries, dropped %v", len(c.entries), dropped)
	}
}

// The cache is bounded, and what is in it already needs no room.
func TestCacheIsBounded(t *testing.T) {
	s := &shelf{}
	c := newCache(s, s, nil, func(string) {})
	id := &Identity{Principal: &aws.Principal{}}
	for i := range cacheLimit + 1000 {
		_, _, _ = c.keep(fmt.Sprint(i), 1, id, nil)
	}
	if len(c.entries) != cacheLimit {
		t.Errorf("%d entries", len(c.entries))
	}
	_, _, _ = c.keep(fmt.Sprint(cacheLimit+999), 2, id, nil)
	if len(c.entries) != cacheLimit {
		t.Errorf("%d entries after one was renewed", len(c.entries))
	}
}

// Sessions count for what they hold, so that many with long policies do not take
// more memory than many without.
func TestCacheIsBoundedInBytes(t *testing.T) {
	s := &shelf{}
	c := newCache(s, s, nil, func(string) {})
	doc, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":["*"` + strings.Repeat(`,"*:*"`, 300) + `]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	id := &Identity{Principal: &aws.Principal{}, Session: &aws.Session{Policies: []aws.SessionPolicy{{Text: "x"}}}, Policies: policy.Set{Session: []policy.Source{{Doc: doc}}}}
	keep := func(i int) { _, _, _ = c.keep(fmt.Sprint(i), 1, id, nil) }
	for i := range 10_000 {
		keep(i)
	}
	if held := len(c.entries) * doc.Memory(); held < sessionLimit*cacheUnit/2 || held > sessionLimit*cacheUnit {
		t.Errorf("%d sessions hold %d MB", len(c.entries), held>>20)
	}
	for range 3 {
		keep(1) // Again and again is once.
	}
	for k := range c.entries {
		c.forget(k)
	}
	if c.weight != 0 || c.sessions != 0 {
		t.Errorf("an empty cache weighs %d, of which sessions %d", c.weight, c.sessions)
	}
}

// However many sessions somebody takes, they drop each other and nobody else.
func TestSessionsHaveTheirOwnRoom(t *testing.T) {
	s := &shelf{}
	c := newCache(s, s, nil, func(string) {})
	const users = 1000
	for i := range users {
		_, _, _ = c.keep(fmt.Sprint("user", i), 1, &Identity{Principal: &aws.Principal{}}, nil)
	}
	for i := range 3 * sessionLimit {
		_, _, _ = c.keep(fmt.Sprint("session", i), 1, &Identity{Principal: &aws.Principal{}, Session: &aws.Session{}}, nil)
	}
	if c.sessions != sessionLimit || len(c.entries) != users+sessionLimit {
		t.Errorf("%d entries, sessions weigh %d", len(c.entries), c.sessions)
	}
	for i := range users {
		if _, ok := c.entries[fmt.Sprint("user", i)]; !ok {
			t.Fatalf("user %d was dropped", i)
		}
	}
}

func (s *shelf) Known(ctx context.Context, account, region, kind string) (int64, bool) {
	v, err := s.Generation(ctx, account, region, kind)
	return v, err == nil
}
