package auth_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

const recordTime = `~[A-Z][a-z]{2} \d{1,2}, 20\d\d \d{1,2}:\d\d:\d\d [AP]M`

// roleSession is how records name a session of a role.
func roleSession(c *types.Credentials, role, session string, more obj) obj {
	context := obj{
		"sessionIssuer": obj{"type": "Role", "principalId": `~AROA[A-Z0-9]{17}`, "arn": "arn:aws:iam::111122223333:role/" + role, "accountId": servertest.Account, "userName": role},
		"attributes":    obj{"creationDate": instant, "mfaAuthenticated": "false"},
	}
	for k, v := range more {
		context[k] = v
	}
	return obj{"type": "AssumedRole", "principalId": `~AROA[A-Z0-9]{17}:` + session, "arn": "arn:aws:sts::111122223333:assumed-role/" + role + "/" + session,
		"accountId": servertest.Account, "accessKeyId": *c.AccessKeyId, "sessionContext": context}
}

// Who took which role, and what was done with it, can be followed from record to
// record; nothing that would open anything is in them.
func TestRecordsOfSessions(t *testing.T) {
	issuer := servertest.NewIssuer(t)
	s := servertest.Start(t, issuer.Trusted())
	bob := s.User(t, "bob", servertest.Allow("*", "sts:*"))
	role := s.Role(t, s.Admin, "app", servertest.Trust(servertest.Account, "sts:AssumeRole", "sts:SetSourceIdentity"), servertest.Allow("*", "*"))
	taken, err := s.STS(bob).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("job"), SourceIdentity: aws.String("alice"),
		ExternalId: aws.String("ext"), SerialNumber: nil})
	if err != nil {
		t.Fatal(err)
	}
	user := obj{"assumedRoleId": `~AROA[A-Z0-9]{17}:job`, "arn": "arn:aws:sts::111122223333:assumed-role/app/job"}
	got := last(called(t, s, "AssumeRole"))
	holds(t, "AssumeRole.userIdentity", got["userIdentity"], iamUser(bob))
	holds(t, "AssumeRole.requestParameters", got["requestParameters"], obj{"roleArn": role, "roleSessionName": "job", "externalId": "ext", "sourceIdentity": "alice"})
	holds(t, "AssumeRole.responseElements", got["responseElements"], obj{
		"credentials":     obj{"accessKeyId": *taken.Credentials.AccessKeyId, "expiration": recordTime},
		"assumedRoleUser": user, "sourceIdentity": "alice"})
	holds(t, "AssumeRole.resources", got["resources"], []any{obj{"accountId": servertest.Account, "type": "AWS::IAM::Role", "ARN": role}})
	holds(t, "AssumeRole.eventSource", got["eventSource"], "sts.amazonaws.com")
	holds(t, "AssumeRole.readOnly", got["readOnly"], true)

	key := servertest.Session(taken.Credentials)
	if _, err := s.SecretsAs(key, "").ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{}); err != nil {
		t.Fatal(err)
	}
	got = last(called(t, s, "ListSecrets"))
	holds(t, "ListSecrets.userIdentity", got["userIdentity"], roleSession(taken.Credentials, "app", "job", obj{"sourceIdentity": "alice"}))

	// A refusal names what was asked for and no resource: that would tell whether
	// there is such a role.
	for _, missing := range []string{"arn:aws:iam::444455556666:role/app", "arn:aws:iam::" + servertest.Account + ":role/missing"} {
		if _, err := s.STS(bob).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &missing, RoleSessionName: aws.String("job")}); err == nil {
			t.Fatal("took a role that is not there")
		}
		got = last(called(t, s, "AssumeRole"))
		if got["errorCode"] != "AccessDenied" || got["resources"] != nil || got["responseElements"] != nil {
			t.Errorf("%v %v %v", got["errorCode"], got["resources"], got["responseElements"])
		}
	}

	// The caller that a provider vouches for.
	made, err := s.IAM().CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{Url: &issuer.URL, ClientIDList: []string{"sts.amazonaws.com"}})
	if err != nil {
		t.Fatal(err)
	}
	provider := *made.OpenIDConnectProviderArn
	pods := s.Role(t, s.Admin, "pods", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"`+provider+`"},"Action":"sts:AssumeRoleWithWebIdentity"}]}`, servertest.Allow("*", "*"))
	token := issuer.Token(t, time.Now(), nil)
	pod, err := s.STS(server.Credentials{AccessKeyID: "x", SecretAccessKey: "x"}).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: &pods, RoleSessionName: aws.String("pod-0"), WebIdentityToken: &token})
	if err != nil {
		t.Fatal(err)
	}
	const cart = "system:serviceaccount:shop:cart"
	got = last(called(t, s, "AssumeRoleWithWebIdentity"))
	holds(t, "AssumeRoleWithWebIdentity.userIdentity", got["userIdentity"], obj{
		"type": "WebIdentityUser", "principalId": provider + ":sts.amazonaws.com:" + cart, "userName": cart, "identityProvider": provider})
	holds(t, "AssumeRoleWithWebIdentity.requestParameters", got["requestParameters"], obj{"roleArn": pods, "roleSessionName": "pod-0"})
	holds(t, "AssumeRoleWithWebIdentity.responseElements", got["responseElements"], obj{
		"credentials":                 obj{"accessKeyId": *pod.Credentials.AccessKeyId, "expiration": recordTime},
		"assumedRoleUser":             obj{"assumedRoleId": `~AROA[A-Z0-9]{17}:pod-0`, "arn": "arn:aws:sts::111122223333:assumed-role/pods/pod-0"},
		"subjectFromWebIdentityToken": cart, "provider": provider, "audience": "sts.amazonaws.com"})
	holds(t, "AssumeRoleWithWebIdentity.recipientAccountId", got["recipientAccountId"], servertest.Account)
	holds(t, "AssumeRoleWithWebIdentity.awsRegion", got["awsRegion"], servertest.Region)
	if _, err := s.SecretsAs(servertest.Session(pod.Credentials), "").ListSecrets(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	got = last(called(t, s, "ListSecrets"))
	holds(t, "ListSecrets.userIdentity", got["userIdentity"], roleSession(pod.Credentials, "pods", "pod-0", obj{
		"webIdFederationData": obj{"federatedProvider": provider, "attributes": obj{}}}))

	// A token that proves nothing makes no record of its own.
	before := len(called(t, s, "AssumeRoleWithWebIdentity"))
	late := issuer.Token(t, time.Now(), map[string]any{"exp": 1})
	for range 20 {
		if _, err := s.STS(bob).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{RoleArn: &pods, RoleSessionName: aws.String("pod-0"), WebIdentityToken: &late}); err == nil {
			t.Fatal("an expired token was taken")
		}
	}
	if n := len(called(t, s, "AssumeRoleWithWebIdentity")); n != before {
		t.Errorf("%d records of tokens that prove nothing", n-before)
	}

	all, err := json.Marshal(records(t, s))
	if err != nil {
		t.Fatal(err)
	}
	for name, secret := range map[string]string{"session token": key.SessionToken[24:], "secret key": key.SecretAccessKey, "pod's token": *pod.Credentials.SessionToken,
		"ID token": strings.Split(token, ".")[2], "expired ID token": strings.Split(late, ".")[2]} {
		if strings.Contains(string(all), secret) {
			t.Errorf("a record holds the %s", name)
		}
	}
}

// A role taken from another account is on record in both, and neither learns the
// other's policies.
func TestRecordsOfRolesAcrossAccounts(t *testing.T) {
	s := servertest.Start(t)
	other := s.Account(t, "444455556666")
	role := s.Role(t, s.Admin, "shared", servertest.Trust("444455556666", "sts:AssumeRole"), "")
	s.AssumeRole(t, other, role)
	of := called(t, s, "AssumeRole")
	if len(of) != 2 {
		t.Fatalf("%d records", len(of))
	}
	slices.SortFunc(of, func(a, b record) int {
		return strings.Compare(b["recipientAccountId"].(string), a["recipientAccountId"].(string))
	})
	callers, owners := of[0], of[1]
	if callers["sharedEventID"] == nil || callers["sharedEventID"] != owners["sharedEventID"] || owners["recipientAccountId"] != servertest.Account {
		t.Errorf("shared %v and %v, for %v", callers["sharedEventID"], owners["sharedEventID"], owners["recipientAccountId"])
	}
	holds(t, "owner's userIdentity", owners["userIdentity"], obj{"type": "AWSAccount", "principalId": `~AIDA[A-Z0-9]{17}`, "accountId": "444455556666"})
	if text, _ := json.Marshal(callers); strings.Contains(string(text), "trust-policy") {
		t.Errorf("the caller is told %s", text)
	}
	if text, _ := json.Marshal(owners); strings.Contains(string(text), "user/admin") || strings.Contains(string(text), "AdministratorAccess") || !strings.Contains(string(text), "trust-policy") {
		t.Errorf("the owner is told %s", text)
	}
}

// What the operator does to sessions is on record in the account that it is about.
func TestRecordsOfRevocation(t *testing.T) {
	s := servertest.Start(t)
	role := s.Role(t, s.Admin, "app", servertest.Trust(servertest.Account, "sts:AssumeRole"), "")
	if _, err := s.Server().RevokeSessions(t.Context(), servertest.Account, "role", "app"); err != nil {
		t.Fatal(err)
	}
	got := last(called(t, s, "RevokeSessions"))
	holds(t, "RevokeSessions.userIdentity", got["userIdentity"], obj{"accountId": servertest.Account, "invokedBy": "iam.amazonaws.com"})
	holds(t, "RevokeSessions.resources", got["resources"], []any{obj{"accountId": servertest.Account, "type": "AWS::IAM::Role", "ARN": role}})
	if got["eventType"] != "AwsServiceEvent" || got["readOnly"] != false || got["errorMessage"] != nil {
		t.Errorf("%v", got)
	}
	if _, err := s.Server().RevokeSessions(t.Context(), servertest.Account, "role", "missing"); err == nil {
		t.Error("revoked the sessions of nobody")
	}
	if got = last(called(t, s, "RevokeSessions")); got["errorMessage"] != "The role with name missing cannot be found." {
		t.Errorf("%v", got["errorMessage"])
	}
}

// ID tokens that prove nothing are counted like bad signatures: two hundred of them
// leave one record.
func TestTokenFlood(t *testing.T) {
	var moved atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(moved.Load())) }
	issuer := servertest.NewIssuer(t)
	s := servertest.Start(t, issuer.Trusted(), servertest.Now(now))
	if _, err := s.IAM().CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{Url: &issuer.URL, ClientIDList: []string{"sts.amazonaws.com"}}); err != nil {
		t.Fatal(err)
	}
	before := len(records(t, s))
	late := issuer.Token(t, time.Now(), map[string]any{"exp": 1})
	role := "arn:aws:iam::" + servertest.Account + ":role/app"
	const flood = 200
	for range flood {
		if _, err := s.STS(s.Admin).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{RoleArn: &role, RoleSessionName: aws.String("pod"), WebIdentityToken: &late}); err == nil {
			t.Fatal("an expired token was taken")
		}
	}
	moved.Store(int64(time.Minute + time.Second)) // The window is over.
	var told []record
	for range 100 {
		if told = records(t, s)[before:]; len(told) > 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if len(told) != 1 {
		t.Fatalf("%d records tell of the flood", len(told))
	}
	holds(t, "serviceEventDetails", told[0]["serviceEventDetails"], obj{"since": instant, "until": instant, "requests": float64(flood), "others": 0.0, "sources": []any{obj{
		"sourceIPAddress": "127.0.0.1", "errorCode": "ExpiredTokenException", "requests": float64(flood),
		"first": obj{"eventTime": instant, "eventSource": "sts.amazonaws.com", "eventName": "AssumeRoleWithWebIdentity", "userAgent": `~.*`}}}})
}

// A token that is true and that no trust policy takes is somebody's whom nobody here
// knows; of a public issuer anybody can have one. Such requests are counted too,
// and still explained.
func TestDeniedTokenFlood(t *testing.T) {
	var moved atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(moved.Load())) }
	issuer := servertest.NewIssuer(t)
	s := servertest.Start(t, issuer.Trusted(), servertest.Now(now))
	provider, err := s.IAM().CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{Url: &issuer.URL, ClientIDList: []string{"sts.amazonaws.com"}})
	if err != nil {
		t.Fatal(err)
	}
	role := s.Role(t, s.Admin, "app", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"`+*provider.OpenIDConnectProviderArn+
		`"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"`+issuer.Host+`:sub":"somebody"}}}]}`, "")
	before, lines := len(records(t, s)), strings.Count(s.Log.String(), "level=INFO msg=request")
	token := issuer.Token(t, time.Now(), nil)
	const flood = 100
	var request string
	for range flood {
		for _, arn := range []string{role, role + "-missing"} {
			_, err := s.STS(s.Admin).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
				RoleArn: &arn, RoleSessionName: aws.String("pod"), WebIdentityToken: &token,
				Policy: aws.String("{}"), // Not looked at: the decision comes first.
			})
			answer, ok := errors.AsType[*awshttp.ResponseError](err)
			if !ok || !strings.Contains(err.Error(), "AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity") {
				t.Fatalf("%v", err)
			}
			if arn == role {
				request = answer.ServiceRequestID()
			}
		}
	}
	if n := strings.Count(s.Log.String(), "level=INFO msg=request") - lines; n > 0 {
		t.Errorf("%d lines in the log that everybody reads", n)
	}
	denials, err := s.Server().Denials(t.Context(), request)
	if err != nil || len(denials) != 1 {
		t.Fatalf("%d denials, %v", len(denials), err)
	}
	text := denials[0].Text(denials[0].Explanation)
	for _, part := range []string{issuer.Host + ":sub", "somebody", "counted, not recorded"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in the explanation:\n%s", part, text)
		}
	}
	moved.Store(int64(time.Minute + time.Second)) // The window is over.
	var told []record
	for range 100 {
		if told = records(t, s)[before:]; len(told) > 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if len(told) != 1 {
		t.Fatalf("%d records tell of the flood", len(told))
	}
	holds(t, "serviceEventDetails", told[0]["serviceEventDetails"], obj{"since": instant, "until": instant, "requests": float64(2 * flood), "others": 0.0, "sources": []any{obj{
		"sourceIPAddress": "127.0.0.1", "errorCode": "AccessDenied", "requests": float64(2 * flood),
		"first": obj{"eventTime": instant, "eventSource": "sts.amazonaws.com", "eventName": "AssumeRoleWithWebIdentity", "userAgent": `~.*`}}}})
}
