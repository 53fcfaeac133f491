package randomops

import (
	"strings"
	"testing"
)

const (
	denied     = "AccessDeniedException"
	parameter  = "InvalidParameterException"
	request    = "InvalidRequestException"
	notFound   = "ResourceNotFoundException"
	validation = "ValidationException"
	decryption = "DecryptionFailure"
	encryption = "EncryptionFailure"
	exists     = "ResourceExistsException"
	malformed  = "MalformedPolicyDocumentException"
	public     = "PublicPolicyException"
	limit      = "LimitExceededException"
	token      = "InvalidNextTokenException"
)

// mustHappen are the operations and, of each, the codes that some ten thousand
// steps always meet: a dozen times and more on average. What is rarer is asked for
// over all operations only.
var mustHappen = map[string][]string{
	"BatchGetSecretValue":          {parameter, validation},
	"CreateSecret":                 {denied, parameter, request, exists, validation},
	"DeleteResourcePolicy":         {denied},
	"DeleteSecret":                 {denied, parameter},
	"DescribeSecret":               {denied, notFound, validation},
	"DisableKey":                   {},
	"EnableKey":                    {"NotFoundException"},
	"GetRandomPassword":            {parameter, validation},
	"GetResourcePolicy":            {denied},
	"GetSecretValue":               {denied, decryption, request, notFound, validation},
	"ListSecretVersionIds":         {denied, notFound, validation},
	"ListSecrets":                  {token, validation},
	"PutKeyPolicy":                 {},
	"PutResourcePolicy":            {denied, parameter, request, malformed, notFound},
	"PutSecretValue":               {denied, encryption, parameter, request, exists, notFound, validation},
	"RemoveRegionsFromReplication": {denied, notFound},
	"ReplicateSecretToRegions":     {denied, parameter, request, notFound},
	"RestoreSecret":                {denied, notFound},
	"StopReplicationToReplica":     {denied, parameter},
	"TagResource":                  {denied, parameter, notFound},
	"UntagResource":                {denied, notFound},
	"UpdateSecret":                 {denied, encryption, parameter, request, notFound, validation},
	"UpdateSecretVersionStage":     {denied, parameter, request, notFound, validation},
}

// mustBeSeen are parts of answers that tell more than the code does.
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

// The fewest times for ten thousand steps. The expectations are far above, so that
// a seed by chance does not fail.
const (
	fewestSuccesses = 20 // of each operation
	fewestOfCode    = 3  // over all operations
	fewestElse      = 1
)

// checkCounts keeps the generator honest: a change that lets it miss what it is for
// fails here.
func (r *runner) checkCounts(t *testing.T) {
	atLeast := func(n int, what string) {
		if r.counts[what] < n {
			t.Errorf("%q happened %d times, want at least %d", what, r.counts[what], n)
		}
	}
	for _, w := range weights {
		atLeast(fewestSuccesses, w.name+" ok")
		for _, code := range mustHappen[w.name] {
			atLeast(fewestElse, w.name+" "+code)
		}
	}
	for _, code := range []string{denied, parameter, request, notFound, validation, decryption, encryption, exists, malformed, public, limit, token} {
		sum := 0
		for what, n := range r.counts {
			if strings.HasSuffix(what, " "+code) {
				sum += n
			}
		}
		if sum < fewestOfCode {
			t.Errorf("%s happened %d times, want at least %d", code, sum, fewestOfCode)
		}
	}
	for _, part := range mustBeSeen {
		atLeast(fewestElse, part)
	}
}
