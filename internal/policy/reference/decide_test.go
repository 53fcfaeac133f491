package reference_test

import (
	"testing"

	"github.com/strongroom/strongroom/internal/policy/reference"
)

// layered is one situation of §7 to §8: who calls, whom the resource policy
// grants, and which other policies there are. A policy is one statement; ""
// means there is none.
type layered struct {
	name                        string
	caller                      reference.Principal
	grant                       string
	identity, boundary, session string
	want                        string
}

func (c layered) vector(action, resource string) reference.Vector {
	v := reference.Vector{
		Resource: onePolicy(c.grant), Boundary: onePolicy(c.boundary),
		Request: reference.Request{Principal: c.caller, Action: action, Resource: resource},
	}
	if c.identity != "" {
		v.Identity = policies(c.identity)
	}
	if c.session != "" {
		v.Session = policies(c.session)
	}
	return v
}

const (
	yes  = reference.Allow
	no   = reference.ImplicitDeny
	deny = reference.ExplicitDeny
)

// TestSameAccount is the table of §7 step 3, with steps 1, 4 and 5 around it.
func TestSameAccount(t *testing.T) {
	for _, c := range []layered{
		{"nothing", user(), "", "", "", "", no},
		{"identity allows", user(), "", allowAll, "", "", yes},
		{"identity and boundary allow", user(), "", allowAll, allowAll, "", yes},
		{"boundary does not allow", user(), "", allowAll, allowElse, "", no},
		{"boundary does not grant", user(), "", "", allowAll, "", no},
		{"role with session policy", session(), "", allowAll, "", allowAll, yes},
		{"session policy does not allow", session(), "", allowAll, "", allowElse, no},
		{"session policy does not grant", session(), "", "", "", allowAll, no},

		{"user ARN alone", user(), grantTo(userARN), "", "", "", yes},
		{"user ARN, boundary does not limit", user(), grantTo(userARN), "", allowElse, "", yes},
		{"user star, boundary does not limit", user(), grantTo(`"*"`), "", allowElse, "", yes},
		{"other user ARN", user(), grantTo("arn:aws:iam::111122223333:user/bob"), "", "", "", no},
		{"own account delegates only", user(), grantTo(rootARN), "", "", "", no},
		{"own account and identity", user(), grantTo(home), allowAll, "", "", yes},
		{"own account, boundary limits", user(), grantTo(home), allowAll, allowElse, "", no},

		{"session ARN unlimited", session(), grantTo(sessARN), "", allowElse, allowElse, yes},
		{"session star unlimited", session(), grantTo(`{"AWS":"*"}`), "", allowElse, allowElse, yes},
		{"role ARN alone", session(), grantTo(roleARN), "", "", "", yes},
		{"role ARN within boundary and session", session(), grantTo(roleARN), "", allowAll, allowAll, yes},
		{"role ARN, boundary limits", session(), grantTo(roleARN), "", allowElse, allowAll, no},
		{"role ARN, session policy limits", session(), grantTo(roleARN), "", allowAll, allowElse, no},
		{"role account without identity", session(), grantTo(home), "", allowAll, allowAll, no},
		{"role account with identity", session(), grantTo(home), allowAll, allowAll, allowAll, yes},
		{"role account, session policy limits", session(), grantTo(home), allowAll, allowAll, allowElse, no},

		{"federated ARN unlimited", federated(), grantTo(fedARN), "", allowElse, "", yes},
		{"federated star unlimited", federated(), grantTo(`"*"`), "", allowElse, allowElse, yes},
		{"federated by user ARN", federated(), grantTo(userARN), "", "", allowAll, yes},
		{"federated by user ARN, none passed", federated(), grantTo(userARN), "", "", "", no},
		{"federated by user ARN, boundary limits", federated(), grantTo(userARN), "", allowElse, allowAll, no},
		{"federated by user ARN, session policy limits", federated(), grantTo(userARN), "", "", allowElse, no},
		{"federated by account without identity", federated(), grantTo(home), "", "", allowAll, no},
		{"federated with identity and session", federated(), "", allowAll, "", allowAll, yes},
		{"federated with identity, none passed", federated(), "", allowAll, "", "", no},

		{"root needs nothing", root(), "", "", "", "", yes},
		{"root by account", root(), grantTo(home), "", "", "", yes},
		{"root denied by identity", root(), "", denyAll, "", "", deny},
		{"root denied by the resource policy", root(), denyTo(home), "", "", "", deny},

		{"service by name", service(), grantTo(`{"Service":["x","delivery.example.amazonaws.com"]}`), "", "", "", yes},
		{"service by star", service(), grantTo(`"*"`), "", "", "", yes},
		{"other service", service(), grantTo(`{"Service":"x.amazonaws.com"}`), "", "", "", no},
		{"service name under AWS", service(), grantTo("delivery.example.amazonaws.com"), "", "", "", no},
		{"service by account", service(), grantTo(home), "", "", "", no},
		{"service without grant", service(), "", "", "", "", no},
		{"anonymous by star", anonymous(), grantTo(`"*"`), "", "", "", yes},
		{"anonymous by account", anonymous(), grantTo(home), "", "", "", no},
		{"anonymous without grant", anonymous(), "", "", "", "", no},

		{"identity denies", user(), grantTo(userARN), denyAll, "", "", deny},
		{"boundary denies", user(), grantTo(userARN), allowAll, denyAll, "", deny},
		{"session policy denies", session(), grantTo(sessARN), allowAll, "", denyAll, deny},
		{"resource policy denies", user(), denyTo(userARN), allowAll, "", "", deny},
		{"deny of another does not count", user(), denyTo(roleARN), allowAll, "", "", yes},
	} {
		t.Run(c.name, func(t *testing.T) {
			mustDecide(t, c.vector(getSecret, aSec), c.want)
		})
	}
}

// TestUnions checks that several identity or session policies are a union, and
// that a Deny in any of them still wins (§7 steps 1 and 4).
func TestUnions(t *testing.T) {
	v := reference.Vector{Request: reference.Request{Principal: session(), Action: getSecret, Resource: aSec}}
	v.Identity, v.Session = policies(allowElse, allowAll), policies(allowElse, allowAll)
	mustDecide(t, v, yes)
	v.Session = policies(allowElse, allowElse)
	mustDecide(t, v, no)
	v.Session = policies(allowAll, denyAll)
	mustDecide(t, v, deny)
	v.Session = nil
	v.Identity = policies(denyAll, allowAll)
	mustDecide(t, v, deny)
}

// TestMandatoryResourcePolicy is §7.1, on a KMS key and on a trust policy.
func TestMandatoryResourcePolicy(t *testing.T) {
	for _, c := range []layered{
		{"user alone", user(), userARN, "", "", "", yes},
		{"user, boundary does not limit", user(), userARN, "", allowElse, "", yes},
		{"star alone", user(), `"*"`, "", allowElse, "", yes},
		{"session alone", session(), sessARN, "", allowElse, allowElse, yes},
		{"role alone", session(), roleARN, "", "", "", yes},
		{"role, boundary limits", session(), roleARN, allowAll, allowElse, "", no},
		{"role, session policy limits", session(), roleARN, allowAll, "", allowElse, no},
		{"account without identity", user(), rootARN, "", "", "", no},
		{"account and identity", user(), home, allowAll, "", "", yes},
		{"account, identity denies", user(), home, denyAll, "", "", deny},
		{"account, boundary limits", user(), home, allowAll, allowElse, "", no},
		{"account, session policy limits", session(), home, allowAll, "", allowElse, no},
		{"role and identity, account missing", session(), "arn:aws:iam::111122223333:role/other", allowAll, "", "", no},
		{"somebody else", user(), "arn:aws:iam::111122223333:user/bob", allowAll, "", "", no},
		{"nothing", user(), "", allowAll, "", "", no},
		{"nothing, identity denies", user(), "", denyAll, "", "", deny},
		{"root, nothing", root(), "", "", "", "", no},
		{"root, somebody else", root(), userARN, allowAll, "", "", no},
		{"root by account", root(), home, "", "", "", yes},
		{"root by star", root(), `"*"`, "", "", "", yes},
		{"federated by account", federated(), home, allowAll, "", allowAll, yes},
		{"federated by user ARN, none passed", federated(), userARN, allowAll, "", "", no},
		{"service by name", service(), `{"Service":"delivery.example.amazonaws.com"}`, "", "", "", yes},
	} {
		named := c.grant
		t.Run("key/"+c.name, func(t *testing.T) {
			if c.grant != "" {
				c.grant = grantTo(named)
			}
			mustDecide(t, c.vector("kms:Decrypt", aKey), c.want)
		})
		t.Run("trust/"+c.name, func(t *testing.T) {
			if c.grant != "" {
				c.grant = grantTrust(named)
			}
			mustDecide(t, c.vector("sts:AssumeRole", aRole), c.want)
		})
	}
	t.Run("alias is not a key", func(t *testing.T) {
		v := layered{caller: user(), identity: allowAll}.vector("kms:CreateAlias", "arn:aws:kms:us-east-1:111122223333:alias/a")
		mustDecide(t, v, yes)
	})
	t.Run("other sts action is not mandatory", func(t *testing.T) {
		v := layered{caller: user(), identity: allowAll}.vector("sts:TagSession", aRole)
		mustDecide(t, v, yes)
	})
}

// TestCrossAccount is §8.
func TestCrossAccount(t *testing.T) {
	for _, c := range []layered{
		{"neither", user(), "", "", "", "", no},
		{"caller side only", user(), "", allowAll, "", "", no},
		{"owner side only, user ARN", user(), grantTo(userARN), "", "", "", no},
		{"owner side only, star", user(), grantTo(`"*"`), "", "", "", no},
		{"owner side only, session ARN", session(), grantTo(sessARN), "", "", "", no},
		{"user ARN", user(), grantTo(userARN), allowAll, "", "", yes},
		{"account", user(), grantTo(home), allowAll, "", "", yes},
		{"star", user(), grantTo(`"*"`), allowAll, "", "", yes},
		{"role", session(), grantTo(roleARN), allowAll, "", "", yes},
		{"owner's own account", user(), grantTo(away), allowAll, "", "", no},
		{"boundary limits a direct grant", session(), grantTo(sessARN), allowAll, allowElse, "", no},
		{"session policy limits a direct grant", session(), grantTo(sessARN), allowAll, "", allowElse, no},
		{"all sides", session(), grantTo(sessARN), allowAll, allowAll, allowAll, yes},
		{"federated, none passed", federated(), grantTo(fedARN), allowAll, "", "", no},
		{"federated", federated(), grantTo(fedARN), allowAll, "", allowAll, yes},
		{"root without grant", root(), "", "", "", "", no},
		{"root by account", root(), grantTo(home), "", "", "", yes},
		{"caller side denies", user(), grantTo(userARN), denyAll, "", "", deny},
		{"owner side denies", user(), denyTo(home), allowAll, "", "", deny},
		{"service has no account", service(), grantTo(`{"Service":"delivery.example.amazonaws.com"}`), "", "", "", yes},
		{"anonymous has no account", anonymous(), grantTo(`"*"`), "", "", "", yes},
	} {
		t.Run(c.name, func(t *testing.T) {
			mustDecide(t, c.vector(getSecret, xSec), c.want)
		})
	}
	t.Run("resourceAccount beats the ARN", func(t *testing.T) {
		v := layered{caller: user(), identity: allowAll}.vector(getSecret, aSec)
		v.Request.ResourceAccount = away
		mustDecide(t, v, no)
		v = layered{caller: user(), identity: allowAll}.vector(getSecret, xSec)
		v.Request.ResourceAccount = home
		mustDecide(t, v, yes)
	})
	t.Run("no account in the ARN is the caller's", func(t *testing.T) {
		mustDecide(t, layered{caller: user(), identity: allowAll}.vector("s3:GetObject", "arn:aws:s3:::bucket/key"), yes)
	})
}

// TestKeyPolicyWithoutResource is kms.md 8.1: accepted, and never matches.
func TestKeyPolicyWithoutResource(t *testing.T) {
	allow := `{"Effect":"Allow","Principal":"*","Action":"*"}`
	deny := `{"Effect":"Deny","Principal":"*","Action":"*"}`
	mustDecide(t, layered{caller: user(), grant: allow, identity: allowAll}.vector("kms:Decrypt", aKey), no)
	mustDecide(t, layered{caller: user(), grant: grantTo(home) + "," + deny, identity: allowAll}.vector("kms:Decrypt", aKey), yes)
}

// TestControlPolicies is §7 step 2, beyond §12.
func TestControlPolicies(t *testing.T) {
	for _, c := range []struct {
		name, scp string
		base      layered
		want      string
	}{
		{"allows", allowAll, layered{caller: user(), identity: allowAll}, yes},
		{"does not grant", allowAll, layered{caller: user()}, no},
		{"limits identity", allowElse, layered{caller: user(), identity: allowAll}, no},
		{"limits a direct grant", allowElse, layered{caller: user(), grant: grantTo(userARN)}, no},
		{"limits root", allowElse, layered{caller: root()}, no},
		{"denies", denyAll, layered{caller: root()}, deny},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := c.base.vector(getSecret, aSec)
			v.SCP = policies(c.scp)
			mustDecide(t, v, c.want)
		})
	}
}

// TestEndpointPolicy covers the other layer beyond §12.
func TestEndpointPolicy(t *testing.T) {
	for _, c := range []struct {
		name, endpoint string
		base           layered
		want           string
	}{
		{"absent", "", layered{caller: user(), identity: allowAll}, yes},
		{"allows", grantTo(`"*"`), layered{caller: user(), identity: allowAll}, yes},
		{"allows by role", grantTo(roleARN), layered{caller: session(), identity: allowAll}, yes},
		{"does not grant", grantTo(`"*"`), layered{caller: user()}, no},
		{"allows somebody else", grantTo(away), layered{caller: user(), identity: allowAll}, no},
		{"limits a direct grant", grantTo(away), layered{caller: user(), grant: grantTo(userARN)}, no},
		{"limits root", grantTo(away), layered{caller: root()}, no},
		{"denies", grantTo(`"*"`) + "," + denyTo(home), layered{caller: user(), identity: allowAll}, deny},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := c.base.vector(getSecret, aSec)
			v.Endpoint = onePolicy(c.endpoint)
			mustDecide(t, v, c.want)
		})
	}
}
