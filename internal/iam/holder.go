package iam

import (
	"context"
	"errors"
	"strings"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/catalog"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// kind is one of the three sorts of entity that policies are embedded in and
// attached to, as ARNs and messages spell it.
type kind string

const (
	userKind  kind = "user"
	groupKind kind = "group"
	roleKind  kind = "role"
)

// title is the kind as the names of types and quotas spell it.
func (k kind) title() string { return strings.ToUpper(string(k[:1])) + string(k[1:]) }

// holder is what users, groups and roles have in common.
type holder struct {
	kind                    kind
	account, id, name, path string
	// boundary is the ARN of the permissions boundary, "" for none.
	boundary string
	tags     []aws.Tag
}

// bearer is a user, a group or a role, or already a holder.
type bearer interface{ holder() holder }

func (h holder) holder() holder { return h }

func (u user) holder() holder {
	return holder{kind: userKind, account: u.Account, id: u.ID, name: u.Name, path: u.Path, boundary: u.Boundary, tags: u.Tags}
}

func (g group) holder() holder {
	return holder{kind: groupKind, account: g.Account, id: g.ID, name: g.Name, path: g.Path}
}

func (r role) holder() holder {
	return holder{kind: roleKind, account: r.Account, id: r.ID, name: r.Name, path: r.Path, boundary: r.Boundary, tags: r.Tags}
}

func (h *holder) arn() string { return entityARN(h.account, string(h.kind), h.path, h.name) }

// resource is the entity as audit records list it.
func (h *holder) resource() wire.Resource {
	return wire.Resource{ARN: h.arn(), Type: "AWS::IAM::" + h.kind.title(), Account: h.account}
}

func (h *holder) missing() *aws.Error { return errNoEntity(h.kind, h.name) }

func errNoEntity(k kind, name string) *aws.Error {
	return ErrNoSuchEntity("The %s with name %s cannot be found.", k, name)
}

// findHolder reads an entity by its name.
func findHolder(tx store.Tx, k kind, account, name string) (holder, error) {
	switch k {
	case userKind:
		u, err := getUser(tx, account, name)
		return u.holder(), err
	case groupKind:
		g, err := getGroup(tx, account, name)
		return g.holder(), err
	}
	r, err := getRole(tx, account, name)
	return r.holder(), err
}

// holderByID reads an entity by its unique id, whose first letters tell its kind.
func holderByID(tx store.Tx, account, id string) (holder, error) {
	switch id[:min(len(id), 4)] {
	case userIDPrefix:
		u, err := getUserByID(tx, account, id)
		return u.holder(), err
	case groupIDPrefix:
		g, err := getGroupByID(tx, account, id)
		return g.holder(), err
	}
	r, err := getRoleByID(tx, account, id)
	return r.holder(), err
}

// request asks for an action on the entity. Where the Service Authorization
// Reference lists it, the entity's boundary is iam:PermissionsBoundary; keys may say
// another, since of a key given twice the last value counts.
func (h *holder) request(action string, keys ...auth.Key) *auth.Request {
	q := &auth.Request{Action: "iam:" + action, Resource: h.arn(), Account: h.account, Tags: h.tags}
	if h.boundary != "" {
		if a, ok := catalog.Lookup(q.Action); ok {
			if _, ok = a.Key(boundaryKey); ok {
				q.Keys = append(q.Keys, auth.Key{Name: boundaryKey, Values: []string{h.boundary}})
			}
		}
	}
	q.Keys = append(q.Keys, keys...)
	return q
}

const (
	boundaryKey  = "iam:PermissionsBoundary"
	policyARNKey = "iam:PolicyARN"
)

// authorize decides an action on an entity by its name. The path is part of the
// ARN, so it is looked up first; a missing one is decided on with the root path,
// and only a caller that may act learns that it is missing. A denial shows the
// name as it was asked for, as AWS's do ("on resource: user bob"): the ARN would
// tell that there is such an entity, and where.
func authorize[E bearer](ctx context.Context, s *Service, action string, k kind, name string,
	get func(tx store.Tx, account, name string) (E, error), keys ...auth.Key) (e E, err error) {
	call := wire.CallFrom(ctx)
	account := call.Principal.Account
	err = s.db.Read(ctx, func(tx store.Tx) error {
		e, err = get(tx, account, name)
		return err
	})
	missing := errors.Is(err, store.ErrNoRows)
	if err != nil && !missing {
		return e, err
	}
	h := e.holder()
	if missing {
		h = holder{kind: k, account: account, name: name, path: "/"}
	}
	q := h.request(action, keys...)
	q.Shown = string(k) + " " + name
	if err := s.auth.Authorize(ctx, q); err != nil {
		return e, err
	}
	if missing {
		return e, h.missing()
	}
	call.Touch(h.resource())
	return e, nil
}

func (s *Service) authorizeUser(ctx context.Context, action, name string, keys ...auth.Key) (user, error) {
	return authorize(ctx, s, action, userKind, name, getUser, keys...)
}

func (s *Service) authorizeRole(ctx context.Context, action, name string, keys ...auth.Key) (role, error) {
	return authorize(ctx, s, action, roleKind, name, getRole, keys...)
}

// authorizeHolder is for the operations that all three kinds have.
func (s *Service) authorizeHolder(ctx context.Context, action string, k kind, name string, keys ...auth.Key) (holder, error) {
	return authorize(ctx, s, action, k, name, func(tx store.Tx, account, name string) (holder, error) {
		return findHolder(tx, k, account, name)
	}, keys...)
}

// change runs an audited write on an entity that must still be the one decided
// on, under the ARN decided on, and counts a new generation of the account's IAM, so that every node decides
// anew.
func (s *Service) change(ctx context.Context, e bearer, fn func(tx store.Tx) error) error {
	return s.update(ctx, e, func(tx store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return s.db.Bump(tx, e.holder().account, "", auth.IAMGeneration)
	})
}

// update is change for what no decision rests on: nobody has to decide anew.
func (s *Service) update(ctx context.Context, e bearer, fn func(tx store.Tx) error) error {
	h := e.holder()
	err := s.db.Write(ctx, func(tx store.Tx) error {
		now, err := holderByID(tx, h.account, h.id)
		if err != nil {
			return err
		}
		if now.arn() != h.arn() {
			return errMoved()
		}
		return fn(tx)
	})
	if errors.Is(err, store.ErrNoRows) {
		return h.missing()
	}
	return err
}

// errMoved is for an entity that was renamed or moved since the decision: nobody
// decided on the ARN that it has now, and whoever calls again is decided on anew.
// AWS documents the error for users; for groups it is unconfirmed.
func errMoved() *aws.Error {
	return ErrConcurrentModification("The request was rejected because multiple requests to change this object were submitted simultaneously. Wait a few minutes and submit your request again.")
}

// authorizeCreate decides on a user or role that is not there yet. Its tags count
// as the resource's already, and need a permission of their own (IAM User Guide,
// "Tags for IAM users").
func (s *Service) authorizeCreate(ctx context.Context, h holder) error {
	if h.boundary != "" && !policyARN(h.boundary) {
		return wire.Invalid(errBadBoundary(h.boundary))
	}
	for _, action := range []string{"Create", "Tag"} {
		if action == "Tag" && len(h.tags) == 0 {
			break
		}
		q := h.request(action+h.kind.title(), auth.RequestTags(h.tags)...)
		q.Shown = q.Resource
		if err := s.auth.Authorize(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// checkBoundary refuses a boundary that does not exist.
func checkBoundary(tx store.Tx, account, arn string) error {
	if arn == "" {
		return nil
	}
	_, err := findPolicy(tx, account, arn)
	if errors.Is(err, store.ErrNoRows) {
		return ErrNoSuchEntity("Scope ARN: %s does not exist or is not attachable.", arn)
	}
	return err
}

func errBadBoundary(arn string) *aws.Error { return ErrInvalidInput("ARN %s is not valid.", arn) }
