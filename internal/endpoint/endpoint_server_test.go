package endpoint_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

// TestListenersDecide is the matrix of listener and condition through the whole
// server: the same key reads through one listener and not through the others.
// Under a customer key each read asks twice, for the secret and, on the caller's
// behalf, for the key.
func TestListenersDecide(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(shortDir(t), "a.sock")
	s := servertest.Start(t, network(func(n *config.Network) {
		n.VPCs = []config.VPC{vpc(vpcA, "127.0.0.0/8"), vpc(vpcB, "127.0.0.0/8")}
		n.Endpoints = []config.Endpoint{private(idA, vpcA), private(idB, vpcB), private(idC, vpcA, "unix:"+socket)}
	}))
	key, err := s.KMS("").CreateKey(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	const name = "db"
	if _, err := s.Secrets().CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String(name), SecretString: aws.String("value of " + name), KmsKeyId: key.KeyMetadata.Arn}); err != nil {
		t.Fatal(err)
	}
	user := s.User(t, "app", "")
	const amazon = "secretsmanager.us-east-1.amazonaws.com"
	ways := []struct {
		name   string
		client *secretsmanager.Client
	}{
		{"public", s.SecretsAs(user, "")},
		{"A", sdk(s, user, client(t, s, to(address(t, s, idA), "127.0.0.5"), amazon))},
		{"B", sdk(s, user, client(t, s, to(address(t, s, idB), ""), amazon))},
		{"socket", sdk(s, user, client(t, s, to(socket, ""), amazon))},
	}
	for _, c := range []struct {
		name, secret, key string // conditions of the two statements
		holds             string // the ways that read
	}{
		{"no condition", ``, ``, "public A B socket"},
		{"one endpoint", `"StringEquals":{"aws:SourceVpce":"` + idA + `"}`, ``, "A"},
		{"not that endpoint", `"StringNotEquals":{"aws:SourceVpce":"` + idA + `"}`, ``, "public B socket"},
		{"that endpoint if any", `"StringEqualsIfExists":{"aws:SourceVpce":"` + idA + `"}`, ``, "public A"},
		{"no endpoint", `"Null":{"aws:SourceVpce":"true"}`, ``, "public"},
		{"one VPC", `"StringEquals":{"aws:SourceVpc":"` + vpcA + `"}`, ``, "A socket"},
		{"private address", `"IpAddress":{"aws:VpcSourceIp":"127.0.0.5/32"}`, ``, "A"},
		{"not that private address", `"NotIpAddress":{"aws:VpcSourceIp":"127.0.0.5/32"}`, ``, "public B socket"},
		{"public address", `"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}`, ``, "public"},
		{"not that public address", `"NotIpAddress":{"aws:SourceIp":"127.0.0.0/8"}`, ``, "A B socket"},
		{"owner of the endpoint", `"StringEquals":{"aws:VpceAccount":"444455556666"}`, ``, "A B socket"},
		{"ARN of the VPC", `"ArnEquals":{"aws:SourceVpcArn":"arn:aws:ec2:us-east-1:444455556666:vpc/` + vpcB + `"}`, ``, "B"},
		// The key is asked for by the service: no network key is there.
		{"key by the endpoint", ``, `"StringEquals":{"aws:SourceVpce":"` + idA + `"}`, ""},
		{"key not by the endpoint", ``, `"StringNotEquals":{"aws:SourceVpce":"` + idA + `"}`, "public A B socket"},
		{"key by an address", ``, `"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}`, ""},
		{"key by a service", ``, `"Bool":{"aws:ViaAWSService":"true"}`, "public A B socket"},
		{"key by nobody's service", ``, `"Bool":{"aws:ViaAWSService":"false"}`, ""},
		{"both", `"StringEquals":{"aws:SourceVpce":"` + idB + `"},"Bool":{"aws:ViaAWSService":"false"}`, `"Null":{"aws:SourceVpce":"true","aws:VpcSourceIp":"true","aws:SourceIp":"true"}`, "B"},
	} {
		s.SetPolicy(t, s.Admin, "app", `{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*","Condition":{`+c.secret+`}},
			{"Effect":"Allow","Action":"kms:Decrypt","Resource":"*","Condition":{`+c.key+`}}]}`)
		for _, w := range ways {
			code, text := read(t, w.client, name)
			if want := strings.Contains(" "+c.holds+" ", " "+w.name+" "); want != (code == "") || code != "" && !strings.HasPrefix(code, "AccessDenied") {
				t.Errorf("%s, through %s: %s %s", c.name, w.name, code, text)
			}
		}
	}
}

// shortDir is a directory whose name is short enough for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestPolicyOfTheEndpoint: what passes it must be allowed by it, calls that need
// no permission included, and not what a service calls behind it.
func TestPolicyOfTheEndpoint(t *testing.T) {
	t.Parallel()
	policy := file(t, "policy.json", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":"*","Action":"secretsmanager:*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalAccount":"111122223333"}}},
		{"Effect":"Deny","Principal":"*","Action":"secretsmanager:DeleteSecret","Resource":"*"}]}`)
	s := servertest.Start(t, network(func(n *config.Network) {
		n.VPCs = []config.VPC{vpc(vpcA)}
		e := private(idA, vpcA)
		e.PolicyFile, e.Services = policy, []string{"secretsmanager", "kms", "sts"}
		n.Endpoints = []config.Endpoint{e}
	}))
	key, err := s.KMS("").CreateKey(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Secrets().CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("db"), SecretString: aws.String("value of db"), KmsKeyId: key.KeyMetadata.Arn}); err != nil {
		t.Fatal(err)
	}
	h := client(t, s, to(address(t, s, idA), ""), "secretsmanager.us-east-1.amazonaws.com")
	through := sdk(s, s.Admin, h)
	// kms:Decrypt is not in the endpoint's policy: the service does not pass it.
	if code, text := read(t, through, "db"); code != "" {
		t.Errorf("read: %s %s", code, text)
	}
	who := "User: arn:aws:iam::111122223333:user/admin is not authorized to perform: "
	_, err = through.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("db")})
	if err == nil || !strings.Contains(err.Error(), who+"secretsmanager:DeleteSecret on resource: ") || !strings.HasSuffix(err.Error(), " with an explicit deny in a VPC endpoint policy") {
		t.Errorf("delete: %v", err)
	}
	cfg := s.AWS(s.Admin, "")
	cfg.HTTPClient = h
	_, err = kms.NewFromConfig(cfg).ListKeys(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), who+"kms:ListKeys on resource: * because no VPC endpoint policy allows the kms:ListKeys action") {
		t.Errorf("list keys: %v", err)
	}
	_, err = sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "StatusCode: 403") || !strings.Contains(err.Error(), "AccessDenied: "+who+"sts:GetCallerIdentity on resource: * because no VPC endpoint policy allows the sts:GetCallerIdentity action") {
		t.Errorf("caller identity: %v", err)
	}
	// Nor can credentials be fetched through it that work elsewhere.
	_, err = sts.NewFromConfig(cfg).GetSessionToken(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "AccessDenied: "+who+"sts:GetSessionToken on resource: * because no VPC endpoint policy allows the sts:GetSessionToken action") {
		t.Errorf("session token: %v", err)
	}
	// A service that the endpoint does not lead to, before anybody is asked who he is.
	_, err = s.IAM().ListUsers(t.Context(), nil)
	if err != nil {
		t.Errorf("on the public listener: %v", err)
	}
	for _, unsigned := range []bool{false, true} {
		r := s.Request(t, servertest.Raw{Service: "iam", Form: map[string][]string{"Action": {"ListUsers"}, "Version": {"2010-05-08"}}, Unsigned: unsigned})
		r.URL.Host = "endpoint"
		answer, err := h.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body := make([]byte, 1<<10)
		n, _ := answer.Body.Read(body)
		answer.Body.Close()
		if answer.StatusCode != http.StatusForbidden || !strings.Contains(string(body[:n]), "<Code>AccessDenied</Code>") || !strings.Contains(string(body[:n]), "The private endpoint "+idA+" does not lead to iam.") {
			t.Errorf("IAM, unsigned %v: %d %s", unsigned, answer.StatusCode, body[:n])
		}
	}
	if n := metric(t, s, "strongroom_endpoint_refused_total", map[string]string{"endpoint": idA, "reason": "service"}); n != 2 {
		t.Errorf("%v refusals of a service are counted", n)
	}
	if n := metric(t, s, "strongroom_endpoint_requests_total", map[string]string{"endpoint": idA}); n < 5 {
		t.Errorf("%v requests are counted", n)
	}
}

// TestRecordsOfEndpoints: as CloudTrail shows them, and nothing of it on the calls
// that services make.
func TestRecordsOfEndpoints(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(shortDir(t), "a.sock")
	s := servertest.Start(t, network(func(n *config.Network) {
		n.VPCs = []config.VPC{vpc(vpcA)}
		n.Endpoints = []config.Endpoint{private(idA, vpcA), private(idB, vpcA, "unix:"+socket)}
	}))
	secret(t, s, "db")
	at := address(t, s, idA)
	for _, d := range []dialer{to(at, "127.0.0.9"), to(socket, "")} {
		if code, text := read(t, sdk(s, s.Admin, client(t, s, d, "secretsmanager.us-east-1.amazonaws.com")), "db"); code != "" {
			t.Fatal(code, text)
		}
	}
	got := records(t, s, "GetSecretValue")
	if len(got) != 2 {
		t.Fatalf("%d records", len(got))
	}
	for i, source := range []string{"127.0.0.9", "unix:uid=" + uid()} {
		id := []string{idA, idB}[i]
		tls, _ := got[i]["tlsDetails"].(map[string]any)
		if got[i]["sourceIPAddress"] != source || got[i]["vpcEndpointId"] != id || got[i]["vpcEndpointAccountId"] != "444455556666" ||
			tls["clientProvidedHostHeader"] != "secretsmanager.us-east-1.amazonaws.com" || tls["tlsVersion"] != "TLSv1.3" {
			t.Errorf("record %d: %v", i, got[i])
		}
	}
	for _, r := range append(records(t, s, "Decrypt"), records(t, s, "CreateSecret")...) {
		if r["vpcEndpointId"] != nil || r["vpcEndpointAccountId"] != nil {
			t.Errorf("a record that is not of the endpoint: %v", r)
		}
	}
}

// TestNamesOfTheCertificate: each endpoint has a certificate of the installation's
// authority with its own names, and of no others.
func TestNamesOfTheCertificate(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, network(func(n *config.Network) {
		n.VPCs = []config.VPC{vpc(vpcA)}
		a, b := private(idA, vpcA), private(idB, vpcA)
		a.DNSNames = []string{"secretsmanager.us-east-1.amazonaws.com", "sm.team-a.internal", "*.vpce.team-a.internal"}
		b.DNSNames = []string{"sm.team-b.internal"}
		n.Endpoints = []config.Endpoint{a, b}
	}))
	for id, names := range map[string]map[string]bool{
		idA: {"secretsmanager.us-east-1.amazonaws.com": true, "sm.team-a.internal": true, "x.vpce.team-a.internal": true, idA: true, "127.0.0.1": true,
			"sm.team-b.internal": false, "kms.us-east-1.amazonaws.com": false, "x.y.vpce.team-a.internal": false, idB: false, "localhost": false},
		idB: {"sm.team-b.internal": true, "sm.team-a.internal": false, "secretsmanager.us-east-1.amazonaws.com": false},
	} {
		for name, want := range names {
			c, err := tls.Dial("tcp", address(t, s, id), trusting(t, s, name))
			if (err == nil) != want {
				t.Errorf("%s at %s: %v", name, id, err)
			}
			if err == nil {
				if p := c.ConnectionState().NegotiatedProtocol; p == "h2" {
					t.Errorf("%s speaks %s", id, p)
				}
				c.Close()
			}
		}
	}
	for _, name := range []string{"tls/" + idA + ".key", "tls/" + idB + ".key"} {
		if info, err := os.Stat(filepath.Join(s.Dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

// TestAddresses: who is not in allow_cidrs does not get as far as TLS.
func TestAddresses(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, network(func(n *config.Network) {
		n.VPCs = []config.VPC{vpc(vpcA, "127.0.0.0/8")}
		a, b := private(idA, vpcA), private(idB, vpcA)
		a.AllowCIDRs = []string{"127.0.1.0/24"}
		b.Connections = 2
		n.Endpoints = []config.Endpoint{a, b}
	}))
	dropped := func(d dialer) bool {
		t.Helper()
		c, err := d(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		err = tls.Client(c, trusting(t, s, idA)).Handshake()
		return err != nil
	}
	at := address(t, s, idA)
	if dropped(to(at, "127.0.1.7")) || !dropped(to(at, "127.0.2.7")) || !dropped(to(at, "")) {
		t.Error("allow_cidrs does not decide")
	}
	if n := metric(t, s, "strongroom_endpoint_refused_total", map[string]string{"endpoint": idA, "reason": "address"}); n != 2 {
		t.Errorf("%v refusals are counted", n)
	}
	// Two connections and no more; when one ends there is room again.
	at = address(t, s, idB)
	var held []net.Conn
	for range 2 {
		c, err := tls.Dial("tcp", at, trusting(t, s, idB))
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	if _, err := tls.Dial("tcp", at, trusting(t, s, idB)); err == nil {
		t.Error("a third connection was let in")
	}
	if n := metric(t, s, "strongroom_endpoint_connections_open", map[string]string{"endpoint": idB}); n != 2 {
		t.Errorf("%v connections are open", n)
	}
	held[0].Close()
	eventually(t, "room after a connection has ended", func() bool {
		c, err := tls.Dial("tcp", at, trusting(t, s, idB))
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
	held[1].Close()
}

// eventually waits for what another goroutine must do.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Errorf("in vain: %s", what)
}

// TestPrivateOnly: without public listener there is nothing but the endpoints.
func TestPrivateOnly(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, network(func(n *config.Network) {
		n.VPCs = []config.VPC{vpc(vpcA)}
		n.Endpoints = []config.Endpoint{private(idA, vpcA)}
		n.Public.Enabled = new(bool)
	}))
	if s.URL != "https://"+address(t, s, idA) {
		t.Errorf("the API is at %s", s.URL)
	}
	var status server.Status
	if st := s.Server().Status(); len(st.Network.Public) != 0 || st.Network.Endpoints != 1 {
		t.Errorf("status: %+v", status.Network)
	}
	if _, err := s.STS(s.Admin).GetCallerIdentity(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if r := records(t, s, "GetCallerIdentity"); len(r) != 1 || r[0]["vpcEndpointId"] != idA {
		t.Errorf("records: %v", r)
	}
}

// TestForgedHeaders: what a client says of its way changes nothing.
func TestForgedHeaders(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, network(func(n *config.Network) {
		n.VPCs = []config.VPC{vpc(vpcA), vpc(vpcB)}
		n.Endpoints = []config.Endpoint{private(idA, vpcA), private(idB, vpcB)}
	}))
	secret(t, s, "db")
	user := s.User(t, "app", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*","Condition":{
		"StringEquals":{"aws:SourceVpce":"`+idA+`"},"IpAddress":{"aws:VpcSourceIp":"127.0.0.1/32"}}}]}`)
	headers := map[string]string{
		"X-Forwarded-For": "127.0.0.1", "Forwarded": `for=127.0.0.1;by="` + idA + `"`, "X-Real-Ip": "127.0.0.1", "X-Amz-Source-Vpce": idA, "X-Amz-Source-Vpc": vpcA,
		"X-Amz-Vpce-Id": idA, "X-Amzn-Vpce-Id": idA, "X-Amz-Source-Ip": "127.0.0.1", "X-Amzn-Vpc-Id": vpcA, "Via": idA, "X-Envoy-External-Address": "127.0.0.1", "True-Client-Ip": "127.0.0.1",
	}
	send := func(h *http.Client, signed bool) (int, string) {
		set := func(r *http.Request) {
			for k, v := range headers {
				r.Header.Set(k, v)
			}
		}
		q := servertest.Raw{Service: "secretsmanager", Key: user, Target: "secretsmanager.GetSecretValue", Body: `{"SecretId":"db"}`}
		if signed {
			q.Before = set
		} else {
			q.After = set
		}
		r := s.Request(t, q)
		answer, err := h.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		b := make([]byte, 4<<10)
		n, _ := answer.Body.Read(b)
		return answer.StatusCode, string(b[:n])
	}
	a := client(t, s, to(address(t, s, idA), "127.0.0.1"), idA)
	if status, body := send(a, true); status != http.StatusOK {
		t.Errorf("through A: %d %s", status, body)
	}
	// Signed, they are a header like any other; unsigned x-amz-… are refused as such.
	for name, h := range map[string]*http.Client{"B": client(t, s, to(address(t, s, idB), "127.0.0.1"), idB), "public": s.HTTP, "A from another address": client(t, s, to(address(t, s, idA), "127.0.0.2"), idA)} {
		if status, body := send(h, true); status != http.StatusBadRequest || !strings.Contains(body, "AccessDeniedException") {
			t.Errorf("through %s: %d %s", name, status, body)
		}
		if status, body := send(h, false); status == http.StatusOK || strings.Contains(body, "value of db") {
			t.Errorf("through %s, unsigned: %d %s", name, status, body)
		}
	}
	for _, r := range records(t, s, "GetSecretValue") {
		if id := r["vpcEndpointId"]; id != idA && r["errorCode"] == nil {
			t.Errorf("a record of success: %v", r)
		}
	}
}
