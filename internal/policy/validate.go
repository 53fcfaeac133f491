package policy

import (
	"fmt"
	"strings"
)

// Kind is what a policy is attached to, which decides what it may say.
type Kind uint8

// The kinds of policy.
const (
	// KindIdentity is a policy of a user, group or role, inline or managed.
	KindIdentity Kind = iota
	// KindBoundary is a managed policy in its role as permissions boundary.
	KindBoundary
	// KindSession is passed to AssumeRole or GetFederationToken.
	KindSession
	// KindSCP is a service control policy.
	KindSCP
	// KindResource is a resource policy, such as that of a secret.
	KindResource
	// KindKey is the policy of a KMS key.
	KindKey
	// KindTrust is a role's trust policy.
	KindTrust
	// KindEndpoint is the policy of a VPC endpoint.
	KindEndpoint
)

// onResource reports the kinds that name principals and belong to services
// other than IAM, each with its own sentences for what is wrong.
func (k Kind) onResource() bool {
	return k == KindResource || k == KindKey || k == KindEndpoint
}

// Rule is the class of a violation, for services that word it themselves.
type Rule uint8

// The rules, in the order in which they are checked (spec
// iam-policy-evaluation.md 1.1).
const (
	RuleJSON             Rule = iota + 1 // not JSON
	RuleGrammar                          // JSON, no policy
	RuleVersion                          // no such version, or too old a one
	RuleLegacy                           // "legacy parsing"
	RulePrincipal                        // principal where none may be, or none where one must be
	RuleSid                              // duplicate or malformed Sid
	RuleAction                           // missing or malformed action
	RuleResource                         // missing, forbidden or malformed resource
	RuleInvalidPrincipal                 // an element of Principal has no valid form
)

// InvalidError is why a policy is refused for the place it was meant for.
type InvalidError struct {
	Rule Rule
	// Message is IAM's own sentence, for the kinds that IAM stores; for the
	// others it says what is wrong and where.
	Message string
	// Principal is the offending element under RuleInvalidPrincipal.
	Principal PrincipalRef
	// Cause is the *ParseError behind the first four rules, where there is one.
	Cause error
}

// Error implements error and returns Message.
func (e *InvalidError) Error() string { return e.Message }

// Unwrap returns Cause.
func (e *InvalidError) Unwrap() error { return e.Cause }

// IAM's sentences (spec iam-policy-evaluation.md 1.1). Those on the form of a
// Sid and on the Principal of a trust policy are not recorded there; they
// follow public threads (unconfirmed).
const (
	msgJSON          = "This policy contains invalid Json"
	msgSyntax        = "Syntax errors in policy."
	msgVersion       = "Policy document must be version 2012-10-17 or greater."
	msgLegacy        = "The policy failed legacy parsing"
	msgPrincipal     = "Policy document should not specify a principal."
	msgSidUnique     = "Statement IDs (SID) in a single policy must be unique."
	msgSidFormat     = "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*"
	msgNoAction      = "Policy statement must contain actions."
	msgNoResource    = "Policy statement must contain resources."
	msgVendor        = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
	msgColon         = "Actions/Condition can contain only one colon."
	msgTrustResource = "Has prohibited field Resource"
	msgTrustNo       = "Missing required field Principal"
	msgTrustNot      = "Has prohibited field NotPrincipal"
	msgTrustAction   = "AssumeRole policy may only specify STS AssumeRole actions."
)

// ParseAs parses a policy and validates it for a kind. All errors are of type
// *[InvalidError]. Unlike Parse and Validate in turn, it keeps IAM's order of
// checks where the two interlock: a wrong Effect and a missing Version report
// the Version.
func ParseAs(src []byte, kind Kind) (*Document, error) {
	d, failure := parse(src)
	if failure != nil {
		return nil, refusal(failure, kind)
	}
	if err := d.Validate(kind); err != nil {
		return nil, err
	}
	return d, nil
}

func refusal(failure *ParseError, kind Kind) error {
	invalid := &InvalidError{Message: msgSyntax, Cause: failure}
	switch failure.Kind {
	case InvalidJSON:
		invalid.Rule = RuleJSON
		// Recorded for the operations that store trust policies. For the rest
		// public suites report the sentence about syntax (unconfirmed).
		if kind == KindTrust {
			invalid.Message = msgJSON
		}
	case InvalidVersion:
		invalid.Rule = RuleVersion
	case LegacyParsing:
		invalid.Rule, invalid.Message = RuleLegacy, msgLegacy
		if needsVersion(kind) && failure.version != Version2012 {
			invalid.Rule, invalid.Message = RuleVersion, msgVersion
		}
	default:
		invalid.Rule = RuleGrammar
	}
	if kind.onResource() {
		invalid.Message = failure.Error()
	}
	return invalid
}

// needsVersion lists the kinds stored by CreatePolicy and Put…Policy, for which
// the refusal of old versions is recorded. Session policies pass (unconfirmed).
func needsVersion(kind Kind) bool {
	return kind == KindIdentity || kind == KindBoundary || kind == KindSCP
}

// Validate checks that the policy may be attached as the given kind: which
// elements stand where, and in which form (spec iam-policy-evaluation.md 1 and
// 1.1). Errors are of type *[InvalidError]; for the kinds that IAM stores the
// message is IAM's sentence, and of several faults the one IAM reports.
func (d *Document) Validate(kind Kind) error {
	if invalid := d.validate(kind); invalid != nil {
		return invalid
	}
	return nil
}

func (d *Document) validate(kind Kind) *InvalidError {
	switch {
	case kind.onResource():
		return d.validateOnResource(kind)
	case kind == KindTrust:
		return d.validateTrust()
	}
	if needsVersion(kind) && d.version != Version2012 {
		return &InvalidError{Rule: RuleVersion, Message: msgVersion}
	}
	badResource := d.resourceFormat()
	if badResource != nil && badResource.Rule == RuleLegacy {
		return badResource
	}
	if d.any(func(st *statement) bool { return st.hasPrincipal }) {
		return &InvalidError{Rule: RulePrincipal, Message: msgPrincipal}
	}
	if invalid := d.sids(); invalid != nil {
		return invalid
	}
	if d.any(func(st *statement) bool { return len(st.actions) == 0 }) {
		return &InvalidError{Rule: RuleAction, Message: msgNoAction}
	}
	if d.any(func(st *statement) bool { return len(st.resources) == 0 }) {
		return &InvalidError{Rule: RuleResource, Message: msgNoResource}
	}
	if badResource != nil {
		return badResource
	}
	return d.actionFormat()
}

func (d *Document) any(test func(*statement) bool) bool {
	for i := range d.statements {
		if test(&d.statements[i]) {
			return true
		}
	}
	return false
}

// sids checks identity policies. Duplicates are looked for first in each
// statement; an empty Sid is none.
func (d *Document) sids() *InvalidError {
	seen := make(map[string]bool)
	for i := range d.statements {
		sid := d.statements[i].sid
		if sid == "" {
			continue
		}
		if seen[sid] {
			return &InvalidError{Rule: RuleSid, Message: msgSidUnique}
		}
		seen[sid] = true
		if strings.IndexFunc(sid, func(r rune) bool {
			return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		}) >= 0 {
			return &InvalidError{Rule: RuleSid, Message: msgSidFormat}
		}
	}
	return nil
}

// actionFormat reports the first malformed action.
func (d *Document) actionFormat() *InvalidError {
	for i := range d.statements {
		for j := range d.statements[i].actions {
			if message := checkAction(d.statements[i].actions[j].source); message != "" {
				return &InvalidError{Rule: RuleAction, Message: message}
			}
		}
	}
	return nil
}

func checkAction(action string) string {
	if action == "*" {
		return ""
	}
	vendor, name, found := strings.Cut(action, ":")
	switch {
	case !found:
		return msgVendor
	case strings.Contains(name, ":"):
		return msgColon
	case vendor == "*":
		return ""
	case vendor == "" || strings.IndexFunc(vendor, func(r rune) bool {
		return r != '-' && r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) >= 0:
		return "Vendor " + vendor + " is not valid"
	}
	return ""
}

// resourceFormat reports the first malformed resource, with rule RuleLegacy
// where IAM calls it a failure of legacy parsing.
func (d *Document) resourceFormat() *InvalidError {
	for i := range d.statements {
		for j := range d.statements[i].resources {
			if invalid := checkResource(d.statements[i].resources[j].source); invalid != nil {
				return invalid
			}
		}
	}
	return nil
}

// partitions are those AWS has published.
var partitions = [...]string{"aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc", "*"}

// checkResource follows the inputs and messages of spec
// iam-policy-evaluation.md 1.1. What does not start with "arn" is read by
// position all the same.
func checkResource(resource string) *InvalidError {
	if resource == "*" {
		return nil
	}
	fail := func(format string, args ...any) *InvalidError {
		return &InvalidError{Rule: RuleResource, Message: fmt.Sprintf(format, args...)}
	}
	parts := strings.SplitN(resource, ":", arnParts)
	if len(parts) == 1 {
		return fail(`Resource %s must be in ARN format or "*".`, resource)
	}
	if partition := parts[1]; !knownPartition(partition) {
		shown := []string{"arn", partition, "*", "*", "*", "*"}
		copy(shown[2:], parts[2:])
		return fail(`Partition "%s" is not valid for resource "%s".`, partition, strings.Join(shown, ":"))
	}
	if len(parts) == 2 || strings.ContainsAny(parts[2], "*?") {
		return fail("Resource vendor must be fully qualified and cannot contain regexes.")
	}
	service := parts[2]
	region, path := "", "*"
	if len(parts) > 3 {
		region = parts[3]
	}
	if len(parts) == arnParts {
		path = parts[5]
	}
	switch {
	case service == "iam" && region != "":
		return fail("IAM resource %s cannot contain region information.", resource)
	case service == "s3" && region != "" && !regionalS3(path):
		return fail("Resource %s can not contain region information.", resource)
	case service == "", len(parts) == 5, len(parts) == 4 && parts[3] == "":
		return &InvalidError{Rule: RuleLegacy, Message: msgLegacy}
	case service == "iam" && !iamPath(path):
		return fail(`IAM resource path must either be "*", root, or start with %s.`, strings.Join(iamPaths[:], ", "))
	}
	return nil
}

func knownPartition(partition string) bool {
	for _, known := range partitions {
		if partition == known {
			return true
		}
	}
	return false
}

// regionalS3 reports the few S3 resources whose ARN does have a region.
func regionalS3(path string) bool {
	return strings.HasPrefix(path, "accesspoint/") || strings.HasPrefix(path, "job/") || strings.HasPrefix(path, "storage-lens/")
}

var iamPaths = [...]string{
	"user/", "federated-user/", "role/", "group/", "instance-profile/", "mfa/", "server-certificate/",
	"policy/", "sms-mfa/", "saml-provider/", "oidc-provider/", "report/", "access-report/",
}

func iamPath(path string) bool {
	if path == "*" || path == "root" {
		return true
	}
	for _, start := range iamPaths {
		if strings.HasPrefix(path, start) {
			return true
		}
	}
	return false
}

// validateTrust checks a role's trust policy. Versions and Sids of any form
// pass (unconfirmed), for old trust policies are of 2008-10-17.
func (d *Document) validateTrust() *InvalidError {
	if invalid := d.sidsUnique(); invalid != nil {
		return invalid
	}
	if d.any(func(st *statement) bool { return len(st.actions) == 0 }) {
		return &InvalidError{Rule: RuleAction, Message: msgNoAction}
	}
	for i := range d.statements {
		switch st := &d.statements[i]; {
		case st.hasResource:
			return &InvalidError{Rule: RuleResource, Message: msgTrustResource}
		case !st.hasPrincipal:
			return &InvalidError{Rule: RulePrincipal, Message: msgTrustNo}
		case st.principal.negated:
			return &InvalidError{Rule: RulePrincipal, Message: msgTrustNot}
		}
	}
	for i := range d.statements {
		st := &d.statements[i]
		for j := range st.actions {
			if st.notAction || !assumes(&st.actions[j]) {
				return &InvalidError{Rule: RuleAction, Message: msgTrustAction}
			}
		}
	}
	if ref, bad := d.invalidPrincipal(); bad {
		// The member's name is printed in capitals, as the threads show for
		// "SERVICE" and "FEDERATED".
		return &InvalidError{
			Rule:      RuleInvalidPrincipal,
			Message:   fmt.Sprintf(`Invalid principal in policy: "%s":"%s"`, strings.ToUpper(ref.Type), ref.Value),
			Principal: ref,
		}
	}
	return nil
}

func (d *Document) sidsUnique() *InvalidError {
	if invalid := d.sids(); invalid != nil && invalid.Message == msgSidUnique {
		return invalid
	}
	return nil
}

// assumes reports whether an action of a trust policy is about assuming the
// role, or a pattern for at least one that is.
func assumes(a *actionPattern) bool {
	if !strings.HasPrefix(a.text, "sts:") {
		return false
	}
	for _, action := range [...]string{
		"sts:assumerole", "sts:assumerolewithsaml", "sts:assumerolewithwebidentity",
		"sts:tagsession", "sts:setsourceidentity", "sts:setcontext",
	} {
		if a.matches([]byte(action)) {
			return true
		}
	}
	return false
}

func (d *Document) invalidPrincipal() (PrincipalRef, bool) {
	for ref := range d.Principals() {
		if ref.Kind == InvalidPrincipal {
			return ref, true
		}
	}
	return PrincipalRef{}, false
}

// validateOnResource checks the policies that services keep on their own
// resources. Any version passes, and any Sid: KMS itself writes policies with
// blanks in Sids and one Sid twice (spec kms.md 8.4).
func (d *Document) validateOnResource(kind Kind) *InvalidError {
	for i := range d.statements {
		if invalid := d.statements[i].validateOnResource(kind); invalid != nil {
			return invalid
		}
	}
	if ref, bad := d.invalidPrincipal(); bad {
		return &InvalidError{
			Rule:      RuleInvalidPrincipal,
			Message:   fmt.Sprintf("principal %s %s has no valid form", ref.Type, clip(ref.Value)),
			Principal: ref,
		}
	}
	return nil
}

func (st *statement) validateOnResource(kind Kind) *InvalidError {
	fail := func(rule Rule, what string) *InvalidError {
		return &InvalidError{Rule: rule, Message: fmt.Sprintf("line %d, column %d: %s", st.start.Line, st.start.Column, what)}
	}
	switch {
	case !st.hasPrincipal:
		return fail(RulePrincipal, "statement without Principal")
	case st.principal.negated && !st.deny:
		return fail(RulePrincipal, "NotPrincipal with Effect Allow")
	case len(st.actions) == 0:
		return fail(RuleAction, "statement without actions")
	case len(st.resources) == 0 && (kind != KindKey || st.hasResource):
		// KMS accepts a statement without Resource, which never matches
		// (spec kms.md 8.1).
		return fail(RuleResource, "statement without resources")
	}
	for i := range st.resources {
		if invalid := checkResource(st.resources[i].source); invalid != nil {
			return fail(RuleResource, invalid.Message)
		}
	}
	for i := range st.actions {
		if message := checkAction(st.actions[i].source); message != "" {
			return fail(RuleAction, message)
		}
	}
	return nil
}
