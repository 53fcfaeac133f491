package iam

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/store"
)

// Sealer keeps access-key secrets: the keyring.
type Sealer interface {
	Seal(purpose string, aad, plaintext []byte) ([]byte, error)
	Open(purpose string, aad, sealed []byte) ([]byte, error)
}

// sealPurpose separates access-key secrets from all else the keyring seals.
const sealPurpose = "iam.access-key"

// sealContext binds a sealed secret to its account and key id, so that a row
// moved to another key does not open.
func sealContext(account, keyID string) []byte { return []byte(account + "/" + keyID) }

// Directory answers auth's question who an access key belongs to and what its
// holder may do. It needs only the store and the keyring, so it exists before
// auth does.
type Directory struct {
	db        *store.DB
	keys      Sealer
	documents documents
	uses      useLog
}

// NewDirectory makes the look-up side of IAM.
func NewDirectory(db *store.DB, keys Sealer) *Directory { return &Directory{db: db, keys: keys} }

// Identity loads a long-term access key's holder with the secret opened and the
// policies compiled. Inactive keys are unknown (spec iam-sts.md 3.4); expired ones
// are returned, since their holder may be told so.
func (d *Directory) Identity(ctx context.Context, keyID string) (*auth.Identity, error) {
	account, ok := aws.AccessKeyAccount(keyID)
	if !ok {
		return nil, auth.ErrUnknownKey
	}
	var k accessKey
	var e entity
	err := d.db.Read(ctx, func(tx store.Tx) (err error) {
		if k, err = getAccessKey(tx, account, keyID); err != nil || k.UserID == "" {
			return err
		}
		e, err = loadEntity(tx, account, k.UserID)
		return err
	})
	if errors.Is(err, store.ErrNoRows) || err == nil && !k.Active {
		return nil, auth.ErrUnknownKey
	}
	if err != nil {
		return nil, fmt.Errorf("load access key: %w", err)
	}
	secret, err := d.keys.Open(sealPurpose, sealContext(account, keyID), k.Sealed)
	if err != nil {
		return nil, fmt.Errorf("open secret of access key %s: %w", keyID, err)
	}
	defer clear(secret)
	id := rootIdentity(account)
	if k.UserID != "" {
		if id, err = d.identity(&e); err != nil {
			return nil, err
		}
	}
	id.Secret, id.Expires, id.Principal.AccessKeyID = string(secret), k.ExpiresAt, keyID
	return id, nil
}

// Entity loads a user or role by its unique id, or the root user by the
// account's.
func (d *Directory) Entity(ctx context.Context, account, uniqueID string) (*auth.Identity, error) {
	if uniqueID == account {
		return rootIdentity(account), nil
	}
	var e entity
	err := d.db.Read(ctx, func(tx store.Tx) (err error) {
		e, err = loadEntity(tx, account, uniqueID)
		return err
	})
	if errors.Is(err, store.ErrNoRows) {
		return nil, auth.ErrUnknownKey
	}
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", uniqueID, err)
	}
	return d.identity(&e)
}

// Role returns the role that an ARN names, as it is now, or auth.ErrUnknownKey.
// It is one statement; the compiled trust policy is kept by its text.
func (d *Directory) Role(ctx context.Context, arn string) (*auth.Role, error) {
	account, kind, name, ok := entityOfARN(arn)
	if !ok || kind != roleKind {
		return nil, auth.ErrUnknownKey
	}
	var r role
	err := d.db.Read(ctx, func(tx store.Tx) (err error) {
		r, err = getRole(tx, account, name)
		return err
	})
	if errors.Is(err, store.ErrNoRows) || err == nil && r.arn() != arn {
		return nil, auth.ErrUnknownKey
	}
	if err != nil {
		return nil, fmt.Errorf("load role: %w", err)
	}
	trust, err := d.source(&boundPolicy{arn + "/trust-policy", strconv.FormatInt(r.TrustVersion, 10), r.Trust})
	if err != nil {
		return nil, err
	}
	trust.Kind = policy.KindTrust
	return &auth.Role{
		Account: r.Account, ID: r.ID, Name: r.Name, ARN: arn, Trust: &trust, MaxSession: time.Duration(r.MaxSession) * time.Second, Tags: r.Tags,
		SessionsAfter: r.SessionsAfter,
	}, nil
}

// ManagedPolicy returns one version of a managed policy ("" = the one in force)
// that exists for account, compiled; auth.ErrUnknownKey when there is none.
func (d *Directory) ManagedPolicy(ctx context.Context, account, arn, version string) (src policy.Source, err error) {
	var p boundPolicy
	err = d.db.Read(ctx, func(tx store.Tx) (err error) {
		p, err = loadManaged(tx, account, arn, version)
		return err
	})
	if errors.Is(err, store.ErrNoRows) {
		return src, auth.ErrUnknownKey
	}
	if err != nil {
		return src, fmt.Errorf("load policy: %w", err)
	}
	return d.source(&p)
}

func rootIdentity(account string) *auth.Identity {
	return &auth.Identity{Principal: &aws.Principal{Type: aws.PrincipalRoot, Account: account, ARN: aws.RootARN(account), UserID: account}}
}

// entity is a user or a role with everything that decides about it.
type entity struct {
	user     *user
	role     *role
	policies []boundPolicy
	boundary *boundPolicy
}

// boundPolicy is a policy's text with the names it has in a decision.
type boundPolicy struct{ id, version, document string }

// loadEntity reads a user or role by its unique id, in a number of statements that
// does not grow with its groups and policies: each change of the account makes
// every identity in use be read anew.
func loadEntity(tx store.Tx, account, id string) (e entity, err error) {
	boundary := ""
	var groups []group
	if strings.HasPrefix(id, roleIDPrefix) {
		r, err := getRoleByID(tx, account, id)
		if err != nil {
			return e, err
		}
		e.role, boundary = &r, r.Boundary
	} else {
		u, err := getUserByID(tx, account, id)
		if err != nil {
			return e, err
		}
		e.user, boundary = &u, u.Boundary
		if groups, err = groupsOf(tx, account, id); err != nil {
			return e, err
		}
	}
	if e.policies, err = entityPolicies(tx, e.holder(), groups...); err != nil {
		return e, err
	}
	if boundary != "" {
		p, err := loadManaged(tx, account, boundary, "")
		if err != nil {
			return e, err
		}
		e.boundary = &p
	}
	return e, nil
}

func (e *entity) holder() holder {
	if e.role != nil {
		return e.role.holder()
	}
	return e.user.holder()
}

// entityPolicies reads what is embedded in and attached to an entity and, if it is
// a user, its groups.
func entityPolicies(tx store.Tx, h holder, groups ...group) ([]boundPolicy, error) {
	inline, err := inlineInForce(tx, h.account, h.id)
	if err != nil {
		return nil, err
	}
	attached, err := attachedInForce(tx, h.account, h.id)
	if err != nil {
		return nil, err
	}
	var out []boundPolicy
	add := func(id, name string) {
		for _, p := range inline[id] {
			out = append(out, boundPolicy{"inline/" + name + "/" + p.Name, strconv.FormatInt(p.Version, 10), p.Document})
		}
		out = append(out, attached[id]...)
	}
	if h.kind == groupKind {
		add(h.id, "group/"+h.name)
	} else {
		add(h.id, h.name)
	}
	for i := range groups {
		add(groups[i].ID, "group/"+groups[i].Name)
	}
	return out, nil
}

// loadManaged reads a version of a managed policy, "" for the one in force.
func loadManaged(tx store.Tx, account, arn, version string) (boundPolicy, error) {
	p, err := findPolicy(tx, account, arn)
	if err != nil {
		return boundPolicy{}, err
	}
	number := p.DefaultVersion
	if version != "" {
		number = versionNumber(version)
	}
	v, err := findPolicyVersion(tx, &p, number)
	return boundPolicy{arn, versionID(number), v.Document}, err
}

// identity makes auth's view of an entity.
func (d *Directory) identity(e *entity) (*auth.Identity, error) {
	var id auth.Identity
	if r := e.role; r != nil {
		// The role itself; a session of it has an ARN and a user id of its own.
		id.Principal = &aws.Principal{
			Type: aws.PrincipalAssumedRole, Account: r.Account, ARN: r.arn(), UserID: r.ID, EntityID: r.ID, RoleARN: r.arn(), Tags: r.Tags,
		}
		id.SessionsAfter = r.SessionsAfter
	} else {
		u := e.user
		id.Principal = &aws.Principal{
			Type: aws.PrincipalUser, Account: u.Account, ARN: u.arn(), UserID: u.ID, EntityID: u.ID, UserName: u.Name, Tags: u.Tags,
		}
		id.SessionsAfter = u.SessionsAfter
	}
	for i := range e.policies {
		src, err := d.source(&e.policies[i])
		if err != nil {
			return nil, err
		}
		id.Policies.Identity = append(id.Policies.Identity, src)
	}
	if e.boundary != nil {
		src, err := d.source(e.boundary)
		if err != nil {
			return nil, err
		}
		id.Policies.Boundary = &src
	}
	return &id, nil
}

// source compiles a stored policy. Every text was checked when it was put, so one
// that does not parse is damage, and leaving it out could drop a Deny: the caller
// is refused instead.
func (d *Directory) source(p *boundPolicy) (policy.Source, error) {
	doc, err := d.documents.compile(p.document)
	if err != nil {
		return policy.Source{}, fmt.Errorf("policy %s: %w", p.id, err)
	}
	return policy.Source{ID: p.id, Version: p.version, Doc: doc}, nil
}

// PrincipalExists tells slices whether a policy may name arn: an account of
// this deployment, a user or role of one, or a session of such a role.
func (d *Directory) PrincipalExists(ctx context.Context, arn string) (bool, error) {
	if aws.ValidAccountID(arn) {
		return d.accountExists(ctx, arn)
	}
	a, err := aws.ParseARN(arn)
	if err != nil || a.Partition != aws.Partition || a.Region != "" || !aws.ValidAccountID(a.Account) {
		return false, nil
	}
	if a.Service == "iam" && a.Resource == "root" {
		return d.accountExists(ctx, a.Account)
	}
	if a.Service == "sts" {
		return d.sessionIssuerExists(ctx, a)
	}
	id, err := d.PrincipalID(ctx, arn)
	return id != "", err
}

// sessionIssuerExists says whether a session's ARN can belong to anybody: a role's
// session names the role without its path, a federated user only an account.
func (d *Directory) sessionIssuerExists(ctx context.Context, a aws.ARN) (bool, error) {
	kind, rest, _ := strings.Cut(a.Resource, "/")
	if kind == "federated-user" {
		return d.accountExists(ctx, a.Account)
	}
	name, session, _ := strings.Cut(rest, "/")
	if kind != "assumed-role" || !validName(name, maxRoleName) || !validName(session, maxSessionName) {
		return false, nil
	}
	var r role
	err := d.db.Read(ctx, func(tx store.Tx) (err error) {
		r, err = getRole(tx, a.Account, name)
		return err
	})
	if errors.Is(err, store.ErrNoRows) {
		return false, nil
	}
	return r.Name == name, err
}

// PrincipalID returns the unique id of the user or role that arn names, by which
// policies are stored: "" when there is none.
func (d *Directory) PrincipalID(ctx context.Context, arn string) (id string, err error) {
	account, kind, name, ok := entityOfARN(arn)
	if !ok || kind == groupKind {
		return "", nil // a group is never a principal
	}
	var h holder
	err = d.db.Read(ctx, func(tx store.Tx) (err error) {
		h, err = findHolder(tx, kind, account, name)
		return err
	})
	// Principal ARNs compare with case and path (iam-policy-evaluation.md 4).
	if errors.Is(err, store.ErrNoRows) || err == nil && h.arn() != arn {
		return "", nil
	}
	return h.id, err
}

// entityOfARN reads the ARN of a user, group or role. A policy may say anything
// in the place of one, NUL characters included.
func entityOfARN(arn string) (account string, k kind, name string, ok bool) {
	a, err := aws.ParseARN(arn)
	word, rest, _ := strings.Cut(a.Resource, "/")
	name = rest[strings.LastIndexByte(rest, '/')+1:]
	k = kind(word)
	if err != nil || a.Partition != aws.Partition || a.Service != "iam" || a.Region != "" || !aws.ValidAccountID(a.Account) ||
		k != userKind && k != groupKind && k != roleKind || !validName(name, maxGroupName) {
		return "", "", "", false
	}
	return a.Account, k, name, true
}

// principalARNs is PrincipalARN for many ids; those that are gone are left out.
func principalARNs(tx store.Tx, ids []string) (map[string]string, error) {
	arns := make(map[string]string, len(ids))
	for some := range slices.Chunk(ids, 200) {
		args := make([]any, len(some))
		marks := make([]string, len(some))
		for i, id := range some {
			args[i], marks[i] = id, "$"+strconv.Itoa(i+1)
		}
		in := strings.Join(marks, ", ")
		users, err := collect(tx, scanUser, `SELECT `+userColumns+` FROM iam_users WHERE id IN (`+in+`)`, args...)
		if err != nil {
			return nil, err
		}
		roles, err := collect(tx, scanRole, `SELECT `+roleColumns+` FROM iam_roles WHERE id IN (`+in+`)`, args...)
		if err != nil {
			return nil, err
		}
		for i := range users {
			arns[users[i].ID] = users[i].arn()
		}
		for i := range roles {
			arns[roles[i].ID] = roles[i].arn()
		}
	}
	return arns, nil
}

// PrincipalARN returns the ARN of the user or role with a unique id, "" when it is
// gone.
func (d *Directory) PrincipalARN(ctx context.Context, id string) (arn string, err error) {
	if strings.HasPrefix(id, roleIDPrefix) {
		var r role
		r, err = scanRole(d.db.Get(ctx, `SELECT `+roleColumns+` FROM iam_roles WHERE id = $1`, id))
		arn = r.arn()
	} else {
		var u user
		u, err = scanUser(d.db.Get(ctx, `SELECT `+userColumns+` FROM iam_users WHERE id = $1`, id))
		arn = u.arn()
	}
	if errors.Is(err, store.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return arn, nil
}

func (d *Directory) accountExists(ctx context.Context, account string) (bool, error) {
	var n int64
	err := d.db.Get(ctx, `SELECT COUNT(*) FROM accounts WHERE account = $1`, account).Scan(&n)
	return n > 0, err
}
