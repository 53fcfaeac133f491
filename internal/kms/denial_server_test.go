package kms_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	sdk "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/internal/servertest"
)

// named are the operations whose denial names the key; Decrypt without
// rights says what it says of a key that is gone, and the others are IAM's alone.
var named = []string{"DescribeKey", "EnableKey", "DisableKey", "ScheduleKeyDeletion", "CancelKeyDeletion", "GetKeyPolicy", "PutKeyPolicy", "ListKeyPolicies", "Encrypt", "GenerateDataKey"}

func TestDenialsOverTheWire(t *testing.T) {
	b := startServer(t)
	nobody, everything := b.User(t, "nobody", ""), b.User(t, "everything", servertest.Allow("*", "*"))
	open, openARN := b.key("")
	// A policy that names one user and not the account: IAM counts for nothing.
	closed, closedARN := b.key(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/admin"},"Action":"kms:*","Resource":"*"}]}`)
	guarded, guardedARN := b.key(policyFor(`{"Effect":"Deny","Principal":"*","Action":"kms:Encrypt","Resource":"*"}`))
	blob, closedBlob := b.blob(open), b.blob(closed)
	const gone = "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access."
	says := func(who, op, arn, why string) string {
		return "User: arn:aws:iam::111122223333:user/" + who + " is not authorized to perform: kms:" + op + " on resource: " + arn + " " + why
	}
	for _, op := range named {
		errs.Want(t, op, b.onKey(b.as(nobody, ""), open, blob)[op](), "AccessDeniedException",
			says("nobody", op, openARN, "because no identity-based policy allows the kms:"+op+" action"))
		errs.Want(t, op, b.onKey(b.as(everything, ""), closed, closedBlob)[op](), "AccessDeniedException",
			says("everything", op, closedARN, "because no resource-based policy allows the kms:"+op+" action"))
	}
	errs.Want(t, "Encrypt", b.onKey(b.admin, guarded, nil)["Encrypt"](), "AccessDeniedException", says("admin", "Encrypt", guardedARN, "with an explicit deny in a resource-based policy"))
	for _, c := range []struct {
		who *sdk.Client
		in  []byte
	}{{b.as(nobody, ""), blob}, {b.as(everything, ""), closedBlob}, {b.KMS(servertest.Other), blob}} {
		_, err := c.who.Decrypt(t.Context(), &sdk.DecryptInput{CiphertextBlob: c.in})
		errs.Want(t, "Decrypt", err, "AccessDeniedException", gone)
	}
	// Root of the account has no more right to the closed key than others.
	root := b.as(b.RootCredentials(t, servertest.Account).Credentials, "")
	_, err := root.DescribeKey(t.Context(), &sdk.DescribeKeyInput{KeyId: &closed})
	errs.Want(t, "DescribeKey", err, "AccessDeniedException", "User: arn:aws:iam::111122223333:root is not authorized to perform: kms:DescribeKey on resource: "+closedARN+" because no resource-based policy allows the kms:DescribeKey action")
	must(root.DescribeKey(t.Context(), &sdk.DescribeKeyInput{KeyId: &open}))(t)
	must(root.ListKeys(t.Context(), nil))(t)
	// Listings are IAM's alone.
	for op, err := range map[string]error{
		"ListKeys":    second(b.as(nobody, "").ListKeys(t.Context(), nil)),
		"ListAliases": second(b.as(nobody, "").ListAliases(t.Context(), nil)),
		"CreateKey":   second(b.as(nobody, "").CreateKey(t.Context(), nil)),
	} {
		errs.Want(t, op, err, "AccessDeniedException", says("nobody", op, "*", "because no identity-based policy allows the kms:"+op+" action"))
	}
	// State is told to the permitted only.
	ok(t, b.onKey(b.admin, open, nil)["DisableKey"]())
	errs.Want(t, "Encrypt", b.onKey(b.as(nobody, ""), open, nil)["Encrypt"](), "AccessDeniedException",
		says("nobody", "Encrypt", openARN, "because no identity-based policy allows the kms:Encrypt action"))
}

func second[T any](_ T, err error) error { return err }

// Nothing crosses accounts without both sides' consent, and keys of another
// account cannot be told from keys that are not.
func TestAccountsAreApart(t *testing.T) {
	b := startServer(t)
	otherAdmin := b.Account(t, "444455556666")
	other := b.as(otherAdmin, "")
	_, arn := b.key("")
	blob := b.blob(arn)
	missing := keyARNs + absent
	for _, op := range append(named, "CreateAlias", "ListAliases") {
		want, got := b.onKey(other, missing, blob)[op](), b.onKey(other, arn, blob)[op]()
		if want == nil || got == nil || strings.ReplaceAll(message(got), arn, "KEY") != strings.ReplaceAll(message(want), missing, "KEY") {
			t.Errorf("%s: %v\nof a key that is not: %v", op, got, want)
		}
	}
	if _, err := other.Decrypt(t.Context(), &sdk.DecryptInput{CiphertextBlob: blob}); err == nil {
		t.Error("another account decrypts")
	}
	if keys := must(other.ListKeys(t.Context(), nil))(t).Keys; len(keys) != 0 {
		t.Errorf("it lists %d keys", len(keys))
	}
	// Consent of the owner alone, then of both.
	put := func(policy string) {
		must(b.admin.PutKeyPolicy(t.Context(), &sdk.PutKeyPolicyInput{KeyId: &arn, Policy: &policy}))(t)
	}
	put(policyFor(`{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":["kms:Encrypt","kms:Decrypt"],"Resource":"*"}`))
	bare := b.as(b.UserOf(t, otherAdmin, "bare", ""), "")
	if _, err := bare.Encrypt(t.Context(), &sdk.EncryptInput{KeyId: &arn, Plaintext: []byte("x")}); err == nil || !strings.Contains(err.Error(), "no identity-based policy allows the kms:Encrypt action") {
		t.Errorf("%v", err)
	}
	e := must(other.Encrypt(t.Context(), &sdk.EncryptInput{KeyId: &arn, Plaintext: []byte("hello")}))(t)
	if d := must(b.admin.Decrypt(t.Context(), &sdk.DecryptInput{CiphertextBlob: e.CiphertextBlob}))(t); string(d.Plaintext) != "hello" {
		t.Errorf("%s", d.Plaintext)
	}
	must(other.Decrypt(t.Context(), &sdk.DecryptInput{CiphertextBlob: blob}))(t)
	// Consent for an operation that never crosses is worth nothing.
	put(policyFor(`{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":"kms:*","Resource":"*"}`))
	for _, op := range []string{"EnableKey", "DisableKey", "ScheduleKeyDeletion", "GetKeyPolicy", "PutKeyPolicy", "ListKeyPolicies", "CreateAlias"} {
		if err := b.onKey(other, arn, nil)[op](); err == nil {
			t.Errorf("%s crosses accounts", op)
		}
	}
	// Withdrawn: in force for the next call.
	put(policyFor(""))
	if _, err := other.Decrypt(t.Context(), &sdk.DecryptInput{CiphertextBlob: blob}); err == nil {
		t.Error("it still decrypts")
	}
	// A bare id is one's own account's.
	if _, err := other.DescribeKey(t.Context(), &sdk.DescribeKeyInput{KeyId: str(arn[len(keyARNs):])}); err == nil || !strings.Contains(err.Error(), "Key 'arn:aws:kms:us-east-1:444455556666:key/") {
		t.Errorf("%v", err)
	}
}

func message(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode() + ": " + e.ErrorMessage()
	}
	return ""
}

// Key states, key policies and IAM policies hold for every request that begins
// after the change was acknowledged.
func TestChangesHoldAtOnce(t *testing.T) {
	b := startServer(t)
	user := b.User(t, "app", servertest.Allow("*", "kms:Encrypt"))
	id, _ := b.key("")
	put := func(policy string) func() error {
		return func() error {
			return second(b.admin.PutKeyPolicy(t.Context(), &sdk.PutKeyPolicyInput{KeyId: &id, Policy: &policy}))
		}
	}
	deny := policyFor(`{"Effect":"Deny","Principal":"*","Action":"kms:Encrypt","Resource":"*"}`)
	grant := func(text string) func() error {
		return func() error {
			_, err := b.IAM().PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: aws.String("app"), PolicyName: aws.String("test"), PolicyDocument: &text})
			return err
		}
	}
	ops := b.onKey(b.admin, id, nil)
	changes := []struct {
		code string
		make func() error
	}{
		{"DisabledException", ops["DisableKey"]}, {"", ops["EnableKey"]},
		{"AccessDeniedException", put(deny)}, {"", put(policyFor(""))},
		{"AccessDeniedException", grant(servertest.Allow("*", "kms:Decrypt"))}, {"", grant(servertest.Allow("*", "kms:*"))},
		{"KMSInvalidStateException", ops["ScheduleKeyDeletion"]}, {"DisabledException", ops["CancelKeyDeletion"]}, {"", ops["EnableKey"]},
	}
	var state atomic.Pointer[string] // nil while a change is under way
	state.Store(new(""))
	stop := make(chan struct{})
	var asked atomic.Int64
	var wg sync.WaitGroup
	for range 32 {
		client := b.as(user, "")
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				before := state.Load()
				_, err := client.Encrypt(t.Context(), &sdk.EncryptInput{KeyId: &id, Plaintext: []byte("x")})
				if before == nil || state.Load() != before {
					continue
				}
				asked.Add(1)
				if got, _, _ := strings.Cut(message(err), ":"); got != *before {
					t.Errorf("answered %q where %q is in force: %v", got, *before, err)
					return
				}
			}
		})
	}
	for range 3 {
		for i := range changes {
			state.Store(nil)
			ok(t, changes[i].make())
			state.Store(&changes[i].code)
			for n := asked.Load(); asked.Load() < n+32 && !t.Failed(); {
				time.Sleep(time.Millisecond)
			}
		}
	}
	close(stop)
	wg.Wait()
	t.Logf("%d requests judged", asked.Load())
}

// What no SDK sends.
func TestRequestsOfNoClient(t *testing.T) {
	b := startServer(t)
	for _, c := range []struct{ name, target, body, code string }{
		{"operation of another issue", "TrentService.CreateGrant", "{}", "UnknownOperationException"},
		{"operation of no issue", "TrentService.Sing", "{}", "UnknownOperationException"},
		{"name in another case", "trentservice.listkeys", "{}", "UnknownOperationException"},
		{"no JSON", "TrentService.ListKeys", "{", "SerializationException"},
		{"no object", "TrentService.ListKeys", "[]", "SerializationException"},
		{"no body", "TrentService.DescribeKey", "", "ValidationException"},
		{"wrong type", "TrentService.ListKeys", `{"Limit":"1"}`, "SerializationException"},
		{"member twice", "TrentService.ListKeys", `{"Limit":1,"Limit":2}`, "SerializationException"},
		{"deep nesting", "TrentService.ListKeys", strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000), "SerializationException"},
		{"not UTF-8", "TrentService.DescribeKey", "{\"KeyId\":\"\xff\"}", "SerializationException"},
		{"NUL in a name", "TrentService.DescribeKey", `{"KeyId":"\u0000"}`, "ValidationException"},
		{"blob that is not base64", "TrentService.Decrypt", `{"CiphertextBlob":"!"}`, "SerializationException"},
		{"number that is none of ours", "TrentService.ListKeys", `{"Limit":1e999}`, "SerializationException"},
		{"null for what is needed", "TrentService.DescribeKey", `{"KeyId":null}`, "ValidationException"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := b.Send(t, servertest.Raw{Service: "kms", Target: c.target, Body: c.body})
			code, message := a.Error()
			if a.Status != 400 || code != c.code {
				t.Errorf("answered %d %s", a.Status, a.Body)
			}
			errs.Note(t, "ListKeys", code, message)
		})
	}
}
