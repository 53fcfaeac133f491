package servertest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/catalog"
	"github.com/strongroom/strongroom/internal/wire"
)

// asked gathers what every call of every test asks of authorization and the catalog
// does not know: an action that policies cannot name, a resource that is none of the
// action's, a condition key that a request for the action never has. A slip in one of
// these names would make policies fail that are right, and no other test would see it.
type asked struct {
	mu   sync.Mutex
	seen map[string]bool // what was looked at, and whether it was wrong
}

func (a *asked) observe(c *wire.Call) {
	for i := range c.Decisions {
		e, ok := c.Decisions[i].Evidence.(*auth.Evidence)
		if !ok {
			continue
		}
		q := &e.Request
		action, known := catalog.Lookup(q.Action)
		a.note(q.Action, !known || action.Name() != q.Action)
		if !known {
			continue
		}
		// A resource that nobody has is decided on as it was named.
		if q.Resource != "*" && c.Err == nil && !listed(q.Action) {
			what := q.Action + " on " + kindOf(q.Resource)
			a.note(what, !action.Accepts(q.Resource) && excused[what] == "")
		}
		for _, k := range e.Keys() {
			name := shape(k.Name)
			_, known := action.Key(k.Name)
			what := q.Action + " with " + name
			a.note(what, !known && excused[name] == "" && excused[what] == "")
		}
	}
}

func (a *asked) note(what string, wrong bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seen == nil {
		a.seen = map[string]bool{}
	}
	a.seen[what] = wrong
}

func (a *asked) report(tb testing.TB) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var wrong []string
	for what, is := range a.seen {
		if is {
			wrong = append(wrong, what)
		}
	}
	slices.Sort(wrong)
	for _, what := range wrong {
		tb.Errorf("the catalog does not know what authorization was asked: %s", what)
	}
}

// kindOf is an ARN without what tells one resource from others of its kind.
func kindOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return fmt.Sprintf("%q", arn)
	}
	kind, _, _ := strings.Cut(parts[5], "/")
	kind, _, _ = strings.Cut(kind, ":")
	return strings.Join(parts[:3], ":") + ":…:" + kind
}

// shape is a condition key without the tag or context key in it.
func shape(key string) string {
	for _, prefix := range []string{"aws:RequestTag/", "aws:ResourceTag/", "aws:PrincipalTag/", "kms:EncryptionContext:"} {
		if strings.HasPrefix(key, prefix) {
			return prefix
		}
	}
	return key
}

// excused is what AWS asks for, or fills in, although its reference does not list it.
var excused = map[string]string{
	"kms:customermasterkeyspec":                      "deprecated names that are filled still",
	"kms:customermasterkeyusage":                     "deprecated names that are filled still",
	"kms:encryptioncontext:":                         "the name in an encryption context may be empty",
	"iam:GetUser on arn:aws:iam:…:root":              "root may ask about itself",
	"iam:GetAccessKeyLastUsed on arn:aws:iam:…:root": "a key of root, or of nobody",

	// The permission-only actions are asked with all that the request for the role
	// says, so that one statement can allow them together under one condition.
	"sts:DurationSeconds":                              "listed for sessions in iam-policy-evaluation.md 6",
	"sts:TagSession with sts:RoleSessionName":          "of the request for the role",
	"sts:TagSession with sts:ExternalId":               "of the request for the role",
	"sts:TagSession with sts:SourceIdentity":           "of the request for the role",
	"sts:SetSourceIdentity with sts:RoleSessionName":   "of the request for the role",
	"sts:SetSourceIdentity with sts:ExternalId":        "of the request for the role",
	"sts:SetSourceIdentity with sts:TransitiveTagKeys": "of the request for the role",
	"sts:SetSourceIdentity with aws:TagKeys":           "of the request for the role",
	"sts:SetSourceIdentity with aws:RequestTag/":       "of the request for the role",
	"sts:TagSession on arn:aws:sts:…:federated-user":   "tags of GetFederationToken (IAM User Guide, \"Passing session tags\")",
}

// listed reports the listings of IAM, which the reference says work on no resource and
// whose denials name one (spec iam-sts.md 3.2).
func listed(action string) bool { return strings.HasPrefix(action, "iam:List") }
