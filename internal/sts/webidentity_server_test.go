package sts_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

const webIdentity = "AssumeRoleWithWebIdentity"

// cluster is a stand with an issuer whose tokens it takes.
type cluster struct {
	*stand
	issuer   *servertest.Issuer
	provider string // ARN
}

func newCluster(t *testing.T, options ...servertest.Option) *cluster {
	t.Helper()
	issuer := servertest.NewIssuer(t)
	c := &cluster{stand: newStand(t, append(options, issuer.Trusted())...), issuer: issuer}
	out, err := c.IAM().CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{Url: &issuer.URL, ClientIDList: []string{"sts.amazonaws.com", "other"}})
	ok(t, err)
	c.provider = *out.OpenIDConnectProviderArn
	return c
}

// trust lets a service account take a role.
func (c *cluster) trust(condition string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"` + c.provider + `"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{` + condition + `}}]}`
}

func (c *cluster) is(sub string) string {
	return fmt.Sprintf(`"StringEquals":{"%s:sub":"%s","%s:aud":"sts.amazonaws.com"}`, c.issuer.Host, sub, c.issuer.Host)
}

// take calls without any credentials, as a pod does.
func (c *cluster) take(role, token string, change ...func(*sts.AssumeRoleWithWebIdentityInput)) (*sts.AssumeRoleWithWebIdentityOutput, error) {
	in := &sts.AssumeRoleWithWebIdentityInput{RoleArn: &role, RoleSessionName: aws.String("pod-1"), WebIdentityToken: &token}
	for _, f := range change {
		f(in)
	}
	cfg := c.AWS(c.Admin, "")
	cfg.Credentials = aws.AnonymousCredentials{}
	return sts.NewFromConfig(cfg).AssumeRoleWithWebIdentity(c.Context(), in)
}

const cart = "system:serviceaccount:shop:cart"

func TestAssumeRoleWithWebIdentity(t *testing.T) {
	for name, options := range both {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, options...)
			role := c.Role(t, c.Admin, "cart", c.trust(c.is(cart)), servertest.Allow(c.secret, "secretsmanager:GetSecretValue"))
			out, err := c.take(role, c.issuer.Token(t, c.watch.now(), nil))
			ok(t, err)
			if *out.AssumedRoleUser.Arn != "arn:aws:sts::111122223333:assumed-role/cart/pod-1" || *out.SubjectFromWebIdentityToken != cart ||
				*out.Audience != "sts.amazonaws.com" || *out.Provider != c.provider || packedSize(out) != nil {
				t.Errorf("%+v", out)
			}
			key := servertest.Session(out.Credentials)
			ok(t, c.read(key))
			if asked := c.issuer.Asked.Load(); asked != 2 {
				t.Errorf("%d requests to the issuer", asked)
			}
			// The issuer's keys are kept, the answers of the past are not.
			_, err = c.take(role, c.issuer.Token(t, c.watch.now(), map[string]any{"sub": "system:serviceaccount:shop:web"}))
			want(t, webIdentity, err, forbidden, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
			if asked := c.issuer.Asked.Load(); asked != 2 {
				t.Errorf("%d requests to the issuer", asked)
			}
			// The provider goes, its sessions stay: they are the role's.
			_, err = c.IAM().DeleteOpenIDConnectProvider(t.Context(), &iam.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: &c.provider})
			ok(t, err)
			ok(t, c.read(key))
			_, err = c.take(role, c.issuer.Token(t, c.watch.now(), nil))
			want(t, webIdentity, err, 400, "InvalidIdentityToken", "No OpenIDConnect provider found in your account for "+c.issuer.URL)
		})
	}
}

// The claims decide, under the issuer's name.
func TestWebIdentityConditions(t *testing.T) {
	c := newCluster(t)
	h := c.issuer.Host
	for i, x := range []struct {
		condition string
		claims    map[string]any
		allowed   bool
	}{
		{c.is(cart), nil, true},
		{c.is("system:serviceaccount:shop:web"), nil, false},
		{`"StringLike":{"` + h + `:sub":"system:serviceaccount:shop:*"}`, nil, true},
		{`"StringLike":{"` + h + `:sub":"system:serviceaccount:other:*"}`, nil, false},
		{`"StringEquals":{"` + h + `:aud":"other"}`, nil, false},
		{`"StringEquals":{"` + h + `:aud":"other"}`, map[string]any{"aud": "other"}, true},
		{`"ForAnyValue:StringEquals":{"` + h + `:aud":"other"}`, map[string]any{"aud": []string{"sts.amazonaws.com", "other"}}, true},
		{`"ForAllValues:StringEquals":{"` + h + `:aud":"other"}`, map[string]any{"aud": []string{"sts.amazonaws.com", "other"}}, false},
		{`"StringEquals":{"` + h + `:azp":"other"}`, map[string]any{"aud": "web", "azp": "other"}, true},
		// A token made for one client and handed to another speaks for the other.
		{`"StringEquals":{"` + h + `:aud":"other"}`, map[string]any{"azp": "other"}, true},
		{`"StringEquals":{"` + h + `:aud":"sts.amazonaws.com"}`, map[string]any{"azp": "other"}, false},
		{`"StringEquals":{"` + h + `:aud":"other"}`, map[string]any{"aud": []string{"web", "sts.amazonaws.com"}, "azp": "other"}, true},
		{`"StringEquals":{"` + h + `:aud":"web"}`, map[string]any{"aud": "other", "azp": "web"}, true},
		{`"StringEquals":{"` + h + `:oaud":"sts.amazonaws.com"}`, map[string]any{"azp": "other"}, true},
		{`"Null":{"` + h + `:oaud":"true"}`, nil, true},
		{`"ForAnyValue:StringEquals":{"` + h + `:amr":"mfa"}`, map[string]any{"amr": []string{"pwd", "mfa"}}, true},
		{`"ForAnyValue:StringEquals":{"` + h + `:amr":"mfa"}`, nil, false},
		{`"StringEquals":{"sts:RoleSessionName":"pod-1"}`, nil, true},
		{`"Null":{"aws:PrincipalArn":"true","aws:username":"true","aws:TokenIssueTime":"true"}`, nil, true},
		{`"StringEquals":{"aws:RequestedRegion":"us-east-1"}`, nil, true},
		{`"StringEquals":{"id.example:sub":"` + cart + `"}`, nil, false},
	} {
		role := c.Role(t, c.Admin, fmt.Sprint("role-", i), c.trust(x.condition), "")
		if _, err := c.take(role, c.issuer.Token(t, c.watch.now(), x.claims)); (err == nil) != x.allowed {
			t.Errorf("%s with %v: %v", x.condition, x.claims, err)
		}
	}
}

// Whoever the trust policy does not name, and a role that is not there, read alike;
// another account's provider vouches for nobody here.
func TestWebIdentityIsDenied(t *testing.T) {
	c := newCluster(t)
	other := c.Account(t, abroad)
	token := c.issuer.Token(t, c.watch.now(), nil)
	denied := func(role string) {
		t.Helper()
		_, err := c.take(role, token)
		want(t, webIdentity, err, forbidden, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
	}
	denied("arn:aws:iam::" + home + ":role/missing")
	denied("arn:aws:iam::" + home + ":user/admin")
	for i, trust := range []string{
		servertest.Trust(home, "sts:AssumeRoleWithWebIdentity"),
		strings.Replace(c.trust(""), "sts:AssumeRoleWithWebIdentity", "sts:AssumeRole", 1),
		strings.ReplaceAll(c.trust(""), c.provider, "accounts.google.com"),
		strings.ReplaceAll(c.trust(""), home, abroad),
		strings.Replace(c.trust(""), `"Effect":"Allow"`, `"Effect":"Deny"`, 1),
	} {
		denied(c.Role(t, c.Admin, fmt.Sprint("role-", i), trust, ""))
	}
	theirs := c.Role(t, other, "theirs", c.trust(""), "")
	_, err := c.take(theirs, token)
	want(t, webIdentity, err, 400, "InvalidIdentityToken", "No OpenIDConnect provider found in your account for "+c.issuer.URL)
}

// Tokens made to deceive: the exact error, counted and not recorded, and nothing of
// the token in the log.
func TestHostileTokens(t *testing.T) {
	c := newCluster(t)
	role := c.Role(t, c.Admin, "cart", c.trust(c.is(cart)), "")
	now := c.watch.now()
	good := c.issuer.Token(t, now, nil)
	parts := strings.Split(good, ".")
	part := func(v any) string {
		b, err := json.Marshal(v)
		ok(t, err)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	const invalid, malformed = "InvalidIdentityToken", "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
	const noKey = "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements"
	claim := func(changes map[string]any) string { return c.issuer.Token(t, now, changes) }
	stranger := servertest.NewIssuer(t)
	for _, x := range []struct {
		name, token   string
		code, message string
	}{
		{"no token at all", "abcd", invalid, malformed},
		{"alg none", part(map[string]string{"alg": "none"}) + "." + parts[1] + ".", invalid, malformed},
		{"alg none with the old signature", part(map[string]string{"alg": "none", "kid": "key-1"}) + "." + parts[1] + "." + parts[2], invalid, malformed},
		{"HMAC under the public key", part(map[string]string{"alg": "HS256", "kid": "key-1"}) + "." + parts[1] + "." + parts[2], invalid, malformed},
		{"no signature", parts[0] + "." + parts[1] + ".", invalid, malformed},
		{"two parts", parts[0] + "." + parts[1], invalid, malformed},
		{"claims changed", parts[0] + "." + part(c.issuer.Claims(now, map[string]any{"sub": "system:serviceaccount:shop:admin"})) + "." + parts[2], invalid, "The signature of the ID Token is not valid"},
		{"wrong audience", claim(map[string]any{"aud": "somebody"}), invalid, "Incorrect token audience"},
		{"unknown key", c.issuer.Sign(t, "key-2", c.issuer.Claims(now, nil)), invalid, noKey},
		{"another issuer's signature", stranger.Sign(t, "key-1", c.issuer.Claims(now, nil)), invalid, "The signature of the ID Token is not valid"},
		{"another issuer", stranger.Token(t, now, nil), invalid, "No OpenIDConnect provider found in your account for " + stranger.URL},
		{"issuer of no URL", claim(map[string]any{"iss": "x' OR '1'='1"}), invalid, "No OpenIDConnect provider found in your account for x' OR '1'='1"},
		{"issuer with a NUL", claim(map[string]any{"iss": c.issuer.URL + "\x00"}), invalid, malformed},
		{"long issuer", claim(map[string]any{"iss": "https://" + strings.Repeat("a", 300)}), invalid, "No OpenIDConnect provider found in your account for https://" + strings.Repeat("a", 247)},
		{"issuer without end", claim(map[string]any{"iss": "https://" + strings.Repeat("a", 5000)}), invalid, malformed},
		{"expired", claim(map[string]any{"exp": now.Unix()}), "ExpiredTokenException",
			fmt.Sprintf("Token expired: current date/time %d must be before the expiration date/time %d", now.Unix(), now.Unix())},
		{"not yet", claim(map[string]any{"nbf": now.Add(time.Hour).Unix()}), invalid, "The ID Token is not valid yet"},
		{"no subject", claim(map[string]any{"sub": nil}), invalid, malformed},
		{"no expiry", claim(map[string]any{"exp": nil}), invalid, malformed},
		{"huge claims", claim(map[string]any{"groups": strings.Repeat("a", 10_000)}), "", ""},
		{"ten thousand claims", claim(map[string]any{"groups": make([]int, 6000)}), invalid, malformed},
		{"deep claims", claim(map[string]any{"x": json.RawMessage(strings.Repeat("[", 500) + strings.Repeat("]", 500))}), invalid, malformed},
	} {
		t.Run(x.name, func(t *testing.T) {
			_, err := c.take(role, x.token)
			if x.code == "" {
				ok(t, err)
				return
			}
			want(t, webIdentity, err, 400, x.code, x.message)
		})
	}
	_, err := c.take(role, strings.Repeat("a", 20_001))
	if err == nil || !strings.Contains(err.Error(), "Member must have length less than or equal to 20000") {
		t.Errorf("%v", err)
	}
	_, err = c.take("cart", good)
	want(t, webIdentity, err, 400, "ValidationError", "cart is invalid")
	_, err = c.take(role, good, func(in *sts.AssumeRoleWithWebIdentityInput) { in.ProviderId = str("www.amazon.com") })
	want(t, webIdentity, err, 400, "ValidationError", "ProviderId is not supported.")
	_, err = c.take(role, good, func(in *sts.AssumeRoleWithWebIdentityInput) { in.Policy = str("{}") })
	want(t, webIdentity, err, 400, "MalformedPolicyDocument", "Syntax errors in policy.")
	_, err = c.take(role, good, func(in *sts.AssumeRoleWithWebIdentityInput) { in.DurationSeconds = num(7200) })
	want(t, webIdentity, err, 400, "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	_, err = c.take(role, good, func(in *sts.AssumeRoleWithWebIdentityInput) {
		in.PolicyArns = nil
		in.Policy = str(servertest.Allow("*", "secretsmanager:*"))
		in.PolicyArns = append(in.PolicyArns, policyARNs(t, 9, 230)...)
	})
	if err == nil || !strings.Contains(err.Error(), "PackedPolicyTooLarge: Packed policy consumes ") {
		t.Errorf("%v", err)
	} else {
		errs.Note(t, webIdentity, "PackedPolicyTooLarge", "Packed policy consumes 110% of allotted space, please use smaller policy.")
	}

	// An issuer that does not answer is told apart from one that has no key.
	c.watch.add(11 * time.Minute)
	c.issuer.Down.Store(true)
	_, err = c.take(role, c.issuer.Sign(t, "key-3", c.issuer.Claims(c.watch.now(), nil)))
	want(t, webIdentity, err, 400, "IDPCommunicationError", "The identity provider could not be reached")

	// Whatever is in an Authorization header is not looked at.
	a := c.Send(t, servertest.Raw{Service: "sts", Key: server.Credentials{AccessKeyID: "AKIAAAAAAAAAAAAAAAAA", SecretAccessKey: "x"}, At: c.watch.now(),
		Form: url.Values{"Action": {webIdentity}, "Version": {"2011-06-15"}, "RoleArn": {role}, "RoleSessionName": {"pod-1"}, "WebIdentityToken": {c.issuer.Token(t, c.watch.now(), nil)}}})
	if a.Status != http.StatusOK {
		t.Errorf("with a signature of nobody: %d %s", a.Status, a.Body)
	}
	if log := c.Log.String(); strings.Contains(log, parts[1]) || strings.Contains(log, parts[2]) {
		t.Error("a token is in the log")
	}
}

// Keys that were pasted are the provider's, and nobody is asked.
func TestPastedKeys(t *testing.T) {
	c := newCluster(t)
	role := c.Role(t, c.Admin, "cart", c.trust(c.is(cart)), "")
	c.issuer.Down.Store(true)
	set := func(provider, jwks string) int {
		return c.Operator(t, http.MethodPost, "/v1/oidc/keys", map[string]string{"provider": provider, "jwks": jwks}).Status
	}
	if status := set(c.provider, string(c.issuer.JWKS())); status != http.StatusOK {
		t.Fatalf("answered %d", status)
	}
	_, err := c.take(role, c.issuer.Token(t, c.watch.now(), nil))
	ok(t, err)
	stranger := servertest.NewIssuer(t)
	_, err = c.take(role, stranger.Sign(t, "key-1", c.issuer.Claims(c.watch.now(), nil)))
	want(t, webIdentity, err, 400, "InvalidIdentityToken", "The signature of the ID Token is not valid")
	if asked := c.issuer.Asked.Load(); asked != 0 {
		t.Errorf("%d requests to the issuer", asked)
	}
	for name, x := range map[string][2]string{
		"no keys":           {c.provider, `{"keys":[]}`},
		"no document":       {c.provider, `<html>`},
		"another's ARN":     {"arn:aws:iam::" + abroad + ":oidc-provider/" + c.issuer.Host, string(c.issuer.JWKS())},
		"no provider's ARN": {role, string(c.issuer.JWKS())},
		"no ARN":            {"x", string(c.issuer.JWKS())},
	} {
		if status := set(x[0], x[1]); status < 400 || status >= 500 {
			t.Errorf("%s: answered %d", name, status)
		}
	}
	// Forgotten, the issuer is asked again.
	if status := set(c.provider, ""); status != http.StatusOK {
		t.Errorf("answered %d", status)
	}
	c.issuer.Down.Store(false)
	_, err = c.take(role, c.issuer.Token(t, c.watch.now(), nil))
	ok(t, err)
	if asked := c.issuer.Asked.Load(); asked != 2 {
		t.Errorf("%d requests to the issuer", asked)
	}
}
