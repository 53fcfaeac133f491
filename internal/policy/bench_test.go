package policy

import (
	"fmt"
	"strings"
	"testing"
)

const (
	benchSecret = "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db-AbCdEf"
	benchAction = "secretsmanager:GetSecretValue"
)

func allowAll(t testing.TB) *Document {
	return mustParse(t, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
}

// typicalPolicy has twenty statements as people write them: several actions
// each, of several services, some with conditions, one in twenty a Deny.
func typicalPolicy(t testing.TB, seed int) *Document {
	services := []string{"s3", "ec2", "secretsmanager", "kms", "ssm", "dynamodb", "logs", "sqs"}
	var statements []string
	for i := range 20 {
		service := services[(i+seed)%len(services)]
		effect := "Allow"
		if i == 7 {
			effect = "Deny"
		}
		statements = append(statements, fmt.Sprintf(
			`{"Sid":"s%d","Effect":"%s","Action":["%s:List*","%s:Put%d","%s:Delete*"],"Resource":["arn:aws:%s:*:111122223333:thing/%d/*","arn:aws:%s:us-east-1:*:secret:team%d/*"],"Condition":{"StringEquals":{"aws:PrincipalTag/team":"t%d"},"Bool":{"aws:SecureTransport":"true"}}}`,
			i, effect, service, service, i, service, service, i, service, i, i))
	}
	return mustParse(t, `{"Version":"2012-10-17","Statement":[`+strings.Join(statements, ",")+`]}`)
}

func benchContext() *Context {
	c := new(Context)
	c.Set("aws:sourceip", "203.0.113.9")
	c.Set("aws:securetransport", "true")
	c.Set("aws:currenttime", "2026-03-01T12:00:00Z")
	c.Set("aws:epochtime", "1772366400")
	c.Set("aws:requestedregion", "us-east-1")
	c.Set("aws:useragent", "aws-cli/2.13")
	c.Set("aws:viaawsservice", "false")
	c.Set("secretsmanager:secretid", benchSecret)
	c.SetTags("aws:resourcetag/", []Tag{{"team", "red"}, {"stage", "prod"}})
	return c
}

func userAllowAll(t testing.TB) (*Request, *Set) {
	p := &Principal{Type: User, Account: "111122223333", ARN: "arn:aws:iam::111122223333:user/admin", UserID: "AIDA00000000000000001", UserName: "admin"}
	return &Request{Principal: p, Action: benchAction, Resource: benchSecret, Context: benchContext()},
		&Set{Identity: []Source{{ID: "inline", Doc: allowAll(t)}}}
}

func roleTenPolicies(t testing.TB) (*Request, *Set) {
	p := &Principal{
		Type: AssumedRole, Account: "111122223333", ARN: "arn:aws:sts::111122223333:assumed-role/app/s1",
		RoleARN: "arn:aws:iam::111122223333:role/app", UserID: "AROA00000000000000001:s1", Tags: []Tag{{"team", "red"}},
	}
	s := &Set{}
	for i := range 9 {
		s.Identity = append(s.Identity, Source{ID: fmt.Sprint(i), Doc: typicalPolicy(t, i)})
	}
	last := strings.TrimSuffix(string(typicalPolicy(t, 9).Source()), "]}") +
		`,{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"arn:aws:secretsmanager:*:111122223333:secret:${aws:ResourceTag/stage}/*"}]}`
	s.Identity = append(s.Identity, Source{ID: "9", Doc: mustParse(t, last)})
	return &Request{Principal: p, Action: benchAction, Resource: benchSecret, Context: benchContext()}, s
}

// everyStatement makes each of 200 statements match action and resource and
// fail in its last condition.
func everyStatement(t testing.TB) (*Request, *Set) {
	q, _ := roleTenPolicies(t)
	s := &Set{}
	one := `{"Effect":"Allow","Action":"secretsmanager:Get*","Resource":"arn:aws:secretsmanager:*:*:secret:prod/*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"blue"}}}`
	for i := range 10 {
		doc := mustParse(t, `{"Version":"2012-10-17","Statement":[`+strings.Repeat(one+",", 19)+one+`]}`)
		s.Identity = append(s.Identity, Source{ID: fmt.Sprint(i), Doc: doc})
	}
	return q, s
}

// roleOwnService is the role session that the project promises a time for: ten
// policies of twenty statements, all of them about the service that is asked, each
// with conditions or lists of ARNs, so that none is passed over by its service; only
// the last statement of all allows.
func roleOwnService(t testing.TB) (*Request, *Set) {
	q, _ := roleTenPolicies(t)
	s := &Set{}
	for i := range 10 {
		var list []string
		for j := range 20 {
			effect, action := "Allow", "secretsmanager:GetSecretValue"
			rest := fmt.Sprintf(`"Resource":"arn:aws:secretsmanager:*:*:secret:team-%d/%d/*"`, i, j)
			switch j % 4 {
			case 1:
				rest = fmt.Sprintf(`"Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"t%d-%d"}}`, i, j)
			case 2:
				action = "secretsmanager:*"
				rest = fmt.Sprintf(`"Resource":["arn:aws:secretsmanager:*:*:secret:x%d*","arn:aws:secretsmanager:eu-*:*:secret:prod/*"]`, i)
			case 3:
				action = "secretsmanager:PutSecretValue"
			}
			if j == 5 {
				effect = "Deny"
			}
			if i == 9 && j == 19 {
				action, rest = "secretsmanager:GetSecretValue", `"Resource":"arn:aws:secretsmanager:*:*:secret:prod/*"`
			}
			list = append(list, fmt.Sprintf(`{"Effect":%q,"Action":%q,%s}`, effect, action, rest))
		}
		s.Identity = append(s.Identity, Source{ID: fmt.Sprint(i), Doc: statements(t, strings.Join(list, ","))})
	}
	return q, s
}

// BenchmarkAuthorizeRoleSession is bound to 3 µs and 2 allocations.
func BenchmarkAuthorizeRoleSession(b *testing.B) {
	q, s := roleOwnService(b)
	b.ReportAllocs()
	for b.Loop() {
		if got := Evaluate(q, s).Outcome; got != Allow {
			b.Fatal(got)
		}
	}
}

func BenchmarkEvaluate(b *testing.B) {
	for _, bench := range []struct {
		name string
		make func(testing.TB) (*Request, *Set)
		want Outcome
	}{
		{"UserAllowAll", userAllowAll, Allow},
		{"RoleTenPoliciesOfTwentyStatements", roleTenPolicies, Allow},
		{"EveryStatementAlmostMatches", everyStatement, ImplicitDeny},
	} {
		b.Run(bench.name, func(b *testing.B) {
			q, s := bench.make(b)
			b.ReportAllocs()
			for b.Loop() {
				if got := Evaluate(q, s).Outcome; got != bench.want {
					b.Fatal(got)
				}
			}
		})
	}
}

func BenchmarkFillContext(b *testing.B) {
	c := new(Context)
	tags := []Tag{{"team", "red"}}
	b.ReportAllocs()
	for b.Loop() {
		c.Reset()
		c.Set("aws:sourceip", "203.0.113.9")
		c.Set("aws:securetransport", "true")
		c.Set("aws:requestedregion", "us-east-1")
		c.SetTags("aws:resourcetag/", tags)
	}
}

func BenchmarkParse(b *testing.B) {
	src := typicalPolicy(b, 0).Source()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(src); err != nil {
			b.Fatal(err)
		}
	}
}

// The hot path's promise to the server: no garbage per decision.
func TestEvaluateDoesNotAllocate(t *testing.T) {
	for name, build := range map[string]func(testing.TB) (*Request, *Set){
		"user with one policy": userAllowAll, "role with ten policies": roleTenPolicies, "every statement": everyStatement,
		"role with policies on its own service": roleOwnService,
	} {
		q, s := build(t)
		if n := testing.AllocsPerRun(100, func() { Evaluate(q, s) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	c := new(Context)
	tags := []Tag{{"team", "red"}}
	fill := func() {
		c.Reset()
		c.Set("aws:sourceip", "203.0.113.9")
		c.SetTags("aws:resourcetag/", tags)
	}
	if n := testing.AllocsPerRun(100, fill); n != 0 {
		t.Errorf("filling a pooled context: %v allocations", n)
	}
}
