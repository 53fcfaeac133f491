package auth

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/wire"
)

// facts answers for the condition keys of one request (spec
// iam-policy-evaluation.md 6) when a policy asks for them: first those that the
// slice gave, then the tags of the resource, then the global ones, from what the
// server itself saw of the call. Keys that follow from the principal are the
// engine's own. Nothing here is taken from a header but the user agent and the
// referer, which policies are warned not to trust.
type facts struct {
	call *wire.Call
	now  time.Time
	keys []Key
	// standing come after keys.
	standing []Key
	tags     []aws.Tag
	// service is the prefix of the action asked for, which may have a name of its
	// own for aws:ResourceTag.
	service string
}

// ContextValue returns a condition key, given in lower case.
func (f *facts) ContextValue(key string) (policy.Value, bool) {
	// From the end: of a key given twice the last value counts.
	for _, keys := range [...][]Key{f.keys, f.standing} {
		for i := len(keys) - 1; i >= 0; i-- {
			if k := &keys[i]; equalLower(k.Name, key) {
				return k.value()
			}
		}
	}
	if name, ok := f.resourceTag(key); ok {
		for i := range f.tags {
			if equalLower(f.tags[i].Key, name) {
				return one(f.tags[i].Value), true
			}
		}
		return policy.Value{}, false
	}
	return f.global(key)
}

func (k *Key) value() (policy.Value, bool) {
	if k.Multi {
		return policy.Value{Many: k.Values, Multi: true}, true
	}
	if len(k.Values) == 0 {
		return policy.Value{}, false
	}
	return one(k.Values[0]), true
}

// resourceTag returns the tag that key asks for. IAM, STS for IAM's roles, and
// Secrets Manager have a second name for the global key (Service Authorization
// Reference).
func (f *facts) resourceTag(key string) (name string, ok bool) {
	if name, ok = strings.CutPrefix(key, "aws:resourcetag/"); ok {
		return name, true
	}
	switch f.service {
	case "secretsmanager":
		return strings.CutPrefix(key, "secretsmanager:resourcetag/")
	case "iam", "sts":
		return strings.CutPrefix(key, "iam:resourcetag/")
	}
	return "", false
}

// equalLower reports whether s in lower case is lower, without making it so.
// strings.EqualFold would fold more, and two names could answer for one key.
func equalLower(s, lower string) bool {
	for _, r := range s {
		l, size := utf8.DecodeRuneInString(lower)
		if size == 0 || unicode.ToLower(r) != l {
			return false
		}
		lower = lower[size:]
	}
	return lower == ""
}

// iamRegion is what aws:RequestedRegion says for IAM, which has no region.
const iamRegion = "us-east-1"

// globalKeys are the keys that global answers for, itself or by what it asks first, as policies spell them.
var globalKeys = []string{
	"aws:SourceIp", "aws:SecureTransport", "aws:CurrentTime", "aws:EpochTime", "aws:RequestedRegion", "aws:UserAgent",
	"aws:ViaAWSService", "aws:CalledVia", "aws:CalledViaFirst", "aws:CalledViaLast", "aws:PrincipalIsAWSService",
	"aws:TokenIssueTime", "aws:MultiFactorAuthPresent", "aws:MultiFactorAuthAge", "aws:SourceIdentity", "aws:FederatedProvider",
	"aws:PrincipalServiceName", "aws:VpcSourceIp", "aws:SourceVpce", "aws:SourceVpc", "aws:SourceVpcArn", "aws:VpceAccount", "aws:referer",
	"aws:PrincipalServiceNamesList", "aws:SourceArn", "aws:SourceAccount", "aws:SourceOwner",
	"net:ClientCertSubject", "net:ClientCertSAN",
}

// global returns a key that every request has.
func (f *facts) global(key string) (policy.Value, bool) {
	if v, present, known := f.network(key); known {
		return v, present
	}
	if v, present, known := f.ofService(key); known {
		return v, present
	}
	c := f.call
	switch key {
	case "aws:securetransport":
		return one(strconv.FormatBool(c.TLS.Version != "")), true
	case "aws:currenttime":
		return one(f.now.UTC().Format(time.RFC3339)), true
	case "aws:epochtime":
		return one(strconv.FormatInt(f.now.Unix(), 10)), true
	case "aws:requestedregion":
		if c.Service.Name == "iam" {
			return one(iamRegion), true
		}
		return one(c.Region), true
	case "aws:useragent":
		return one(c.UserAgent), c.UserAgent != ""
	case "aws:referer":
		return one(c.Referer), c.Referer != ""
	case "aws:viaawsservice":
		return one(strconv.FormatBool(c.Via != "")), true
	case "aws:calledvia":
		via := chain(c)
		return policy.Value{Many: via, Multi: true}, len(via) > 0
	case "aws:calledviafirst":
		via := chain(c)
		return firstOf(via), len(via) > 0
	case "aws:calledvialast":
		return one(c.Via), c.Via != ""
	case "aws:tokenissuetime":
		if c.Principal.Session == nil {
			return policy.Value{}, false
		}
		return one(c.Principal.Session.Issued.UTC().Format(time.RFC3339)), true
	case "aws:multifactorauthpresent":
		if c.Principal.Session == nil {
			return policy.Value{}, false
		}
		return one(strconv.FormatBool(c.Principal.Session.MFA)), true
	case "aws:multifactorauthage":
		if c.Principal.Session == nil || !c.Principal.Session.MFA {
			return policy.Value{}, false
		}
		return one(strconv.FormatInt(int64(f.now.Sub(c.Principal.Session.MFAAt)/time.Second), 10)), true
	case "aws:sourceidentity":
		if c.Principal.Session == nil {
			return policy.Value{}, false
		}
		return one(c.Principal.Session.SourceIdentity), c.Principal.Session.SourceIdentity != ""
	case "aws:federatedprovider":
		if c.Principal.Session == nil {
			return policy.Value{}, false
		}
		return one(c.Principal.Session.Provider), c.Principal.Session.Provider != ""
	}
	return policy.Value{}, false
}

func one(v string) policy.Value { return policy.Value{One: v} }

func firstOf(v []string) policy.Value {
	if len(v) == 0 {
		return policy.Value{}
	}
	return one(v[0])
}

// chain lists the services that passed the call on, the first one first.
func chain(c *wire.Call) []string {
	var out []string
	if c.Parent != nil {
		out = chain(c.Parent)
	}
	if c.Via != "" && (len(out) == 0 || out[len(out)-1] != c.Via) {
		out = append(out, c.Via)
	}
	return out
}
