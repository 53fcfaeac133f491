package auth_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/wire"
)

// The ways in which a call reaches a service.
const (
	public = iota
	private
	socket
	certified
	nested
	ways
)

func endpointOf(t *testing.T, text string) *wire.Endpoint {
	t.Helper()
	doc, err := policy.ParseAs([]byte(text), policy.KindEndpoint)
	if err != nil {
		t.Fatal(err)
	}
	return &wire.Endpoint{
		ID: "vpce-0123456789abcdef0", VPC: "vpc-0a1b2c3d4e5f60718", Account: "444455556666", VPCARN: "arn:aws:ec2:us-east-1:444455556666:vpc/vpc-0a1b2c3d4e5f60718",
		Policy: &policy.Source{ID: "vpce-0123456789abcdef0", Doc: doc, Kind: policy.KindEndpoint},
	}
}

const fullAccess = `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}`

// arrive makes a call come in by a way.
func arrive(t *testing.T, c *wire.Call, way int) {
	t.Helper()
	if way == public {
		return
	}
	c.Endpoint, c.Source = endpointOf(t, fullAccess), netip.MustParseAddr("10.20.0.7")
	switch way {
	case socket:
		c.Source, c.SourceName = netip.Addr{}, "unix:uid=1001"
	case certified:
		c.ClientCert = &wire.ClientCert{Subject: "CN=app,O=Team A", SANs: []string{"DNS:app.team-a.internal", "URI:spiffe://team-a/app"}}
	case nested:
		parent := *c
		c.Parent, c.Via, c.Endpoint = &parent, "secretsmanager.amazonaws.com", nil
	}
}

// TestNetworkKeys is the matrix of ways and operators (spec network-metering.md
// A1): a key that is missing matches no positive operator, every negated one and
// …IfExists.
func TestNetworkKeys(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		condition string
		holds     [ways]bool // public, private, socket, certified, nested
	}{
		{`"StringEquals":{"aws:SourceVpce":"vpce-0123456789abcdef0"}`, [ways]bool{false, true, true, true, false}},
		{`"StringEquals":{"aws:SourceVpce":"vpce-0123456789abcdef1"}`, [ways]bool{}},
		{`"StringNotEquals":{"aws:SourceVpce":"vpce-0123456789abcdef0"}`, [ways]bool{true, false, false, false, true}},
		{`"StringNotEquals":{"aws:SourceVpce":"vpce-0123456789abcdef1"}`, [ways]bool{true, true, true, true, true}},
		{`"StringEqualsIfExists":{"aws:SourceVpce":"vpce-0123456789abcdef0"}`, [ways]bool{true, true, true, true, true}},
		{`"StringEqualsIfExists":{"aws:SourceVpce":"vpce-0123456789abcdef1"}`, [ways]bool{true, false, false, false, true}},
		{`"StringNotEqualsIfExists":{"aws:SourceVpce":"vpce-0123456789abcdef0"}`, [ways]bool{true, false, false, false, true}},
		{`"StringLike":{"aws:SourceVpce":"vpce-*"}`, [ways]bool{false, true, true, true, false}},
		{`"Null":{"aws:SourceVpce":"true"}`, [ways]bool{true, false, false, false, true}},
		{`"Null":{"aws:SourceVpce":"false"}`, [ways]bool{false, true, true, true, false}},
		// The classic perimeter, written as a Deny, and the exception that it needs.
		{`"StringNotEquals":{"aws:SourceVpce":"vpce-0123456789abcdef0"},"Bool":{"aws:ViaAWSService":"false"}`, [ways]bool{true, false, false, false, false}},
		{`"Bool":{"aws:ViaAWSService":"true"}`, [ways]bool{nested: true}},
		{`"Bool":{"aws:ViaAWSService":"false"}`, [ways]bool{true, true, true, true, false}},
		{`"Null":{"aws:ViaAWSService":"true"}`, [ways]bool{}},

		{`"StringEquals":{"aws:SourceVpc":"vpc-0a1b2c3d4e5f60718"}`, [ways]bool{false, true, true, true, false}},
		{`"StringNotEquals":{"aws:SourceVpc":"vpc-0a1b2c3d4e5f60718"}`, [ways]bool{true, false, false, false, true}},
		{`"Null":{"aws:SourceVpc":"true"}`, [ways]bool{true, false, false, false, true}},
		{`"ArnLike":{"aws:SourceVpcArn":"arn:aws:ec2:*:444455556666:vpc/*"}`, [ways]bool{false, true, true, true, false}},
		{`"ArnNotEquals":{"aws:SourceVpcArn":"arn:aws:ec2:us-east-1:444455556666:vpc/vpc-0a1b2c3d4e5f60718"}`, [ways]bool{true, false, false, false, true}},
		{`"StringEquals":{"aws:VpceAccount":"444455556666"}`, [ways]bool{false, true, true, true, false}},
		{`"StringNotEquals":{"aws:VpceAccount":"${aws:PrincipalAccount}"}`, [ways]bool{true, true, true, true, true}},

		{`"IpAddress":{"aws:VpcSourceIp":"10.20.0.0/16"}`, [ways]bool{false, true, false, true, false}},
		{`"IpAddress":{"aws:VpcSourceIp":"10.21.0.0/16"}`, [ways]bool{}},
		{`"NotIpAddress":{"aws:VpcSourceIp":"10.20.0.0/16"}`, [ways]bool{true, false, true, false, true}},
		{`"IpAddressIfExists":{"aws:VpcSourceIp":"10.21.0.0/16"}`, [ways]bool{true, false, true, false, true}},
		{`"Null":{"aws:VpcSourceIp":"true"}`, [ways]bool{true, false, true, false, true}},
		{`"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}`, [ways]bool{public: true}},
		{`"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}`, [ways]bool{public: true}},
		{`"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}`, [ways]bool{false, true, true, true, true}},
		{`"NotIpAddressIfExists":{"aws:SourceIp":"192.0.2.0/24"}`, [ways]bool{false, true, true, true, true}},
		{`"Null":{"aws:SourceIp":"true"}`, [ways]bool{false, true, true, true, true}},

		{`"StringEquals":{"net:ClientCertSubject":"CN=app,O=Team A"}`, [ways]bool{certified: true}},
		{`"ForAnyValue:StringEquals":{"net:ClientCertSAN":"URI:spiffe://team-a/app"}`, [ways]bool{certified: true}},
		{`"ForAnyValue:StringEquals":{"net:ClientCertSAN":"DNS:spiffe://team-a/app"}`, [ways]bool{}},
		{`"Null":{"net:ClientCertSubject":"true","net:ClientCertSAN":"true"}`, [ways]bool{true, true, true, false, true}},
		{`"Null":{"aws:VpceOrgID":"true","aws:VpceOrgPaths":"true"}`, [ways]bool{true, true, true, true, true}},
	} {
		for way, want := range c.holds {
			id := user(t, "bob", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{`+c.condition+`}}]}`)
			s := service(&directory{identities: map[string]*auth.Identity{id.Principal.AccessKeyID: id}}, &generation{1}, time.Now)
			w := call("kms", id.Principal)
			arrive(t, w, way)
			got, err := s.Would(wire.NewContext(t.Context(), w), &auth.Request{Action: "kms:Op", Resource: "*"})
			if err != nil || got != want {
				t.Errorf("%s by way %d: %v, %v", c.condition, way, got, err)
			}
		}
	}
}

// TestEndpointPolicy: it gives nothing, and must allow what passes.
func TestEndpointPolicy(t *testing.T) {
	t.Parallel()
	const all = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
	for _, c := range []struct{ name, identity, endpoint, denial string }{
		{"full access", all, fullAccess, ""},
		{"gives nothing", "", fullAccess, "because no identity-based policy allows the kms:Op action"},
		{"other action", all, `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"kms:Other","Resource":"*"}]}`, "because no VPC endpoint policy allows the kms:Op action"},
		{"other principal", all, `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":"*","Resource":"*"}]}`, "because no VPC endpoint policy allows the kms:Op action"},
		{"own account", all, `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalAccount":"` + account + `"}}}]}`, ""},
		{"deny", all, `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"},{"Effect":"Deny","Principal":"*","Action":"kms:*","Resource":"*"}]}`, "with an explicit deny in a VPC endpoint policy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := user(t, "bob", c.identity)
			s := service(&directory{identities: map[string]*auth.Identity{id.Principal.AccessKeyID: id}}, &generation{1}, time.Now)
			w := call("kms", id.Principal)
			w.Endpoint = endpointOf(t, c.endpoint)
			err := s.Authorize(wire.NewContext(t.Context(), w), &auth.Request{Action: "kms:Op", Resource: "*", Shown: "*"})
			want := ""
			if c.denial != "" {
				want = "AccessDeniedException: User: " + id.Principal.ARN + " is not authorized to perform: kms:Op on resource: * " + c.denial
			}
			if got := message(err); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			// A call that needs no permission asks the endpoint alone.
			w = call("sts", id.Principal)
			w.Operation, w.Endpoint = "GetCallerIdentity", endpointOf(t, c.endpoint)
			_, err = s.Current(wire.NewContext(t.Context(), w))
			if refused := c.name == "other action" || c.name == "other principal"; (err != nil) != refused {
				t.Errorf("GetCallerIdentity: %v", err)
			}
		})
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
