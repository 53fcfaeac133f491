package sts_test

import (
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

func TestGetCallerIdentity(t *testing.T) {
	s := servertest.Start(t)
	other := s.Account(t, "444455556666")
	root := s.RootCredentials(t, servertest.Account)
	denied := s.User(t, "denied", servertest.Deny("*", "*"))
	for _, c := range []struct {
		name               string
		key                server.Credentials
		account, arn, user string // user: what UserId begins with
	}{
		{"admin", s.Admin, servertest.Account, "arn:aws:iam::111122223333:user/admin", "AIDA"},
		{"user that is denied everything", denied, servertest.Account, "arn:aws:iam::111122223333:user/denied", "AIDA"},
		{"user without any policy", s.User(t, "bare", ""), servertest.Account, "arn:aws:iam::111122223333:user/bare", "AIDA"},
		{"root", root.Credentials, servertest.Account, "arn:aws:iam::111122223333:root", servertest.Account},
		{"another account", other, "444455556666", "arn:aws:iam::444455556666:user/admin", "AIDA"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, region := range []string{servertest.Region, servertest.Other} {
				out, err := sts.NewFromConfig(s.AWS(c.key, region)).GetCallerIdentity(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				if *out.Account != c.account || *out.Arn != c.arn || !strings.HasPrefix(*out.UserId, c.user) {
					t.Errorf("in %s: account %s, arn %s, user %s", region, *out.Account, *out.Arn, *out.UserId)
				}
			}
		})
	}
}

// The bytes of an answer, since clients other than the SDK read them.
func TestAnswerOnTheWire(t *testing.T) {
	s := servertest.Start(t)
	a := s.Send(t, whoami(servertest.Raw{}))
	id := a.Header.Get("x-amzn-RequestId")
	want := regexp.MustCompile(`^<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>` +
		`<UserId>AIDA[A-Z0-9]{17}</UserId><Account>111122223333</Account><Arn>arn:aws:iam::111122223333:user/admin</Arn>` +
		`</GetCallerIdentityResult><ResponseMetadata><RequestId>` + id + `</RequestId></ResponseMetadata></GetCallerIdentityResponse>$`)
	// The order of the members is the model's; accept any, as clients do.
	for _, member := range []string{"UserId", "Account", "Arn"} {
		if !strings.Contains(string(a.Body), "<"+member+">") {
			t.Errorf("no %s in %s", member, a.Body)
		}
	}
	if !want.Match(a.Body) {
		t.Errorf("answer is %s", a.Body)
	}
	if a.Status != http.StatusOK || a.Header.Get("Content-Type") != "text/xml" || a.Header.Get("Date") == "" || id == "" {
		t.Errorf("status %d, headers %v", a.Status, a.Header)
	}
	// The same by GET, as the protocol allows (spec iam-sts.md 1).
	q := whoami(servertest.Raw{Method: http.MethodGet})
	if a = s.Send(t, q); a.Status != http.StatusOK {
		t.Errorf("by GET: status %d: %s", a.Status, a.Body)
	}
}

// Temporary states of one key: all that do not hold are answered like a key that
// never was, byte for byte but for the request id.
func TestKeysThatAreNot(t *testing.T) {
	s := servertest.Start(t)
	client := s.IAM()
	inactive, deleted := s.User(t, "inactive", ""), s.User(t, "deleted", "")
	for _, key := range []server.Credentials{inactive, deleted} {
		if _, err := s.STS(key).GetCallerIdentity(t.Context(), nil); err != nil {
			t.Fatalf("before: %v", err) // And so it is in every cache.
		}
	}
	if _, err := client.UpdateAccessKey(t.Context(), &iam.UpdateAccessKeyInput{UserName: aws.String("inactive"), AccessKeyId: &inactive.AccessKeyID, Status: iamtypes.StatusTypeInactive}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.DeleteAccessKey(t.Context(), &iam.DeleteAccessKeyInput{UserName: aws.String("deleted"), AccessKeyId: &deleted.AccessKeyID}); err != nil {
		t.Fatal(err)
	}
	never := server.Credentials{AccessKeyID: inactive.AccessKeyID[:16] + "AAAA", SecretAccessKey: "x"}
	wrong := inactive
	wrong.SecretAccessKey = "wrong"
	var first string
	for _, key := range []server.Credentials{never, inactive, deleted, wrong} {
		a := s.Send(t, whoami(servertest.Raw{Key: key}))
		body := strings.ReplaceAll(string(a.Body), a.Header.Get("x-amzn-RequestId"), "ID")
		if first == "" {
			first = body
			code, message := a.Error()
			errs.Note(t, "GetCallerIdentity", code, message)
		}
		if a.Status != http.StatusForbidden || body != first {
			t.Errorf("status %d: %s\nwant %s", a.Status, body, first)
		}
	}
	// The key comes back with the status.
	if _, err := client.UpdateAccessKey(t.Context(), &iam.UpdateAccessKeyInput{UserName: aws.String("inactive"), AccessKeyId: &inactive.AccessKeyID, Status: iamtypes.StatusTypeActive}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.STS(inactive).GetCallerIdentity(t.Context(), nil); err != nil {
		t.Errorf("active again: %v", err)
	}
}

func TestRootCredentialsExpire(t *testing.T) {
	var moved atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(moved.Load())) }
	s := servertest.Start(t, servertest.Now(now))
	root := s.RootCredentials(t, servertest.Account)
	if d := root.Expires.Sub(now()); d > time.Hour || d < time.Hour-time.Minute {
		t.Errorf("they live for %v, want an hour", d)
	}
	send := func(key server.Credentials) servertest.Answer {
		return s.Send(t, whoami(servertest.Raw{Key: key, At: now()}))
	}
	moved.Store(int64(59 * time.Minute))
	if a := send(root.Credentials); a.Status != http.StatusOK {
		t.Fatalf("after 59 minutes: %s", a.Body)
	}
	moved.Store(int64(time.Hour + time.Second))
	a := send(root.Credentials)
	code, message := a.Error()
	if code != "ExpiredToken" || message != "The security token included in the request is expired" || a.Status != http.StatusForbidden {
		t.Errorf("after an hour: %d %s: %s", a.Status, code, message)
	}
	errs.Note(t, "GetCallerIdentity", code, message)
	// Who does not hold the secret is not told.
	wrong := root.Credentials
	wrong.SecretAccessKey = "wrong"
	if code, _ := send(wrong).Error(); code != "SignatureDoesNotMatch" {
		t.Errorf("a stranger is told %s", code)
	}
	// The next ones end those before them at once.
	second := s.RootCredentials(t, servertest.Account)
	third := s.RootCredentials(t, servertest.Account)
	if code, _ := send(second.Credentials).Error(); code != "InvalidClientTokenId" {
		t.Errorf("replaced credentials are answered %s", code)
	}
	if a := send(third.Credentials); a.Status != http.StatusOK {
		t.Errorf("the new ones: %s", a.Body)
	}
	if a := s.Operator(t, http.MethodPost, "/v1/root-credentials", map[string]string{"account": "999999999999"}); a.Status != http.StatusNotFound {
		t.Errorf("root of an account that is not there: status %d", a.Status)
	}
}
