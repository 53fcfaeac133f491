package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/internal/servertest"
)

const policyText = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::` + servertest.Account + `:user/admin"},"Action":"secretsmanager:RotateSecret","Resource":"*"}]}`

const userPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}`

// clients talk to one running server.
type clients struct {
	*testing.T
	ctx          context.Context
	secrets, far *secretsmanager.Client // far is the other region's
	kms          *kms.Client
	iam          *iam.Client
	server       *servertest.Server
}

func newClients(t *testing.T, s *servertest.Server) *clients {
	return &clients{t, t.Context(), s.Secrets(), s.SecretsAs(s.Admin, servertest.Other), s.KMS(""), s.IAM(), s}
}

// change is an operation that changes something of its own: id names it, and
// begins with nothing that another id begins with.
type change struct {
	name string // service:Operation
	// prepare makes what the operation needs; nil = nothing.
	prepare func(c *clients, id string)
	// do performs it and returns what of the answer must be the same each time.
	// It makes one call only, so what it needs besides id comes as target.
	do func(c *clients, id, target string) (answer string, err error)
	// repeatable operations recognise a retry.
	repeatable bool
}

func (x change) service() string   { return x.name[:strings.IndexByte(x.name, ':')] }
func (x change) operation() string { return x.name[strings.IndexByte(x.name, ':')+1:] }

// state describes all that the operations of a service change about id, in the
// same words for each id: without times and random parts.
func (x change) state(c *clients, id string) string {
	c.Helper()
	var s string
	switch x.service() {
	case "secretsmanager":
		// While the near one says that it has a replica, its job decides when.
		if s = c.secretState(c.secrets, id); !strings.Contains(s, servertest.Other) {
			s += " | there: " + c.secretState(c.far, id)
		}
	case "kms":
		s = c.keyState(id)
	case "iam":
		s = c.iamState(id)
	}
	return strings.ReplaceAll(s, id, "ID")
}

// iamState describes whatever has id as its name.
func (c *clients) iamState(id string) string {
	c.Helper()
	return describe(map[string]string{
		"user":     c.userState(id),
		"role":     c.roleState(id),
		"policy":   c.policyState(id),
		"device":   c.deviceState(id),
		"group":    c.groupState(id),
		"provider": c.providerState(id),
		"login":    c.loginState(id),
		"account":  c.accountState(id),
	})
}

// token is the ClientRequestToken of a call about id.
func token(id, purpose string) *string {
	return aws.String(purpose + "-" + id + "-00000000000000000000000000000000")
}

func (c *clients) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// code is the error code of an answer, "" for none.
func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

func (c *clients) create(id string) {
	c.Helper()
	_, err := c.secrets.CreateSecret(c.ctx, &secretsmanager.CreateSecretInput{Name: &id, SecretString: aws.String("first of " + id), ClientRequestToken: token(id, "create")})
	c.must(err)
}

// replicate makes a secret with a replica that is in sync.
func (c *clients) replicate(id string) {
	c.Helper()
	c.create(id)
	_, err := c.secrets.ReplicateSecretToRegions(c.ctx, &secretsmanager.ReplicateSecretToRegionsInput{SecretId: &id, AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String(servertest.Other)}}})
	c.must(err)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		out, err := c.secrets.DescribeSecret(c.ctx, &secretsmanager.DescribeSecretInput{SecretId: &id})
		c.must(err)
		if out.ReplicationStatus[0].Status == types.StatusTypeInSync {
			return
		}
		if time.Now().After(deadline) {
			c.Fatalf("%s is not replicated: %s", id, aws.ToString(out.ReplicationStatus[0].StatusMessage))
		}
	}
}

func (c *clients) secretState(from *secretsmanager.Client, id string) string {
	c.Helper()
	d, err := from.DescribeSecret(c.ctx, &secretsmanager.DescribeSecretInput{SecretId: &id})
	if code(err) == "ResourceNotFoundException" {
		return "none"
	}
	c.must(err)
	policy, err := from.GetResourcePolicy(c.ctx, &secretsmanager.GetResourcePolicyInput{SecretId: &id})
	if code(err) != "InvalidRequestException" { // scheduled for deletion
		c.must(err)
	} else {
		policy = &secretsmanager.GetResourcePolicyOutput{}
	}
	value := "(deleted)"
	if d.DeletedDate == nil {
		v, err := from.GetSecretValue(c.ctx, &secretsmanager.GetSecretValueInput{SecretId: &id})
		c.must(err)
		value = *v.SecretString
	}
	var replicas []string
	for _, r := range d.ReplicationStatus {
		replicas = append(replicas, *r.Region)
	}
	return describe(map[string]any{
		"description": d.Description, "tags": tags(d.Tags), "stages": d.VersionIdsToStages, "deleted": d.DeletedDate != nil,
		"primary": d.PrimaryRegion, "replicas": replicas, "policy": policy.ResourcePolicy, "value": value,
	})
}

func tags(in []types.Tag) (out []string) {
	for _, t := range in {
		out = append(out, *t.Key+"="+*t.Value)
	}
	slices.Sort(out)
	return out
}

// describe prints v with sorted keys.
func describe(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // Only plain values come here.
	}
	return string(b)
}

// key finds the key that was described as id.
func (c *clients) key(id string) *string {
	c.Helper()
	pages := kms.NewListKeysPaginator(c.kms, &kms.ListKeysInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(c.ctx)
		c.must(err)
		for _, k := range page.Keys {
			d, err := c.kms.DescribeKey(c.ctx, &kms.DescribeKeyInput{KeyId: k.KeyId})
			c.must(err)
			if aws.ToString(d.KeyMetadata.Description) == id {
				return k.KeyId
			}
		}
	}
	return nil
}

func (c *clients) newKey(id string) {
	c.Helper()
	_, err := c.kms.CreateKey(c.ctx, &kms.CreateKeyInput{Description: &id})
	c.must(err)
}

func (c *clients) keyState(id string) string {
	c.Helper()
	key := c.key(id)
	if key == nil {
		return "none"
	}
	d, err := c.kms.DescribeKey(c.ctx, &kms.DescribeKeyInput{KeyId: key})
	c.must(err)
	policy, err := c.kms.GetKeyPolicy(c.ctx, &kms.GetKeyPolicyInput{KeyId: key})
	c.must(err)
	aliases, err := c.kms.ListAliases(c.ctx, &kms.ListAliasesInput{KeyId: key})
	c.must(err)
	var names []string
	for _, a := range aliases.Aliases {
		names = append(names, *a.AliasName)
	}
	_, err = c.kms.Encrypt(c.ctx, &kms.EncryptInput{KeyId: key, Plaintext: []byte("x")})
	return describe(map[string]any{"state": d.KeyMetadata.KeyState, "policy": policy.Policy, "aliases": names, "encrypts": code(err)})
}

func (c *clients) newUser(id string) {
	c.Helper()
	_, err := c.iam.CreateUser(c.ctx, &iam.CreateUserInput{UserName: &id})
	c.must(err)
}

func (c *clients) newAccessKey(id string) {
	c.Helper()
	c.newUser(id)
	_, err := c.iam.CreateAccessKey(c.ctx, &iam.CreateAccessKeyInput{UserName: &id})
	c.must(err)
}

func (c *clients) newUserPolicy(id string) {
	c.Helper()
	c.newUser(id)
	_, err := c.iam.PutUserPolicy(c.ctx, &iam.PutUserPolicyInput{UserName: &id, PolicyName: aws.String("p"), PolicyDocument: aws.String(userPolicy)})
	c.must(err)
}

// target is the id that the service gave to what prepare made, "" for none.
func (x change) target(c *clients, id string) string {
	c.Helper()
	switch x.service() {
	case "kms":
		return aws.ToString(c.key(id))
	case "iam":
		out, err := c.iam.ListAccessKeys(c.ctx, &iam.ListAccessKeysInput{UserName: &id})
		if err == nil && len(out.AccessKeyMetadata) == 1 {
			return *out.AccessKeyMetadata[0].AccessKeyId
		}
	}
	return ""
}

func (c *clients) userState(id string) string {
	c.Helper()
	user, err := c.iam.GetUser(c.ctx, &iam.GetUserInput{UserName: &id})
	if code(err) == "NoSuchEntity" {
		return "none"
	}
	c.must(err)
	keys, err := c.iam.ListAccessKeys(c.ctx, &iam.ListAccessKeysInput{UserName: &id})
	c.must(err)
	var status []string
	for _, k := range keys.AccessKeyMetadata {
		status = append(status, string(k.Status))
	}
	policies, err := c.iam.ListUserPolicies(c.ctx, &iam.ListUserPoliciesInput{UserName: &id})
	c.must(err)
	attached, err := c.iam.ListAttachedUserPolicies(c.ctx, &iam.ListAttachedUserPoliciesInput{UserName: &id})
	c.must(err)
	documents := map[string]string{}
	for _, name := range policies.PolicyNames {
		p, err := c.iam.GetUserPolicy(c.ctx, &iam.GetUserPolicyInput{UserName: &id, PolicyName: &name})
		c.must(err)
		documents[name] = *p.PolicyDocument
	}
	return describe(map[string]any{
		"path": user.User.Path, "tags": user.User.Tags, "boundary": user.User.PermissionsBoundary, "keys": status, "policies": documents,
		"attached": attached.AttachedPolicies,
	})
}

// simple makes a do from a call whose answer does not matter.
func simple[Out any](call func(c *clients, id, target string) (Out, error)) func(*clients, string, string) (string, error) {
	return func(c *clients, id, target string) (string, error) {
		_, err := call(c, id, target)
		return "", err
	}
}

func changes() []change {
	return slices.Concat(
		secretChanges(), kmsChanges(), iamChanges(), roleChanges(), policyChanges(), groupChanges(),
		credentialChanges(),
		accountChanges(),
		providerChanges(),
	)
}

func secretChanges() []change {
	far := []types.ReplicaRegionType{{Region: aws.String(servertest.Other)}}
	withPolicy := func(c *clients, id string) {
		c.create(id)
		_, err := c.secrets.PutResourcePolicy(c.ctx, &secretsmanager.PutResourcePolicyInput{SecretId: &id, ResourcePolicy: aws.String(policyText)})
		c.must(err)
	}
	withTag := func(c *clients, id string) {
		c.create(id)
		_, err := c.secrets.TagResource(c.ctx, &secretsmanager.TagResourceInput{SecretId: &id, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}})
		c.must(err)
	}
	deleted := func(c *clients, id string) {
		c.create(id)
		_, err := c.secrets.DeleteSecret(c.ctx, &secretsmanager.DeleteSecretInput{SecretId: &id})
		c.must(err)
	}
	return []change{
		{"secretsmanager:CreateSecret", nil, func(c *clients, id, target string) (string, error) {
			out, err := c.secrets.CreateSecret(c.ctx, &secretsmanager.CreateSecretInput{Name: &id, SecretString: aws.String("value"), Description: aws.String("d"),
				Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}, ClientRequestToken: token(id, "do")})
			if err != nil {
				return "", err
			}
			return *out.ARN + " " + *out.VersionId, nil
		}, true},
		{"secretsmanager:PutSecretValue", (*clients).create, func(c *clients, id, target string) (string, error) {
			out, err := c.secrets.PutSecretValue(c.ctx, &secretsmanager.PutSecretValueInput{SecretId: &id, SecretString: aws.String("second"), ClientRequestToken: token(id, "do")})
			if err != nil {
				return "", err
			}
			return fmt.Sprint(*out.ARN, *out.VersionId, out.VersionStages), nil
		}, true},
		{"secretsmanager:UpdateSecret", (*clients).create, func(c *clients, id, target string) (string, error) {
			out, err := c.secrets.UpdateSecret(c.ctx, &secretsmanager.UpdateSecretInput{SecretId: &id, SecretString: aws.String("updated"), Description: aws.String("new"), ClientRequestToken: token(id, "do")})
			if err != nil {
				return "", err
			}
			return *out.ARN + " " + *out.VersionId, nil
		}, true},
		{"secretsmanager:UpdateSecretVersionStage", (*clients).create, simple(func(c *clients, id, target string) (*secretsmanager.UpdateSecretVersionStageOutput, error) {
			return c.secrets.UpdateSecretVersionStage(c.ctx, &secretsmanager.UpdateSecretVersionStageInput{SecretId: &id, VersionStage: aws.String("MINE"), MoveToVersionId: token(id, "create")})
		}), true},
		{"secretsmanager:DeleteSecret", (*clients).create, simple(func(c *clients, id, target string) (*secretsmanager.DeleteSecretOutput, error) {
			return c.secrets.DeleteSecret(c.ctx, &secretsmanager.DeleteSecretInput{SecretId: &id})
		}), false},
		{"secretsmanager:RestoreSecret", deleted, simple(func(c *clients, id, target string) (*secretsmanager.RestoreSecretOutput, error) {
			return c.secrets.RestoreSecret(c.ctx, &secretsmanager.RestoreSecretInput{SecretId: &id})
		}), true},
		{"secretsmanager:TagResource", (*clients).create, simple(func(c *clients, id, target string) (*secretsmanager.TagResourceOutput, error) {
			return c.secrets.TagResource(c.ctx, &secretsmanager.TagResourceInput{SecretId: &id, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("1")}, {Key: aws.String("b"), Value: aws.String("2")}}})
		}), true},
		{"secretsmanager:UntagResource", withTag, simple(func(c *clients, id, target string) (*secretsmanager.UntagResourceOutput, error) {
			return c.secrets.UntagResource(c.ctx, &secretsmanager.UntagResourceInput{SecretId: &id, TagKeys: []string{"k"}})
		}), true},
		{"secretsmanager:PutResourcePolicy", (*clients).create, simple(func(c *clients, id, target string) (*secretsmanager.PutResourcePolicyOutput, error) {
			return c.secrets.PutResourcePolicy(c.ctx, &secretsmanager.PutResourcePolicyInput{SecretId: &id, ResourcePolicy: aws.String(policyText)})
		}), true},
		{"secretsmanager:DeleteResourcePolicy", withPolicy, simple(func(c *clients, id, target string) (*secretsmanager.DeleteResourcePolicyOutput, error) {
			return c.secrets.DeleteResourcePolicy(c.ctx, &secretsmanager.DeleteResourcePolicyInput{SecretId: &id})
		}), true},
		{"secretsmanager:ReplicateSecretToRegions", (*clients).create, simple(func(c *clients, id, target string) (*secretsmanager.ReplicateSecretToRegionsOutput, error) {
			return c.secrets.ReplicateSecretToRegions(c.ctx, &secretsmanager.ReplicateSecretToRegionsInput{SecretId: &id, AddReplicaRegions: far})
		}), false},
		{"secretsmanager:RemoveRegionsFromReplication", (*clients).replicate, simple(func(c *clients, id, target string) (*secretsmanager.RemoveRegionsFromReplicationOutput, error) {
			return c.secrets.RemoveRegionsFromReplication(c.ctx, &secretsmanager.RemoveRegionsFromReplicationInput{SecretId: &id, RemoveReplicaRegions: []string{servertest.Other}})
		}), false},
		{"secretsmanager:StopReplicationToReplica", (*clients).replicate, simple(func(c *clients, id, target string) (*secretsmanager.StopReplicationToReplicaOutput, error) {
			return c.far.StopReplicationToReplica(c.ctx, &secretsmanager.StopReplicationToReplicaInput{SecretId: &id})
		}), false},
	}
}

func kmsChanges() []change {
	disabled := func(c *clients, id string) {
		c.newKey(id)
		_, err := c.kms.DisableKey(c.ctx, &kms.DisableKeyInput{KeyId: c.key(id)})
		c.must(err)
	}
	doomed := func(c *clients, id string) {
		c.newKey(id)
		_, err := c.kms.ScheduleKeyDeletion(c.ctx, &kms.ScheduleKeyDeletionInput{KeyId: c.key(id), PendingWindowInDays: aws.Int32(7)})
		c.must(err)
	}
	return []change{
		{"kms:CreateKey", nil, simple(func(c *clients, id, target string) (*kms.CreateKeyOutput, error) {
			return c.kms.CreateKey(c.ctx, &kms.CreateKeyInput{Description: &id})
		}), false},
		{"kms:CreateAlias", (*clients).newKey, simple(func(c *clients, id, target string) (*kms.CreateAliasOutput, error) {
			return c.kms.CreateAlias(c.ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/" + id), TargetKeyId: &target})
		}), false},
		{"kms:DisableKey", (*clients).newKey, simple(func(c *clients, id, target string) (*kms.DisableKeyOutput, error) {
			return c.kms.DisableKey(c.ctx, &kms.DisableKeyInput{KeyId: &target})
		}), true},
		{"kms:EnableKey", disabled, simple(func(c *clients, id, target string) (*kms.EnableKeyOutput, error) {
			return c.kms.EnableKey(c.ctx, &kms.EnableKeyInput{KeyId: &target})
		}), true},
		{"kms:PutKeyPolicy", (*clients).newKey, simple(func(c *clients, id, target string) (*kms.PutKeyPolicyOutput, error) {
			return c.kms.PutKeyPolicy(c.ctx, &kms.PutKeyPolicyInput{KeyId: &target, Policy: aws.String(
				`{"Version":"2012-10-17","Statement":[{"Sid":"new","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + servertest.Account + `:root"},"Action":"kms:*","Resource":"*"}]}`)})
		}), true},
		{"kms:ScheduleKeyDeletion", (*clients).newKey, simple(func(c *clients, id, target string) (*kms.ScheduleKeyDeletionOutput, error) {
			return c.kms.ScheduleKeyDeletion(c.ctx, &kms.ScheduleKeyDeletionInput{KeyId: &target, PendingWindowInDays: aws.Int32(7)})
		}), false},
		{"kms:CancelKeyDeletion", doomed, simple(func(c *clients, id, target string) (*kms.CancelKeyDeletionOutput, error) {
			return c.kms.CancelKeyDeletion(c.ctx, &kms.CancelKeyDeletionInput{KeyId: &target})
		}), false},
	}
}

func iamChanges() []change {
	return []change{
		{"iam:CreateUser", nil, simple(func(c *clients, id, target string) (*iam.CreateUserOutput, error) {
			return c.iam.CreateUser(c.ctx, &iam.CreateUserInput{UserName: &id})
		}), false},
		{"iam:DeleteUser", (*clients).newUser, simple(func(c *clients, id, target string) (*iam.DeleteUserOutput, error) {
			return c.iam.DeleteUser(c.ctx, &iam.DeleteUserInput{UserName: &id})
		}), false},
		{"iam:CreateAccessKey", (*clients).newUser, simple(func(c *clients, id, target string) (*iam.CreateAccessKeyOutput, error) {
			return c.iam.CreateAccessKey(c.ctx, &iam.CreateAccessKeyInput{UserName: &id})
		}), false},
		{"iam:UpdateAccessKey", (*clients).newAccessKey, simple(func(c *clients, id, target string) (*iam.UpdateAccessKeyOutput, error) {
			return c.iam.UpdateAccessKey(c.ctx, &iam.UpdateAccessKeyInput{UserName: &id, AccessKeyId: &target, Status: iamtypes.StatusTypeInactive})
		}), true},
		{"iam:DeleteAccessKey", (*clients).newAccessKey, simple(func(c *clients, id, target string) (*iam.DeleteAccessKeyOutput, error) {
			return c.iam.DeleteAccessKey(c.ctx, &iam.DeleteAccessKeyInput{UserName: &id, AccessKeyId: &target})
		}), false},
		{"iam:PutUserPolicy", (*clients).newUser, simple(func(c *clients, id, target string) (*iam.PutUserPolicyOutput, error) {
			return c.iam.PutUserPolicy(c.ctx, &iam.PutUserPolicyInput{UserName: &id, PolicyName: aws.String("p"), PolicyDocument: aws.String(userPolicy)})
		}), true},
		{"iam:DeleteUserPolicy", (*clients).newUserPolicy, simple(func(c *clients, id, target string) (*iam.DeleteUserPolicyOutput, error) {
			return c.iam.DeleteUserPolicy(c.ctx, &iam.DeleteUserPolicyInput{UserName: &id, PolicyName: aws.String("p")})
		}), false},
	}
}
