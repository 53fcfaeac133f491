package servertest

import (
	"net/http"
	"strings"
	"time"

	"github.com/strongroom/strongroom/internal/server"
)

// Refusal is a request whose signature does not hold, and how it is answered
// (spec iam-sts.md 5.2).
type Refusal struct {
	Name string
	// Change spoils a good request.
	Change func(q *Raw)
	// JSON and Query are the codes of the two protocols, with their statuses.
	JSON, Query Code
	// Message has <header> where the Authorization header is quoted. QueryMessage
	// is set where the protocols differ.
	Message, QueryMessage string
}

// Code is an error's name and its HTTP status.
type Code struct {
	Name   string
	Status int
}

// The classes of refused signatures.
var (
	missingJSON, missingQuery           = Code{"MissingAuthenticationTokenException", 400}, Code{"MissingAuthenticationToken", 403}
	incompleteJSON, incompleteQuery     = Code{"IncompleteSignatureException", 400}, Code{"IncompleteSignature", 400}
	unrecognizedJSON, unrecognizedQuery = Code{"UnrecognizedClientException", 400}, Code{"InvalidClientTokenId", 403}
	invalidJSON, invalidQuery           = Code{"InvalidSignatureException", 400}, Code{"SignatureDoesNotMatch", 403}
)

const (
	unrecognized = "The security token included in the request is invalid."
	mismatch     = "The request signature we calculated does not match the signature you provided. " +
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)

// Refusals are all rows of the specification's table that do not depend on
// what keys there are. The good request is made for service at now, which is the
// server's time; skew is how far the service lets clocks differ.
func Refusals(service string, now time.Time, skew time.Duration) []Refusal {
	now = now.UTC().Truncate(time.Second)
	stamp := func(t time.Time) string { return t.Format("20060102T150405Z") }
	minutes := map[time.Duration]string{5 * time.Minute: "5 min.", 15 * time.Minute: "15 min."}[skew]
	day := now.Format("20060102")
	old, early := now.Add(-skew-time.Second), now.Add(skew+time.Second)
	header := func(edit func(string) string) func(q *Raw) {
		return func(q *Raw) {
			q.After = func(r *http.Request) { r.Header.Set("Authorization", edit(r.Header.Get("Authorization"))) }
		}
	}
	fixed := func(text string) func(q *Raw) { return header(func(string) string { return text }) }
	swap := func(from, to string) func(q *Raw) {
		return header(func(h string) string { return strings.Replace(h, from, to, 1) })
	}
	scope := day + "/" + Region + "/" + service + "/aws4_request"
	const (
		needCredential = "Authorization header requires 'Credential' parameter. "
		needSignature  = "Authorization header requires 'Signature' parameter. "
		needHeaders    = "Authorization header requires 'SignedHeaders' parameter. "
		needDate       = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
		wrongRegion    = "Credential should be scoped to a valid region. "
	)
	wrongService := "Credential should be scoped to correct service: '" + service + "'. "
	wrongTerm := "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'. "
	wrongDate := "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20010101' != '" + day + "', from '" + stamp(now) + "'. "
	incomplete := func(name, message string, change func(q *Raw)) Refusal {
		return Refusal{name, change, incompleteJSON, incompleteQuery, message, ""}
	}
	invalid := func(name, message string, change func(q *Raw)) Refusal {
		return Refusal{name, change, invalidJSON, invalidQuery, message, ""}
	}
	unknown := func(name string, change func(q *Raw)) Refusal {
		return Refusal{name, change, unrecognizedJSON, unrecognizedQuery, unrecognized, ""}
	}
	return []Refusal{
		{"no credentials", func(q *Raw) { q.Unsigned = true }, missingJSON, missingQuery, "Missing Authentication Token", "Request is missing Authentication Token"},
		incomplete("scheme alone", needCredential+needSignature+needHeaders+"Authorization=<header>", fixed("AWS4-HMAC-SHA256 X=y")),
		incomplete("no credential", needCredential+"Authorization=<header>", fixed("AWS4-HMAC-SHA256 SignedHeaders=host, Signature=00")),
		incomplete("no signature", needSignature+"Authorization=<header>", fixed("AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host")),
		incomplete("no signed headers", needHeaders+"Authorization=<header>", fixed("AWS4-HMAC-SHA256 Credential=a/b/c/d/e, Signature=00")),
		incomplete("no date", needDate+"Authorization=<header>", func(q *Raw) {
			q.After = func(r *http.Request) { r.Header.Del("X-Amz-Date") }
		}),
		incomplete("not a pair", "'Signature' not a valid key=value pair (missing equal-sign) in Authorization header: '<header>'.",
			fixed("AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature")),
		incomplete("four parts of a credential", "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'a/b/c/d'",
			fixed("AWS4-HMAC-SHA256 Credential=a/b/c/d, SignedHeaders=host, Signature=00")),
		incomplete("six parts of a credential", "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'a/b/c/d/e/f'",
			fixed("AWS4-HMAC-SHA256 Credential=a/b/c/d/e/f, SignedHeaders=host, Signature=00")),
		unknown("unknown key", func(q *Raw) { q.Key = server.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "x"} }),
		unknown("key that no account can have", func(q *Raw) { q.Key = server.Credentials{AccessKeyID: "AKIA", SecretAccessKey: "x"} }),
		unknown("temporary key without token", func(q *Raw) { q.Key = server.Credentials{AccessKeyID: "ASIAIOSFODNN7EXAMPLE", SecretAccessKey: "x"} }),
		unknown("long-term key with token", func(q *Raw) { q.Token = "token" }),
		invalid("wrong secret", mismatch, func(q *Raw) { q.Key.SecretAccessKey = "wrong" }),
		invalid("body changed after signing", mismatch, func(q *Raw) {
			q.After = func(r *http.Request) { ReplaceBody(r, "{ }&Version=2011-06-15&Action=GetCallerIdentity") }
		}),
		invalid("signed header changed", mismatch, func(q *Raw) {
			q.After = func(r *http.Request) { r.Header.Set("Content-Type", r.Header.Get("Content-Type")+";x=y") }
		}),
		invalid("signature cut short", mismatch, header(func(h string) string { return h[:len(h)-1] })),
		invalid("too old", "Signature expired: "+stamp(old)+" is now earlier than "+stamp(now.Add(-skew))+" ("+stamp(now)+" - "+minutes+")", func(q *Raw) { q.At = old }),
		invalid("in the future", "Signature not yet current: "+stamp(early)+" is still later than "+stamp(now.Add(skew))+" ("+stamp(now)+" + "+minutes+")", func(q *Raw) { q.At = early }),
		invalid("wrong region", wrongRegion, func(q *Raw) { q.Region = "xx-none-1" }),
		invalid("region that is not configured", wrongRegion, func(q *Raw) { q.Region = "eu-central-1" }),
		invalid("wrong service", wrongService, func(q *Raw) { q.Service = "s3" }),
		invalid("wrong terminator", wrongTerm, swap("aws4_request", "aws5_request")),
		invalid("date of another day", wrongDate, swap("/"+day+"/", "/20010101/")),
		invalid("all of the scope wrong", wrongRegion+wrongService+wrongTerm+wrongDate, swap(scope, "20010101/x/y/aws5_request")),
		invalid("host not signed", "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization. ", header(func(h string) string {
			return strings.Replace(strings.Replace(h, ";host;", ";", 1), "=host;", "=", 1)
		})),
	}
}

// Want is the refusal's answer in a protocol, for the request that was sent.
func (f *Refusal) Want(query bool, r *http.Request) (Code, string) {
	code, message := f.JSON, f.Message
	if query {
		code = f.Query
		if f.QueryMessage != "" {
			message = f.QueryMessage
		}
	}
	return code, strings.Replace(message, "<header>", r.Header.Get("Authorization"), 1)
}
