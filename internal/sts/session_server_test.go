package sts_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

const (
	invalidToken = "The security token included in the request is invalid."
	expiredToken = "The security token included in the request is expired"
)

// refusedAs is the code with which the caller's session is refused, "" for good ones.
func refusedAs(t *testing.T, b *stand, key server.Credentials) string {
	t.Helper()
	_, err := b.STS(key).GetCallerIdentity(t.Context(), nil)
	switch {
	case err == nil:
		return ""
	case strings.Contains(err.Error(), "InvalidClientTokenId: "+invalidToken):
		want(t, "GetCallerIdentity", err, forbidden, "InvalidClientTokenId", invalidToken)
		return "invalid"
	}
	want(t, "GetCallerIdentity", err, forbidden, "ExpiredToken", expiredToken)
	return "expired"
}

// Session policies are an upper bound of what the role may do, whatever the role
// gets later, and are frozen with the version that was in force.
func TestSessionPolicies(t *testing.T) {
	b := newStand(t)
	role := b.Role(t, b.Admin, "app", servertest.Trust(home, "sts:AssumeRole"), servertest.Allow("*", "secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"))
	get, list := servertest.Allow("*", "secretsmanager:GetSecretValue"), servertest.Allow("*", "secretsmanager:ListSecrets")
	made, err := b.IAM().CreatePolicy(t.Context(), &iam.CreatePolicyInput{PolicyName: str("get"), PolicyDocument: &get})
	ok(t, err)
	managed := []types.PolicyDescriptorType{{Arn: made.Policy.Arn}}
	for name, c := range map[string]struct {
		change      func(*input)
		read, sized bool
	}{
		"none":                    {func(*input) {}, true, false},
		"inline":                  {func(in *input) { in.Policy = &get }, true, true},
		"inline for another":      {func(in *input) { in.Policy = &list }, false, true},
		"managed":                 {func(in *input) { in.PolicyArns = managed }, true, true},
		"either":                  {func(in *input) { in.Policy, in.PolicyArns = &list, managed }, true, true},
		"a Deny":                  {func(in *input) { in.Policy, in.PolicyArns = str(servertest.Deny("*", "*")), managed }, false, true},
		"all, but the role's own": {func(in *input) { in.Policy = str(servertest.Allow("*", "*")) }, true, true},
	} {
		out, err := b.assume(b.Admin, role, c.change)
		ok(t, err)
		if (packedSize(out) != nil) != c.sized || c.sized && (*packedSize(out) < 1 || *packedSize(out) > 100) {
			t.Errorf("%s: packed size %v", name, aws.ToInt32(packedSize(out)))
		}
		key := servertest.Session(out.Credentials)
		if err := b.read(key); (err == nil) != c.read {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := b.SecretsAs(key, "").ListSecrets(t.Context(), nil); err == nil {
			t.Errorf("%s: more than the role may", name)
		}
	}
	// Deleted, the managed policy takes its sessions with it: it may have been the
	// one that denied.
	key := b.AssumeRole(t, b.Admin, role, func(in *input) { in.PolicyArns = managed })
	_, err = b.IAM().DeletePolicy(t.Context(), &iam.DeletePolicyInput{PolicyArn: made.Policy.Arn})
	ok(t, err)
	if got := refusedAs(t, b, key); got != "invalid" {
		t.Errorf("with a deleted session policy: %q", got)
	}
}

// Tags of a session are the principal's, over those of the role, and decide which
// secret it reads; transitive ones go on along a chain and cannot be changed there.
func TestSessionTags(t *testing.T) {
	b := newStand(t)
	_, err := b.Secrets().TagResource(t.Context(), &secretsmanager.TagResourceInput{SecretId: &b.secret, Tags: []smtypes.Tag{{Key: str("team"), Value: str("blue")}}})
	ok(t, err)
	byTag := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/Team}"}}},
		{"Effect":"Allow","Action":"sts:*","Resource":"*"}]}`
	both := servertest.Trust(home, "sts:AssumeRole", "sts:TagSession")
	first := b.Role(t, b.Admin, "first", both, byTag)
	second := b.Role(t, b.Admin, "second", both, byTag)
	untaggable := b.Role(t, b.Admin, "untaggable", servertest.Trust("arn:aws:iam::111122223333:user/admin", "sts:AssumeRole"), byTag)
	_, err = b.IAM().TagRole(t.Context(), &iam.TagRoleInput{RoleName: str("second"), Tags: []iamtypes.Tag{{Key: str("TEAM"), Value: str("red")}}})
	ok(t, err)

	tagged := func(value string, transitive ...string) func(*input) {
		return func(in *input) {
			in.Tags, in.TransitiveTagKeys = []types.Tag{{Key: str("Team"), Value: &value}}, transitive
		}
	}
	blue := b.AssumeRole(t, b.Admin, first, tagged("blue"))
	red := b.AssumeRole(t, b.Admin, first, tagged("red"))
	chain := b.AssumeRole(t, b.Admin, first, tagged("blue", "team"))
	ok(t, b.read(blue))
	ok(t, b.read(chain))
	if b.read(red) == nil {
		t.Error("read with the wrong tag")
	}
	if b.read(b.AssumeRole(t, b.Admin, second)) == nil {
		t.Error("the role's own tag does not count")
	}
	ok(t, b.read(b.AssumeRole(t, b.Admin, second, tagged("blue"))))
	// Only the transitive tag goes along.
	ok(t, b.read(b.AssumeRole(t, chain, second)))
	if b.read(b.AssumeRole(t, blue, second)) == nil {
		t.Error("a tag that is not transitive was inherited")
	}
	// And further on.
	ok(t, b.read(b.AssumeRole(t, b.AssumeRole(t, chain, second), first)))
	_, err = b.assume(chain, second, tagged("red"))
	want(t, "AssumeRole", err, 400, "InvalidParameterValue", "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.")
	_, err = b.assume(b.Admin, untaggable, tagged("blue"))
	want(t, "AssumeRole", err, forbidden, "AccessDenied", "User: arn:aws:iam::111122223333:user/admin is not authorized to perform: sts:TagSession on resource: "+untaggable, "tags")
	// Inherited ones need the next role's consent too.
	quiet := b.Role(t, b.Admin, "quiet", servertest.Trust(home, "sts:AssumeRole"), "")
	_, err = b.assume(chain, quiet)
	want(t, "AssumeRole", err, forbidden, "AccessDenied", "User: "+b.arn(t, chain)+" is not authorized to perform: sts:TagSession on resource: "+quiet, "tags")
	_, err = b.assume(blue, quiet)
	ok(t, err)
}

// Letters that become others in another case are no way around a tag: what a policy
// takes for the same key is the same key, and what it does not take for it is not.
func TestSessionTagsInOtherLetters(t *testing.T) {
	b := newStand(t)
	_, err := b.Secrets().TagResource(t.Context(), &secretsmanager.TagResourceInput{SecretId: &b.secret, Tags: []smtypes.Tag{{Key: str("tier"), Value: str("gold")}}})
	ok(t, err)
	role := b.Role(t, b.Admin, "app", servertest.Trust(home, "sts:AssumeRole", "sts:TagSession"), `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/tier":"${aws:PrincipalTag/tier}"}}},
		{"Effect":"Allow","Action":"sts:*","Resource":"*"},
		{"Effect":"Deny","Action":"secretsmanager:*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/stage":"locked"}}}]}`)
	tagged := func(key, value string, transitive ...string) func(*input) {
		return func(in *input) {
			in.Tags, in.TransitiveTagKeys = append(in.Tags, types.Tag{Key: &key, Value: &value}), append(in.TransitiveTagKeys, transitive...)
		}
	}
	bronze := b.AssumeRole(t, b.Admin, role, tagged("tier", "bronze", "tier"))
	// A capital I with a dot is an i in lower case.
	_, err = b.assume(bronze, role, tagged("t\u0130er", "gold"))
	want(t, "AssumeRole", err, 400, "InvalidParameterValue", "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.")

	_, err = b.IAM().TagRole(t.Context(), &iam.TagRoleInput{RoleName: str("app"), Tags: []iamtypes.Tag{{Key: str("stage"), Value: str("locked")}}})
	ok(t, err)
	// A long s is an s in upper case only.
	if b.read(b.AssumeRole(t, b.Admin, role, tagged("tier", "gold"), tagged("\u017ftage", "open"))) == nil {
		t.Error("the role's own tag is hidden by another one")
	}
	_, err = b.IAM().TagRole(t.Context(), &iam.TagRoleInput{RoleName: str("app"), Tags: []iamtypes.Tag{{Key: str("\u017ftage"), Value: str("open")}}})
	ok(t, err)
	if b.read(b.AssumeRole(t, b.Admin, role, tagged("tier", "gold"))) == nil {
		t.Error("the role's own tag is replaced by another one")
	}
}

// What does not fit in a token is refused, and what does fits in a request.
func TestPackedSize(t *testing.T) {
	b := newStand(t)
	role := b.Role(t, b.Admin, "app", servertest.Trust(home, "sts:AssumeRole", "sts:TagSession"), servertest.Allow("*", "*"))
	tags := func(n, size int) func(*input) {
		return func(in *input) {
			for i := range n {
				k, v := strings.Repeat(string(rune('a'+i%26)), 120)+string(rune('A'+i/26)), ""
				for range size / 8 {
					v += b.noise(8)
				}
				in.Tags = append(in.Tags, types.Tag{Key: &k, Value: &v})
			}
		}
	}
	out, err := b.assume(b.Admin, role, tags(30, 200))
	ok(t, err)
	if *packedSize(out) < 40 || *packedSize(out) > 100 {
		t.Errorf("packed size %d", *packedSize(out))
	}
	ok(t, b.read(servertest.Session(out.Credentials)))
	_, err = b.assume(b.Admin, role, tags(50, 256))
	if err == nil || !strings.Contains(err.Error(), "PackedPolicyTooLarge: Packed policy consumes 1") {
		t.Errorf("%v", err)
	}
}

// noise is text that does not shrink.
func (b *stand) noise(n int) string {
	out, err := b.Secrets().GetRandomPassword(b.Context(), &secretsmanager.GetRandomPasswordInput{
		PasswordLength: aws.Int64(int64(n)), ExcludePunctuation: aws.Bool(true), RequireEachIncludedType: aws.Bool(false),
	})
	if err != nil {
		b.Fatal(err)
	}
	return *out.RandomPassword
}

// A source identity, once set, stays along the chain, and needs everybody's
// consent.
func TestSourceIdentity(t *testing.T) {
	b := newStand(t)
	both := servertest.Trust(home, "sts:AssumeRole", "sts:SetSourceIdentity")
	first := b.Role(t, b.Admin, "first", both, servertest.Allow("*", "sts:*"))
	condition := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:SourceIdentity":"alice"}}}]}`
	second := b.Role(t, b.Admin, "second", both, condition)
	never := b.Role(t, b.Admin, "never", servertest.Trust(home, "sts:AssumeRole"), "")
	alice := func(in *input) { in.SourceIdentity = str("alice") }

	out, err := b.assume(b.Admin, first, alice)
	ok(t, err)
	if aws.ToString(out.SourceIdentity) != "alice" {
		t.Errorf("source identity %q", aws.ToString(out.SourceIdentity))
	}
	key := servertest.Session(out.Credentials)
	out, err = b.assume(key, second)
	ok(t, err)
	if aws.ToString(out.SourceIdentity) != "alice" {
		t.Errorf("inherited source identity %q", aws.ToString(out.SourceIdentity))
	}
	ok(t, b.read(servertest.Session(out.Credentials)))
	_, err = b.assume(key, second, alice)
	ok(t, err)
	_, err = b.assume(key, second, func(in *input) { in.SourceIdentity = str("bob") })
	want(t, "AssumeRole", err, forbidden, "AccessDenied", "User: "+b.arn(t, key)+" is not authorized to perform: sts:SetSourceIdentity on resource: "+second, "identity")
	_, err = b.assume(b.Admin, never, alice)
	want(t, "AssumeRole", err, forbidden, "AccessDenied", "User: arn:aws:iam::111122223333:user/admin is not authorized to perform: sts:SetSourceIdentity on resource: "+never, "identity")
	_, err = b.assume(key, never)
	want(t, "AssumeRole", err, forbidden, "AccessDenied", "User: "+b.arn(t, key)+" is not authorized to perform: sts:SetSourceIdentity on resource: "+never, "identity")
}

// Sessions end with their time, with their role, by an operator's word, and by
// AWS's own way; nothing else ends them.
func TestSessionsEnd(t *testing.T) {
	for name, options := range both {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newStand(t, options...)
			trust, all := servertest.Trust(home, "sts:AssumeRole"), servertest.Allow("*", "*")
			role := b.Role(t, b.Admin, "app", trust, all)
			bob := b.User(t, "bob", all)
			before := b.AssumeRole(t, bob, role)
			chained := b.AssumeRole(t, before, b.Role(t, b.Admin, "next", trust, all))

			// The key that made them may go: sessions are the role's (spec iam-sts.md 6).
			_, err := b.IAM().UpdateAccessKey(t.Context(), &iam.UpdateAccessKeyInput{UserName: str("bob"), AccessKeyId: &bob.AccessKeyID, Status: iamtypes.StatusTypeInactive})
			ok(t, err)
			if got := refusedAs(t, b, bob); got != "invalid" {
				t.Errorf("the key is %q", got)
			}
			ok(t, b.read(before))
			_, err = b.IAM().DeleteAccessKey(t.Context(), &iam.DeleteAccessKeyInput{UserName: str("bob"), AccessKeyId: &bob.AccessKeyID})
			ok(t, err)
			ok(t, b.read(before))

			// AWS's way to revoke: a Deny for tokens that are older than now.
			deny := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:TokenIssueTime":"` +
				b.watch.now().Add(time.Second).Format(time.RFC3339) + `"}}}]}`
			_, err = b.IAM().PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: str("app"), PolicyName: str("AWSRevokeOlderSessions"), PolicyDocument: &deny})
			ok(t, err)
			if err := b.read(before); err == nil || !strings.Contains(err.Error(), "with an explicit deny in an identity-based policy") {
				t.Errorf("revoked by a policy: %v", err)
			}
			b.watch.add(time.Second)
			ok(t, b.read(b.AssumeRole(t, b.Admin, role)))
			_, err = b.IAM().DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: str("app"), PolicyName: str("AWSRevokeOlderSessions")})
			ok(t, err)
			ok(t, b.read(before))

			// Ours: at once, for all there are, and for none that comes after, although
			// the clock stands still.
			if a := b.Operator(t, "POST", "/v1/sessions/revoke", map[string]string{"account": home, "kind": "role", "name": "app"}); a.Status != 200 {
				t.Fatalf("revoke: %d %s", a.Status, a.Body)
			}
			if got := refusedAs(t, b, before); got != "expired" {
				t.Errorf("a revoked session is %q", got)
			}
			ok(t, b.read(chained))
			after := b.AssumeRole(t, b.Admin, role)
			ok(t, b.read(after))

			// A role made again under its name is another one.
			for _, n := range []string{"test"} {
				_, err = b.IAM().DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: str("app"), PolicyName: &n})
				ok(t, err)
			}
			_, err = b.IAM().DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: str("app")})
			ok(t, err)
			if got := refusedAs(t, b, after); got != "invalid" {
				t.Errorf("a session of a deleted role is %q", got)
			}
			b.Role(t, b.Admin, "app", trust, all)
			if got := refusedAs(t, b, after); got != "invalid" {
				t.Errorf("a session of the role's namesake is %q", got)
			}

			// Time.
			for _, c := range []struct {
				step time.Duration
				code string
			}{{time.Hour - 2*time.Second, ""}, {time.Second, "ExpiredToken"}} {
				b.watch.add(c.step)
				// Signed by the watch: the SDK's clock does not follow it.
				a := b.Send(t, whoami(servertest.Raw{Key: chained, At: b.watch.now()}))
				if code, _ := a.Error(); code != c.code {
					t.Errorf("after %v: %q", c.step, code)
				}
			}
		})
	}
}

// A user's own sessions end with the user and by the operator's word.
func TestUsersSessionsEnd(t *testing.T) {
	b := newStand(t)
	bob := b.User(t, "bob", servertest.Allow("*", "*"))
	session := func() server.Credentials {
		out, err := b.STS(bob).GetSessionToken(t.Context(), nil)
		ok(t, err)
		return servertest.Session(out.Credentials)
	}
	guest := func() server.Credentials {
		out, err := b.STS(bob).GetFederationToken(t.Context(), &sts.GetFederationTokenInput{Name: str("guest"), Policy: str(servertest.Allow("*", "*"))})
		ok(t, err)
		return servertest.Session(out.Credentials)
	}
	one, two := session(), guest()
	ok(t, b.read(one))
	ok(t, b.read(two))
	revoke := func() {
		if a := b.Operator(t, "POST", "/v1/sessions/revoke", map[string]string{"account": home, "kind": "user", "name": "bob"}); a.Status != 200 {
			t.Fatalf("revoke: %d %s", a.Status, a.Body)
		}
	}
	// Twice: a mark must move although the clock does not.
	for range 2 {
		revoke()
		if got := refusedAs(t, b, one) + refusedAs(t, b, two); got != "expiredexpired" {
			t.Errorf("revoked sessions are %q", got)
		}
		ok(t, b.read(bob)) // the key is not a session
		one, two = session(), guest()
		ok(t, b.read(one))
		ok(t, b.read(two))
	}
	b.SetPolicy(t, b.Admin, "bob", servertest.Deny("*", "*"))
	if b.read(one) == nil || b.read(two) == nil {
		t.Error("sessions kept what their user lost")
	}
	for _, in := range []map[string]string{
		{"account": home, "kind": "user", "name": "nobody"}, {"account": home, "kind": "role", "name": "bob"}, {"account": home, "kind": "group", "name": "bob"},
		{"account": abroad, "kind": "user", "name": "bob"},
	} {
		if a := b.Operator(t, "POST", "/v1/sessions/revoke", in); a.Status < 400 || a.Status >= 500 {
			t.Errorf("revoke %v: %d %s", in, a.Status, a.Body)
		}
	}
}

// Tokens belong to their access key, whatever else is right about a request.
func TestTokensOnTheWire(t *testing.T) {
	b := newStand(t)
	role := b.Role(t, b.Admin, "app", servertest.Trust(home, "sts:AssumeRole"), servertest.Allow("*", "*"))
	one, two := b.AssumeRole(t, b.Admin, role), b.AssumeRole(t, b.Admin, role)
	other := b.Account(t, abroad)
	foreign := b.AssumeRole(t, other, b.Role(t, other, "app", servertest.Trust(abroad, "sts:AssumeRole"), ""))
	mixed := func(id, secret, token server.Credentials) server.Credentials {
		return server.Credentials{AccessKeyID: id.AccessKeyID, SecretAccessKey: secret.SecretAccessKey, SessionToken: token.SessionToken}
	}
	altered := one
	altered.SessionToken = one.SessionToken[:40] + strings.Map(func(r rune) rune {
		if r == 'A' {
			return 'B'
		}
		return 'A'
	}, one.SessionToken[40:41]) + one.SessionToken[41:]
	cut := one
	cut.SessionToken = one.SessionToken[:len(one.SessionToken)-8]
	none := one
	none.SessionToken = ""
	for _, warm := range []bool{false, true} {
		for name, key := range map[string]server.Credentials{
			"another's token":             mixed(one, one, two),
			"another's token and secret":  mixed(one, two, two),
			"another's key id":            mixed(two, one, one),
			"a token of another account":  mixed(one, one, foreign),
			"a key id of another account": mixed(foreign, one, one),
			"altered":                     altered,
			"cut":                         cut,
			"no token":                    none,
			"a user's key with a token":   mixed(b.Admin, b.Admin, one),
		} {
			if got := refusedAs(t, b, key); got != "invalid" {
				t.Errorf("%s (warm %v) is %q", name, warm, got)
			}
		}
		_, err := b.STS(mixed(one, two, one)).GetCallerIdentity(t.Context(), nil)
		if err == nil || !strings.Contains(err.Error(), "SignatureDoesNotMatch") {
			t.Errorf("another's secret: %v", err)
		}
		for _, key := range []server.Credentials{one, two, foreign} {
			if got := refusedAs(t, b, key); got != "" {
				t.Errorf("a good session is %q", got)
			}
		}
	}
	b.Restart()
	for _, key := range []server.Credentials{one, two, foreign} {
		if got := refusedAs(t, b, key); got != "" {
			t.Errorf("after a restart a good session is %q", got)
		}
	}
}

// A session proves who it is by a presigned URL too, where its token is escaped;
// and a role's path is in its ARN and in no session's.
func TestPresignedBySession(t *testing.T) {
	b := newStand(t)
	trust := servertest.Trust(home, "sts:AssumeRole")
	made, err := b.IAM().CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: str("app"), Path: str("/ci/deploy/"), AssumeRolePolicyDocument: &trust})
	ok(t, err)
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:role/ci/deploy/app"}}}]}`
	b.setRole(t, "app", policy)
	for range 5 { // tokens with other characters each time
		key := b.AssumeRole(t, b.Admin, *made.Role.Arn)
		ok(t, b.read(key))
		signed, err := sts.NewPresignClient(b.STS(key)).PresignGetCallerIdentity(t.Context(), nil)
		ok(t, err)
		r, err := http.NewRequestWithContext(t.Context(), signed.Method, signed.URL, nil)
		ok(t, err)
		r.Header = signed.SignedHeader
		if a := b.Do(t, r); a.Status != http.StatusOK || !strings.Contains(string(a.Body), "<Arn>arn:aws:sts::111122223333:assumed-role/app/test</Arn>") {
			t.Errorf("%d: %s", a.Status, a.Body)
		}
		// A line break in the token would be a second spelling of it.
		u, err := url.Parse(signed.URL)
		ok(t, err)
		q := u.Query()
		q.Set("X-Amz-Security-Token", key.SessionToken+"\n")
		u.RawQuery = q.Encode()
		r, err = http.NewRequestWithContext(t.Context(), signed.Method, u.String(), nil)
		ok(t, err)
		if a := b.Do(t, r); a.Status != forbidden {
			t.Errorf("with another spelling of the token: %d %s", a.Status, a.Body)
		}
		ok(t, b.read(key))
	}
}
