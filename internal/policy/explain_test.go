package policy

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestExplainSaysWhatFailed(t *testing.T) {
	p := session()
	p.Tags = []Tag{{"team", "red"}}
	context := new(Context)
	context.Set("aws:RequestedRegion", "eu-west-1")
	context.SetMany("aws:TagKeys", []string{"a", "b"})
	s := &Set{
		Identity: []Source{{ID: "role/app: inline", Version: "v2", Doc: statements(t,
			`{"Sid":"Region","Effect":"Allow","Action":"secretsmanager:*","Resource":"*","Condition":{"StringEquals":{"aws:RequestedRegion":["us-east-1","us-east-2"]},"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}},`+
				`{"Effect":"Allow","NotAction":"secretsmanager:Get*","Resource":"arn:aws:secretsmanager:*:*:secret:${aws:PrincipalTag/team}/*"},`+
				`{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"false"}}}`)}},
		Boundary: source(t, "boundary", allowElse),
	}
	x := Explain(&Request{Principal: p, Action: getValue, Resource: ownSecret, Context: context}, s)
	text := x.String()
	for _, want := range []string{
		"implicitDeny, because no identity-based policy allows the secretsmanager:GetSecretValue action",
		"caller    arn:aws:sts::111122223333:assumed-role/app/s1",
		"(of account 111122223333)",
		"identity-based policy role/app: inline (v2)",
		`statement 1 "Region" (Allow), line 1: does not match`,
		`StringEquals aws:RequestedRegion "us-east-1" or "us-east-2"; the request has "eu-west-1"`,
		`(condition)  ForAllValues:StringEquals aws:TagKeys "a" or "b"; the request has "a" or "b"`,
		`NotAction    "secretsmanager:Get*", for secretsmanager:GetSecretValue`,
		`secret:${aws:PrincipalTag/team}/* (= …secret:red/*)`,
		`Bool aws:MultiFactorAuthPresent "false"; the key is missing`,
		"add to an identity-based policy a statement like",
		`{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"` + ownSecret + `"}`,
		`statement 1 "Region" (Allow) of identity-based policy role/app: inline (v2) fails only by Condition`,
		"add to a permissions boundary a statement like",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("missing %q in\n%s", want, text)
		}
	}
	if len(x.Changes) != 2 {
		t.Errorf("%d changes, want identity policy and boundary", len(x.Changes))
	}
}

// Each change, made, must lead to an allowed call.
func TestExplainedChangesSuffice(t *testing.T) {
	const assume = "sts:AssumeRole"
	trust := func(list string) *Source { s := source(t, "trust", list); s.Kind = KindTrust; return s }
	denyRP := principalStatement("Deny", "Principal", `"*"`)
	for _, c := range []struct {
		name   string
		q      Request
		set    Set
		layers []Layer
	}{
		{"identity", Request{Principal: alice(), Action: getValue, Resource: ownSecret}, Set{}, []Layer{LayerIdentity}},
		{"cross-account", Request{Principal: alice(), Action: getValue, Resource: otherSecret}, Set{}, []Layer{LayerResource, LayerIdentity}},
		{"cross-account session", Request{Principal: session(), Action: getValue, Resource: otherSecret}, Set{Boundary: source(t, "b", allowElse)}, []Layer{LayerResource, LayerIdentity, LayerBoundary}},
		{"federated", Request{Principal: federated(), Action: getValue, Resource: ownSecret}, Set{Identity: []Source{{Doc: allowAll(t)}}}, []Layer{LayerSession}},
		{"deny and missing", Request{Principal: alice(), Action: getValue, Resource: ownSecret}, Set{Identity: []Source{*source(t, "i", denyGet)}, Resource: source(t, "r", denyRP)}, []Layer{LayerResource, LayerIdentity, LayerIdentity}},
		{"mandatory", Request{Principal: session(), Action: getValue, Resource: ownSecret, Mandatory: true}, Set{Session: []Source{*source(t, "s", allowElse)}, SessionPassed: true}, []Layer{LayerResource, LayerSession}},
		{"trust", Request{Principal: alice(), Action: assume, Resource: "arn:aws:iam::111122223333:role/x", Mandatory: true}, Set{Resource: trust(`{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":"sts:AssumeRole"}`)}, []Layer{LayerTrust}},
		{"anonymous", Request{Principal: &Principal{Type: Anonymous}, Action: getValue, Resource: ownSecret}, Set{}, []Layer{LayerResource}},
		{"service", Request{Principal: &Principal{Type: Service, Service: "x.amazonaws.com"}, Action: getValue, Resource: ownSecret}, Set{}, []Layer{LayerResource}},
		{"endpoint and SCP", Request{Principal: rootUser(), Action: getValue, Resource: ownSecret}, Set{SCP: []Source{*source(t, "c", allowElse)}, Endpoint: source(t, "e", grantTo(`{"AWS":"444455556666"}`))}, []Layer{LayerSCP, LayerEndpoint}},
		{"allowed", Request{Principal: rootUser(), Action: getValue, Resource: ownSecret}, Set{}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := Explain(&c.q, &c.set)
			if len(x.Changes) != len(c.layers) {
				t.Fatalf("changes %+v, want layers %v", x.Changes, c.layers)
			}
			for i, change := range x.Changes {
				if change.Layer != c.layers[i] {
					t.Errorf("change %d is of %s, want %s", i, change.Layer, c.layers[i])
				}
			}
			apply(t, &c.set, x.Changes)
			if d := Evaluate(&c.q, &c.set); !d.Allowed() {
				t.Errorf("still %s, %s, after\n%s", d.Outcome, d.Reason(c.q.Action), x)
			}
		})
	}
}

// apply does what the changes say, by removing every Deny of the layer or
// adding the statement.
func apply(t *testing.T, s *Set, changes []Change) {
	for _, c := range changes {
		var one *Source
		if c.Add != "" {
			one = source(t, "added", c.Add)
		}
		edit := func(at **Source) {
			if one == nil {
				*at = nil
				return
			}
			one.Kind = KindIdentity
			if *at != nil {
				one.Kind = (*at).Kind
			}
			*at = one
		}
		list := func(at *[]Source) {
			if one == nil {
				*at = nil
				return
			}
			*at = append(*at, *one)
		}
		switch c.Layer {
		case LayerIdentity:
			list(&s.Identity)
		case LayerSession:
			list(&s.Session)
			s.SessionPassed = true
		case LayerSCP:
			list(&s.SCP)
		case LayerBoundary:
			edit(&s.Boundary)
		case LayerEndpoint:
			edit(&s.Endpoint)
		default:
			edit(&s.Resource)
		}
	}
}

// Whatever a request or a policy holds, an explanation must not be able to
// move a cursor.
func TestExplanationIsSafeForTerminals(t *testing.T) {
	context := new(Context)
	context.Set("aws:UserAgent", "\x1b[2J")
	d := statements(t, `{"Sid":"\u001b[1m","Effect":"Allow","Action":"a\u001b:b","Resource":"\u001b","Condition":{"StringEquals":{"aws:UserAgent":"\u001b]0;x"}}}`)
	x := Explain(&Request{Principal: &Principal{Type: User, Account: ownAccount, ARN: "\x1bc"}, Action: "\x1b[A", Resource: "\x1b[B", Context: context},
		&Set{Identity: []Source{{ID: "\x1b[C", Version: "\x1b", Doc: d}}, Endpoint: source(t, "e", principalStatement("Allow", "Principal", `{"AWS":"\u001b"}`))})
	if text := x.String(); strings.ContainsRune(text, 0x1b) {
		t.Errorf("an escape came through: %q", text)
	}
}

// What is printed of an explanation is what is printed of it after its way
// through JSON.
func TestExplanationSurvivesJSON(t *testing.T) {
	p := session()
	context := new(Context)
	context.SetMany("aws:TagKeys", []string{"a<b", "c"})
	s := &Set{
		Identity: []Source{{ID: "role/app: inline", Version: "v2", Doc: statements(t,
			`{"Sid":"Tags","Effect":"Deny","Action":"secretsmanager:*","NotResource":"arn:aws:s3:::x","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["a<b","c"]},"Null":{"aws:SourceVpc":"true"}}}`)}},
		Boundary: source(t, "boundary", allowElse),
		Endpoint: source(t, "e", grantTo(`{"AWS":"444455556666"}`)),
	}
	for name, x := range map[string]*Explanation{
		"explicit": Explain(&Request{Principal: p, Action: getValue, Resource: ownSecret, Context: context}, s),
		"implicit": Explain(&Request{Principal: p, Action: getValue, Resource: ownSecret, Context: context}, &Set{}),
		"root":     Explain(&Request{Principal: rootUser(), Action: getValue, Resource: ownSecret}, &Set{}),
		"veiled":   ExplainToCaller(&Request{Principal: p, Action: getValue, Resource: otherSecret, Context: context}, s, Asked{Resource: "asked"}),
	} {
		t.Run(name, func(t *testing.T) {
			b, err := json.Marshal(x)
			if err != nil {
				t.Fatal(err)
			}
			var back Explanation
			if err := json.Unmarshal(b, &back); err != nil {
				t.Fatal(err)
			}
			if back.String() != x.String() {
				t.Errorf("before:\n%s\nafter:\n%s", x, &back)
			}
			again, err := json.Marshal(&back)
			if err != nil || !bytes.Equal(b, again) {
				t.Errorf("%v: %s\n%s", err, b, again)
			}
		})
	}
	for _, bad := range []string{`{"decision":"maybe","layer":"root user"}`, `{"decision":"allow","layer":"moat"}`, `[]`} {
		if err := json.Unmarshal([]byte(bad), new(Explanation)); err == nil {
			t.Errorf("%s is read as an explanation", bad)
		}
	}
}

// Nothing of another account's resource reaches the caller's account but what
// the denial said: the same text comes out whatever the resource's policy, its
// name's end, its tags and its facts are.
func TestExplanationToCallerTellsNothingOfTheOwner(t *testing.T) {
	const asked = "arn:aws:secretsmanager:us-east-1:444455556666:secret:app/db"
	identity := []Source{{ID: "user/alice: p", Version: "3", Doc: statements(t,
		`{"Effect":"Allow","Action":"secretsmanager:*","Resource":"arn:aws:secretsmanager:*:444455556666:secret:${aws:ResourceTag/owner}","Condition":{"StringEquals":{"aws:ResourceTag/owner":"${secretsmanager:SecretId}","aws:SourceIp":"10.0.0.1","secretsmanager:resource/Type":"x"}}}`)}}
	explain := func(end, tag string, policy *Source) string {
		c := new(Context)
		c.Set("aws:SourceIp", "10.9.9.9")
		c.Set("aws:ResourceTag/owner", tag)
		c.Set("secretsmanager:SecretId", asked+end)
		c.Set("secretsmanager:resource/Type", tag)
		q := &Request{Principal: alice(), Action: getValue, Resource: asked + end, Context: c}
		s := &Set{Identity: identity, Resource: policy, Endpoint: source(t, "endpoint of others", grantTo(`{"AWS":"*"}`))}
		if !Veiled(q, s, Asked{}) {
			t.Error("nothing is veiled")
		}
		x := ExplainToCaller(q, s, Asked{Resource: asked})
		b, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		return x.String() + string(b)
	}
	first := explain("-AbCdEf", "blue", source(t, "their policy", principalStatement("Allow", "Principal", `{"AWS":"arn:aws:iam::444455556666:user/concealed"}`)))
	if second := explain("-000000", "green", nil); first != second {
		t.Errorf("differs by what the owner has:\n%s\n%s", first, second)
	}
	for _, want := range []string{
		"resource  " + asked + " (of account 444455556666)", "Not shown:\n  the policy on the resource, which is for account 444455556666",
		`ask account 444455556666 to add to the resource-based policy a statement like`, `"10.9.9.9"`, "what the request has is not shown",
		`"Resource":"` + asked + `???????"`,
	} {
		if !strings.Contains(first, want) {
			t.Errorf("no %q in %s", want, first)
		}
	}
	for _, secret := range []string{"AbCdEf", "blue", "concealed", "their policy", "endpoint"} {
		if strings.Contains(first, secret) {
			t.Errorf("%q is told: %s", secret, first)
		}
	}
	// An explicit denial there is told, as the error told it, and no more.
	denied := explain("-AbCdEf", "blue", source(t, "their policy", principalStatement("Deny", "Principal", `"*"`)+","+principalStatement("Deny", "Principal", `{"AWS":"111122223333"}`)))
	if !strings.Contains(denied, "explicitDeny, with an explicit deny in a resource-based policy") || strings.Contains(denied, "their policy") ||
		strings.Count(denied, "to remove or narrow the denial") != 2 { // once in the text, once in JSON
		t.Error(denied)
	}
}

// Of an alias the caller does not learn the key behind it.
func TestExplanationToCallerKeepsToWhatWasAsked(t *testing.T) {
	const key, alias = "arn:aws:kms:us-east-1:444455556666:key/0000-1111", "arn:aws:kms:us-east-1:444455556666:alias/theirs"
	x := ExplainToCaller(&Request{Principal: alice(), Action: "kms:Decrypt", Resource: key, Mandatory: true}, &Set{}, Asked{Resource: alias})
	if text := x.String(); strings.Contains(text, "0000-1111") || !strings.Contains(text, "resource  "+alias) ||
		!strings.Contains(text, `"Resource":"arn:aws:kms:us-east-1:444455556666:key/*"`) {
		t.Error(text)
	}
}

// Within one account all is told but the policies of those who run the
// deployment.
func TestExplanationToCallerWithinTheAccount(t *testing.T) {
	q := &Request{Principal: alice(), Action: getValue, Resource: ownSecret}
	s := &Set{Resource: source(t, "own policy", principalStatement("Deny", "Principal", `"*"`))}
	if Veiled(q, s, Asked{}) {
		t.Error("veiled without reason")
	}
	if full, told := Explain(q, s).String(), ExplainToCaller(q, s, Asked{Resource: "name"}).String(); full != told {
		t.Errorf("%s\n%s", full, told)
	}
	s = &Set{Identity: []Source{{Doc: allowAll(t)}}, Endpoint: source(t, "others' endpoint", grantTo(`{"AWS":"444455556666"}`))}
	text := ExplainToCaller(q, s, Asked{Resource: "name"}).String()
	if strings.Contains(text, "others' endpoint") || !strings.Contains(text, "ask the owner of the endpoint to add to the VPC endpoint policy a statement like") {
		t.Error(text)
	}
	own := Asked{OwnEndpoint: true}
	if full, told := Explain(q, s).String(), ExplainToCaller(q, s, own).String(); Veiled(q, s, own) || full != told {
		t.Errorf("%s\n%s", full, told)
	}
}

// Where the denial gave no reason, as of sts:AssumeRole, the caller does not learn
// whether there is such a role, nor whom it trusts.
func TestExplanationToCallerOfABareDenial(t *testing.T) {
	const role = "arn:aws:iam::444455556666:role/x"
	trust := func(list string) *Source { s := source(t, "trust", list); s.Kind = KindTrust; return s }
	for name, identity := range map[string][]Source{"nothing": nil, "all": {{Doc: allowAll(t)}}} {
		texts := map[string]bool{}
		for _, resource := range []*Source{
			nil,
			trust(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"sts:AssumeRole"}`),
			trust(`{"Effect":"Deny","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}`),
		} {
			x := ExplainToCaller(&Request{Principal: alice(), Action: "sts:AssumeRole", Resource: role, Mandatory: true}, &Set{Identity: identity, Resource: resource}, Asked{Resource: role, Bare: true})
			texts[x.String()] = true
		}
		if len(texts) != 1 {
			t.Errorf("with %s allowed there are %d texts: %v", name, len(texts), texts)
		}
	}
}
