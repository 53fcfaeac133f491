package randomops

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// principal is a caller. Account admins may do everything; the clerk has rights
// that depend on names, tags and keys.
type principal struct {
	name, account, user string
	rights              []statement // nil: everything
}

func (p principal) arn() string { return fmt.Sprintf("arn:aws:iam::%s:user/%s", p.account, p.user) }

const (
	admin = iota
	clerk
	outsider
)

var principals = []principal{
	{name: "admin", account: accountA, user: "admin"},
	{name: "clerk", account: accountA, user: "clerk", rights: []statement{
		{effect: "Allow", prefix: "app/", actions: []string{"CreateSecret", "GetSecretValue", "DescribeSecret", "ListSecretVersionIds",
			"PutSecretValue", "GetResourcePolicy", "TagResource", "UntagResource"}},
		{effect: "Allow", actions: []string{"ListSecrets", "BatchGetSecretValue", "GetRandomPassword"}},
		{effect: "Allow", blue: true, actions: []string{"UpdateSecret", "UpdateSecretVersionStage", "DeleteSecret", "RestoreSecret"}},
		{effect: "Deny", prefix: "app/web", actions: []string{"GetSecretValue"}},
		{effect: "Allow", key: &allKeys[0], actions: []string{"GenerateDataKey"}},
	}},
	{name: "outsider", account: accountB, user: "admin"},
}

// statement is what this test needs of a policy: in a user's rights it says which
// secrets or which key it is about, in a resource policy to whom it speaks.
type statement struct {
	effect  string
	to      []string // principals as a resource policy names them
	actions []string // "*" for all
	prefix  string   // of the names of the secrets
	blue    bool     // only secrets with the tag team=blue
	key     *key
}

// document renders rights as a policy.
func document(list []statement) string {
	var out []object
	for _, s := range list {
		service, resource := "secretsmanager:", "*"
		if s.prefix != "" {
			resource = "arn:aws:secretsmanager:*:*:secret:" + s.prefix + "*"
		}
		if s.key != nil {
			service, resource = "kms:", s.key.arn()
		}
		var actions []string
		for _, a := range s.actions {
			actions = append(actions, service+a)
		}
		e := object{"Effect": s.effect, "Action": actions, "Resource": resource}
		if len(s.to) > 0 {
			e["Principal"] = object{"AWS": s.to}
		}
		if s.blue {
			e["Condition"] = object{"StringEquals": object{"aws:ResourceTag/team": "blue"}}
		}
		out = append(out, e)
	}
	b, err := json.Marshal(object{"Version": "2012-10-17", "Statement": out})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func (s statement) names(action string) bool {
	return slices.Contains(s.actions, action) || slices.Contains(s.actions, "*")
}

// right says whether any of the identity's statements of an effect is about this.
func (p principal) right(effect, action string, at place) bool {
	if p.rights == nil {
		return effect == "Allow"
	}
	return slices.ContainsFunc(p.rights, func(s statement) bool {
		blue := at.secret != nil && slices.Contains(at.secret.tags, tag{"team", "blue"})
		return s.effect == effect && s.key == nil && s.names(action) && strings.HasPrefix(at.name, s.prefix) && (!s.blue || blue)
	})
}

// speaksTo says whether a resource policy's statement is about p. An account named
// in an Allow passes the decision on to that account's own policies (so it adds
// nothing for a user of the secret's account); in a Deny it means everybody there.
func (s statement) speaksTo(p principal, sameAccount bool) bool {
	for _, to := range s.to {
		switch to {
		case "*", p.arn():
			return true
		case "arn:aws:iam::" + p.account + ":root":
			if s.effect == "Deny" || !sameAccount {
				return true
			}
		}
	}
	return false
}

// authorize decides a call on a place (1.6): shown is the SecretId as it was
// written, "" for operations without a secret. The empty answer means yes.
func (m *model) authorize(who int, action, shown string, at place) answer {
	var rules *resourcePolicy
	if at.secret != nil {
		rules = at.secret.policy
	}
	return m.decide(who, action, shown, at, rules)
}

func (m *model) decide(who int, action, shown string, at place, rules *resourcePolicy) answer {
	p := principals[who]
	on := ""
	if shown != "" {
		on = " on resource: " + shown
	}
	denied := func(reason string) answer {
		return fail("AccessDeniedException", "User: %s is not authorized to perform: secretsmanager:%s%s %s", p.arn(), action, on, reason)
	}
	same := at.account == p.account
	resource := func(effect string) bool {
		return rules != nil && slices.ContainsFunc(rules.statements, func(s statement) bool {
			return s.effect == effect && s.names(action) && s.speaksTo(p, same)
		})
	}
	identity := p.right("Allow", action, at)
	switch {
	// The order in which denials are named: iam-policy-evaluation.md 6.
	case resource("Deny"):
		return denied("with an explicit deny in a resource-based policy")
	case p.right("Deny", action, at):
		return denied("with an explicit deny in an identity-based policy")
	case same && (identity || resource("Allow")):
		return answer{}
	case same:
		return denied("because no identity-based policy allows the secretsmanager:" + action + " action")
	case !resource("Allow"):
		return denied("because no resource-based policy allows the secretsmanager:" + action + " action")
	case !identity:
		return denied("because no identity-based policy allows the secretsmanager:" + action + " action")
	}
	return answer{}
}

var (
	errKMS       = fail("AccessDeniedException", "Access to KMS is not allowed")
	errKey       = fail("InvalidParameterException", "The operation failed because of an invalid KMS key: Invalid keyId")
	errEncrypt   = fail("EncryptionFailure", anything)
	errDecrypt   = fail("DecryptionFailure", anything)
	errForeign   = fail("InvalidRequestException", "You can't access a secret from a different AWS account if you encrypt the secret with the default KMS service key.")
	defaultAlias = "alias/aws/secretsmanager"
)

// resolveKey finds the key that a KmsKeyId means in an account and region (kms.md
// 2); nil without an error is the default key. The account is the secret's: the
// text is kept, and has to mean the same whoever writes next (not specified).
func (m *model) resolveKey(account, region, id string) (*key, answer) {
	for _, k := range m.keys {
		if k.region != region {
			continue
		}
		switch id {
		case k.id, k.alias:
			if id != "" && k.account == account {
				return k, answer{}
			}
		case k.arn(), fmt.Sprintf("arn:aws:kms:%s:%s:%s", region, k.account, k.alias):
			return k, answer{}
		}
	}
	if byDefault(id) {
		return nil, answer{}
	}
	return nil, errKey
}

// mayUse decides a KMS action on a key (kms.md 8.2). The default key admits the
// secret's own account only (13.4).
func (m *model) mayUse(who int, action string, k *key, owner string) bool {
	p := principals[who]
	if k == nil {
		return p.account == owner
	}
	if p.account != k.account {
		return k.admits && p.rights == nil
	}
	return p.rights == nil || slices.ContainsFunc(p.rights, func(s statement) bool {
		return s.key != nil && s.key.id == k.id && s.names(action)
	})
}

// foreign refuses other accounts where the default key is involved (7.5).
func foreign(who int, s *secret, defaultKey bool) answer {
	if defaultKey && principals[who].account != s.account {
		return errForeign
	}
	return answer{}
}

// byDefault says whether a KmsKeyId means the default key.
func byDefault(id string) bool { return id == "" || id == defaultAlias }

// seal is what a new value needs of its key (13.2, 13.5).
func (m *model) seal(who int, s *secret, k *key) answer {
	switch {
	case !m.mayUse(who, "GenerateDataKey", k, s.account):
		return errKMS
	case k != nil && k.disabled:
		return errEncrypt
	}
	return answer{}
}

// open is what reading a value needs of its key (13.2, 13.5).
func (m *model) open(who int, s *secret, v *version) answer {
	switch {
	case !m.mayUse(who, "Decrypt", v.key, s.account):
		return errKMS
	case v.key != nil && v.key.disabled:
		return errDecrypt
	}
	return answer{}
}

// validateKey is done when a key is set or changed: GenerateDataKey and Decrypt
// (13.2).
func (m *model) validateKey(o op, s *secret, id string) (*key, answer) {
	k, a := m.resolveKey(s.account, s.region, id)
	if a.code != "" {
		return k, a
	}
	if a := m.seal(o.who, s, k); a.code != "" {
		return k, a
	}
	if !m.mayUse(o.who, "Decrypt", k, s.account) {
		return k, errKMS
	}
	return k, answer{}
}

// kms performs the operations on keys that the test draws: only the admins make
// them, mostly on keys of their own (kms.md 4, 8.1).
func (m *model) kms(o op) answer {
	k := m.keys[o.text("KeyId")]
	if k.account != principals[o.who].account || k.region != o.region {
		return fail("NotFoundException", "Key 'arn:aws:kms:%s:%s:key/%s' does not exist", o.region, principals[o.who].account, k.id)
	}
	switch o.name {
	case "DisableKey":
		k.disabled = true
	case "EnableKey":
		k.disabled = false
	case "PutKeyPolicy":
		k.admits = strings.Contains(o.text("Policy"), accountB)
	}
	return ok(object{})
}

// keyPolicy is the default policy of a key, or one that admits the other account.
func keyPolicy(admits bool) string {
	to := []string{"arn:aws:iam::" + accountA + ":root"}
	if admits {
		to = append(to, "arn:aws:iam::"+accountB+":root")
	}
	return encode(object{"Version": "2012-10-17", "Statement": []object{
		{"Effect": "Allow", "Principal": object{"AWS": to}, "Action": "kms:*", "Resource": "*"}}})
}
