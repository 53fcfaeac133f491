package auth

import (
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
)

// ofService returns a condition key about a service that calls with its own rights,
// as a principal: which one, and for which resource of a customer (spec
// iam-policy-evaluation.md 6). A policy that lets a service in should ask for
// whom, or one customer could have the service work on another's resources. With
// any other caller, one that a service calls for included, none of them is there
// but aws:PrincipalIsAWSService.
func (f *facts) ofService(key string) (v policy.Value, present, known bool) {
	c := f.call
	service := c.Principal.Type == aws.PrincipalService
	switch key {
	case "aws:principalisawsservice":
		if service {
			return one("true"), true, true
		}
		return one("false"), true, true
	case "aws:principalservicename":
		return one(c.Principal.Service), service, true
	case "aws:principalservicenameslist":
		return policy.Value{Many: []string{c.Principal.Service}, Multi: true}, service, true
	case "aws:sourcearn":
		return one(c.BehalfOf.ARN), service && c.BehalfOf.ARN != "", true
	case "aws:sourceaccount", "aws:sourceowner":
		return one(c.BehalfOf.Account), service && c.BehalfOf.Account != "", true
	}
	return policy.Value{}, false, false
}
