package randomiam

import (
	"strings"
	"testing"
)

// mustBeSeen are parts of refusals that tell more than the code does.
var mustBeSeen = []string{
	"deny in an identity-based policy", "deny in a permissions boundary", "no identity-based policy", "no permissions boundary",
	"UsersPerAccount", "GroupsPerAccount", "PoliciesPerAccount", "AccessKeysPerUser", "GroupsPerUser", "PoliciesPerUser", "PoliciesPerRole",
	"PoliciesPerGroup", "up to 5 versions", "Maximum policy size", "PolicySize", "maximum limit", "detach all policies", "delete policies first", "access keys first",
	"remove users from group", "attached to entities", "more than one version", "default version", "outside your own account",
	"case insensitive", "Duplicate tag keys found.", "Scope ARN", "not attachable", "was not found", "Invalid Marker", "not be null", "regular expression",
	"greater than", "less than", "Thumbprint list", "Invalid principal", "is invalid", "is expired", "User with name", "Role with name", "Group with name",
	"A policy called", "Provider with url", "Login Profile for user", "Syntax errors", "access key AKIA", "Access Key with id",
}

// fewest is how often each operation succeeds at least, and each part is seen, in a
// run of the usual length. Most happen far more often, so that a seed by chance does
// not fail.
const fewest = 1

// checkCounts keeps the generator honest: a change that lets it miss what it is for
// fails here.
func (r *runner) checkCounts(t *testing.T) {
	atLeast := func(what string) {
		t.Helper()
		if r.counts[what] < fewest {
			t.Errorf("%q happened %d times, want at least %d", what, r.counts[what], fewest)
		}
	}
	for _, w := range weights {
		for _, k := range []kind{user, group, role} {
			if name := instance(w.name, k); k != group || !strings.Contains(w.name, "Holder") {
				atLeast(name + " ok")
			}
		}
	}
	for _, part := range mustBeSeen {
		atLeast(part)
	}
}
