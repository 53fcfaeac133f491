package secretsmanager_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/internal/servertest"
)

const stranger = "444455556666"

// TestCrossAccount is spec 7.5: resource policy, identity policy and, for values,
// key policy must all agree; the default key can never be used.
func TestCrossAccount(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		arn := w.createWith(t, "s", tokenA, "v")
		other := w.Account(t, stranger)
		bob := w.UserOf(t, other, "bob", servertest.Allow("*", "secretsmanager:*", "kms:*"))
		them := w.as(bob)
		refusal := func(action, reason string) string { return notAllowed(userARN(bob), action, arn, reason) }

		// The name alone is one of their own account, and nothing is there.
		fails(t, them.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("s")}, notFound, msgMissing)
		missing := arn[:len(arn)-6] + "000000"
		fails(t, them.GetSecretValue, &sm.GetSecretValueInput{SecretId: &arn}, denied, refusal("GetSecretValue", noResource))
		fails(t, them.GetSecretValue, &sm.GetSecretValueInput{SecretId: &missing}, denied, notAllowed(userARN(bob), "GetSecretValue", missing, noResource))
		fails(t, them.DeleteSecret, &sm.DeleteSecretInput{SecretId: &missing, ForceDeleteWithoutRecovery: new(true)}, denied, notAllowed(userARN(bob), "DeleteSecret", missing, noResource))

		w.putPolicy(t, "s", allowing(`{"AWS":"`+stranger+`"}`, "secretsmanager:*"))
		nobody := w.UserOf(t, other, "nobody", "")
		fails(t, w.as(nobody).DescribeSecret, &sm.DescribeSecretInput{SecretId: &arn}, denied, notAllowed(userARN(nobody), "DescribeSecret", arn, noIdentity))

		// The default key: values are out of reach, the rest works (recorded).
		partial := arn[:len(arn)-7]
		for _, id := range []string{arn, partial} {
			fails(t, them.GetSecretValue, &sm.GetSecretValueInput{SecretId: &id}, badRequest, msgDefaultKey)
			fails(t, them.PutSecretValue, &sm.PutSecretValueInput{SecretId: &id, SecretString: new("x")}, badRequest, msgDefaultKey)
			fails(t, them.UpdateSecret, &sm.UpdateSecretInput{SecretId: &id, SecretString: new("x")}, badRequest, msgDefaultKey)
			fails(t, them.UpdateSecret, &sm.UpdateSecretInput{SecretId: &id, KmsKeyId: new("alias/none")}, badRequest, msgDefaultKey)
			call(t, them.DescribeSecret, &sm.DescribeSecretInput{SecretId: &id})
			call(t, them.ListSecretVersionIds, &sm.ListSecretVersionIdsInput{SecretId: &id})
			call(t, them.TagResource, &sm.TagResourceInput{SecretId: &id, Tags: tags("a=b")})
			call(t, them.UntagResource, &sm.UntagResourceInput{SecretId: &id, TagKeys: []string{"a"}})
			call(t, them.GetResourcePolicy, &sm.GetResourcePolicyInput{SecretId: &id})
			call(t, them.PutResourcePolicy, &sm.PutResourcePolicyInput{SecretId: &id, ResourcePolicy: new(allowing(`{"AWS":"`+stranger+`"}`, "secretsmanager:*"))})
		}
		batch := call(t, them.BatchGetSecretValue, &sm.BatchGetSecretValueInput{SecretIdList: []string{arn}})
		w.wantEntry(t, batch, 0, arn, badRequest, msgDefaultKey)
		// However the default key is named.
		for _, id := range []string{"alias/aws/secretsmanager", "arn:aws:kms:us-east-1:111122223333:alias/aws/secretsmanager"} {
			call(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("s"), KmsKeyId: &id})
			fails(t, them.GetSecretValue, &sm.GetSecretValueInput{SecretId: &arn}, badRequest, msgDefaultKey)
			fails(t, them.PutSecretValue, &sm.PutSecretValueInput{SecretId: &arn, SecretString: new("x")}, badRequest, msgDefaultKey)
		}
		if l := call(t, them.ListSecrets, &sm.ListSecretsInput{}).SecretList; len(l) > 0 {
			t.Errorf("foreign secrets are listed: %v", l)
		}
		found := call(t, them.BatchGetSecretValue, &sm.BatchGetSecretValueInput{Filters: []types.Filter{{Key: types.FilterNameStringTypeName, Values: []string{"s"}}}})
		if len(found.SecretValues)+len(found.Errors) > 0 {
			t.Error("filters find foreign secrets")
		}

		// A customer key whose policy does not admit them, then one that does.
		key := w.key(t, "", "")
		call(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("s"), KmsKeyId: &key})
		fails(t, them.GetSecretValue, &sm.GetSecretValueInput{SecretId: &arn}, denied, msgKMS, "KMS key")
		fails(t, them.PutSecretValue, &sm.PutSecretValueInput{SecretId: &arn, SecretString: new("x")}, denied, msgKMS)
		call(t, w.keys(w.Admin, "").PutKeyPolicy, &kms.PutKeyPolicyInput{KeyId: &key, Policy: new(`{"Version":"2012-10-17","Statement":[` +
			`{"Effect":"Allow","Principal":{"AWS":"` + servertest.Account + `"},"Action":"kms:*","Resource":"*"},` +
			`{"Effect":"Allow","Principal":{"AWS":"` + stranger + `"},"Action":["kms:Decrypt","kms:GenerateDataKey"],"Resource":"*"}]}`)})
		if got := call(t, them.GetSecretValue, &sm.GetSecretValueInput{SecretId: &partial}); *got.SecretString != "v" || *got.ARN != arn {
			t.Errorf("foreign read: %s %s", *got.ARN, *got.SecretString)
		}
		call(t, them.PutSecretValue, &sm.PutSecretValueInput{SecretId: &arn, SecretString: new("w"), ClientRequestToken: new(tokenB)})
		batch = call(t, them.BatchGetSecretValue, &sm.BatchGetSecretValueInput{SecretIdList: []string{arn}})
		if len(batch.SecretValues) != 1 || *batch.SecretValues[0].SecretString != "w" {
			t.Errorf("foreign batch: %v", batch.Errors)
		}
		call(t, them.UpdateSecretVersionStage, &sm.UpdateSecretVersionStageInput{SecretId: &arn, VersionStage: new("x"), MoveToVersionId: new(tokenA)})
		call(t, them.DeleteSecret, &sm.DeleteSecretInput{SecretId: &arn})
		call(t, them.RestoreSecret, &sm.RestoreSecretInput{SecretId: &arn})

		// Taken back, it is closed at once.
		call(t, w.c.DeleteResourcePolicy, &sm.DeleteResourcePolicyInput{SecretId: new("s")})
		fails(t, them.GetSecretValue, &sm.GetSecretValueInput{SecretId: &arn}, denied, refusal("GetSecretValue", noResource))
	})
}

// TestForeignKeyConditions: a key that a stranger names is one of the secret's
// account, for the condition that guards it as for the deed itself.
func TestForeignKeyConditions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.Account(t, stranger)
	them := w.as(w.UserOf(t, other, "bob", servertest.Allow("*", "secretsmanager:*", "kms:*")))
	mine := w.key(t, "", "alias/app")
	arn := *call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("s"), SecretString: new("v"), KmsKeyId: &mine}).ARN
	call(t, w.keys(w.Admin, "").PutKeyPolicy, &kms.PutKeyPolicyInput{KeyId: &mine, Policy: new(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["` +
		servertest.Account + `","` + stranger + `"]},"Action":"kms:*","Resource":"*"}]}`)})
	theirs := call(t, w.keys(other, "").CreateKey, &kms.CreateKeyInput{}).KeyMetadata
	call(t, w.keys(other, "").CreateAlias, &kms.CreateAliasInput{AliasName: new("alias/app"), TargetKeyId: theirs.Arn})
	// Only with their own key: what alias/app means must not depend on who asks.
	w.putPolicy(t, "s", allowing(`{"AWS":"`+stranger+`"}`, "secretsmanager:UpdateSecret", `{"ArnEquals":{"secretsmanager:KmsKeyArn":"`+*theirs.Arn+`"}}`))
	_, err := them.UpdateSecret(t.Context(), &sm.UpdateSecretInput{SecretId: &arn, KmsKeyId: new("alias/app")})
	if !isDenied(t, err) || strings.Contains(err.Error(), msgKMS) {
		t.Errorf("a stranger put the secret under %s: %v", mine, err)
	}
	w.putPolicy(t, "s", allowing(`{"AWS":"`+stranger+`"}`, "secretsmanager:UpdateSecret", `{"ArnEquals":{"secretsmanager:KmsKeyArn":"`+mine+`"}}`))
	if _, err := them.UpdateSecret(t.Context(), &sm.UpdateSecretInput{SecretId: &arn, KmsKeyId: new("alias/app")}); err != nil {
		t.Errorf("the secret's own alias/app: %v", err)
	}
}

// TestDefaultKeyOfStrangers: a denied request makes no key in an account that it
// names, even one that does not exist.
func TestDefaultKeyOfStrangers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.Account(t, stranger)
	arn := "arn:aws:secretsmanager:us-east-1:" + stranger + ":secret:s-AbCdEf"
	fails(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: &arn, KmsKeyId: new("alias/aws/secretsmanager")}, denied,
		notAllowed("arn:aws:iam::111122223333:user/admin", "UpdateSecret", arn, noResource))
	aliases := call(t, w.keys(other, "").ListAliases, &kms.ListAliasesInput{}).Aliases
	if i := slices.IndexFunc(aliases, isDefaultAlias); i >= 0 && aliases[i].TargetKeyId != nil {
		t.Errorf("the denied request made key %s", *aliases[i].TargetKeyId)
	}
}

// TestForeignKey: a secret may rest under a key of another account that admits
// the caller; whether a key that does not is there is not told (spec 13.5).
func TestForeignKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.Account(t, stranger)
	key := *call(t, w.keys(other, "").CreateKey, &kms.CreateKeyInput{}).KeyMetadata.Arn
	missing := key[:len(key)-4] + "0000"
	for _, arn := range []string{key, missing} {
		fails(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("s"), SecretString: new("v"), KmsKeyId: &arn}, denied, msgKMS)
	}
	call(t, w.keys(other, "").PutKeyPolicy, &kms.PutKeyPolicyInput{KeyId: &key, Policy: new(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["` +
		servertest.Account + `","` + stranger + `"]},"Action":"kms:*","Resource":"*"}]}`)})
	call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("s"), SecretString: new("v"), ClientRequestToken: new(tokenA), KmsKeyId: &key})
	if got := w.keysOf(t, "s"); got[tokenA] != key {
		t.Errorf("version under %s", got[tokenA])
	}
	if got := w.get(t, "s"); got != "v" {
		t.Errorf("value %q", got)
	}
	call(t, w.keys(other, "").DisableKey, &kms.DisableKeyInput{KeyId: &key})
	fails(t, w.c.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("s")}, noDecryption,
		"Secrets Manager can't decrypt the protected secret text using the provided KMS key. "+key+" is disabled.")
}
