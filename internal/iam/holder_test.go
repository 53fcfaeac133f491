package iam

import (
	"errors"
	"testing"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/pgtest"
	"github.com/strongroom/strongroom/internal/store"
)

// onStores runs a test on a service that has nothing but its store: what stands
// between a decision and its write is the store's.
func onStores(t *testing.T, test func(t *testing.T, s *Service)) {
	run := func(name string, url func(t *testing.T) string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), URL: url(t)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
			test(t, &Service{db: db})
		})
	}
	run("sqlite", func(*testing.T) string { return "" })
	run("postgresql", func(t *testing.T) string { return pgtest.Start(t) })
}

// TestMovedEntities: who was renamed or moved after the decision is not changed by
// it, since nobody decided on the ARN that it has now.
func TestMovedEntities(t *testing.T) {
	onStores(t, func(t *testing.T, s *Service) {
		const account = "111122223333"
		write := func(fn func(tx store.Tx) error) {
			t.Helper()
			if err := s.db.Maintain(t.Context(), fn); err != nil {
				t.Fatal(err)
			}
		}
		u := user{Account: account, ID: aws.NewUniqueID(userIDPrefix), Name: "bob", Path: "/"}
		g := group{Account: account, ID: aws.NewUniqueID(groupIDPrefix), Name: "team", Path: "/"}
		saved := func(u user, g group) {
			write(func(tx store.Tx) error { return errors.Join(saveUser(tx, u), saveGroup(tx, g)) })
		}
		// try is a write on what was decided on, with the code of its error.
		try := func(e bearer) string {
			ran := false
			err := s.change(t.Context(), e, func(store.Tx) error { ran = true; return nil })
			if ran != (err == nil) {
				t.Errorf("%v: ran %t", err, ran)
			}
			if refused, ok := errors.AsType[*aws.Error](err); ok {
				return refused.Code
			}
			return ""
		}
		saved(u, g)
		for _, x := range []struct {
			what string
			move func(u *user, g *group)
			code string
		}{
			{"nothing", func(*user, *group) {}, ""},
			{"a tag", func(u *user, _ *group) { u.Tags = []aws.Tag{{Key: "a", Value: "b"}} }, ""},
			{"path", func(u *user, g *group) { u.Path, g.Path = "/admins/", "/admins/" }, "ConcurrentModification"},
			{"name", func(u *user, g *group) { u.Name, g.Name = "eve", "others" }, "ConcurrentModification"},
			{"case of the name", func(u *user, g *group) { u.Name, g.Name = "Bob", "Team" }, "ConcurrentModification"},
		} {
			nowU, nowG := u, g
			x.move(&nowU, &nowG)
			saved(nowU, nowG)
			for _, e := range []bearer{u, g} {
				if got := try(e); got != x.code {
					t.Errorf("%s of a %s: %q", x.what, e.holder().kind, got)
				}
			}
			// Decided anew, it goes.
			if got := try(nowU) + try(nowG); got != "" {
				t.Errorf("%s, decided anew: %s", x.what, got)
			}
		}
		write(func(tx store.Tx) error { return deleteUser(tx, account, u.ID) })
		if got := try(u); got != "NoSuchEntity" {
			t.Errorf("gone: %q", got)
		}
	})
}
