package wire

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
)

// TestAnswers compares whole answers, byte for byte, per protocol and kind.
func TestAnswers(t *testing.T) {
	full := func(ctx context.Context, _ *toyInput) (*toyOutput, error) {
		allow(ctx)
		return &toyOutput{
			ARN: new("arn:<&>"), Secret: new(aws.SensitiveString("p\"w\u2028<")), Blob: aws.SensitiveBytes{0, 1, 2},
			Stages: []string{}, Created: aws.NewTime(time.UnixMilli(1712813867123)), Enabled: new(false),
			Tags: []toyTag{{Key: new("k"), Value: new(aws.SensitiveString("v"))}}, Versions: map[string][]string{"b": {"2"}, "a": {"1"}},
		}, nil
	}
	fail := func(err error) func(context.Context, *toyInput) (*toyOutput, error) {
		return func(ctx context.Context, _ *toyInput) (*toyOutput, error) { allow(ctx); return nil, err }
	}
	notFound := &aws.Error{Code: "ResourceNotFoundException", Message: "Can't find \"it\" <here>."}
	const ok = `{"Id":"a"}`
	const okForm = "Action=Get&Version=2010-05-08&Id=a"
	tests := []struct {
		name   string
		req    *http.Request
		get    func(context.Context, *toyInput) (*toyOutput, error)
		status int
		body   string
	}{
		{"json", jsonRequest("Toy.Get", ok), full, 200,
			`{"ARN":"arn:<&>","Secret":"p\"w` + "\u2028" + `<","Blob":"AAEC","Stages":[],"Created":1712813867.123,"Enabled":false,` +
				`"Tags":[{"Key":"k","Value":"v"}],"Versions":{"a":["1"],"b":["2"]}}`},
		{"json without output", jsonRequest("Toy.Tag", ok), nil, 200, ""},
		{"json empty body counts as {}", jsonRequest("Toy.WhoAmI", ""), nil, 200, `{"ARN":"arn:aws:iam::111122223333:user/bob"}`},
		{"json service error", jsonRequest("Toy.Get", ok), fail(notFound), 400,
			`{"__type":"ResourceNotFoundException","Message":"Can't find \"it\" <here>."}`},
		{"json bare error", jsonRequest("Toy.Get", ok), fail(&aws.Error{Code: "InvalidCiphertextException", Bare: true, Message: "x"}), 400,
			`{"__type":"InvalidCiphertextException"}`},
		{"json framework error", jsonRequest("Toy.Get", ok), fail(&aws.Error{Code: "ValidationException", Message: "m", Framework: true}), 400,
			`{"__type":"ValidationException","message":"m"}`},
		{"json internal error", jsonRequest("Toy.Get", ok), fail(errors.New("disk on fire")), 500,
			`{"__type":"InternalServiceError","Message":"An internal error occurred."}`},
		{"json invalid UTF-8 in a message", jsonRequest("Toy.Get", ok), fail(&aws.Error{Code: "X", Message: "a\xffb"}), 400,
			"{\"__type\":\"X\",\"Message\":\"a\uFFFDb\"}"},
		{"query", formRequest(okForm), full, 200,
			`<GetResponse xmlns="https://qoy.example/doc/2010-05-08/"><GetResult><ARN>arn:&lt;&amp;&gt;</ARN><Secret>p"w` + "\u2028" + `&lt;</Secret>` +
				`<Blob>AAEC</Blob><Stages/><Created>2024-04-11T05:37:47Z</Created><Enabled>false</Enabled>` +
				`<Tags><member><Key>k</Key><Value>v</Value></member></Tags>` +
				`<Versions><entry><key>a</key><value><member>1</member></value></entry><entry><key>b</key><value><member>2</member></value></entry></Versions>` +
				`</GetResult><ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata></GetResponse>`},
		{"query by GET", httptest.NewRequest("GET", "/?Action=WhoAmI&Version=2010-05-08", nil), nil, 200,
			`<WhoAmIResponse xmlns="https://qoy.example/doc/2010-05-08/"><WhoAmIResult><ARN>arn:aws:iam::111122223333:user/bob</ARN></WhoAmIResult>` +
				`<ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata></WhoAmIResponse>`},
		{"query without output", formRequest("Action=Tag&Version=2010-05-08&Id=a"), nil, 200,
			`<TagResponse xmlns="https://qoy.example/doc/2010-05-08/"><ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata></TagResponse>`},
		{"query service error", formRequest(okForm), fail(&aws.Error{Code: "NoSuchEntity", Status: 404, Message: "no <bob>\x01\r"}), 404,
			`<ErrorResponse xmlns="https://qoy.example/doc/2010-05-08/"><Error><Type>Sender</Type><Code>NoSuchEntity</Code>` +
				"<Message>no &lt;bob&gt;\uFFFD&#xD;</Message></Error><RequestId>ID</RequestId></ErrorResponse>"},
		{"query internal error", formRequest(okForm), fail(errors.New("disk on fire")), 500,
			`<ErrorResponse xmlns="https://qoy.example/doc/2010-05-08/"><Error><Type>Receiver</Type><Code>ServiceFailure</Code>` +
				`<Message>An internal error occurred.</Message></Error><RequestId>ID</RequestId></ErrorResponse>`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			if tt.get != nil {
				w.get = tt.get
			}
			rec := w.do(tt.req)
			id := rec.Header().Get("X-Amzn-Requestid")
			if got := strings.ReplaceAll(rec.Body.String(), id, "ID"); got != tt.body || rec.Code != tt.status {
				t.Errorf("got %d\n%s\nwant %d\n%s", rec.Code, got, tt.status, tt.body)
			}
			checkHeaders(t, rec, strings.HasPrefix(tt.body, "<"))
			if len(w.recorded) != 1 || len(w.unverified) != 0 {
				t.Errorf("recorded %d, unverified %d", len(w.recorded), len(w.unverified))
			}
		})
	}
}

var uuid4 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func checkHeaders(t *testing.T, rec *httptest.ResponseRecorder, isXML bool) {
	t.Helper()
	want := map[string]string{"Content-Type": jsonType, "Date": "Tue, 10 Mar 2026 12:00:00 GMT",
		"Cache-Control": "no-store", "Content-Length": fmt.Sprint(rec.Body.Len())}
	if isXML {
		want["Content-Type"] = "text/xml"
		if err := xml.Unmarshal(rec.Body.Bytes(), new(struct{})); err != nil {
			t.Errorf("answer is no XML: %v", err)
		}
	}
	for k, v := range want {
		if got := rec.Header().Get(k); got != v {
			t.Errorf("%s: %q, want %q", k, got, v)
		}
	}
	if id := rec.Header().Get("x-amzn-RequestId"); !uuid4.MatchString(id) {
		t.Errorf("request id %q", id)
	}
}

// TestRefusals sends what is wrong in itself: none of it may end in a 500, reach
// an operation, or, before authentication, be recorded as a call.
func TestRefusals(t *testing.T) {
	edit := func(r *http.Request, f func(*http.Request)) *http.Request { f(r); return r }
	deep := func(n int) string { return strings.Repeat(`{"x":`, n) + `1` + strings.Repeat(`}`, n) }
	const v = "&Version=2010-05-08"
	tests := []struct {
		name   string
		req    *http.Request
		status int
		body   string // of JSON the body, of XML the code
		known  bool   // whether the caller was authenticated, and so the call recorded
	}{
		{"no target", jsonRequest("", "{}"), 400, `{"__type":"UnknownOperationException"}`, false},
		{"unknown target", jsonRequest("Toy.Nope", "{}"), 400, `{"__type":"UnknownOperationException"}`, false},
		{"unbuilt operation", jsonRequest("Toy.Later", "{}"), 400, `{"__type":"UnknownOperationException"}`, false},
		{"target in other case", jsonRequest("Toy.get", "{}"), 400, `{"__type":"UnknownOperationException"}`, false},
		{"target of a query service", jsonRequest("qoy.Get", "{}"), 400, `{"__type":"UnknownOperationException"}`, false},
		{"two targets", edit(jsonRequest("Toy.Get", "{}"), func(r *http.Request) { r.Header.Add("X-Amz-Target", "Toy.Tag") }), 400, `{"__type":"UnknownOperationException"}`, false},
		{"plain JSON type", edit(jsonRequest("Toy.Get", "{}"), func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }), 400, `{"__type":"UnknownOperationException"}`, false},
		{"no type", edit(jsonRequest("Toy.Get", "{}"), func(r *http.Request) { r.Header.Del("Content-Type") }), 400, `{"__type":"UnknownOperationException"}`, false},
		{"target with form type", edit(jsonRequest("Toy.Get", "{}"), func(r *http.Request) { r.Header.Set("Content-Type", formType) }), 400, `{"__type":"UnknownOperationException"}`, false},
		{"other path", edit(jsonRequest("Toy.Get", "{}"), func(r *http.Request) { r.URL.Path = "/x" }), 404, `{"__type":"UnknownOperationException"}`, false},
		{"GET", httptest.NewRequest("GET", "/", nil), 404, `{"__type":"UnknownOperationException"}`, false},
		{"PUT", edit(jsonRequest("Toy.Get", "{}"), func(r *http.Request) { r.Method = "PUT" }), 404, `{"__type":"UnknownOperationException"}`, false},
		{"DELETE", httptest.NewRequest("DELETE", "/?Action=Get", nil), 404, `{"__type":"UnknownOperationException"}`, false},
		{"too large, announced", jsonRequest("Toy.Get", `{"Id":"`+strings.Repeat("a", 5000)+`"}`), 413, `{"__type":"RequestEntityTooLargeException"}`, false},
		{"too large, chunked", edit(jsonRequest("Toy.Get", strings.Repeat(" ", 5000)), func(r *http.Request) { r.ContentLength = -1 }), 413, `{"__type":"RequestEntityTooLargeException"}`, false},
		{"body breaks off", edit(jsonRequest("Toy.Get", ""), func(r *http.Request) { r.Body = io.NopCloser(broken{strings.NewReader(`{"Id"`)}) }), 408, `{"__type":"RequestTimeoutException"}`, false},
		{"gzip", edit(jsonRequest("Toy.Get", "{}"), func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }), 415, `{"__type":"UnsupportedMediaTypeException"}`, false},

		{"not JSON", jsonRequest("Toy.Get", "nope"), 400, `{"__type":"SerializationException"}`, true},
		{"array", jsonRequest("Toy.Get", "[]"), 400, `{"__type":"SerializationException"}`, true},
		{"null", jsonRequest("Toy.Get", "null"), 400, `{"__type":"SerializationException"}`, true},
		{"cut off", jsonRequest("Toy.Get", `{"Id":"a`), 400, `{"__type":"SerializationException"}`, true},
		{"text behind", jsonRequest("Toy.Get", `{"Id":"a"} {}`), 400, `{"__type":"SerializationException"}`, true},
		{"duplicate member", jsonRequest("Toy.Get", `{"Id":"a","Id":"b"}`), 400, `{"__type":"SerializationException"}`, true},
		{"duplicate unknown member", jsonRequest("Toy.Get", `{"Id":"a","x":1,"x":2}`), 400, `{"__type":"SerializationException"}`, true},
		{"duplicate map key", jsonRequest("Toy.Get", `{"Id":"a","Context":{"k":"1","k":"2"}}`), 400, `{"__type":"SerializationException"}`, true},
		{"invalid UTF-8", jsonRequest("Toy.Get", "{\"Id\":\"\xff\"}"), 400, `{"__type":"SerializationException"}`, true},
		{"lone surrogate", jsonRequest("Toy.Get", `{"Id":"\ud800"}`), 400, `{"__type":"SerializationException"}`, true},
		{"bad base64", jsonRequest("Toy.Get", `{"Id":"a","SecretBlob":"hunter2!"}`), 400, `{"__type":"SerializationException"}`, true},
		{"string for integer", jsonRequest("Toy.Get", `{"Count":"1"}`), 400, `{"__type":"SerializationException","message":"STRING_VALUE can not be converted to a Integer"}`, true},
		{"string for long", jsonRequest("Toy.Get", `{"Big":"1"}`), 400, `{"__type":"SerializationException","message":"STRING_VALUE can not be converted to a Long"}`, true},
		{"number for string", jsonRequest("Toy.Get", `{"Id":1}`), 400, `{"__type":"SerializationException","message":"NUMBER_VALUE can not be converted to a String"}`, true},
		{"boolean for secret", jsonRequest("Toy.Get", `{"Secret":true}`), 400, `{"__type":"SerializationException","message":"TRUE_VALUE can not be converted to a String"}`, true},
		{"object for string", jsonRequest("Toy.Get", `{"Id":{}}`), 400, `{"__type":"SerializationException","message":"Start of structure or map found where not expected."}`, true},
		{"list for boolean", jsonRequest("Toy.Get", `{"Flag":[]}`), 400, `{"__type":"SerializationException","message":"Start of list found where not expected"}`, true},
		{"string for list", jsonRequest("Toy.Get", `{"Names":"a"}`), 400, `{"__type":"SerializationException"}`, true},
		{"fraction for integer", jsonRequest("Toy.Get", `{"Count":1.5}`), 400, `{"__type":"SerializationException"}`, true},
		{"integer overflow", jsonRequest("Toy.Get", `{"Count":2147483648}`), 400, `{"__type":"SerializationException"}`, true},
		{"long overflow", jsonRequest("Toy.Get", `{"Big":9223372036854775808}`), 400, `{"__type":"SerializationException"}`, true},
		{"time out of range", jsonRequest("Toy.Get", `{"When":1e300}`), 400, `{"__type":"SerializationException"}`, true},
		{"time as text", jsonRequest("Toy.Get", `{"When":"2020-01-01"}`), 400, `{"__type":"SerializationException"}`, true},
		{"too deep", jsonRequest("Toy.Get", deep(9)), 400, `{"__type":"SerializationException"}`, true},
		{"constraint", jsonRequest("Toy.Get", `{}`), 400, `{"__type":"ValidationException","message":"1 validation error detected: Value null at 'id' failed to satisfy constraint: Member must not be null"}`, true},

		{"no action", formRequest("Version=2010-05-08"), 400, "MissingAction", false},
		{"unknown action", formRequest("Action=Nope" + v), 400, "InvalidAction", false},
		{"unbuilt action", formRequest("Action=Later" + v), 400, "InvalidAction", false},
		{"no version", formRequest("Action=Get"), 400, "InvalidAction", false},
		{"wrong version", formRequest("Action=Get&Version=2011-06-15"), 400, "InvalidAction", false},
		{"bad escape", formRequest("Action=Get%zz" + v), 404, "MalformedQueryString", false},
		{"bad UTF-8", formRequest("Action=Get&Id=%ff" + v), 404, "MalformedQueryString", false},
		{"name twice", formRequest("Action=Get&Id=a&Id=b" + v), 404, "MalformedQueryString", false},
		{"name in query and body", edit(formRequest("Action=Get"+v), func(r *http.Request) { r.URL.RawQuery = "Action=Tag" }), 404, "MalformedQueryString", false},
		{"too many parameters", formRequest("Action=Get" + v + strings.Repeat("&a=", 1) + manyParameters(40)), 404, "MalformedQueryString", false},
		{"form too large", formRequest("Action=" + strings.Repeat("a", 5000)), 413, "RequestEntityTooLarge", false},
		{"gzip form", edit(formRequest("Action=Get"+v), func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }), 415, "UnsupportedMediaType", false},
		{"name too deep", formRequest("Action=Get" + v + "&a" + strings.Repeat(".a", 40) + "=1"), 404, "MalformedQueryString", true},
		{"index zero", formRequest("Action=Get" + v + "&Names.member.0=a"), 400, "MalformedInput", true},
		{"index negative", formRequest("Action=Get" + v + "&Names.member.-1=a"), 400, "MalformedInput", true},
		{"index with zeros", formRequest("Action=Get" + v + "&Names.member.01=a"), 400, "MalformedInput", true},
		{"index huge", formRequest("Action=Get" + v + "&Names.member.99999999999999=a"), 400, "MalformedInput", true},
		{"list without member", formRequest("Action=Get" + v + "&Names.1=a"), 400, "MalformedInput", true},
		{"list as value", formRequest("Action=Get" + v + "&Names=a"), 400, "MalformedInput", true},
		{"structure as value", formRequest("Action=Get" + v + "&Rules=a"), 400, "MalformedInput", true},
		{"value as structure", formRequest("Action=Get" + v + "&Id.x=a"), 400, "MalformedInput", true},
		{"both", formRequest("Action=Get" + v + "&Id=a&Id.x=a"), 400, "MalformedInput", true},
		{"bad number", formRequest("Action=Get" + v + "&Id=a&Count=1.5"), 400, "MalformedInput", true},
		{"number overflow", formRequest("Action=Get" + v + "&Id=a&Count=2147483648"), 400, "MalformedInput", true},
		{"bad boolean", formRequest("Action=Get" + v + "&Id=a&Flag=yes"), 400, "MalformedInput", true},
		{"bad blob", formRequest("Action=Get" + v + "&Id=a&Blob=***"), 400, "MalformedInput", true},
		{"bad time", formRequest("Action=Get" + v + "&Id=a&When=noon"), 400, "MalformedInput", true},
		{"map without key", formRequest("Action=Get" + v + "&Id=a&Context.entry.1.value=x"), 400, "MalformedInput", true},
		{"map key twice", formRequest("Action=Get" + v + "&Id=a&Context.entry.1.key=k&Context.entry.1.value=x&Context.entry.2.key=k&Context.entry.2.value=y"), 400, "MalformedInput", true},
		{"form constraint", formRequest("Action=Get" + v), 400, "ValidationError", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.get = func(context.Context, *toyInput) (*toyOutput, error) {
				t.Error("operation ran")
				return nil, errors.New("no")
			}
			rec := w.do(tt.req)
			got, isXML := rec.Body.String(), !strings.HasPrefix(tt.body, "{")
			if isXML {
				var e struct {
					Error struct{ Code string }
				}
				if err := xml.Unmarshal(rec.Body.Bytes(), &e); err != nil {
					t.Fatal(err)
				}
				got = e.Error.Code
			}
			if got != tt.body || rec.Code != tt.status {
				t.Errorf("got %d %s (%s), want %d %s", rec.Code, got, rec.Body, tt.status, tt.body)
			}
			checkHeaders(t, rec, isXML)
			if known := len(w.recorded) == 1; known != tt.known || (len(w.unverified) == 1) == tt.known {
				t.Errorf("events %v", w.events)
			}
			if len(w.observed) != 1 || w.observed[0] != tt.status {
				t.Errorf("observed %v", w.observed)
			}
			if strings.Contains(w.log.String(), "hunter2") {
				t.Errorf("log shows the value: %s", w.log.String())
			}
		})
	}
}

func manyParameters(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "&p%d=x", i)
	}
	return b.String()
}

func TestInvalidActionSentence(t *testing.T) {
	for form, want := range map[string]string{
		"Action=Nope&Version=2010-05-08": "Could not find operation Nope for version 2010-05-08",
		"Action=Nope":                    "Could not find operation Nope for version NO_VERSION_SPECIFIED",
		"Action=Get&Version=1":           "Could not find operation Get for version 1",
		"Action=" + strings.Repeat("é", 200): "Could not find operation " + strings.Repeat("é", 64) +
			" for version NO_VERSION_SPECIFIED",
	} {
		if rec := newWorld(t).do(formRequest(form)); !strings.Contains(rec.Body.String(), "<Message>"+want+"</Message>") {
			t.Errorf("%s: %s", form, rec.Body)
		}
	}
}

// TestOrder pins that room is reserved before the operation and the record made
// after it, before the answer.
func TestOrder(t *testing.T) {
	w := newWorld(t)
	w.get = func(ctx context.Context, _ *toyInput) (*toyOutput, error) {
		allow(ctx)
		w.note("run")
		return &toyOutput{}, nil
	}
	w.do(jsonRequest("Toy.Get", `{"Id":"a"}`))
	if got := strings.Join(w.events, ", "); got != "begin Get, run, record Get" {
		t.Error(got)
	}
}

func TestAuthenticationFails(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		status int
		body   string
	}{
		{"as it says", &aws.Error{Code: "UnrecognizedClientException", Message: "m", Framework: true}, 400, `{"__type":"UnrecognizedClientException","message":"m"}`},
		{"by a fault", errors.New("directory is gone"), 500, `{"__type":"InternalServiceError","Message":"An internal error occurred."}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.auth = func(c *Call, _ *http.Request, _ []byte) error {
				c.Principal = &aws.Principal{} // Even if it got that far.
				return tt.err
			}
			rec := w.do(jsonRequest("Toy.Get", `{"Id":"a"}`))
			if rec.Code != tt.status || rec.Body.String() != tt.body {
				t.Errorf("got %d %s", rec.Code, rec.Body)
			}
			if len(w.unverified) != 1 || len(w.recorded) != 0 || w.unverified[0].Principal != nil {
				t.Errorf("events %v", w.events)
			}
		})
	}
	t.Run("by naming nobody", func(t *testing.T) {
		w := newWorld(t)
		w.auth = func(*Call, *http.Request, []byte) error { return nil }
		if rec := w.do(jsonRequest("Toy.Get", `{"Id":"a"}`)); rec.Code != 500 || strings.Contains(rec.Body.String(), "hunter2") {
			t.Errorf("got %d %s", rec.Code, rec.Body)
		}
	})
}

// TestAuthenticatorSeesBody pins that signatures are checked over what was sent.
func TestAuthenticatorSeesBody(t *testing.T) {
	w := newWorld(t)
	inner := w.auth
	w.auth = func(c *Call, r *http.Request, body []byte) error {
		if string(body) != `{"Id":"a"}` || c.Service.Name != "toy" || c.Operation != "Get" || !c.ReadOnly {
			t.Errorf("body %q, call %+v", body, c)
		}
		return inner(c, r, body)
	}
	w.do(jsonRequest("Toy.Get", `{"Id":"a"}`))
}

func TestCallFacts(t *testing.T) {
	w := newWorld(t)
	r := jsonRequest("Toy.Get", `{"Id":"a"}`)
	r.RemoteAddr = "[::ffff:192.0.2.10]:4711"
	r.Header.Set("User-Agent", "aws-cli/2 \xff"+strings.Repeat("x", 2000))
	w.do(r)
	c := w.recorded[0]
	if c.Source.String() != "192.0.2.10" || !strings.HasPrefix(c.UserAgent, "aws-cli/2 \uFFFDx") || len(c.UserAgent) > maxHeader+2 ||
		c.EventType != EventAPICall || !c.Start.Equal(noon) || c.Region != "eu-west-1" || c.Err != nil || c.RequestID == c.EventID {
		t.Errorf("%+v", c)
	}
	if c.Info() == nil || c.Info().Name != "Get" {
		t.Errorf("info %+v", c.Info())
	}
}

// TestLogLine pins that a request leaves one line with the agreed facts, and
// nothing of its parameters.
func TestLogLine(t *testing.T) {
	w := newWorld(t)
	w.get = func(ctx context.Context, _ *toyInput) (*toyOutput, error) {
		allow(ctx)
		CallFrom(ctx).Touch(Resource{ARN: "arn:toy:1"})
		return nil, (&aws.Error{Code: "Broken"}).With(errors.New("inner cause"))
	}
	w.do(jsonRequest("Toy.Get", `{"Id":"abc","Secret":"hunter2","Context":{"k":"parameter"}}`))
	line := w.log.String()
	if strings.Count(line, "\n") != 1 {
		t.Errorf("not one line: %s", line)
	}
	for _, want := range []string{`"operation":"Get"`, `"service":"toy"`, `"code":"Broken"`, `"principal":"arn:aws:iam::111122223333:user/bob"`,
		`"resource":"arn:toy:1"`, `"took":0`, `"cause":"inner cause"`, w.recorded[0].RequestID} {
		if !strings.Contains(line, want) {
			t.Errorf("no %s in %s", want, line)
		}
	}
	for _, secret := range []string{"abc", "hunter2", "parameter"} {
		if strings.Contains(line, secret) {
			t.Errorf("%s in %s", secret, line)
		}
	}
}

func TestTimeLimit(t *testing.T) {
	w := newWorld(t)
	w.handler = w.Handler(w, Limits{Time: time.Millisecond})
	w.get = func(ctx context.Context, _ *toyInput) (*toyOutput, error) {
		allow(ctx)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if rec := w.do(jsonRequest("Toy.Get", `{"Id":"a"}`)); rec.Code != 500 || len(w.recorded) != 1 {
		t.Errorf("got %d, events %v", rec.Code, w.events)
	}
}
