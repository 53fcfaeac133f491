package iam

import (
	"strings"

	"github.com/strongroom/strongroom/internal/aws"
)

// Unique id prefixes (spec iam-sts.md 2).
const (
	userIDPrefix   = "AIDA"
	groupIDPrefix  = "AGPA"
	roleIDPrefix   = "AROA"
	policyIDPrefix = "ANPA"
)

// entityARN is the ARN of a user, group, role or policy; path begins and ends
// with a slash.
func entityARN(account, kind, path, name string) string {
	return "arn:" + aws.Partition + ":iam::" + account + ":" + kind + path + name
}

// userARN is the ARN of a user.
func userARN(account, path, name string) string { return entityARN(account, "user", path, name) }

// policyARN reports whether text can name a managed policy.
func policyARN(text string) bool {
	a, err := aws.ParseARN(text)
	return err == nil && a.Partition == aws.Partition && a.Service == "iam" && a.Region == "" &&
		(a.Account == "aws" || aws.ValidAccountID(a.Account)) && strings.HasPrefix(a.Resource, "policy/")
}

// validName reports whether text can be a name of IAM: [\w+=,.@-], at most most
// characters (spec iam-sts.md 2). Names that did not come through the model's
// validation are checked with it before they reach the store.
func validName(text string, most int) bool {
	if text == "" || len(text) > most {
		return false
	}
	for i := range len(text) {
		c := text[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("_+=,.@-", c) < 0 {
			return false
		}
	}
	return true
}

// The longest names (spec iam-sts.md 2).
const (
	maxUserName    = 64
	maxGroupName   = 128
	maxRoleName    = 64
	maxSessionName = 64
	maxPolicyName  = 128
)
