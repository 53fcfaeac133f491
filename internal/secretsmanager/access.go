package secretsmanager

import (
	"context"
	"errors"
	"sync"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// resourceType is how audit records call a secret.
const resourceType = "AWS::SecretsManager::Secret"

func errNotFound() *aws.Error {
	return ErrResourceNotFound("Secrets Manager can't find the specified secret.")
}

func errMarked() *aws.Error {
	return ErrInvalidRequest("You can't perform this operation on the secret because it was marked for deletion.")
}

func errReplica() *aws.Error {
	return ErrInvalidParameter("Operation not permitted on a replica secret. Call must be made in primary secret's region.")
}

// errChanged says that what a decision was made on is no longer so; the
// operation starts again.
var errChanged = errors.New("secret changed while it was being worked on")

// errMoved says that a row is no longer the one that was read, which need not
// mean that anything decided on has changed.
var errMoved = errors.New("secret's row was changed")

// maxAttempts bounds how often an operation starts again. Each time somebody
// else's change to the same secret has been committed, so a caller that runs
// out of them competes with at least as many others.
const maxAttempts = 8

// retry runs an operation until it is not overtaken by a change to what it was
// decided on.
func retry[T any](fn func() (T, error)) (out T, err error) {
	for range maxAttempts {
		if out, err = fn(); !errors.Is(err, errChanged) {
			return out, err
		}
	}
	return out, ErrInternalServiceError("The request could not be completed because the secret keeps changing. Try again.").With(err)
}

// open finds a secret and decides whether the caller may perform action on it.
// Without permission a missing secret is denied, not missing (spec 1.6).
func (s *Service) open(ctx context.Context, action, secretID string, keys ...auth.Key) (*secret, error) {
	return s.openWith(ctx, action, secretID, func(*secret) []auth.Key { return keys })
}

// openWith is open for condition keys that depend on the secret. keys gets nil
// when it is missing.
func (s *Service) openWith(ctx context.Context, action, secretID string, keys func(*secret) []auth.Key) (*secret, error) {
	at := here(ctx)
	ref, err := resolve(secretID, at.Account, at.Region)
	if err != nil {
		return nil, err
	}
	sec, err := s.find(ctx, ref)
	if err != nil && !errors.Is(err, store.ErrNoRows) {
		return nil, err
	}
	if err := s.decide(ctx, action, ref, sec, keys(sec)); err != nil {
		return nil, err
	}
	if call := wire.CallFrom(ctx); !call.ReadOnly {
		call.ResponseElements = map[string]any{"arn": sec.arn()}
	}
	return sec, nil
}

// openWithVersion is open for an operation that needs one of the secret's
// versions, nil when there is none, and nothing newer than they are: both come
// from one statement or from the cache, must not be changed, and the context it
// returns knows the generations that came with them.
func (s *Service) openWithVersion(ctx context.Context, action, secretID, versionID string) (context.Context, *secret, *version, error) {
	at := here(ctx)
	ref, err := resolve(secretID, at.Account, at.Region)
	if err != nil {
		return ctx, nil, nil, err
	}
	ctx, sec, v, err := s.findWithVersion(ctx, ref, versionID)
	if err != nil && !errors.Is(err, store.ErrNoRows) {
		return ctx, nil, nil, err
	}
	if err := s.decide(ctx, action, ref, sec, nil); err != nil {
		return ctx, nil, nil, err
	}
	wire.CallFrom(ctx).ResponseElements = map[string]any{"arn": sec.arn()}
	return ctx, sec, v, nil
}

func (s *Service) find(ctx context.Context, ref reference) (*secret, error) {
	sec, err := scanSecret(s.db.Get(ctx, secretByName, ref.Account, ref.Region, ref.Name))
	if err == nil && ref.Suffix != "" && ref.Suffix != sec.Suffix {
		return nil, store.ErrNoRows
	}
	return sec, err
}

// decide authorises an action on sec, or on the ARN asked for when sec is nil,
// and then says that it is missing.
func (s *Service) decide(ctx context.Context, action string, ref reference, sec *secret, keys []auth.Key) error {
	if sec == nil {
		call := wire.CallFrom(ctx)
		call.Touch(wire.Resource{ARN: ref.arn(), Type: resourceType, Account: ref.Account})
		request := &auth.Request{Action: "secretsmanager:" + action, Resource: ref.arn(), Shown: ref.Given, Account: ref.Account,
			Keys: append(keys, auth.Key{Name: "secretsmanager:SecretId", Values: []string{ref.arn()}})}
		if err := s.auth.Authorize(ctx, request); err != nil {
			return err
		}
		return errNotFound()
	}
	request, err := s.request(sec, action, ref.Given, keys)
	if err != nil {
		return err
	}
	wire.CallFrom(ctx).Touch(wire.Resource{ARN: request.Resource, Type: resourceType, Account: sec.Account})
	return s.auth.Authorize(ctx, request)
}

// request is the question "may the caller do action on sec".
func (s *Service) request(sec *secret, action, shown string, keys []auth.Key) (*auth.Request, error) {
	source, err := s.policies.of(sec)
	if err != nil {
		return nil, err
	}
	arn := sec.arn()
	keys = append(keys, auth.Key{Name: "secretsmanager:SecretId", Values: []string{arn}})
	if sec.PrimaryRegion != "" {
		keys = append(keys, auth.Key{Name: "secretsmanager:SecretPrimaryRegion", Values: []string{sec.PrimaryRegion}})
	}
	if sec.Type != "" {
		keys = append(keys, auth.Key{Name: "secretsmanager:resource/Type", Values: []string{sec.Type}})
	}
	return &auth.Request{Action: "secretsmanager:" + action, Resource: arn, Shown: shown, Account: sec.Account,
		Policy: source, Keys: keys, Tags: sec.Tags}, nil
}

// live refuses a secret that was marked for deletion.
func (sec *secret) live() error {
	if !sec.DeletedAt.IsZero() {
		return errMarked()
	}
	return nil
}

// writable refuses what may not be changed: marked secrets and replicas.
func (sec *secret) writable() error {
	if err := sec.live(); err != nil {
		return err
	}
	if sec.Replica {
		return errReplica()
	}
	return nil
}

// change runs an audited write on the secret that was decided on. fn gets it as
// it is now; when what the decision rests on has moved meanwhile (policy, tags,
// state, key) the whole operation starts again.
func (s *Service) change(ctx context.Context, seen *secret, fn func(tx store.Tx, now *secret) error) error {
	return s.db.Write(ctx, func(tx store.Tx) error {
		now, err := unchanged(tx, seen)
		if err != nil {
			return err
		}
		return fn(tx, now)
	})
}

// unchanged reads a secret again, in the transaction that will change it, and
// returns errChanged if what decisions rest on is no longer as it was seen.
func unchanged(tx store.Tx, seen *secret) (*secret, error) {
	now, err := scanSecret(tx.QueryRow(secretByUID, seen.Account, seen.Region, seen.UID))
	if errors.Is(err, store.ErrNoRows) {
		return nil, errChanged
	}
	if err != nil {
		return nil, err
	}
	if now.PolicyVersion != seen.PolicyVersion || encodeTags(now.Tags) != encodeTags(seen.Tags) ||
		now.KmsKeyID != seen.KmsKeyID || now.Type != seen.Type || now.Replica != seen.Replica ||
		now.PrimaryRegion != seen.PrimaryRegion || now.DeletedAt.IsZero() != seen.DeletedAt.IsZero() {
		return nil, errChanged
	}
	return now, nil
}

// save writes a changed secret and lets its replicas follow.
func (s *Service) save(tx store.Tx, sec *secret) error {
	sec.ChangedAt = tx.Now()
	if err := saveSecret(tx, sec); err != nil {
		return err
	}
	return followed(tx, sec)
}

// saveLabels is save for a secret of which only the labels have changed since it
// was read, be that in this transaction or before it: then the row need not be
// read again, since every change moves the revision. errMoved says that there
// was one.
func (s *Service) saveLabels(tx store.Tx, sec *secret) error {
	sec.ChangedAt = tx.Now()
	if err := saveSecretLabels(tx, sec); err != nil {
		return err
	}
	return followed(tx, sec)
}

// followed wakes the replicas of a changed secret.
func followed(tx store.Tx, sec *secret) error {
	if sec.PrimaryRegion == "" || sec.Replica {
		return nil
	}
	return wakeReplicas(tx, sec)
}

// policyCache keeps compiled resource policies. A text never changes under its
// version, so nothing needs to be invalidated.
type policyCache struct {
	mu      sync.RWMutex
	sources map[policyKey]*policy.Source
}

type policyKey struct {
	uid     string
	version int64
}

// policyCacheLimit bounds the memory that compiled policies take; a full cache
// starts again.
const policyCacheLimit = 10_000

func (c *policyCache) of(sec *secret) (*policy.Source, error) {
	if sec.Policy == "" {
		return nil, nil
	}
	key := policyKey{sec.UID, sec.PolicyVersion}
	c.mu.RLock()
	source := c.sources[key]
	c.mu.RUnlock()
	if source != nil {
		return source, nil
	}
	source, err := compilePolicy(sec)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sources == nil || len(c.sources) >= policyCacheLimit {
		c.sources = make(map[policyKey]*policy.Source)
	}
	c.sources[key] = source
	return source, nil
}
