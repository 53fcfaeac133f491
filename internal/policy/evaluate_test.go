package policy

import (
	"sync"
	"testing"
)

const (
	allowGet  = `{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*"}`
	allowElse = `{"Effect":"Allow","Action":"s3:*","Resource":"*"}`
	denyGet   = `{"Sid":"no","Effect":"Deny","Action":"secretsmanager:Get*","Resource":"*"}`
)

func principalStatement(effect, element, principal string) string {
	return `{"Sid":"rp","Effect":"` + effect + `","` + element + `":` + principal + `,"Action":"secretsmanager:*","Resource":"*"}`
}

func grantTo(principal string) string { return principalStatement("Allow", "Principal", principal) }

// The table of spec iam-policy-evaluation.md 7: for each caller and form of
// grant, which other policies must allow as well. A policy set is written as
// letters: i, b, s for an identity policy, boundary and session policy that
// allow; capitals for ones that do not.
func TestGrantsInTheSameAccount(t *testing.T) {
	const (
		star    = `"*"`
		account = `{"AWS":"111122223333"}`
		rootARN = `{"AWS":"arn:aws:iam::111122223333:root"}`
		user    = `{"AWS":"arn:aws:iam::111122223333:user/alice"}`
		userID  = `{"AWS":"AIDA00000000000000001"}`
		role    = `{"AWS":"arn:aws:iam::111122223333:role/team/app"}`
		roleID  = `{"AWS":"AROA00000000000000001"}`
		sess    = `{"AWS":"arn:aws:sts::111122223333:assumed-role/app/s1"}`
		fed     = `{"AWS":"arn:aws:sts::111122223333:federated-user/fed1"}`
		service = `{"Service":"x.amazonaws.com"}`
	)
	lambda := &Principal{Type: Service, Service: "x.amazonaws.com"}
	anonymous := &Principal{Type: Anonymous, UserID: "anonymous"}
	web := &Principal{Type: WebIdentity, Federated: "accounts.google.com"}
	for _, c := range []struct {
		name      string
		p         *Principal
		grant     string
		policies  string
		outcome   Outcome
		layer     Layer
		mandatory Outcome // the same with a mandatory resource policy
	}{
		{"user by ARN", alice(), user, "", Allow, LayerResource, Allow},
		{"user by id", alice(), userID, "", Allow, LayerResource, Allow},
		{"user by ARN despite boundary", alice(), user, "B", Allow, LayerResource, Allow},
		{"user by star despite all", alice(), star, "IBS", Allow, LayerResource, Allow},
		{"user by account alone", alice(), account, "", ImplicitDeny, LayerIdentity, ImplicitDeny},
		{"user by account with identity", alice(), rootARN, "i", Allow, LayerIdentity, Allow},
		{"user by account, identity, no boundary", alice(), account, "iB", ImplicitDeny, LayerBoundary, ImplicitDeny},
		{"user by account, identity, boundary", alice(), account, "ib", Allow, LayerIdentity, Allow},
		{"user not named, identity", alice(), role, "i", Allow, LayerIdentity, ImplicitDeny},
		{"user not named", alice(), role, "", ImplicitDeny, LayerIdentity, ImplicitDeny},
		{"user by another user's id", alice(), `{"AWS":"AIDA00000000000000002"}`, "", ImplicitDeny, LayerIdentity, ImplicitDeny},

		{"session by ARN despite limits", session(), sess, "BS", Allow, LayerResource, Allow},
		{"session by star despite limits", session(), star, "BS", Allow, LayerResource, Allow},
		{"session by role", session(), role, "", Allow, LayerResource, Allow},
		{"session by role id", session(), roleID, "", Allow, LayerResource, Allow},
		{"session by role, boundary", session(), role, "b", Allow, LayerResource, Allow},
		{"session by role, no boundary", session(), role, "B", ImplicitDeny, LayerBoundary, ImplicitDeny},
		{"session by role, identity, no session", session(), role, "iS", ImplicitDeny, LayerSession, ImplicitDeny},
		{"session by role, session", session(), role, "s", Allow, LayerResource, Allow},
		{"session by account", session(), account, "s", ImplicitDeny, LayerIdentity, ImplicitDeny},
		{"session by account, all", session(), account, "ibs", Allow, LayerIdentity, Allow},
		{"session of the same name without path", session(), `{"AWS":"arn:aws:iam::111122223333:role/app"}`, "", ImplicitDeny, LayerIdentity, ImplicitDeny},

		{"federated by ARN despite limits", federated(), fed, "IB", Allow, LayerResource, Allow},
		{"federated by star", federated(), star, "", Allow, LayerResource, Allow},
		{"federated by user, none passed", federated(), user, "i", ImplicitDeny, LayerSession, ImplicitDeny},
		{"federated by user, session", federated(), user, "s", Allow, LayerResource, Allow},
		{"federated by user id, session", federated(), userID, "s", Allow, LayerResource, Allow},
		{"federated by user, no boundary", federated(), user, "Bs", ImplicitDeny, LayerBoundary, ImplicitDeny},
		{"federated, identity, none passed", federated(), role, "i", ImplicitDeny, LayerSession, ImplicitDeny},
		{"federated, identity and session", federated(), role, "is", Allow, LayerIdentity, ImplicitDeny},
		{"federated by account, identity and session", federated(), account, "is", Allow, LayerIdentity, Allow},

		{"root by nothing", rootUser(), role, "", Allow, LayerRoot, ImplicitDeny},
		{"root by account", rootUser(), account, "", Allow, LayerResource, Allow},
		{"root by star", rootUser(), star, "", Allow, LayerResource, Allow},

		{"service", lambda, service, "", Allow, LayerResource, Allow},
		{"service by star", lambda, star, "", Allow, LayerResource, Allow},
		{"service by account", lambda, account, "i", ImplicitDeny, LayerResource, ImplicitDeny},
		{"other service", lambda, `{"Service":"y.amazonaws.com"}`, "i", ImplicitDeny, LayerResource, ImplicitDeny},
		{"anonymous by star", anonymous, star, "", Allow, LayerResource, Allow},
		{"anonymous by user", anonymous, user, "i", ImplicitDeny, LayerResource, ImplicitDeny},
		{"web identity", web, `{"Federated":"accounts.google.com"}`, "", Allow, LayerResource, Allow},
		{"other web identity", web, `{"Federated":"www.amazon.com"}`, "", ImplicitDeny, LayerResource, ImplicitDeny},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &Set{Resource: source(t, "rp", grantTo(c.grant))}
			for _, letter := range c.policies {
				text := allowGet
				if letter < 'a' {
					text, letter = allowElse, letter-'A'+'a'
				}
				switch src := source(t, string(letter), text); letter {
				case 'i':
					s.Identity = []Source{*src}
				case 'b':
					s.Boundary = src
				case 's':
					s.Session, s.SessionPassed = []Source{*src}, true
				}
			}
			q := &Request{Principal: c.p, Action: getValue, Resource: ownSecret}
			if d := check(t, q, s, c.outcome); d.Layer != c.layer {
				t.Errorf("decided by %s, want %s", d.Layer, c.layer)
			}
			q.Mandatory = true
			check(t, q, s, c.mandatory)
		})
	}
}

func TestMandatoryWithoutPolicy(t *testing.T) {
	for _, p := range []*Principal{alice(), session(), rootUser()} {
		q := &Request{Principal: p, Action: getValue, Resource: ownSecret, Mandatory: true}
		d := check(t, q, &Set{Identity: []Source{{Doc: allowAll(t)}}}, ImplicitDeny)
		if d.Layer != LayerResource {
			t.Errorf("%s: by %s", p.Type, d.Layer)
		}
	}
}

func TestAcrossAccounts(t *testing.T) {
	get := func(p *Principal) *Request { return &Request{Principal: p, Action: getValue, Resource: otherSecret} }
	for _, c := range []struct {
		name    string
		p       *Principal
		set     Set
		outcome Outcome
		layer   Layer
	}{
		{"neither", alice(), Set{}, ImplicitDeny, LayerResource},
		{"caller only", alice(), Set{Identity: []Source{*source(t, "i", allowGet)}}, ImplicitDeny, LayerResource},
		{"owner only, by user", alice(), Set{Resource: source(t, "r", grantTo(`{"AWS":"arn:aws:iam::111122223333:user/alice"}`))}, ImplicitDeny, LayerIdentity},
		{"both, by account", alice(), Set{Identity: []Source{*source(t, "i", allowGet)}, Resource: source(t, "r", grantTo(`{"AWS":"111122223333"}`))}, Allow, LayerResource},
		{"both, by star", alice(), Set{Identity: []Source{*source(t, "i", allowGet)}, Resource: source(t, "r", grantTo(`"*"`))}, Allow, LayerResource},
		{"the owner's account named", alice(), Set{Identity: []Source{*source(t, "i", allowGet)}, Resource: source(t, "r", grantTo(`{"AWS":"444455556666"}`))}, ImplicitDeny, LayerResource},
		{"boundary", alice(), Set{Identity: []Source{*source(t, "i", allowGet)}, Boundary: source(t, "b", allowElse), Resource: source(t, "r", grantTo(`"*"`))}, ImplicitDeny, LayerBoundary},
		{"session policy", session(), Set{Identity: []Source{*source(t, "i", allowGet)}, Session: []Source{*source(t, "s", allowElse)}, SessionPassed: true, Resource: source(t, "r", grantTo(`{"AWS":"arn:aws:sts::111122223333:assumed-role/app/s1"}`))}, ImplicitDeny, LayerSession},
		{"federated without session policy", federated(), Set{Identity: []Source{*source(t, "i", allowGet)}, Resource: source(t, "r", grantTo(`"*"`))}, ImplicitDeny, LayerSession},
		{"root, both", rootUser(), Set{Resource: source(t, "r", grantTo(`{"AWS":"111122223333"}`))}, Allow, LayerResource},
		{"root, caller only", rootUser(), Set{}, ImplicitDeny, LayerResource},
		{"service", &Principal{Type: Service, Service: "x.amazonaws.com"}, Set{Resource: source(t, "r", grantTo(`{"Service":"x.amazonaws.com"}`))}, Allow, LayerResource},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d := check(t, get(c.p), &c.set, c.outcome); d.Layer != c.layer {
				t.Errorf("decided by %s, want %s", d.Layer, c.layer)
			}
			q := get(c.p)
			q.Mandatory = true
			check(t, q, &c.set, c.outcome)
		})
	}
}

func TestResourceAccount(t *testing.T) {
	s := &Set{Identity: []Source{{Doc: allowAll(t)}}}
	for _, c := range []struct {
		resource, account string
		want              Outcome
	}{
		{ownSecret, "", Allow},
		{otherSecret, "", ImplicitDeny},
		{otherSecret, ownAccount, Allow},
		{ownSecret, otherAccount, ImplicitDeny},
		{"arn:aws:s3:::bucket", "", Allow},
		{"arn:aws:s3:::bucket", otherAccount, ImplicitDeny},
		{"arn:aws:iam::*:role/x", "", Allow},
		{"*", "", Allow},
		{"arn:aws:iam::aws:policy/x", "", ImplicitDeny},
	} {
		check(t, &Request{Principal: alice(), Action: getValue, Resource: c.resource, ResourceAccount: c.account}, s, c.want)
	}
}

// Every layer can deny, whatever the others allow, and the first in the order
// of spec iam-policy-evaluation.md 9 is named.
func TestExplicitDenyOrderAndWords(t *testing.T) {
	allow := func() *Set {
		return &Set{
			Identity: []Source{{ID: "i", Doc: allowAll(t)}},
			Resource: source(t, "r", grantTo(`"*"`)),
			Boundary: &Source{ID: "b", Doc: allowAll(t)},
			Session:  []Source{{ID: "s", Doc: allowAll(t)}}, SessionPassed: true,
			SCP:      []Source{{ID: "c", Doc: allowAll(t)}},
			Endpoint: source(t, "e", `{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}`),
		}
	}
	q := &Request{Principal: session(), Action: getValue, Resource: ownSecret}
	s := allow()
	check(t, q, s, Allow)
	denyRP := source(t, "r", principalStatement("Deny", "Principal", `{"AWS":"111122223333"}`))
	for _, step := range []struct {
		add  func()
		id   string
		want string
	}{
		{func() { s.Endpoint = denyRP }, "r", "with an explicit deny in a VPC endpoint policy"},
		{func() { s.Session = append(s.Session, *source(t, "s2", denyGet)) }, "s2", "with an explicit deny in a session policy"},
		{func() { s.Boundary = source(t, "b", allowGet+","+denyGet) }, "b", "with an explicit deny in a permissions boundary"},
		{func() { s.Identity = append(s.Identity, *source(t, "i2", denyGet)) }, "i2", "with an explicit deny in an identity-based policy"},
		{func() { s.Resource = denyRP }, "r", "with an explicit deny in a resource-based policy"},
		{func() { s.SCP = append(s.SCP, *source(t, "c2", denyGet)) }, "c2", "with an explicit deny in a service control policy"},
	} {
		step.add()
		d := check(t, q, s, ExplicitDeny)
		if got := d.Reason(getValue); got != step.want || d.Source != step.id || d.Sid == "" {
			t.Errorf("got %q by %+v, want %q by %s", got, d, step.want, step.id)
		}
	}
	// Root is not above a Deny, nor above an SCP that does not allow.
	check(t, &Request{Principal: rootUser(), Action: getValue, Resource: ownSecret}, &Set{Resource: denyRP}, ExplicitDeny)
	check(t, &Request{Principal: rootUser(), Action: getValue, Resource: ownSecret}, &Set{SCP: []Source{*source(t, "c", allowElse)}}, ImplicitDeny)
}

func TestImplicitDenyOrderAndWords(t *testing.T) {
	q := &Request{Principal: session(), Action: getValue, Resource: ownSecret}
	deny := source(t, "x", allowElse)
	s := &Set{Boundary: deny, Session: []Source{*deny}, SessionPassed: true, SCP: []Source{*deny}, Endpoint: source(t, "e", principalStatement("Allow", "Principal", `{"AWS":"444455556666"}`))}
	for _, step := range []struct {
		want  string
		allow func()
	}{
		{"because no service control policy allows the secretsmanager:GetSecretValue action", func() { s.SCP[0].Doc = allowAll(t) }},
		{"because no identity-based policy allows the secretsmanager:GetSecretValue action", func() { s.Identity = []Source{{Doc: allowAll(t)}} }},
		{"because no permissions boundary allows the secretsmanager:GetSecretValue action", func() { s.Boundary = &Source{Doc: allowAll(t)} }},
		{"because no session policy allows the secretsmanager:GetSecretValue action", func() { s.Session = append(s.Session, Source{Doc: allowAll(t)}) }},
		{"because no VPC endpoint policy allows the secretsmanager:GetSecretValue action", func() { s.Endpoint = source(t, "e", grantTo(`"*"`)) }},
	} {
		if got := check(t, q, s, ImplicitDeny).Reason(getValue); got != step.want {
			t.Errorf("got %q, want %q", got, step.want)
		}
		step.allow()
	}
	if d := check(t, q, s, Allow); d.Reason(getValue) != "" {
		t.Errorf("an allowed call has the reason %q", d.Reason(getValue))
	}
}

func TestDenialSentence(t *testing.T) {
	q := &Request{Principal: alice(), Action: getValue, Resource: ownSecret}
	d := Evaluate(q, &Set{})
	const user = "arn:aws:iam::111122223333:user/alice"
	want := "User: " + user + " is not authorized to perform: secretsmanager:GetSecretValue on resource: prod/db because no identity-based policy allows the secretsmanager:GetSecretValue action"
	if got := d.Denial(user, getValue, "prod/db"); got != want {
		t.Errorf("got %q", got)
	}
	want = "User: " + user + " is not authorized to perform: secretsmanager:ListSecrets because no identity-based policy allows the secretsmanager:ListSecrets action"
	if got := d.Denial(user, "secretsmanager:ListSecrets", ""); got != want {
		t.Errorf("got %q", got)
	}
}

func TestTrustPolicies(t *testing.T) {
	const assume = "sts:AssumeRole"
	role := "arn:aws:iam::111122223333:role/team/app"
	trust := func(list string) *Source {
		s := source(t, "trust", list)
		s.Kind = KindTrust
		return s
	}
	q := &Request{Principal: alice(), Action: assume, Resource: role, Mandatory: true}
	named := `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/alice"},"Action":"sts:AssumeRole"}`
	if d := check(t, q, &Set{Resource: trust(named)}, Allow); d.Layer != LayerTrust {
		t.Error(d)
	}
	// The same text on another resource says nothing, for lack of a Resource.
	check(t, q, &Set{Resource: source(t, "rp", named)}, ImplicitDeny)
	d := check(t, q, &Set{Resource: trust(`{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}`), Identity: []Source{{Doc: allowAll(t)}}}, ImplicitDeny)
	if got := d.Reason(assume); got != "because no role trust policy allows the sts:AssumeRole action" {
		t.Error(got)
	}
	d = check(t, q, &Set{Resource: trust(named + `,{"Effect":"Deny","Principal":"*","Action":"sts:*"}`)}, ExplicitDeny)
	if got := d.Reason(assume); got != "with an explicit deny in the role trust policy" {
		t.Error(got)
	}
	d = check(t, q, &Set{Resource: trust(`{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}`)}, ImplicitDeny)
	if d.Layer != LayerIdentity {
		t.Error(d)
	}
}

func TestNotPrincipal(t *testing.T) {
	const (
		acct = `"arn:aws:iam::111122223333:root"`
		user = `"arn:aws:iam::111122223333:user/alice"`
		role = `"arn:aws:iam::111122223333:role/team/app"`
		sess = `"arn:aws:sts::111122223333:assumed-role/app/s1"`
		fed  = `"arn:aws:sts::111122223333:federated-user/fed1"`
	)
	aws := func(list string) string { return `{"AWS":[` + list + `]}` }
	service := &Principal{Type: Service, Service: "x.amazonaws.com"}
	for _, c := range []struct {
		name, listed string
		p            *Principal
		spared       bool
	}{
		{"user and account", aws(user + "," + acct), alice(), true},
		{"user without account", aws(user), alice(), false},
		{"account without user", aws(acct), alice(), false},
		{"user by id and account", aws(`"AIDA00000000000000001",` + acct), alice(), true},
		{"session, role, account", aws(sess + "," + role + "," + acct), session(), true},
		{"session, role id, account", aws(sess + `,"AROA00000000000000001",` + acct), session(), true},
		{"role and account", aws(role + "," + acct), session(), false},
		{"session and account", aws(sess + "," + acct), session(), false},
		{"session and role", aws(sess + "," + role), session(), false},
		{"federated on all levels", aws(fed + "," + user + "," + acct), federated(), true},
		{"federated without user", aws(fed + "," + acct), federated(), false},
		{"root", aws(acct), rootUser(), true},
		{"root, user listed", aws(user), rootUser(), false},
		{"service", `{"Service":"x.amazonaws.com"}`, service, true},
		{"another service", `{"Service":"y.amazonaws.com"}`, service, false},
		{"anonymous", aws(acct), &Principal{Type: Anonymous}, false},
		{"everyone", `"*"`, alice(), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &Set{Resource: source(t, "rp", grantTo(`"*"`)+","+principalStatement("Deny", "NotPrincipal", c.listed)), Identity: []Source{{Doc: allowAll(t)}}}
			want := ExplicitDeny
			if c.spared {
				want = Allow
			}
			check(t, &Request{Principal: c.p, Action: getValue, Resource: ownSecret}, s, want)
		})
	}
	allow := &Set{Resource: source(t, "rp", principalStatement("Allow", "NotPrincipal", aws(user)))}
	check(t, &Request{Principal: session(), Action: getValue, Resource: ownSecret}, allow, ImplicitDeny)
}

func TestInvalidPrincipalsMatchNobody(t *testing.T) {
	for _, principal := range []string{`{"AWS":"arn:aws:iam::111122223333:user/*"}`, `{"AWS":"arn:aws:iam::111122223333:group/g"}`, `{"CanonicalUser":"x"}`, `{"Service":"*"}`} {
		s := &Set{Resource: source(t, "rp", grantTo(principal))}
		for _, p := range []*Principal{alice(), session(), {Type: Service, Service: "*"}} {
			check(t, &Request{Principal: p, Action: getValue, Resource: ownSecret}, s, ImplicitDeny)
		}
	}
	// A resource policy's statement without Principal speaks to nobody either.
	check(t, &Request{Principal: alice(), Action: getValue, Resource: ownSecret}, &Set{Resource: source(t, "rp", allowGet)}, ImplicitDeny)
	check(t, &Request{Principal: alice(), Action: getValue, Resource: ownSecret}, &Set{Identity: []Source{{}}, Resource: &Source{}}, ImplicitDeny)
}

func TestDecisionNamesItsStatement(t *testing.T) {
	s := &Set{Identity: []Source{
		{ID: "first", Doc: statements(t, allowElse)},
		{ID: "second", Version: "v3", Doc: statements(t, allowElse+`,{"Sid":"here","Effect":"Allow","Action":"secretsmanager:*","Resource":"*"},`+allowGet)},
	}}
	d := check(t, &Request{Principal: alice(), Action: getValue, Resource: ownSecret}, s, Allow)
	if d != (Decision{Outcome: Allow, Layer: LayerIdentity, Source: "second", Version: "v3", Sid: "here", Statement: 1}) {
		t.Errorf("%+v", d)
	}
	if d := Evaluate(&Request{Principal: alice(), Action: "kms:Decrypt", Resource: ownSecret}, s); d.Statement != -1 || d.Source != "" {
		t.Errorf("%+v", d)
	}
}

// Documents are shared between all calls of the server.
func TestEvaluateConcurrently(t *testing.T) {
	q, s := roleTenPolicies(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 200 {
				if !Evaluate(q, s).Allowed() {
					t.Error("denied")
				}
			}
		})
	}
	group.Wait()
}
