package policygen

import (
	"encoding/json"
	"math/rand/v2"

	"github.com/strongroom/strongroom/internal/policy/reference"
)

// ResourcePolicy returns a well-formed resource policy that speaks of everyone,
// or nearly, under conditions that hold the callers to fixed values, or nearly
// (§11).
func ResourcePolicy(r *rand.Rand) json.RawMessage {
	g := generator{r, &reference.Vector{}}
	g.v.Request.Principal = g.caller()
	g.target()
	statements := []any{}
	for range 1 + r.IntN(2) {
		s := object{"Effect": "Allow", "Action": "*", "Resource": "*"}
		if g.chance(10) {
			s["Effect"] = "Deny"
		}
		switch n := r.IntN(100); {
		case n < 50:
			s["Principal"] = "*"
		case n < 60:
			s["Principal"] = object{"AWS": []any{one(g, uniqueIDs), "*"}}
		case n < 64:
			s["Principal"] = object{"Federated": "graph.facebook.com"}
		case n < 68:
			s["Principal"] = object{"Service": one(g, services), "CanonicalUser": "79a59df9"}
		case n < 74:
			s["Principal"] = object{"AWS": one(g, []string{
				"arn:aws:iam::" + home + ":group/g", "arn:aws:iam::" + home + ":user/", "1111", "AIDAALICE",
				"arn:aws:sts::" + home + ":assumed-role/app", "arn:aws:sts::" + home + ":federated-user/a/b",
			})}
		default:
			s["Principal"] = g.principalElement(false)
		}
		if g.chance(85) {
			block := object{}
			for range 1 + r.IntN(2) {
				block[g.pinOperator()] = object{g.keyCase(one(g, pinKeys)): g.oneOrMore(func() string { return one(g, pinValues) })}
			}
			s["Condition"] = block
		}
		statements = append(statements, s)
	}
	return encode(object{"Version": one(g, []string{"2012-10-17", "2012-10-17", "2008-10-17"}), "Statement": statements})
}

// pinOperator draws mostly among those that can pin.
func (g generator) pinOperator() string {
	name := one(g, []string{"StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike", "IpAddress", "IpAddress"})
	if op := one(g, operators); g.chance(15) && op.kind != dateKind {
		name = op.name
	}
	switch n := g.r.IntN(100); {
	case name == "Null":
	case n < 8:
		return "ForAllValues:" + name
	case n < 16:
		return "ForAnyValue:" + name
	case n < 26:
		return name + "IfExists"
	}
	return name
}

// pinKeys are the keys of §11 rule 2, those of addresses and ARNs more than
// once, and a few that pin nothing. pinValues fit some of them.
var (
	pinKeys = []string{
		"aws:PrincipalArn", "aws:PrincipalArn", "aws:SourceArn", "aws:SourceIp", "aws:SourceIp", "aws:VpcSourceIp",
		"aws:PrincipalAccount", "aws:PrincipalOrgID", "aws:PrincipalOrgPaths", "aws:PrincipalServiceName", "aws:userid",
		"aws:SourceAccount", "aws:SourceOwner", "aws:SourceVpc", "aws:SourceVpce", "aws:SourceOrgID", "kms:CallerAccount",
		"aws:UserAgent", "aws:SecureTransport", "aws:username", "kms:ViaService",
	}
	pinValues = []string{
		"vpc-1", "vpc-*", "vpc-?", "${aws:PrincipalAccount}", "${*}", home, "AROAID:*",
		"arn:aws:iam::111122223333:role/app", "arn:aws:iam::111122223333:role/*", "arn:aws:iam::*:role/app", "arn:aws:s3:::bucket",
		"arn:aws:s3:::*", "arn:aws:iam", "arn:aws:iam::111122223333", "arn:${a:b}:iam:111122223333:*", "arn:*:*:*:111122223333:*", "*",
		"203.0.113.7", "203.0.113.0/24", "10.0.0.0/8", "11.0.0.0/7", "0.0.0.0/1", "192.168.0.0/16", "2001:db8::/32", "2001:db8::/31", "2001:db8::1",
		"::ffff:10.0.0.0/104", "::ffff:10.0.0.0/103", "::ffff:0.0.0.0/95", "fe80::1%eth0", "10.0.0.0/33",
	}
)
