package sts_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

type input = sts.AssumeRoleInput

func TestAssumeRole(t *testing.T) {
	for name, options := range both {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newStand(t, options...)
			bob := b.User(t, "bob", servertest.Allow("*", "sts:AssumeRole"))
			role := b.Role(t, b.Admin, "app", servertest.Trust(home, "sts:AssumeRole"), servertest.Allow(b.secret, "secretsmanager:GetSecretValue"))
			out, err := b.assume(bob, role, func(in *input) { in.RoleSessionName = str("job-7") })
			ok(t, err)
			made, err := b.IAM().GetRole(t.Context(), &iam.GetRoleInput{RoleName: str("app")})
			ok(t, err)
			if got := out.AssumedRoleUser; *got.Arn != "arn:aws:sts::111122223333:assumed-role/app/job-7" || *got.AssumedRoleId != *made.Role.RoleId+":job-7" {
				t.Errorf("user %s, %s", *got.Arn, *got.AssumedRoleId)
			}
			if !out.Credentials.Expiration.Equal(b.watch.now().Add(time.Hour)) || !strings.HasPrefix(*out.Credentials.AccessKeyId, "ASIA") {
				t.Errorf("credentials %s until %s", *out.Credentials.AccessKeyId, out.Credentials.Expiration)
			}
			if packedSize(out) != nil || out.SourceIdentity != nil {
				t.Error("sizes and identities that nobody asked for")
			}
			key := servertest.Session(out.Credentials)
			if got := b.arn(t, key); got != *out.AssumedRoleUser.Arn {
				t.Errorf("caller is %s", got)
			}
			ok(t, b.read(key))
			_, err = b.IAMAs(key).ListUsers(t.Context(), nil)
			if err == nil || !strings.Contains(err.Error(), "User: arn:aws:sts::111122223333:assumed-role/app/job-7 is not authorized to perform: iam:ListUsers") {
				t.Errorf("%v", err)
			}
			// What the role may do changes for sessions that are there.
			b.setRole(t, "app", servertest.Deny("*", "*"))
			if b.read(key) == nil {
				t.Error("a session kept what its role lost")
			}
		})
	}
}

// Who may take a role: the trust policy alone for those it names, both sides where
// it names an account (spec iam-policy-evaluation.md 7.1 and 8).
func TestTrust(t *testing.T) {
	b := newStand(t)
	other := b.Account(t, abroad)
	const any = "sts:AssumeRole"
	may := servertest.Allow("*", any)
	users := map[string]server.Credentials{
		"bare":          b.User(t, "bare", ""),
		"may":           b.User(t, "may", may),
		"may not":       b.User(t, "maynot", servertest.Deny("*", any)),
		"abroad bare":   b.UserOf(t, other, "bare", ""),
		"abroad may":    b.UserOf(t, other, "may", may),
		"root":          b.RootCredentials(t, home).Credentials,
		"taker":         {},
		"federated":     {},
		"session token": {},
	}
	taker := b.Role(t, b.Admin, "taker", servertest.Trust(home, any), may)
	users["taker"] = b.AssumeRole(t, b.Admin, taker)
	fed, err := b.STS(b.Admin).GetFederationToken(t.Context(), &sts.GetFederationTokenInput{Name: str("guest"), Policy: str(may)})
	ok(t, err)
	users["federated"] = servertest.Session(fed.Credentials)
	tok, err := b.STS(users["may"]).GetSessionToken(t.Context(), nil)
	ok(t, err)
	users["session token"] = servertest.Session(tok.Credentials)
	user := func(account, name string) string { return "arn:aws:iam::" + account + ":user/" + name }
	for i, c := range []struct{ trust, allowed string }{
		{servertest.Trust(home, any), "may taker session-token"},
		{servertest.Trust("arn:aws:iam::"+home+":root", any), "may taker session-token"},
		{servertest.Trust(user(home, "bare"), any), "bare"},
		{servertest.Trust(user(home, "may"), any), "may session-token"},
		{servertest.Trust(user(home, "maynot"), any), ""},
		{servertest.Trust(abroad, any), "abroad-may"},
		{servertest.Trust(user(abroad, "bare"), any), ""},
		{servertest.Trust(user(abroad, "may"), any), "abroad-may"},
		{servertest.Trust(taker, any), "taker"},
		{servertest.Trust("arn:aws:sts::"+home+":assumed-role/taker/test", any), "taker"},
		{servertest.Trust("arn:aws:sts::"+home+":assumed-role/taker/other", any), ""},
		{servertest.Trust("*", any), "bare may taker abroad-may session-token"},
		{servertest.Trust("*", "sts:TagSession"), ""},
		{`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`, ""},
		{`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"},{"Effect":"Deny","Principal":{"AWS":"` + home + `"},"Action":"sts:AssumeRole"}]}`, "abroad-may"},
	} {
		role := b.Role(t, b.Admin, fmt.Sprint("role-", i), c.trust, "")
		for name, key := range users {
			_, err := b.assume(key, role)
			allowed := strings.Contains(" "+c.allowed+" ", " "+strings.ReplaceAll(name, " ", "-")+" ")
			switch {
			case allowed && err != nil:
				t.Errorf("%s by %s: %v", name, c.trust, err)
			case !allowed && name == "root":
				want(t, "AssumeRole", err, forbidden, "AccessDenied", "Roles may not be assumed by root accounts.")
			case !allowed:
				want(t, "AssumeRole", err, forbidden, "AccessDenied", "User: "+b.arn(t, key)+" is not authorized to perform: sts:AssumeRole on resource: "+role)
			}
		}
	}
}

// A role that is not there, or in an account that is not, answers as one that lets
// nobody in, and so does the record.
func TestMissingRolesAreDenied(t *testing.T) {
	b := newStand(t)
	b.Account(t, abroad)
	bob := b.User(t, "bob", servertest.Allow("*", "*"))
	there := b.Role(t, b.Admin, "there", servertest.Trust(abroad, "sts:AssumeRole"), "")
	for _, role := range []string{
		there, "arn:aws:iam::" + home + ":role/missing", "arn:aws:iam::" + home + ":role/path/there", "arn:aws:iam::" + home + ":role/THERE",
		"arn:aws:iam::" + abroad + ":role/there", "arn:aws:iam::777788889999:role/there", "arn:aws:iam::" + home + ":user/bob",
		"arn:aws-cn:iam::" + home + ":role/there", "arn:aws:iam:::role/there", "arn:aws:iam::" + home + ":role/", "arn:aws:s3:::" + home + "role/there",
		"arn:aws:iam::" + home + ":role/a\u00e9b", "arn:aws:iam::" + home + ":role/" + strings.Repeat("a", 1000),
	} {
		_, err := b.assume(bob, role)
		want(t, "AssumeRole", err, forbidden, "AccessDenied", "User: arn:aws:iam::111122223333:user/bob is not authorized to perform: sts:AssumeRole on resource: "+role)
	}
}

func TestAssumeRoleRefuses(t *testing.T) {
	b := newStand(t)
	role := b.Role(t, b.Admin, "app", servertest.Trust(home, "sts:AssumeRole", "sts:TagSession"), "")
	_, err := b.IAM().UpdateRole(t.Context(), &iam.UpdateRoleInput{RoleName: str("app"), MaxSessionDuration: num(7200)})
	ok(t, err)
	chained := b.AssumeRole(t, b.Admin, b.Role(t, b.Admin, "first", servertest.Trust(home, "sts:AssumeRole"), servertest.Allow("*", "*")))
	tok, err := b.STS(b.Admin).GetSessionToken(t.Context(), nil)
	ok(t, err)
	token := servertest.Session(tok.Credentials)
	tag := func(pairs ...string) (out []types.Tag) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, types.Tag{Key: &pairs[i], Value: &pairs[i+1]})
		}
		return out
	}
	arns := func(list ...string) (out []types.PolicyDescriptorType) {
		for _, a := range list {
			out = append(out, types.PolicyDescriptorType{Arn: &a})
		}
		return out
	}
	const invalid = "ValidationError"
	const policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
	admin := b.Admin
	for _, c := range []struct {
		name          string
		key           server.Credentials
		change        func(*input)
		code, message string
	}{
		{"short junk", admin, func(in *input) { in.RoleArn = str("app") }, invalid, "app is invalid"},
		{"empty partition", admin, func(in *input) { in.RoleArn = str("arn::iam::111122223333:role/app") }, invalid, "arn::iam::111122223333:role/app is invalid"},
		{"empty service", admin, func(in *input) { in.RoleArn = str("arn:aws:::111122223333:role/app") }, invalid, "arn:aws:::111122223333:role/app is invalid"},
		{"too few colons", admin, func(in *input) { in.RoleArn = str("arn:aws:iam::111122223333") }, invalid, "arn:aws:iam::111122223333 is invalid"},
		{"empty resource", admin, func(in *input) { in.RoleArn = str("arn:aws:iam::111122223333:") }, invalid, "arn:aws:iam::111122223333: is invalid"},
		{"session name", admin, func(in *input) { in.RoleSessionName = str("a:b") }, invalid,
			"1 validation error detected: Value 'a:b' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*"},
		{"short session name", admin, func(in *input) { in.RoleSessionName = str("a") }, invalid,
			"1 validation error detected: Value 'a' at 'roleSessionName' failed to satisfy constraint: Member must have length greater than or equal to 2"},
		{"longer than the role's sessions", admin, func(in *input) { in.DurationSeconds = num(7201) }, invalid,
			"The requested DurationSeconds exceeds the MaxSessionDuration set for this role."},
		{"long session in a chain", chained, func(in *input) { in.DurationSeconds = num(3601) }, invalid,
			"The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."},
		{"long session by a session token", token, func(in *input) { in.DurationSeconds = num(3601) }, invalid,
			"The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."},
		{"short duration", admin, func(in *input) { in.DurationSeconds = num(899) }, invalid,
			"1 validation error detected: Value '899' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900"},
		{"tag twice", admin, func(in *input) { in.Tags = tag("a", "1", "A", "2") }, "InvalidParameterValue",
			"Duplicate tag keys found. Please note that Tag keys are case insensitive."},
		{"reserved tag", admin, func(in *input) { in.Tags = tag("AWS:x", "1") }, "InvalidParameterValue", "Tag keys cannot begin with aws:."},
		{"transitive tag that is not passed", admin, func(in *input) { in.Tags, in.TransitiveTagKeys = tag("a", "1"), []string{"b"} }, "InvalidParameterValue",
			"The specified transitive tag key must be included in the requested tags."},
		{"policy that is none", admin, func(in *input) { in.Policy = str("{}") }, "MalformedPolicyDocument", "Syntax errors in policy."},
		{"policy of 2049 characters", admin, func(in *input) { in.Policy = str(policy + strings.Repeat(" ", 2049-len(policy))) }, "PackedPolicyTooLarge",
			"Packed policy consumes 101% of allotted space, please use smaller policy."},
		{"eleven managed policies", admin, func(in *input) {
			in.PolicyArns = arns(strings.Split(strings.Repeat("arn:aws:iam::aws:policy/p ", 10)+"arn:aws:iam::aws:policy/p", " ")...)
		}, invalid,
			"1 validation error detected: Value at 'policyArns' failed to satisfy constraint: Member must have length less than or equal to 10"},
		{"managed policy of no ARN", admin, func(in *input) { in.PolicyArns = arns("AdministratorAccess!!!!!!") }, invalid, "ARN AdministratorAccess!!!!!! is not valid."},
		{"managed policy that is missing", admin, func(in *input) { in.PolicyArns = arns("arn:aws:iam::111122223333:policy/p") }, invalid,
			"Policy arn:aws:iam::111122223333:policy/p does not exist or is not attachable."},
		{"contexts", admin, func(in *input) {
			in.ProvidedContexts = []types.ProvidedContext{{ProviderArn: str("arn:aws:iam::aws:contextProvider/IdentityCenter")}}
		}, invalid, "ProvidedContexts is not supported."},
		{"second factor of nobody", admin, func(in *input) {
			in.SerialNumber, in.TokenCode = str("arn:aws:iam::111122223333:mfa/admin"), str("123456")
		}, "AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code. "},
		{"half a second factor", admin, func(in *input) { in.SerialNumber = str("arn:aws:iam::111122223333:mfa/admin") }, "AccessDenied",
			"MultiFactorAuthentication failed with invalid MFA one time pass code. "},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := b.assume(c.key, role, c.change)
			status := 400
			if c.code == "AccessDenied" {
				status = forbidden
			}
			want(t, "AssumeRole", err, status, c.code, c.message)
		})
	}
	for _, seconds := range []int32{900, 3600, 7200} {
		out, err := b.assume(admin, role, func(in *input) { in.DurationSeconds = &seconds })
		ok(t, err)
		if !out.Credentials.Expiration.Equal(b.watch.now().Add(time.Duration(seconds) * time.Second)) {
			t.Errorf("%d seconds end at %s", seconds, out.Credentials.Expiration)
		}
	}
	_, err = b.assume(chained, role, func(in *input) { in.DurationSeconds = num(3600) })
	ok(t, err)
}

// Conditions of a trust policy see the request: external id, session name,
// duration, source identity, tags, the role's own tags.
func TestTrustConditions(t *testing.T) {
	b := newStand(t)
	bob := b.User(t, "bob", servertest.Allow("*", "sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"))
	with := func(f func(*input)) func(*input) { return f }
	plain := with(func(*input) {})
	tags := with(func(in *input) {
		in.Tags = []types.Tag{{Key: str("Team"), Value: str("blue")}, {Key: str("x"), Value: str("")}}
		in.TransitiveTagKeys = []string{"x"}
	})
	external := with(func(in *input) { in.ExternalId = str("ext/1:a") })
	identity := with(func(in *input) { in.SourceIdentity = str("alice") })
	for i, c := range []struct {
		condition string
		request   func(*input)
		allowed   bool
	}{
		{`"StringEquals":{"sts:ExternalId":"ext/1:a"}`, external, true},
		{`"StringEquals":{"sts:ExternalId":"ext/1:a"}`, plain, false},
		{`"StringEquals":{"sts:ExternalId":"other"}`, external, false},
		{`"Null":{"sts:ExternalId":"true"}`, plain, true},
		{`"StringLike":{"sts:RoleSessionName":"te*"}`, plain, true},
		{`"StringEquals":{"sts:RoleSessionName":"${aws:username}"}`, plain, false},
		{`"StringEquals":{"sts:RoleSessionName":"${aws:username}"}`, func(in *input) { in.RoleSessionName = str("bob") }, true},
		{`"NumericLessThanEquals":{"sts:DurationSeconds":"1800"}`, func(in *input) { in.DurationSeconds = num(1800) }, true},
		{`"NumericLessThanEquals":{"sts:DurationSeconds":"1800"}`, plain, false},
		{`"StringEquals":{"sts:SourceIdentity":"alice"}`, identity, true},
		{`"StringEquals":{"sts:SourceIdentity":"alice"}`, plain, false},
		{`"Null":{"aws:SourceIdentity":"true"}`, identity, true}, // the caller has none
		{`"StringEquals":{"aws:RequestTag/team":"blue"},"ForAllValues:StringEquals":{"aws:TagKeys":["Team","x"],"sts:TransitiveTagKeys":["x"]}`, tags, true},
		{`"StringEquals":{"aws:RequestTag/team":"red"}`, tags, false},
		{`"Null":{"aws:TagKeys":"true","sts:TransitiveTagKeys":"true"}`, plain, true},
		{`"StringEquals":{"aws:ResourceTag/stage":"prod","iam:ResourceTag/Stage":"prod"}`, plain, true},
		{`"StringEquals":{"aws:ResourceTag/stage":"dev"}`, plain, false},
		{`"StringEquals":{"aws:ResourceAccount":"` + home + `","aws:PrincipalAccount":"` + home + `"}`, plain, true},
		{`"Null":{"aws:MultiFactorAuthPresent":"true"}`, plain, true},
		{`"Bool":{"aws:MultiFactorAuthPresent":"true"}`, plain, false},
	} {
		name := fmt.Sprint("role-", i)
		trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + home + `"},"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"],"Condition":{` + c.condition + `}}]}`
		out, err := b.IAM().CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust,
			Tags: []iamtypes.Tag{{Key: aws.String("Stage"), Value: aws.String("prod")}}})
		ok(t, err)
		if _, err = b.assume(bob, *out.Role.Arn, c.request); (err == nil) != c.allowed {
			t.Errorf("%s: %v", c.condition, err)
		}
	}
}
