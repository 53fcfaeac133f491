package auth_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

// record is a record as it stands in the chain.
type record map[string]any

// records returns all but those in which the node speaks of its own start.
func records(t *testing.T, s *servertest.Server) (all []record) {
	t.Helper()
	node, err := server.Node(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := audit.Scan(t.Context(), filepath.Join(s.Dir, server.AuditDir), node, 0, func(e audit.Entry) error {
		var r record
		if err := json.Unmarshal(e.Body, &r); err != nil {
			return fmt.Errorf("record %d: %w", e.Seq, err)
		}
		if r["eventName"] != "StrongroomAuditStarted" {
			all = append(all, r)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// called returns the records of an event, the latest last.
func called(t *testing.T, s *servertest.Server, event string) (of []record) {
	t.Helper()
	for _, r := range records(t, s) {
		if r["eventName"] == event {
			of = append(of, r)
		}
	}
	if len(of) == 0 {
		t.Fatalf("no record of %s", event)
	}
	return of
}

// holds compares a value with what is wanted, exactly: the same members, no more
// and no less. A text that begins with ~ is a regular expression.
func holds(t *testing.T, at string, got, want any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			t.Errorf("%s is %v", at, got)
			return
		}
		for name := range g {
			if _, ok := want[name]; !ok {
				t.Errorf("%s has a member %s: %v", at, name, g[name])
			}
		}
		for name, w := range want {
			if v, ok := g[name]; ok {
				holds(t, at+"."+name, v, w)
			} else {
				t.Errorf("%s has no member %s", at, name)
			}
		}
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(want) {
			t.Errorf("%s is %v, want %v", at, got, want)
			return
		}
		for i := range want {
			holds(t, fmt.Sprint(at, "[", i, "]"), g[i], want[i])
		}
	case string:
		if pattern, ok := strings.CutPrefix(want, "~"); ok {
			if text, ok := got.(string); !ok || !regexp.MustCompile(`^(?:`+pattern+`)$`).MatchString(text) {
				t.Errorf("%s is %v, want %s", at, got, want)
			}
			return
		}
		if got != want {
			t.Errorf("%s is %v, want %s", at, got, want)
		}
	default:
		if got != want {
			t.Errorf("%s is %v, want %v", at, got, want)
		}
	}
}

const (
	uuid    = `~[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`
	instant = `~20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ`
)

type obj = map[string]any

// shape is what every record of a call over the network has, with changes: nil
// takes a member away.
func shape(s *servertest.Server, changes obj) obj {
	want := obj{
		"eventVersion": "1.11", "eventTime": instant, "awsRegion": servertest.Region, "sourceIPAddress": "127.0.0.1", "userAgent": `~aws-sdk-go-v2/.*`,
		"requestID": uuid, "eventID": uuid, "eventType": "AwsApiCall", "managementEvent": true, "recipientAccountId": servertest.Account, "eventCategory": "Management",
		"tlsDetails": obj{"tlsVersion": "TLSv1.3", "cipherSuite": `~TLS_.*`, "clientProvidedHostHeader": strings.TrimPrefix(s.URL, "https://")},
	}
	for k, v := range changes {
		if want[k] = v; v == missing {
			delete(want, k)
		}
	}
	return want
}

// missing takes a member away from shape.
var missing any = new(int)

// byService changes shape to that of a call that one service made to another.
func byService(service string, changes obj) obj {
	changes["sourceIPAddress"], changes["userAgent"], changes["tlsDetails"] = service, service, missing
	return changes
}

func iamUser(key server.Credentials, more ...string) obj {
	who := obj{"type": "IAMUser", "principalId": `~AIDA[A-Z0-9]{17}`, "arn": "arn:aws:iam::" + key.Account + ":user/" + key.User,
		"accountId": key.Account, "accessKeyId": key.AccessKeyID, "userName": key.User}
	for i := 0; i < len(more); i += 2 {
		who[more[i]] = more[i+1]
	}
	return who
}

func decided(action, resource, decision, layer string, more obj) []any {
	d := obj{"action": action, "resource": resource, "decision": decision, "layer": layer}
	for k, v := range more {
		d[k] = v
	}
	return []any{d}
}

func last(of []record) obj { return of[len(of)-1] }

func TestRecordsOfCalls(t *testing.T) {
	s := servertest.Start(t)
	const value = "hunter2-canary"
	made, err := s.Secrets().CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("db/app"), SecretString: aws.String(value)})
	if err != nil {
		t.Fatal(err)
	}
	secret := []any{obj{"accountId": servertest.Account, "type": "AWS::SecretsManager::Secret", "ARN": *made.ARN}}
	const managed = `~arn:aws:kms:us-east-1:111122223333:key/[0-9a-f-]{36}`
	admin := obj{"policy": "inline/admin/AdministratorAccess", "version": "1", "statement": 0.0}

	t.Run("change", func(t *testing.T) {
		holds(t, "record", last(called(t, s, "CreateSecret")), shape(s, obj{
			"eventSource": "secretsmanager.amazonaws.com", "eventName": "CreateSecret", "userIdentity": iamUser(s.Admin), "readOnly": false,
			"requestParameters": obj{"name": "db/app", "clientRequestToken": uuid}, "responseElements": obj{"arn": *made.ARN}, "resources": secret,
			"strongroom": obj{"decisions": decided("secretsmanager:CreateSecret", *made.ARN, "allow", "identity-based policy", admin)},
		}))
	})
	t.Run("read, and the key behind it", func(t *testing.T) {
		if _, err := s.Secrets().GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("db/app")}); err != nil {
			t.Fatal(err)
		}
		holds(t, "record", last(called(t, s, "GetSecretValue")), shape(s, obj{
			"eventSource": "secretsmanager.amazonaws.com", "eventName": "GetSecretValue", "userIdentity": iamUser(s.Admin), "readOnly": true,
			"requestParameters": obj{"secretId": "db/app"}, "responseElements": nil, "resources": secret,
			"strongroom": obj{"decisions": decided("secretsmanager:GetSecretValue", *made.ARN, "allow", "identity-based policy", admin)},
		}))
		holds(t, "record", last(called(t, s, "Decrypt")), shape(s, byService("secretsmanager.amazonaws.com", obj{
			"eventSource": "kms.amazonaws.com", "eventName": "Decrypt", "readOnly": true,
			"userIdentity":      iamUser(s.Admin, "invokedBy", "secretsmanager.amazonaws.com"),
			"requestParameters": obj{"encryptionContext": obj{"SecretARN": *made.ARN, "SecretVersionId": *made.VersionId}}, "responseElements": nil,
			"resources":  []any{obj{"accountId": servertest.Account, "type": "AWS::KMS::Key", "ARN": managed}},
			"strongroom": obj{"decisions": decided("kms:Decrypt", managed, "allow", "resource-based policy", obj{"policy": managed, "version": "1", "statement": 0.0})},
		})))
	})
	t.Run("denial", func(t *testing.T) {
		nobody := s.User(t, "nobody", "")
		_, err := s.SecretsAs(nobody, "").GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: made.ARN})
		if err == nil {
			t.Fatal("not denied")
		}
		holds(t, "record", last(called(t, s, "GetSecretValue")), shape(s, obj{
			"eventSource": "secretsmanager.amazonaws.com", "eventName": "GetSecretValue", "userIdentity": iamUser(nobody), "readOnly": true,
			"errorCode": "AccessDenied", "errorMessage": "User: arn:aws:iam::111122223333:user/nobody is not authorized to perform: secretsmanager:GetSecretValue on resource: " + *made.ARN +
				" because no identity-based policy allows the secretsmanager:GetSecretValue action",
			"requestParameters": nil, "responseElements": nil, "resources": secret,
			"strongroom": obj{"decisions": decided("secretsmanager:GetSecretValue", *made.ARN, "implicitDeny", "identity-based policy", nil)},
		}))
	})
	t.Run("failure of another kind", func(t *testing.T) {
		if _, err := s.IAM().GetUser(t.Context(), &iam.GetUserInput{UserName: aws.String("ghost")}); err == nil {
			t.Fatal("found")
		}
		holds(t, "record", last(called(t, s, "GetUser")), shape(s, obj{
			"eventSource": "iam.amazonaws.com", "eventName": "GetUser", "userIdentity": iamUser(s.Admin), "readOnly": true,
			"errorCode": "NoSuchEntity", "errorMessage": "The user with name ghost cannot be found.",
			"requestParameters": obj{"userName": "ghost"}, "responseElements": nil,
			"strongroom": obj{"decisions": decided("iam:GetUser", "arn:aws:iam::111122223333:user/ghost", "allow", "identity-based policy", admin)},
		}))
	})
	t.Run("failure before any decision", func(t *testing.T) {
		a := s.Send(t, servertest.Raw{Service: "kms", Target: "TrentService.ListKeys", Body: "{"})
		if a.Status != http.StatusBadRequest {
			t.Fatalf("%s", a.Body)
		}
		holds(t, "record", last(called(t, s, "ListKeys")), shape(s, obj{
			"eventSource": "kms.amazonaws.com", "eventName": "ListKeys", "userIdentity": iamUser(s.Admin), "readOnly": true, "userAgent": `~.+`,
			"errorCode": "SerializationException", "requestParameters": nil, "responseElements": nil, "strongroom": obj{"decisions": []any{}},
		}))
	})
	t.Run("call without permission asked", func(t *testing.T) {
		if _, err := s.STS(s.Admin).GetCallerIdentity(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		holds(t, "record", last(called(t, s, "GetCallerIdentity")), shape(s, obj{
			"eventSource": "sts.amazonaws.com", "eventName": "GetCallerIdentity", "userIdentity": iamUser(s.Admin), "readOnly": true,
			"requestParameters": nil, "responseElements": nil, "strongroom": obj{"decisions": []any{}},
		}))
	})
	t.Run("new key, without its secret", func(t *testing.T) {
		key := s.User(t, "fresh", "")
		user := []any{obj{"accountId": servertest.Account, "type": "AWS::IAM::User", "ARN": "arn:aws:iam::111122223333:user/fresh"}}
		holds(t, "record", last(called(t, s, "CreateAccessKey")), shape(s, obj{
			"eventSource": "iam.amazonaws.com", "eventName": "CreateAccessKey", "userIdentity": iamUser(s.Admin), "readOnly": false,
			"requestParameters": obj{"userName": "fresh"},
			"responseElements":  obj{"accessKey": obj{"userName": "fresh", "accessKeyId": key.AccessKeyID, "status": "Active", "createDate": `~[A-Z][a-z]{2} \d+, 20\d\d \d+:\d\d:\d\d [AP]M`}},
			"resources":         user,
			"strongroom":        obj{"decisions": decided("iam:CreateAccessKey", "arn:aws:iam::111122223333:user/fresh", "allow", "identity-based policy", admin)},
		}))
	})
	t.Run("root", func(t *testing.T) {
		root := s.RootCredentials(t, servertest.Account)
		if _, err := iam.NewFromConfig(s.AWS(root.Credentials, "")).ListUsers(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		holds(t, "record", last(called(t, s, "ListUsers")), shape(s, obj{
			"eventSource": "iam.amazonaws.com", "eventName": "ListUsers", "readOnly": true, "requestParameters": nil, "responseElements": nil,
			"userIdentity": obj{"type": "Root", "principalId": servertest.Account, "arn": "arn:aws:iam::111122223333:root", "accountId": servertest.Account, "accessKeyId": root.AccessKeyID},
			"strongroom":   obj{"decisions": decided("iam:ListUsers", "arn:aws:iam::111122223333:user/", "allow", "root user", nil)},
		}))
		holds(t, "record", last(called(t, s, "CreateRootCredentials")), shape(s, byService("iam.amazonaws.com", obj{
			"eventSource": "iam.amazonaws.com", "eventName": "CreateRootCredentials", "readOnly": false, "requestParameters": nil, "responseElements": nil,
			"userIdentity": obj{"accountId": servertest.Account, "invokedBy": "iam.amazonaws.com"}, "eventType": "AwsServiceEvent",
			"additionalEventData": obj{"accessKeyId": root.AccessKeyID}, "strongroom": obj{"decisions": []any{}},
		})))
	})
	t.Run("service event", func(t *testing.T) {
		if _, err := s.Secrets().DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: made.ARN, ForceDeleteWithoutRecovery: aws.Bool(true)}); err != nil {
			t.Fatal(err)
		}
		holds(t, "record", last(called(t, s, "EndSecretVersionDelete")), shape(s, byService("secretsmanager.amazonaws.com", obj{
			"eventSource": "secretsmanager.amazonaws.com", "eventName": "EndSecretVersionDelete", "readOnly": false, "requestParameters": nil, "responseElements": nil,
			"userIdentity": obj{"accountId": servertest.Account, "invokedBy": "secretsmanager.amazonaws.com"}, "eventType": "AwsServiceEvent",
			"additionalEventData": obj{"SecretId": *made.ARN, "SecretVersionId": *made.VersionId}, "resources": secret, "strongroom": obj{"decisions": []any{}},
		})))
	})
	for _, r := range records(t, s) {
		text, _ := json.Marshal(r)
		if strings.Contains(string(text), value) || strings.Contains(string(text), s.Admin.SecretAccessKey) {
			t.Errorf("a record shows a secret: %s", text)
		}
	}
	// Ids are one's own.
	seen := map[any]bool{}
	for _, r := range records(t, s) {
		if seen[r["eventID"]] {
			t.Errorf("event id %v stands twice", r["eventID"])
		}
		seen[r["eventID"]] = true
	}
}

// A call across accounts is on record for both, each told of its own side.
func TestRecordsAcrossAccounts(t *testing.T) {
	s := servertest.Start(t)
	other := s.Account(t, "444455556666")
	key, err := s.KMS("").CreateKey(t.Context(), &kms.CreateKeyInput{Policy: aws.String(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":["111122223333","444455556666"]},"Action":"kms:*","Resource":"*"}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	made, err := s.Secrets().CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("shared"), SecretString: aws.String("x"), KmsKeyId: key.KeyMetadata.Arn})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Secrets().PutResourcePolicy(t.Context(), &secretsmanager.PutResourcePolicyInput{SecretId: made.ARN, ResourcePolicy: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`)}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SecretsAs(other, "").GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: made.ARN}); err != nil {
		t.Fatal(err)
	}
	for _, event := range []string{"GetSecretValue", "Decrypt"} {
		// The owner's own Decrypt, when the secret was made, is shared with nobody.
		of := slices.DeleteFunc(called(t, s, event), func(r record) bool { return r["sharedEventID"] == nil })
		if len(of) != 2 {
			t.Fatalf("%d records of %s", len(of), event)
		}
		slices.SortFunc(of, func(a, b record) int {
			return strings.Compare(b["recipientAccountId"].(string), a["recipientAccountId"].(string))
		})
		callers, owners := of[0], of[1]
		if callers["recipientAccountId"] != "444455556666" || owners["recipientAccountId"] != servertest.Account {
			t.Errorf("%s: for %v and %v", event, callers["recipientAccountId"], owners["recipientAccountId"])
		}
		if callers["sharedEventID"] == nil || callers["sharedEventID"] != owners["sharedEventID"] || callers["eventID"] == owners["eventID"] || callers["requestID"] != owners["requestID"] {
			t.Errorf("%s: ids %v %v, shared %v %v", event, callers["eventID"], owners["eventID"], callers["sharedEventID"], owners["sharedEventID"])
		}
		more := []string{}
		who := obj{"type": "AWSAccount", "principalId": `~AIDA[A-Z0-9]{17}`, "accountId": "444455556666"}
		if event == "Decrypt" {
			more, who["invokedBy"] = []string{"invokedBy", "secretsmanager.amazonaws.com"}, "secretsmanager.amazonaws.com"
		}
		holds(t, event+".userIdentity", callers["userIdentity"], iamUser(other, more...))
		holds(t, event+".userIdentity of the owner's copy", owners["userIdentity"], who)
		// The owner's copy says nothing of the caller's names.
		if text, _ := json.Marshal(owners); strings.Contains(string(text), "user/admin") || strings.Contains(string(text), "AdministratorAccess") || strings.Contains(string(text), other.AccessKeyID) {
			t.Errorf("%s: the owner is told %s", event, text)
		}
		if text, _ := json.Marshal(callers); event == "GetSecretValue" && strings.Contains(string(text), `"policy":"arn:aws:secretsmanager`) {
			t.Errorf("%s: the caller is told %s", event, text)
		}
	}
}

// Requests that name nobody are counted, not recorded: ten thousand of them leave
// one record.
func TestUnsignedFlood(t *testing.T) {
	var moved atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(moved.Load())) }
	s := servertest.Start(t, servertest.Now(now))
	before, size := len(records(t, s)), segments(t, s)
	const flood = 10_000
	var wg sync.WaitGroup
	var refused atomic.Int64
	for range 8 {
		wg.Go(func() {
			for range flood / 8 {
				r := s.Request(t, servertest.Raw{Service: "secretsmanager", Target: "secretsmanager.GetSecretValue", Body: "{}", Unsigned: true})
				if code, _ := s.Do(t, r).Error(); code == "MissingAuthenticationTokenException" {
					refused.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if refused.Load() != flood {
		t.Errorf("%d of %d refused", refused.Load(), flood)
	}
	if n := len(records(t, s)); n != before {
		t.Errorf("%d records more", n-before)
	}
	if now := segments(t, s); now != size {
		t.Errorf("the audit directory grew by %d bytes", now-size)
	}
	if n := strings.Count(s.Log.String(), "level=INFO msg=request"); n > 100 {
		t.Errorf("%d lines in the log that everybody reads", n)
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
	holds(t, "record", obj(told[0]), obj{
		"eventVersion": "1.11", "eventTime": instant, "eventSource": "strongroom", "eventName": "StrongroomUnverifiedRequests", "awsRegion": "",
		"sourceIPAddress": "strongroom", "userAgent": "strongroom", "requestParameters": nil, "responseElements": nil, "eventID": uuid, "readOnly": false,
		"eventType": "AwsServiceEvent", "managementEvent": true, "recipientAccountId": servertest.Account, "eventCategory": "Management",
		"userIdentity": obj{"accountId": servertest.Account, "invokedBy": "strongroom"},
		"serviceEventDetails": obj{"since": instant, "until": instant, "requests": float64(flood), "others": 0.0, "sources": []any{obj{
			"sourceIPAddress": "127.0.0.1", "errorCode": "MissingAuthenticationTokenException", "requests": float64(flood),
			"first": obj{"eventTime": instant, "eventSource": "secretsmanager.amazonaws.com", "eventName": "GetSecretValue", "userAgent": `~.*`}}}},
	})
}

// segments is the size of the audit directory.
func segments(t *testing.T, s *servertest.Server) (size int64) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.Dir, server.AuditDir))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			size += info.Size()
		}
	}
	return size
}
