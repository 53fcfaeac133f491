package simulate

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/policy"
)

const (
	account = "111122223333"
	secret  = "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db-AbCdEf"
	other   = "arn:aws:secretsmanager:us-east-1:444455556666:secret:shared-AbCdEf"
	get     = "secretsmanager:GetSecretValue"
)

func parse(t *testing.T, id, text string) policy.Source {
	t.Helper()
	doc, err := policy.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", id, err)
	}
	return policy.Source{ID: id, Doc: doc}
}

func ann() *policy.Principal {
	return &policy.Principal{Type: policy.User, Account: account, ARN: "arn:aws:iam::111122223333:user/ann", UserID: "AIDA1", UserName: "ann"}
}

func one(t *testing.T, in Input) Result {
	t.Helper()
	s, err := New(in)
	if err != nil {
		t.Fatal(err)
	}
	if s.Len() != 1 {
		t.Fatalf("%d results", s.Len())
	}
	return s.Result(0)
}

func TestMatchedStatements(t *testing.T) {
	p := parse(t, "PolicyInputList.1", `{
  "Version": "2012-10-17",
  "Statement": [
    {"Sid": "a", "Effect": "Allow", "Action": "secretsmanager:Get*", "Resource": "*"},
    {"Effect": "Allow", "Action": "kms:*", "Resource": "*"},
    {"Sid": "b",
     "Effect": "Allow", "Action": "*", "Resource": "`+secret+`"}
  ]}`)
	deny := parse(t, "PolicyInputList.2", `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}}`)
	in := Input{Principal: ann(), Policies: policy.Set{Identity: []policy.Source{p, deny}}, Actions: []string{get}, Resources: []string{secret}}

	r := one(t, in)
	want := []Match{
		{"PolicyInputList.1", policy.LayerIdentity, "a", policy.Position{Line: 4, Column: 5}, policy.Position{Line: 4, Column: 86}},
		{"PolicyInputList.1", policy.LayerIdentity, "b", policy.Position{Line: 6, Column: 5}, policy.Position{Line: 7, Column: 122}},
	}
	if r.Decision != policy.Allow || !slices.Equal(r.Matched, want) {
		t.Errorf("%s %+v", r.Decision, r.Matched)
	}
	if !slices.Equal(r.Missing, []string{"aws:SecureTransport"}) {
		t.Errorf("missing %v", r.Missing)
	}

	in.Context = []Entry{{"aws:securetransport", []string{"false"}, "boolean"}}
	r = one(t, in)
	if r.Decision != policy.ExplicitDeny || len(r.Matched) != 1 || r.Matched[0].Policy != "PolicyInputList.2" || r.Missing != nil {
		t.Errorf("%+v", r)
	}

	in.Actions = []string{"ssm:GetParameter"}
	in.Resources = nil
	in.Context[0].Values[0] = "true"
	r = one(t, in)
	if r.Decision != policy.ImplicitDeny || r.Matched != nil || r.Resource != "*" {
		t.Errorf("%+v", r)
	}
}

func TestMissing(t *testing.T) {
	for name, tt := range map[string]struct {
		statement string
		want      []string
	}{
		"a condition":                   {`"Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:RequestedRegion":"x"}}`, []string{"aws:RequestedRegion"}},
		"as written, once":              {`"Action":"*","Resource":"*","Condition":{"StringEquals":{"AWS:sourceVpc":"x"},"StringLike":{"aws:SourceVpc":"*"}}`, []string{"AWS:sourceVpc"}},
		"a value in a variable":         {`"Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:username":"${aws:PrincipalTag/team}"}}`, []string{"aws:principaltag/team"}},
		"a resource":                    {`"Action":"*","Resource":"arn:aws:secretsmanager:*:*:secret:${aws:PrincipalTag/team}/*"`, []string{"aws:principaltag/team"}},
		"a default is enough":           {`"Action":"*","Resource":"arn:aws:secretsmanager:*:*:secret:${aws:PrincipalTag/team, 'x'}/*"`, nil},
		"derived from the caller":       {`"Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:username":"x"}}`, nil},
		"another action":                {`"Action":"kms:*","Resource":"*","Condition":{"StringEquals":{"aws:RequestedRegion":"x"}}`, nil},
		"another resource":              {`"Action":"*","Resource":"arn:aws:secretsmanager:*:*:secret:x","Condition":{"StringEquals":{"aws:RequestedRegion":"x"}}`, nil},
		"a resource of another service": {`"Action":"*","Resource":"arn:aws:kms:*:*:${aws:PrincipalTag/team}"`, nil},
		"a Deny":                        {`"Action":"*","Resource":"*","Condition":{"Null":{"aws:TokenIssueTime":"true"}}`, []string{"aws:TokenIssueTime"}},
	} {
		in := Input{Principal: ann(), Actions: []string{get}, Resources: []string{secret}}
		for _, effect := range []string{"Allow", "Deny"} {
			in.Policies.Identity = []policy.Source{parse(t, "p", `{"Version":"2012-10-17","Statement":{"Effect":"`+effect+`",`+tt.statement+`}}`)}
			if r := one(t, in); !slices.Equal(r.Missing, tt.want) {
				t.Errorf("%s, %s: %v, want %v", name, effect, r.Missing, tt.want)
			}
		}
	}
}

func TestBoundary(t *testing.T) {
	all := parse(t, "i", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
	for text, want := range map[string]struct {
		decision policy.Outcome
		allowed  bool
		matched  string
	}{
		`{"Effect":"Allow","Action":"secretsmanager:*","Resource":"*"}`: {policy.Allow, true, "[i]"},
		`{"Effect":"Allow","Action":"kms:*","Resource":"*"}`:            {policy.ImplicitDeny, false, "[]"},
		`{"Effect":"Deny","Action":"*","Resource":"*"}`:                 {policy.ExplicitDeny, false, "[b]"},
	} {
		b := parse(t, "b", `{"Version":"2012-10-17","Statement":`+text+`}`)
		r := one(t, Input{Principal: ann(), Policies: policy.Set{Identity: []policy.Source{all}, Boundary: &b}, Actions: []string{get}})
		ids := []string{}
		for _, m := range r.Matched {
			ids = append(ids, m.Policy)
		}
		if r.Decision != want.decision || r.Boundary == nil || *r.Boundary != want.allowed || fmt.Sprint(ids) != want.matched {
			t.Errorf("%s: %s, boundary %v, matched %v", text, r.Decision, r.Boundary, ids)
		}
	}
	if r := one(t, Input{Principal: ann(), Policies: policy.Set{Identity: []policy.Source{all}}, Actions: []string{get}}); r.Boundary != nil {
		t.Error("a boundary although there is none")
	}
}

func TestAcrossAccounts(t *testing.T) {
	all := parse(t, "i", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
	shared := parse(t, "r", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"`+account+`"},"Action":"*","Resource":"*"}}`)
	in := Input{Principal: ann(), Policies: policy.Set{Identity: []policy.Source{all}}, Actions: []string{get}, Resources: []string{other}}
	r := one(t, in)
	if r.Decision != policy.ImplicitDeny || !reflect.DeepEqual(r.Details, map[string]policy.Outcome{DetailIdentity: policy.Allow, DetailResource: policy.ImplicitDeny}) {
		t.Errorf("%+v", r)
	}
	in.Policies.Resource = &shared
	r = one(t, in)
	if r.Decision != policy.Allow || len(r.Matched) != 2 || r.Details[DetailResource] != policy.Allow {
		t.Errorf("%+v", r)
	}
	// The owner counts where the ARN names none, and only there.
	in.Owner = "444455556666"
	in.Resources = []string{"arn:aws:s3:::bucket"}
	if r = one(t, in); r.Details == nil {
		t.Error("the owner is not looked at")
	}
	in.Resources = []string{secret}
	if r = one(t, in); r.Details != nil {
		t.Error("the owner is believed against the ARN")
	}
}

func TestKeyPolicyIsMandatory(t *testing.T) {
	all := parse(t, "i", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
	bob := parse(t, "r", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/bob"},"Action":"*","Resource":"*"}}`)
	in := Input{Principal: ann(), Policies: policy.Set{Identity: []policy.Source{all}}, Actions: []string{"kms:Decrypt"},
		Resources: []string{"arn:aws:kms:us-east-1:111122223333:key/1"}}
	if r := one(t, in); r.Decision != policy.Allow {
		t.Errorf("without a key policy: %s", r.Decision)
	}
	in.Policies.Resource = &bob
	if r := one(t, in); r.Decision != policy.ImplicitDeny {
		t.Errorf("with a key policy of another: %s", r.Decision)
	}
	in.Actions, in.Resources = []string{get}, []string{secret}
	if r := one(t, in); r.Decision != policy.Allow {
		t.Errorf("a secret's policy: %s", r.Decision)
	}
}

func TestOrder(t *testing.T) {
	s, err := New(Input{Principal: ann(), Actions: []string{get, "kms:Decrypt"}, Resources: []string{secret, other, "*"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range s.Len() {
		r := s.Result(i)
		got = append(got, r.Action[:3]+" "+r.Resource)
	}
	want := []string{"sec " + secret, "sec " + other, "sec *", "kms " + secret, "kms " + other, "kms *"}
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, in := range map[string]Input{
		"no prefix":             {Actions: []string{"GetSecretValue"}},
		"no name":               {Actions: []string{"secretsmanager:"}},
		"two colons":            {Actions: []string{"a:b:c"}},
		"a pattern":             {Actions: []string{"secretsmanager:*"}},
		"a name":                {Resources: []string{"prod/db"}},
		"a short ARN":           {Resources: []string{"arn:aws:s3"}},
		"an unknown type":       {Context: []Entry{{"k", []string{"v"}, "text"}}},
		"no type":               {Context: []Entry{{"k", []string{"v"}, ""}}},
		"a list of lists":       {Context: []Entry{{"k", []string{"v"}, "stringListList"}}},
		"no key":                {Context: []Entry{{"", []string{"v"}, "string"}}},
		"a huge value":          {Context: []Entry{{"k", []string{strings.Repeat("v", 1<<20)}, "string"}}},
		"many keys":             {Context: slices.Repeat([]Entry{{"k", nil, "string"}}, 501)},
		"two values, one meant": {Context: []Entry{{"k", []string{"v", "w"}, "string"}}},
	} {
		in.Principal = ann()
		if _, err := New(in); err == nil || !strings.HasPrefix(fmt.Sprintf("%T", err), "*simulate.InputError") || err.Error() == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestContextTypes(t *testing.T) {
	for operator, e := range map[string]Entry{
		`"NumericLessThan":{"k":"10"}`:              {"k", []string{"9"}, "numeric"},
		`"DateGreaterThan":{"k":"2020-01-01"}`:      {"K", []string{"2021-01-01T00:00:00Z"}, "date"},
		`"IpAddress":{"k":"10.0.0.0/8"}`:            {"k", []string{"10.1.1.1"}, "ip"},
		`"Bool":{"k":"true"}`:                       {"k", []string{"true"}, "boolean"},
		`"BinaryEquals":{"k":"AAAA"}`:               {"k", []string{"AAAA"}, "binary"},
		`"ForAllValues:StringLike":{"k":["a","b"]}`: {"k", []string{"a", "b"}, "stringList"},
		`"Null":{"k":"true"}`:                       {"k", nil, "string"},
		`"Null":{"k":["true"]}`:                     {"k", nil, "numericList"},
	} {
		p := parse(t, "p", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{`+operator+`}}}`)
		in := Input{Principal: ann(), Policies: policy.Set{Identity: []policy.Source{p}}, Actions: []string{get}, Context: []Entry{e}}
		if r := one(t, in); r.Decision != policy.Allow {
			t.Errorf("%s with %+v: %s", operator, e, r.Decision)
		}
	}
}

// TestAgreesWithVectors simulates the shared vectors: decisions are the engine's.
func TestAgreesWithVectors(t *testing.T) {
	src, err := os.ReadFile("../testdata/iam-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	results, err := policy.RunVectors(strings.NewReader(string(src)))
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, v := range results {
		q, set, err := policy.ReadVector(strings.NewReader(string(src)), v.Name)
		if err != nil {
			t.Fatal(err)
		}
		in := Input{Principal: q.Principal, Policies: *set, Actions: []string{q.Action}, Resources: []string{q.Resource}, Owner: q.ResourceAccount}
		for key, value := range q.Context.All() {
			e := Entry{key, []string{value.One}, "string"}
			if value.Multi {
				e = Entry{key, value.Many, "stringList"}
			}
			in.Context = append(in.Context, e)
		}
		if q.Mandatory && set.Resource == nil {
			continue // the simulator leaves out what it is not given
		}
		checked++
		if r := one(t, in); r.Decision.String() != v.Want {
			t.Errorf("%s: %s, want %s", v.Name, r.Decision, v.Want)
		}
	}
	if checked < 100 {
		t.Errorf("only %d vectors", checked)
	}
}
