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
//     §1.1 (ARN format, action vendors, sizes) belong to the services that store
//     policies; here such values simply match nothing.
//   - An unparsable value under a Date operator makes any policy malformed:
//     §1.1 records the refusal, and a Deny that can never match is worse.
//   - The resource policy counts as a role trust policy when the requested
//     action begins with "sts:". Then Resource and NotPrincipal are malformed
//     and the missing Resource matches. Which actions a trust policy names is
//     not checked.
//   - A resource or endpoint policy needs Principal (or NotPrincipal); a
//     statement without Resource is malformed outside trust policies and, where it
//     never matches (kms.md 8.1), key policies. The resource policy is a key
//     policy when §12 makes it mandatory for the sake of a key.
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
//   - A resource pattern with fewer than six parts, which §1.1 lets be stored, is
//     filled up with "*": a Deny of "arn:aws:secretsmanager:*" must not be void.
//     It does not match operations without resource, and neither does "**".
//   - "?" stands for one Unicode code point, not one byte. Case is folded for the
//     letters A to Z in actions, by strings.EqualFold in keys and values.
//
// Variables (§3):
//   - A resource pattern is cut at its first five colons before variables are
//     looked for. A condition value of an Arn operator is expanded first and cut
//     afterwards, so a variable may yield a whole ARN.
//   - A variable ends at the first "}" outside a well-formed default, which holds
//     no quote. Without an end, "${" is ordinary text. Text between the braces
//     that is no name with a well-formed default is a name that no context has.
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
//     and CanonicalUser match no caller that a vector can describe.
//   - A unique id (AIDA…, AROA…) stands for the ARN of the user or role that has
//     it, since that is how ARNs are stored.
//
// Conditions (§5):
//   - A negated operator is the plain negation of its counterpart, so a value
//     that cannot be parsed differs from everything.
//   - An empty multivalued key is a missing key for every operator. An empty
//     string is a value, except that ForAllValues skips it, and so do negated
//     operators without a qualifier on a multivalued key, which are like it.
//   - Numbers are a sign and digits with a point anywhere among them, compared
//     exactly. Exponents and spaces cannot be parsed.
//   - Dates of digits only are epoch seconds, also when they look like a year; a
//     minus makes a year. Fractions of epoch seconds cannot be parsed. ISO dates
//     are read as widely as the suites of §1.1 show IAM to store them: each part
//     after the year may be missing, numbers may lack their leading zero, and a
//     time without a zone is UTC. Fractions have at most nine digits.
//   - An IPv4-mapped IPv6 address, or range of them, is IPv4. Zones cannot be
//     parsed. A request value must be an address, not a prefix.
//   - BinaryEquals decodes padded standard base64 on both sides and compares the
//     bytes, so the unused bits of the last character do not count.
//   - An Arn operator's value with fewer than six parts is filled up with "*".
//     The request's value must have six.
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
//   - Service control policies are a union. When there are some, one must allow,
//     whoever calls.
//
// Public policies (§11):
//   - A condition narrows whoever is not fixed by rule 1, providers included: a
//     part of everybody is not wider than everybody. Elements of no known form
//     are not fixed.
//   - Text with "${" is never fixed, whatever the version. ARN operators fix ARN
//     keys only, and only with all six parts, since missing ones match anything;
//     the account then excuses wildcards. Address keys are fixed by narrow ranges
//     under string operators too, IpAddress fixes no other key.
package reference
