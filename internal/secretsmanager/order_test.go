package secretsmanager_test

import (
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/servertest"
)

// TestValidationOrder: of two faults in one request the earlier stage answers
// (spec 2.2): constraints, then the service's own checks of the request, then
// authorization, existence, state, content, keys.
func TestValidationOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, "s", "v")
	w.create(t, "marked", "v")
	w.mark(t, "marked")
	w.create(t, "closed", "v")
	w.putPolicy(t, "closed", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","NotAction":["secretsmanager:PutResourcePolicy","secretsmanager:DeleteResourcePolicy"],"Resource":"*"}]}`)
	closed := func(action string) string {
		return notAllowed("arn:aws:iam::111122223333:user/admin", action, "closed", resourceDeny)
	}
	const token = `"ClientRequestToken":"` + tokenA + `"`
	const short = "1 validation error detected: Value at 'secretString' failed to satisfy constraint: Member must have length greater than or equal to 1"
	for _, c := range []struct{ name, operation, body, code, message string }{
		{"constraint beats missing token", "PutSecretValue", `{"SecretId":"s","SecretString":""}`, validation, short},
		{"constraint beats bad name", "PutSecretValue", `{"SecretId":"a b","SecretString":"",` + token + `}`, validation, short},
		{"constraint beats denial", "PutSecretValue", `{"SecretId":"closed","SecretString":"",` + token + `}`, validation, short},
		{"constraint beats missing secret", "PutSecretValue", `{"SecretId":"nope","SecretString":"",` + token + `}`, validation, short},
		{"two constraints", "PutSecretValue", `{"SecretString":"",` + token + `}`, validation,
			"2 validation errors detected: Value null at 'secretId' failed to satisfy constraint: Member must not be null; Value at 'secretString' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{"missing token beats missing secret", "PutSecretValue", `{"SecretId":"nope","SecretString":"x"}`, badRequest, msgNoToken},
		{"missing token beats missing secret in update", "UpdateSecret", `{"SecretId":"nope","SecretString":"x"}`, badRequest, msgNoToken},
		{"missing token beats denial", "PutSecretValue", `{"SecretId":"closed","SecretString":"x"}`, badRequest, msgNoToken},
		{"missing token beats taken name", "CreateSecret", `{"Name":"s","SecretString":"x"}`, badRequest, msgNoToken},
		{"missing token beats both values", "CreateSecret", `{"Name":"s","SecretString":"x","SecretBinary":"eA=="}`, badRequest, msgNoToken},
		{"missing token beats both values", "PutSecretValue", `{"SecretId":"s","SecretString":"x","SecretBinary":"eA=="}`, badRequest, msgNoToken},
		{"missing token beats both values", "UpdateSecret", `{"SecretId":"s","SecretString":"x","SecretBinary":"eA=="}`, badRequest, msgNoToken},
		{"missing token beats bad name", "PutSecretValue", `{"SecretId":"a b","SecretString":"x"}`, badRequest, msgNoToken},
		{"bad name beats both values", "CreateSecret", `{"Name":"a b","SecretString":"x","SecretBinary":"eA==",` + token + `}`, validation, msgName},
		{"bad name beats both values", "PutSecretValue", `{"SecretId":"a b","SecretString":"x","SecretBinary":"eA==",` + token + `}`, validation, msgName},
		{"bad name beats both values", "UpdateSecret", `{"SecretId":"a b","SecretString":"x","SecretBinary":"eA==",` + token + `}`, validation, msgName},
		{"bad name beats neither value", "PutSecretValue", `{"SecretId":"a b",` + token + `}`, validation, msgName},
		{"bad name beats neither version", "UpdateSecretVersionStage", `{"SecretId":"a b","VersionStage":"x"}`, validation, msgName},
		{"bad name beats bad tag", "TagResource", `{"SecretId":"a b","Tags":[{"Key":"aws:x"}]}`, validation, msgName},
		{"bad name beats bad region", "ReplicateSecretToRegions", `{"SecretId":"a b","AddReplicaRegions":[{"Region":"us-east-1"}]}`, validation, msgName},
		{"bad name beats missing secret", "DescribeSecret", `{"SecretId":"a b"}`, validation, msgName},
		{"both values beat missing secret", "PutSecretValue", `{"SecretId":"nope","SecretString":"x","SecretBinary":"eA==",` + token + `}`, badParameter, msgBoth},
		{"neither value beats missing secret", "PutSecretValue", `{"SecretId":"nope",` + token + `}`, badRequest, msgNeither},
		{"neither value beats marked", "PutSecretValue", `{"SecretId":"marked",` + token + `}`, badRequest, msgNeither},
		{"both values beat taken name", "CreateSecret", `{"Name":"s","SecretString":"x","SecretBinary":"eA==",` + token + `}`, badParameter, msgBoth},
		{"bad window beats missing secret", "DeleteSecret", `{"SecretId":"nope","RecoveryWindowInDays":1}`, badParameter, msgWindow},
		{"bad window beats denial", "DeleteSecret", `{"SecretId":"closed","RecoveryWindowInDays":1}`, badParameter, msgWindow},
		{"range beats conflict", "DeleteSecret", `{"SecretId":"s","RecoveryWindowInDays":0,"ForceDeleteWithoutRecovery":true}`, badParameter, msgWindow},
		{"bad window beats marked", "DeleteSecret", `{"SecretId":"marked","RecoveryWindowInDays":1}`, badParameter, msgWindow},
		{"denial beats missing version", "GetSecretValue", `{"SecretId":"closed","VersionId":"` + tokenB + `"}`, denied, closed("GetSecretValue")},
		{"marked beats missing version", "GetSecretValue", `{"SecretId":"marked","VersionId":"` + tokenB + `"}`, badRequest, msgMarked},
		{"marked beats bad key", "UpdateSecret", `{"SecretId":"marked","KmsKeyId":"alias/none"}`, badRequest, msgMarked},
		{"marked beats bad policy", "PutResourcePolicy", `{"SecretId":"marked","ResourcePolicy":"x"}`, badRequest, msgMarked},
		{"denial beats bad key", "UpdateSecret", `{"SecretId":"closed","KmsKeyId":"alias/none"}`, denied, closed("UpdateSecret")},
		{"missing secret beats bad policy", "PutResourcePolicy", `{"SecretId":"nope","ResourcePolicy":"x"}`, notFound, msgMissing},
		{"missing secret beats bad key", "UpdateSecret", `{"SecretId":"nope","KmsKeyId":"alias/none"}`, notFound, msgMissing},
		{"taken name beats bad key", "CreateSecret", `{"Name":"s","KmsKeyId":"alias/none",` + token + `}`, exists, "The operation failed because the secret s already exists."},
		{"marked name beats bad key", "CreateSecret", `{"Name":"marked","KmsKeyId":"alias/none",` + token + `}`, badRequest,
			"You can't create this secret because a secret with this name is already scheduled for deletion."},
		{"missing secret beats bad page", "ListSecretVersionIds", `{"SecretId":"nope","NextToken":"!"}`, notFound, msgMissing},
		{"bad syntax beats broad access", "PutResourcePolicy", `{"SecretId":"s","BlockPublicPolicy":true,"ResourcePolicy":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":\"*\"}]}"}`, badPolicy, msgSyntax},
	} {
		t.Run(c.name, func(t *testing.T) { w.rawFails(t, c.operation, c.body, c.code, c.message) })
	}
	// What is decided on the request alone is told to those without rights, too.
	nobody := w.User(t, "nobody", servertest.Deny("*", "*"))
	a := w.rawAs(t, nobody, "", "PutSecretValue", `{"SecretId":"nope","SecretString":"x"}`)
	if !strings.Contains(a.Body, msgNoToken) {
		t.Errorf("missing token without rights: %s", a.Body)
	}
}
