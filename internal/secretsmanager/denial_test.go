package secretsmanager_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/internal/secretsmanager"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

const publicRead = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`

// attempts calls every operation that is built on a secret, each in a form that
// gets as far as authorization.
var attempts = map[string]func(ctx context.Context, c *sm.Client, id string) error{
	"BatchGetSecretValue": func(ctx context.Context, c *sm.Client, id string) error {
		_, err := c.BatchGetSecretValue(ctx, &sm.BatchGetSecretValueInput{SecretIdList: []string{id}})
		return err
	},
	"CreateSecret": func(ctx context.Context, c *sm.Client, id string) error {
		_, err := c.CreateSecret(ctx, &sm.CreateSecretInput{Name: &id})
		return err
	},
	"DeleteResourcePolicy": func(ctx context.Context, c *sm.Client, id string) error {
		_, err := c.DeleteResourcePolicy(ctx, &sm.DeleteResourcePolicyInput{SecretId: &id})
		return err
	},
	"DeleteSecret": func(ctx context.Context, c *sm.Client, id string) error {
		_, err := c.DeleteSecret(ctx, &sm.DeleteSecretInput{SecretId: &id})
		return err
	},
	"DescribeSecret": func(ctx context.Context, c *sm.Client, id string) error {
		_, err := c.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: &id})
		return err
	},
	"GetRandomPassword": func(ctx context.Context, c *sm.Client, _ string) error {
		_, err := c.GetRandomPassword(ctx, &sm.GetRandomPasswordInput{})
		return err
	},
	"GetResourcePolicy": func(ctx context.Context, c *sm.Client, id string) error {
		_, err := c.GetResourcePolicy(ctx, &sm.GetResourcePolicyInput{SecretId: &id})
		return err
	},
	"GetSecretValue": func(ctx context.Context, c *sm.Client, id string) error {
		_, err := c.GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: &id})
		return err
	},
	"ListSecretVersionIds": func(ctx context.Context, c *sm.Client, id string) error {
		_, err := c.ListSecretVersionIds(ctx, &sm.ListSecretVersionIdsInput{SecretId: &id})
		return err
	},
	"ListSecrets": func(ctx context.Context, c *sm.Client, _ string) error {
		_, err := c.ListSecrets(ctx, &sm.ListSecretsInput{})
		return err
	},
	"PutResourcePolicy": func(ctx context.Context, c *sm.Client, id string) error {
		_, err := c.PutResourcePolicy(ctx, &sm.PutResourcePolicyInput{SecretId: &id, ResourcePolicy: new(publicRead)})
		return err
	},
	"PutSecretValue": func(ctx context.Context, c *sm.Client, id string) error {
		_, err := c.PutSecretValue(ctx, &sm.PutSecretValueInput{SecretId: &id, SecretString: new("x")})
		return err
	},
	"RemoveRegionsFromReplication": func(ctx context.Context, c *sm.Client, id string) error {
		_, err := c.RemoveRegionsFromReplication(ctx, &sm.RemoveRegionsFromReplicationInput{SecretId: &id, RemoveReplicaRegions: []string{"ap-south-1"}})
		return err
	},
	"ReplicateSecretToRegions": func(ctx context.Context, c *sm.Client, id string) error {
		_, err := c.ReplicateSecretToRegions(ctx, &sm.ReplicateSecretToRegionsInput{SecretId: &id, AddReplicaRegions: []types.ReplicaRegionType{{Region: new("eu-west-1")}}})
		return err
	},
	"RestoreSecret": func(ctx context.Context, c *sm.Client, id string) error {
		_, err := c.RestoreSecret(ctx, &sm.RestoreSecretInput{SecretId: &id})
		return err
	},
	"StopReplicationToReplica": func(ctx context.Context, c *sm.Client, id string) error {
		_, err := c.StopReplicationToReplica(ctx, &sm.StopReplicationToReplicaInput{SecretId: &id})
		return err
	},
	"TagResource": func(ctx context.Context, c *sm.Client, id string) error {
		_, err := c.TagResource(ctx, &sm.TagResourceInput{SecretId: &id, Tags: tags("team=a")})
		return err
	},
	"UntagResource": func(ctx context.Context, c *sm.Client, id string) error {
		_, err := c.UntagResource(ctx, &sm.UntagResourceInput{SecretId: &id, TagKeys: []string{"other"}})
		return err
	},
	"UpdateSecret": func(ctx context.Context, c *sm.Client, id string) error {
		_, err := c.UpdateSecret(ctx, &sm.UpdateSecretInput{SecretId: &id, Description: new("d")})
		return err
	},
	"UpdateSecretVersionStage": func(ctx context.Context, c *sm.Client, id string) error {
		_, err := c.UpdateSecretVersionStage(ctx, &sm.UpdateSecretVersionStageInput{SecretId: &id, VersionStage: new("x"), MoveToVersionId: new(tokenA)})
		return err
	},
	"ValidateResourcePolicy": func(ctx context.Context, c *sm.Client, id string) error {
		_, err := c.ValidateResourcePolicy(ctx, &sm.ValidateResourcePolicyInput{SecretId: &id, ResourcePolicy: new(publicRead)})
		return err
	},
}

// withoutResource are the operations whose denial names no resource (spec 1.6).
var withoutResource = map[string]bool{"BatchGetSecretValue": true, "GetRandomPassword": true, "ListSecrets": true}

func notAllowed(user, action, resource, reason string) string {
	on := ""
	if resource != "" && !withoutResource[action] {
		on = " on resource: " + resource
	}
	return "User: " + user + " is not authorized to perform: secretsmanager:" + action + on + " " + fmt.Sprintf(reason, "secretsmanager:"+action)
}

const (
	noIdentity   = "because no identity-based policy allows the %s action"
	noResource   = "because no resource-based policy allows the %s action"
	identityDeny = "with an explicit deny in an identity-based policy%.0s"
	resourceDeny = "with an explicit deny in a resource-based policy%.0s"
)

// TestDenials: the wording of spec 1.6 for every operation; the secret as the
// caller wrote it; and a denied caller never learns whether it exists.
func TestDenials(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		for _, o := range secretsmanager.API.Operations {
			if o.Built && attempts[o.Name] == nil {
				t.Errorf("%s is built and not attempted", o.Name)
			}
		}
		arn := w.createWith(t, "there", tokenA, "v")
		w.create(t, "marked", "v")
		w.mark(t, "marked")
		nobody := w.User(t, "nobody", "")
		forbidden := w.User(t, "forbidden", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"secretsmanager:*","Resource":"*"}]}`)
		ids := []string{"there", "missing", "marked", arn, arn[:len(arn)-7], arn[:len(arn)-6] + "000000", "arn:aws:secretsmanager:us-east-1:111122223333:secret:missing",
			"arn:aws:secretsmanager:eu-west-1:111122223333:secret:there"}
		for name, attempt := range attempts {
			for _, id := range ids {
				if name == "CreateSecret" && strings.HasPrefix(id, "arn:") {
					continue
				}
				errs.Want(t, name, attempt(t.Context(), w.as(nobody), id), denied, notAllowed("arn:aws:iam::111122223333:user/nobody", name, id, noIdentity))
			}
			errs.Want(t, name, attempt(t.Context(), w.as(forbidden), "there"), denied, notAllowed("arn:aws:iam::111122223333:user/forbidden", name, "there", identityDeny))
			errs.Want(t, name, attempt(t.Context(), w.as(forbidden), "missing"), denied, notAllowed("arn:aws:iam::111122223333:user/forbidden", name, "missing", identityDeny))
		}
		// Without a secret the policy of nothing is checked, so nothing is named.
		fails(t, w.as(nobody).ValidateResourcePolicy, &sm.ValidateResourcePolicyInput{ResourcePolicy: new(publicRead)}, denied,
			notAllowed("arn:aws:iam::111122223333:user/nobody", "ValidateResourcePolicy", "", noIdentity))
		// Checking a policy needs the right to put it, too (spec 7.4).
		half := w.as(w.User(t, "half", servertest.Allow("*", "secretsmanager:ValidateResourcePolicy")))
		fails(t, half.ValidateResourcePolicy, &sm.ValidateResourcePolicyInput{SecretId: new("there"), ResourcePolicy: new(publicRead)}, denied,
			notAllowed("arn:aws:iam::111122223333:user/half", "PutResourcePolicy", "there", noIdentity))
		fails(t, half.ValidateResourcePolicy, &sm.ValidateResourcePolicyInput{ResourcePolicy: new(publicRead)}, denied,
			notAllowed("arn:aws:iam::111122223333:user/half", "PutResourcePolicy", "", noIdentity))

		// With the permission, the same names are told apart.
		reader := w.as(w.User(t, "reader", servertest.Allow("*", "secretsmanager:GetSecretValue")))
		fails(t, reader.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("missing")}, notFound, msgMissing)
		fails(t, reader.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("marked")}, badRequest, msgMarked)
	})
}

// TestResourcePolicyDeny: a Deny on the secret wins over the admin's rights.
func TestResourcePolicyDeny(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	arn := w.create(t, "s", "v")
	w.User(t, "ann", "")
	call(t, w.c.PutResourcePolicy, &sm.PutResourcePolicyInput{SecretId: new("s"), ResourcePolicy: new(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::111122223333:user/admin"},"Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`)})
	fails(t, w.c.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("s")}, denied, notAllowed("arn:aws:iam::111122223333:user/admin", "GetSecretValue", "s", resourceDeny))
	fails(t, w.c.GetSecretValue, &sm.GetSecretValueInput{SecretId: &arn}, denied, notAllowed("arn:aws:iam::111122223333:user/admin", "GetSecretValue", arn, resourceDeny))
	w.describe(t, "s")
}

// TestPoliciesByName: policies name secrets with six wildcards for the random
// end, which must cover names, full and partial ARNs, there or not (spec 10.2).
func TestPoliciesByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	arn := w.create(t, "app/db", "v")
	other := w.create(t, "app/other", "v")
	client := w.as(w.User(t, "app", servertest.Allow("arn:aws:secretsmanager:us-east-1:111122223333:secret:app/db-??????", "secretsmanager:GetSecretValue")))
	for _, id := range []string{"app/db", arn, arn[:len(arn)-7]} {
		call(t, client.GetSecretValue, &sm.GetSecretValueInput{SecretId: &id})
	}
	for _, id := range []string{"app/other", other, other[:len(other)-7], "app/db2", "nope"} {
		fails(t, client.GetSecretValue, &sm.GetSecretValueInput{SecretId: &id}, denied, notAllowed("arn:aws:iam::111122223333:user/app", "GetSecretValue", id, noIdentity))
	}
	// It may know that its own secret is gone.
	call(t, w.c.DeleteSecret, &sm.DeleteSecretInput{SecretId: new("app/db"), ForceDeleteWithoutRecovery: new(true)})
	fails(t, client.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("app/db")}, notFound, msgMissing)
}

// TestDenialsTakeForceToo: deleting nothing by force succeeds for those only who
// may delete.
func TestDenialsTakeForceToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nobody := w.as(w.User(t, "nobody", ""))
	fails(t, nobody.DeleteSecret, &sm.DeleteSecretInput{SecretId: new("nope"), ForceDeleteWithoutRecovery: new(true)}, denied,
		notAllowed("arn:aws:iam::111122223333:user/nobody", "DeleteSecret", "nope", noIdentity))
}

// isDenied tells a denial from success and from failures behind it.
func isDenied(t testing.TB, err error) bool {
	t.Helper()
	if err == nil {
		return false
	}
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		t.Fatalf("not an answer: %v", err)
	}
	return api.ErrorCode() == denied
}

// userARN is the ARN of a user made by servertest.
func userARN(c server.Credentials) string { return "arn:aws:iam::" + c.Account + ":user/" + c.User }

// TestBadNames: the service's own check of characters comes before any look-up,
// for every operation on a secret (spec 2.1).
func TestBadNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, attempt := range attempts {
		if withoutResource[name] {
			continue
		}
		for _, id := range []string{"a b", "a*", "ä", "a\n", "ARN:aws:secretsmanager:us-east-1:111122223333:secret:s"} {
			errs.Want(t, name, attempt(t.Context(), w.c, id), validation, msgName)
		}
	}
}
