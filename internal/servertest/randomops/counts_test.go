package randomops

import (
	"maps"
	"slices"
	"testing"
)

var mustBeSeen = []string{
	// Refusals that share a code with others.
	"marked for deletion", "already scheduled for deletion", "already exists", "that value is already in use",
	"on a replica secret", "still has replica regions", "Invalid replica region", "between 7 and 30 days", "in conjunction with",
	"RemoveFromVersionId can't be empty", "it must be set to the version", "can't be completely removed",
	"VersionStage that is not associated", "value for staging label", "value for VersionId", "provide a ClientRequestToken",
	"both a binary secret value", "either SecretString or SecretBinary", "Access to KMS", "Invalid keyId", "default KMS service key",
	"not allow you to manage", "broad access", "syntax error", "invalid syntax", "unsupported principal", "unsupported service principal",
	"no identity-based policy", "no resource-based policy", "deny in a resource-based policy", "deny in an identity-based policy",
	"Invalid name", "1 validation error detected", "must be provided, but not both", "'Filters' not specified",
	"Password length is too short", "All characters have been excluded", "characters of the desired type",
	// Members that only some states have.
	`"Status":"InProgress"`, `"Status":"InSync"`, `"Status":"Failed"`, `"SecretBinary"`, `"SecretString"`, `"DeletedDate"`,
	`"LastAccessedDate"`, `"PrimaryRegion"`, `"Tags":[]`, `"ResourcePolicy"`, `"DefaultEncryptionKey"`, `"ErrorCode"`, `"AWSPENDING"`,
}

func (r *runner) checkCounts(t *testing.T) {
	for _, k := range slices.Sorted(maps.Keys(r.counts)) {
		t.Logf("%6d %s", r.counts[k], k)
	}
}
