package kms

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/wire"
)

const secretsVia = "secretsmanager.amazonaws.com"

func secretContext(version string) map[string]string {
	return map[string]string{"SecretARN": "arn:aws:secretsmanager:us-east-1:111122223333:secret:db-AbCdEf", "SecretVersionId": version}
}

func TestManagedKey(t *testing.T) {
	w := newWorld(t)
	admin, nobody := w.as("admin"), w.as("nobody")
	h := w.svc.Via("secretsmanager")
	arn, err := h.DefaultKey(nobody, accountA, home)
	check(t, err)
	id := strings.TrimPrefix(arn, keyARN(accountA, ""))

	m := w.must(admin, "DescribeKey", in{"KeyId": id})["KeyMetadata"].(map[string]any)
	if m["KeyManager"] != "AWS" || m["Description"] != "Default key that protects my Secrets Manager data when no other key is defined" {
		t.Errorf("the managed key is described as %v", m)
	}
	text := w.must(admin, "GetKeyPolicy", in{"KeyId": id})["Policy"].(string)
	if !strings.HasPrefix(text, "{\n  \"Version\" : \"2012-10-17\",\n  \"Id\" : \"auto-secretsmanager-2\"") {
		t.Errorf("the managed key's policy is\n%s", text)
	}
	if out := fmt.Sprint(w.must(admin, "ListAliases", in{"KeyId": id})["Aliases"]); !strings.Contains(out, "alias/aws/secretsmanager") {
		t.Errorf("the managed key's aliases are %s", out)
	}

	// Nobody may change it or use it but through its service.
	for operation, input := range map[string]in{
		"EnableKey": {}, "DisableKey": {}, "ScheduleKeyDeletion": {}, "CancelKeyDeletion": {},
		"PutKeyPolicy": {"Policy": defaultPolicy(accountA), "BypassPolicyLockoutSafetyCheck": true},
		"CreateAlias":  {"AliasName": "alias/mine"},
		"Encrypt":      {"Plaintext": b64("x")}, "GenerateDataKey": {"KeySpec": "AES_256"},
	} {
		input["KeyId"] = id
		if operation == "CreateAlias" {
			input["TargetKeyId"] = id
			delete(input, "KeyId")
		}
		w.fails(admin, operation, input, codeAccessDenied, "User: arn:aws:iam::111122223333:user/admin is not authorized to perform: kms:"+operation+
			" on resource: "+arn+" because no resource-based policy allows the kms:"+operation+" action")
	}

	// Through it, everyone in the account may.
	ec := secretContext("v1")
	plain, wrapped, err := h.Generate(nobody, arn, ec)
	check(t, err)
	opened, err := h.Decrypt(nobody, wrapped, ec)
	check(t, err)
	if len(plain) != 32 || string(opened) != string(plain) {
		t.Error("the data key does not come back")
	}
	sealed, err := h.Encrypt(nobody, arn, plain, ec)
	check(t, err)
	if again, err := h.Decrypt(nobody, sealed, ec); err != nil || string(again) != string(plain) {
		t.Errorf("what Encrypt sealed opens to %d bytes, %v", len(again), err)
	}

	// No other account may, and no other service.
	_, _, err = h.Generate(w.as(accountB+"/admin"), arn, ec)
	wantError(t, err, codeAccessDenied, "*")
	_, err = h.Decrypt(w.as(accountB+"/admin"), wrapped, ec)
	wantError(t, err, codeAccessDenied, errCiphertextKey().Message)
	_, err = w.svc.Via("ssm").Decrypt(admin, wrapped, ec)
	wantError(t, err, codeAccessDenied, "*")
	if _, err := w.svc.Via("ec2").DefaultKey(admin, accountA, home); err == nil {
		t.Error("a service without a managed key gets one")
	}
	w.fails(w.as(accountB+"/admin"), "DescribeKey", in{"KeyId": arn}, codeAccessDenied, "*")
}

// TestManagedKeyIsNeverShared holds even if its policy said otherwise.
func TestManagedKeyIsNeverShared(t *testing.T) {
	w := newWorld(t)
	arn, err := w.svc.Via("secretsmanager").DefaultKey(w.as("admin"), accountA, home)
	check(t, err)
	if n, err := w.exec(`UPDATE kms_keys SET policy = $1`, statement(`"*"`, `"kms:*"`, "")); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	_, _, err = w.svc.Via("secretsmanager").Generate(w.as(accountB+"/admin"), arn, nil)
	wantError(t, err, codeAccessDenied, "*")
	w.fails(w.as("admin"), "DisableKey", in{"KeyId": strings.TrimPrefix(arn, keyARN(accountA, ""))}, codeAccessDenied, "*")
}

func TestFirstUseByManyMakesOneKey(t *testing.T) {
	w := newWorld(t)
	nodes := []*Handle{w.svc.Via("secretsmanager"), w.service().Via("secretsmanager"), w.service().Via("secretsmanager")}
	arns := make([]string, 48)
	var group sync.WaitGroup
	for i := range arns {
		group.Go(func() {
			var err error
			if arns[i], err = nodes[i%len(nodes)].DefaultKey(w.as("nobody"), accountA, home); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, arn := range arns {
		if arn != arns[0] {
			t.Fatalf("two first users got %s and %s", arns[0], arn)
		}
	}
	if keys := w.must(w.as("admin"), "ListKeys", in{})["Keys"].([]any); len(keys) != 1 {
		t.Errorf("there are %d keys", len(keys))
	}
	var made int
	for _, c := range w.rec.of("CreateKey") {
		if c.EventType != wire.EventServiceEvent || c.Principal.Service != "kms.amazonaws.com" || c.Principal.Account != accountA {
			t.Errorf("the creation is recorded as %+v", c)
		}
		if c.Err == nil {
			made++
		}
	}
	if made != 1 {
		t.Errorf("%d creations are recorded, want 1", made)
	}
	elsewhere, err := nodes[0].DefaultKey(w.as("nobody"), accountA, abroad)
	check(t, err)
	other, err := nodes[0].DefaultKey(w.as("nobody"), accountB, home)
	check(t, err)
	if elsewhere == arns[0] || other == arns[0] || !strings.Contains(elsewhere, ":eu-west-1:") || !strings.Contains(other, accountB) {
		t.Errorf("regions and accounts share keys: %s, %s, %s", arns[0], elsewhere, other)
	}
}

func TestDescribingThePredefinedAliasMakesTheKey(t *testing.T) {
	w := newWorld(t)
	w.fails(w.as("nobody"), "DescribeKey", in{"KeyId": "alias/aws/secretsmanager"}, codeAccessDenied, "*")
	if len(w.rec.of("CreateKey")) != 0 {
		t.Error("a caller without rights made the managed key")
	}
	m := w.must(w.as("admin"), "DescribeKey", in{"KeyId": "alias/aws/secretsmanager"})["KeyMetadata"].(map[string]any)
	arn, err := w.svc.Via("secretsmanager").DefaultKey(w.as("admin"), accountA, home)
	check(t, err)
	if m["Arn"] != arn {
		t.Errorf("described %v, want %s", m["Arn"], arn)
	}
	w.fails(w.as("admin"), "DescribeKey", in{"KeyId": "alias/aws/nothing"}, "NotFoundException", "*")
}

// TestHandleUsesTheCallersRights: each use is a nested call with its own
// decision and record.
func TestHandleUsesTheCallersRights(t *testing.T) {
	w := newWorld(t)
	w.dirs.user("app", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kms:GenerateDataKey","kms:Decrypt"],"Resource":"*",
		"Condition":{"StringEquals":{"kms:ViaService":"secretsmanager.us-east-1.amazonaws.com","kms:EncryptionContext:SecretVersionId":"v1"},
			"Bool":{"aws:ViaAWSService":"true"}}}]}`)
	app := w.as("app")
	id := w.newKey(w.as("admin"), in{})
	arn := keyARN(accountA, id)
	h := w.svc.Via("secretsmanager")

	_, wrapped, err := h.Generate(app, arn, secretContext("v1"))
	check(t, err)
	_, err = h.Decrypt(app, wrapped, secretContext("v1"))
	check(t, err)
	_, err = h.Decrypt(app, wrapped, secretContext("v2"))
	wantError(t, err, codeAccessDenied, "*")
	_, err = h.Encrypt(app, arn, []byte("x"), secretContext("v1"))
	wantError(t, err, codeAccessDenied, "*")
	w.fails(app, "Decrypt", in{"CiphertextBlob": b64(string(wrapped)), "EncryptionContext": secretContext("v1")}, codeAccessDenied, "*")

	calls := w.rec.of("Decrypt")
	first := calls[0]
	if first.Via != secretsVia || first.Parent != wire.CallFrom(app) || first.Principal.UserName != "app" || first.Err != nil ||
		len(first.Decisions) != 1 || first.Decisions[0].Action != "kms:Decrypt" || first.Decisions[0].Resource != arn ||
		len(first.Resources) != 1 || first.Resources[0].ARN != arn {
		t.Errorf("the record is %+v", first)
	}
	if p := string(first.RequestParameters()); !strings.Contains(p, "SecretARN") || strings.Contains(p, "iphertext") {
		t.Errorf("the record's parameters are %s", p)
	}
	if len(wire.CallFrom(app).Decisions) != 0 {
		t.Error("nested decisions are the outer call's")
	}
}

func TestHandleWorksWhereTheKeyIs(t *testing.T) {
	w := newWorld(t)
	h := w.svc.Via("secretsmanager")
	admin := w.as("admin")
	arn, err := h.DefaultKey(admin, accountA, abroad)
	check(t, err)
	// The call came in at home; the managed key's policy asks for its own region.
	_, wrapped, err := h.Generate(admin, arn, nil)
	check(t, err)
	_, err = h.Decrypt(admin, wrapped, nil)
	check(t, err)
	if c := w.rec.of("Decrypt")[0]; c.Region != abroad {
		t.Errorf("recorded in %s, want %s", c.Region, abroad)
	}
	if r := wire.CallFrom(admin).Region; r != home {
		t.Errorf("the outer call moved to %s", r)
	}
}

func TestHandleErrors(t *testing.T) {
	w := newWorld(t)
	admin := w.as("admin")
	h := w.svc.Via("secretsmanager")
	id := w.newKey(admin, in{})
	arn := keyARN(accountA, id)
	_, wrapped, err := h.Generate(admin, arn, nil)
	check(t, err)

	_, err = h.Decrypt(admin, []byte("nonsense"), nil)
	wantError(t, err, "InvalidCiphertextException", "")
	if _, ok := err.(*aws.Error); !ok {
		t.Errorf("a marked error gets out: %T", err)
	}
	_, err = h.Decrypt(admin, wrapped, secretContext("v"))
	wantError(t, err, "InvalidCiphertextException", "")
	_, _, err = h.Generate(admin, "alias/x", nil)
	wantError(t, err, "NotFoundException", "*")
	_, _, err = h.Generate(admin, "", nil)
	wantError(t, err, "NotFoundException", "*")
	w.must(admin, "DisableKey", in{"KeyId": id})
	_, err = h.Decrypt(admin, wrapped, nil)
	wantError(t, err, "DisabledException", arn+" is disabled.")
	_, _, err = h.Generate(admin, arn, nil)
	wantError(t, err, "DisabledException", arn+" is disabled.")
	w.must(admin, "EnableKey", in{"KeyId": id})

	// A use that cannot be recorded gives nothing.
	w.rec.fail = "Decrypt"
	if plain, err := h.Decrypt(admin, wrapped, nil); err == nil || plain != nil {
		t.Errorf("an unrecorded use returns %d bytes, %v", len(plain), err)
	}
	if _, err := h.Decrypt(context.Background(), wrapped, nil); err == nil {
		t.Error("a handle works outside any call")
	}
}

func TestResolve(t *testing.T) {
	w := newWorld(t)
	admin := w.as("admin")
	h := w.svc.Via("secretsmanager")
	id := w.newKey(admin, in{})
	arn := keyARN(accountA, id)
	w.must(admin, "CreateAlias", in{"AliasName": "alias/app", "TargetKeyId": id})
	managed, err := h.DefaultKey(admin, accountA, home)
	check(t, err)
	aliasARN := "arn:aws:kms:us-east-1:111122223333:alias/"
	for _, c := range []struct {
		account, name, arn string
		managed            bool
		code               string
	}{
		{accountA, id, arn, false, ""},
		{accountA, arn, arn, false, ""},
		{accountA, "alias/app", arn, false, ""},
		{accountA, aliasARN + "app", arn, false, ""},
		{accountA, "alias/aws/secretsmanager", managed, true, ""},
		{accountA, aliasARN + "aws/secretsmanager", managed, true, ""},
		{accountA, managed, managed, true, ""},
		{accountB, arn, arn, false, ""},
		{accountB, managed, managed, true, ""},
		{accountA, "fake", "", false, "NotFoundException"},
		{accountA, "alias/none", "", false, "NotFoundException"},
		{accountA, "1234abcd-12ab-34cd-56ef-1234567890ab", "", false, "NotFoundException"},
		{accountA, strings.Replace(arn, home, abroad, 1), "", false, "NotFoundException"},
		{accountA, "arn:aws:s3:::x", "", false, "InvalidArnException"},
		{accountB, aliasARN + "none", "", false, codeAccessDenied},
		{accountB, keyARN(accountA, "1234abcd-12ab-34cd-56ef-1234567890ab"), "", false, codeAccessDenied},
		{accountB, id, "", false, "NotFoundException"},
	} {
		got, isManaged, err := h.Resolve(admin, c.account, home, c.name)
		if c.code != "" {
			wantError(t, err, c.code, "*")
			continue
		}
		if err != nil || got != c.arn || isManaged != c.managed {
			t.Errorf("Resolve(%s, %s) is %s, %v, %v; want %s, %v", c.account, c.name, got, isManaged, err, c.arn, c.managed)
		}
	}
	if n := len(w.rec.of("DescribeKey")); n != 0 {
		t.Errorf("resolving made %d records", n)
	}
	// The alias of the service's key makes it where it is missing.
	made, isManaged, err := h.Resolve(w.as(accountB+"/admin"), accountB, home, "alias/aws/secretsmanager")
	if err != nil || !isManaged || !strings.Contains(made, accountB) {
		t.Errorf("the first use by alias is %s, %v, %v", made, isManaged, err)
	}
}
