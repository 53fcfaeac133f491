package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/kms"
	"github.com/strongroom/strongroom/internal/secretsmanager"
	"github.com/strongroom/strongroom/internal/wire"
)

// serviceInputs is a request of every operation, with GONE and LIVE in the place of
// a secret or key that is marked for deletion and of one that is not, and BLOB in
// that of what the latter has encrypted. An operation whose request names none of
// them has no resource with a policy. Nothing is changed: what a permitted service
// asks for is refused for another reason, or done already.
var serviceInputs = map[string]map[string]string{
	"secretsmanager": {
		"BatchGetSecretValue":          `{"SecretIdList":["none"]}`,
		"CreateSecret":                 `{"Name":"new","ClientRequestToken":"11111111-1111-1111-1111-111111111111"}`,
		"DeleteResourcePolicy":         `{"SecretId":"GONE"}`,
		"DeleteSecret":                 `{"SecretId":"GONE"}`,
		"DescribeSecret":               `{"SecretId":"GONE"}`,
		"GetRandomPassword":            `{}`,
		"GetResourcePolicy":            `{"SecretId":"GONE"}`,
		"GetSecretValue":               `{"SecretId":"LIVE"}`,
		"ListSecretVersionIds":         `{"SecretId":"GONE"}`,
		"ListSecrets":                  `{}`,
		"PutResourcePolicy":            `{"SecretId":"GONE","ResourcePolicy":"{}"}`,
		"PutSecretValue":               `{"SecretId":"GONE","SecretString":"v","ClientRequestToken":"11111111-1111-1111-1111-111111111111"}`,
		"RemoveRegionsFromReplication": `{"SecretId":"GONE","RemoveReplicaRegions":["eu-west-1"]}`,
		"ReplicateSecretToRegions":     `{"SecretId":"GONE","AddReplicaRegions":[{"Region":"eu-west-1"}]}`,
		"RestoreSecret":                `{"SecretId":"LIVE"}`,
		"StopReplicationToReplica":     `{"SecretId":"GONE"}`,
		"TagResource":                  `{"SecretId":"GONE","Tags":[{"Key":"a","Value":"b"}]}`,
		"UntagResource":                `{"SecretId":"GONE","TagKeys":["a"]}`,
		"UpdateSecret":                 `{"SecretId":"GONE","Description":"d","ClientRequestToken":"11111111-1111-1111-1111-111111111111"}`,
		"UpdateSecretVersionStage":     `{"SecretId":"GONE","VersionStage":"X","MoveToVersionId":"11111111-1111-1111-1111-111111111111"}`,
		"ValidateResourcePolicy":       `{"SecretId":"GONE","ResourcePolicy":"{}"}`,
	},
	"kms": {
		"CancelKeyDeletion":   `{"KeyId":"LIVE"}`,
		"CreateAlias":         `{"TargetKeyId":"none","AliasName":"alias/app"}`,
		"CreateKey":           `{"Policy":"{}"}`,
		"Decrypt":             `{"CiphertextBlob":"BLOB"}`,
		"DescribeKey":         `{"KeyId":"GONE"}`,
		"DisableKey":          `{"KeyId":"GONE"}`,
		"EnableKey":           `{"KeyId":"GONE"}`,
		"Encrypt":             `{"KeyId":"LIVE","Plaintext":"eA=="}`,
		"GenerateDataKey":     `{"KeyId":"LIVE","KeySpec":"AES_256"}`,
		"GetKeyPolicy":        `{"KeyId":"GONE"}`,
		"ListAliases":         `{}`,
		"ListKeyPolicies":     `{"KeyId":"GONE"}`,
		"ListKeys":            `{}`,
		"PutKeyPolicy":        `{"KeyId":"GONE","Policy":"{}"}`,
		"ScheduleKeyDeletion": `{"KeyId":"GONE"}`,
	},
}

// A service that acts by itself is let in by the resource's policy alone, by its
// name or by "*", and not by its account (spec iam-policy-evaluation.md 4 and 7).
// The calls are those that a service event makes: no network leads to them.
func TestServicesAsCallers(t *testing.T) {
	t.Parallel()
	s, admin := openAlone(t)
	const self = `{"Service":"secretsmanager.amazonaws.com"}`
	onBehalf := func(key, value string) string {
		return `,"Condition":{"StringEquals":{"` + key + `":"` + value + `"}}`
	}
	for _, v := range []struct {
		name, statement string
		allowed         bool
	}{
		{"nothing", ``, false},
		{"the service", allowing("Allow", self, ""), true},
		{"everybody", allowing("Allow", `"*"`, ""), true},
		{"another service", allowing("Allow", `{"Service":"lambda.amazonaws.com"}`, ""), false},
		{"the account", allowing("Allow", `{"AWS":"111122223333"}`, ""), false},
		{"the service, denied", allowing("Allow", self, "") + "," + allowing("Deny", self, ""), false},
		{"everybody, and services denied", allowing("Allow", `"*"`, "") + "," + allowing("Deny", `"*"`, `,"Condition":{"Bool":{"aws:PrincipalIsAWSService":"true"}}`), false},
		{"for this account", allowing("Allow", self, onBehalf("aws:SourceAccount", "111122223333")), true},
		{"for another account", allowing("Allow", self, onBehalf("aws:SourceAccount", "444455556666")), false},
		{"for this secret", allowing("Allow", self, onBehalf("aws:SourceArn", sourceARN)), true},
		{"for another secret", allowing("Allow", self, onBehalf("aws:SourceArn", sourceARN+"x")), false},
	} {
		t.Run(v.name, func(t *testing.T) {
			names := map[string]*strings.Replacer{"secretsmanager": admin.secrets(t, v.statement), "kms": admin.keys(t, v.statement)}
			for service, inputs := range serviceInputs {
				for name, template := range inputs {
					input := names[service].Replace(template)
					hasPolicy := input != template
					err := s.asService(t, service, name, input)
					denied := isDenied(err)
					if want := !v.allowed || !hasPolicy; denied != want {
						t.Errorf("%s:%s: denied %v, want %v: %v", service, name, denied, want, err)
					}
					if denied && name != "Decrypt" && !strings.Contains(err.Error(), "User: secretsmanager.amazonaws.com is not authorized to perform: "+service+":"+name) {
						t.Errorf("%s:%s: %v", service, name, err)
					}
				}
			}
		})
	}
	for _, api := range []*wire.Service{&secretsmanager.API, &kms.API} {
		for _, o := range api.Operations {
			if _, known := serviceInputs[api.Name][o.Name]; o.Built && !known {
				t.Errorf("nobody asks for %s:%s", api.Name, o.Name)
			}
		}
	}
}

// sourceARN is the secret for whose sake the service acts.
const sourceARN = "arn:aws:secretsmanager:us-east-1:111122223333:secret:rotating-AbCdEf"

func allowing(effect, principal, condition string) string {
	return fmt.Sprintf(`{"Effect":%q,"Principal":%s,"Action":["secretsmanager:*","kms:*"],"Resource":"*"%s}`, effect, principal, condition)
}

func isDenied(err error) bool {
	e, ok := errors.AsType[*aws.Error](err)
	return ok && e.Code == "AccessDeniedException"
}

// openAlone opens a server that nobody serves.
func openAlone(t *testing.T) (*Server, *adminCalls) {
	t.Helper()
	cfg := config.Default()
	cfg.Data, cfg.Regions = t.TempDir(), []string{cfg.Region, "eu-west-1"}
	log := slog.New(slog.DiscardHandler)
	if _, err := Init(t.Context(), cfg, "111122223333", log); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Options{Config: cfg, Log: log, ManualJobs: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s, &adminCalls{s: s}
}

// asService performs an operation as Secrets Manager does by itself, for the sake
// of a secret.
func (s *Server) asService(t *testing.T, service, operation, input string) (err error) {
	t.Helper()
	event := s.registry.Background(t.Context(), "secretsmanager", "RotationStarted", "111122223333", s.config.Region, func(ctx context.Context) error {
		wire.CallFrom(ctx).BehalfOf = wire.Resource{ARN: sourceARN, Account: "111122223333"}
		_, err = s.registry.Invoke(ctx, service, operation, []byte(input))
		return nil
	})
	if event != nil {
		t.Fatal(event)
	}
	return err
}

// adminCalls makes what the services ask for, as the account's root user.
type adminCalls struct {
	s *Server
	n int
}

func (a *adminCalls) call(t *testing.T, service, operation string, in map[string]any) map[string]any {
	t.Helper()
	ctx := wire.NewContext(t.Context(), &wire.Call{Region: a.s.config.Region, Principal: &aws.Principal{
		Type: aws.PrincipalRoot, Account: "111122223333", ARN: aws.RootARN("111122223333"), UserID: "111122223333",
	}})
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := a.s.registry.Invoke(ctx, service, operation, body)
	if err != nil {
		t.Fatalf("%s: %v", operation, err)
	}
	var out map[string]any
	if len(answer) > 0 {
		if err := json.Unmarshal(answer, &out); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// policy is the statement and one by which root keeps the resource.
func policy(statement string) string {
	own := allowing("Allow", `{"AWS":"111122223333"}`, "")
	if statement != "" {
		own += "," + statement
	}
	return `{"Version":"2012-10-17","Statement":[` + own + `]}`
}

func (a *adminCalls) key(t *testing.T, statement string) string {
	t.Helper()
	made := a.call(t, "kms", "CreateKey", map[string]any{"Policy": policy(statement)})
	return made["KeyMetadata"].(map[string]any)["Arn"].(string)
}

// keys makes two keys with a statement in their policies.
func (a *adminCalls) keys(t *testing.T, statement string) *strings.Replacer {
	t.Helper()
	live, gone := a.key(t, statement), a.key(t, statement)
	blob := a.call(t, "kms", "Encrypt", map[string]any{"KeyId": live, "Plaintext": []byte("x")})["CiphertextBlob"].(string)
	a.call(t, "kms", "ScheduleKeyDeletion", map[string]any{"KeyId": gone})
	return strings.NewReplacer("LIVE", live, "GONE", gone, "BLOB", blob)
}

// secrets makes two secrets with a statement in their policies, under a key that is
// open to all.
func (a *adminCalls) secrets(t *testing.T, statement string) *strings.Replacer {
	t.Helper()
	key := a.key(t, allowing("Allow", `"*"`, ""))
	var arns [2]string
	for i := range arns {
		a.n++
		arns[i] = a.call(t, "secretsmanager", "CreateSecret", map[string]any{"Name": fmt.Sprint("s", a.n), "SecretString": "v", "KmsKeyId": key,
			"ClientRequestToken": fmt.Sprintf("%036d", a.n)})["ARN"].(string)
		a.call(t, "secretsmanager", "PutResourcePolicy", map[string]any{"SecretId": arns[i], "ResourcePolicy": policy(statement)})
	}
	a.call(t, "secretsmanager", "DeleteSecret", map[string]any{"SecretId": arns[1]})
	return strings.NewReplacer("LIVE", arns[0], "GONE", arns[1])
}
