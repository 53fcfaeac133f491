package kms

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCreateKeyReturnsTheRecordedMembers(t *testing.T) {
	w := newWorld(t)
	m := w.must(w.as("admin"), "CreateKey", in{})["KeyMetadata"].(map[string]any)
	want := []string{"AWSAccountId", "Arn", "CreationDate", "CurrentKeyMaterialId", "CustomerMasterKeySpec", "Description", "Enabled",
		"EncryptionAlgorithms", "KeyId", "KeyManager", "KeySpec", "KeyState", "KeyUsage", "MultiRegion", "Origin"}
	if got := slices.Sorted(maps.Keys(m)); !slices.Equal(got, want) {
		t.Errorf("members are %v\nwant %v", got, want)
	}
	for name, want := range map[string]any{
		"AWSAccountId": accountA, "Arn": keyARN(accountA, m["KeyId"].(string)), "CreationDate": float64(start.Unix()),
		"CustomerMasterKeySpec": "SYMMETRIC_DEFAULT", "Description": "", "Enabled": true, "KeyManager": "CUSTOMER",
		"KeySpec": "SYMMETRIC_DEFAULT", "KeyState": "Enabled", "KeyUsage": "ENCRYPT_DECRYPT", "MultiRegion": false, "Origin": "AWS_KMS",
	} {
		if m[name] != want {
			t.Errorf("%s is %v, want %v", name, m[name], want)
		}
	}
	if id := m["CurrentKeyMaterialId"].(string); len(id) != 64 || !isHex(id) {
		t.Errorf("CurrentKeyMaterialId is %q, want 64 hexadecimal digits", id)
	}
	described := w.must(w.as("admin"), "DescribeKey", in{"KeyId": m["KeyId"]})["KeyMetadata"].(map[string]any)
	if fmt.Sprint(described) != fmt.Sprint(m) {
		t.Errorf("DescribeKey returns %v\nCreateKey returned %v", described, m)
	}
}

func TestErrors(t *testing.T) {
	w := newWorld(t)
	admin := w.as("admin")
	id := w.newKey(admin, in{})
	arn := keyARN(accountA, id)
	other := w.newKey(admin, in{})
	w.must(admin, "CreateAlias", in{"AliasName": "alias/app", "TargetKeyId": id})
	blob := w.encrypt(admin, id, "hello", nil)
	const absent = "1234abcd-12ab-34cd-56ef-1234567890ab"
	absentARN := keyARN(accountA, absent)
	aliasARN := "arn:aws:kms:us-east-1:111122223333:alias/"
	tags := func(n int) (all []in) {
		for i := range n {
			all = append(all, in{"TagKey": fmt.Sprint("k", i), "TagValue": ""})
		}
		return all
	}

	for _, c := range []struct {
		name, operation string
		input           in
		code, message   string
	}{
		// Naming a key (spec kms.md 2).
		{"id of no form", "DescribeKey", in{"KeyId": "fake-key-id"}, "NotFoundException", "Invalid keyId 'fake-key-id'"},
		{"UUID without dashes", "DescribeKey", in{"KeyId": strings.ReplaceAll(absent, "-", "")}, "NotFoundException", "Invalid keyId '1234abcd12ab34cd56ef1234567890ab'"},
		{"UUID of other letters", "DescribeKey", in{"KeyId": "1234abcg-12ab-34cd-56ef-1234567890ab"}, "NotFoundException", "Invalid keyId '1234abcg-12ab-34cd-56ef-1234567890ab'"},
		{"bad multi-region id", "DescribeKey", in{"KeyId": "mrk-fake-key-id"}, "NotFoundException", "Invalid keyId 'mrk-fake-key-id'"},
		{"absent id", "DescribeKey", in{"KeyId": absent}, "NotFoundException", "Key '" + absentARN + "' does not exist"},
		{"absent ARN", "DescribeKey", in{"KeyId": absentARN}, "NotFoundException", "Key '" + absentARN + "' does not exist"},
		{"absent multi-region id", "DescribeKey", in{"KeyId": "mrk-" + strings.Repeat("0", 32)}, "NotFoundException", "Key 'arn:aws:kms:us-east-1:111122223333:key/mrk-00000000000000000000000000000000' does not exist"},
		{"ARN of another region", "DescribeKey", in{"KeyId": strings.Replace(arn, home, abroad, 1)}, "NotFoundException", "Invalid arn eu-west-1"},
		{"ARN of another service", "DescribeKey", in{"KeyId": "arn:aws:s3:us-east-1:111122223333:key/" + id}, "InvalidArnException", "*"},
		{"ARN of another kind", "DescribeKey", in{"KeyId": "arn:aws:kms:us-east-1:111122223333:grant/x"}, "InvalidArnException", "*"},
		{"unknown alias", "DescribeKey", in{"KeyId": "alias/x"}, "NotFoundException", "Alias " + aliasARN + "x is not found."},
		{"unknown alias ARN", "Encrypt", in{"KeyId": aliasARN + "x", "Plaintext": b64("x")}, "NotFoundException", "Alias " + aliasARN + "x is not found."},
		{"alias for a management operation", "DisableKey", in{"KeyId": "alias/app"}, "NotFoundException", "Invalid keyId 'alias/app'"},
		{"alias ARN for a management operation", "DisableKey", in{"KeyId": aliasARN + "app"}, "InvalidArnException", "*"},
		{"no key id", "DescribeKey", in{}, "ValidationException", "1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null"},

		// CreateKey (spec kms.md 3, 7).
		{"unknown spec", "CreateKey", in{"KeySpec": "AES"}, "ValidationException", "*"},
		{"asymmetric without usage", "CreateKey", in{"KeySpec": "RSA_2048"}, "ValidationException", "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."},
		{"asymmetric", "CreateKey", in{"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"}, "UnsupportedOperationException", "*"},
		{"usage that does not fit", "CreateKey", in{"KeyUsage": "SIGN_VERIFY"}, "ValidationException", "KeyUsage SIGN_VERIFY is not compatible with KeySpec SYMMETRIC_DEFAULT"},
		{"two different specs", "CreateKey", in{"KeySpec": "RSA_2048", "CustomerMasterKeySpec": "RSA_4096"}, "ValidationException", "*"},
		{"imported material", "CreateKey", in{"Origin": "EXTERNAL"}, "UnsupportedOperationException", "*"},
		{"multi-region", "CreateKey", in{"MultiRegion": true}, "UnsupportedOperationException", "*"},
		{"key store", "CreateKey", in{"CustomKeyStoreId": "cks-1"}, "UnsupportedOperationException", "*"},
		{"duplicate tags", "CreateKey", in{"Tags": []in{{"TagKey": "a", "TagValue": ""}, {"TagKey": "a", "TagValue": "b"}}}, "TagException", "Duplicate tag keys"},
		{"too many tags", "CreateKey", in{"Tags": tags(51)}, "TagException", "Too many tags"},
		{"reserved tag", "CreateKey", in{"Tags": []in{{"TagKey": "AWS:x", "TagValue": ""}}}, "TagException", "Tags beginning with aws: are reserved"},
		{"long policy", "CreateKey", in{"Policy": strings.Repeat(" ", 32769)}, "LimitExceededException", "*"},

		// Policies (spec kms.md 8.1).
		{"policy of another name", "GetKeyPolicy", in{"KeyId": id, "PolicyName": "mine"}, "NotFoundException", "No such policy exists"},
		{"put of another name", "PutKeyPolicy", in{"KeyId": id, "PolicyName": "mine", "Policy": "{}"}, "UnsupportedOperationException", "*"},
		{"policy that is no JSON", "PutKeyPolicy", in{"KeyId": id, "Policy": "allow"}, "MalformedPolicyDocumentException", "*"},
		{"marker of ListKeyPolicies", "ListKeyPolicies", in{"KeyId": id, "Marker": "x"}, "InvalidMarkerException", "*"},

		// Life (spec kms.md 4).
		{"window of 6 days", "ScheduleKeyDeletion", in{"KeyId": id, "PendingWindowInDays": 6}, "ValidationException", "1 validation error detected: Value '6' at 'pendingWindowInDays' failed to satisfy constraint: Member must have value greater than or equal to 7"},
		{"window of 31 days", "ScheduleKeyDeletion", in{"KeyId": id, "PendingWindowInDays": 31}, "ValidationException", "1 validation error detected: Value '31' at 'pendingWindowInDays' failed to satisfy constraint: Member must have value less than or equal to 30"},
		{"window of no days", "ScheduleKeyDeletion", in{"KeyId": id, "PendingWindowInDays": 0}, "ValidationException", "*"},

		// Aliases (spec kms.md 6).
		{"alias without prefix", "CreateAlias", in{"AliasName": "app", "TargetKeyId": id}, "ValidationException", `Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html`},
		{"alias of AWS", "CreateAlias", in{"AliasName": "alias/aws/mine", "TargetKeyId": id}, "NotAuthorizedException", ""},
		{"alias with a colon", "CreateAlias", in{"AliasName": "alias/x:y", "TargetKeyId": id}, "ValidationException", "alias/x:y contains invalid characters for an alias"},
		{"alias of nothing", "CreateAlias", in{"AliasName": "alias/", "TargetKeyId": id}, "ValidationException", "Invalid identifier"},
		{"alias with a blank", "CreateAlias", in{"AliasName": "alias/x y", "TargetKeyId": id}, "ValidationException", "*"},
		{"alias for an alias", "CreateAlias", in{"AliasName": "alias/z", "TargetKeyId": "alias/app"}, "ValidationException", "Aliases must refer to keys. Not aliases"},
		{"alias for an alias ARN", "CreateAlias", in{"AliasName": "alias/z", "TargetKeyId": aliasARN + "app"}, "ValidationException", "Aliases must refer to keys. Not aliases"},
		{"alias that exists", "CreateAlias", in{"AliasName": "alias/app", "TargetKeyId": other}, "AlreadyExistsException", "An alias with the name " + aliasARN + "app already exists"},
		{"alias for an absent key", "CreateAlias", in{"AliasName": "alias/z", "TargetKeyId": absent}, "NotFoundException", "Key '" + absentARN + "' does not exist"},
		{"aliases of an absent key", "ListAliases", in{"KeyId": absent}, "NotFoundException", "Key '" + absentARN + "' does not exist"},

		// Paging.
		{"marker of ListKeys", "ListKeys", in{"Marker": "?"}, "InvalidMarkerException", "*"},
		{"marker of another list", "ListAliases", in{"Marker": "MTIz"}, "InvalidMarkerException", "*"},
		{"page of 101 aliases", "ListAliases", in{"Limit": 101}, "ValidationException", "*"},

		// Cryptography (spec kms.md 5).
		{"no plaintext", "Encrypt", in{"KeyId": id, "Plaintext": ""}, "ValidationException", "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{"plaintext of 4097 bytes", "Encrypt", in{"KeyId": id, "Plaintext": b64(strings.Repeat("x", 4097))}, "ValidationException", "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096"},
		{"algorithm of another spec", "Encrypt", in{"KeyId": id, "Plaintext": b64("x"), "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}, "InvalidKeyUsageException", "Algorithm RSAES_OAEP_SHA_256 is incompatible with key spec SYMMETRIC_DEFAULT."},
		{"algorithm that is none", "Encrypt", in{"KeyId": id, "Plaintext": b64("x"), "EncryptionAlgorithm": "ROT13"}, "ValidationException", "*"},
		{"grant token", "Encrypt", in{"KeyId": id, "Plaintext": b64("x"), "GrantTokens": []string{"t"}}, "InvalidGrantTokenException", "*"},
		{"large context", "Encrypt", in{"KeyId": id, "Plaintext": b64("x"), "EncryptionContext": map[string]string{"k": strings.Repeat("v", 8192)}}, "ValidationException", "*"},
		{"dry run", "Encrypt", in{"KeyId": id, "Plaintext": b64("x"), "DryRun": true}, "DryRunOperationException", "The request would have succeeded, but the DryRun option is set."},
		{"neither size nor spec", "GenerateDataKey", in{"KeyId": id}, "ValidationException", "Please specify either number of bytes or key spec."},
		{"both size and spec", "GenerateDataKey", in{"KeyId": id, "KeySpec": "AES_256", "NumberOfBytes": 32}, "ValidationException", "Please specify either number of bytes or key spec."},
		{"1025 bytes", "GenerateDataKey", in{"KeyId": id, "NumberOfBytes": 1025}, "ValidationException", "*"},
		{"recipient", "GenerateDataKey", in{"KeyId": id, "KeySpec": "AES_256", "Recipient": in{}}, "UnsupportedOperationException", "*"},
		{"dry run of a data key", "GenerateDataKey", in{"KeyId": id, "KeySpec": "AES_256", "DryRun": true}, "DryRunOperationException", "*"},
		{"no ciphertext", "Decrypt", in{}, "ValidationException", "*"},
		{"ciphertext that is none", "Decrypt", in{"CiphertextBlob": b64("nonsense")}, "InvalidCiphertextException", ""},
		{"ciphertext of another key", "Decrypt", in{"CiphertextBlob": blob, "KeyId": other}, "IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation."},
		{"ciphertext with an absent key", "Decrypt", in{"CiphertextBlob": blob, "KeyId": absent}, "NotFoundException", "*"},
		{"another context", "Decrypt", in{"CiphertextBlob": blob, "EncryptionContext": map[string]string{"a": "b"}}, "InvalidCiphertextException", ""},
		{"dry run that succeeds", "Decrypt", in{"CiphertextBlob": blob, "DryRun": true}, "DryRunOperationException", "*"},
		{"dry run that fails", "Decrypt", in{"CiphertextBlob": blob, "DryRun": true, "EncryptionContext": map[string]string{"a": "b"}}, "InvalidCiphertextException", ""},
		{"dry run without ciphertext", "Decrypt", in{"KeyId": id, "DryRun": true, "DryRunModifiers": []string{"IGNORE_CIPHERTEXT"}}, "DryRunOperationException", "*"},
		{"dry run of nothing", "Decrypt", in{"DryRun": true, "DryRunModifiers": []string{"IGNORE_CIPHERTEXT"}}, "ValidationException", "*"},
		{"algorithm on decryption", "Decrypt", in{"CiphertextBlob": blob, "EncryptionAlgorithm": "SM2PKE"}, "InvalidKeyUsageException", "*"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := w.call(admin, c.operation, c.input)
			wantError(t, err, c.code, c.message)
		})
	}
}

// TestStates is the table of spec kms.md 4 for the operations there are.
func TestStates(t *testing.T) {
	w := newWorld(t)
	admin := w.as("admin")
	id := w.newKey(admin, in{})
	arn := keyARN(accountA, id)
	blob := w.encrypt(admin, id, "hello", nil)
	disabled := [2]string{"DisabledException", arn + " is disabled."}
	pending := [2]string{"KMSInvalidStateException", arn + " is pending deletion."}
	notPending := [2]string{"KMSInvalidStateException", arn + " is not pending deletion."}
	ok := [2]string{}

	into := map[string]func(){
		"Enabled":  func() {},
		"Disabled": func() { w.must(admin, "DisableKey", in{"KeyId": id}) },
		"PendingDeletion": func() {
			w.must(admin, "ScheduleKeyDeletion", in{"KeyId": id})
		},
	}
	reset := func() {
		_, _ = w.call(admin, "CancelKeyDeletion", in{"KeyId": id})
		w.must(admin, "EnableKey", in{"KeyId": id})
	}
	aliases := 0
	for _, c := range []struct {
		operation string
		input     in
		enabled   [2]string
		disabled  [2]string
		pending   [2]string
	}{
		{"Encrypt", in{"KeyId": id, "Plaintext": b64("x")}, ok, disabled, pending},
		{"Decrypt", in{"CiphertextBlob": blob}, ok, disabled, pending},
		{"GenerateDataKey", in{"KeyId": id, "KeySpec": "AES_256"}, ok, disabled, pending},
		{"EnableKey", in{"KeyId": id}, ok, ok, pending},
		{"DisableKey", in{"KeyId": id}, ok, ok, pending},
		{"ScheduleKeyDeletion", in{"KeyId": id}, ok, ok, pending},
		{"CancelKeyDeletion", in{"KeyId": id}, notPending, notPending, ok},
		{"CreateAlias", in{"TargetKeyId": id}, ok, ok, pending},
		{"DescribeKey", in{"KeyId": id}, ok, ok, ok},
		{"GetKeyPolicy", in{"KeyId": id}, ok, ok, ok},
		{"PutKeyPolicy", in{"KeyId": id, "Policy": defaultPolicy(accountA)}, ok, ok, ok},
		{"ListKeyPolicies", in{"KeyId": id}, ok, ok, ok},
		{"ListAliases", in{"KeyId": id}, ok, ok, ok},
	} {
		for state, want := range map[string][2]string{"Enabled": c.enabled, "Disabled": c.disabled, "PendingDeletion": c.pending} {
			t.Run(c.operation+" of a key "+state, func(t *testing.T) {
				reset()
				into[state]()
				if c.operation == "CreateAlias" {
					aliases++
					c.input["AliasName"] = fmt.Sprint("alias/", aliases)
				}
				_, err := w.call(admin, c.operation, c.input)
				if want == ok {
					check(t, err)
					return
				}
				wantError(t, err, want[0], want[1])
			})
		}
	}
}

func TestDeletionComesBackDisabled(t *testing.T) {
	w := newWorld(t)
	admin := w.as("admin")
	id := w.newKey(admin, in{})
	out := w.must(admin, "ScheduleKeyDeletion", in{"KeyId": id, "PendingWindowInDays": 7})
	due := float64(start.Add(7 * 24 * time.Hour).Unix())
	if out["KeyId"] != keyARN(accountA, id) || out["DeletionDate"] != due || out["KeyState"] != "PendingDeletion" || out["PendingWindowInDays"] != 7.0 {
		t.Errorf("ScheduleKeyDeletion returns %v", out)
	}
	m := w.must(admin, "DescribeKey", in{"KeyId": id})["KeyMetadata"].(map[string]any)
	if m["DeletionDate"] != due || m["Enabled"] != false || m["KeyState"] != "PendingDeletion" {
		t.Errorf("a pending key is described as %v", m)
	}
	if out := w.must(admin, "CancelKeyDeletion", in{"KeyId": id}); out["KeyId"] != keyARN(accountA, id) {
		t.Errorf("CancelKeyDeletion returns %v", out)
	}
	m = w.must(admin, "DescribeKey", in{"KeyId": id})["KeyMetadata"].(map[string]any)
	if m["DeletionDate"] != nil || m["KeyState"] != "Disabled" {
		t.Errorf("a spared key is described as %v", m)
	}
	w.advance(8 * 24 * time.Hour)
	if n, next, err := w.svc.PurgeDue(t.Context()); n != 0 || !next.IsZero() || err != nil {
		t.Errorf("PurgeDue is %d, %v, %v for a spared key", n, next, err)
	}
	if out := w.must(admin, "ScheduleKeyDeletion", in{"KeyId": id}); out["PendingWindowInDays"] != 30.0 {
		t.Errorf("the usual window is %v, want 30", out["PendingWindowInDays"])
	}
}

func TestListsPage(t *testing.T) {
	w := newWorld(t)
	admin := w.as("admin")
	var ids, names []string
	for i := range 7 {
		id := w.newKey(admin, in{})
		ids = append(ids, id)
		names = append(names, fmt.Sprint("alias/n", i))
		w.must(admin, "CreateAlias", in{"AliasName": names[i], "TargetKeyId": id})
	}
	// Neighbours that must not show.
	w.newKey(w.in("admin", abroad), in{})
	w.newKey(w.as(accountB+"/admin"), in{})
	slices.Sort(ids)

	walk := func(operation, list, member string, input in) (all []string) {
		for {
			out := w.must(admin, operation, input)
			for _, e := range out[list].([]any) {
				all = append(all, e.(map[string]any)[member].(string))
			}
			if out["Truncated"] != true {
				if out["NextMarker"] != nil {
					t.Errorf("%s ends with a marker", operation)
				}
				return all
			}
			input["Marker"] = out["NextMarker"]
		}
	}
	for limit := 1; limit <= 8; limit++ {
		if got := walk("ListKeys", "Keys", "KeyId", in{"Limit": limit}); !slices.Equal(got, ids) {
			t.Errorf("ListKeys by %d finds %v, want %v", limit, got, ids)
		}
		if got := walk("ListAliases", "Aliases", "AliasName", in{"Limit": limit}); !slices.Equal(got, names) {
			t.Errorf("ListAliases by %d finds %v, want %v", limit, got, names)
		}
	}
	id := ids[3]
	w.must(admin, "CreateAlias", in{"AliasName": "alias/second", "TargetKeyId": id})
	got := walk("ListAliases", "Aliases", "TargetKeyId", in{"KeyId": keyARN(accountA, id), "Limit": 1})
	if !slices.Equal(got, []string{id, id}) {
		t.Errorf("ListAliases of one key finds %v", got)
	}
	out := w.must(admin, "ListAliases", in{"KeyId": id})
	entry := out["Aliases"].([]any)[0].(map[string]any)
	if members := slices.Sorted(maps.Keys(entry)); !slices.Equal(members, []string{"AliasArn", "AliasName", "CreationDate", "LastUpdatedDate", "TargetKeyId"}) {
		t.Errorf("an alias has members %v", members)
	}
}

func TestQuotas(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Quotas = Quotas{Keys: 2, AliasesPerKey: 2} })
	admin := w.as("admin")
	// A service's own key is outside the quota.
	_, err := w.svc.Via("secretsmanager").DefaultKey(admin, accountA, home)
	check(t, err)
	id := w.newKey(admin, in{})
	w.newKey(admin, in{})
	w.fails(admin, "CreateKey", in{}, "LimitExceededException", "*")
	w.newKey(w.in("admin", abroad), in{})
	w.must(admin, "CreateAlias", in{"AliasName": "alias/1", "TargetKeyId": id})
	w.must(admin, "CreateAlias", in{"AliasName": "alias/2", "TargetKeyId": id})
	w.fails(admin, "CreateAlias", in{"AliasName": "alias/3", "TargetKeyId": id}, "LimitExceededException", "*")
	w.fails(admin, "DescribeKey", in{"KeyId": "alias/3"}, "NotFoundException", "*")
}

func TestUnbuiltOperationsAreUnknown(t *testing.T) {
	w := newWorld(t)
	for _, operation := range []string{"CreateGrant", "EnableKeyRotation", "TagResource", "Sign", "ReEncrypt"} {
		if _, err := w.reg.Invoke(w.as("admin"), "kms", operation, []byte("{}")); err == nil {
			t.Errorf("%s is answered", operation)
		}
	}
}
