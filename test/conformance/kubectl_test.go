package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// clusterIssuer is what a Kubernetes cluster writes into its tokens when nobody has said otherwise.
const clusterIssuer = "https://kubernetes.default.svc.cluster.local"

// kubectl stands in for a cluster's command: it is the issuer itself, with a key in the home directory, and knows the few
// calls that the guide makes.
func kubectl(args []string) error {
	key, err := clusterKey(filepath.Join(os.Getenv("HOME"), "cluster.key"))
	if err != nil {
		return err
	}
	switch {
	case len(args) == 3 && args[0] == "get" && args[2] == "/.well-known/openid-configuration":
		return json.NewEncoder(os.Stdout).Encode(map[string]string{"issuer": clusterIssuer, "jwks_uri": clusterIssuer + "/openid/v1/jwks"})
	case len(args) == 3 && args[0] == "get" && args[2] == "/openid/v1/jwks":
		public, err := key.PublicKey.Bytes()
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"keys": []map[string]string{{
			"kty": "EC", "crv": "P-256", "kid": "cluster-1", "use": "sig", "alg": "ES256", "x": b64(public[1:33]), "y": b64(public[33:]),
		}}})
	case len(args) > 2 && args[0] == "create" && args[1] == "serviceaccount":
		fmt.Printf("serviceaccount/%s created\n", args[2])
		return nil
	case len(args) > 2 && args[0] == "create" && args[1] == "token":
		f := flag.NewFlagSet("kubectl", flag.ContinueOnError)
		namespace, audience, life := f.String("namespace", "", ""), f.String("audience", "", ""), f.Duration("duration", 0, "")
		if err := f.Parse(args[3:]); err != nil {
			return err
		}
		token, err := serviceAccountToken(key, *namespace, args[2], *audience, *life)
		if err == nil {
			fmt.Println(token)
		}
		return err
	}
	return fmt.Errorf("this kubectl knows nothing of %q", args)
}

func clusterKey(path string) (*ecdsa.PrivateKey, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		return x509.ParseECPrivateKey(b)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if b, err = x509.MarshalECPrivateKey(key); err != nil {
		return nil, err
	}
	return key, os.WriteFile(path, b, 0o600)
}

// serviceAccountToken makes a token as the API server does (RFC 7515, ES256).
func serviceAccountToken(key *ecdsa.PrivateKey, namespace, name, audience string, life time.Duration) (string, error) {
	now := time.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": clusterIssuer, "sub": "system:serviceaccount:" + namespace + ":" + name, "aud": []string{audience},
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(life).Unix(),
		"kubernetes.io": map[string]any{"namespace": namespace, "serviceaccount": map[string]string{"name": name, "uid": "5a0d3c2e-3b57-4c39-a5a8-6f9b2e5f1a10"}},
	})
	if err != nil {
		return "", err
	}
	signed := b64([]byte(`{"alg":"ES256","kid":"cluster-1"}`)) + "." + b64(claims)
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		return "", err
	}
	var signature [64]byte
	for i, n := range []*big.Int{r, s} {
		n.FillBytes(signature[32*i : 32*i+32])
	}
	return signed + "." + b64(signature[:]), nil
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// TestKubernetesRoles runs the guide about roles for Kubernetes.
func TestKubernetesRoles(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	printed(t, walk(t, "docs/guide/kubernetes-roles.md", command{"kubectl", self}),
		"issuer: "+clusterIssuer, "The keys are in force.",
		"arn:aws:sts::"+account+":assumed-role/cart/cart-0", "\ns3cret\n",
		"Not authorized to perform sts:AssumeRoleWithWebIdentity",
		"arn:aws:sts::"+account+":assumed-role/cart/cart-1",
		"All sessions of role cart until")
}
