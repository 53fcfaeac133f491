package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/wire"
)

// errRevoked is a session that its user's or role's administrator has voided.
var errRevoked = errors.New("session was revoked")

// compose makes the identity of a session from the user or role behind it as it
// is now. Frozen are the session's own policies, tags and name; everything else
// follows the entity.
func (c *cache) compose(ctx context.Context, holder *Identity, s *aws.Session) (*Identity, error) {
	entity := holder.Principal
	p := *entity
	p.Session = s
	p.Tags = mergeTags(entity.Tags, s.Tags)
	switch s.Type {
	case aws.PrincipalAssumedRole:
		// The session's ARN names the role without its path (spec iam-sts.md 2).
		name := entity.RoleARN[strings.LastIndexByte(entity.RoleARN, '/')+1:]
		p.ARN = "arn:" + aws.Partition + ":sts::" + s.Account + ":assumed-role/" + name + "/" + s.Name
		p.UserID = entity.EntityID + ":" + s.Name
	case aws.PrincipalFederatedUser:
		p.Type = aws.PrincipalFederatedUser
		p.ARN = "arn:" + aws.Partition + ":sts::" + s.Account + ":federated-user/" + s.Name
		p.UserID = s.Account + ":" + s.Name
		p.UserARN, p.UserName = entity.ARN, ""
	}
	if p.Type != s.Type {
		// A unique id never changes what it names, so this token is damaged.
		return nil, fmt.Errorf("session of a %s held by a %s", s.Type, p.Type)
	}
	id := &Identity{Principal: &p, Session: s, Expires: s.Expires, Policies: holder.Policies}
	if entity.Type == aws.PrincipalRoot && p.Type == aws.PrincipalFederatedUser {
		id.Policies.Identity = []policy.Source{{ID: "root", Doc: everything()}}
	}
	for i := range s.Policies {
		src, err := c.sessionPolicy(ctx, s, i)
		if err != nil {
			return nil, err
		}
		id.Policies.Session = append(id.Policies.Session, src)
	}
	id.Policies.SessionPassed = len(s.Policies) > 0
	return id, nil
}

// everything is what root may do, for those whom root federates: only the policies
// passed with them limit them (GetFederationToken's documentation).
var everything = sync.OnceValue(func() *policy.Document {
	doc, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`))
	if err != nil {
		panic(err) // a constant
	}
	return doc
})

// sessionPolicy compiles one of a session's policies. A managed one whose version
// was deleted since ends the session: leaving it out could drop a Deny.
func (c *cache) sessionPolicy(ctx context.Context, s *aws.Session, i int) (policy.Source, error) {
	p := &s.Policies[i]
	if p.ARN != "" {
		return c.dir.ManagedPolicy(ctx, s.Account, p.ARN, p.Version)
	}
	doc, err := policy.Parse([]byte(p.Text))
	if err != nil {
		return policy.Source{}, fmt.Errorf("session policy: %w", err)
	}
	return policy.Source{ID: "session/" + s.Name, Doc: doc}, nil
}

// mergeTags overlays the entity's tags with the session's: keys are equal without
// regard to case, and the session's win (spec iam-sts.md 4.1).
func mergeTags(entity, session []aws.Tag) []aws.Tag {
	if len(session) == 0 {
		return entity
	}
	out := append([]aws.Tag(nil), session...)
	for _, t := range entity {
		taken := false
		for _, o := range session {
			taken = taken || aws.SameTagKey(o.Key, t.Key)
		}
		if !taken {
			out = append(out, t)
		}
	}
	return out
}

// Caller returns the identity of the call in ctx as it is now, or refuses a caller
// whose key was withdrawn since the signature was verified. It asks no policy: an
// operation that asks for no permission calls Current instead.
func (s *Service) Caller(ctx context.Context) (*Identity, error) {
	return s.holder(ctx, wire.CallFrom(ctx))
}
