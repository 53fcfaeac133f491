package sigv4_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/sigv4"
)

const (
	goodScope = "AKIDEXAMPLE/20260219/eu-west-1/secretsmanager/aws4_request"
	hex64     = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
	mismatch  = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)

func auth(credential, signedHeaders, signature string) string {
	return "AWS4-HMAC-SHA256 Credential=" + credential + ", SignedHeaders=" + signedHeaders + ", Signature=" + signature
}

// Every refusal, with its sentence and the names that the two families of
// services give it.
func TestFailures(t *testing.T) {
	const (
		date  = "20260219T183451Z"
		hosts = "host;x-amz-date"
	)
	type names struct {
		json        string
		query       string
		queryStatus int
	}
	var (
		missing      = names{"MissingAuthenticationTokenException", "MissingAuthenticationToken", 403}
		incomplete   = names{"IncompleteSignatureException", "IncompleteSignature", 400}
		invalid      = names{"InvalidSignatureException", "SignatureDoesNotMatch", 403}
		unrecognized = names{"UnrecognizedClientException", "InvalidClientTokenId", 403}
		expired      = names{"ExpiredTokenException", "ExpiredToken", 403}
	)
	query := func(pairs ...string) string {
		v := url.Values{"X-Amz-Algorithm": {"AWS4-HMAC-SHA256"}, "X-Amz-Credential": {goodScope}, "X-Amz-Date": {date},
			"X-Amz-Expires": {"60"}, "X-Amz-SignedHeaders": {"host"}, "X-Amz-Signature": {hex64}}
		for i := 0; i < len(pairs); i += 2 {
			if v.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
				v.Del(pairs[i])
			}
		}
		return v.Encode()
	}
	for _, c := range []struct {
		title   string
		auth    []string
		date    string
		headers http.Header
		query   string
		names   names
		message string // "" for the Query wording means the same
		inQuery string
	}{
		{title: "nothing", names: missing, message: "Missing Authentication Token", inQuery: "Request is missing Authentication Token"},
		{title: "empty header", auth: []string{""}, names: missing, message: "Missing Authentication Token", inQuery: "Request is missing Authentication Token"},
		{title: "algorithm only", auth: []string{"AWS4-HMAC-SHA256 x=y"}, names: incomplete,
			message: "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. Authorization=AWS4-HMAC-SHA256 x=y"},
		{title: "signature missing", auth: []string{"AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host"}, date: date, names: incomplete,
			message: "Authorization header requires 'Signature' parameter. Authorization=AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host"},
		{title: "date missing", auth: []string{auth(goodScope, hosts, hex64)}, names: incomplete,
			message: "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. Authorization=" + auth(goodScope, hosts, hex64)},
		{title: "no equal sign", auth: []string{"AWS4-HMAC-SHA256 Credential=a, junk"}, date: date, names: incomplete,
			message: "'junk' not a valid key=value pair (missing equal-sign) in Authorization header: 'AWS4-HMAC-SHA256 Credential=a, junk'."},
		{title: "part twice", auth: []string{"AWS4-HMAC-SHA256 Credential=a, Credential=b"}, date: date, names: incomplete,
			message: "Authorization header contains more than one 'Credential' parameter. Authorization=AWS4-HMAC-SHA256 Credential=a, Credential=b"},
		{title: "bearer token is not repeated", auth: []string{"Bearer s3cr3t"}, date: date, names: incomplete,
			message: "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. Authorization=Bearer [redacted]"},
		{title: "bare token is not repeated", auth: []string{"s3cr3t"}, date: date, names: incomplete,
			message: "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. Authorization=[redacted]"},
		{title: "credential of four parts", auth: []string{auth("AKID/20260219/eu-west-1/secretsmanager", hosts, hex64)}, date: date, names: incomplete,
			message: "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'AKID/20260219/eu-west-1/secretsmanager'"},
		{title: "credential of six parts", auth: []string{auth("AKID/20260219/eu-west-1/secretsmanager/aws4_request/", hosts, hex64)}, date: date, names: incomplete,
			message: "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'AKID/20260219/eu-west-1/secretsmanager/aws4_request/'"},
		{title: "two headers", auth: []string{auth(goodScope, hosts, hex64), auth(goodScope, hosts, hex64)}, date: date, names: incomplete,
			message: "Only one Authorization header is allowed."},
		{title: "long header", auth: []string{auth(goodScope, hosts, strings.Repeat("a", 5000))}, date: date, names: incomplete,
			message: "The Authorization header is longer than 4096 bytes."},
		{title: "many signed headers", auth: []string{auth(goodScope, strings.Repeat("a;", 64)+"b", hex64)}, date: date, names: incomplete,
			message: "SignedHeaders has more than 64 elements."},
		{title: "date not ISO", auth: []string{auth(goodScope, hosts, hex64)}, date: "2026-02-19", names: incomplete,
			message: "Date must be in ISO-8601 'basic format'. Got '2026-02-19'. See http://en.wikipedia.org/wiki/ISO_8601"},
		{title: "date with a fraction", auth: []string{auth(goodScope, hosts, hex64)}, date: "20260219T183451.5Z", names: incomplete,
			message: "Date must be in ISO-8601 'basic format'. Got '20260219T183451.5Z'. See http://en.wikipedia.org/wiki/ISO_8601"},
		{title: "date twice", auth: []string{auth(goodScope, hosts, hex64)}, headers: http.Header{"X-Amz-Date": {date, date}}, names: incomplete,
			message: "Date must be in ISO-8601 'basic format'. Got '20260219T183451Z,20260219T183451Z'. See http://en.wikipedia.org/wiki/ISO_8601"},
		{title: "both ways", auth: []string{auth(goodScope, hosts, hex64)}, date: date, query: query(), names: incomplete,
			message: "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified"},

		{title: "too old", auth: []string{auth(goodScope, hosts, hex64)}, date: "20260219T182950Z", names: invalid,
			message: "Signature expired: 20260219T182950Z is now earlier than 20260219T182951Z (20260219T183451Z - 5 min.)"},
		{title: "too old by the Date header", auth: []string{auth(goodScope, hosts, hex64)}, headers: http.Header{"Date": {"Thu, 19 Feb 2026 18:29:50 GMT"}}, names: invalid,
			message: "Signature expired: 20260219T182950Z is now earlier than 20260219T182951Z (20260219T183451Z - 5 min.)"},
		{title: "in the future", auth: []string{auth(goodScope, hosts, hex64)}, date: "20260219T183952Z", names: invalid,
			message: "Signature not yet current: 20260219T183952Z is still later than 20260219T183951Z (20260219T183451Z + 5 min.)"},
		{title: "age before scope", auth: []string{auth("A/1/2/3/4", hosts, hex64)}, date: "20250219T183952Z", names: invalid,
			message: "Signature expired: 20250219T183952Z is now earlier than 20260219T182951Z (20260219T183451Z - 5 min.)"},
		{title: "region", auth: []string{auth("A/20260219/mars-1/secretsmanager/aws4_request", hosts, hex64)}, date: date, names: invalid,
			message: "Credential should be scoped to a valid region. "},
		{title: "service", auth: []string{auth("A/20260219/eu-west-1/s3/aws4_request", hosts, hex64)}, date: date, names: invalid,
			message: "Credential should be scoped to correct service: 'secretsmanager'. "},
		{title: "terminator", auth: []string{auth("A/20260219/eu-west-1/secretsmanager/aws5", hosts, hex64)}, date: date, names: invalid,
			message: "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5'. "},
		{title: "date of the scope", auth: []string{auth("A/20260218/eu-west-1/secretsmanager/aws4_request", hosts, hex64)}, date: date, names: invalid,
			message: "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20260218' != '20260219', from '20260219T183451Z'. "},
		{title: "host unsigned", auth: []string{auth(goodScope, "x-amz-date", hex64)}, date: date, names: invalid,
			message: "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization. "},
		{title: "x-amz header unsigned", auth: []string{auth(goodScope, hosts, hex64)}, date: date, headers: http.Header{"X-Amz-Target": {"t"}}, names: invalid,
			message: "Every 'X-Amz-*' header must be a 'SignedHeader' in the AWS Authorization. "},
		{title: "whole scope", auth: []string{auth("A/20260218/mars-1/s3/x", "x-amz-date", hex64)}, date: date, names: invalid,
			message: "Credential should be scoped to a valid region. Credential should be scoped to correct service: 'secretsmanager'. Credential should be scoped with a valid terminator: 'aws4_request', not 'x'. Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20260218' != '20260219', from '20260219T183451Z'. 'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization. "},

		{title: "wrong signature", auth: []string{auth(goodScope, hosts, hex64)}, date: date, names: invalid, message: mismatch},
		{title: "signature cut short", auth: []string{auth(goodScope, hosts, hex64[:32])}, date: date, names: invalid, message: mismatch},
		{title: "signed but absent", auth: []string{auth(goodScope, "host;x-amz-date;x-gone", hex64)}, date: date, names: invalid, message: mismatch},
		{title: "signed headers unsorted", auth: []string{auth(goodScope, "x-amz-date;host", hex64)}, date: date, names: invalid, message: mismatch},
		{title: "signed headers repeated", auth: []string{auth(goodScope, "host;host;x-amz-date", hex64)}, date: date, names: invalid, message: mismatch},
		{title: "signed headers in upper case", auth: []string{auth(goodScope, "Host;x-amz-date", hex64)}, date: date, names: invalid, message: mismatch},
		{title: "signed header of no name", auth: []string{auth(goodScope, ";host;x-amz-date", hex64)}, date: date, names: invalid, message: mismatch},
		{title: "signed header with a line break", auth: []string{auth(goodScope, "host;x-a\nb", hex64)}, date: date, names: invalid, message: mismatch},
		{title: "query not decodable", auth: []string{auth(goodScope, hosts, hex64)}, date: date, query: "a=%zz", names: invalid, message: mismatch},

		{title: "presigned, only the algorithm", query: "X-Amz-Algorithm=AWS4-HMAC-SHA256", names: incomplete,
			message: "AWS query-string parameters must include 'X-Amz-Credential'. AWS query-string parameters must include 'X-Amz-Signature'. AWS query-string parameters must include 'X-Amz-SignedHeaders'. AWS query-string parameters must include 'X-Amz-Date'. Re-examine the query-string parameters."},
		{title: "presigned, other algorithm", query: query("X-Amz-Algorithm", "AWS4-ECDSA-P256-SHA256"), names: incomplete,
			message: `X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"`},
		{title: "presigned, repeated", query: query() + "&X-Amz-Date=" + date, names: incomplete,
			message: "AWS query-string parameters must not repeat 'X-Amz-Date'."},
		{title: "presigned, repeated in disguise", query: query() + "&X-Amz-%44ate=" + date, names: incomplete,
			message: "AWS query-string parameters must not repeat 'X-Amz-Date'."},
		{title: "presigned for no time", query: query("X-Amz-Expires", "0"), names: incomplete, message: "X-Amz-Expires must be between 1 and 604800 seconds"},
		{title: "presigned for more than a week", query: query("X-Amz-Expires", "604801"), names: incomplete, message: "X-Amz-Expires must be between 1 and 604800 seconds"},
		{title: "presigned for nothing", query: query("X-Amz-Expires", "") + "&X-Amz-Expires=", names: incomplete, message: "X-Amz-Expires should be a number"},
		{title: "presigned for minus", query: query("X-Amz-Expires", "-1"), names: incomplete, message: "X-Amz-Expires should be a number"},
		{title: "presigned too long ago", query: query("X-Amz-Date", "20260219T183350Z"), names: invalid,
			message: "Signature expired: 20260219T183450Z is now earlier than 20260219T183451Z (20260219T183451Z)"},
		{title: "presigned in the future", query: query("X-Amz-Date", "20260219T183952Z"), names: invalid,
			message: "Signature not yet current: 20260219T183952Z is still later than 20260219T183951Z (20260219T183451Z + 5 min.)"},
		{title: "presigned, wrong signature", query: query(), names: invalid, message: mismatch},
		{title: "too many parameters", query: strings.Repeat("a&", 128), names: incomplete, message: "The query string has more than 128 parameters."},
		{title: "too long a query", query: strings.Repeat("a", 16<<10+1), names: incomplete, message: "The query string is longer than 16384 bytes."},
	} {
		t.Run(c.title, func(t *testing.T) {
			r := &http.Request{Method: "POST", Host: "localhost:4766", URL: &url.URL{Path: "/", RawQuery: c.query}, Header: http.Header{}}
			if c.auth != nil {
				r.Header["Authorization"] = c.auth
			}
			if c.date != "" {
				r.Header["X-Amz-Date"] = []string{c.date}
			}
			for k, v := range c.headers {
				r.Header[k] = v
			}
			expect(t, check(received{r, nil}, "secretsmanager", signedAt), c.message, c.inQuery, c.names.json, c.names.query, c.names.queryStatus)
		})
	}
	t.Run("unknown key", func(t *testing.T) {
		expect(t, sigv4.ErrUnrecognizedClient, "The security token included in the request is invalid.", "", unrecognized.json, unrecognized.query, 403)
	})
	t.Run("session over", func(t *testing.T) {
		expect(t, sigv4.ErrExpiredToken, "The security token included in the request is expired", "", expired.json, expired.query, 403)
	})
}

func expect(t *testing.T, err error, message, inQuery, jsonCode, queryCode string, queryStatus int) {
	t.Helper()
	e, ok := errors.AsType[*sigv4.Error](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	if inQuery == "" {
		inQuery = message
	}
	if got := e.Message(false); got != message {
		t.Errorf("got  %q\nwant %q", got, message)
	}
	if got := e.Message(true); got != inQuery {
		t.Errorf("Query: got  %q\nwant %q", got, inQuery)
	}
	if code, status := e.Code(false); code != jsonCode || status != 400 {
		t.Errorf("JSON: %s %d", code, status)
	}
	if code, status := e.Code(true); code != queryCode || status != queryStatus {
		t.Errorf("Query: %s %d", code, status)
	}
}

// The edges of the windows are inside, one second further is outside.
func TestWindows(t *testing.T) {
	r := signed(t, "POST", "https://localhost/", "{}", "", nil)
	p := presigned(t, "https://localhost/?Action=GetCallerIdentity", "604800", "", nil)
	week := 7 * 24 * time.Hour
	for _, c := range []struct {
		title string
		r     received
		after time.Duration
		ok    bool
	}{
		{"5 minutes late", r, 5 * time.Minute, true},
		{"5 minutes and a second late", r, 5*time.Minute + time.Second, false},
		{"5 minutes early", r, -5 * time.Minute, true},
		{"5 minutes and a second early", r, -5*time.Minute - time.Second, false},
		{"fractions of the server's clock", r, 5*time.Minute + 999*time.Millisecond, true},
		{"presigned, last second", p, week, true},
		{"presigned, a second later", p, week + time.Second, false},
		{"presigned, early", p, -5 * time.Minute, true},
		{"presigned, too early", p, -5*time.Minute - time.Second, false},
	} {
		service := "secretsmanager"
		if c.r.URL.RawQuery != "" {
			service = "sts"
		}
		if err := check(c.r, service, signedAt.Add(c.after)); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.title, err)
		}
	}
	s, err := sigv4.Parse(r.Request)
	if err != nil {
		t.Fatal(err)
	}
	err = s.CheckScope("secretsmanager", anyRegion, signedAt.Add(16*time.Minute), 15*time.Minute)
	if want := "Signature expired: 20260219T183451Z is now earlier than 20260219T183551Z (20260219T185051Z - 15 min.)"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// Errors quote the request, but only so much of it, and as text.
func TestQuotesAreBounded(t *testing.T) {
	r := newRequest(t, "POST", "https://localhost/", "", http.Header{
		"Authorization": {"AWS4-HMAC-SHA256 " + strings.Repeat("\xff", 3000)}, "X-Amz-Date": {"20260219T183451Z"}})
	_, err := sigv4.Parse(r)
	if err == nil || len(err.Error()) > 8192 || bytes.ContainsRune([]byte(err.Error()), 0xff) && strings.ToValidUTF8(err.Error(), "") != err.Error() {
		t.Errorf("%d bytes: %.100q", len(err.Error()), err)
	}
}

func TestKeyDoesNotShow(t *testing.T) {
	k := sigv4.SigningKey([]byte("secret"), "20260219", "r", "s")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(verb, k); got != "[redacted]" {
			t.Errorf("%s shows %s", verb, got)
		}
	}
}
