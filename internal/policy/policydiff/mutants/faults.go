package main

// fault is one mistake that somebody could make in the engine.
type fault struct {
	file     string // in internal/policy
	old, new string // old stands in the file exactly once
	breaks   string
}

// faults is the list. Each compiles, and each changes some decision; what only
// costs time or changes a message does not belong here.
var faults = []fault{
	// Actions.
	{"evaluate.go", "\t\t\tc += 'a' - 'A'\n", "", "the request's action keeps its case"},
	{"document.go", "compile(lowerASCII(source), true, false)", "compile(source, true, false)", "action patterns keep their case"},
	{"document.go", "\treturn strings.Map(func(r rune) rune {", "\ts = strings.ToLower(s)\n\treturn strings.Map(func(r rune) rune {", "letters beyond ASCII are folded in actions"},
	{"document.go", "if !found || hasWildcard(service) {", "if !found && !hasWildcard(service) {", "statements with a wildcard in the service are passed over"},
	{"document.go", "\tif st.notAction {\n\t\treturn anyBit, anyBit\n\t}\n", "", "NotAction reaches only the services it lists"},
	{"document.go", "if a.shape != shapeExact {", "if false {", "statements with a wildcard in the action are passed over"},
	{"document.go", "if last.shape != shapeExact && last.shape != shapePrefix {\n\t\treturn anyBit\n\t}\n", "", "statements with a wildcard in the resource are passed over"},
	{"document.go", "if st.hasResource && !st.notResource {\n\t\tg.resources = 0", "if st.hasResource {\n\t\tg.resources = 0", "NotResource reaches only the resources it lists"},
	{"document.go", "bits, h, done := uint64(1)", "bits, h, done := uint64(0)", "operations without resource are passed over"},
	{"context.go", "s.key == key && key != \"\"", "s.key != \"\"", "one condition key answers for another"},
	{"parse.go", "st.everything = st.everything || a.all", "st.everything = true", "any Resource is everything"},
	{"document.go", "len(action) >= len(a.text) &&", "len(action) > len(a.text) &&", "'*' at the end of an action needs a character"},
	{"evaluate.go", "\t\t\treturn !st.notAction\n", "\t\t\treturn true\n", "NotAction is read as Action"},

	// Resources and patterns.
	{"pattern.go", "\t// The last part tells", "\tif glob(encode(a.source, true), e.q.Resource) {\n\t\treturn true\n\t}\n\t// The last part tells", "'*' crosses the parts of an ARN in Resource"},
	{"condition.go", "if o.arn.matchesParts(&arn) {", "if o.arn.matchesParts(&arn) || glob(encode(o.written, true), s) {", "'*' crosses the parts of an ARN in conditions"},
	{"pattern.go", "parts[arnParts-1] = s\n", "parts[arnParts-1], _, _ = strings.Cut(s, \":\")\n", "the sixth part of an ARN ends at a colon"},
	{"pattern.go", "\tif !e.hasARN {\n\t\treturn false\n", "\tif !e.hasARN {\n\t\treturn a.parts[0].shape == shapeAll\n", "'*:…' matches operations without resource"},
	{"pattern.go", "matchesIn(e.arn[arnParts-1], e)", "matchesIn(strings.ToLower(e.arn[arnParts-1]), e)", "resources lose their case"},
	{"pattern.go", "text := \"*\"", "text := \"\"", "the parts that an ARN pattern lacks match nothing"},
	{"glob.go", "si += width(s, si)", "si++", "'?' is a byte"},
	{"glob.go", "\tfor pi < len(p) && p[pi] == anyRun {\n\t\tpi++\n\t}\n", "", "'*' at the end of a pattern needs a character"},
	{"evaluate.go", "\t\treturn kind == KindTrust\n", "\t\treturn true\n", "a key policy's statement without Resource matches"},
	{"evaluate.go", "\t\treturn kind == KindTrust\n", "\t\treturn false\n", "a trust policy's statement without Resource does not match"},

	// Variables.
	{"parse.go", "p.variables = p.doc.version == Version2012", "p.variables = true", "variables count in policies of 2008"},
	{"pattern.go", "return piece{text: inner}, end + 1", "return piece{text: encode(inner, true)}, end + 1", "${*} is a wildcard"},
	{"pattern.go", "dst = append(dst, value...)", "dst = append(dst, encode(value, true)...)", "a variable's value is a pattern"},
	{"pattern.go", "value = piece.fallback", "value = encode(piece.fallback, true)", "a variable's default is a pattern"},
	{"pattern.go", "\t\tcase piece.hasDefault:\n", "\t\tcase false:\n", "a variable's default is ignored"},
	{"pattern.go", "\t\tcase ok:\n", "\t\tcase ok && !piece.hasDefault:\n", "a variable's default beats its value"},
	{"pattern.go", "\t\tdefault:\n\t\t\treturn dst, false\n", "", "a variable without value is the empty text"},
	{"pattern.go", `strings.TrimPrefix(text[len("${")+comma+1:], " ")`, `strings.TrimLeft(text[len("${")+comma+1:], " ")`, "any number of blanks before a default"},
	{"context.go", "if !ok || v.Multi || ", "if !ok || ", "a variable takes a multivalued key"},
	{"evaluate.go", "if st.resources[i].matches(e) || !st.resources[i].resolved(e) {", "if st.resources[i].matches(e) {", "NotResource matches with an unresolved variable"},
	{"condition.go", " || op == opBool\n", "\n", "Bool takes no variables"},

	// Conditions: keys, sets, negation.
	{"parse.go", "key: shared(strings.ToLower(key.name))", "key: key.name", "condition keys keep their case"},
	{"context.go", "if equalLower(tags[i].Key, lower) {", "if tags[i].Key == lower {", "names of tags keep their case"},
	{"context.go", "return v, !v.Multi || len(v.Many) > 0", "return v, true", "an empty set is a present key"},
	{"evaluate.go", "\tfor i := range st.conditions {\n\t\tif !st", "\tfor i := range st.conditions[:min(1, len(st.conditions))] {\n\t\tif !st", "only the first condition counts"},
	{"condition.go", "\tcase !present:\n\t\treturn c.negated\n", "\tcase !present:\n\t\treturn true\n", "a missing key satisfies positive operators"},
	{"condition.go", "\tcase !present:\n\t\treturn c.negated\n", "\tcase !present:\n\t\treturn false\n", "a missing key fails negated operators"},
	{"condition.go", "\tcase !present && c.ifExists:\n", "\tcase false:\n", "IfExists is forgotten"},
	{"condition.go", "\tcase !present && c.quantifier == forAll:\n\t\treturn true\n", "\tcase !present && c.quantifier == forAll:\n\t\treturn false\n", "ForAllValues on an empty set is false"},
	{"condition.go", "\tcase !present && c.quantifier == forAny:\n\t\treturn false\n", "\tcase !present && c.quantifier == forAny:\n\t\treturn c.negated\n", "ForAnyValue of a negated operator on an empty set is true"},
	{"condition.go", "if quantifier == forAll && one == \"\" {", "if false {", "ForAllValues counts empty strings"},
	{"condition.go", "return c.quantifier == forAll && v.One == \"\" || c.accepts(e, v.One)", "return c.accepts(e, v.One)", "ForAllValues counts an empty single value"},
	{"condition.go", "\t\tif c.negated {\n\t\t\tquantifier = forAll\n\t\t}\n", "", "a negated operator without qualifier is like ForAnyValue"},
	{"condition.go", "c.values[i].truth != present", "c.values[i].truth == present", "Null is the wrong way round"},
	{"condition.go", "return c.meets(e, s) != c.negated", "return c.meets(e, s)", "negated operators are not negated"},

	// Conditions: operators.
	{"condition.go", "\tcase op == opStringEquals || op == opStringFold:\n\t\to.text = compile(written, false,", "\tcase op == opStringEquals || op == opStringFold:\n\t\to.text = compile(written, true,", "StringEquals knows wildcards"},
	{"condition.go", "return strings.EqualFold(o.text.text, s)", "return o.text.text == s", "IgnoreCase does not ignore case"},
	{"condition.go", "\t\treturn order < 0\n", "\t\treturn order <= 0\n", "LessThan includes equal"},
	{"condition.go", "\treturn order >= 0\n", "\treturn order > 0\n", "GreaterThanEquals leaves out equal"},
	{"value.go", "strings.TrimRight(fraction, \"0\")", "fraction", "30 and 30.0 differ"},
	{"value.go", "\tif d.negative {\n\t\treturn -order\n\t}\n", "", "negative numbers are ordered like positive ones"},
	{"value.go", "if allDigits(s) {\n\t\tseconds", "if allDigits(s) && len(s) != 4 {\n\t\tseconds", "four digits are a year"},
	{"value.go", "if s[sign] == '-' {", "if s[sign] == '+' {", "zones of dates count the wrong way"},
	{"value.go", "for range 9 - len(fraction) {", "for range 0 {", "fractions of a second are nanoseconds"},
	{"value.go", "if midnight.Day() != day {", "if false {", "30 February is a date"},
	{"value.go", "strings.EqualFold(s, \"true\")", "s == \"true\"", "Bool minds case"},
	{"value.go", "netip.PrefixFrom(addr, addr.BitLen()), true", "netip.PrefixFrom(addr, addr.BitLen()-1), true", "a bare address is a range of two"},
	{"value.go", "return addr.Unmap(), true", "return addr, true", "IPv4 addresses in IPv6 form stay IPv6"},
	{"value.go", "if p.Addr().Is4In6() && p.Bits() >= 96 {", "if false {", "IPv4 ranges in IPv6 form stay IPv6"},
	{"condition.go", "c.values[i].network.Contains(addr)", "(c.values[i].network.Bits() == 0 || c.values[i].network.Contains(addr))", "/0 holds both address families"},
	{"condition.go", "bytes.Equal(c.values[i].bytes, b)", "bytes.Equal(c.values[i].bytes, b) && c.values[i].written == s", "BinaryEquals compares the base64"},

	// Principals.
	{"principal.go", "\t\treturn delegated\n", "\t\treturn direct\n", "a grant to the account needs no identity policy"},
	{"principal.go", "p.RoleARN == ref.Value {\n\t\t\treturn limited\n", "p.RoleARN == ref.Value {\n\t\t\treturn direct\n", "a grant to the role passes boundary and session policy"},
	{"principal.go", "case p.outsider() || p.Account != ref.Account:", "case p.outsider():", "every account is meant by one"},
	{"principal.go", "arn[1] != \"aws\"", "arn[1] == \"\"", "accounts of other partitions are this one's"},
	{"principal.go", "p.entityID() != ref.Value", "p.UserID != ref.Value", "the id of a role does not reach its sessions"},
	{"principal.go", "\t\treturn self && account\n", "\t\treturn self\n", "NotPrincipal spares a user without its account"},
	{"principal.go", "\t\treturn self && entity && account\n", "\t\treturn self && account || self && entity && false\n", "NotPrincipal spares a session without its role"},
	{"principal.go", "\tif p.Type == AssumedRole {\n\t\treturn p.RoleARN\n\t}\n", "", "aws:PrincipalArn is the session's ARN"},

	// Layers.
	{"evaluate.go", "case given == direct:", "case given == direct || given == limited:", "boundary ignored for grants to a role"},
	{"evaluate.go", "if s.Boundary != nil && !f.boundary.allow.found {", "if false {", "a boundary that does not allow is ignored"},
	{"evaluate.go", "(s.SessionPassed || p.Type == FederatedUser)", "s.SessionPassed", "a federated user without session policy is not limited"},
	{"evaluate.go", "if d := decideCaller(p, s, f); d.Outcome != Allow {", "if d := decideCaller(p, s, f); d.Outcome == ExplicitDeny {", "across accounts the caller's side is not asked"},
	{"evaluate.go", "\t\tif given == notNamed {\n\t\t\treturn implicit(onResource)\n\t\t}\n\t\tif p.Type != Root {", "\t\tif p.Type != Root {", "across accounts the owner's side is not asked"},
	{"evaluate.go", "case e.hasARN && e.arn[4] != \"\" && e.arn[4] != \"*\":", "case false:", "every resource is the caller's own"},
	{"evaluate.go", "\tif f.session.deny.found {\n\t\treturn explicit(LayerSession, f.session.deny)\n\t}\n", "", "an explicit deny in a session policy is ignored"},
	{"evaluate.go", "\t\tif f.boundary.deny.found {\n\t\t\treturn explicit(LayerBoundary, f.boundary.deny)\n\t\t}\n", "", "an explicit deny in a boundary is ignored"},
	{"evaluate.go", "\t\tif f.resource.deny.found {\n\t\t\treturn explicit(resourceLayer(s), f.resource.deny)\n\t\t}\n", "", "an explicit deny in a resource policy is ignored"},
	{"evaluate.go", "if d.Outcome == Allow && s.Endpoint != nil && !f.endpoint.allow.found {", "if false {", "an endpoint policy that does not allow is ignored"},
	{"evaluate.go", "if len(s.SCP) > 0 && !f.scp.allow.found {", "if false {", "a service control policy that does not allow is ignored"},
	{"evaluate.go", "case e.q.Mandatory && given == notNamed:", "case false:", "IAM alone opens keys and roles"},
	{"evaluate.go", "\tcase p.Type == Root:\n\t\treturn Decision{", "\tcase false:\n\t\treturn Decision{", "the root user needs a policy"},
	{"evaluate.go", "g == notNamed || !st.deny && f.allow[g].found", "g == notNamed || !st.deny && f.best() != notNamed", "the first grant counts, not the strongest"},

	// Grammar.
	{"json.go", "; dup && s.duplicate == nil {", "; dup && false {", "repeated members are accepted"},
	{"parse.go", "\n\tdefault:\n\t\treturn p.fail(m.pos, \"unknown element", "\n\tcase \"Comment\":\n\tdefault:\n\t\treturn p.fail(m.pos, \"unknown element", "unknown elements are accepted"},
	{"parse.go", "if c.op.isDate() && !o.usable {", "if false {", "policies may name dates that are none"},
	{"parse.go", "case n.text == string(EffectAllow):", "case strings.EqualFold(n.text, string(EffectAllow)):", "Effect ignores case"},
	{"validate.go", "if d.any(func(st *statement) bool { return st.hasPrincipal }) {", "if false {", "identity policies may name principals"},

	// Public policies.
	{"public.go", "c.negated || c.ifExists || c.quantifier == forAll", "c.negated || c.quantifier == forAll", "IfExists pins a public policy"},
	{"public.go", "c.negated || c.ifExists || c.quantifier == forAll", "c.negated || c.ifExists", "ForAllValues pins a public policy"},
	{"public.go", "c.negated || c.ifExists || c.quantifier == forAll", "c.ifExists || c.quantifier == forAll", "negated operators pin a public policy"},
	{"public.go", "widestIPv4 = 8", "widestIPv4 = 7", "a /7 is a fixed range"},
	{"public.go", "return ok && !strings.Contains", "return (ok || fixedText(s)) && !strings.Contains", "an ARN without its last parts is fixed"},
	{"public.go", "ServicePrincipal, CanonicalUser:", "ServicePrincipal, CanonicalUser, ProviderPrincipal:", "web identities are a fixed set"},
	{"public.go", "if st.deny || !st.hasPrincipal {", "if !st.hasPrincipal {", "a Deny of everyone makes a policy public"},
}
