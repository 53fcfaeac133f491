package config

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

const twoEndpoints = `network:
  vpcs:
    - id: vpc-0a1b2c3d4e5f60718
      account: "111122223333"
      cidrs: [10.20.0.0/16, "fd12:3456::/48"]
  endpoints:
    - id: vpce-0123456789abcdef0
      vpc: vpc-0a1b2c3d4e5f60718
      services: [secretsmanager, kms]
      listen: ["10.20.0.5:443", "unix:/run/strongroom/team-a.sock"]
      dns_names: [secretsmanager.us-east-1.amazonaws.com, "*.team-a.internal"]
      policy_file: team-a.json
      allow_cidrs: [10.20.0.0/16]
      client_ca: team-a-ca.pem
    - id: vpce-0123456789abcdef1
      vpc: vpc-0a1b2c3d4e5f60718
      listen: ["10.20.0.6:443"]
      proxy_protocol: {mode: v2, trusted: [10.20.0.2/32], endpoint_from_tlv: true}
    - id: vpce-0123456789abcdef2
      vpc: vpc-0a1b2c3d4e5f60718
      listen: ["10.20.0.6:443"]
      proxy_protocol: {mode: v2, trusted: [10.20.0.2/32], endpoint_from_tlv: true}
  public: {listen: ["127.0.0.1:8443", "127.0.0.1:8444"], enabled: true}
`

func TestNetwork(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, twoEndpoints)
	c, err := Load(dir, none, nil)
	if err != nil {
		t.Fatal(err)
	}
	e := c.Network.Endpoints[0]
	if len(c.Network.Endpoints) != 3 || e.ClientAuthMode() != ClientAuthRequire || c.Network.Endpoints[1].ClientAuthMode() != ClientAuthOff {
		t.Errorf("%+v", c.Network)
	}
	if c.Listen != "127.0.0.1:8443" || c.URL() != "https://127.0.0.1:8443" || len(c.PublicListen()) != 2 {
		t.Errorf("public at %s, %v, URL %s", c.Listen, c.PublicListen(), c.URL())
	}
	if got := c.Path(e.PolicyFile); got != dir+"/team-a.json" {
		t.Errorf("policy file is %s", got)
	}
	env := func(k string) string { return map[string]string{EnvListen: "127.0.0.1:9"}[k] }
	if c, err = Load(dir, env, nil); err != nil || !slices.Equal(c.PublicListen(), []string{"127.0.0.1:9"}) {
		t.Errorf("the environment says 127.0.0.1:9: %v, %v", c.PublicListen(), err)
	}
	if !strings.Contains(c.Redacted(), "vpce-0123456789abcdef2") {
		t.Errorf("config check does not show the endpoints:\n%s", c.Redacted())
	}
	write(t, dir, strings.Replace(twoEndpoints, "enabled: true", "enabled: false", 1))
	if c, err = Load(dir, none, nil); err != nil || len(c.PublicListen()) != 0 || c.URL() != "https://10.20.0.5:443" {
		t.Errorf("private only: %v, %s, %v", c.PublicListen(), c.URL(), err)
	}
}

func TestNetworkRefused(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"unknown key", "allow_cidrs", "allow_cidr", `:13: there is no setting "allow_cidr" here`},
		{"id of a VPC", "- id: vpc-0a1b2c3d4e5f60718", "- id: vpc-1", `:3: "vpc-1" is not the id of a VPC`},
		{"id of an endpoint", "vpce-0123456789abcdef1", "vpce-X", `:15: "vpce-X" is not the id of an endpoint`},
		{"two of one id", "vpce-0123456789abcdef1", "vpce-0123456789abcdef0", ":15: there are two endpoints vpce-0123456789abcdef0"},
		{"two VPCs of one id", "  endpoints:\n", "    - id: vpc-0a1b2c3d4e5f60718\n  endpoints:\n", ":6: there are two VPCs"},
		{"unknown VPC", "      vpc: vpc-0a1b2c3d4e5f60718\n      services", "      vpc: vpc-0a1b2c3d\n      services", `:8: endpoint vpce-0123456789abcdef0: there is no VPC "vpc-0a1b2c3d"`},
		{"account", `"111122223333"`, `"1111"`, `:4: account "1111" is not 12 digits`},
		{"range", "[10.20.0.0/16, ", "[10.20.0.0, ", `:5: VPC vpc-0a1b2c3d4e5f60718: "10.20.0.0" is not an address range`},
		{"bits behind the mask", "allow_cidrs: [10.20.0.0/16]", "allow_cidrs: [10.20.0.5/16]", ":13: endpoint vpce-0123456789abcdef0: 10.20.0.5/16 has bits behind its mask; the range is 10.20.0.0/16"},
		{"ranges that overlap", "[10.20.0.0/16, ", "[10.20.0.0/16, 10.20.1.0/24, ", "10.20.0.0/16 and 10.20.1.0/24 overlap"},
		{"mapped range", "[10.20.0.0/16, ", `["::ffff:10.0.0.0/104", `, "IPv4 range in IPv6 form"},
		{"nowhere", `["10.20.0.5:443", "unix:/run/strongroom/team-a.sock"]`, "[]", ":10: endpoint vpce-0123456789abcdef0: it listens nowhere"},
		{"no port", "10.20.0.5:443", "10.20.0.5", ":10: endpoint vpce-0123456789abcdef0: listen \"10.20.0.5\" is neither"},
		{"relative socket", "unix:/run/strongroom/team-a.sock", "unix:team-a.sock", "is not absolute"},
		{"long socket", "unix:/run/strongroom/team-a.sock", "unix:/" + strings.Repeat("a", 107), "too long"},
		{"address of another", `"10.20.0.5:443"`, `"10.20.0.6:443"`, ":17: endpoint vpce-0123456789abcdef1 listens on 10.20.0.6:443, which endpoint vpce-0123456789abcdef0 has already"},
		{"address of all", `"10.20.0.5:443"`, `"0.0.0.0:443"`, "has already"},
		{"address of the public listener", `"10.20.0.5:443"`, `"127.0.0.1:8444"`, "listens on 127.0.0.1:8444, which the public listener has already"},
		{"other load balancers", "[10.20.0.2/32], endpoint_from_tlv: true}\n    - id: vpce-0123456789abcdef2", "[10.20.0.3/32], endpoint_from_tlv: true}\n    - id: vpce-0123456789abcdef2", "both must trust the same addresses"},
		{"nobody trusted", "trusted: [10.20.0.2/32], endpoint_from_tlv: true}\n    - id: vpce-0123456789abcdef2", "trusted: []}\n    - id: vpce-0123456789abcdef2", "proxy_protocol needs trusted"},
		{"version 1", "mode: v2", "mode: v1", `proxy_protocol "v1" is not v2`},
		{"no mode", "{mode: v2, trusted", "{trusted", "needs mode: v2"},
		{"client_auth", "client_ca: team-a-ca.pem", "client_auth: maybe", `client_auth "maybe" is none of`},
		{"client_auth without authority", "client_ca: team-a-ca.pem", "client_auth: require", "needs client_ca"},
		{"certificate without key", "client_ca: team-a-ca.pem", "certificate: a.pem", "both certificate and key"},
		{"name", "secretsmanager.us-east-1.amazonaws.com", "Secrets_", "is not a host name"},
		{"connections", "client_ca: team-a-ca.pem", "connections: -1", "too few"},
		{"users without a socket", `listen: ["10.20.0.6:443"]`, "peer_uids: [1]\n      listen: [\"10.20.0.7:443\"]", ":17: endpoint vpce-0123456789abcdef1: peer_uids needs a Unix socket"},
		{"two public addresses", "network:\n", "listen: 127.0.0.1:1\nnetwork:\n", "both name the public address"},
		{"public address", "127.0.0.1:8444", "nowhere", `listen "nowhere" is not host:port`},
		{"plain HTTP for all", `"127.0.0.1:8444"`, `"0.0.0.0:8444"]}` + "\ninsecure_http: true\n#", "insecure_http works on loopback only"},
	} {
		text := strings.Replace(twoEndpoints, c.old, c.new, 1)
		if text == twoEndpoints {
			t.Errorf("%s: %q is not in the text", c.name, c.old)
		}
		dir := t.TempDir()
		write(t, dir, text)
		_, err := Load(dir, none, nil)
		if _, ok := errors.AsType[*Mistake](err); !ok || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	dir := t.TempDir()
	write(t, dir, "network: {public: {enabled: false}}\n")
	if _, err := Load(dir, none, nil); err == nil || !strings.Contains(err.Error(), "nobody could reach the API") {
		t.Errorf("without any listener: %v", err)
	}
}
