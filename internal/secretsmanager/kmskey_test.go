package secretsmanager_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/internal/servertest"
)

// key makes a customer key with an alias ("" = none) in a region and returns its
// ARN.
func (w *world) key(t testing.TB, region, alias string) (arn string) {
	t.Helper()
	client := w.keys(w.Admin, region)
	arn = *call(t, client.CreateKey, &kms.CreateKeyInput{}).KeyMetadata.Arn
	if alias != "" {
		call(t, client.CreateAlias, &kms.CreateAliasInput{AliasName: &alias, TargetKeyId: &arn})
	}
	return arn
}

// keysOf returns the keys of all versions, by version.
func (w *world) keysOf(t testing.TB, id string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, v := range call(t, w.c.ListSecretVersionIds, &sm.ListSecretVersionIdsInput{SecretId: &id, IncludeDeprecated: new(true)}).Versions {
		out[*v.VersionId] = strings.Join(v.KmsKeyIds, " ")
	}
	return out
}

// TestKmsKeyId: every way to name a key, and what is shown of it (spec 2.3, 2.5,
// 2.8).
func TestKmsKeyId(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		arn := w.key(t, "", "alias/app")
		id := arn[strings.LastIndexByte(arn, '/')+1:]
		for name, given := range map[string]string{"id": id, "arn": arn, "alias": "alias/app", "aliasarn": "arn:aws:kms:us-east-1:111122223333:alias/app"} {
			call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: &name, ClientRequestToken: new(tokenA), SecretString: &name, KmsKeyId: &given})
			d := w.describe(t, name)
			if d.KmsKeyId == nil || *d.KmsKeyId != given {
				t.Errorf("%s: described with key %v, given %s", name, d.KmsKeyId, given)
			}
			if got := w.keysOf(t, name); got[tokenA] != arn {
				t.Errorf("%s: version under %s", name, got)
			}
			if w.get(t, name) != name {
				t.Errorf("%s: not readable", name)
			}
		}
		// The default key by its alias.
		call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("default"), SecretString: new("v"), ClientRequestToken: new(tokenA), KmsKeyId: new("alias/aws/secretsmanager")})
		if got := w.keysOf(t, "default"); got[tokenA] != "DefaultEncryptionKey" {
			t.Errorf("version under %v", got)
		}
		call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("none"), SecretString: new("v"), KmsKeyId: new("")})
		if d := w.describe(t, "none"); d.KmsKeyId != nil {
			t.Errorf("no key shows as %s", *d.KmsKeyId)
		}
		for _, bad := range []string{"alias/none", "11111111-2222-4333-8444-555555555555", "arn:aws:kms:us-east-1:111122223333:key/11111111-2222-4333-8444-555555555555", "no key at all", "arn:aws:s3:::bucket"} {
			fails(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("bad"), SecretString: new("v"), KmsKeyId: &bad}, badParameter, msgBadKey)
			fails(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("none"), KmsKeyId: &bad}, badParameter, msgBadKey)
		}
	})
}

// TestKeyChange is spec 13.3: labelled versions move, no version is added.
func TestKeyChange(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		one, two := w.key(t, "", ""), w.key(t, "", "alias/two")
		w.createWith(t, "s", tokenA, "v1")
		w.put(t, "s", tokenB, "v2")
		w.put(t, "s", tokenC, "v3")
		w.put(t, "s", tokenD, "v4", "AWSPENDING")
		const custom = "eeeeeeee-eeee-4eee-8eee-eeeeeeeeeeee"
		w.put(t, "s", custom, "v5", "mine")
		out := call(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("s"), KmsKeyId: &one})
		if out.VersionId != nil {
			t.Errorf("a key change answered with version %s", *out.VersionId)
		}
		const standard = "DefaultEncryptionKey"
		want := map[string]string{tokenA: standard, tokenB: one, tokenC: one, tokenD: one, custom: standard}
		wantKeys := func(what string) {
			t.Helper()
			got := w.keysOf(t, "s")
			for v, k := range want {
				if got[v] != k {
					t.Errorf("%s: version %s is under %s, want %s", what, v, got[v], k)
				}
			}
			for v, text := range map[string]string{tokenA: "v1", tokenB: "v2", tokenC: "v3", tokenD: "v4", custom: "v5"} {
				if o := call(t, w.c.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("s"), VersionId: &v}); *o.SecretString != text {
					t.Errorf("%s: version %s reads %s", what, v, *o.SecretString)
				}
			}
		}
		wantKeys("to a customer key")
		call(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("s"), KmsKeyId: new("alias/two")})
		want = map[string]string{tokenA: standard, tokenB: two, tokenC: two, tokenD: two, custom: standard}
		wantKeys("to another by alias")
		if d := w.describe(t, "s"); *d.KmsKeyId != "alias/two" || len(d.VersionIdsToStages) != 4 {
			t.Errorf("described with %s and versions %v", *d.KmsKeyId, d.VersionIdsToStages)
		}
		call(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("s"), KmsKeyId: new("")})
		want = map[string]string{tokenA: standard, tokenB: standard, tokenC: standard, tokenD: standard, custom: standard}
		wantKeys("back to the default key")
		if d := w.describe(t, "s"); d.KmsKeyId != nil {
			t.Errorf("described with %s after the key was given up", *d.KmsKeyId)
		}
		// Key and value in one call: the value under the new key.
		const next = "ffffffff-ffff-4fff-8fff-ffffffffffff"
		call(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("s"), KmsKeyId: &one, SecretString: new("v6"), ClientRequestToken: new(next)})
		if got := w.keysOf(t, "s"); got[next] != one || got[tokenC] != one {
			t.Errorf("key and value together: %v", got)
		}
	})
}

// TestKeyStates: a key disabled, scheduled for deletion or deleted is in force at
// once, on writing and on reading (spec 13.5).
func TestKeyStates(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		client := w.keys(w.Admin, "")
		arn := w.key(t, "", "")
		call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("s"), SecretString: new("v"), ClientRequestToken: new(tokenA), KmsKeyId: &arn})
		refused := func(state, reason string) {
			t.Helper()
			cannotRead := "Secrets Manager can't decrypt the protected secret text using the provided KMS key. " + reason
			cannotWrite := "Secrets Manager can't encrypt the protected secret text using the provided KMS key. " + reason
			fails(t, w.c.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("s")}, noDecryption, cannotRead)
			fails(t, w.c.PutSecretValue, &sm.PutSecretValueInput{SecretId: new("s"), SecretString: new("w")}, noEncryption, cannotWrite)
			fails(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("s"), SecretString: new("w")}, noEncryption, cannotWrite)
			fails(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("n"), SecretString: new("w"), KmsKeyId: &arn}, noEncryption, cannotWrite)
			// A token to compare with: the value must be opened for that.
			fails(t, w.c.PutSecretValue, &sm.PutSecretValueInput{SecretId: new("s"), SecretString: new("v"), ClientRequestToken: new(tokenA)}, noDecryption, cannotRead)
			fails(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("s"), SecretString: new("v"), ClientRequestToken: new(tokenA)}, noDecryption, cannotRead)
			fails(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("s"), SecretString: new("v"), ClientRequestToken: new(tokenA)}, noDecryption, cannotRead)
			batch := call(t, w.c.BatchGetSecretValue, &sm.BatchGetSecretValueInput{SecretIdList: []string{"s"}})
			w.wantEntry(t, batch, 0, "s", noDecryption, cannotRead)
			// What needs no key works (spec 13.2).
			w.describe(t, "s")
			call(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("s"), Description: &state})
			call(t, w.c.TagResource, &sm.TagResourceInput{SecretId: new("s"), Tags: tags("state=" + state)})
		}
		call(t, client.DisableKey, &kms.DisableKeyInput{KeyId: &arn})
		refused("disabled", arn+" is disabled.")
		call(t, client.EnableKey, &kms.EnableKeyInput{KeyId: &arn})
		if w.get(t, "s") != "v" {
			t.Error("not readable after the key was enabled again")
		}
		call(t, client.ScheduleKeyDeletion, &kms.ScheduleKeyDeletionInput{KeyId: &arn, PendingWindowInDays: new(int32(7))})
		refused("scheduled", arn+" is pending deletion.")
		call(t, client.CancelKeyDeletion, &kms.CancelKeyDeletionInput{KeyId: &arn})
		call(t, client.EnableKey, &kms.EnableKeyInput{KeyId: &arn})
		if w.get(t, "s") != "v" {
			t.Error("not readable after the deletion was cancelled")
		}
		call(t, client.ScheduleKeyDeletion, &kms.ScheduleKeyDeletionInput{KeyId: &arn, PendingWindowInDays: new(int32(7))})
		w.move(8 * 24 * time.Hour)
		w.jobs()
		_, err := w.c.GetSecretValue(t.Context(), &sm.GetSecretValueInput{SecretId: new("s")})
		if err == nil || !strings.Contains(err.Error(), noDecryption) {
			t.Errorf("read under a deleted key: %v, want %s", err, noDecryption)
		}
		fails(t, w.c.PutSecretValue, &sm.PutSecretValueInput{SecretId: new("s"), SecretString: new("w")}, badParameter, msgBadKey)
		// A key that is gone can be replaced, for the values to come.
		call(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("s"), KmsKeyId: new("")})
		w.put(t, "s", tokenB, "w")
		if w.get(t, "s") != "w" {
			t.Error("a new value under a new key is not readable")
		}
	})
}

// TestKeyPermissions: the caller needs rights on a customer key, through this
// service, and none on the default key (spec 13.4, 13.5).
func TestKeyPermissions(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		arn := w.key(t, "", "")
		w.create(t, "plain", "v")
		call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("s"), SecretString: new("v"), KmsKeyId: &arn})
		creds := w.User(t, "ann", servertest.Allow("*", "secretsmanager:*"))
		ann := w.as(creds)
		call(t, ann.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("plain")})
		call(t, ann.PutSecretValue, &sm.PutSecretValueInput{SecretId: new("plain"), SecretString: new("w")})
		read, write := &sm.GetSecretValueInput{SecretId: new("s")}, &sm.PutSecretValueInput{SecretId: new("s"), SecretString: new("w")}
		fails(t, ann.GetSecretValue, read, denied, msgKMS, "KMS key")
		fails(t, ann.PutSecretValue, write, denied, msgKMS)
		fails(t, ann.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("plain"), KmsKeyId: &arn}, denied, msgKMS)
		fails(t, ann.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("s"), SecretString: new("w")}, denied, msgKMS)
		fails(t, ann.CreateSecret, &sm.CreateSecretInput{Name: new("n"), KmsKeyId: &arn}, denied, msgKMS)
		fails(t, ann.CreateSecret, &sm.CreateSecretInput{Name: new("n"), SecretString: new("v"), KmsKeyId: &arn}, denied, msgKMS)
		batch := call(t, ann.BatchGetSecretValue, &sm.BatchGetSecretValueInput{SecretIdList: []string{"s", "plain"}})
		w.wantEntry(t, batch, 0, "s", denied, msgKMS)
		if len(batch.SecretValues) != 1 {
			t.Errorf("batch with one refusal has %d values", len(batch.SecretValues))
		}

		allow := func(condition string, actions ...string) {
			t.Helper()
			w.SetPolicy(t, w.Admin, "ann", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:*","Resource":"*"},`+
				`{"Effect":"Allow","Action":["`+strings.Join(actions, `","`)+`"],"Resource":"*","Condition":`+condition+`}]}`)
		}
		allow(`{"StringEquals":{"kms:ViaService":"secretsmanager.us-east-1.amazonaws.com"}}`, "kms:Decrypt")
		call(t, ann.GetSecretValue, read)
		fails(t, ann.PutSecretValue, write, denied, msgKMS)
		allow(`{"StringEquals":{"kms:EncryptionContext:SecretARN":"`+*w.describe(t, "s").ARN+`","kms:ViaService":"secretsmanager.us-east-1.amazonaws.com"}}`, "kms:Decrypt", "kms:GenerateDataKey")
		call(t, ann.GetSecretValue, read)
		call(t, ann.PutSecretValue, write)
		fails(t, ann.CreateSecret, &sm.CreateSecretInput{Name: new("n"), KmsKeyId: &arn}, denied, msgKMS)
		allow(`{"StringEquals":{"kms:ViaService":"ssm.us-east-1.amazonaws.com"}}`, "kms:Decrypt", "kms:GenerateDataKey")
		fails(t, ann.GetSecretValue, read, denied, msgKMS, "KMS key")
		fails(t, ann.PutSecretValue, write, denied, msgKMS)
	})
}

// TestKeyChangePermissions: without kms:Encrypt on the new key the old versions
// stay where they are, without kms:Decrypt on the old one nothing is done (spec
// 13.3).
func TestKeyChangePermissions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.key(t, "", ""), w.key(t, "", "")
	creds := w.User(t, "ann", "")
	ann := func(statements ...string) *sm.Client {
		t.Helper()
		w.SetPolicy(t, w.Admin, "ann", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:*","Resource":"*"},`+strings.Join(statements, ",")+`]}`)
		return w.as(creds)
	}
	may := func(key string, actions ...string) string {
		return `{"Effect":"Allow","Action":["` + strings.Join(actions, `","`) + `"],"Resource":"` + key + `"}`
	}
	call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("s"), SecretString: new("v"), ClientRequestToken: new(tokenA), KmsKeyId: &one})
	change := &sm.UpdateSecretInput{SecretId: new("s"), KmsKeyId: &two}
	fails(t, ann(may(one, "kms:*"), may(two, "kms:GenerateDataKey")).UpdateSecret, change, denied, msgKMS)
	fails(t, ann(may(one, "kms:*"), may(two, "kms:Decrypt")).UpdateSecret, change, denied, msgKMS)
	fails(t, ann(may(two, "kms:*")).UpdateSecret, change, denied, msgKMS)
	if d := w.describe(t, "s"); *d.KmsKeyId != one {
		t.Fatalf("refused key changes left %s", *d.KmsKeyId)
	}
	call(t, ann(may(one, "kms:*"), may(two, "kms:GenerateDataKey", "kms:Decrypt")).UpdateSecret, change)
	if d, k := w.describe(t, "s"), w.keysOf(t, "s"); *d.KmsKeyId != two || k[tokenA] != one {
		t.Errorf("without kms:Encrypt: key %s, version under %s", *d.KmsKeyId, k[tokenA])
	}
	call(t, ann(may(one, "kms:*"), may(two, "kms:*")).UpdateSecret, change)
	if k := w.keysOf(t, "s"); k[tokenA] != two {
		t.Errorf("with kms:Encrypt: version under %s", k[tokenA])
	}
}

// TestDefaultKey: it is made at first use, and of no use but through this service
// (spec 13.4).
func TestDefaultKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, "s", "v")
	list := call(t, w.keys(w.Admin, "").ListAliases, &kms.ListAliasesInput{})
	if i := slices.IndexFunc(list.Aliases, isDefaultAlias); i < 0 || list.Aliases[i].TargetKeyId == nil {
		t.Errorf("aliases %v, want the default key's", list.Aliases)
	}
	// Not through this service: not at all.
	_, err := w.keys(w.Admin, "").Encrypt(t.Context(), &kms.EncryptInput{KeyId: new("alias/aws/secretsmanager"), Plaintext: []byte("x")})
	if !isDenied(t, err) {
		t.Errorf("default key used directly: %v", err)
	}
}

func isDefaultAlias(a kmstypes.AliasListEntry) bool {
	return *a.AliasName == "alias/aws/secretsmanager"
}
