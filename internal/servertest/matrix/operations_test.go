package matrix

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/strongroom/strongroom/internal/kms"
	"github.com/strongroom/strongroom/internal/secretsmanager"
	"github.com/strongroom/strongroom/internal/wire"
)

// operation is one to ask about. Whoever is allowed changes nothing by it: the
// request is one whose answer is known, and mostly a refusal for another reason,
// which AWS gives to the permitted only.
type operation struct {
	service *wire.Service
	name    string
	on      target
	// also is decided after on; both must allow.
	also target
	// input is the request's for a variant.
	input func(w *world, g grant) map[string]any
	// allowed is the code of the answer to whoever is allowed, "" for success.
	allowed string
	// denied is the message of the denial where it is not the usual one.
	denied string
}

const (
	marked    = "InvalidRequestException"
	badState  = "KMSInvalidStateException"
	malformed = "MalformedPolicyDocumentException"
	exists    = "ResourceExistsException"

	token = "11111111-1111-1111-1111-111111111111"

	// ciphertext is the one answer of Decrypt (spec kms.md 5).
	ciphertext = "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access."
)

type in = map[string]any

// with names a secret or key in a request, beside other members.
func with(member string, of func(*world) map[grant]string, more in) func(*world, grant) in {
	return func(w *world, g grant) in {
		out := in{member: of(w)[g]}
		for k, v := range more {
			out[k] = v
		}
		return out
	}
}

func always(m in) func(*world, grant) in { return func(*world, grant) in { return m } }

func live(w *world) map[grant]string    { return w.live }
func gone(w *world) map[grant]string    { return w.gone }
func enabled(w *world) map[grant]string { return w.enabled }
func pending(w *world) map[grant]string { return w.pending }

func onSecret(name string, of func(*world) map[grant]string, more in, allowed string) operation {
	return operation{service: &secretsmanager.API, name: name, on: secret, input: with("SecretId", of, more), allowed: allowed}
}

func onKey(name string, on target, of func(*world) map[grant]string, more in, allowed string) operation {
	return operation{service: &kms.API, name: name, on: on, input: with("KeyId", of, more), allowed: allowed}
}

var operations = []operation{
	{service: &secretsmanager.API, name: "BatchGetSecretValue", input: func(w *world, g grant) in { return in{"SecretIdList": []string{w.live[g]}} }},
	{service: &secretsmanager.API, name: "CreateSecret", input: always(in{"Name": "taken", "ClientRequestToken": token}), allowed: exists},
	onSecret("DeleteResourcePolicy", gone, nil, marked),
	onSecret("DeleteSecret", gone, nil, marked),
	onSecret("DescribeSecret", live, nil, ""),
	{service: &secretsmanager.API, name: "GetRandomPassword", input: always(in{})},
	onSecret("GetResourcePolicy", live, nil, ""),
	onSecret("GetSecretValue", live, nil, ""),
	onSecret("ListSecretVersionIds", live, nil, ""),
	{service: &secretsmanager.API, name: "ListSecrets", input: always(in{"MaxResults": 1})},
	onSecret("PutResourcePolicy", gone, in{"ResourcePolicy": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"*","Resource":"*"}]}`}, marked),
	onSecret("PutSecretValue", gone, in{"SecretString": "v", "ClientRequestToken": token}, marked),
	onSecret("RemoveRegionsFromReplication", gone, in{"RemoveReplicaRegions": []string{"eu-west-1"}}, marked),
	onSecret("ReplicateSecretToRegions", gone, in{"AddReplicaRegions": []in{{"Region": "eu-west-1"}}}, marked),
	onSecret("RestoreSecret", live, nil, ""),
	onSecret("StopReplicationToReplica", gone, nil, marked),
	onSecret("TagResource", gone, in{"Tags": []in{{"Key": "a", "Value": "b"}}}, marked),
	onSecret("UntagResource", gone, in{"TagKeys": []string{"a"}}, marked),
	onSecret("UpdateSecret", gone, in{"Description": "d", "ClientRequestToken": token}, marked),
	onSecret("UpdateSecretVersionStage", gone, in{"VersionStage": "X", "MoveToVersionId": token}, marked),
	onSecret("ValidateResourcePolicy", live, in{"ResourcePolicy": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"*","Resource":"*"}]}`}, ""),

	onKey("CancelKeyDeletion", ownKey, enabled, nil, badState),
	{service: &kms.API, name: "CreateAlias", on: nothing, also: ownKey, input: with("TargetKeyId", pending, in{"AliasName": "alias/app"}), allowed: badState},
	{service: &kms.API, name: "CreateKey", input: always(in{"Policy": "{}"}), allowed: malformed},
	{service: &kms.API, name: "Decrypt", on: key, input: func(w *world, g grant) in { return in{"CiphertextBlob": json.RawMessage(w.blob[g])} }, denied: ciphertext},
	onKey("DescribeKey", key, enabled, nil, ""),
	onKey("DisableKey", ownKey, pending, nil, badState),
	onKey("EnableKey", ownKey, enabled, nil, ""),
	onKey("Encrypt", key, enabled, in{"Plaintext": []byte("x")}, ""),
	onKey("GenerateDataKey", key, enabled, in{"KeySpec": "AES_256"}, ""),
	onKey("GetKeyPolicy", ownKey, enabled, nil, ""),
	{service: &kms.API, name: "ListAliases", input: always(in{"Limit": 1})},
	onKey("ListKeyPolicies", ownKey, enabled, nil, ""),
	{service: &kms.API, name: "ListKeys", input: always(in{"Limit": 1})},
	onKey("PutKeyPolicy", ownKey, enabled, in{"Policy": "{}"}, malformed),
	onKey("ScheduleKeyDeletion", ownKey, pending, nil, badState),
}

// targets are how the services are named in a request.
var targets = map[string]string{"secretsmanager": "secretsmanager.", "kms": "TrentService."}

func (o *operation) target() string { return targets[o.service.Name] + o.name }
func (o *operation) action() string { return o.service.Name + ":" + o.name }

// expect is what must come of asking for o.
func (o *operation) expect(l layers) verdict {
	v := expect(l, o.on)
	if v.layer == "" && o.also != nothing {
		v = expect(l, o.also)
	}
	return v
}

// unasked are the operations that are built and missing above.
func unasked() (missing []string) {
	for _, service := range []*wire.Service{&secretsmanager.API, &kms.API} {
		for _, o := range service.Operations {
			if o.Built && !slices.ContainsFunc(operations, func(q operation) bool { return q.service == service && q.name == o.Name }) {
				missing = append(missing, service.Name+":"+o.Name)
			}
		}
	}
	return missing
}

// message is how a denial begins.
func message(c *caller, o *operation) string {
	return strings.Join([]string{"User: ", c.arn, " is not authorized to perform: ", o.action()}, "")
}
