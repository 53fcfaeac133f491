package secretsmanager_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

const (
	msgSyntax    = "This resource policy contains a syntax error."
	msgVersion   = "This policy has invalid syntax."
	msgPrincipal = "This resource policy contains an unsupported principal."
	msgService   = "This resource policy contains an unsupported service principal."
	msgBroad     = "You can't attach a resource-based policy that allows broad access to the secret."
	msgLockout   = "Your requested changes will not allow you to manage this secret in the future."
)

// allowing is a resource policy with one statement that allows a principal, given
// as JSON, to do something.
func allowing(principal, action string, condition ...string) string {
	c := ""
	if len(condition) > 0 {
		c = `,"Condition":` + condition[0]
	}
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":` + principal + `,"Action":"` + action + `","Resource":"*"` + c + `}]}`
}

func user(account, name string) string {
	return `{"AWS":"arn:aws:iam::` + account + `:user/` + name + `"}`
}

// sameJSON compares policies as their readers do.
func sameJSON(t testing.TB, got, want string) {
	t.Helper()
	var a, b any
	if err := json.Unmarshal([]byte(got), &a); err != nil {
		t.Errorf("policy %s: %v", got, err)
		return
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("policy\n%s\nwant\n%s", got, want)
	}
}

func (w *world) policy(t testing.TB, id string) *string {
	t.Helper()
	return call(t, w.c.GetResourcePolicy, &sm.GetResourcePolicyInput{SecretId: &id}).ResourcePolicy
}

func (w *world) putPolicy(t testing.TB, id, policy string) {
	t.Helper()
	call(t, w.c.PutResourcePolicy, &sm.PutResourcePolicyInput{SecretId: &id, ResourcePolicy: &policy})
}

// TestResourcePolicies is spec 7.1 and 16.17.
func TestResourcePolicies(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		arn := w.create(t, "s", "v")
		w.User(t, "ann", "")
		text := allowing(user(servertest.Account, "ann"), "secretsmanager:GetSecretValue")
		out := call(t, w.c.PutResourcePolicy, &sm.PutResourcePolicyInput{SecretId: new("s"), ResourcePolicy: &text})
		if *out.ARN != arn || *out.Name != "s" {
			t.Errorf("put: %s %s", *out.ARN, *out.Name)
		}
		got := call(t, w.c.GetResourcePolicy, &sm.GetResourcePolicyInput{SecretId: &arn})
		if *got.ARN != arn || *got.Name != "s" {
			t.Errorf("get: %s %s", *got.ARN, *got.Name)
		}
		sameJSON(t, *got.ResourcePolicy, text)
		// The recorded layout.
		want := `{
  "Version" : "2012-10-17",
  "Statement" : [ {
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "arn:aws:iam::111122223333:user/ann"
    },
    "Action" : "secretsmanager:GetSecretValue",
    "Resource" : "*"
  } ]
}`
		if *got.ResourcePolicy != want {
			t.Errorf("layout\n%s\nwant\n%s", *got.ResourcePolicy, want)
		}
		w.putPolicy(t, "s", publicRead)
		sameJSON(t, *w.policy(t, "s"), publicRead)
		call(t, w.c.DeleteResourcePolicy, &sm.DeleteResourcePolicyInput{SecretId: new("s")})
		if p := w.policy(t, "s"); p != nil {
			t.Errorf("policy after deletion: %s", *p)
		}
		for _, id := range []string{"nope", arn[:len(arn)-6] + "000000"} {
			fails(t, w.c.PutResourcePolicy, &sm.PutResourcePolicyInput{SecretId: &id, ResourcePolicy: &text}, notFound, msgMissing)
			fails(t, w.c.GetResourcePolicy, &sm.GetResourcePolicyInput{SecretId: &id}, notFound, msgMissing)
			fails(t, w.c.DeleteResourcePolicy, &sm.DeleteResourcePolicyInput{SecretId: &id}, notFound, msgMissing)
			fails(t, w.c.ValidateResourcePolicy, &sm.ValidateResourcePolicyInput{SecretId: &id, ResourcePolicy: &text}, notFound, msgMissing)
		}
		fails(t, w.c.ValidateResourcePolicy, &sm.ValidateResourcePolicyInput{SecretId: new("a b"), ResourcePolicy: &text}, validation, msgName)
	})
}

// TestResourcePolicyGrants: what is allowed on the secret is in force at once,
// and what is taken away is not.
func TestResourcePolicyGrants(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.create(t, "s", "v")
		ann := w.as(w.User(t, "ann", ""))
		in := &sm.GetSecretValueInput{SecretId: new("s")}
		refusal := notAllowed("arn:aws:iam::111122223333:user/ann", "GetSecretValue", "s", noIdentity)
		fails(t, ann.GetSecretValue, in, denied, refusal)
		w.putPolicy(t, "s", allowing(user(servertest.Account, "ann"), "secretsmanager:GetSecretValue"))
		call(t, ann.GetSecretValue, in)
		call(t, w.c.DeleteResourcePolicy, &sm.DeleteResourcePolicyInput{SecretId: new("s")})
		fails(t, ann.GetSecretValue, in, denied, refusal)
		// An ARN of this secret as the resource is as good as "*".
		w.putPolicy(t, "s", strings.Replace(allowing(user(servertest.Account, "ann"), "secretsmanager:*"), `"Resource":"*"`, `"Resource":"`+*w.describe(t, "s").ARN+`"`, 1))
		call(t, ann.GetSecretValue, in)
		call(t, ann.DescribeSecret, &sm.DescribeSecretInput{SecretId: new("s")})
		w.create(t, "other", "v")
		fails(t, ann.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("other")}, denied, notAllowed("arn:aws:iam::111122223333:user/ann", "GetSecretValue", "other", noIdentity))
	})
}

// TestPolicyFollowsTheUserNotTheName: a user deleted and made again under the same
// name inherits nothing, and the policy shows the unique id of the one before
// (spec iam-policy-evaluation.md 4, secretsmanager.md 7.1).
func TestPolicyFollowsTheUserNotTheName(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.create(t, "s", "v")
		ann := w.User(t, "ann", "")
		id := *call(t, w.IAM().GetUser, &iam.GetUserInput{UserName: new("ann")}).User.UserId
		text := allowing(user(servertest.Account, "ann"), "secretsmanager:GetSecretValue")
		w.putPolicy(t, "s", text)
		in := &sm.GetSecretValueInput{SecretId: new("s")}
		call(t, w.as(ann).GetSecretValue, in)
		sameJSON(t, *w.policy(t, "s"), text)

		w.deleteUser(t, ann)
		sameJSON(t, *w.policy(t, "s"), allowing(`{"AWS":"`+id+`"}`, "secretsmanager:GetSecretValue"))
		renewed := w.User(t, "ann", "")
		fails(t, w.as(renewed).GetSecretValue, in, denied, notAllowed("arn:aws:iam::111122223333:user/ann", "GetSecretValue", "s", noIdentity))
		// Whoever puts back what is shown learns that it names nobody.
		fails(t, w.c.PutResourcePolicy, &sm.PutResourcePolicyInput{SecretId: new("s"), ResourcePolicy: w.policy(t, "s")}, badPolicy, msgPrincipal)
		w.putPolicy(t, "s", text)
		call(t, w.as(renewed).GetSecretValue, in)
	})
}

// TestPolicyFollowsTheRoleNotTheName is the same for roles, and for policies of
// secrets and of keys.
func TestPolicyFollowsTheRoleNotTheName(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		app := w.role(t, "app", "")
		id := *call(t, w.IAM().GetRole, &iam.GetRoleInput{RoleName: new("app")}).Role.RoleId
		named := func(name string) string { return allowing(`{"AWS":"`+name+`"}`, "secretsmanager:GetSecretValue") }
		onKey := func(name string) string {
			return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"},` +
				`{"Effect":"Allow","Principal":{"AWS":"` + name + `"},"Action":"kms:Decrypt","Resource":"*"}]}`
		}
		const arn = "arn:aws:iam::111122223333:role/app"
		key := w.key(t, "", "")
		keys := w.keys(w.Admin, "")
		call(t, keys.PutKeyPolicy, &kms.PutKeyPolicyInput{KeyId: &key, Policy: new(onKey(arn))})
		call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("s"), SecretString: new("v"), KmsKeyId: &key})
		w.putPolicy(t, "s", named(arn))
		shown := func(name string) {
			t.Helper()
			sameJSON(t, *w.policy(t, "s"), named(name))
			sameJSON(t, *call(t, keys.GetKeyPolicy, &kms.GetKeyPolicyInput{KeyId: &key}).Policy, onKey(name))
		}
		in := &sm.GetSecretValueInput{SecretId: new("s")}
		call(t, app.GetSecretValue, in)
		shown(arn)

		w.deleteRole(t, "app")
		shown(id)
		renewed := w.role(t, "app", "")
		const session = "arn:aws:sts::111122223333:assumed-role/app/session"
		fails(t, renewed.GetSecretValue, in, denied, notAllowed(session, "GetSecretValue", "s", noIdentity))
		fails(t, app.GetSecretValue, in, "UnrecognizedClientException", "The security token included in the request is invalid.")
		// The session alone can be named as well.
		w.putPolicy(t, "s", named(session))
		fails(t, renewed.GetSecretValue, in, denied, msgKMS)
		call(t, keys.PutKeyPolicy, &kms.PutKeyPolicyInput{KeyId: &key, Policy: new(onKey(session))})
		call(t, renewed.GetSecretValue, in)
		shown(session)
	})
}

// role makes a role with a policy ("" = none) and returns a client of a session of
// it, of an hour.
func (w *world) role(t testing.TB, name, policy string) *sm.Client {
	t.Helper()
	admin := w.AWS(w.Admin, "")
	trust := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}}`
	roles := iam.NewFromConfig(admin, func(o *iam.Options) { o.HTTPSignerV4 = w.signer() })
	made := call(t, roles.CreateRole, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})
	if policy != "" {
		call(t, roles.PutRolePolicy, &iam.PutRolePolicyInput{RoleName: &name, PolicyName: new("test"), PolicyDocument: &policy})
	}
	taker := sts.NewFromConfig(admin, func(o *sts.Options) { o.HTTPSignerV4 = w.signer() })
	c := call(t, taker.AssumeRole, &sts.AssumeRoleInput{RoleArn: made.Role.Arn, RoleSessionName: new("session")}).Credentials
	as := w.AWS(server.Credentials{}, "")
	as.Credentials = credentials.NewStaticCredentialsProvider(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
	return sm.NewFromConfig(as, func(o *sm.Options) { o.HTTPSignerV4 = w.signer() })
}

// deleteRole deletes a role that role made.
func (w *world) deleteRole(t testing.TB, name string) {
	t.Helper()
	roles := iam.NewFromConfig(w.AWS(w.Admin, ""), func(o *iam.Options) { o.HTTPSignerV4 = w.signer() })
	for _, policy := range call(t, roles.ListRolePolicies, &iam.ListRolePoliciesInput{RoleName: &name}).PolicyNames {
		call(t, roles.DeleteRolePolicy, &iam.DeleteRolePolicyInput{RoleName: &name, PolicyName: &policy})
	}
	call(t, roles.DeleteRole, &iam.DeleteRoleInput{RoleName: &name})
}

func (w *world) deleteUser(t testing.TB, c server.Credentials) {
	t.Helper()
	call(t, w.IAM().DeleteAccessKey, &iam.DeleteAccessKeyInput{UserName: &c.User, AccessKeyId: &c.AccessKeyID})
	call(t, w.IAM().DeleteUser, &iam.DeleteUserInput{UserName: &c.User})
}

// TestPolicyChecks is the table of spec 7.2, for putting and for checking.
func TestPolicyChecks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, "s", "v")
	w.User(t, "ann", "")
	w.Account(t, "444455556666")
	for name, c := range map[string]struct {
		policy  string
		message string // "" accepted
	}{
		"a user":                    {policy: allowing(user(servertest.Account, "ann"), "secretsmanager:GetSecretValue")},
		"an account":                {policy: allowing(`{"AWS":"444455556666"}`, "secretsmanager:GetSecretValue")},
		"an account's root":         {policy: allowing(`{"AWS":["arn:aws:iam::444455556666:root","111122223333"]}`, "secretsmanager:*")},
		"everyone":                  {policy: publicRead},
		"a service":                 {policy: allowing(`{"Service":"lambda.amazonaws.com"}`, "secretsmanager:GetSecretValue")},
		"a statement, no list":      {policy: `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*"}}`},
		"the old version":           {policy: strings.Replace(publicRead, "2012-10-17", "2008-10-17", 1)},
		"not JSON":                  {policy: `{"Version":`, message: msgSyntax},
		"plain text":                {policy: `allow everything`, message: msgSyntax},
		"empty object":              {policy: `{}`, message: msgSyntax},
		"no statement":              {policy: `{"Version":"2012-10-17","Statement":[]}`, message: msgSyntax},
		"no principal":              {policy: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:*","Resource":"*"}]}`, message: msgSyntax},
		"no effect":                 {policy: `{"Version":"2012-10-17","Statement":[{"Principal":"*","Action":"secretsmanager:*","Resource":"*"}]}`, message: msgSyntax},
		"unknown element":           {policy: strings.Replace(publicRead, `"Effect"`, `"Color":"red","Effect"`, 1), message: msgSyntax},
		"unknown operator":          {policy: allowing(`"*"`, "secretsmanager:*", `{"StringResembles":{"aws:SourceVpc":"x"}}`), message: msgSyntax},
		"twice the same member":     {policy: strings.Replace(publicRead, `"Effect":"Allow"`, `"Effect":"Deny","Effect":"Allow"`, 1), message: msgSyntax},
		"bad version":               {policy: strings.Replace(publicRead, "2012-10-17", "2012-10-18", 1), message: msgVersion},
		"unknown user":              {policy: allowing(user(servertest.Account, "nobody"), "secretsmanager:GetSecretValue"), message: msgPrincipal},
		"user in another case":      {policy: allowing(user(servertest.Account, "Ann"), "secretsmanager:GetSecretValue"), message: msgPrincipal},
		"user under another path":   {policy: allowing(user(servertest.Account, "dept/ann"), "secretsmanager:GetSecretValue"), message: msgPrincipal},
		"unknown role":              {policy: allowing(`{"AWS":"arn:aws:iam::111122223333:role/none"}`, "secretsmanager:GetSecretValue"), message: msgPrincipal},
		"unknown account":           {policy: allowing(`{"AWS":"999999999999"}`, "secretsmanager:GetSecretValue"), message: msgPrincipal},
		"unknown id":                {policy: allowing(`{"AWS":"AIDAAAAAAAAAAAAAAAAAA"}`, "secretsmanager:GetSecretValue"), message: msgPrincipal},
		"wildcard inside":           {policy: allowing(user(servertest.Account, "*"), "secretsmanager:GetSecretValue"), message: msgPrincipal},
		"group":                     {policy: allowing(`{"AWS":"arn:aws:iam::111122223333:group/g"}`, "secretsmanager:GetSecretValue"), message: msgPrincipal},
		"second principal unknown":  {policy: allowing(`{"AWS":["111122223333","999999999999"]}`, "secretsmanager:GetSecretValue"), message: msgPrincipal},
		"unknown service principal": {policy: allowing(`{"Service":"lambda.example.com"}`, "secretsmanager:GetSecretValue"), message: msgService},
	} {
		t.Run(name, func(t *testing.T) {
			put := &sm.PutResourcePolicyInput{SecretId: new("s"), ResourcePolicy: &c.policy}
			check := &sm.ValidateResourcePolicyInput{SecretId: new("s"), ResourcePolicy: &c.policy}
			if c.message != "" {
				fails(t, w.c.PutResourcePolicy, put, badPolicy, c.message)
				fails(t, w.c.ValidateResourcePolicy, check, badPolicy, c.message)
				check.SecretId = nil
				fails(t, w.c.ValidateResourcePolicy, check, badPolicy, c.message)
				return
			}
			call(t, w.c.PutResourcePolicy, put)
			sameJSON(t, *w.policy(t, "s"), strings.ReplaceAll(strings.ReplaceAll(c.policy, `"444455556666"`, `"arn:aws:iam::444455556666:root"`), `"111122223333"`, `"arn:aws:iam::111122223333:root"`))
			call(t, w.c.DeleteResourcePolicy, &sm.DeleteResourcePolicyInput{SecretId: new("s")})
		})
	}
	long := publicRead + strings.Repeat(" ", 20481-len(publicRead))
	// A value as long as this is not repeated.
	const tooLong = "1 validation error detected: Value at 'resourcePolicy' failed to satisfy constraint: Member must have length less than or equal to 20480"
	fails(t, w.c.PutResourcePolicy, &sm.PutResourcePolicyInput{SecretId: new("s"), ResourcePolicy: &long}, validation, tooLong)
	w.putPolicy(t, "s", long[:20480])
}

// TestPublicPolicies is spec 7.3 by way of both operations.
func TestPublicPolicies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, "s", "v")
	get := "secretsmanager:GetSecretValue"
	for name, c := range map[string]struct {
		policy string
		public bool
	}{
		"everyone":                      {publicRead, true},
		"everyone in AWS":               {allowing(`{"AWS":"*"}`, get), true},
		"everyone in a list":            {allowing(`{"AWS":["111122223333","*"]}`, get), true},
		"fixed source":                  {allowing(`"*"`, get, `{"ArnEquals":{"aws:SourceArn":"arn:aws:sns:us-east-1:111122223333:topic"}}`), false},
		"fixed network":                 {allowing(`"*"`, get, `{"StringEquals":{"aws:SourceVpc":"vpc-1"}}`), false},
		"fixed endpoint":                {allowing(`"*"`, get, `{"StringEquals":{"aws:SourceVpce":"vpce-1"}}`), false},
		"fixed account":                 {allowing(`"*"`, get, `{"StringEquals":{"aws:SourceAccount":"111122223333"}}`), false},
		"fixed organisation":            {allowing(`"*"`, get, `{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}`), false},
		"fixed principal account":       {allowing(`"*"`, get, `{"StringEquals":{"aws:PrincipalAccount":"111122223333"}}`), false},
		"fixed principal":               {allowing(`"*"`, get, `{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:role/r"}}`), false},
		"wildcard in the fixed value":   {allowing(`"*"`, get, `{"StringLike":{"aws:SourceVpc":"vpc-*"}}`), true},
		"condition that narrows nobody": {allowing(`"*"`, get, `{"StringEquals":{"secretsmanager:VersionStage":"AWSCURRENT"}}`), true},
		"if exists":                     {allowing(`"*"`, get, `{"StringEqualsIfExists":{"aws:SourceVpce":"vpce-1"}}`), true},
		"negated":                       {allowing(`"*"`, get, `{"StringNotEquals":{"aws:SourceVpc":"vpc-1"}}`), true},
		"deny everyone":                 {strings.Replace(allowing(`"*"`, "secretsmanager:DeleteSecret"), "Allow", "Deny", 1), false},
		"an account":                    {allowing(`{"AWS":"111122223333"}`, "secretsmanager:*"), false},
	} {
		t.Run(name, func(t *testing.T) {
			blocked := &sm.PutResourcePolicyInput{SecretId: new("s"), ResourcePolicy: &c.policy, BlockPublicPolicy: new(true)}
			check := call(t, w.c.ValidateResourcePolicy, &sm.ValidateResourcePolicyInput{ResourcePolicy: &c.policy})
			if check.PolicyValidationPassed == c.public {
				t.Errorf("validation passed %v", check.PolicyValidationPassed)
			}
			if c.public {
				fails(t, w.c.PutResourcePolicy, blocked, publicPolicy, msgBroad)
				if len(check.ValidationErrors) != 1 || *check.ValidationErrors[0].ErrorMessage != msgBroad || *check.ValidationErrors[0].CheckName == "" {
					t.Errorf("findings %v", check.ValidationErrors)
				}
			} else {
				call(t, w.c.PutResourcePolicy, blocked)
				if check.ValidationErrors == nil || len(check.ValidationErrors) > 0 {
					t.Errorf("findings %v, want an empty list", check.ValidationErrors)
				}
			}
			call(t, w.c.PutResourcePolicy, &sm.PutResourcePolicyInput{SecretId: new("s"), ResourcePolicy: &c.policy, BlockPublicPolicy: new(false)})
			call(t, w.c.PutResourcePolicy, &sm.PutResourcePolicyInput{SecretId: new("s"), ResourcePolicy: &c.policy})
		})
	}
}

// TestPolicyLockout: nobody can put a policy that they could not put away again.
func TestPolicyLockout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, "s", "v")
	out := strings.Replace(allowing(`"*"`, "secretsmanager:*"), "Allow", "Deny", 1)
	fails(t, w.c.PutResourcePolicy, &sm.PutResourcePolicyInput{SecretId: new("s"), ResourcePolicy: &out}, badParameter, msgLockout)
	check := call(t, w.c.ValidateResourcePolicy, &sm.ValidateResourcePolicyInput{SecretId: new("s"), ResourcePolicy: &out})
	if check.PolicyValidationPassed || len(check.ValidationErrors) != 1 || *check.ValidationErrors[0].ErrorMessage != msgLockout {
		t.Errorf("validation passed %v with %v", check.PolicyValidationPassed, check.ValidationErrors)
	}
	if p := w.policy(t, "s"); p != nil {
		t.Errorf("a refused policy was stored: %s", *p)
	}
	// A caller whose right comes from the policy itself cannot drop it.
	ann := w.as(w.User(t, "ann", ""))
	w.putPolicy(t, "s", allowing(user(servertest.Account, "ann"), "secretsmanager:*"))
	fails(t, ann.PutResourcePolicy, &sm.PutResourcePolicyInput{SecretId: new("s"), ResourcePolicy: new(publicRead)}, badParameter, msgLockout)
	call(t, ann.PutResourcePolicy, &sm.PutResourcePolicyInput{SecretId: new("s"), ResourcePolicy: new(allowing(user(servertest.Account, "ann"), "secretsmanager:PutResourcePolicy"))})
}

func (w *world) deletePolicy(t testing.TB, name string) {
	t.Helper()
	call(t, w.IAM().DeleteUserPolicy, &iam.DeleteUserPolicyInput{UserName: &name, PolicyName: new("test")})
}
