package randomiam

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// rights are what this test needs of a policy: the actions that it allows and
// denies, on everything.
type rights struct{ allow, deny []string }

const (
	readAction   = "secretsmanager:GetSecretValue"
	assumeAction = "sts:AssumeRole"
)

func document(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

func statement(effect string, actions ...string) string {
	return fmt.Sprintf(`{"Effect":"%s","Action":["%s"],"Resource":"*"}`, effect, strings.Join(actions, `","`))
}

var allowAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

// long is a policy of some size: two of them are too much for a user.
func long(size int) string {
	return document(statement("Allow", readAction, "logs:"+strings.Repeat("A", size)))
}

// documents are the policies that are put, with what they say.
var documents = map[string]rights{
	document(statement("Allow", readAction)):                                         {allow: []string{readAction}},
	document(statement("Deny", readAction)):                                          {deny: []string{readAction}},
	document(statement("Allow", "secretsmanager:ListSecrets", assumeAction)):         {allow: []string{assumeAction}},
	document(statement("Allow", "sts:*"), statement("Deny", "iam:*", assumeAction)):  {allow: []string{assumeAction}, deny: []string{assumeAction}},
	document(statement("Allow", "secretsmanager:Get*"), statement("Deny", "logs:*")): {allow: []string{readAction}},
	document(statement("Allow", "*")):                                                {allow: []string{readAction, assumeAction}},
	document(statement("Deny", "logs:*", "secretsmanager:*")):                        {deny: []string{readAction}},
	strings.ReplaceAll(document(statement("Allow", readAction)), ",", " ,\n\t"):      {allow: []string{readAction}},
	allowAll:   {allow: []string{readAction, assumeAction}},
	long(1500): {allow: []string{readAction}},
	long(3500): {allow: []string{readAction}},
	long(6500): {allow: []string{readAction}},
	awsRead:    {allow: []string{readAction}},
	awsNothing: {},
}

// malformed are texts that are no policies, with IAM's words
// (iam-policy-evaluation.md 1.1).
var malformed = map[string]string{
	`{"Version":"2012-10-17"}`: "Syntax errors in policy.",
	`{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`:                             "Policy document must be version 2012-10-17 or greater.",
	`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Resource":"*"}}`:                                          "Policy statement must contain actions.",
	`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*"}}`:                                            "Policy statement must contain resources.",
	`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"iam:*","Resource":"*"}}`: "Policy document should not specify a principal.",
}

// The policies of AWS that are attached; only two speak about the actions above.
const (
	awsRead    = "read"
	awsNothing = "nothing"
)

var awsARNs = []string{
	awsARN + "AWSCloudFormationReadOnlyAccess", awsARN + "AWSCloudTrail_ReadOnlyAccess", awsARN + "AWSSecretsManagerClientReadOnlyAccess",
	awsARN + "AmazonSNSFullAccess", awsARN + "AmazonEventBridgeReadOnlyAccess", awsARN + "AmazonSSMReadOnlyAccess",
	awsARN + "CloudWatchReadOnlyAccess", awsARN + "IAMReadOnlyAccess", awsARN + "IAMUserChangePassword", awsARN + "SecretsManagerReadWrite",
	awsARN + "service-role/AWSLambdaBasicExecutionRole",
}

const awsARN = "arn:aws:iam::aws:policy/"

// awsPolicy is what one of AWS's policies says.
func awsPolicy(arn string) string {
	if strings.HasPrefix(arn, awsARN+"AWSSecrets") || strings.HasPrefix(arn, awsARN+"Secrets") {
		return awsRead
	}
	return awsNothing
}

// wrongDocument is the refusal of a text that is no identity policy.
func wrongDocument(text string) answer {
	if why, bad := malformed[text]; bad {
		return fail("MalformedPolicyDocument", "%s", why)
	}
	if _, known := documents[text]; !known {
		panic(text)
	}
	return answer{}
}

// size counts what quotas count: characters that are no white space.
func size(text string) (n int) {
	for _, r := range text {
		if !unicode.IsSpace(r) {
			n++
		}
	}
	return n
}

// texts are the policies that decide about a user or role: its own, and for a user
// those of its groups (iam-policy-evaluation.md 7).
func (m *model) texts(e *entity) (list []string) {
	a := m.accounts[slices.Index(accounts, e.account)]
	for _, holder := range append([]*entity{e}, e.groups...) {
		for _, text := range holder.inline {
			list = append(list, text)
		}
		for _, arn := range holder.attached {
			list = append(list, a.text(arn))
		}
	}
	return list
}

// verdict is what the policies of an entity say about an action.
type verdict struct{ deny, boundaryDeny, allow, boundaryAllow bool }

func (m *model) verdict(e *entity, action string) (v verdict) {
	for _, text := range m.texts(e) {
		v.deny = v.deny || slices.Contains(documents[text].deny, action)
		v.allow = v.allow || slices.Contains(documents[text].allow, action)
	}
	v.boundaryAllow = true
	if e.boundary != "" {
		a := m.accounts[slices.Index(accounts, e.account)]
		bound := documents[a.text(e.boundary)]
		v.boundaryDeny, v.boundaryAllow = slices.Contains(bound.deny, action), slices.Contains(bound.allow, action)
	}
	return v
}

// reason is the end of a denial, "" for what is allowed (iam-policy-evaluation.md
// 9).
func (v verdict) reason(action string) string {
	switch {
	case v.deny:
		return "with an explicit deny in an identity-based policy"
	case v.boundaryDeny:
		return "with an explicit deny in a permissions boundary"
	case !v.allow:
		return "because no identity-based policy allows the " + action + " action"
	case !v.boundaryAllow:
		return "because no permissions boundary allows the " + action + " action"
	}
	return ""
}

// caller is who stands behind an access key: nobody, when the key is not in force.
type caller struct {
	of      *entity
	arn     string
	userID  string
	expired bool // a session
	gone    bool // the role of an expired session
}

func (m *model) caller(id string) (c caller) {
	for _, a := range m.accounts {
		for _, e := range a.entities {
			for _, k := range e.keys {
				if k.id == id && k.active {
					return caller{of: e, arn: e.arn(), userID: e.id}
				}
			}
		}
	}
	for _, s := range m.sessions {
		a := m.accounts[slices.Index(accounts, s.of.account)]
		if s.key != id {
			continue
		}
		there, expired := slices.Contains(a.entities, s.of), !m.clock.t.Before(s.expires)
		switch {
		case expired:
			return caller{expired: true, gone: !there}
		case there:
			return caller{of: s.of, arn: "arn:aws:sts::" + s.of.account + ":assumed-role/" + s.of.name + "/" + s.name, userID: s.of.id + ":" + s.name}
		}
	}
	return c
}

// refused is the answer to a caller whose credentials are not in force (5.2).
func (c caller) refused(unknown, expired string) answer {
	switch {
	case c.gone:
		// Which of the two is told is not specified: it depends on what a node still
		// remembers of the session.
		return answer{code: anything}
	case c.expired:
		return fail(expired, "The security token included in the request is expired")
	case c.of == nil:
		return fail(unknown, "The security token included in the request is invalid.")
	}
	return answer{}
}

// read is the probe: the holder of a key reads the secret of its account.
func (m *model) read(o op) answer {
	c := m.caller(o.as)
	if a := c.refused("UnrecognizedClientException", "ExpiredTokenException"); a.code != "" {
		return a
	}
	if why := m.verdict(c.of, readAction).reason(readAction); why != "" {
		return fail("AccessDeniedException", "User: %s is not authorized to perform: %s on resource: %s %s", c.arn, readAction, probe, why)
	}
	return done
}

// trust is a trust policy that names one principal.
func trust(principal string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + principal + `"},"Action":"sts:AssumeRole"}]}`
}

var trusted = regexp.MustCompile(`"AWS":"([^"]+)"`)

// malformedTrust are texts that are no trust policies.
var malformedTrust = map[string]string{
	`no JSON`: "This policy contains invalid Json",
	`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole","Resource":"*"}]}`: "Has prohibited field Resource",
	`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"iam:GetUser"}]}`:                   "AssumeRole policy may only specify STS AssumeRole actions.",
}

// bindTrust puts unique ids into a trust policy (iam-policy-evaluation.md 4).
func (m *model) bindTrust(text string) (string, answer) {
	if why, bad := malformedTrust[text]; bad {
		return "", fail("MalformedPolicyDocument", "%s", why)
	}
	principal := trusted.FindStringSubmatch(text)[1]
	if strings.HasSuffix(principal, ":root") {
		return text, answer{}
	}
	for _, a := range m.accounts {
		for _, e := range a.entities {
			if e.kind != group && e.arn() == principal {
				return trust(e.id), answer{}
			}
		}
	}
	return "", fail("MalformedPolicyDocument", `Invalid principal in policy: "AWS":"%s"`, principal)
}

// showTrust is the opposite direction; who is gone stays a unique id.
func (m *model) showTrust(text string) string {
	principal := trusted.FindStringSubmatch(text)[1]
	for _, a := range m.accounts {
		for _, e := range a.entities {
			if e.id == principal {
				return trust(e.arn())
			}
		}
	}
	return text
}

// assume is AssumeRole (4.1) with the decision of iam-policy-evaluation.md 7 and 8.
func (m *model) assume(a *account, o op) answer {
	c := caller{of: a.find(user, "admin")}
	c.arn = c.of.arn()
	if o.as != "" {
		c = m.caller(o.as)
		if refused := c.refused("InvalidClientTokenId", "ExpiredToken"); refused.code != "" {
			return refused
		}
	}
	var r *entity
	for _, a := range m.accounts {
		for _, e := range a.entities {
			if e.kind == role && e.arn() == o.text("RoleArn") {
				r = e
			}
		}
	}
	if r == nil || !m.admits(r, c) {
		return fail("AccessDenied", "User: %s is not authorized to perform: sts:AssumeRole on resource: %s", c.arn, o.text("RoleArn"))
	}
	s := &session{key: m.id("ASIA"), of: r, name: o.text("RoleSessionName"), expires: m.clock.t.Add(time.Hour)}
	m.sessions = append(m.sessions, s)
	return ok(object{
		"Credentials":     object{"AccessKeyId": s.key, "SecretAccessKey": anything, "SessionToken": anything, "Expiration": s.expires},
		"AssumedRoleUser": object{"AssumedRoleId": r.id + ":" + s.name, "Arn": "arn:aws:sts::" + r.account + ":assumed-role/" + r.name + "/" + s.name},
	})
}

// admits decides whether a caller may take a role.
func (m *model) admits(r *entity, c caller) bool {
	v := m.verdict(c.of, assumeAction)
	principal := trusted.FindStringSubmatch(r.trust)[1]
	itself := principal == c.of.id
	its := principal == "arn:aws:iam::"+c.of.account+":root"
	switch {
	case v.deny || v.boundaryDeny:
		return false
	case r.account != c.of.account:
		return (itself || its) && v.allow && v.boundaryAllow
	case itself:
		return c.of.kind == user || v.boundaryAllow
	}
	return its && v.allow && v.boundaryAllow
}
