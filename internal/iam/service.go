package iam

import (
	"context"
	"encoding/base64"
	"errors"
	"time"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// Quotas are the limits of IAM; the zero value means AWS's numbers (spec
// iam-sts.md 3.3).
type Quotas struct {
	UsersPerAccount   int // 5000
	AccessKeysPerUser int // 2
	InlinePolicySize  int // 2048 characters for all of a user's policies, white space not counted
}

func (q *Quotas) setDefaults() {
	if q.UsersPerAccount == 0 {
		q.UsersPerAccount = 5000
	}
	if q.AccessKeysPerUser == 0 {
		q.AccessKeysPerUser = 2
	}
	if q.InlinePolicySize == 0 {
		q.InlinePolicySize = 2048
	}
}

// Config is what the operations side needs.
type Config struct {
	DB     *store.DB
	Keys   Sealer
	Auth   *auth.Service
	Quotas Quotas
}

// Service answers IAM's operations.
type Service struct {
	db     *store.DB
	keys   Sealer
	auth   *auth.Service
	quotas Quotas
}

// New makes the service.
func New(c Config) *Service {
	c.Quotas.setDefaults()
	return &Service{db: c.DB, keys: c.Keys, auth: c.Auth, quotas: c.Quotas}
}

// authorizeUser decides an action on a user. The user's path is part of its
// ARN, so it is looked up first; a missing user is decided on with the root
// path, and only a caller that may act learns that it is missing. A denial shows
// the name as it was asked for, as AWS's do ("on resource: user bob"): the ARN
// would tell that there is such a user, and where.
func (s *Service) authorizeUser(ctx context.Context, action, name string) (user, error) {
	call := wire.CallFrom(ctx)
	account := call.Principal.Account
	u, err := s.findUser(ctx, account, name)
	missing := errors.Is(err, store.ErrNoRows)
	if err != nil && !missing {
		return u, err
	}
	if missing {
		u = user{Account: account, Name: name, Path: "/"}
	}
	if err := s.auth.Authorize(ctx, &auth.Request{
		Action: "iam:" + action, Resource: u.arn(), Shown: "user " + name, Account: account, Tags: u.Tags,
	}); err != nil {
		return u, err
	}
	if missing {
		return u, errNoUser(name)
	}
	call.Touch(u.resource())
	return u, nil
}

func (s *Service) findUser(ctx context.Context, account, name string) (u user, err error) {
	err = s.db.Read(ctx, func(tx store.Tx) error {
		u, err = getUser(tx, account, name)
		return err
	})
	return u, err
}

// change runs an audited write on a user that must still be the one decided on,
// and counts a new generation of the account's IAM, so that every node decides
// anew.
func (s *Service) change(ctx context.Context, u user, fn func(tx store.Tx) error) error {
	err := s.db.Write(ctx, func(tx store.Tx) error {
		if _, err := getUserByID(tx, u.Account, u.ID); err != nil {
			return err
		}
		if err := fn(tx); err != nil {
			return err
		}
		return s.db.Bump(tx, u.Account, "", auth.IAMGeneration)
	})
	if errors.Is(err, store.ErrNoRows) {
		return errNoUser(u.Name)
	}
	return err
}

// callerOr returns the user named, or the caller's own name where the operation
// may leave it out (spec iam-sts.md 3.1).
func callerOr(ctx context.Context, name *string) (string, error) {
	if name != nil {
		return *name, nil
	}
	p := wire.CallFrom(ctx).Principal
	if p.Type != aws.PrincipalUser {
		return "", wire.Invalid(validationError("Must specify userName when calling with non-User credentials"))
	}
	return p.UserName, nil
}

func errNoUser(name string) *aws.Error {
	return ErrNoSuchEntity("The user with name %s cannot be found.", name)
}

func validationError(message string) *aws.Error {
	return &aws.Error{Code: "ValidationError", Message: message, Framework: true}
}

// defaultPage is the page size when MaxItems is absent.
const defaultPage = 100

// page reads the paging members: the name to continue behind, and how many. A
// marker that no list of names could have made is refused.
func page(marker *string, maxItems *int32) (after string, limit int, err error) {
	limit = defaultPage
	if maxItems != nil {
		limit = int(*maxItems)
	}
	if marker == nil {
		return "", limit, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(*marker)
	if err != nil || !validName(string(b), maxPolicyName) {
		return "", 0, wire.Invalid(validationError("Invalid Marker."))
	}
	return string(b), limit, nil
}

func nextMarker(last string) *string {
	return new(base64.RawURLEncoding.EncodeToString([]byte(last)))
}

// cut applies a page to a short list that is already sorted by key.
func cut[T any](all []T, key func(T) string, after string, limit int) (items []T, marker *string) {
	start := 0
	for start < len(all) && after != "" && key(all[start]) <= after {
		start++
	}
	all = all[start:]
	if len(all) <= limit {
		return all, nil
	}
	return all[:limit], nextMarker(key(all[limit-1]))
}

func wireTime(t time.Time) *aws.Time { return aws.NewTime(t) }

// recordTime is how CloudTrail spells a time inside responseElements (spec
// secretsmanager.md 14.1).
func recordTime(t time.Time) string { return t.UTC().Format("Jan 2, 2006 3:04:05 PM") }
