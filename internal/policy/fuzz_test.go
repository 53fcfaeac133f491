package policy

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
)

// policyCorpus is every policy of the shared vectors.
func policyCorpus(tb testing.TB) []string {
	src, err := os.ReadFile("testdata/iam-vectors.json")
	if err != nil {
		tb.Fatal(err)
	}
	var vectors []struct {
		Identity, Session  []json.RawMessage
		Resource, Boundary json.RawMessage
	}
	if err := json.Unmarshal(src, &vectors); err != nil {
		tb.Fatal(err)
	}
	seen := make(map[string]bool)
	var texts []string
	for _, v := range vectors {
		for _, raw := range append(append(v.Identity, v.Session...), v.Resource, v.Boundary) {
			if text := string(raw); len(text) > 4 && !seen[text] {
				seen[text] = true
				texts = append(texts, text)
			}
		}
	}
	return texts
}

// FuzzParse checks that Parse and all that may be asked of what it accepts
// never panics, that what it accepts is JSON, and that its own source means
// the same again.
func FuzzParse(f *testing.F) {
	for _, text := range policyCorpus(f) {
		f.Add([]byte(text))
	}
	for _, text := range []string{
		``, `{}`, `[[[[[[[[`, `{"Statement":{"Effect":"Allow"}}`, "\xef\xbb\xbf{}", `{"Statement":"\ud83d\ude00"}`,
		`{"Version":"2012-10-17","Statement":{"Effect":"Deny","NotPrincipal":{"Federated":["a.b"]},"NotAction":["*"],"NotResource":"arn:aws:s3:::${a, 'x'}","Condition":{"ForAllValues:ArnNotLikeIfExists":{"k":[1.5e3,true,"${*}"]}}}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		d, err := Parse(src)
		if err != nil {
			parse, ok := errors.AsType[*ParseError](err)
			if !ok || parse.Kind == 0 || parse.Offset < 0 || parse.Offset > len(src) || parse.Line < 1 || parse.Column < 1 {
				t.Fatalf("%#v", err)
			}
			return
		}
		if !json.Valid(src) {
			t.Fatalf("accepted what is no JSON: %q", src)
		}
		for kind := KindIdentity; kind <= KindEndpoint; kind++ {
			if err := d.Validate(kind); err != nil {
				if _, ok := errors.AsType[*InvalidError](err); !ok || err.Error() == "" {
					t.Fatalf("%#v", err)
				}
			}
		}
		d.Public()
		again, err := Parse(d.Source())
		if err != nil || string(again.Source()) != string(src) || again.Len() != d.Len() || again.Size() != d.Size() {
			t.Fatalf("parsed again: %v", err)
		}
		q := &Request{Principal: alice(), Action: getValue, Resource: ownSecret}
		s := &Set{Identity: []Source{{Doc: d}}, Resource: &Source{Doc: d}, Endpoint: &Source{Doc: d}}
		if got, x := Evaluate(q, s), Explain(q, s); got != x.Decision || x.String() == "" {
			t.Fatalf("Evaluate %+v, Explain %+v", got, x.Decision)
		}
	})
}

// builder draws a policy set and a request from bytes. Vocabulary and bytes
// are few so that statements often match.
type builder struct{ bytes []byte }

func (b *builder) below(n int) int {
	if len(b.bytes) == 0 {
		return 0
	}
	first := int(b.bytes[0])
	b.bytes = b.bytes[1:]
	return first % n
}

func (b *builder) pick(from ...string) string { return from[b.below(len(from))] }

func (b *builder) statement(principal bool) string {
	parts := []string{
		`"Effect":"` + b.pick("Allow", "Allow", "Deny") + `"`,
		`"` + b.pick("Action", "Action", "NotAction") + `":` + b.pick(`"*"`, `"secretsmanager:Get*"`, `"kms:*"`, `["ssm:*","secretsmanager:?etSecretValue"]`),
		`"` + b.pick("Resource", "Resource", "NotResource") + `":` + b.pick(`"*"`, `"arn:aws:secretsmanager:*:111122223333:secret:*"`, `"arn:aws:secretsmanager:*:*:secret:${aws:PrincipalTag/team}/*"`, `["arn:aws:s3:::b","`+ownSecret+`"]`),
	}
	if principal {
		parts = append(parts, `"`+b.pick("Principal", "Principal", "NotPrincipal")+`":`+b.pick(`"*"`, `{"AWS":"111122223333"}`,
			`{"AWS":["arn:aws:iam::111122223333:user/alice","arn:aws:iam::111122223333:root"]}`,
			`{"AWS":"arn:aws:iam::111122223333:role/team/app"}`, `{"AWS":"arn:aws:sts::111122223333:assumed-role/app/s1"}`,
			`{"AWS":"arn:aws:sts::111122223333:federated-user/fed1"}`, `{"Service":"x.amazonaws.com"}`, `{"AWS":"AROA00000000000000001"}`))
	}
	if b.below(2) == 1 {
		op := b.pick("", "ForAllValues:", "ForAnyValue:") +
			b.pick("StringEquals", "StringNotLike", "StringLike", "NumericLessThan", "DateNotEquals", "IpAddress", "NotIpAddress", "ArnLike", "ArnNotEquals", "Bool", "BinaryEquals") +
			b.pick("", "IfExists")
		parts = append(parts, `"Condition":{"`+op+`":{"`+b.pick("svc:a", "svc:b", "aws:PrincipalArn", "aws:PrincipalTag/Team")+`":`+
			b.pick(`"1"`, `["1","2026-01-01"]`, `"10"`, `[]`)+`},"Null":{"svc:b":`+b.pick(`"true"`, `false`)+`}}`)
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func (b *builder) source(t *testing.T, id string, principal bool) *Source {
	list := b.statement(principal)
	for range b.below(3) {
		list += "," + b.statement(principal)
	}
	d, err := Parse([]byte(`{"Version":"` + b.pick(Version2012, Version2008) + `","Statement":[` + list + `]}`))
	if err != nil {
		if parse, ok := errors.AsType[*ParseError](err); ok && parse.Kind == LegacyParsing {
			t.Skip() // a date that is none
		}
		t.Fatal(err)
	}
	return &Source{ID: id, Doc: d}
}

// FuzzEvaluateAgreesWithExplain draws sets of policies and checks the laws of
// the engine on them.
func FuzzEvaluateAgreesWithExplain(f *testing.F) {
	f.Add([]byte{})
	for i := range 64 {
		seed := make([]byte, 96)
		state := uint32(i)*2654435761 + 1
		for j := range seed {
			state ^= state << 13
			state ^= state >> 17
			state ^= state << 5
			seed[j] = byte(state >> 9)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, bytes []byte) {
		b := &builder{bytes}
		principals := []*Principal{
			alice(), session(), federated(), rootUser(),
			{Type: Service, Service: "x.amazonaws.com"}, {Type: Anonymous}, {Type: WebIdentity, Federated: "a.b"},
		}
		p := principals[b.below(len(principals))]
		p.Tags = []Tag{{"team", b.pick("prod", "*", "1")}}
		context := new(Context)
		if b.below(3) > 0 {
			context.Set("svc:a", b.pick("1", "10", "2026-01-01", ""))
		}
		if b.below(3) > 0 {
			context.SetMany("svc:b", strings.Fields(b.pick("", "1", "1 10", "x y")))
		}
		q := &Request{
			Principal: p, Action: b.pick(getValue, "kms:Decrypt"), Context: context, Mandatory: b.below(3) == 1,
			Resource: b.pick(ownSecret, otherSecret, "*"),
		}
		s := new(Set)
		for range b.below(3) {
			s.Identity = append(s.Identity, *b.source(t, "i", false))
		}
		if b.below(3) > 0 {
			s.Resource = b.source(t, "r", true)
		}
		if b.below(3) == 2 {
			s.Boundary = b.source(t, "b", false)
		}
		if b.below(3) == 2 {
			s.Session, s.SessionPassed = []Source{*b.source(t, "s", false)}, true
		}
		if b.below(5) == 4 {
			s.SCP = []Source{*b.source(t, "c", false)}
		}
		if b.below(5) == 4 {
			s.Endpoint = b.source(t, "e", true)
		}
		got := Evaluate(q, s)
		x := Explain(q, s)
		if got != x.Decision {
			t.Fatalf("Evaluate %+v, Explain %+v\n%s", got, x.Decision, x)
		}
		if (got.Outcome == Allow) != (len(x.Changes) == 0) {
			t.Fatalf("%s with changes %+v", got.Outcome, x.Changes)
		}
		// A Deny of everything for everyone, added anywhere, ends every call.
		deny := &Source{ID: "d", Doc: statements(t, `{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}`)}
		with := *s
		with.Identity = append(append([]Source(nil), s.Identity...), *deny)
		if d := Evaluate(q, &with); d.Outcome != ExplicitDeny {
			t.Fatalf("allowed against a Deny: %+v", d)
		}
		// Less to allow with never allows more.
		without := *s
		without.Identity = nil
		if got.Outcome == ImplicitDeny && Evaluate(q, &without).Outcome == Allow {
			t.Fatal("allowed by taking policies away")
		}
	})
}
