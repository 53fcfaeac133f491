package randomiam

import (
	"slices"
	"strings"
)

// operations are those that only one kind of thing has.
var operations = map[string]func(*model, *account, op) answer{
	"CreatePolicy":            (*model).createPolicy,
	"GetPolicy":               (*model).getPolicy,
	"DeletePolicy":            (*model).deletePolicy,
	"ListPolicies":            (*model).listPolicies,
	"ListEntitiesForPolicy":   (*model).listEntities,
	"CreatePolicyVersion":     (*model).createVersion,
	"GetPolicyVersion":        (*model).getVersion,
	"ListPolicyVersions":      (*model).listVersions,
	"SetDefaultPolicyVersion": (*model).setDefault,
	"DeletePolicyVersion":     (*model).deleteVersion,
	"TagPolicy":               (*model).tagPolicy,
	"UntagPolicy":             (*model).untagPolicy,
	"ListPolicyTags":          (*model).listPolicyTags,

	"UpdateRoleDescription":  (*model).describeRole,
	"UpdateAssumeRolePolicy": (*model).updateTrust,

	"CreateAccessKey":      (*model).createKey,
	"UpdateAccessKey":      (*model).updateKey,
	"DeleteAccessKey":      (*model).deleteKey,
	"ListAccessKeys":       (*model).listKeys,
	"GetAccessKeyLastUsed": (*model).keyLastUsed,

	"CreateLoginProfile": (*model).createLogin,
	"GetLoginProfile":    (*model).getLogin,
	"DeleteLoginProfile": (*model).deleteLogin,

	"UpdateAccountPasswordPolicy":             (*model).putPasswords,
	"GetAccountPasswordPolicy":                (*model).getPasswords,
	"DeleteAccountPasswordPolicy":             (*model).deletePasswords,
	"GetAccountAuthorizationDetails":          func(*model, *account, op) answer { return answer{alike: true} },
	"SimulatePrincipalPolicy":                 (*model).simulate,
	"CreateOpenIDConnectProvider":             (*model).createProvider,
	"GetOpenIDConnectProvider":                (*model).getProvider,
	"ListOpenIDConnectProviders":              (*model).listProviders,
	"DeleteOpenIDConnectProvider":             (*model).deleteProvider,
	"AddClientIDToOpenIDConnectProvider":      (*model).addClient,
	"RemoveClientIDFromOpenIDConnectProvider": (*model).removeClient,
	"UpdateOpenIDConnectProviderThumbprint":   (*model).setThumbprints,

	"AssumeRole":        (*model).assume,
	"GetCallerIdentity": (*model).identity,
}

// identity is GetCallerIdentity (4).
func (m *model) identity(_ *account, o op) answer {
	c := m.caller(o.as)
	if a := c.refused("InvalidClientTokenId", "ExpiredToken"); a.code != "" {
		return a
	}
	return ok(object{"UserId": c.userID, "Account": c.of.account, "Arn": c.arn})
}

func (m *model) describeRole(a *account, o op) answer {
	r := a.find(role, o.text("RoleName"))
	if r == nil {
		return missing(role, o.text("RoleName"))
	}
	r.description = o.text("Description")
	return ok(object{"Role": m.show(r, true)})
}

func (m *model) updateTrust(a *account, o op) answer {
	r := a.find(role, o.text("RoleName"))
	if r == nil {
		return missing(role, o.text("RoleName"))
	}
	text, wrong := m.bindTrust(o.text("PolicyDocument"))
	if wrong.code != "" {
		return wrong
	}
	r.trust = text
	return done
}

// userOf finds the user that an operation names.
func userOf(a *account, o op) (*entity, answer) {
	u := a.find(user, o.text("UserName"))
	if u == nil {
		return nil, missing(user, o.text("UserName"))
	}
	return u, answer{}
}

func (k *key) status() string {
	if k.active {
		return "Active"
	}
	return "Inactive"
}

func (m *model) createKey(a *account, o op) answer {
	u, wrong := userOf(a, o)
	if wrong.code != "" {
		return wrong
	}
	if len(u.keys) >= m.limits.keys {
		return fail("LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: %d", m.limits.keys)
	}
	k := &key{id: m.id("AKIA"), active: true, created: m.clock.t}
	u.keys = append(u.keys, k)
	return ok(object{"AccessKey": object{"UserName": u.name, "AccessKeyId": k.id, "Status": "Active", "SecretAccessKey": anything, "CreateDate": k.created}})
}

// keyOf finds a key, which must be the user's.
func keyOf(a *account, o op) (u *entity, k *key, wrong answer) {
	if u, wrong = userOf(a, o); wrong.code != "" {
		return u, nil, wrong
	}
	for _, k := range u.keys {
		if k.id == o.text("AccessKeyId") {
			return u, k, answer{}
		}
	}
	return u, nil, fail("NoSuchEntity", "The Access Key with id %s cannot be found.", o.text("AccessKeyId"))
}

func (m *model) updateKey(a *account, o op) answer {
	_, k, wrong := keyOf(a, o)
	if wrong.code == "" {
		k.active = o.text("Status") == "Active"
		return done
	}
	return wrong
}

func (m *model) deleteKey(a *account, o op) answer {
	u, k, wrong := keyOf(a, o)
	if wrong.code != "" {
		return wrong
	}
	u.keys = slices.DeleteFunc(u.keys, func(x *key) bool { return x == k })
	return done
}

// listKeys: of the order only that there is one is known.
func (m *model) listKeys(a *account, o op) answer {
	u, wrong := userOf(a, o)
	if wrong.code != "" {
		return wrong
	}
	list := []object{}
	for _, k := range u.keys {
		list = append(list, object{"UserName": u.name, "AccessKeyId": k.id, "Status": k.status(), "CreateDate": k.created})
	}
	return ok(object{"AccessKeyMetadata": list})
}

// keyLastUsed: an unknown key is denied (3.1); when a known one was used is behind
// by a quarter of an hour.
func (m *model) keyLastUsed(a *account, o op) answer {
	for _, u := range a.all(user, "/") {
		for _, k := range u.keys {
			if k.id == o.text("AccessKeyId") {
				return ok(object{"UserName": u.name, "AccessKeyLastUsed": anything})
			}
		}
	}
	return fail("AccessDenied", "User: arn:aws:iam::%s:user/admin is not authorized to perform iam:GetAccessKeyLastUsed on resource: access key %s", a.id, o.text("AccessKeyId"))
}

func (m *model) createLogin(a *account, o op) answer {
	u, wrong := userOf(a, o)
	switch {
	case wrong.code != "":
		return wrong
	case u.login != nil:
		return fail("EntityAlreadyExists", "Login Profile for user %s already exists.", u.name)
	case !m.passes(a, o.text("Password")):
		return fail("PasswordPolicyViolation", anything)
	}
	u.login = object{"CreateDate": m.clock.t, "PasswordResetRequired": o.in["PasswordResetRequired"] == true}
	return ok(object{"LoginProfile": u.showLogin()})
}

// passes says whether the account's password policy takes a password of letters of
// both cases, digits and no symbols.
func (m *model) passes(a *account, password string) bool {
	if a.passwords == nil {
		return len(password) >= 8
	}
	return len(password) >= a.passwords["MinimumPasswordLength"].(int) && a.passwords["RequireSymbols"] == false
}

func (u *entity) showLogin() object {
	return object{"UserName": u.name, "CreateDate": u.login["CreateDate"], "PasswordResetRequired": u.login["PasswordResetRequired"]}
}

func loginOf(a *account, o op) (*entity, answer) {
	u, wrong := userOf(a, o)
	if wrong.code == "" && u.login == nil {
		wrong = fail("NoSuchEntity", "Login Profile for User %s cannot be found.", u.name)
	}
	return u, wrong
}

func (m *model) getLogin(a *account, o op) answer {
	u, wrong := loginOf(a, o)
	if wrong.code != "" {
		return wrong
	}
	return ok(object{"LoginProfile": u.showLogin()})
}

func (m *model) deleteLogin(a *account, o op) answer {
	u, wrong := loginOf(a, o)
	if wrong.code == "" {
		u.login = nil
		return done
	}
	return wrong
}

// putPasswords replaces the whole policy: what is left out has its default.
func (m *model) putPasswords(a *account, o op) answer {
	a.passwords = object{"MinimumPasswordLength": 6, "ExpirePasswords": o.has("MaxPasswordAge")}
	for _, k := range []string{"RequireSymbols", "RequireNumbers", "RequireUppercaseCharacters", "RequireLowercaseCharacters", "AllowUsersToChangePassword"} {
		a.passwords[k] = false
	}
	for k, v := range o.in {
		a.passwords[k] = v
	}
	return done
}

func noPasswords(a *account) answer {
	return fail("NoSuchEntity", "The Password Policy with domain name %s cannot be found.", a.id)
}

func (m *model) getPasswords(a *account, _ op) answer {
	if a.passwords == nil {
		return noPasswords(a)
	}
	return ok(object{"PasswordPolicy": a.passwords})
}

func (m *model) deletePasswords(a *account, _ op) answer {
	if a.passwords == nil {
		return noPasswords(a)
	}
	a.passwords = nil
	return done
}

// simulate is SimulatePrincipalPolicy: of its answer only the decision is known.
func (m *model) simulate(a *account, o op) answer {
	for _, e := range a.entities {
		if e.arn() != o.text("PolicySourceArn") {
			continue
		}
		v := m.verdict(e, o.texts("ActionNames")[0])
		decision := "implicitDeny"
		switch {
		case v.deny || v.boundaryDeny:
			decision = "explicitDeny"
		case v.allow && v.boundaryAllow:
			decision = "allowed"
		}
		return answer{alike: true, body: object{"EvalDecision": decision}}
	}
	return fail("NoSuchEntity", anything)
}

// Of OpenID Connect providers.

const providerARN = ":oidc-provider/"

func (p *provider) arn(a *account) string {
	return "arn:aws:iam::" + a.id + providerARN + p.url
}

func (m *model) createProvider(a *account, o op) answer {
	p := &provider{url: strings.TrimPrefix(o.text("Url"), "https://"), thumbprints: o.texts("ThumbprintList"), created: m.clock.t, tags: o.tags()}
	for _, id := range o.texts("ClientIDList") { // twice counts once (not specified)
		if !slices.Contains(p.clients, id) {
			p.clients = append(p.clients, id)
		}
	}
	switch {
	case !strings.HasPrefix(o.text("Url"), "https://"):
		return fail("ValidationError", "Invalid Open ID Connect Provider URL")
	case len(p.thumbprints) >= 5:
		return errThumbprints
	case twice(p.tags, strings.EqualFold):
		return errTwice
	case slices.ContainsFunc(a.providers, func(x *provider) bool { return x.url == p.url }):
		return fail("EntityAlreadyExists", "Provider with url %s already exists.", o.text("Url"))
	}
	a.providers = append(a.providers, p)
	b := object{"OpenIDConnectProviderArn": p.arn(a)}
	if len(p.tags) > 0 {
		b["Tags"] = wireTags(p.tags)
	}
	return ok(b)
}

var errThumbprints = fail("InvalidInput", "Thumbprint list must contain fewer than 5 entries.")

func providerOf(a *account, o op) (*provider, answer) {
	arn := o.text("OpenIDConnectProviderArn")
	if !strings.Contains(arn, providerARN) {
		return nil, fail("ValidationError", "ARN %s is not valid.", arn)
	}
	for _, p := range a.providers {
		if p.arn(a) == arn {
			return p, answer{}
		}
	}
	if o.name == "DeleteOpenIDConnectProvider" {
		return nil, fail("NoSuchEntity", "OpenId connect Provider %s cannot be found.", arn)
	}
	return nil, fail("NoSuchEntity", "OpenIDConnect Provider not found for arn %s", arn) // but for Get not specified
}

func (m *model) getProvider(a *account, o op) answer {
	p, wrong := providerOf(a, o)
	if wrong.code != "" {
		return wrong
	}
	b := object{"Url": p.url, "ClientIDList": p.clients, "ThumbprintList": p.thumbprints, "CreateDate": p.created}
	if len(p.tags) > 0 {
		b["Tags"] = wireTags(p.tags)
	}
	return ok(b)
}

// listProviders lists by URL (not specified).
func (m *model) listProviders(a *account, _ op) answer {
	list := []object{}
	for _, p := range slices.SortedFunc(slices.Values(a.providers), func(x, y *provider) int { return strings.Compare(x.url, y.url) }) {
		list = append(list, object{"Arn": p.arn(a)})
	}
	return ok(object{"OpenIDConnectProviderList": list})
}

func (m *model) deleteProvider(a *account, o op) answer {
	p, wrong := providerOf(a, o)
	if wrong.code == "" {
		a.providers = slices.DeleteFunc(a.providers, func(x *provider) bool { return x == p })
		return done
	}
	return wrong
}

func (m *model) addClient(a *account, o op) answer {
	p, wrong := providerOf(a, o)
	if wrong.code != "" {
		return wrong
	}
	if !slices.Contains(p.clients, o.text("ClientID")) {
		p.clients = append(p.clients, o.text("ClientID"))
	}
	return done
}

func (m *model) removeClient(a *account, o op) answer {
	p, wrong := providerOf(a, o)
	if wrong.code == "" {
		p.clients = slices.DeleteFunc(p.clients, func(x string) bool { return x == o.text("ClientID") })
		return done
	}
	return wrong
}

func (m *model) setThumbprints(a *account, o op) answer {
	if len(o.texts("ThumbprintList")) >= 5 {
		return errThumbprints
	}
	p, wrong := providerOf(a, o)
	if wrong.code == "" {
		p.thumbprints = o.texts("ThumbprintList")
		return done
	}
	return wrong
}
