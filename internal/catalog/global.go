package catalog

import "iter"

// global are the condition keys that belong to no service (spec
// iam-policy-evaluation.md 6), sorted by folded name. What tags a request sets and
// what tags its resource has is left to the tables of the actions that have them.
var global = [...]key{
	{"aws:AssumedRoot", 0, String, false},
	{"aws:CalledVia", 0, String, true},
	{"aws:CalledViaFirst", 0, String, false},
	{"aws:CalledViaLast", 0, String, false},
	{"aws:CurrentTime", 0, Date, false},
	{"aws:Ec2InstanceSourcePrivateIPv4", 0, IP, false},
	{"aws:Ec2InstanceSourceVpc", 0, String, false},
	{"aws:EpochTime", 0, Date, false},
	{"aws:FederatedProvider", 0, String, false},
	{"aws:MultiFactorAuthAge", 0, Numeric, false},
	{"aws:MultiFactorAuthPresent", 0, Bool, false},
	{"aws:PrincipalAccount", 0, String, false},
	{"aws:PrincipalArn", 0, ARN, false},
	{"aws:PrincipalIsAWSService", 0, Bool, false},
	{"aws:PrincipalOrgID", 0, String, false},
	{"aws:PrincipalOrgPaths", 0, String, true},
	{"aws:PrincipalServiceName", 0, String, false},
	{"aws:PrincipalServiceNamesList", 0, String, true},
	{"aws:PrincipalTag/${TagKey}", 17, String, false},
	{"aws:PrincipalType", 0, String, false},
	{"aws:referer", 0, String, false},
	{"aws:RequestedRegion", 0, String, false},
	{"aws:ResourceAccount", 0, String, false},
	{"aws:ResourceOrgID", 0, String, false},
	{"aws:ResourceOrgPaths", 0, String, true},
	{"aws:SecureTransport", 0, Bool, false},
	{"aws:SourceAccount", 0, String, false},
	{"aws:SourceArn", 0, ARN, false},
	{"aws:SourceIdentity", 0, String, false},
	{"aws:SourceIp", 0, IP, false},
	{"aws:SourceOrgID", 0, String, false},
	{"aws:SourceOrgPaths", 0, String, true},
	{"aws:SourceOwner", 0, String, false},
	{"aws:SourceVpc", 0, String, false},
	{"aws:SourceVpcArn", 0, ARN, false},
	{"aws:SourceVpce", 0, String, false},
	{"aws:TokenIssueTime", 0, Date, false},
	{"aws:UserAgent", 0, String, false},
	{"aws:userid", 0, String, false},
	{"aws:username", 0, String, false},
	{"aws:ViaAWSService", 0, Bool, false},
	{"aws:VpceAccount", 0, String, false},
	{"aws:VpceOrgID", 0, String, false},
	{"aws:VpceOrgPaths", 0, String, true},
	{"aws:VpcSourceIp", 0, IP, false},
	// Ours: what the certificate says that a client showed to a private endpoint.
	{"net:ClientCertSAN", 0, String, true},
	{"net:ClientCertSubject", 0, String, false},
}

// Global returns the global condition key of a name in any case.
func Global(name string) (Key, bool) {
	if i := search(len(global), name, func(i int) string { return global[i].name }); i >= 0 && global[i].fixed == 0 {
		return Key{&global[i]}, true
	}
	for i := range global {
		if global[i].fixed > 0 && global[i].matches(name) {
			return Key{&global[i]}, true
		}
	}
	return Key{}, false
}

// Globals yields the global keys in the order of their names.
func Globals() iter.Seq[Key] {
	return func(yield func(Key) bool) {
		for i := range global {
			if !yield(Key{&global[i]}) {
				return
			}
		}
	}
}
