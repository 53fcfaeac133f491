package sts_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

// asker is a server whose denials are asked about.
type asker struct {
	*servertest.Server
	*testing.T
}

// onBoth runs fn against servers on both databases.
func onBoth(t *testing.T, fn func(asker)) {
	t.Parallel()
	for name, options := range map[string][]servertest.Option{"sqlite": nil, "postgresql": {servertest.Postgres()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fn(asker{servertest.Start(t, options...), t})
		})
	}
}

// message is what DecodeAuthorizationMessage says.
type message struct {
	Allowed           *bool
	ExplicitDeny      bool
	MatchedStatements struct{ Items []statement }
	Failures          struct{ Items []any }
	Context           struct {
		Principal  struct{ ID, Name, ARN string }
		Action     string
		Resource   string
		Conditions struct{ Items []condition }
	}
	Strongroom struct {
		Denials []struct {
			RequestID, CallID, EventID, Time, Service, Operation, Via string
			Explanation                                               *policy.Explanation
			Text                                                      string
		}
	}
}

type values struct{ Items []struct{ Value string } }

type statement struct {
	StatementID                    string
	Effect                         string
	Principals, Actions, Resources values
	Conditions                     struct{ Items []condition }
}

type condition struct {
	Key    string
	Values values
}

func (v values) list() (out []string) {
	for _, i := range v.Items {
		out = append(out, i.Value)
	}
	return out
}

// denied returns the request id of a call that was.
func (a asker) denied(err error) string {
	a.Helper()
	if !strings.HasPrefix(code(err), "AccessDenied") {
		a.Fatalf("not denied: %v", err)
	}
	return requestOf(err)
}

// requestOf returns the request id of a failed call.
func requestOf(err error) string {
	var answer *awshttp.ResponseError
	if !errors.As(err, &answer) {
		return ""
	}
	return answer.ServiceRequestID()
}

func code(err error) string {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return ""
	}
	return api.ErrorCode()
}

// decode asks as a key about a request, which the SDK's answer must explain.
func (a asker) decode(key server.Credentials, id string) *message {
	a.Helper()
	out, err := a.STS(key).DecodeAuthorizationMessage(a.Context(), &sts.DecodeAuthorizationMessageInput{EncodedMessage: &id})
	if err != nil {
		a.Fatalf("decode %s: %v", id, err)
	}
	m := new(message)
	if err := json.Unmarshal([]byte(*out.DecodedMessage), m); err != nil {
		a.Fatalf("%v in %s", err, *out.DecodedMessage)
	}
	if m.Allowed == nil || *m.Allowed || m.Failures.Items == nil || len(m.Strongroom.Denials) == 0 || m.Strongroom.Denials[0].RequestID != id {
		a.Fatalf("message is %s", *out.DecodedMessage)
	}
	return m
}

func (a asker) contains(text string, wants ...string) {
	a.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			a.Errorf("no %q in\n%s", want, text)
		}
	}
}

// secret makes a secret and returns its ARN.
func (a asker) secret(name, key string) string {
	a.Helper()
	in := &secretsmanager.CreateSecretInput{Name: &name, SecretString: aws.String("value"), ClientRequestToken: aws.String(strings.Repeat("t", 32))}
	if key != "" {
		in.KmsKeyId = &key
	}
	out, err := a.Secrets().CreateSecret(a.Context(), in)
	if err != nil {
		a.Fatal(err)
	}
	return *out.ARN
}

func (a asker) read(key server.Credentials, id string) error {
	_, err := a.SecretsAs(key, "").GetSecretValue(a.Context(), &secretsmanager.GetSecretValueInput{SecretId: &id})
	return err
}

// document is a policy of statements.
func document(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

// An implicit denial shows the policy that stood then and the change that, made,
// lets the same call through.
func TestDecodeImplicitDenial(t *testing.T) {
	onBoth(t, func(a asker) {
		arn := a.secret("app/db", "")
		const elsewhere = `{"Sid":"FromElsewhere","Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","192.0.2.0/24"]}}}`
		app := a.User(a.T, "app", document(elsewhere))
		id := a.denied(a.read(app, "app/db"))

		m := a.decode(a.Admin, id)
		if m.ExplicitDeny || len(m.MatchedStatements.Items) != 0 || m.Context.Action != "secretsmanager:GetSecretValue" || m.Context.Resource != arn ||
			m.Context.Principal.Name != "app" || m.Context.Principal.ARN != "arn:aws:iam::111122223333:user/app" || !strings.HasPrefix(m.Context.Principal.ID, "AIDA") {
			a.Errorf("message %+v", m)
		}
		got := map[string][]string{}
		for _, c := range m.Context.Conditions.Items {
			got[c.Key] = c.Values.list()
		}
		if !slices.Equal(got["aws:SourceIp"], []string{"127.0.0.1"}) || !slices.Equal(got["aws:SecureTransport"], []string{"true"}) ||
			!slices.Equal(got["secretsmanager:SecretId"], []string{arn}) || len(got["aws:CurrentTime"]) != 1 {
			a.Errorf("conditions %v", got)
		}
		d := m.Strongroom.Denials[0]
		a.contains(d.Text, "Request "+id, "of account 111122223333", "secretsmanager:GetSecretValue in us-east-1",
			"implicitDeny, because no identity-based policy allows the secretsmanager:GetSecretValue action",
			"caller    arn:aws:iam::111122223333:user/app", "resource  "+arn, `statement 1 "FromElsewhere" (Allow), line 1: does not match`,
			`IpAddress aws:SourceIp "10.0.0.0/8" or "192.0.2.0/24"; the request has "127.0.0.1"`, "fails only by Condition")
		x := d.Explanation
		if len(x.Policies) != 1 || !strings.HasSuffix(x.Policies[0].ID, "test") || x.Policies[0].Version != "1" {
			a.Fatalf("policies %+v", x.Policies)
		}

		// The policy moves on; the explanation stays with what was.
		a.SetPolicy(a.T, a.Admin, "app", document(elsewhere, x.Changes[0].Add))
		if err := a.read(app, "app/db"); err != nil {
			a.Errorf("after the change that was asked for (%s): %v", x.Changes[0].Add, err)
		}
		if again := a.decode(a.Admin, id).Strongroom.Denials[0]; again.Text != d.Text {
			a.Errorf("before:\n%s\nafter:\n%s", d.Text, again.Text)
		}
		a.SetPolicy(a.T, a.Admin, "app", servertest.Deny("*", "secretsmanager:*"))
		id = a.denied(a.read(app, "app/db"))
		if p := a.decode(a.Admin, id).Strongroom.Denials[0].Explanation.Policies[0]; p.Version != "3" {
			a.Errorf("version %s of a policy that was put three times", p.Version)
		}

		// And over a restart.
		a.Restart()
		if again := a.decode(a.Admin, d.RequestID).Strongroom.Denials[0]; again.Text != d.Text {
			a.Errorf("before:\n%s\nafter a restart:\n%s", d.Text, again.Text)
		}
	})
}

// An explicit denial names the statement and its condition, held or not.
func TestDecodeExplicitDenial(t *testing.T) {
	onBoth(t, func(a asker) {
		a.secret("app/db", "")
		const allow = `{"Effect":"Allow","Action":"*","Resource":"*"}`
		const held = `{"Sid":"NotFromHere","Effect":"Deny","Action":"secretsmanager:Get*","Resource":"*","Condition":{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}`
		const failed = `{"Sid":"NotInTheOpen","Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`
		app := a.User(a.T, "app", document(allow, failed, held))
		m := a.decode(a.Admin, a.denied(a.read(app, "app/db")))
		if !m.ExplicitDeny || len(m.MatchedStatements.Items) != 2 {
			a.Fatalf("message %+v", m)
		}
		st := m.MatchedStatements.Items[1]
		if m.MatchedStatements.Items[0].Effect != "ALLOW" || st.Effect != "DENY" || st.StatementID != "NotFromHere" || !slices.Equal(st.Principals.list(), []string{m.Context.Principal.ID}) ||
			!slices.Equal(st.Actions.list(), []string{"secretsmanager:Get*"}) || !slices.Equal(st.Resources.list(), []string{"*"}) ||
			len(st.Conditions.Items) != 1 || st.Conditions.Items[0].Key != "aws:SourceIp" || !slices.Equal(st.Conditions.Items[0].Values.list(), []string{"10.0.0.0/8"}) {
			a.Errorf("statement %+v", st)
		}
		d := m.Strongroom.Denials[0]
		a.contains(d.Text, "explicitDeny, with an explicit deny in an identity-based policy", `statement 2 "NotInTheOpen" (Deny), line 1: does not match`,
			`Bool aws:SecureTransport "false"; the request has "true"`, `statement 3 "NotFromHere" (Deny), line 1: matches`,
			`(condition)  NotIpAddress aws:SourceIp "10.0.0.0/8"; the request has "127.0.0.1"`, `remove or narrow statement 3 "NotFromHere" (Deny)`)
		if len(d.Explanation.Changes) != 1 {
			a.Errorf("changes %+v", d.Explanation.Changes)
		}
		a.SetPolicy(a.T, a.Admin, "app", document(allow, failed))
		if err := a.read(app, "app/db"); err != nil {
			a.Errorf("without the statement: %v", err)
		}
	})
}

// A denial by the policy of a secret, and one by the policy of its key within the
// call: the caller has one request id for both.
func TestDecodeDenialByResource(t *testing.T) {
	onBoth(t, func(a asker) {
		app := a.User(a.T, "app", servertest.Allow("*", "secretsmanager:*", "kms:*"))
		arn := a.secret("denied", "")
		deny := document(`{"Sid":"Closed","Effect":"Deny","Principal":{"AWS":"arn:aws:iam::111122223333:user/app"},"Action":"secretsmanager:GetSecretValue","Resource":"*"}`)
		if _, err := a.Secrets().PutResourcePolicy(a.Context(), &secretsmanager.PutResourcePolicyInput{SecretId: &arn, ResourcePolicy: &deny}); err != nil {
			a.Fatal(err)
		}
		m := a.decode(a.Admin, a.denied(a.read(app, arn)))
		a.contains(m.Strongroom.Denials[0].Text, "explicit deny in a resource-based policy", `statement 1 "Closed" (Deny), line 3: matches`, "remove or narrow")
		closed := m.MatchedStatements.Items[0]
		if closed.StatementID != "Closed" || !slices.Equal(closed.Principals.list(), []string{m.Context.Principal.ID}) {
			a.Errorf("statements %+v", m.MatchedStatements.Items)
		}
		found := slices.ContainsFunc(m.Strongroom.Denials[0].Explanation.Policies, func(p policy.PolicyTrace) bool {
			return p.Layer == policy.LayerResource && strings.Contains(p.ID, arn) && p.Version == "1"
		})
		if !found {
			a.Errorf("policies %+v", m.Strongroom.Denials[0].Explanation.Policies)
		}

		// A key that consents to the admin alone.
		only := func(more ...string) string {
			return document(append([]string{`{"Sid":"Admin","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/admin"},"Action":"kms:*","Resource":"*"}`}, more...)...)
		}
		key, err := a.KMS("").CreateKey(a.Context(), &kms.CreateKeyInput{Policy: aws.String(only())})
		if err != nil {
			a.Fatal(err)
		}
		a.secret("locked", *key.KeyMetadata.Arn)
		err = a.read(app, "locked")
		id := a.denied(err)
		m = a.decode(a.Admin, id)
		d := m.Strongroom.Denials[0]
		if d.Via != "secretsmanager.amazonaws.com" || d.Service != "kms" || d.Operation != "Decrypt" || d.CallID == id ||
			m.Context.Action != "kms:Decrypt" || m.Context.Resource != *key.KeyMetadata.Arn {
			a.Errorf("denial %+v", d)
		}
		a.contains(d.Text, "Request "+id, "secretsmanager.amazonaws.com on the principal's behalf, as request "+d.CallID,
			"because no resource-based policy allows the kms:Decrypt action", `statement 1 "Admin" (Allow)`, "for caller arn:aws:iam::111122223333:user/app")
		keys := map[string]bool{}
		for _, c := range m.Context.Conditions.Items {
			keys[strings.ToLower(c.Key)] = true
		}
		if !keys["kms:viaservice"] || !keys["kms:encryptioncontext:secretarn"] || !keys["aws:calledvia"] {
			a.Errorf("conditions %v", keys)
		}
		if inner, err := a.Server.Server().Denials(a.Context(), d.CallID); err != nil || len(inner) != 1 || inner[0].RequestID != id {
			a.Errorf("by the inner call: %v, %v", inner, err)
		}
		if len(d.Explanation.Changes) != 1 || d.Explanation.Changes[0].Layer != policy.LayerResource {
			a.Fatalf("changes %+v", d.Explanation.Changes)
		}
		if _, err := a.KMS("").PutKeyPolicy(a.Context(), &kms.PutKeyPolicyInput{KeyId: key.KeyMetadata.Arn, Policy: aws.String(only(d.Explanation.Changes[0].Add))}); err != nil {
			a.Fatal(err)
		}
		if err := a.read(app, "locked"); err != nil {
			a.Errorf("after the change that was asked for (%s): %v", d.Explanation.Changes[0].Add, err)
		}
	})
}

// Every read of a batch that was denied is found under the batch's request.
func TestDecodeBatch(t *testing.T) {
	t.Parallel()
	a := asker{servertest.Start(t), t}
	a.secret("one", "")
	a.secret("two", "")
	app := a.User(t, "app", servertest.Allow("*", "secretsmanager:BatchGetSecretValue"))
	out, err := a.SecretsAs(app, "").BatchGetSecretValue(t.Context(), &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"one", "two"}})
	if err != nil || len(out.Errors) != 2 {
		t.Fatalf("%v, %+v", err, out)
	}
	id, ok := awsmiddleware.GetRequestIDMetadata(out.ResultMetadata)
	if !ok {
		t.Fatal("no request id")
	}
	if m := a.decode(a.Admin, id); len(m.Strongroom.Denials) != 2 {
		t.Errorf("%+v", m.Strongroom.Denials)
	}
}

// Of another account's secret the caller's account is told what the denial said;
// the operator is told both sides.
func TestDecodeAcrossAccounts(t *testing.T) {
	onBoth(t, func(a asker) {
		stranger := a.Account(a.T, "444455556666")
		caller := a.UserOf(a.T, stranger, "caller", servertest.Allow("*", "secretsmanager:*"))
		key, err := a.KMS("").CreateKey(a.Context(), nil)
		if err != nil {
			a.Fatal(err)
		}
		arn := a.secret("shared", *key.KeyMetadata.Arn)
		if _, err := a.Secrets().TagResource(a.Context(), &secretsmanager.TagResourceInput{SecretId: &arn, Tags: []types.Tag{{Key: aws.String("classification"), Value: aws.String("ultramarine")}}}); err != nil {
			a.Fatal(err)
		}
		theirs := document(`{"Sid":"Confidential","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/admin"},"Action":"secretsmanager:GetSecretValue","Resource":"*"}`)
		if _, err := a.Secrets().PutResourcePolicy(a.Context(), &secretsmanager.PutResourcePolicyInput{SecretId: &arn, ResourcePolicy: &theirs}); err != nil {
			a.Fatal(err)
		}
		partial := arn[:len(arn)-7]
		id, missing := a.denied(a.read(caller, partial)), a.denied(a.read(caller, partial+"2"))
		m := a.decode(stranger, id)
		raw := fmt.Sprintf("%+v", m) + m.Strongroom.Denials[0].Text
		for _, secret := range []string{arn, "Confidential", "ultramarine", "classification", "user/admin", *key.KeyMetadata.KeyId} {
			if strings.Contains(raw, secret) {
				a.Errorf("%q is told in %s", secret, raw)
			}
		}
		a.contains(m.Strongroom.Denials[0].Text, "because no resource-based policy allows", "resource  "+partial+" (of account 111122223333)",
			"Not shown:", "ask account 111122223333 to add to the resource-based policy a statement like", `"AWS":"arn:aws:iam::444455556666:user/caller"`)
		// A secret that is not there reads the same.
		plain := func(m *message) string {
			d := m.Strongroom.Denials[0]
			return strings.NewReplacer(partial+"2", "ARN", partial, "ARN").Replace(d.Explanation.String())
		}
		if first, second := plain(m), plain(a.decode(stranger, missing)); first != second {
			a.Errorf("there:\n%s\nmissing:\n%s", first, second)
		}

		// Neither account is told of the other's callers.
		for _, key := range []server.Credentials{a.Admin, a.RootCredentials(a.T, servertest.Account).Credentials} {
			if _, err := a.STS(key).DecodeAuthorizationMessage(a.Context(), &sts.DecodeAuthorizationMessageInput{EncodedMessage: &id}); code(err) != "InvalidAuthorizationMessageException" {
				a.Errorf("the owner's account asks: %v", err)
			}
		}
		found, err := a.Server.Server().Denials(a.Context(), id)
		if err != nil || len(found) != 1 {
			a.Fatalf("operator: %v, %v", found, err)
		}
		a.contains(found[0].Text(found[0].Explanation), arn, `"Confidential"`, `add to a resource-based policy a statement like`)

		// The change on either side, made, suffices.
		shared := document(m.Strongroom.Denials[0].Explanation.Changes[0].Add)
		if _, err := a.Secrets().PutResourcePolicy(a.Context(), &secretsmanager.PutResourcePolicyInput{SecretId: &arn, ResourcePolicy: &shared}); err != nil {
			a.Fatal(err)
		}
		err = a.read(caller, partial)
		m = a.decode(stranger, a.denied(err))
		d := m.Strongroom.Denials[0]
		if m.Context.Action != "kms:Decrypt" || strings.Contains(d.Text, *key.KeyMetadata.KeyId) && m.Context.Resource != *key.KeyMetadata.Arn {
			a.Errorf("message %+v", m)
		}
	})
}

// Asking needs a permission, and a denial of it is one more denial.
func TestDecodeIsDenied(t *testing.T) {
	onBoth(t, func(a asker) {
		id := a.denied(a.read(a.User(a.T, "app", ""), "app/db"))
		curious := a.User(a.T, "curious", servertest.Allow("*", "secretsmanager:*"))
		ask := func(key server.Credentials, id string) error {
			_, err := a.STS(key).DecodeAuthorizationMessage(a.Context(), &sts.DecodeAuthorizationMessageInput{EncodedMessage: &id})
			return err
		}
		err := ask(curious, id)
		refused := a.denied(err)
		errs.Want(a.T, "DecodeAuthorizationMessage", err, "AccessDenied", "User: arn:aws:iam::111122223333:user/curious is not authorized to perform: "+
			"sts:DecodeAuthorizationMessage because no identity-based policy allows the sts:DecodeAuthorizationMessage action")
		m := a.decode(a.Admin, refused)
		if m.Context.Action != "sts:DecodeAuthorizationMessage" || m.Context.Resource != "*" {
			a.Errorf("context %+v", m.Context)
		}
		a.SetPolicy(a.T, a.Admin, "curious", document(m.Strongroom.Denials[0].Explanation.Changes[0].Add))
		a.decode(curious, id)

		// What was no denial, and what is no id.
		if err := a.read(a.Admin, "app/db"); err == nil {
			a.Fatal("the secret is there")
		} else if err = ask(curious, requestOf(err)); code(err) != "InvalidAuthorizationMessageException" {
			a.Errorf("a request that was not denied: %v", err)
		}
		for _, id := range []string{"x", " ", "%", strings.Repeat("A", 10240), "00000000-0000-4000-8000-000000000000", "' OR '1'='1"} {
			errs.Want(a.T, "DecodeAuthorizationMessage", ask(curious, id), "InvalidAuthorizationMessageException", "Message is not valid")
		}
		for _, id := range []string{"", strings.Repeat("A", 10241)} {
			if err := ask(curious, id); code(err) != "ValidationError" {
				a.Errorf("%.40q: %v", id, err)
			}
		}
	})
}

// Another node finds an explanation within a second, and so does the same node
// after the first one wrote it.
func TestDenialIsFoundOnAnotherNode(t *testing.T) {
	t.Parallel()
	a := asker{servertest.Start(t, servertest.Postgres(), servertest.ManualJobs()), t}
	cfg := a.Server.Server().Config()
	cfg.Data = t.TempDir()
	for file, change := range map[string]*strings.Replacer{server.RootKeyFile: strings.NewReplacer(), "node.json": strings.NewReplacer(`"node-`, `"node-2`)} {
		b, err := os.ReadFile(filepath.Join(a.Dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(cfg.Data, file), []byte(change.Replace(string(b))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	second, err := server.Open(t.Context(), server.Options{Config: cfg, Log: slog.New(slog.NewTextHandler(a.Log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := second.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	id := a.denied(a.read(a.User(t, "app", ""), "app/db"))
	if found, err := second.Denials(t.Context(), id); err != nil || len(found) != 0 {
		t.Fatalf("before it was written: %v, %v", found, err)
	}
	if err := a.Server.Server().RunJobsOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	here, err := a.Server.Server().Denials(t.Context(), id)
	if err != nil || len(here) != 1 {
		t.Fatalf("%v, %v", here, err)
	}
	there, err := second.Denials(t.Context(), id)
	if err != nil || len(there) != 1 || there[0].Text(there[0].Explanation) != here[0].Text(here[0].Explanation) {
		t.Errorf("%v, %v", there, err)
	}
}
