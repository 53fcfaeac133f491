// Package reference is the slow, obvious second implementation of the IAM
// policy language. It exists to be compared with: a differential fuzz test
// gives the same vector to this package and to the engine that serves
// requests, and every disagreement is a bug in one of them or a gap in the
// specification. Nothing outside tests may import it.
//
// It was written from spec iam-policy-evaluation.md alone. Section signs in
// this package (§5.1) point into that text. Each rule stands once, under the
// section that states it, as a plain loop over maps that came out of
// encoding/json: nothing is compiled, cached, ordered for speed or shared
// between two rules that only look alike.
//
// The one invariant: the answer depends on the vector alone. No clock, no
// randomness, no state survives a call, and map order never shows.
//
// # Choices
//
// Where the specification is silent or can be read in two ways, this package
// does the following. A disagreement found by the fuzz test is first looked up
// here.
//
// Grammar (§1):
//   - A policy is malformed when it breaks the grammar, the element table or the
//     "Syntax errors in policy." list of §1.1, names a principal that §4 calls
//     invalid, or combines NotPrincipal with Allow. The remaining checks of
//     §1.1 (ARN format, action vendors, date values, sizes) belong to the
//     services that store policies; here such values simply match nothing.
//   - The resource policy counts as a role trust policy when the requested
//     action begins with "sts:". Then Resource and NotPrincipal are malformed
//     and the missing Resource matches. Which actions a trust policy names is
//     not checked.
//   - A resource or endpoint policy needs Principal (or NotPrincipal); a
//     statement without Resource outside trust policies is malformed, although
//     kms.md 8.1 stores such a key policy and never matches it.
//   - Sid must be [A-Za-z0-9]* and unique in identity, boundary and session
//     policies only. An empty Sid is no Sid.
//   - An empty list is malformed for Statement, Action, NotAction, Resource,
//     NotResource, Principal and NotPrincipal, and so is a principal object
//     without members. An empty Condition, an empty operator and an empty list
//     of condition values are well-formed.
//   - Condition operators are case-sensitive. NullIfExists and a set qualifier
//     on Null are unknown operators.
//   - A JSON number is compared by its source text, also under String operators.
//   - An unknown principal type, and two context keys or tags that differ only
//     in case, make the vector itself an error.
//
// Matching (§2):
//   - Action patterns are matched against the whole "service:name" text, so a
//     pattern without a colon can match only through a wildcard.
//   - A resource pattern with fewer than six parts, other than "*", matches
//     nothing. "**" is not "*".
//   - "?" stands for one Unicode code point, not one byte. Case is folded by
//     strings.ToLower for actions, strings.EqualFold for keys and values.
//
// Variables (§3):
//   - A resource pattern is cut at its first five colons before variables are
//     looked for. A condition value of an Arn operator is expanded first and cut
//     afterwards, so a variable may yield a whole ARN.
//   - A variable ends at the first "}". Without one, "${" is ordinary text. Text
//     between the braces that is no name with a well-formed default is a name
//     that no context has.
//   - Wildcard characters in a default are literal, like those in a value.
//   - A multivalued key is as good as missing: the default applies.
//   - A present key with an empty value yields the empty text, not the default.
//   - A condition value with an unresolved variable equals nothing; the other
//     values beside it are compared as usual.
//   - One unresolved pattern in NotResource keeps the statement from matching,
//     whatever the others say.
//
// Principals (§4):
//   - "*" includes service principals, for Allow as for Deny.
//   - An IAM user ARN names the federated users of that user too (the table of
//     §7 says so for Allow), and a federated user is spared by NotPrincipal when
//     federated-user ARN, user ARN and account are all listed. "*" spares
//     everybody; the root user needs its account, a service its name.
//   - Only the exact partition "aws" forms an account's root ARN.
//   - Wildcards in Service, Federated or CanonicalUser are malformed. Federated
//     and CanonicalUser match no caller that a vector can describe, and neither
//     do unique ids.
//
// Conditions (§5):
//   - A negated operator is the plain negation of its counterpart, so a value
//     that cannot be parsed differs from everything.
//   - An empty multivalued key is a missing key for every operator. An empty
//     string is a value, except that ForAllValues skips it.
//   - Numbers are a sign, digits and an optional fraction, compared exactly.
//     Exponents, spaces and bare points cannot be parsed.
//   - Dates of digits only (with an optional minus) are epoch seconds, also when
//     they look like a year. Fractions of epoch seconds cannot be parsed;
//     fractions of ISO seconds count to the nanosecond.
//   - An IPv4-mapped IPv6 address belongs to the IPv6 family. Zones cannot be
//     parsed. A request value must be an address, not a prefix.
//   - BinaryEquals decodes padded standard base64 on both sides.
//   - An Arn operator's value with fewer than six parts matches nothing, "*"
//     included.
//   - Null accepts true and false as Bool does; other values match nothing.
//
// Decision (§7, §8):
//   - Service principals and anonymous callers have no account: the resource
//     policy of any account decides alone, identity policies never allow. Their
//     aws:PrincipalType is "Anonymous" or missing.
//   - A federated user granted by its own account is a delegation as for a role
//     session: identity, boundary and session policies must allow.
//   - For the root user, boundary and session policies only deny.
//   - An empty list of session policies is the same as none.
//   - Outside the table of §7 a session policy binds whoever has one.
//   - An endpoint policy has the grammar of a resource policy. When present it
//     must allow every caller, by whatever form of naming; its Deny wins.
package reference
