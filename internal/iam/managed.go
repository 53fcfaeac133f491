package iam

import (
	"context"
	"strconv"
	"strings"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/iam/awsmanaged"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// awsAccount stands in the ARNs of AWS's own policies in the place of an account.
const awsAccount = "aws"

// findPolicy reads the managed policy that an ARN names for an account: its own,
// or one of AWS's.
func findPolicy(tx store.Tx, account, arn string) (managedPolicy, error) {
	if p, ok := awsmanaged.Get(arn); ok {
		return ofAWS(p), nil
	}
	return getPolicy(tx, account, arn)
}

// ofAWS makes one of AWS's policies look like a row. It has one version.
func ofAWS(p awsmanaged.Policy) managedPolicy {
	number := versionNumber(p.Version)
	return managedPolicy{
		Account: awsAccount, ID: p.ID, ARN: p.ARN, Name: p.Name, Path: p.Path, DefaultVersion: number, NextVersion: number + 1,
		CreatedAt: p.Created, UpdatedAt: p.Created,
	}
}

// findPolicyVersion reads a version by its number.
func findPolicyVersion(tx store.Tx, p *managedPolicy, number int64) (policyVersion, error) {
	if p.Account != awsAccount {
		return getPolicyVersion(tx, p.Account, p.ID, number)
	}
	versions, err := findPolicyVersions(tx, p)
	if err == nil && versions[0].Number != number {
		err = store.ErrNoRows
	}
	return versions[0], err
}

// findPolicyVersions lists the newest first.
func findPolicyVersions(tx store.Tx, p *managedPolicy) ([]policyVersion, error) {
	if p.Account != awsAccount {
		return listPolicyVersions(tx, p.Account, p.ID)
	}
	held, _ := awsmanaged.Get(p.ARN)
	return []policyVersion{{Number: p.DefaultVersion, Document: held.Text, CreatedAt: held.Created}}, nil
}

// versionNumber reads a version's id; no version has the number 0. The form with a
// suffix, which the model knows, has never named one.
func versionNumber(id string) int64 {
	n, err := strconv.ParseInt(strings.TrimPrefix(id, "v"), 10, 64)
	if err != nil || versionID(n) != id {
		return 0
	}
	return n
}

// authorizePolicy decides an action on a managed policy. found is false when the
// caller may act and there is none; the sentence for that differs between
// operations. A denial shows the ARN as it was asked for, with suffix behind it.
func (s *Service) authorizePolicy(ctx context.Context, action, arn, suffix string, keys ...auth.Key) (p managedPolicy, found bool, err error) {
	if !policyARN(arn) {
		return p, false, wire.Invalid(errBadARN(arn))
	}
	call := wire.CallFrom(ctx)
	account := call.Principal.Account
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		p, err = findPolicy(tx, account, arn)
		return err
	})
	if err != nil && !isMissing(err) {
		return p, false, err
	}
	found = err == nil
	if err := s.auth.Authorize(ctx, &auth.Request{
		Action: "iam:" + action, Resource: arn, Shown: "policy " + arn + suffix, Account: account, Tags: p.Tags, Keys: keys,
	}); err != nil {
		return p, false, err
	}
	if found && p.Account != awsAccount {
		call.Touch(p.resource())
	}
	return p, found, nil
}

// authorizeOwn is authorizePolicy for changes, which only the account's own
// policies allow; foreign is the sentence for all others.
func (s *Service) authorizeOwn(ctx context.Context, action, arn, suffix, foreign string, keys ...auth.Key) (managedPolicy, bool, error) {
	p, found, err := s.authorizePolicy(ctx, action, arn, suffix, keys...)
	if err != nil {
		return p, false, err
	}
	if a, err := aws.ParseARN(arn); err != nil || a.Account != wire.CallFrom(ctx).Principal.Account {
		return p, false, &aws.Error{Code: "AccessDenied", Message: foreign, Status: 403}
	}
	return p, found, nil
}

// The sentences for policies of others. That of CreatePolicyVersion and of tagging
// is taken from SetDefaultPolicyVersion's (unconfirmed).
const (
	cannotDelete        = "Cannot delete policies outside your own account."
	cannotDeleteVersion = "Cannot delete policy versions for policies outside your own account."
	cannotUpdate        = "Cannot update policies outside your own account."
)

func errBadARN(arn string) *aws.Error { return validationError("ARN " + arn + " is not valid.") }

func errPolicyNotFound(arn string) *aws.Error {
	return ErrNoSuchEntity("Policy %s was not found.", arn)
}

func errNotAttachable(arn string) *aws.Error {
	return ErrNoSuchEntity("Policy %s does not exist or is not attachable.", arn)
}

func errNoVersion(arn, id string) *aws.Error {
	return ErrNoSuchEntity("Policy %s version %s does not exist or is not attachable.", arn, id)
}

// changePolicy changes one of the account's policies, which must still be there,
// and returns it as it is then; gone is the error for one that is not.
func (s *Service) changePolicy(ctx context.Context, p managedPolicy, gone error, fn func(tx store.Tx, now *managedPolicy) error) (now managedPolicy, err error) {
	err = s.db.Write(ctx, func(tx store.Tx) error {
		now, err = getPolicy(tx, p.Account, p.ARN)
		if isMissing(err) || err == nil && now.ID != p.ID {
			return gone
		}
		if err != nil {
			return err
		}
		if err := fn(tx, &now); err != nil {
			return err
		}
		return s.db.Bump(tx, p.Account, "", auth.IAMGeneration)
	})
	return now, err
}

// CreatePolicy makes a managed policy with its first version.
func (s *Service) CreatePolicy(ctx context.Context, in *CreatePolicyInput) (*CreatePolicyOutput, error) {
	call := wire.CallFrom(ctx)
	p := managedPolicy{
		Account: call.Principal.Account, ID: aws.NewUniqueID(policyIDPrefix), Name: *in.PolicyName, Path: deref(in.Path, "/"),
		Description: deref(in.Description, ""), DefaultVersion: 1, NextVersion: 2,
	}
	p.ARN = entityARN(p.Account, "policy", p.Path, p.Name)
	var err error
	if p.Tags, err = exactTags.read(in.Tags); err != nil {
		return nil, err
	}
	for _, action := range []string{"iam:CreatePolicy", "iam:TagPolicy"} {
		if action == "iam:TagPolicy" && len(p.Tags) == 0 {
			break
		}
		if err := s.auth.Authorize(ctx, &auth.Request{
			Action: action, Resource: p.ARN, Shown: "policy " + p.Name, Account: p.Account, Tags: p.Tags, Keys: auth.RequestTags(p.Tags),
		}); err != nil {
			return nil, err
		}
	}
	call.Touch(p.resource())
	if err := checkManagedPolicy(*in.PolicyDocument); err != nil {
		return nil, err
	}
	err = s.db.Write(ctx, func(tx store.Tx) error {
		n, err := count(tx, `SELECT COUNT(*) FROM iam_policies WHERE account = $1`, p.Account)
		if err != nil {
			return err
		}
		if n >= s.quotas.PoliciesPerAccount {
			return ErrLimitExceeded("Cannot exceed quota for PoliciesPerAccount: %d", s.quotas.PoliciesPerAccount)
		}
		p.CreatedAt, p.UpdatedAt = tx.Now(), tx.Now()
		if err := insertPolicy(tx, p); err != nil {
			return err
		}
		if err := insertPolicyVersion(tx, p.Account, p.ID, policyVersion{Number: 1, Document: *in.PolicyDocument, CreatedAt: tx.Now()}); err != nil {
			return err
		}
		return s.db.Bump(tx, p.Account, "", auth.IAMGeneration)
	})
	if store.IsUnique(err) {
		return nil, ErrEntityAlreadyExists("A policy called %s already exists. Duplicate names are not allowed.", p.Name)
	}
	if err != nil {
		return nil, err
	}
	call.ResponseElements = map[string]any{"policy": map[string]any{
		"policyName": p.Name, "policyId": p.ID, "arn": p.ARN, "path": p.Path, "defaultVersionId": versionID(p.DefaultVersion),
		"attachmentCount": 0, "permissionsBoundaryUsageCount": 0, "isAttachable": true,
		"createDate": recordTime(p.CreatedAt), "updateDate": recordTime(p.UpdatedAt),
	}}
	out := wirePolicy(p, policyUse{})
	out.Description = nil // recorded: CreatePolicy leaves it out (spec iam-sts.md 3.1)
	out.Tags = wireTags(p.Tags)
	return &CreatePolicyOutput{Policy: &out}, nil
}

// checkManagedPolicy refuses what is no policy, or too long a one.
func checkManagedPolicy(text string) error {
	if err := checkIdentityPolicy(text); err != nil {
		return err
	}
	if policySize(text) > maxManagedPolicy {
		return ErrLimitExceeded("Cannot exceed quota for PolicySize: %d", maxManagedPolicy)
	}
	return nil
}

// GetPolicy describes a managed policy.
func (s *Service) GetPolicy(ctx context.Context, in *GetPolicyInput) (*GetPolicyOutput, error) {
	p, found, err := s.authorizePolicy(ctx, "GetPolicy", *in.PolicyArn, "")
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errPolicyNotFound(*in.PolicyArn)
	}
	var use policyUse
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		use, err = usesOf(tx, wire.CallFrom(ctx).Principal.Account, p.ARN)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := wirePolicy(p, use)
	// Always there, unlike in any list (spec iam-sts.md 3.1).
	out.Tags = append([]Tag{}, wireTags(p.Tags)...)
	return &GetPolicyOutput{Policy: &out}, nil
}

// DeletePolicy removes a policy that is attached to nothing and has one version.
func (s *Service) DeletePolicy(ctx context.Context, in *DeletePolicyInput) (*DeletePolicyOutput, error) {
	p, found, err := s.authorizeOwn(ctx, "DeletePolicy", *in.PolicyArn, "", cannotDelete)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errPolicyNotFound(*in.PolicyArn)
	}
	_, err = s.changePolicy(ctx, p, errPolicyNotFound(p.ARN), func(tx store.Tx, now *managedPolicy) error {
		use, err := usesOf(tx, p.Account, p.ARN)
		if err != nil {
			return err
		}
		if use.Attached+use.Boundaries > 0 {
			return ErrDeleteConflict("Cannot delete a policy attached to entities.")
		}
		versions, err := listPolicyVersions(tx, p.Account, p.ID)
		if err != nil {
			return err
		}
		if len(versions) > 1 {
			return ErrDeleteConflict("This policy has more than one version. Before you delete a policy, you must delete the policy's versions. " +
				"The default version is deleted with the policy.")
		}
		return deletePolicy(tx, p.Account, p.ID)
	})
	return &DeletePolicyOutput{}, err
}

// TagPolicy adds tags, replacing those of the same keys.
func (s *Service) TagPolicy(ctx context.Context, in *TagPolicyInput) (*TagPolicyOutput, error) {
	tags, err := exactTags.read(in.Tags)
	if err != nil {
		return nil, err
	}
	p, found, err := s.authorizeOwn(ctx, "TagPolicy", *in.PolicyArn, "", cannotUpdate, auth.RequestTags(tags)...)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errPolicyNotFound(*in.PolicyArn)
	}
	_, err = s.changePolicy(ctx, p, errPolicyNotFound(p.ARN), func(tx store.Tx, now *managedPolicy) (err error) {
		if now.Tags, err = exactTags.add(now.Tags, tags); err != nil {
			return err
		}
		return updatePolicy(tx, *now)
	})
	return &TagPolicyOutput{}, err
}

// UntagPolicy removes tags.
func (s *Service) UntagPolicy(ctx context.Context, in *UntagPolicyInput) (*UntagPolicyOutput, error) {
	p, found, err := s.authorizeOwn(ctx, "UntagPolicy", *in.PolicyArn, "", cannotUpdate, tagKeys(in.TagKeys)...)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errPolicyNotFound(*in.PolicyArn)
	}
	_, err = s.changePolicy(ctx, p, errPolicyNotFound(p.ARN), func(tx store.Tx, now *managedPolicy) error {
		now.Tags = exactTags.remove(now.Tags, in.TagKeys)
		return updatePolicy(tx, *now)
	})
	return &UntagPolicyOutput{}, err
}

// ListPolicyTags lists a policy's tags by key.
func (s *Service) ListPolicyTags(ctx context.Context, in *ListPolicyTagsInput) (*ListPolicyTagsOutput, error) {
	after, limit, err := pageOf(in.Marker, in.MaxItems, validTagMarker)
	if err != nil {
		return nil, err
	}
	p, found, err := s.authorizePolicy(ctx, "ListPolicyTags", *in.PolicyArn, "")
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errPolicyNotFound(*in.PolicyArn)
	}
	tags, marker := pageOfTags(p.Tags, after, limit)
	return &ListPolicyTagsOutput{Tags: tags, IsTruncated: new(marker != nil), Marker: marker}, nil
}

// wirePolicy leaves the tags out: only a few answers have them.
func wirePolicy(p managedPolicy, use policyUse) Policy {
	out := Policy{
		PolicyName: &p.Name, PolicyId: &p.ID, Arn: &p.ARN, Path: &p.Path, DefaultVersionId: new(versionID(p.DefaultVersion)),
		AttachmentCount: new(int32(use.Attached)), PermissionsBoundaryUsageCount: new(int32(use.Boundaries)), IsAttachable: new(true),
		CreateDate: wireTime(p.CreatedAt), UpdateDate: wireTime(p.UpdatedAt),
	}
	if p.Description != "" {
		out.Description = &p.Description
	}
	return out
}
