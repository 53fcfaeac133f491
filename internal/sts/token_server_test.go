package sts_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

func policyARNs(t *testing.T, n, size int) (out []types.PolicyDescriptorType) {
	t.Helper()
	for i := range n {
		arn := fmt.Sprintf("arn:aws:iam::111122223333:policy/%d", i)
		arn += strings.Repeat("a", size-len(arn))
		out = append(out, types.PolicyDescriptorType{Arn: &arn})
	}
	return out
}

// kinds is one of each kind of credentials (spec iam-sts.md 6).
func kinds(t *testing.T, b *stand) map[string]server.Credentials {
	t.Helper()
	all := servertest.Allow("*", "*")
	user := b.User(t, "bob", all)
	root := b.RootCredentials(t, home).Credentials
	session := func(key server.Credentials) server.Credentials {
		out, err := b.STS(key).GetSessionToken(t.Context(), nil)
		ok(t, err)
		return servertest.Session(out.Credentials)
	}
	federated := func(key server.Credentials) server.Credentials {
		out, err := b.STS(key).GetFederationToken(t.Context(), &sts.GetFederationTokenInput{Name: str("guest"), Policy: &all})
		ok(t, err)
		return servertest.Session(out.Credentials)
	}
	return map[string]server.Credentials{
		"user": user, "root": root, "session token": session(user), "root's session token": session(root),
		"federated": federated(user), "federated by root": federated(root),
		"role": b.AssumeRole(t, user, b.Role(t, b.Admin, "app", servertest.Trust(home, "sts:AssumeRole"), all)),
	}
}

// Which credentials are whose, and reach what (spec iam-sts.md 6).
func TestKindsOfCredentials(t *testing.T) {
	b := newStand(t)
	target := b.Role(t, b.Admin, "target", servertest.Trust("*", "sts:AssumeRole"), "")
	keys := kinds(t, b)
	for name, c := range map[string]struct {
		arn, id string
		// what succeeds: i IAM, s Secrets Manager, a AssumeRole, t GetSessionToken, f GetFederationToken, k GetAccessKeyInfo
		may string
	}{
		"user":                 {"arn:aws:iam::111122223333:user/bob", "AIDA", "isatfk"},
		"root":                 {"arn:aws:iam::111122223333:root", home, "istfk"},
		"session token":        {"arn:aws:iam::111122223333:user/bob", "AIDA", "sa"},
		"root's session token": {"arn:aws:iam::111122223333:root", home, "s"},
		"federated":            {"arn:aws:sts::111122223333:federated-user/guest", home + ":guest", "s"},
		"federated by root":    {"arn:aws:sts::111122223333:federated-user/guest", home + ":guest", "s"},
		"role":                 {"arn:aws:sts::111122223333:assumed-role/app/test", "AROA", "isak"},
	} {
		key := keys[name]
		who, err := b.STS(key).GetCallerIdentity(t.Context(), nil)
		ok(t, err)
		if *who.Arn != c.arn || !strings.HasPrefix(*who.UserId, c.id) || *who.Account != home {
			t.Errorf("%s is %s, %s", name, *who.Arn, *who.UserId)
		}
		may := func(letter string, err error) (refused bool) {
			if strings.Contains(c.may, letter) != (err == nil) {
				t.Errorf("%s, %s: %v", name, letter, err)
			}
			return err != nil
		}
		_, err = b.IAMAs(key).ListUsers(t.Context(), nil)
		if may("i", err) && !strings.Contains(err.Error(), "InvalidClientTokenId: "+invalidToken) {
			t.Errorf("%s: IAM answers %v", name, err)
		}
		may("s", b.read(key))
		_, err = b.assume(key, target)
		may("a", err)
		_, err = b.STS(key).GetSessionToken(t.Context(), nil)
		if may("t", err) {
			want(t, "GetSessionToken", err, forbidden, "AccessDenied", "Cannot call GetSessionToken with session credentials")
		}
		_, err = b.STS(key).GetFederationToken(t.Context(), &sts.GetFederationTokenInput{Name: str("guest")})
		if may("f", err) {
			want(t, "GetFederationToken", err, forbidden, "AccessDenied", "Cannot call GetFederationToken with session credentials")
		}
		_, err = b.STS(key).GetAccessKeyInfo(t.Context(), &sts.GetAccessKeyInfoInput{AccessKeyId: &key.AccessKeyID})
		if may("k", err) {
			want(t, "GetAccessKeyInfo", err, forbidden, "AccessDenied", "Cannot call GetAccessKeyInfo with session credentials")
		}
		_, err = b.STS(key).DecodeAuthorizationMessage(t.Context(), &sts.DecodeAuthorizationMessageInput{EncodedMessage: str("none")})
		if strings.Contains(c.may, "k") {
			want(t, "DecodeAuthorizationMessage", err, 400, "InvalidAuthorizationMessageException", "Message is not valid")
		} else {
			want(t, "DecodeAuthorizationMessage", err, forbidden, "AccessDenied", "Cannot call DecodeAuthorizationMessage with session credentials")
		}
	}
}

// How long credentials last; root's are cut and not refused.
func TestDurations(t *testing.T) {
	b := newStand(t)
	bare := b.User(t, "bare", "")
	root := b.RootCredentials(t, home).Credentials
	for _, c := range []struct {
		key   server.Credentials
		asked *int32
		last  time.Duration
	}{
		{bare, nil, 12 * time.Hour}, {bare, num(900), 15 * time.Minute}, {bare, num(129600), 36 * time.Hour},
		{root, nil, time.Hour}, {root, num(900), 15 * time.Minute}, {root, num(129600), time.Hour},
	} {
		out, err := b.STS(c.key).GetSessionToken(t.Context(), &sts.GetSessionTokenInput{DurationSeconds: c.asked})
		ok(t, err)
		if !out.Credentials.Expiration.Equal(b.watch.now().Add(c.last)) {
			t.Errorf("%s asks for %d: until %s", c.key.User, aws.ToInt32(c.asked), out.Credentials.Expiration)
		}
		if c.key.User == "bare" {
			continue
		}
		fed, err := b.STS(c.key).GetFederationToken(t.Context(), &sts.GetFederationTokenInput{Name: str("guest"), DurationSeconds: c.asked})
		ok(t, err)
		if !fed.Credentials.Expiration.Equal(b.watch.now().Add(c.last)) {
			t.Errorf("federated by %s, %d: until %s", c.key.User, aws.ToInt32(c.asked), fed.Credentials.Expiration)
		}
	}
	// What root's key makes does not outlive it.
	b.watch.add(10 * time.Minute)
	late, err := b.STS(root).GetSessionToken(t.Context(), nil)
	ok(t, err)
	if !late.Credentials.Expiration.Equal(b.watch.now().Add(50 * time.Minute)) {
		t.Errorf("root's session lasts until %s", late.Credentials.Expiration)
	}
	_, err = b.STS(bare).GetSessionToken(t.Context(), &sts.GetSessionTokenInput{SerialNumber: str("arn:aws:iam::111122223333:mfa/bare"), TokenCode: str("000000")})
	want(t, "GetSessionToken", err, forbidden, "AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code. ")
}

// A federated user may do what its user and the policies passed allow, and nothing
// without policies.
func TestGetFederationToken(t *testing.T) {
	b := newStand(t)
	bob := b.User(t, "bob", servertest.Allow("*", "sts:GetFederationToken", "secretsmanager:GetSecretValue"))
	get, all := servertest.Allow(b.secret, "secretsmanager:GetSecretValue"), servertest.Allow("*", "*")
	for name, c := range map[string]struct {
		change func(*sts.GetFederationTokenInput)
		read   bool
		size   bool
	}{
		"no policy":     {func(*sts.GetFederationTokenInput) {}, false, false},
		"a policy":      {func(in *sts.GetFederationTokenInput) { in.Policy = &get }, true, true},
		"everything":    {func(in *sts.GetFederationTokenInput) { in.Policy = &all }, true, true},
		"another thing": {func(in *sts.GetFederationTokenInput) { in.Policy = str(servertest.Allow("*", "kms:*")) }, false, true},
	} {
		in := &sts.GetFederationTokenInput{Name: str("guest")}
		c.change(in)
		out, err := b.STS(bob).GetFederationToken(t.Context(), in)
		ok(t, err)
		if *out.FederatedUser.Arn != "arn:aws:sts::111122223333:federated-user/guest" || *out.FederatedUser.FederatedUserId != home+":guest" ||
			packedSize(out) == nil || (*packedSize(out) > 0) != c.size {
			t.Errorf("%s: %+v, packed size %v", name, out.FederatedUser, aws.ToInt32(packedSize(out)))
		}
		key := servertest.Session(out.Credentials)
		if err := b.read(key); (err == nil) != c.read {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := b.SecretsAs(key, "").ListSecrets(t.Context(), nil); err == nil {
			t.Errorf("%s: more than the user may", name)
		}
	}
	call := func(key server.Credentials, change func(*sts.GetFederationTokenInput)) error {
		in := &sts.GetFederationTokenInput{Name: str("guest")}
		change(in)
		_, err := b.STS(key).GetFederationToken(t.Context(), in)
		return err
	}
	const op, arn = "GetFederationToken", "arn:aws:sts::111122223333:federated-user/guest"
	err := call(b.User(t, "bare", ""), func(*sts.GetFederationTokenInput) {})
	want(t, op, err, forbidden, "AccessDenied", "User: arn:aws:iam::111122223333:user/bare is not authorized to perform: sts:GetFederationToken on resource: "+arn+" because no identity-based policy allows the sts:GetFederationToken action")
	err = call(bob, func(in *sts.GetFederationTokenInput) { in.Tags = []types.Tag{{Key: str("a"), Value: str("b")}} })
	if err == nil || !strings.Contains(err.Error(), "is not authorized to perform: sts:TagSession on resource: "+arn) {
		t.Errorf("%v", err)
	}
	ok(t, call(b.Admin, func(in *sts.GetFederationTokenInput) { in.Tags = []types.Tag{{Key: str("a"), Value: str("b")}} }))
	err = call(bob, func(in *sts.GetFederationTokenInput) { in.Policy = str("[]") })
	want(t, op, err, 400, "MalformedPolicyDocument", "Syntax errors in policy.")
	err = call(bob, func(in *sts.GetFederationTokenInput) { in.PolicyArns = policyARNs(t, 10, 205) })
	want(t, op, err, 400, "PackedPolicyTooLarge", "Packed policy consumes 101% of allotted space, please use smaller policy.")
}

func TestGetAccessKeyInfo(t *testing.T) {
	b := newStand(t)
	other := b.Account(t, abroad)
	for id, account := range map[string]string{
		b.Admin.AccessKeyID: home, other.AccessKeyID: abroad,
		// No such key: the id alone is read.
		"ASIA" + other.AccessKeyID[4:]: abroad,
	} {
		out, err := b.STS(b.Admin).GetAccessKeyInfo(t.Context(), &sts.GetAccessKeyInfoInput{AccessKeyId: &id})
		ok(t, err)
		if *out.Account != account {
			t.Errorf("%s is of %s", id, *out.Account)
		}
	}
	_, err := b.STS(b.Admin).GetAccessKeyInfo(t.Context(), &sts.GetAccessKeyInfoInput{AccessKeyId: str("AKIA000000000000")})
	want(t, "GetAccessKeyInfo", err, 400, "ValidationError", "Invalid Access Key ID format.")
	_, err = b.STS(b.User(t, "bare", "")).GetAccessKeyInfo(t.Context(), &sts.GetAccessKeyInfoInput{AccessKeyId: &b.Admin.AccessKeyID})
	want(t, "GetAccessKeyInfo", err, forbidden, "AccessDenied", "User: arn:aws:iam::111122223333:user/bare is not authorized to perform: sts:GetAccessKeyInfo because no identity-based policy allows the sts:GetAccessKeyInfo action")
}
