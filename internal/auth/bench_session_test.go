package auth_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/wire"
)

// BenchmarkAuthorizeRoleSession decides a GetSecretValue for a session of a role
// with ten attached policies of twenty statements, warm. Each statement is about
// Secrets Manager and has a condition or a long list of ARNs, so that none can be
// passed over by its service alone; only the last one of all allows.
func BenchmarkAuthorizeRoleSession(b *testing.B) {
	const secret = "arn:aws:secretsmanager:us-east-1:111122223333:secret:db/app-AbCdEf"
	role := user(b, "app", "")
	role.Principal.Type, role.Principal.EntityID = aws.PrincipalAssumedRole, "AROAEXAMPLEEXAMPLEEX1"
	role.Principal.UserID, role.Principal.RoleARN = role.Principal.EntityID, "arn:aws:iam::111122223333:role/svc/app"
	for i := range 10 {
		var statements []string
		for j := range 20 {
			action, extra := "secretsmanager:GetSecretValue", fmt.Sprintf(`,"Resource":"arn:aws:secretsmanager:*:*:secret:team-%d/%d/*"`, i, j)
			switch j % 4 {
			case 1:
				extra = fmt.Sprintf(`,"Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"t%d-%d"}}`, i, j)
			case 2:
				action = "secretsmanager:*"
				extra = fmt.Sprintf(`,"Resource":["arn:aws:secretsmanager:*:*:secret:x%d*","arn:aws:secretsmanager:eu-*:*:secret:db/*"]`, i)
			case 3:
				action = "secretsmanager:PutSecretValue"
			}
			effect := "Allow"
			if j == 5 {
				effect = "Deny"
			}
			if i == 9 && j == 19 {
				action, extra = "secretsmanager:GetSecretValue", `,"Resource":"arn:aws:secretsmanager:*:*:secret:db/*"`
			}
			statements = append(statements, fmt.Sprintf(`{"Effect":%q,"Action":%q%s}`, effect, action, extra))
		}
		doc, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`))
		if err != nil {
			b.Fatal(err)
		}
		role.Policies.Identity = append(role.Policies.Identity, policy.Source{ID: fmt.Sprintf("arn:aws:iam::111122223333:policy/p%d", i), Version: "v1", Doc: doc})
	}
	d := &directory{identities: map[string]*auth.Identity{"x": role}}
	s := service(d, &generation{1}, time.Now)
	now := time.Now()
	p := *role.Principal
	p.ARN, p.UserID, p.AccessKeyID = "arn:aws:sts::111122223333:assumed-role/app/s", p.EntityID+":s", "ASIAEXAMPLE"
	p.Session = &aws.Session{Type: aws.PrincipalAssumedRole, Account: account, EntityID: p.EntityID, Name: "s", Issued: now, Expires: now.Add(time.Hour)}
	s.Warm(&p)
	tags := []aws.Tag{{Key: "team", Value: "blue"}, {Key: "stage", Value: "prod"}}
	keys := []auth.Key{{Name: "secretsmanager:SecretId", Values: []string{secret}}, {Name: "secretsmanager:VersionStage", Values: []string{"AWSCURRENT"}}}
	w := call("secretsmanager", &p)
	ctx := wire.NewContext(b.Context(), w)
	b.ReportAllocs()
	for b.Loop() {
		w.Decisions = w.Decisions[:0]
		if err := s.Authorize(ctx, &auth.Request{
			Action: "secretsmanager:GetSecretValue", Resource: secret, Shown: "db/app", Account: account, Keys: keys, Tags: tags,
		}); err != nil {
			b.Fatal(err)
		}
	}
}
