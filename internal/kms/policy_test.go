package kms

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/pgtest"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// statement is a policy of one statement.
func statement(principal, action, rest string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":%s,"Action":%s,"Resource":"*"%s}]}`, principal, action, rest)
}

const rootOnly = `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"}`

func TestDefaultKeyPolicy(t *testing.T) {
	w := newWorld(t)
	admin := w.as("admin")
	id := w.newKey(admin, in{})
	out := w.must(admin, "GetKeyPolicy", in{"KeyId": id})
	const want = `{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "arn:aws:iam::111122223333:root"
    },
    "Action" : "kms:*",
    "Resource" : "*"
  } ]
}`
	if out["Policy"] != want || out["PolicyName"] != "default" {
		t.Errorf("GetKeyPolicy returns\n%v\nwant\n%v", out["Policy"], want)
	}
	list := w.must(admin, "ListKeyPolicies", in{"KeyId": id})
	if fmt.Sprint(list["PolicyNames"]) != "[default]" || list["Truncated"] != false {
		t.Errorf("ListKeyPolicies returns %v", list)
	}
}

// TestPolicyFollowsTheUserNotTheName: a user made anew under the name of a deleted
// one inherits nothing, and the policy shows the unique id of the one before (spec
// iam-policy-evaluation.md 4).
func TestPolicyFollowsTheUserNotTheName(t *testing.T) {
	w := newWorld(t)
	admin := w.as("admin")
	w.dirs.user("ann")
	first := w.dirs.principal("ann").UserID
	text := `{"Version":"2012-10-17","Statement":[` + rootOnly + `,{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111122223333:user/ann"]},"Action":"kms:Encrypt","Resource":"*"}]}`
	put, made := w.newKey(admin, in{}), w.newKey(admin, in{"Policy": text})
	w.must(admin, "PutKeyPolicy", in{"KeyId": put, "Policy": text})
	for _, id := range []string{put, made} {
		w.must(w.as("ann"), "Encrypt", in{"KeyId": id, "Plaintext": b64("x")})
		if shown := w.policy(id); !strings.Contains(shown, `"AWS" : [ "arn:aws:iam::111122223333:user/ann" ]`) {
			t.Errorf("shown is\n%s", shown)
		}
	}
	w.dirs.user("ann")
	for _, id := range []string{put, made} {
		w.fails(w.as("ann"), "Encrypt", in{"KeyId": id, "Plaintext": b64("x")}, codeAccessDenied, "*")
		if shown := w.policy(id); !strings.Contains(shown, `"AWS" : [ "`+first+`" ]`) {
			t.Errorf("shown of one that is gone is\n%s", shown)
		}
		// What is shown can be put again, and names nobody.
		w.must(admin, "PutKeyPolicy", in{"KeyId": id, "Policy": w.policy(id)})
		w.fails(w.as("ann"), "Encrypt", in{"KeyId": id, "Plaintext": b64("x")}, codeAccessDenied, "*")
	}
}

func (w *world) policy(id string) string {
	w.t.Helper()
	return w.must(w.as("admin"), "GetKeyPolicy", in{"KeyId": id})["Policy"].(string)
}

// TestPoliciesOfOlderReleases: those that were stored with ARNs are bound to the
// users of today when a server starts; whoever is gone by then stays gone.
func TestPoliciesOfOlderReleases(t *testing.T) {
	for _, engine := range []struct {
		name  string
		store func(t *testing.T) store.Config
	}{
		{"sqlite", func(t *testing.T) store.Config { return store.Config{Dir: filepath.Join(t.TempDir(), "data")} }},
		{"postgresql", func(t *testing.T) store.Config { return store.Config{URL: pgtest.Start(t)} }},
	} {
		t.Run(engine.name, func(t *testing.T) {
			w := newWorldOn(t, engine.store(t))
			admin := w.as("admin")
			w.dirs.user("ann")
			old, plain := w.newKey(admin, in{}), w.newKey(admin, in{})
			_, err := w.exec(`UPDATE kms_keys SET policy = $2 WHERE id = $1`, old,
				`{"Version":"2012-10-17","Statement":[`+rootOnly+`,{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111122223333:user/ann","arn:aws:iam::111122223333:user/gone"]},
				"Action":"kms:Encrypt","Resource":"*","Condition":{"StringLike":{"aws:PrincipalArn":"arn:aws:iam::111122223333:user/*"}}}]}`)
			check(t, err)
			encrypt := in{"KeyId": old, "Plaintext": b64("x")}
			for range 2 {
				check(t, w.svc.BindPrincipals(t.Context()))
				w.must(w.as("ann"), "Encrypt", encrypt)
			}
			events := w.rec.of("BindKeyPolicy")
			if len(events) != 1 || events[0].Extra["keyId"] != old || events[0].EventType != wire.EventServiceEvent {
				t.Errorf("events of binding are %v", events)
			}
			if shown := w.policy(old); !strings.Contains(shown, `"arn:aws:iam::111122223333:user/ann", "AIDA`) || !strings.Contains(shown, `"aws:PrincipalArn" : "arn:aws:iam::111122223333:user/*"`) {
				t.Errorf("bound policy is shown as\n%s", shown)
			}
			w.dirs.user("ann")
			w.dirs.user("gone")
			for _, name := range []string{"ann", "gone"} {
				w.fails(w.as(name), "Encrypt", encrypt, codeAccessDenied, "*")
			}
			if w.policy(plain) == "" {
				t.Error("a policy without users is gone")
			}
		})
	}
}

func TestPutKeyPolicyChecks(t *testing.T) {
	w := newWorld(t)
	w.dirs.user("keeper", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["kms:CreateKey"],"Resource":"*"}}`)
	admin := w.as("admin")
	id := w.newKey(admin, in{})
	const lockout = "The new key policy will not allow you to update the key policy in the future."
	const principals = "Policy contains a statement with one or more invalid principals."
	for _, c := range []struct{ name, policy, message string }{
		{"root", statement(`{"AWS":"arn:aws:iam::111122223333:root"}`, `"kms:*"`, ""), ""},
		{"account id", statement(`{"AWS":"111122223333"}`, `"kms:*"`, ""), ""},
		{"caller himself", statement(`{"AWS":"arn:aws:iam::111122223333:user/admin"}`, `"kms:*"`, ""), ""},
		{"older version", strings.Replace(statement(`{"AWS":"111122223333"}`, `"kms:*"`, ""), "2012-10-17", "2008-10-17", 1), ""},
		{"also a service", statement(`{"AWS":"111122223333","Service":"lambda.amazonaws.com"}`, `"kms:*"`, ""), ""},
		{"statement without Resource", `{"Version":"2012-10-17","Statement":[` + rootOnly + `,{"Effect":"Allow","Principal":"*","Action":"kms:*"}]}`, ""},
		{"somebody else", statement(`{"AWS":"arn:aws:iam::111122223333:user/nobody"}`, `"kms:*"`, ""), lockout},
		{"no right to put", statement(`{"AWS":"111122223333"}`, `"kms:Get*"`, ""), lockout},
		{"under a condition that fails", statement(`{"AWS":"111122223333"}`, `"kms:*"`, `,"Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}`), lockout},
		{"denied", `{"Version":"2012-10-17","Statement":[` + rootOnly + `,{"Effect":"Deny","Principal":"*","Action":"kms:PutKeyPolicy","Resource":"*"}]}`, lockout},
		{"user that does not exist", statement(`{"AWS":["111122223333","arn:aws:iam::111122223333:user/ghost"]}`, `"kms:*"`, ""), principals},
		{"account that does not exist", statement(`{"AWS":["111122223333","999999999999"]}`, `"kms:*"`, ""), principals},
		{"session of an account that does not exist", statement(`{"AWS":["111122223333","arn:aws:sts::999999999999:assumed-role/r/s"]}`, `"kms:*"`, ""), principals},
		{"principal with a wildcard", statement(`{"AWS":["111122223333","arn:aws:iam::111122223333:user/*"]}`, `"kms:*"`, ""), principals},
		{"group", statement(`{"AWS":["111122223333","arn:aws:iam::111122223333:group/g"]}`, `"kms:*"`, ""), principals},
		{"no principal", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}`, "*"},
		{"unknown element", `{"Version":"2012-10-17","Statement":[` + rootOnly + `],"Extra":1}`, "*"},
		{"repeated element", `{"Version":"2012-10-17","Version":"2012-10-17","Statement":[` + rootOnly + `]}`, "*"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, operation := range []string{"PutKeyPolicy", "CreateKey"} {
				input := in{"Policy": c.policy}
				if operation == "PutKeyPolicy" {
					input["KeyId"] = id
				}
				_, err := w.call(admin, operation, input)
				if c.message == "" {
					check(t, err)
					continue
				}
				wantError(t, err, "MalformedPolicyDocumentException", c.message)
			}
			if c.message == lockout {
				w.newKey(admin, in{"Policy": c.policy, "BypassPolicyLockoutSafetyCheck": true})
			}
		})
	}
	// The default policy is the account's affair, whoever creates the key.
	w.newKey(w.as("keeper"), in{})
}

func TestKeyPolicyDecides(t *testing.T) {
	w := newWorld(t)
	admin, nobody := w.as("admin"), w.as("nobody")
	id := w.newKey(admin, in{})
	arn := keyARN(accountA, id)
	put := func(policy string) {
		t.Helper()
		w.must(admin, "PutKeyPolicy", in{"KeyId": id, "Policy": policy, "BypassPolicyLockoutSafetyCheck": true})
	}
	encrypt := in{"KeyId": id, "Plaintext": b64("x")}
	user := func(name string) string { return "User: arn:aws:iam::111122223333:user/" + name }

	w.fails(nobody, "Encrypt", encrypt, codeAccessDenied, user("nobody")+" is not authorized to perform: kms:Encrypt on resource: "+arn+
		" because no identity-based policy allows the kms:Encrypt action")

	put(`{"Version":"2012-10-17","Statement":[` + rootOnly + `,{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/nobody"},"Action":"kms:Encrypt","Resource":"*"}]}`)
	w.must(nobody, "Encrypt", encrypt)

	put(`{"Version":"2012-10-17","Statement":[` + rootOnly + `,{"Effect":"Deny","Principal":"*","Action":"kms:Encrypt","Resource":"*"}]}`)
	w.fails(admin, "Encrypt", encrypt, codeAccessDenied, user("admin")+" is not authorized to perform: kms:Encrypt on resource: "+arn+
		" with an explicit deny in a resource-based policy")

	// Without a statement for the account, identity policies are worthless.
	put(statement(`{"AWS":"arn:aws:iam::111122223333:user/nobody"}`, `"kms:*"`, ""))
	w.fails(admin, "DescribeKey", in{"KeyId": id}, codeAccessDenied, user("admin")+" is not authorized to perform: kms:DescribeKey on resource: "+arn+
		" because no resource-based policy allows the kms:DescribeKey action")
	w.must(nobody, "PutKeyPolicy", in{"KeyId": id, "Policy": defaultPolicy(accountA), "BypassPolicyLockoutSafetyCheck": true})
	w.must(admin, "DescribeKey", in{"KeyId": id})
}

func TestMissingKeysAreToldToThePermittedOnly(t *testing.T) {
	w := newWorld(t)
	const absent = "1234abcd-12ab-34cd-56ef-1234567890ab"
	w.fails(w.as("nobody"), "DescribeKey", in{"KeyId": absent}, codeAccessDenied, "*")
	w.fails(w.as("nobody"), "Encrypt", in{"KeyId": "alias/x", "Plaintext": b64("x")}, codeAccessDenied, "*")
	w.fails(w.as("nobody"), "DescribeKey", in{"KeyId": "fake"}, "NotFoundException", "*")
	w.fails(w.as("nobody"), "ListKeys", in{}, codeAccessDenied, "User: arn:aws:iam::111122223333:user/nobody is not authorized to perform: kms:ListKeys on resource: * because no identity-based policy allows the kms:ListKeys action")
	w.fails(w.as("nobody"), "CreateKey", in{}, codeAccessDenied, "*")
	w.fails(w.as("nobody"), "ListAliases", in{}, codeAccessDenied, "*")
}

func TestStateIsToldToThePermittedOnly(t *testing.T) {
	w := newWorld(t)
	id := w.newKey(w.as("admin"), in{})
	w.must(w.as("admin"), "DisableKey", in{"KeyId": id})
	w.fails(w.as("nobody"), "Encrypt", in{"KeyId": id, "Plaintext": b64("x")}, codeAccessDenied, "*")
}

func TestCrossAccount(t *testing.T) {
	w := newWorld(t)
	admin, stranger := w.as("admin"), w.as(accountB+"/admin")
	shared := `{"Version":"2012-10-17","Statement":[` + rootOnly + `,{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":"kms:*","Resource":"*"}]}`
	id := w.newKey(admin, in{"Policy": shared})
	closed := w.newKey(admin, in{})
	w.must(admin, "CreateAlias", in{"AliasName": "alias/app", "TargetKeyId": id})
	w.must(admin, "CreateAlias", in{"AliasName": "alias/closed", "TargetKeyId": closed})
	arn, alias := keyARN(accountA, id), "arn:aws:kms:us-east-1:111122223333:alias/"

	out := w.must(stranger, "Encrypt", in{"KeyId": arn, "Plaintext": b64("x")})
	w.must(stranger, "Decrypt", in{"CiphertextBlob": out["CiphertextBlob"]})
	w.must(stranger, "Encrypt", in{"KeyId": alias + "app", "Plaintext": b64("x")})
	w.must(stranger, "GenerateDataKey", in{"KeyId": arn, "KeySpec": "AES_256"})
	w.must(stranger, "DescribeKey", in{"KeyId": arn})

	// The owner's consent is not enough, nor are these ever shared.
	w.fails(w.as(accountB+"/nobody"), "Encrypt", in{"KeyId": arn, "Plaintext": b64("x")}, codeAccessDenied, "*")
	for _, operation := range []string{"EnableKey", "DisableKey", "ScheduleKeyDeletion", "CancelKeyDeletion", "GetKeyPolicy", "ListKeyPolicies"} {
		w.fails(stranger, operation, in{"KeyId": arn}, codeAccessDenied, "*")
	}
	w.fails(stranger, "PutKeyPolicy", in{"KeyId": arn, "Policy": shared}, codeAccessDenied, "*")
	w.fails(stranger, "CreateAlias", in{"AliasName": "alias/mine", "TargetKeyId": arn}, codeAccessDenied, "*")
	w.fails(stranger, "ListAliases", in{"KeyId": arn}, "NotFoundException", "*")

	// A key that consents to nothing and one that does not exist look alike, and
	// an alias does not give away its key.
	denial := func(keyID string) string {
		_, err := w.call(stranger, "DescribeKey", in{"KeyId": keyID})
		wantError(t, err, codeAccessDenied, "*")
		return strings.ReplaceAll(err.(*aws.Error).Message, keyID, "<key>")
	}
	absent := keyARN(accountA, "1234abcd-12ab-34cd-56ef-1234567890ab")
	for _, pair := range [][2]string{{keyARN(accountA, closed), absent}, {alias + "closed", alias + "absent"}} {
		if a, b := denial(pair[0]), denial(pair[1]); a != b {
			t.Errorf("a closed key is denied as\n  %s\nan absent one as\n  %s", a, b)
		}
	}
}

func TestConditionKeys(t *testing.T) {
	w := newWorld(t)
	admin, nobody := w.as("admin"), w.as("nobody")
	// nobody holds nothing, so the key policy with one condition decides alone.
	for _, c := range []struct {
		name, condition string
		operation       string
		input           in
		allowed         bool
	}{
		{"caller's account", `"StringEquals":{"kms:CallerAccount":"111122223333"}`, "Encrypt", in{}, true},
		{"another account", `"StringEquals":{"kms:CallerAccount":"444455556666"}`, "Encrypt", in{}, false},
		{"via a service, called directly", `"StringLike":{"kms:ViaService":"*"}`, "Encrypt", in{}, false},
		{"context pair", `"StringEquals":{"kms:EncryptionContext:Dept":"hr"}`, "Encrypt", in{"EncryptionContext": in{"Dept": "hr"}}, true},
		{"context pair, name in other case", `"StringEquals":{"kms:EncryptionContext:dept":"hr"}`, "Encrypt", in{"EncryptionContext": in{"Dept": "hr"}}, true},
		{"context pair, other value", `"StringEquals":{"kms:EncryptionContext:Dept":"hr"}`, "Encrypt", in{"EncryptionContext": in{"Dept": "it"}}, false},
		{"context pairs that differ in case", `"StringEquals":{"kms:EncryptionContext:Dept":"it"}`, "Encrypt", in{"EncryptionContext": in{"Dept": "hr", "dept": "it", "DEPT": "x", "dEPT": "y"}}, true},
		{"context names", `"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["a","b"]},"Null":{"kms:EncryptionContextKeys":"false"}`, "Encrypt", in{"EncryptionContext": in{"a": "", "b": ""}}, true},
		{"context names, one too many", `"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["a","b"]}`, "Encrypt", in{"EncryptionContext": in{"a": "", "c": ""}}, false},
		{"algorithm", `"StringEquals":{"kms:EncryptionAlgorithm":"SYMMETRIC_DEFAULT"}`, "Encrypt", in{}, true},
		{"algorithm asked for", `"StringEquals":{"kms:EncryptionAlgorithm":"SYMMETRIC_DEFAULT"}`, "Encrypt", in{"EncryptionAlgorithm": "SM2PKE"}, false},
		{"what the key is", `"StringEquals":{"kms:KeySpec":"SYMMETRIC_DEFAULT","kms:KeyUsage":"ENCRYPT_DECRYPT","kms:KeyOrigin":"AWS_KMS"},"Bool":{"kms:MultiRegion":"false"}`, "DescribeKey", in{}, true},
		{"alias asked for", `"StringEquals":{"kms:RequestAlias":"alias/app"}`, "Encrypt", in{"KeyId": "alias/app"}, true},
		{"alias not asked for", `"StringEquals":{"kms:RequestAlias":"alias/app"}`, "Encrypt", in{}, false},
		{"alias of the key", `"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/app"}`, "Encrypt", in{}, true},
		{"no alias of the key", `"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/b"}`, "Encrypt", in{}, false},
		{"tag", `"StringEquals":{"aws:ResourceTag/team":"blue"}`, "Encrypt", in{}, true},
		{"other tag", `"StringEquals":{"aws:ResourceTag/team":"red"}`, "Encrypt", in{}, false},
		{"window", `"NumericGreaterThan":{"kms:ScheduleKeyDeletionPendingWindowInDays":"20"}`, "ScheduleKeyDeletion", in{"PendingWindowInDays": 7}, false},
		{"lockout check", `"Bool":{"kms:BypassPolicyLockoutSafetyCheck":"false"}`, "PutKeyPolicy", in{"Policy": defaultPolicy(accountA), "BypassPolicyLockoutSafetyCheck": true}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := w.newKey(admin, in{
				"Tags":   []in{{"TagKey": "team", "TagValue": "blue"}},
				"Policy": `{"Version":"2012-10-17","Statement":[` + rootOnly + `,{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/nobody"},"Action":"kms:*","Resource":"*","Condition":{` + c.condition + `}}]}`,
			})
			// One alias, moved to the key of each case.
			_, err := w.exec(`DELETE FROM kms_aliases`)
			check(t, err)
			w.must(admin, "CreateAlias", in{"AliasName": "alias/app", "TargetKeyId": id})
			if c.input["KeyId"] == nil {
				c.input["KeyId"] = id
			}
			if c.operation == "Encrypt" {
				c.input["Plaintext"] = b64("x")
			}
			_, err = w.call(nobody, c.operation, c.input)
			if c.allowed {
				check(t, err)
				return
			}
			wantError(t, err, codeAccessDenied, "*")
		})
	}
}

func TestCreateKeyConditions(t *testing.T) {
	w := newWorld(t)
	w.dirs.user("maker", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"kms:CreateKey","Resource":"*","Condition":{"StringEquals":{"kms:KeySpec":"SYMMETRIC_DEFAULT"},"StringEqualsIfExists":{"aws:RequestTag/team":"blue"}}},
		{"Effect":"Allow","Action":"kms:TagResource","Resource":"arn:aws:kms:*:*:key/*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["team","cost"]}}}]}`)
	maker := w.as("maker")
	tag := func(k, v string) in { return in{"TagKey": k, "TagValue": v} }
	w.newKey(maker, in{})
	w.newKey(maker, in{"Tags": []in{tag("team", "blue")}})
	w.newKey(maker, in{"Tags": []in{tag("team", "blue"), tag("cost", "1")}})
	w.fails(maker, "CreateKey", in{"Tags": []in{tag("team", "red")}}, codeAccessDenied, "*")
	w.fails(maker, "CreateKey", in{"Tags": []in{tag("team", "blue"), tag("owner", "me")}}, codeAccessDenied, "*")
}
