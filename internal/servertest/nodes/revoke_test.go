package nodes

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

const (
	// rounds is how many rights are given and taken away again.
	rounds = 1000
	// tenants work beside each other, each in an account of its own.
	tenants = 4
)

// The codes of denials.
const (
	accessDenied = "AccessDeniedException"
	unknownKey   = "UnrecognizedClientException"
	noDecryption = "DecryptionFailure"
)

// Whatever right is taken away through one node: the very next request to the
// other is denied, 1,000 times of 1,000; and what is given is given at once, too.
func TestRevocationReachesTheOtherNode(t *testing.T) {
	d := deployment(t)
	var kinds [tenants][]right
	for i := range tenants {
		w := newTenant(t, d, fmt.Sprintf("%012d", 200000000000+i))
		kinds[i] = slices.Concat(w.rights(), w.rightsByPolicies(), w.rightsByTags(), w.rightsOfSessions())
	}
	var denied atomic.Int64
	var wg sync.WaitGroup
	for _, rights := range kinds {
		wg.Go(func() {
			for round := range rounds / tenants {
				right := &rights[round%len(rights)]
				// In turn, so that each node is once the one that changes and once
				// the one that must know.
				here, there := (round/len(rights))%2, 1-(round/len(rights))%2
				if right.round(t, here, there) {
					denied.Add(1)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d of %d next requests denied, by %d ways to lose a right", denied.Load(), rounds, len(kinds[0]))
	if n := denied.Load(); n != rounds {
		t.Errorf("%d of %d requests after a revocation were denied", n, rounds)
	}
}

// right is one way to be allowed and not to be any more.
type right struct {
	name string
	// give and take change the right through node n.
	give, take func(n int) error
	// use needs the right, at node n.
	use func(n int) error
	// code is what use gets without it.
	code string
}

// round gives the right at one node, uses it at the other, takes it away at the
// first, and reports whether the next use at the other is denied.
func (r *right) round(t *testing.T, here, there int) bool {
	if err := r.give(here); err != nil {
		t.Errorf("%s: give: %v", r.name, err)
		return false
	}
	if err := r.use(there); err != nil {
		t.Errorf("%s: given at once, but: %v", r.name, err)
		return false
	}
	if err := r.take(here); err != nil {
		t.Errorf("%s: take: %v", r.name, err)
		return false
	}
	err := r.use(there)
	if got := codeOf(err); got != r.code {
		t.Errorf("%s: the next request after the revocation is answered %q, want %q: %v", r.name, got, r.code, err)
		return false
	}
	return true
}

func codeOf(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	if e, ok := errors.AsType[*refusal](err); ok {
		return e.code
	}
	return ""
}

// tenant is an account with a secret "app" under a key of its own.
type tenant struct {
	t     *testing.T
	nodes [2]*servertest.Server
	admin server.Credentials
	// keyID is the key, keyARN its ARN.
	keyID, keyARN string
}

func newTenant(t *testing.T, d [2]*servertest.Server, account string) *tenant {
	w := &tenant{t: t, nodes: d}
	res := d[0].Operator(t, http.MethodPost, "/v1/accounts", map[string]string{"account": account, "name": "tenant"})
	if res.Status != http.StatusOK {
		t.Fatalf("make account %s: %s", account, res.Body)
	}
	check(t, json.Unmarshal(res.Body, &w.admin))
	key, err := w.keys(0).CreateKey(t.Context(), &kms.CreateKeyInput{})
	check(t, err)
	w.keyID, w.keyARN = *key.KeyMetadata.KeyId, *key.KeyMetadata.Arn
	_, err = w.secrets(w.admin, 0).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String("app"), SecretString: aws.String("v"), KmsKeyId: &w.keyID,
	})
	check(t, err)
	return w
}

func (w *tenant) iam(n int) *iam.Client  { return iam.NewFromConfig(w.nodes[n].AWS(w.admin, "")) }
func (w *tenant) keys(n int) *kms.Client { return kms.NewFromConfig(w.nodes[n].AWS(w.admin, "")) }
func (w *tenant) secrets(c server.Credentials, n int) *secretsmanager.Client {
	return w.nodes[n].SecretsAs(c, "")
}

// reads uses a right to read the secret, of the holder of a key.
func (w *tenant) reads(c server.Credentials) func(n int) error {
	clients := [2]*secretsmanager.Client{w.secrets(c, 0), w.secrets(c, 1)}
	return func(n int) error {
		_, err := clients[n].GetSecretValue(w.t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("app")})
		return err
	}
}

var (
	// all is an identity policy that is enough to read.
	all = servertest.Allow("*", "secretsmanager:GetSecretValue", "kms:Decrypt", "sts:GetFederationToken")
	// onlyKeys lacks the secret.
	onlyKeys = servertest.Allow("*", "kms:Decrypt")
)

// rights is every way to lose access. Each has users of its own.
func (w *tenant) rights() []right {
	user := func(name, policy string) server.Credentials {
		return w.nodes[0].UserOf(w.t, w.admin, name, policy)
	}
	return []right{
		w.keyStatus(user("inactive", all)),
		w.keyDeleted(user("keyless", all)),
		w.inlinePolicy(user("bare", "")),
		w.inlineDeny(user("denied", all)),
		w.resourcePolicy(user("granted", onlyKeys)),
		w.resourceDeny(user("refused", all)),
		w.keyState(user("disabled", all)),
		w.keyPolicy(user("unkeyed", all)),
	}
}

func (w *tenant) keyStatus(c server.Credentials) right {
	set := func(status iamtypes.StatusType) func(n int) error {
		return func(n int) error {
			_, err := w.iam(n).UpdateAccessKey(w.t.Context(), &iam.UpdateAccessKeyInput{UserName: &c.User, AccessKeyId: &c.AccessKeyID, Status: status})
			return err
		}
	}
	return right{"access key deactivated", set(iamtypes.StatusTypeActive), set(iamtypes.StatusTypeInactive), w.reads(c), unknownKey}
}

func (w *tenant) keyDeleted(c server.Credentials) right {
	var made server.Credentials
	return right{
		"access key deleted",
		func(n int) error {
			out, err := w.iam(n).CreateAccessKey(w.t.Context(), &iam.CreateAccessKeyInput{UserName: &c.User})
			if err != nil {
				return err
			}
			made = server.Credentials{User: c.User, AccessKeyID: *out.AccessKey.AccessKeyId, SecretAccessKey: *out.AccessKey.SecretAccessKey}
			return nil
		},
		func(n int) error {
			_, err := w.iam(n).DeleteAccessKey(w.t.Context(), &iam.DeleteAccessKeyInput{UserName: &c.User, AccessKeyId: &made.AccessKeyID})
			return err
		},
		func(n int) error { return w.reads(made)(n) },
		unknownKey,
	}
}

func (w *tenant) putInline(user, name, policy string) func(n int) error {
	return func(n int) error {
		_, err := w.iam(n).PutUserPolicy(w.t.Context(), &iam.PutUserPolicyInput{UserName: &user, PolicyName: &name, PolicyDocument: &policy})
		return err
	}
}

func (w *tenant) deleteInline(user, name string) func(n int) error {
	return func(n int) error {
		_, err := w.iam(n).DeleteUserPolicy(w.t.Context(), &iam.DeleteUserPolicyInput{UserName: &user, PolicyName: &name})
		return err
	}
}

func (w *tenant) inlinePolicy(c server.Credentials) right {
	return right{"inline policy deleted", w.putInline(c.User, "p", all), w.deleteInline(c.User, "p"), w.reads(c), accessDenied}
}

func (w *tenant) inlineDeny(c server.Credentials) right {
	// The right is the policy "test" as it was made; a Deny beside it takes it.
	return right{"inline deny added", func(n int) error {
		if err := w.deleteInline(c.User, "deny")(n); err != nil && codeOf(err) != "NoSuchEntity" {
			return err
		}
		return nil
	}, w.putInline(c.User, "deny", servertest.Deny("*", "secretsmanager:*")), w.reads(c), accessDenied}
}

// setPolicy is setPolicyFor a user.
func (w *tenant) setPolicy(effect, user string) func(n int) error {
	return w.setPolicyFor(effect, "arn:aws:iam::"+w.admin.Account+":user/"+user)
}

// setPolicyFor puts the resource policy of the secret, of one statement.
func (w *tenant) setPolicyFor(effect, arn string) func(n int) error {
	text := fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":%q,"Principal":{"AWS":%q},"Action":"secretsmanager:GetSecretValue","Resource":"*"}}`, effect, arn)
	return func(n int) error {
		_, err := w.secrets(w.admin, n).PutResourcePolicy(w.t.Context(), &secretsmanager.PutResourcePolicyInput{SecretId: aws.String("app"), ResourcePolicy: &text})
		return err
	}
}

func (w *tenant) dropPolicy(n int) error {
	_, err := w.secrets(w.admin, n).DeleteResourcePolicy(w.t.Context(), &secretsmanager.DeleteResourcePolicyInput{SecretId: aws.String("app")})
	return err
}

func (w *tenant) resourcePolicy(c server.Credentials) right {
	return right{"resource policy deleted", w.setPolicy("Allow", c.User), w.dropPolicy, w.reads(c), accessDenied}
}

func (w *tenant) resourceDeny(c server.Credentials) right {
	return right{"resource policy denies", w.dropPolicy, w.setPolicy("Deny", c.User), w.reads(c), accessDenied}
}

func (w *tenant) keyState(c server.Credentials) right {
	return right{
		"KMS key disabled",
		func(n int) error {
			_, err := w.keys(n).EnableKey(w.t.Context(), &kms.EnableKeyInput{KeyId: &w.keyID})
			return err
		},
		func(n int) error {
			_, err := w.keys(n).DisableKey(w.t.Context(), &kms.DisableKeyInput{KeyId: &w.keyID})
			return err
		},
		w.reads(c), noDecryption,
	}
}

func (w *tenant) keyPolicy(c server.Credentials) right {
	root := fmt.Sprintf(`{"Effect":"Allow","Principal":{"AWS":"%s"},"Action":"kms:*","Resource":"*"}`, w.admin.Account)
	deny := fmt.Sprintf(`{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::%s:user/%s"},"Action":"kms:Decrypt","Resource":"*"}`, w.admin.Account, c.User)
	put := func(statements ...string) func(n int) error {
		text := `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
		return func(n int) error {
			// Enabled first: the right before may have left the key disabled.
			if _, err := w.keys(n).EnableKey(w.t.Context(), &kms.EnableKeyInput{KeyId: &w.keyID}); err != nil {
				return err
			}
			_, err := w.keys(n).PutKeyPolicy(w.t.Context(), &kms.PutKeyPolicyInput{KeyId: &w.keyID, Policy: &text})
			return err
		}
	}
	return right{"key policy denies", put(root), put(root, deny), w.reads(c), accessDenied}
}
