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
// iam-sts.md 3.2).
type Quotas struct {
	UsersPerAccount    int // 5000
	GroupsPerAccount   int // 300
	RolesPerAccount    int // 1000
	PoliciesPerAccount int // 1500, the customer's own
	AccessKeysPerUser  int // 2
	PoliciesPerEntity  int // 10 managed ones attached to a user, group or role
	GroupsPerUser      int // 10
	MFADevicesPerUser  int // 8
}

func (q *Quotas) setDefaults() {
	for _, d := range []struct {
		quota *int
		value int
	}{
		{&q.UsersPerAccount, 5000}, {&q.RolesPerAccount, 1000}, {&q.PoliciesPerAccount, 1500}, {&q.AccessKeysPerUser, 2}, {&q.PoliciesPerEntity, 10},
		{&q.GroupsPerAccount, 300}, {&q.GroupsPerUser, 10}, {&q.MFADevicesPerUser, 8},
	} {
		if *d.quota == 0 {
			*d.quota = d.value
		}
	}
}

// Sizes of policies in characters, white space not counted (spec
// iam-policy-evaluation.md 1).
const (
	maxManagedPolicy = 6144
	maxTrustPolicy   = 2048
)

// inlineSize bounds all inline policies of an entity together.
func inlineSize(k kind) int {
	switch k {
	case userKind:
		return 2048
	case groupKind:
		return 5120
	}
	return 10240
}

// Config is what the operations side needs.
type Config struct {
	DB        *store.DB
	Keys      Sealer
	Auth      *auth.Service
	Directory *Directory
	Quotas    Quotas
}

// Service answers IAM's operations.
type Service struct {
	db        *store.DB
	keys      Sealer
	auth      *auth.Service
	directory *Directory
	quotas    Quotas
	hasher    hasher
}

// New makes the service.
func New(c Config) *Service {
	c.Quotas.setDefaults()
	return &Service{db: c.DB, keys: c.Keys, auth: c.Auth, directory: c.Directory, quotas: c.Quotas, hasher: newHasher()}
}

// callerOr returns the user named, or the caller's own name where the operation
// may leave it out (spec iam-sts.md 3.1): the name as it is now, since another user
// may have the one of before.
func (s *Service) callerOr(ctx context.Context, name *string) (string, error) {
	if name != nil {
		return *name, nil
	}
	if wire.CallFrom(ctx).Principal.Type != aws.PrincipalUser {
		return "", wire.Invalid(validationError("Must specify userName when calling with non-User credentials"))
	}
	id, err := s.auth.Caller(ctx)
	if err != nil {
		return "", err
	}
	return id.Principal.UserName, nil
}

func isNoSuchEntity(err error) bool {
	e, ok := errors.AsType[*aws.Error](err)
	return ok && e.Code == "NoSuchEntity"
}

func validationError(message string) *aws.Error {
	return &aws.Error{Code: "ValidationError", Message: message, Framework: true}
}

// defaultPage is the page size when MaxItems is absent.
const defaultPage = 100

// page reads the paging members of a list in the order of names: the name to
// continue behind, and how many.
func page(marker *string, maxItems *int32) (after string, limit int, err error) {
	return pageOf(marker, maxItems, func(text string) bool { return validName(text, maxPolicyName) })
}

// pageOf is page for lists in another order. A marker that the list could not have
// made is refused.
func pageOf(marker *string, maxItems *int32, valid func(string) bool) (after string, limit int, err error) {
	limit = defaultPage
	if maxItems != nil {
		limit = int(*maxItems)
	}
	if marker == nil {
		return "", limit, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(*marker)
	if err != nil || !valid(string(b)) {
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

// deref returns what p points to, or otherwise.
func deref[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// pointers points into a list.
func pointers[T any](list []T) []*T {
	out := make([]*T, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	return out
}
