package secretsmanager_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/internal/catalog"
	"github.com/strongroom/strongroom/internal/secretsmanager"
	"github.com/strongroom/strongroom/internal/servertest"
)

// operatorOf is the condition operator that fits a key's type.
var operatorOf = map[string]string{
	"String": "StringEquals", "ARN": "ArnEquals", "Bool": "Bool", "Numeric": "NumericEquals", "ArrayOfString": "ForAnyValue:StringEquals",
}

// unfilled are the keys that no built operation, or a named one, can fill, with the
// reason.
var unfilled = map[string]string{
	"CreateSecret secretsmanager:resource/Type":      "the secret does not exist yet",
	"secretsmanager:resource/AllowRotationLambdaArn": "a secret has a rotation function only by RotateSecret, which is not built",
}

// TestConditionKeys goes through every condition key of every built action in
// the service's own table: a statement that asks for the value the request has
// allows it, one that asks for another does not. The calls behind a granted
// permission may fail; only the decision counts.
func TestConditionKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	arn := w.key(t, "", "alias/app")
	call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("s"), SecretString: new("v"), ClientRequestToken: new(tokenA), Type: new("SalesforceClientSecret"),
		Tags: tags("team=a"), AddReplicaRegions: []types.ReplicaRegionType{{Region: new("eu-west-1")}}})
	w.jobs()
	secret := *w.describe(t, "s").ARN
	id := new("s")

	// The full requests, in place of the short ones of attempts.
	full := map[string]func(ctx context.Context, c *sm.Client) error{
		"CreateSecret": func(ctx context.Context, c *sm.Client) error {
			_, err := c.CreateSecret(ctx, &sm.CreateSecretInput{Name: id, Description: new("about"), KmsKeyId: new("alias/app"), Type: new("SalesforceClientSecret"), Tags: tags("team=a"),
				AddReplicaRegions: []types.ReplicaRegionType{{Region: new("eu-west-1")}}, ForceOverwriteReplicaSecret: true})
			return err
		},
		"UpdateSecret": func(ctx context.Context, c *sm.Client) error {
			_, err := c.UpdateSecret(ctx, &sm.UpdateSecretInput{SecretId: id, Description: new("about"), KmsKeyId: new("alias/app"), Type: new("SalesforceClientSecret")})
			return err
		},
		"GetSecretValue": func(ctx context.Context, c *sm.Client) error {
			_, err := c.GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: id, VersionId: new(tokenA), VersionStage: new("AWSCURRENT")})
			return err
		},
		"DeleteSecret": func(ctx context.Context, c *sm.Client) error {
			_, err := c.DeleteSecret(ctx, &sm.DeleteSecretInput{SecretId: id, RecoveryWindowInDays: new(int64(9)), ForceDeleteWithoutRecovery: new(false)})
			return err
		},
		"PutResourcePolicy": func(ctx context.Context, c *sm.Client) error {
			_, err := c.PutResourcePolicy(ctx, &sm.PutResourcePolicyInput{SecretId: id, ResourcePolicy: new(publicRead), BlockPublicPolicy: new(false)})
			return err
		},
		"ReplicateSecretToRegions": func(ctx context.Context, c *sm.Client) error {
			_, err := c.ReplicateSecretToRegions(ctx, &sm.ReplicateSecretToRegionsInput{SecretId: id, AddReplicaRegions: []types.ReplicaRegionType{{Region: new("eu-west-1")}}, ForceOverwriteReplicaSecret: true})
			return err
		},
		"UpdateSecretVersionStage": func(ctx context.Context, c *sm.Client) error {
			_, err := c.UpdateSecretVersionStage(ctx, &sm.UpdateSecretVersionStageInput{SecretId: id, VersionStage: new("AWSCURRENT"), MoveToVersionId: new(tokenA)})
			return err
		},
	}
	values := map[string]string{
		"aws:RequestTag/team": "a", "aws:ResourceTag/team": "a", "secretsmanager:ResourceTag/team": "a", "aws:TagKeys": "team",
		"secretsmanager:AddReplicaRegions": "eu-west-1", "secretsmanager:BlockPublicPolicy": "false", "secretsmanager:Description": "about",
		"secretsmanager:ForceDeleteWithoutRecovery": "false", "secretsmanager:ForceOverwriteReplicaSecret": "true",
		"secretsmanager:KmsKeyArn": arn, "secretsmanager:KmsKeyId": "alias/app", "secretsmanager:Name": "s", "secretsmanager:RecoveryWindowInDays": "9",
		"secretsmanager:SecretId": secret, "secretsmanager:SecretPrimaryRegion": "us-east-1", "secretsmanager:Type": "SalesforceClientSecret",
		"secretsmanager:VersionId": tokenA, "secretsmanager:VersionStage": "AWSCURRENT", "secretsmanager:resource/Type": "SalesforceClientSecret",
	}
	another := map[string]string{"Bool": "", "Numeric": "8", "ARN": "arn:aws:kms:us-east-1:111122223333:key/other", "String": "other", "ArrayOfString": "other"}
	ann := w.as(w.User(t, "ann", ""))
	built := map[string]bool{}
	for _, o := range secretsmanager.API.Operations {
		built[o.Name] = o.Built
	}
	checked := 0
	for action := range catalog.Match("secretsmanager:*") {
		operation := action.Operation()
		if !built[operation] {
			continue
		}
		do := full[operation]
		if do == nil {
			do = func(ctx context.Context, c *sm.Client) error { return attempts[operation](ctx, c, *id) }
		}
		for k := range action.Keys() {
			key, kind := k.Name(), k.Type().String()
			name := strings.NewReplacer("${TagKey}", "team", "tag-key", "team").Replace(key)
			if k.Multi() {
				kind = "ArrayOf" + kind
			}
			value, known := values[name]
			if operation == "UntagResource" && name == "aws:TagKeys" {
				value = "other"
			}
			try := func(condition string) bool {
				t.Helper()
				w.SetPolicy(t, w.Admin, "ann", fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":"secretsmanager:%s","Resource":"*"},`+
					`{"Effect":"Allow","Action":"secretsmanager:%[1]s","Resource":"*","Condition":%s}]}`, operation, condition))
				return !isDenied(t, do(t.Context(), ann))
			}
			switch why := unfilled[key] + unfilled[operation+" "+key]; {
			case why != "":
				if !try(`{"Null":{"` + name + `":"true"}}`) {
					t.Errorf("%s: %s is filled, but %s", operation, name, why)
				}
			case !known:
				t.Errorf("%s: no value is known for %s", operation, name)
			default:
				wrong := another[kind]
				switch {
				case kind == "Bool":
					wrong = map[string]string{"true": "false", "false": "true"}[value]
				case wrong == value:
					wrong = "yet another"
				}
				if try(fmt.Sprintf(`{%q:{%q:%q}}`, operatorOf[kind], name, wrong)) {
					t.Errorf("%s is allowed although %s is not %s", operation, name, wrong)
				}
				if !try(fmt.Sprintf(`{%q:{%q:%q}}`, operatorOf[kind], name, value)) {
					t.Errorf("%s is denied although %s is %s", operation, name, value)
				}
			}
			checked++
		}
	}
	if checked < 100 {
		t.Errorf("only %d keys were checked", checked)
	}
}

// TestAbsentConditionKeys: what a request does not say is not in the context,
// the default AWSCURRENT included (spec 10.2).
func TestAbsentConditionKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createWith(t, "s", tokenA, "v")
	client := w.as(w.User(t, "ann", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*","Condition":{"StringEquals":{"secretsmanager:VersionStage":"AWSCURRENT"}}}]}`))
	fails(t, client.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("s")}, denied, notAllowed("arn:aws:iam::111122223333:user/ann", "GetSecretValue", "s", noIdentity))
	fails(t, client.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("s"), VersionId: new(tokenA)}, denied, notAllowed("arn:aws:iam::111122223333:user/ann", "GetSecretValue", "s", noIdentity))
	call(t, client.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("s"), VersionStage: new("AWSCURRENT")})
	for i, c := range []struct{ action, key string }{
		{"GetSecretValue", "secretsmanager:VersionId"}, {"GetSecretValue", "secretsmanager:VersionStage"}, {"DeleteSecret", "secretsmanager:RecoveryWindowInDays"},
		{"DeleteSecret", "secretsmanager:ForceDeleteWithoutRecovery"}, {"PutResourcePolicy", "secretsmanager:BlockPublicPolicy"},
		{"CreateSecret", "secretsmanager:Description"}, {"CreateSecret", "secretsmanager:KmsKeyId"}, {"CreateSecret", "secretsmanager:KmsKeyArn"}, {"CreateSecret", "secretsmanager:Type"},
		{"CreateSecret", "secretsmanager:AddReplicaRegions"}, {"CreateSecret", "aws:TagKeys"}, {"CreateSecret", "aws:RequestTag/team"}, {"CreateSecret", "aws:ResourceTag/team"}, {"CreateSecret", "secretsmanager:SecretId"},
		{"UpdateSecret", "secretsmanager:KmsKeyArn"}, {"UpdateSecret", "secretsmanager:KmsKeyId"}, {"UpdateSecret", "secretsmanager:Type"},
		{"GetSecretValue", "secretsmanager:resource/Type"}, {"GetSecretValue", "aws:ResourceTag/team"}, {"GetSecretValue", "secretsmanager:resource/AllowRotationLambdaArn"},
	} {
		name := fmt.Sprintf("user%d", i)
		user := w.as(w.User(t, name, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:*","Resource":"*","Condition":{"Null":{"`+c.key+`":"true"}}}]}`))
		if err := attempts[c.action](t.Context(), user, "s"); isDenied(t, err) {
			t.Errorf("%s without %s: %v", c.action, c.key, err)
		}
		if c.action == "DeleteSecret" {
			call(t, w.c.RestoreSecret, &sm.RestoreSecretInput{SecretId: new("s")})
		}
	}
}

// TestGlobalConditionKeys: the keys of the request as such are there for this
// service, and for the KMS calls it makes (spec 10.2, 13.4).
func TestGlobalConditionKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, "s", "v")
	key := w.key(t, "", "")
	call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("k"), SecretString: new("v"), KmsKeyId: &key})
	for i, c := range []struct {
		condition string
		allowed   bool
	}{
		{`{"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}}`, true},
		{`{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`, false},
		{`{"Bool":{"aws:SecureTransport":"true"}}`, true},
		{`{"StringEquals":{"aws:RequestedRegion":"us-east-1"}}`, true},
		{`{"StringEquals":{"aws:RequestedRegion":"eu-west-1"}}`, false},
		{`{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::111122223333:user/user*"}}`, true},
		{`{"StringEquals":{"aws:PrincipalAccount":"` + servertest.Account + `"}}`, true},
		{`{"Null":{"aws:SourceVpc":"false"}}`, false},
		{`{"DateLessThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}`, false},
	} {
		user := w.as(w.User(t, fmt.Sprintf("user%d", i), `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*","Condition":`+c.condition+`},`+
			`{"Effect":"Allow","Action":"kms:Decrypt","Resource":"*","Condition":{"Bool":{"aws:ViaAWSService":"true"}}}]}`))
		for _, id := range []string{"s", "k"} {
			_, err := user.GetSecretValue(t.Context(), &sm.GetSecretValueInput{SecretId: &id})
			if isDenied(t, err) == c.allowed {
				t.Errorf("%s under %s: %v", id, c.condition, err)
			}
		}
	}
}
