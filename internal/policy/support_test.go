package policy

import "testing"

func mustParse(t testing.TB, src string) *Document {
	t.Helper()
	d, err := Parse([]byte(src))
	if err != nil {
		t.Fatalf("parse %s: %v", src, err)
	}
	return d
}

const (
	ownAccount   = "111122223333"
	otherAccount = "444455556666"
	ownSecret    = "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db-AbCdEf"
	otherSecret  = "arn:aws:secretsmanager:us-east-1:444455556666:secret:shared/key-QwErTy"
	getValue     = "secretsmanager:GetSecretValue"
)

func alice() *Principal {
	return &Principal{
		Type: User, Account: ownAccount, ARN: "arn:aws:iam::111122223333:user/alice",
		UserID: "AIDA00000000000000001", UserName: "alice",
	}
}

func session() *Principal {
	return &Principal{
		Type: AssumedRole, Account: ownAccount, ARN: "arn:aws:sts::111122223333:assumed-role/app/s1",
		RoleARN: "arn:aws:iam::111122223333:role/team/app", UserID: "AROA00000000000000001:s1",
	}
}

func federated() *Principal {
	return &Principal{
		Type: FederatedUser, Account: ownAccount, ARN: "arn:aws:sts::111122223333:federated-user/fed1",
		UserARN: "arn:aws:iam::111122223333:user/alice", EntityID: "AIDA00000000000000001", UserID: "111122223333:fed1",
	}
}

func rootUser() *Principal {
	return &Principal{Type: Root, Account: ownAccount, ARN: "arn:aws:iam::111122223333:root", UserID: ownAccount}
}

// statements wraps statements into a document of the current version.
func statements(t testing.TB, list string) *Document {
	t.Helper()
	return mustParse(t, `{"Version":"2012-10-17","Statement":[`+list+`]}`)
}

func source(t testing.TB, id, list string) *Source {
	t.Helper()
	return &Source{ID: id, Doc: statements(t, list)}
}

// check evaluates and explains, which must agree, and compares the outcome.
func check(t *testing.T, q *Request, s *Set, want Outcome) Decision {
	t.Helper()
	got := Evaluate(q, s)
	x := Explain(q, s)
	if got.Outcome != want {
		t.Errorf("outcome %s, want %s\n%s", got.Outcome, want, x)
	}
	if x.Decision != got {
		t.Errorf("Explain decides %+v, Evaluate %+v", x.Decision, got)
	}
	return got
}
