package matrix

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

// foreignAccount is the other one.
const foreignAccount = "444455556666"

// caller is credentials of one kind, under one state of the caller's own layers.
type caller struct {
	kind                        kind
	identity, boundary, session effect
	key                         server.Credentials
	arn                         string
}

// callerKey finds a caller.
type callerKey struct {
	kind                        kind
	identity, boundary, session effect
}

// document is a policy of a layer of the caller: it always lets temporary
// credentials be asked for, so that what it says of the operations is all that
// differs.
func document(e effect, principal string) string {
	statement := func(effect, actions string) string {
		return fmt.Sprintf(`{"Effect":%q,%s"Action":[%s],"Resource":"*"}`, effect, principal, actions)
	}
	text := statement("Allow", `"sts:*"`)
	if e == allows || e == denies {
		text += "," + statement("Allow", `"secretsmanager:*","kms:*"`)
	}
	if e == denies {
		text += "," + statement("Deny", `"secretsmanager:*","kms:*"`)
	}
	return `{"Version":"2012-10-17","Statement":[` + text + `]}`
}

var (
	identities = []effect{allows, denies, silences}
	optional   = []effect{absent, allows, denies, silences}
)

// people makes the callers of an account.
type people struct {
	t       *testing.T
	s       *servertest.Server
	admin   server.Credentials
	iam     *iam.Client
	sts     *sts.Client
	foreign bool
	callers map[callerKey]*caller
	// entities and sessions are the ARNs of users and roles, and of their sessions.
	entities, sessions []string
}

func newPeople(t *testing.T, s *servertest.Server, admin server.Credentials, callers map[callerKey]*caller) *people {
	p := &people{t: t, s: s, admin: admin, foreign: admin.Account == foreignAccount, callers: callers,
		iam: iam.NewFromConfig(s.AWS(admin, "")), sts: sts.NewFromConfig(s.AWS(admin, ""))}
	p.root()
	boundaries := map[effect]string{}
	for _, e := range optional[1:] {
		out, err := p.iam.CreatePolicy(t.Context(), &iam.CreatePolicyInput{PolicyName: aws.String("boundary-" + e.String()), PolicyDocument: aws.String(document(e, ""))})
		check(t, err)
		boundaries[e] = *out.Policy.Arn
	}
	for _, identity := range identities {
		for _, boundary := range optional {
			var arn *string
			if boundary != absent {
				arn = aws.String(boundaries[boundary])
			}
			p.user(identity, boundary, arn)
			p.role(identity, boundary, arn)
		}
	}
	return p
}

func (p *people) add(c caller) {
	if p.foreign {
		switch c.kind {
		case rootUser:
			c.kind = foreignRoot
		case iamUser:
			c.kind = foreignUser
		case roleSession:
			c.kind = foreignRole
		default:
			return
		}
	}
	p.callers[callerKey{c.kind, c.identity, c.boundary, c.session}] = &c
}

func (p *people) root() {
	p.add(caller{kind: rootUser, arn: "arn:aws:iam::" + p.admin.Account + ":root", key: rootKey(p.t, p.s, p.admin.Account)})
}

func rootKey(t *testing.T, s *servertest.Server, account string) server.Credentials {
	c := s.RootCredentials(t, account)
	return server.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey}
}

func (p *people) user(identity, boundary effect, boundaryARN *string) {
	t := p.t
	name := fmt.Sprintf("u-%s-%s", identity, boundary)
	_, err := p.iam.CreateUser(t.Context(), &iam.CreateUserInput{UserName: &name, PermissionsBoundary: boundaryARN})
	check(t, err)
	p.s.SetPolicy(t, p.admin, name, document(identity, ""))
	made, err := p.iam.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: &name})
	check(t, err)
	key := server.Credentials{AccessKeyID: *made.AccessKey.AccessKeyId, SecretAccessKey: *made.AccessKey.SecretAccessKey}
	arn := "arn:aws:iam::" + p.admin.Account + ":user/" + name
	p.entities = append(p.entities, arn)
	p.add(caller{kind: iamUser, identity: identity, boundary: boundary, key: key, arn: arn})
	if p.foreign {
		return
	}
	own := sts.NewFromConfig(p.s.AWS(key, ""))
	session, err := own.GetSessionToken(t.Context(), &sts.GetSessionTokenInput{})
	check(t, err)
	p.add(caller{kind: userSession, identity: identity, boundary: boundary, arn: arn, key: servertest.Session(session.Credentials)})

	name = fmt.Sprintf("f-%s-%s", identity, boundary)
	p.sessions = append(p.sessions, "arn:aws:sts::"+p.admin.Account+":federated-user/"+name)
	for _, e := range optional {
		out, err := own.GetFederationToken(t.Context(), &sts.GetFederationTokenInput{Name: &name, Policy: passed(e)})
		check(t, err)
		p.add(caller{kind: federated, identity: identity, boundary: boundary, session: e, arn: *out.FederatedUser.Arn, key: servertest.Session(out.Credentials)})
	}
}

func (p *people) role(identity, boundary effect, boundaryARN *string) {
	t := p.t
	name := fmt.Sprintf("r-%s-%s", identity, boundary)
	trust := servertest.Trust(p.admin.Account, "sts:AssumeRole")
	made, err := p.iam.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust, PermissionsBoundary: boundaryARN})
	check(t, err)
	_, err = p.iam.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("p"), PolicyDocument: aws.String(document(identity, ""))})
	check(t, err)
	p.entities = append(p.entities, *made.Role.Arn)
	p.sessions = append(p.sessions, "arn:aws:sts::"+p.admin.Account+":assumed-role/"+name+"/session")
	for _, e := range optional {
		out, err := p.sts.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: made.Role.Arn, RoleSessionName: aws.String("session"), Policy: passed(e)})
		check(t, err)
		p.add(caller{kind: roleSession, identity: identity, boundary: boundary, session: e, arn: *out.AssumedRoleUser.Arn, key: servertest.Session(out.Credentials)})
	}
}

func passed(e effect) *string {
	if e == absent {
		return nil
	}
	return aws.String(document(e, ""))
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
