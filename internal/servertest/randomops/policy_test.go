package randomops

import (
	"encoding/json"
	"strings"
)

// resourcePolicy is one of those the generator attaches.
type resourcePolicy struct {
	text       string
	statements []statement
	broad      bool   // 7.3
	wrong      string // the message of the MalformedPolicyDocumentException (7.2)
}

func policyOf(broad bool, list ...statement) *resourcePolicy {
	return &resourcePolicy{text: document(list), statements: list, broad: broad}
}

func wrongPolicy(message, text string) *resourcePolicy {
	return &resourcePolicy{text: text, wrong: message}
}

var rootB = "arn:aws:iam::" + accountB + ":root"

// resourcePolicies are the policies that the generator draws from.
var resourcePolicies = []*resourcePolicy{
	// The other account may do everything, which its own admin must allow too.
	policyOf(false, statement{effect: "Allow", to: []string{rootB}, actions: []string{"*"}}),
	policyOf(false, statement{effect: "Deny", to: []string{principals[clerk].arn()}, actions: []string{"GetSecretValue", "PutSecretValue"}},
		statement{effect: "Allow", to: []string{rootB}, actions: []string{"*"}}),
	policyOf(true, statement{effect: "Allow", to: []string{"*"}, actions: []string{"GetSecretValue", "DescribeSecret"}}),
	policyOf(false, statement{effect: "Deny", to: []string{"*"}, actions: []string{"DeleteSecret", "UpdateSecretVersionStage"}},
		statement{effect: "Allow", to: []string{rootB}, actions: []string{"GetSecretValue", "UpdateSecret", "PutSecretValue", "TagResource"}}),
	policyOf(false, statement{effect: "Allow", to: []string{principals[clerk].arn()}, actions: []string{"RestoreSecret", "DeleteSecret", "ReplicateSecretToRegions",
		"RemoveRegionsFromReplication", "UpdateSecret", "GetSecretValue"}}),
	// Nobody could take this one back.
	policyOf(false, statement{effect: "Deny", to: []string{"*"}, actions: []string{"*"}}),
	wrongPolicy("This resource policy contains a syntax error.", `{"Version":"2012-10-17","Statement":[`),
	wrongPolicy("This policy has invalid syntax.", `{"Version":"2020-01-01","Statement":[{"Effect":"Allow","Principal":{"AWS":"`+accountA+`"},"Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`),
	wrongPolicy("This resource policy contains an unsupported principal.", document([]statement{{effect: "Allow", to: []string{"arn:aws:iam::" + accountA + ":user/nobody"}, actions: []string{"GetSecretValue"}}})),
	wrongPolicy("This resource policy contains an unsupported service principal.", strings.ReplaceAll(document([]statement{{effect: "Allow", to: []string{"nothing.example.com"}, actions: []string{"GetSecretValue"}}}), `"AWS"`, `"Service"`)),
}

func policyByText(text string) *resourcePolicy {
	for _, p := range resourcePolicies {
		if p.text == text {
			return p
		}
	}
	panic("the generator made up a policy")
}

// putPolicy is PutResourcePolicy (7.2).
func (m *model) putPolicy(o op) answer {
	s, a := m.enter(o, false, false)
	if a.code != "" {
		return a
	}
	p := policyByText(o.text("ResourcePolicy"))
	switch {
	case p.wrong != "":
		return fail("MalformedPolicyDocumentException", "%s", p.wrong)
	case p.broad && o.flag("BlockPublicPolicy"):
		return fail("PublicPolicyException", "You can't attach a resource-based policy that allows broad access to the secret.")
	case m.decide(o.who, "PutResourcePolicy", "", m.placeOf(s), p).code != "":
		return fail("InvalidParameterException", "Your requested changes will not allow you to manage this secret in the future.")
	}
	s.policy = p
	m.touch(s) // "modified in any way" (11), though its list does not name policies
	return ok(named(s))
}

func (m *model) placeOf(s *secret) place {
	return place{account: s.account, region: s.region, name: s.name, secret: s}
}

// getPolicy is GetResourcePolicy; the policy is compared as JSON (7.1).
func (m *model) getPolicy(o op) answer {
	s, a := m.enter(o, false, true)
	if a.code != "" {
		return a
	}
	b := named(s)
	if s.policy != nil {
		b["ResourcePolicy"] = s.policy.text
	}
	return ok(b)
}

// deletePolicy is DeleteResourcePolicy, also when there was none (7.1).
func (m *model) deletePolicy(o op) answer {
	s, a := m.enter(o, false, false)
	if a.code != "" {
		return a
	}
	if s.policy != nil {
		s.policy = nil
		m.touch(s)
	}
	return ok(named(s))
}

// sameJSON compares two policy texts as JSON.
func sameJSON(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	return equal(x, y)
}
