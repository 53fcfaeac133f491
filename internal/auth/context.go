package auth

import (
	"strconv"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/wire"
)

// global answers for the global condition keys (spec iam-policy-evaluation.md
// 6) from what the server itself saw of the call. Keys that follow from the
// principal are the engine's own. Nothing here is taken from a header but the
// user agent, which policies are warned not to trust.
type global struct {
	call *wire.Call
	now  time.Time
}

// iamRegion is what aws:RequestedRegion says for IAM, which has no region.
const iamRegion = "us-east-1"

// ContextValue returns a global key, given in lower case.
func (g *global) ContextValue(key string) (policy.Value, bool) {
	c := g.call
	switch key {
	case "aws:sourceip":
		return one(c.Source.String()), c.Source.IsValid()
	case "aws:securetransport":
		return one(strconv.FormatBool(c.TLS.Version != "")), true
	case "aws:currenttime":
		return one(g.now.UTC().Format(time.RFC3339)), true
	case "aws:epochtime":
		return one(strconv.FormatInt(g.now.Unix(), 10)), true
	case "aws:requestedregion":
		if c.Service.Name == "iam" {
			return one(iamRegion), true
		}
		return one(c.Region), true
	case "aws:useragent":
		return one(c.UserAgent), c.UserAgent != ""
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
	case "aws:principalisawsservice":
		return one(strconv.FormatBool(c.Principal.Type == aws.PrincipalService)), true
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
