package matrix

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/internal/ca"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/endpoint"
	"github.com/strongroom/strongroom/internal/servertest"
)

// endpointName is what clients call the private endpoints.
const endpointName = "secretsmanager.us-east-1.amazonaws.com"

// world is a server with everything that the questions are about, made once.
type world struct {
	t       *testing.T
	s       *servertest.Server
	callers map[callerKey]*caller
	// through is the server by way of each endpoint; absent is the public listener.
	through map[effect]*servertest.Server
	// Of each variant of the policy on a resource: a secret that can be read, one
	// that is marked for deletion, a key in use and one pending deletion, and
	// something that the key in use has encrypted.
	live, gone, enabled, pending, blob map[grant]string
}

var grants = []grant{unsaid, byAccount, byEntity, bySelf, byEveryone, refused}

func newWorld(t *testing.T) *world {
	w := &world{t: t, callers: map[callerKey]*caller{}, through: map[effect]*servertest.Server{},
		live: map[grant]string{}, gone: map[grant]string{}, enabled: map[grant]string{}, pending: map[grant]string{}, blob: map[grant]string{}}
	dir := t.TempDir()
	w.s = servertest.Start(t, servertest.Config(func(c *config.Config) {
		c.Network.VPCs = []config.VPC{{ID: "vpc-0a1b2c3d4e5f60718"}}
		for i, e := range optional[1:] {
			file := filepath.Join(dir, e.String()+".json")
			check(t, os.WriteFile(file, []byte(document(e, `"Principal":"*",`)), 0o600))
			c.Network.Endpoints = append(c.Network.Endpoints, config.Endpoint{ID: endpointID(i), VPC: c.Network.VPCs[0].ID,
				Listen: []string{"127.0.0.1:0"}, DNSNames: []string{endpointName}, PolicyFile: file})
		}
	}))
	w.endpoints()
	own := newPeople(t, w.s, w.s.Admin, w.callers)
	other := newPeople(t, w.s, w.s.Account(t, foreignAccount), w.callers)
	w.resources(append(own.entities, other.entities...), append(own.sessions, other.sessions...))
	for _, p := range []*people{own, other} {
		_, err := w.s.SecretsAs(p.admin, "").CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("taken")})
		check(t, err)
	}
	return w
}

func endpointID(i int) string { return fmt.Sprintf("vpce-%d123456789abcdef0", i) }

// endpoints makes a way through each endpoint.
func (w *world) endpoints() {
	w.through[absent] = w.s
	for i, e := range optional[1:] {
		w.through[e] = w.by(endpointID(i))
	}
}

// by is the server by way of an endpoint.
func (w *world) by(id string) *servertest.Server {
	t := w.t
	t.Helper()
	var list []endpoint.Info
	check(t, json.Unmarshal(w.s.Operator(t, http.MethodGet, "/v1/endpoints", nil).Body, &list))
	i := slices.IndexFunc(list, func(e endpoint.Info) bool { return e.ID == id })
	if i < 0 {
		t.Fatalf("there is no endpoint %s", id)
	}
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots(t, w.s.Dir)},
		MaxIdleConnsPerHost: 128,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", list[i].Addresses[0])
		},
	}}
	t.Cleanup(client.CloseIdleConnections)
	return &servertest.Server{Admin: w.s.Admin, Dir: w.s.Dir, URL: "https://" + endpointName, HTTP: client}
}

// statements are those of a variant of the policy on a resource. The admin keeps
// the resource whatever is said to others.
func (w *world) statements(g grant, entities, sessions []string) string {
	admin := "arn:aws:iam::" + servertest.Account + ":user/admin"
	allow := func(principal any) string {
		text, err := json.Marshal(principal)
		check(w.t, err)
		return `{"Effect":"Allow","Principal":` + string(text) + `,"Action":["secretsmanager:*","kms:*"],"Resource":"*"}`
	}
	named := func(arns []string) map[string][]string {
		return map[string][]string{"AWS": append(arns[:len(arns):len(arns)], admin)}
	}
	switch g {
	case byAccount:
		return allow(map[string][]string{"AWS": {servertest.Account, foreignAccount}})
	case byEntity:
		return allow(named(entities))
	case bySelf:
		return allow(named(sessions))
	case byEveryone:
		return allow("*")
	case refused:
		return allow("*") + `,{"Effect":"Deny","Principal":"*","Action":["secretsmanager:*","kms:*"],"Resource":"*","Condition":{"ArnNotEquals":{"aws:PrincipalArn":"` + admin + `"}}}`
	}
	return allow(named(nil))
}

// resources makes secrets and keys of each variant. Every value lies under a key
// that everybody may use, so that the secret's own policy decides.
func (w *world) resources(entities, sessions []string) {
	t := w.t
	keys, secrets := w.s.KMS(""), w.s.Secrets()
	key := func(g grant) string {
		text := `{"Version":"2012-10-17","Statement":[` + w.statements(g, entities, sessions) + `]}`
		out, err := keys.CreateKey(t.Context(), &kms.CreateKeyInput{Policy: &text})
		check(t, err)
		return *out.KeyMetadata.Arn
	}
	open := key(byEveryone)
	secret := func(name string, g grant) string {
		out, err := secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: aws.String("v"), KmsKeyId: &open})
		check(t, err)
		text := `{"Version":"2012-10-17","Statement":[` + w.statements(g, entities, sessions) + `]}`
		_, err = secrets.PutResourcePolicy(t.Context(), &secretsmanager.PutResourcePolicyInput{SecretId: out.ARN, ResourcePolicy: &text})
		check(t, err)
		return *out.ARN
	}
	for _, g := range grants {
		w.live[g], w.gone[g] = secret("live-"+g.String(), g), secret("gone-"+g.String(), g)
		_, err := secrets.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String(w.gone[g])})
		check(t, err)
		w.enabled[g], w.pending[g] = key(g), key(g)
		_, err = keys.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: aws.String(w.pending[g])})
		check(t, err)
		out, err := keys.Encrypt(t.Context(), &kms.EncryptInput{KeyId: aws.String(w.enabled[g]), Plaintext: []byte("x")})
		check(t, err)
		blob, err := json.Marshal(out.CiphertextBlob)
		check(t, err)
		w.blob[g] = string(blob)
	}
}

func roots(t *testing.T, dir string) *x509.CertPool {
	pem, err := os.ReadFile(filepath.Join(dir, ca.CertificateFile))
	check(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return pool
}
