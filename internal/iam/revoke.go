package iam

import (
	"context"
	"errors"
	"time"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// RevokeSessions voids every session of a user or role that there is: those made
// by taking the role, and those that a user made for itself or for others. New
// ones can be made at once, so whoever is to be kept out needs its access taken
// too. It is not an AWS operation; the operator's socket calls it, inside an
// audited call. It returns the moment up to which sessions are void.
//
// The moment is a mark and not a limit: a session is void if it was made under an
// earlier one, whatever the clock of the node said that made it.
func (s *Service) RevokeSessions(ctx context.Context, account, kind, name string) (after time.Time, err error) {
	call := wire.CallFrom(ctx)
	err = s.db.Write(ctx, func(tx store.Tx) error {
		var table, id string
		var before time.Time
		switch kind {
		case "role":
			r, err := getRole(tx, account, name)
			if err != nil {
				return err
			}
			call.Resources = []wire.Resource{r.resource()}
			table, id, before = "iam_roles", r.ID, r.SessionsAfter
		case "user":
			u, err := getUser(tx, account, name)
			if err != nil {
				return err
			}
			call.Resources = []wire.Resource{u.resource()}
			table, id, before = "iam_users", u.ID, u.SessionsAfter
		default:
			return ErrInvalidInput("Sessions are of a user or a role, not of a %s.", kind)
		}
		// A clock that was set back must not make a mark that is no later.
		after = tx.Now()
		if least := before.Add(time.Microsecond); after.Before(least) {
			after = least
		}
		if _, err := tx.Exec(`UPDATE `+table+` SET sessions_after = $3 WHERE account = $1 AND id = $2`, account, id, after.UnixMicro()); err != nil {
			return err
		}
		return s.db.Bump(tx, account, "", auth.IAMGeneration)
	})
	if errors.Is(err, store.ErrNoRows) {
		return after, ErrNoSuchEntity("The %s with name %s cannot be found.", kind, name)
	}
	return after, err
}
