package kms_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/strongroom/strongroom/internal/servertest"
)

const (
	keyARNs = "arn:aws:kms:us-east-1:111122223333:key/"
	absent  = "1234abcd-12ab-34cd-56ef-1234567890ab"
)

func TestNamesOfKeys(t *testing.T) {
	b := startServer(t)
	id, _ := b.key("")
	blob := b.blob(id)
	byAlias := map[string]bool{"DescribeKey": true, "Encrypt": true, "Decrypt": true, "GenerateDataKey": true}
	for key, want := range map[string][2]string{
		"fake-key-id":    {"NotFoundException", "Invalid keyId 'fake-key-id'"},
		absent:           {"NotFoundException", "Key '" + keyARNs + absent + "' does not exist"},
		keyARNs + absent: {"NotFoundException", "Key '" + keyARNs + absent + "' does not exist"},
		"arn:aws:kms:eu-west-1:111122223333:key/" + id: {"NotFoundException", "Invalid arn eu-west-1"},
		"arn:aws:s3:::bucket":                          {"InvalidArnException", "Invalid arn arn:aws:s3:::bucket"},
	} {
		for op, call := range b.onKey(b.admin, key, blob) {
			errs.Want(t, op, call(), want[0], want[1])
		}
	}
	for op, call := range b.onKey(b.admin, "alias/none", blob) {
		switch {
		case byAlias[op]:
			errs.Want(t, op, call(), "NotFoundException", "Alias arn:aws:kms:us-east-1:111122223333:alias/none is not found.")
		case op == "CreateAlias":
			errs.Want(t, op, call(), "ValidationException", "Aliases must refer to keys. Not aliases")
		default:
			errs.Want(t, op, call(), "NotFoundException", "Invalid keyId 'alias/none'")
		}
	}
}

func TestStatesOverTheWire(t *testing.T) {
	b := startServer(t)
	id, arn := b.key("")
	blob := b.blob(id)
	ops := b.onKey(b.admin, id, blob)
	errs.Want(t, "CancelKeyDeletion", ops["CancelKeyDeletion"](), "KMSInvalidStateException", arn+" is not pending deletion.")
	ok(t, ops["DisableKey"]())
	for _, op := range []string{"Encrypt", "Decrypt", "GenerateDataKey"} {
		errs.Want(t, op, ops[op](), "DisabledException", arn+" is disabled.")
	}
	for _, op := range []string{"DescribeKey", "GetKeyPolicy", "PutKeyPolicy", "ListKeyPolicies", "ListAliases", "DisableKey"} {
		ok(t, ops[op]())
	}
	// Another way to name it, once its alias is there.
	ok(t, ops["CreateAlias"]())
	out := must(b.admin.ScheduleKeyDeletion(t.Context(), &sdk.ScheduleKeyDeletionInput{KeyId: &id, PendingWindowInDays: aws.Int32(7)}))(t)
	if *out.KeyId != arn || out.KeyState != types.KeyStatePendingDeletion || *out.PendingWindowInDays != 7 {
		t.Errorf("%+v", out)
	}
	if d := time.Until(*out.DeletionDate) - 7*24*time.Hour; d < -time.Minute || d > time.Minute {
		t.Errorf("deleted at %v", out.DeletionDate)
	}
	for _, op := range []string{"Encrypt", "Decrypt", "GenerateDataKey", "EnableKey", "DisableKey", "ScheduleKeyDeletion", "CreateAlias"} {
		errs.Want(t, op, ops[op](), "KMSInvalidStateException", arn+" is pending deletion.")
	}
	for _, op := range []string{"DescribeKey", "GetKeyPolicy", "PutKeyPolicy", "ListKeyPolicies", "ListAliases"} {
		ok(t, ops[op]())
	}
	if c := must(b.admin.CancelKeyDeletion(t.Context(), &sdk.CancelKeyDeletionInput{KeyId: &id}))(t); *c.KeyId != arn {
		t.Errorf("cancelled %s", *c.KeyId)
	}
	m := must(b.admin.DescribeKey(t.Context(), &sdk.DescribeKeyInput{KeyId: str("alias/on-key")}))(t).KeyMetadata
	if m.KeyState != types.KeyStateDisabled || m.Enabled || m.DeletionDate != nil {
		t.Errorf("%+v", m)
	}
	ok(t, ops["EnableKey"]())
	ok(t, ops["Decrypt"]())
	for _, days := range []int32{6, 31, -1} {
		constraint := map[bool]string{true: "Member must have value greater than or equal to 7", false: "Member must have value less than or equal to 30"}[days < 7]
		if days < 1 {
			constraint = "Member must have value greater than or equal to 1" // the model's own
		}
		_, err := b.admin.ScheduleKeyDeletion(t.Context(), &sdk.ScheduleKeyDeletionInput{KeyId: &id, PendingWindowInDays: &days})
		errs.Want(t, "ScheduleKeyDeletion", err, "ValidationException", fmt.Sprintf("1 validation error detected: Value '%d' at 'pendingWindowInDays' failed to satisfy constraint: %s", days, constraint))
	}
}

func TestCreateKeyErrors(t *testing.T) {
	b := startServer(t)
	const op = "CreateKey"
	create := func(in sdk.CreateKeyInput) error {
		_, err := b.admin.CreateKey(t.Context(), &in)
		return err
	}
	tag := func(k string) types.Tag { return types.Tag{TagKey: &k, TagValue: str("")} }
	var many []types.Tag
	for i := range 51 {
		many = append(many, tag(fmt.Sprint("k", i)))
	}
	unsupported := func(err error, what string) {
		t.Helper()
		errs.Want(t, op, err, "UnsupportedOperationException", what+" is not supported.")
	}
	errs.Want(t, op, create(sdk.CreateKeyInput{KeySpec: "RSA_2048"}), "ValidationException", "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.")
	errs.Want(t, op, create(sdk.CreateKeyInput{KeyUsage: "SIGN_VERIFY"}), "ValidationException", "KeyUsage SIGN_VERIFY is not compatible with KeySpec SYMMETRIC_DEFAULT")
	unsupported(create(sdk.CreateKeyInput{KeySpec: "RSA_2048", KeyUsage: "SIGN_VERIFY"}), "KeySpec RSA_2048")
	unsupported(create(sdk.CreateKeyInput{Origin: "EXTERNAL"}), "Origin EXTERNAL")
	errs.Want(t, op, create(sdk.CreateKeyInput{MultiRegion: aws.Bool(true)}), "UnsupportedOperationException", "Multi-Region keys are not supported.")
	errs.Want(t, op, create(sdk.CreateKeyInput{CustomKeyStoreId: str("cks-1")}), "UnsupportedOperationException", "Custom key stores are not supported.")
	errs.Want(t, op, create(sdk.CreateKeyInput{Tags: []types.Tag{tag("a"), tag("a")}}), "TagException", "Duplicate tag keys")
	errs.Want(t, op, create(sdk.CreateKeyInput{Tags: many}), "TagException", "Too many tags")
	errs.Want(t, op, create(sdk.CreateKeyInput{Tags: []types.Tag{tag("Aws:x")}}), "TagException", "Tags beginning with aws: are reserved")
	long := strings.Repeat("k", 129)
	errs.Want(t, op, create(sdk.CreateKeyInput{Tags: []types.Tag{tag(long)}}), "ValidationException",
		"1 validation error detected: Value '"+long+"' at 'tags.1.member.tagKey' failed to satisfy constraint: Member must have length less than or equal to 128")
	ok(t, create(sdk.CreateKeyInput{Tags: append(many[:49:49], tag("a"), tag("A"))[:50]}))
	err := create(sdk.CreateKeyInput{KeySpec: "AES"})
	if err == nil || !strings.Contains(err.Error(), "Value 'AES' at 'keySpec' failed to satisfy constraint: Member must satisfy enum value set: [") {
		t.Errorf("%v", err)
	} else {
		errs.Note(t, op, "ValidationException", err.Error()[strings.Index(err.Error(), "1 validation"):])
	}
}

func TestKeyPolicyErrors(t *testing.T) {
	b := startServer(t)
	id, _ := b.key("")
	b.User(t, "alice", "")
	for _, op := range []string{"CreateKey", "PutKeyPolicy"} {
		put := func(policy string) error {
			if op == "CreateKey" {
				_, err := b.admin.CreateKey(t.Context(), &sdk.CreateKeyInput{Policy: &policy})
				return err
			}
			_, err := b.admin.PutKeyPolicy(t.Context(), &sdk.PutKeyPolicyInput{KeyId: &id, Policy: &policy})
			return err
		}
		who := func(principal string) string {
			return policyFor(`{"Effect":"Allow","Principal":{"AWS":"` + principal + `"},"Action":"kms:Encrypt","Resource":"*"}`)
		}
		const malformed = "MalformedPolicyDocumentException"
		errs.Want(t, op, put(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/alice"},"Action":"kms:*","Resource":"*"}]}`),
			malformed, "The new key policy will not allow you to update the key policy in the future.")
		for _, nobody := range []string{"arn:aws:iam::111122223333:user/ghost", "arn:aws:iam::111122223333:user/x/alice", "arn:aws:iam::111122223333:user/Alice",
			"arn:aws:iam::999999999999:root", "999999999999", "arn:aws:iam::111122223333:role/r", `arn:aws:iam::111122223333:user/\u0000`,
			`arn:aws:iam::11112222\u00003:root`, "arn:aws:iam::111122223333:user/" + strings.Repeat("n", 300), "arn:aws:iam:us-east-1:111122223333:user/alice"} {
			errs.Want(t, op, put(who(nobody)), malformed, "Policy contains a statement with one or more invalid principals.")
		}
		ok(t, put(who("arn:aws:iam::111122223333:user/alice")))
		errs.Want(t, op, put(strings.Repeat(" ", 32769)), "LimitExceededException", "Policy exceeds the maximum size of 32768 bytes.")
	}
	_, err := b.admin.PutKeyPolicy(t.Context(), &sdk.PutKeyPolicyInput{KeyId: &id, Policy: str(policyFor("")), PolicyName: str("mine")})
	errs.Want(t, "PutKeyPolicy", err, "UnsupportedOperationException", "The policy name must be default.")
	_, err = b.admin.GetKeyPolicy(t.Context(), &sdk.GetKeyPolicyInput{KeyId: &id, PolicyName: str("mine")})
	errs.Want(t, "GetKeyPolicy", err, "NotFoundException", "No such policy exists")
}

func TestAliasesAndLists(t *testing.T) {
	b := startServer(t)
	id, arn := b.key("")
	alias := func(name, key string) error {
		_, err := b.admin.CreateAlias(t.Context(), &sdk.CreateAliasInput{AliasName: &name, TargetKeyId: &key})
		return err
	}
	const op = "CreateAlias"
	errs.Want(t, op, alias("app", id), "ValidationException", `Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html`)
	errs.Want(t, op, alias("alias/aws/x", id), "NotAuthorizedException", "UnknownError") // the SDK's word for no message
	errs.Want(t, op, alias("alias/x:y", id), "ValidationException", "alias/x:y contains invalid characters for an alias")
	errs.Want(t, op, alias("alias/", id), "ValidationException", "Invalid identifier")
	ok(t, alias("alias/00", arn))
	errs.Want(t, op, alias("alias/00", id), "AlreadyExistsException", "An alias with the name arn:aws:kms:us-east-1:111122223333:alias/00 already exists")
	for i := 1; i < 50; i++ {
		ok(t, alias(fmt.Sprintf("alias/%02d", i), id))
	}
	errs.Want(t, op, alias("alias/50", id), "LimitExceededException", "The key "+arn+" has reached the maximum number of aliases: 50.")

	seen := 0
	for p := sdk.NewListAliasesPaginator(b.admin, &sdk.ListAliasesInput{Limit: aws.Int32(7)}); p.HasMorePages(); {
		for _, a := range must(p.NextPage(t.Context()))(t).Aliases {
			if want := fmt.Sprintf("alias/%02d", seen); *a.AliasName != want || *a.TargetKeyId != id || *a.AliasArn != "arn:aws:kms:us-east-1:111122223333:"+want || a.CreationDate == nil || a.LastUpdatedDate == nil {
				t.Errorf("%s of %s at %d", *a.AliasName, *a.TargetKeyId, seen)
			}
			seen++
		}
	}
	if seen != 50 {
		t.Errorf("%d aliases", seen)
	}
	for range 4 {
		b.key("")
	}
	seen = 0
	for p := sdk.NewListKeysPaginator(b.admin, &sdk.ListKeysInput{Limit: aws.Int32(2)}); p.HasMorePages(); {
		page := must(p.NextPage(t.Context()))(t)
		for _, k := range page.Keys {
			if *k.KeyArn != keyARNs+*k.KeyId {
				t.Errorf("%s is %s", *k.KeyId, *k.KeyArn)
			}
		}
		seen += len(page.Keys)
	}
	if seen != 5 {
		t.Errorf("%d keys", seen)
	}
	_, err := b.admin.ListKeys(t.Context(), &sdk.ListKeysInput{Marker: str("AA")})
	errs.Want(t, "ListKeys", err, "InvalidMarkerException", "Could not deserialize marker")
	_, err = b.admin.ListAliases(t.Context(), &sdk.ListAliasesInput{Marker: str("YWxpYXMvAA")})
	errs.Want(t, "ListAliases", err, "InvalidMarkerException", "Could not deserialize marker")
	_, err = b.admin.ListKeyPolicies(t.Context(), &sdk.ListKeyPoliciesInput{KeyId: &id, Marker: str("AA")})
	errs.Want(t, "ListKeyPolicies", err, "InvalidMarkerException", "Could not deserialize marker")
	names := must(b.admin.ListKeyPolicies(t.Context(), &sdk.ListKeyPoliciesInput{KeyId: &id}))(t)
	if len(names.PolicyNames) != 1 || names.PolicyNames[0] != "default" || names.Truncated {
		t.Errorf("%+v", names)
	}
}

func TestCryptographyErrors(t *testing.T) {
	b := startServer(t)
	id, _ := b.key("")
	other, _ := b.key("")
	blob := b.blob(id)
	encrypt := func(in sdk.EncryptInput) error {
		if in.KeyId = &id; in.Plaintext == nil {
			in.Plaintext = []byte("x")
		}
		_, err := b.admin.Encrypt(t.Context(), &in)
		return err
	}
	decrypt := func(in sdk.DecryptInput) error {
		if in.CiphertextBlob == nil {
			in.CiphertextBlob = blob
		}
		_, err := b.admin.Decrypt(t.Context(), &in)
		return err
	}
	dataKey := func(in sdk.GenerateDataKeyInput) error {
		in.KeyId = &id
		_, err := b.admin.GenerateDataKey(t.Context(), &in)
		return err
	}
	const dry, plaintext = "The request would have succeeded, but the DryRun option is set.", "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length "
	yes, token := aws.Bool(true), []string{"t"}
	errs.Want(t, "Encrypt", encrypt(sdk.EncryptInput{Plaintext: []byte{}}), "ValidationException", plaintext+"greater than or equal to 1")
	errs.Want(t, "Encrypt", encrypt(sdk.EncryptInput{Plaintext: make([]byte, 4097)}), "ValidationException", plaintext+"less than or equal to 4096")
	errs.Want(t, "Encrypt", encrypt(sdk.EncryptInput{EncryptionAlgorithm: "RSAES_OAEP_SHA_1"}), "InvalidKeyUsageException", "Algorithm RSAES_OAEP_SHA_1 is incompatible with key spec SYMMETRIC_DEFAULT.")
	errs.Want(t, "Decrypt", decrypt(sdk.DecryptInput{EncryptionAlgorithm: "SM2PKE"}), "InvalidKeyUsageException", "Algorithm SM2PKE is incompatible with key spec SYMMETRIC_DEFAULT.")
	errs.Want(t, "Encrypt", encrypt(sdk.EncryptInput{DryRun: yes}), "DryRunOperationException", dry)
	errs.Want(t, "Decrypt", decrypt(sdk.DecryptInput{DryRun: yes}), "DryRunOperationException", dry)
	errs.Want(t, "GenerateDataKey", dataKey(sdk.GenerateDataKeyInput{KeySpec: "AES_128", DryRun: yes}), "DryRunOperationException", dry)
	errs.Want(t, "Encrypt", encrypt(sdk.EncryptInput{GrantTokens: token}), "InvalidGrantTokenException", "Invalid grant token")
	errs.Want(t, "Decrypt", decrypt(sdk.DecryptInput{GrantTokens: token}), "InvalidGrantTokenException", "Invalid grant token")
	errs.Want(t, "GenerateDataKey", dataKey(sdk.GenerateDataKeyInput{KeySpec: "AES_256", GrantTokens: token}), "InvalidGrantTokenException", "Invalid grant token")
	errs.Want(t, "GenerateDataKey", dataKey(sdk.GenerateDataKeyInput{}), "ValidationException", "Please specify either number of bytes or key spec.")
	errs.Want(t, "GenerateDataKey", dataKey(sdk.GenerateDataKeyInput{KeySpec: "AES_256", NumberOfBytes: aws.Int32(1)}), "ValidationException", "Please specify either number of bytes or key spec.")
	errs.Want(t, "Decrypt", decrypt(sdk.DecryptInput{KeyId: &other}), "IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation.")
	for name, in := range map[string]sdk.DecryptInput{
		"context that was not given": {EncryptionContext: map[string]string{"a": "b"}},
		"nonsense":                   {CiphertextBlob: []byte("nonsense")},
		"altered":                    {CiphertextBlob: append(append([]byte(nil), blob[:len(blob)-1]...), blob[len(blob)-1]^1)},
		"cut short":                  {CiphertextBlob: blob[:len(blob)-1]},
	} {
		t.Run(name, func(t *testing.T) { errs.Want(t, "Decrypt", decrypt(in), "InvalidCiphertextException", "") })
	}
	// The bytes: no message member at all.
	a := b.Send(t, servertest.Raw{Service: "kms", Target: "TrentService.Decrypt", Body: `{"CiphertextBlob":"bm9uc2Vuc2U="}`})
	if string(a.Body) != `{"__type":"InvalidCiphertextException"}` {
		t.Errorf("%s", a.Body)
	}
}

func TestCiphertextsRoundTrip(t *testing.T) {
	b := startServer(t)
	id, arn := b.key("")
	_, err := b.admin.CreateAlias(t.Context(), &sdk.CreateAliasInput{AliasName: str("alias/app"), TargetKeyId: &id})
	ok(t, err)
	ec := map[string]string{"a": "b", "": "empty", "ü": "\n"}
	for _, name := range []string{id, arn, "alias/app", "arn:aws:kms:us-east-1:111122223333:alias/app"} {
		e := must(b.admin.Encrypt(t.Context(), &sdk.EncryptInput{KeyId: &name, Plaintext: []byte("hello"), EncryptionContext: ec}))(t)
		if *e.KeyId != arn || e.EncryptionAlgorithm != "SYMMETRIC_DEFAULT" {
			t.Errorf("%s: %+v", name, e)
		}
		for _, with := range []*string{nil, &name} {
			d := must(b.admin.Decrypt(t.Context(), &sdk.DecryptInput{CiphertextBlob: e.CiphertextBlob, EncryptionContext: ec, KeyId: with}))(t)
			if string(d.Plaintext) != "hello" || *d.KeyId != arn || len(*d.KeyMaterialId) != 64 {
				t.Errorf("%s: %+v", name, d)
			}
		}
		for _, n := range []int32{1, 1024} {
			g := must(b.admin.GenerateDataKey(t.Context(), &sdk.GenerateDataKeyInput{KeyId: &name, NumberOfBytes: &n}))(t)
			d := must(b.admin.Decrypt(t.Context(), &sdk.DecryptInput{CiphertextBlob: g.CiphertextBlob}))(t)
			if len(g.Plaintext) != int(n) || string(d.Plaintext) != string(g.Plaintext) || *g.KeyId != arn {
				t.Errorf("%s: data key of %d bytes: %d", name, n, len(g.Plaintext))
			}
		}
	}
	most := must(b.admin.Encrypt(t.Context(), &sdk.EncryptInput{KeyId: &id, Plaintext: make([]byte, 4096)}))(t)
	if len(most.CiphertextBlob) > 6144 {
		t.Errorf("4096 bytes become %d", len(most.CiphertextBlob))
	}
	// What was encrypted before a restart opens behind it.
	b.Restart()
	d := must(b.KMS("").Decrypt(t.Context(), &sdk.DecryptInput{CiphertextBlob: most.CiphertextBlob}))(t)
	if len(d.Plaintext) != 4096 {
		t.Errorf("%d bytes after a restart", len(d.Plaintext))
	}
}

func TestRefusedSignatures(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	s := servertest.Start(t, servertest.Now(func() time.Time { return now }))
	for _, f := range servertest.Refusals("kms", now, 5*time.Minute) {
		t.Run(f.Name, func(t *testing.T) {
			q := servertest.Raw{Service: "kms", Target: "TrentService.ListKeys", Body: "{}", Key: s.Admin, At: now}
			f.Change(&q)
			r := s.Request(t, q)
			want, message := f.Want(false, r)
			a := s.Do(t, r)
			code, got := a.Error()
			if a.Status != want.Status || code != want.Name || got != message {
				t.Errorf("answered %d %s: %s\nwant %d %s: %s", a.Status, code, got, want.Status, want.Name, message)
			}
			if !strings.HasPrefix(string(a.Body), `{"__type":"`+want.Name+`","message":"`) || a.Header.Get("Content-Type") != "application/x-amz-json-1.1" || len(a.Header.Get("x-amzn-RequestId")) != 36 {
				t.Errorf("%v %s", a.Header, a.Body)
			}
			if d, err := http.ParseTime(a.Header.Get("Date")); err != nil || !d.Equal(now) {
				t.Errorf("Date is %q", a.Header.Get("Date"))
			}
			errs.Note(t, "ListKeys", code, got)
		})
	}
	for _, d := range []time.Duration{-5 * time.Minute, 5 * time.Minute} {
		if a := s.Send(t, servertest.Raw{Service: "kms", Target: "TrentService.ListKeys", Body: "{}", At: now.Add(d)}); a.Status != http.StatusOK {
			t.Errorf("by %v: %s", d, a.Body)
		}
	}
}

func TestExpiredRoot(t *testing.T) {
	var moved atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(moved.Load())) }
	s := servertest.Start(t, servertest.Now(now))
	root := s.RootCredentials(t, servertest.Account)
	for _, c := range []struct {
		after         time.Duration
		status        int
		code, message string
	}{{59 * time.Minute, 200, "", ""}, {time.Hour, 400, "ExpiredTokenException", "The security token included in the request is expired"}} {
		moved.Store(int64(c.after))
		a := s.Send(t, servertest.Raw{Service: "kms", Target: "TrentService.ListKeys", Body: "{}", Key: root.Credentials, At: now()})
		if code, message := a.Error(); a.Status != c.status || code != c.code || message != c.message {
			t.Errorf("after %v: %d %s", c.after, a.Status, a.Body)
		} else {
			errs.Note(t, "ListKeys", code, message)
		}
	}
}
