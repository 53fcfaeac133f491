package policy

import (
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
