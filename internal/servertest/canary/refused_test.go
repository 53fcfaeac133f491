package canary_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	sraws "github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/servertest"
	"github.com/strongroom/strongroom/internal/wire"
)

// refusals sends every operation that is built requests that are wrong in every
// way that can be made up from its input type alone, with a value in each. Text
// members that are metadata are left alone: what a caller puts there is kept in
// the clear, as the threat model says.
func (w *world) refusals() {
	for _, s := range services {
		for _, operation := range s.built() {
			v := w.text(kindRefused + " of " + s.Name + ":" + operation)
			if s.Protocol == wire.JSON11 {
				w.wrongBodies(s, operation, v)
			} else {
				w.wrongForms(s, operation, v)
			}
			w.wrongRequests(s, operation, v)
		}
	}
	w.presigned()
}

// try sends a body and does not care what becomes of it, but for a 500.
func (w *world) try(s service, operation, body string) {
	w.Helper()
	if status, _ := w.send(w.request(s, operation, []byte(body))); status >= 400 {
		w.refused[s.Name+":"+operation] = true
	}
}

func (w *world) wrongBodies(s service, operation, v string) {
	w.Helper()
	q := quote(v)
	for _, body := range []string{
		// Not JSON, not an object, more than one, too deep, not UTF-8.
		`{"SecretString":` + q,
		`{"SecretString":` + q[:len(q)-1],
		`{"SecretString":` + q + `} ` + q,
		`{"SecretString":` + q + `,}`,
		`{SecretString:` + v + `}`,
		"SecretString=" + v,
		q,
		"[" + q + "]",
		`{"SecretString":` + strings.Repeat("[", 100) + q + strings.Repeat("]", 100) + "}",
		`{"SecretString":` + q[:len(q)-1] + "\xff\"}",
		`{"SecretString":` + q[:len(q)-1] + `\ud800"}`,
		// Members twice, unknown, misspelt.
		`{"SecretString":` + q + `,"SecretString":` + q + `}`,
		`{"Plaintext":` + q + `,"Plaintext":` + q + `}`,
		`{"secretString":` + q + `,"Password":` + q + `,"SecretStrin":{"x":[` + q + `]},"RotationTokens":` + q + `}`,
		`{` + q + `:1}`,
	} {
		w.try(s, operation, body)
	}
	in := s.input(w.T, operation)
	for i := range in.NumField() {
		f := in.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		for _, x := range wrongValues(f.Type, v) {
			w.try(s, operation, `{"`+name+`":`+x+`}`)
		}
	}
}

// wrongValues spells v where a member of type t cannot take it, or, if t is
// sensitive, in ways that it should not.
func wrongValues(t reflect.Type, v string) []string {
	q := quote(v)
	nested := []string{"[" + q + "]", `{"a":` + q + `}`, "[[" + q + "]]", `[{"a":{"b":` + q + `}}]`}
	switch {
	case t == reflect.TypeFor[*sraws.SensitiveString]():
		// At the right place, too: alone it is too little for a request.
		return append(nested, q, quote(strings.Repeat(v, 2000)))
	case t == reflect.TypeFor[sraws.SensitiveBytes](), t == reflect.TypeFor[[]byte]():
		b64 := base64.StdEncoding.EncodeToString([]byte(v))
		return append(nested, q, `"`+b64+`!"`, `"`+b64[:len(b64)-3]+`"`, `"`+base64.StdEncoding.EncodeToString([]byte(strings.Repeat(v, 2000)))+`"`)
	case t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.String:
		return nested // A list or object is no name.
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String:
		return []string{q, `{"a":` + q + `}`, "[[" + q + "]]", "[{\"a\":" + q + "}]"}
	case t.Kind() == reflect.Map:
		return []string{q, "[" + q + "]", `{"a":[` + q + `]}`}
	case t.Kind() == reflect.Slice:
		return []string{q, "[" + q + "]", `{"a":` + q + `}`, "[[" + q + "]]"}
	}
	return append(nested, q) // Numbers, truth values, times, structures.
}

func (w *world) wrongForms(s service, operation, v string) {
	w.Helper()
	base := "Action=" + operation + "&Version=" + s.APIVersion
	e := url.QueryEscape(v)
	for _, more := range []string{
		"&SecretAccessKey=" + e,
		"&Password.member.1.Value=" + e,
		"&SecretAccessKey=" + e + "&SecretAccessKey=" + e,
		"&SecretAccessKey=" + e + "%zz",
		"&SecretAccessKey=" + e + "%ff",
		"&SecretAccessKey=" + v,
		"&" + e + "=1",
		strings.Repeat("&"+e, 3) + strings.Repeat("&a.b", 2000),
		"&" + strings.Repeat("a.", 100) + "b=" + e,
		"&Tags.member.x=" + e,
		"&Tags.member.99999999999999999999.Key=" + e,
		"&UserName.member.1=" + e,
		"&PolicyDocument.entry.1.value=" + e,
	} {
		w.try(s, operation, base+more)
	}
	in := s.input(w.T, operation)
	for i := range in.NumField() {
		f := in.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if t := f.Type; t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.String {
			w.try(s, operation, base+"&"+name+"="+e)
		}
		if t := f.Type; t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String {
			w.try(s, operation, base+"&"+name+".member.1.a="+e) // without .a it is a name, and metadata
			continue
		}
		w.try(s, operation, base+"&"+name+".member.1="+e)
	}
}

// wrongRequests sends bodies that hold v around the protocol.
func (w *world) wrongRequests(s service, operation, v string) {
	w.Helper()
	body := w.encode(s, operation, m{"SecretString": v, "Plaintext": v, "SecretAccessKey": v})
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for name, change := range map[string]func(*request){
		"token":       func(r *request) { r.before = header("X-Amz-Security-Token", v) },
		"token added": func(r *request) { r.after = header("X-Amz-Security-Token", v) },
		"unsigned":    func(r *request) { r.after = func(q *http.Request) { q.Header.Del("Authorization") } },
		"garbage": func(r *request) {
			r.after = header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(v)))
		},
		"stale":        func(r *request) { r.after = header("X-Amz-Date", "20200101T000000Z") },
		"unknown key":  func(r *request) { r.as.AccessKeyID = "AKIAAAAAAAAAAAAAAAAA" },
		"wrong key":    func(r *request) { r.as.SecretAccessKey = v },
		"wrong region": func(r *request) { r.region = "ap-none-1" },
		"wrong service": func(r *request) {
			r.service = service{&wire.Service{Name: "s3", Protocol: s.Protocol, TargetPrefix: s.TargetPrefix}, s.operations}
		},
		"compressed": func(r *request) { r.before = header("Content-Encoding", "gzip") },
		"media type": func(r *request) { r.before = header("Content-Type", "text/plain") },
		"as form":    func(r *request) { r.before = header("Content-Type", "application/x-www-form-urlencoded") },
		"user agent": func(r *request) { r.before = header("X-Amz-Anything", v) },
		"put":        func(r *request) { r.before = func(q *http.Request) { q.Method = http.MethodPut } },
		"elsewhere":  func(r *request) { r.before = func(q *http.Request) { q.URL.Path = "/other" } },
		"in the query": func(r *request) {
			r.before = func(q *http.Request) { q.URL.RawQuery = url.Values{"SecretString": {v}}.Encode() }
		},
		"too large": func(r *request) { r.body = w.encode(s, operation, m{"SecretString": strings.Repeat(v, 6000)}) },
		"unknown": func(r *request) {
			r.operation = "NoSuch" + operation
			r.body = w.encode(s, r.operation, m{"SecretString": v})
		},
		"two targets": func(r *request) { r.before = func(q *http.Request) { q.Header.Add("X-Amz-Target", "x") } },
	} {
		r := w.request(s, operation, body)
		change(r)
		r.label = "refused: " + name
		w.send(r)
	}
}

// presigned sends tokens and values in the address, where Query services take
// them.
func (w *world) presigned() {
	w.Helper()
	token := w.text(kindToken + ": presigned")
	v := w.text(kindRefused + ": presigned")
	for _, session := range []string{"", token} {
		u := w.server.URL + "/?" + url.Values{"Action": {"GetCallerIdentity"}, "Version": {stsService.APIVersion}, "Password": {v}, "X-Amz-Expires": {"60"}}.Encode()
		q, err := http.NewRequestWithContext(w.Context(), http.MethodGet, u, nil)
		if err != nil {
			w.Fatal(err)
		}
		creds := aws.Credentials{AccessKeyID: w.server.Admin.AccessKeyID, SecretAccessKey: w.server.Admin.SecretAccessKey, SessionToken: session}
		const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
		address, _, err := v4.NewSigner().PresignHTTP(w.Context(), creds, q, empty, "sts", servertest.Region, time.Now())
		if err != nil {
			w.Fatal(err)
		}
		for _, a := range []string{address, strings.Replace(address, "X-Amz-Signature=", "X-Amz-Signature=0", 1)} {
			if q, err = http.NewRequestWithContext(w.Context(), http.MethodGet, a, nil); err != nil {
				w.Fatal(err)
			}
			w.exchange(w.server.HTTP, q, "presigned")
		}
	}
	// A header that claims a session which there is not.
	r := w.request(stsService, "GetCallerIdentity", w.encode(stsService, "GetCallerIdentity", nil))
	r.before = func(q *http.Request) { q.Header.Set("X-Amz-Security-Token", token) }
	if status, got := w.send(r); status < 400 {
		w.Errorf("a session token nobody issued: status %d: %s", status, got)
	}
}
