package sts_test

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/strongroom/strongroom/internal/servertest"
)

// clock stands still, on a whole second, so that sentences can be told to the
// letter.
func clock() time.Time { return started }

var started = time.Now().UTC().Truncate(time.Second)

func stamp(t time.Time) string { return t.Format("20060102T150405Z") }

var requestID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// wantRefusal holds an answer against code and message, headers and body.
func wantRefusal(t *testing.T, a servertest.Answer, want servertest.Code, message string) {
	t.Helper()
	var body struct {
		XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
		Error   struct{ Type, Code, Message string }
		ID      string `xml:"RequestId"`
	}
	if err := xml.Unmarshal(a.Body, &body); err != nil {
		t.Fatalf("%v: %s", err, a.Body)
	}
	if a.Status != want.Status || body.Error.Type != "Sender" || body.Error.Code != want.Name || body.Error.Message != message {
		t.Errorf("answered %d %s %s: %s\nwant %d Sender %s: %s", a.Status, body.Error.Type, body.Error.Code, body.Error.Message, want.Status, want.Name, message)
	}
	id := a.Header.Get("x-amzn-RequestId")
	if !requestID.MatchString(id) || body.ID != id {
		t.Errorf("request id is %q in the header, %q in the body", id, body.ID)
	}
	if d, err := http.ParseTime(a.Header.Get("Date")); err != nil || !d.Equal(clock()) {
		t.Errorf("Date is %q", a.Header.Get("Date"))
	}
	if ct := a.Header.Get("Content-Type"); ct != "text/xml" {
		t.Errorf("Content-Type is %q", ct)
	}
	errs.Note(t, "GetCallerIdentity", want.Name, message)
}

func TestRefusedSignatures(t *testing.T) {
	s := servertest.Start(t, servertest.Now(clock))
	for _, f := range servertest.Refusals("sts", clock(), 15*time.Minute) {
		t.Run(f.Name, func(t *testing.T) {
			q := whoami(servertest.Raw{Key: s.Admin, At: clock()})
			f.Change(&q)
			r := s.Request(t, q)
			code, message := f.Want(true, r)
			wantRefusal(t, s.Do(t, r), code, message)
		})
	}
}

func TestClocksMayDifferByFifteenMinutes(t *testing.T) {
	s := servertest.Start(t, servertest.Now(clock))
	for _, d := range []time.Duration{-15 * time.Minute, 15 * time.Minute} {
		if a := s.Send(t, whoami(servertest.Raw{At: clock().Add(d)})); a.Status != http.StatusOK {
			t.Errorf("by %v: %s", d, a.Body)
		}
	}
}

func TestPresigned(t *testing.T) {
	s := servertest.Start(t, servertest.Now(clock))
	client := sts.NewPresignClient(sts.NewFromConfig(s.AWS(s.Admin, "")))
	signed, err := client.PresignGetCallerIdentity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), signed.Method, signed.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = signed.SignedHeader
	if a := s.Do(t, r); a.Status != http.StatusOK {
		t.Errorf("by the SDK: %d: %s", a.Status, a.Body)
	}

	const hour = time.Hour
	sig := func(q url.Values) string { return q.Get("X-Amz-Signature") }
	for _, c := range []struct {
		name    string
		expires string
		age     time.Duration
		change  func(url.Values)
		want    servertest.Code
		message string
	}{
		{"an hour old, good for a week", "604800", hour, nil, servertest.Code{}, ""},
		{"last second", "60", time.Minute, nil, servertest.Code{}, ""},
		{"15 minutes old without a word on its life", "", 15 * time.Minute, nil, servertest.Code{}, ""},
		{"older than that", "", 15*time.Minute + time.Second, nil, servertest.Code{Name: "SignatureDoesNotMatch", Status: 403}, "*"},
		{"over", "60", time.Minute + time.Second, nil, servertest.Code{Name: "SignatureDoesNotMatch", Status: 403},
			"Signature expired: " + stamp(started.Add(-time.Second)) + " is now earlier than " + stamp(started) + " (" + stamp(started) + ")"},
		{"changed action", "900", 0, func(q url.Values) { q.Set("Action", "GetCallerIdentity "); q.Set("Version", "2011-06-15") }, servertest.Code{Name: "InvalidAction", Status: 400}, "*"},
		{"added parameter", "900", 0, func(q url.Values) { q.Set("X", "y") }, servertest.Code{Name: "SignatureDoesNotMatch", Status: 403}, "*"},
		{"longer life than was signed", "900", 0, func(q url.Values) { q.Set("X-Amz-Expires", "901") }, servertest.Code{Name: "SignatureDoesNotMatch", Status: 403}, "*"},
		{"no signature", "900", 0, func(q url.Values) { q.Del("X-Amz-Signature") }, servertest.Code{Name: "IncompleteSignature", Status: 400}, "*"},
		{"life longer than a week", "604801", 0, nil, servertest.Code{Name: "IncompleteSignature", Status: 400}, "*"},
		{"no life", "0", 0, nil, servertest.Code{Name: "IncompleteSignature", Status: 400}, "*"},
		{"no algorithm of ours", "900", 0, func(q url.Values) { q.Set("X-Amz-Algorithm", "AWS4-HMAC-SHA1") }, servertest.Code{Name: "IncompleteSignature", Status: 400}, "*"},
		{"signature twice", "900", 0, func(q url.Values) { q.Add("X-Amz-Signature", sig(q)) }, servertest.Code{Name: "MalformedQueryString", Status: 404}, "*"},
		{"signed parameter twice", "900", 0, func(q url.Values) { q.Add("X-Amz-Date", q.Get("X-Amz-Date")) }, servertest.Code{Name: "MalformedQueryString", Status: 404}, "*"},
		{"token of nobody", "900", 0, func(q url.Values) { q.Set("X-Amz-Security-Token", "x") }, servertest.Code{Name: "InvalidClientTokenId", Status: 403}, "*"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := whoami(servertest.Raw{At: clock().Add(-c.age)})
			q.Before = func(r *http.Request) {
				v := r.URL.Query()
				if c.expires != "" {
					v.Set("X-Amz-Expires", c.expires)
				}
				r.URL.RawQuery = v.Encode()
			}
			u, err := url.Parse(s.Presign(t, q))
			if err != nil {
				t.Fatal(err)
			}
			if c.change != nil {
				v := u.Query()
				c.change(v)
				u.RawQuery = v.Encode()
			}
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, u.String(), nil)
			a := s.Do(t, r)
			if c.want.Name == "" {
				if a.Status != http.StatusOK {
					t.Errorf("%d: %s", a.Status, a.Body)
				}
				return
			}
			code, message := a.Error()
			if a.Status != c.want.Status || code != c.want.Name || c.message != "*" && message != c.message {
				t.Errorf("answered %d %s: %s\nwant %d %s: %s", a.Status, code, message, c.want.Status, c.want.Name, c.message)
			}
		})
	}

	t.Run("both kinds of signature", func(t *testing.T) {
		u := strings.TrimPrefix(s.Presign(t, whoami(servertest.Raw{At: clock()})), s.URL)
		a := s.Send(t, servertest.Raw{Service: "sts", Method: http.MethodGet, URL: u, At: clock()})
		if code, _ := a.Error(); code != "IncompleteSignature" || a.Status != http.StatusBadRequest {
			t.Errorf("answered %d: %s", a.Status, a.Body)
		}
	})
}

// AWS takes a body that is not signed from S3's clients only, and frames of
// signed pieces too (spec iam-sts.md 5).
func TestUnsignedBodies(t *testing.T) {
	s := servertest.Start(t)
	for _, hash := range []string{"UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", strings.Repeat("0", 64)} {
		for _, q := range []servertest.Raw{
			whoami(servertest.Raw{}),
			{Service: "iam", Form: url.Values{"Action": {"ListUsers"}, "Version": {"2010-05-08"}}},
			{Service: "secretsmanager", Target: "secretsmanager.ListSecrets", Body: "{}"},
		} {
			q.PayloadHash = hash
			q.Before = func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", hash) }
			a := s.Send(t, q)
			if code, _ := a.Error(); code != "SignatureDoesNotMatch" && code != "InvalidSignatureException" {
				t.Errorf("%s with %s: answered %d: %s", q.Service, hash, a.Status, a.Body)
			}
		}
	}
}

func TestUnknownActions(t *testing.T) {
	s := servertest.Start(t)
	for _, c := range []struct {
		form    url.Values
		code    string
		message string
	}{
		{url.Values{"Action": {"AssumeRoleWithSAML"}, "Version": {"2011-06-15"}}, "InvalidAction", "Could not find operation AssumeRoleWithSAML for version 2011-06-15"},
		{url.Values{"Action": {"AssumeRoot"}, "Version": {"2011-06-15"}}, "InvalidAction", "Could not find operation AssumeRoot for version 2011-06-15"},
		{url.Values{"Action": {"getcalleridentity"}, "Version": {"2011-06-15"}}, "InvalidAction", "Could not find operation getcalleridentity for version 2011-06-15"},
		{url.Values{"Action": {"GetCallerIdentity"}}, "InvalidAction", "Could not find operation GetCallerIdentity for version NO_VERSION_SPECIFIED"},
		{url.Values{"Action": {"GetCallerIdentity"}, "Version": {"2010-05-08"}}, "InvalidAction", "Could not find operation GetCallerIdentity for version 2010-05-08"},
		{url.Values{"Version": {"2011-06-15"}}, "MissingAction", "The request is missing an action or a required parameter."},
	} {
		a := s.Send(t, servertest.Raw{Service: "sts", Form: c.form})
		if code, message := a.Error(); a.Status != http.StatusBadRequest || code != c.code || message != c.message {
			t.Errorf("%v: answered %d %s: %s", c.form, a.Status, code, message)
		} else {
			errs.Note(t, "GetCallerIdentity", code, message)
		}
	}
}
