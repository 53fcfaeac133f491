package secretsmanager_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/strongroom/strongroom/internal/servertest"
)

// TestRawRequests sends what no SDK would (spec 1.1, 1.5, 1.7, 1.8).
func TestRawRequests(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.createWith(t, "s", tokenA, "v")
		const null = "1 validation error detected: Value null at '"
		const notNull = "' failed to satisfy constraint: Member must not be null"
		const serialization = "SerializationException"
		for _, c := range []struct{ name, operation, body, code, message string }{
			{"no token", "CreateSecret", `{"Name":"n","SecretString":"x"}`, badRequest, msgNoToken},
			{"no token, no value", "CreateSecret", `{"Name":"n"}`, badRequest, msgNoToken},
			{"no token", "PutSecretValue", `{"SecretId":"s","SecretString":"x"}`, badRequest, msgNoToken},
			{"no token", "UpdateSecret", `{"SecretId":"s","SecretString":"x"}`, badRequest, msgNoToken},
			{"null token", "PutSecretValue", `{"SecretId":"s","SecretString":"x","ClientRequestToken":null}`, badRequest, msgNoToken},
			{"no name", "CreateSecret", `{}`, validation, null + "name" + notNull},
			{"null name", "CreateSecret", `{"Name":null}`, validation, null + "name" + notNull},
			{"name in another case", "CreateSecret", `{"name":"n"}`, validation, null + "name" + notNull},
			{"no secret", "GetSecretValue", `{}`, validation, null + "secretId" + notNull},
			{"empty body", "GetSecretValue", ``, validation, null + "secretId" + notNull},
			{"no stage", "UpdateSecretVersionStage", `{"SecretId":"s"}`, validation, null + "versionStage" + notNull},
			{"no tags", "TagResource", `{"SecretId":"s"}`, validation, null + "tags" + notNull},
			{"no keys", "UntagResource", `{"SecretId":"s"}`, validation, null + "tagKeys" + notNull},
			{"no policy", "PutResourcePolicy", `{"SecretId":"s"}`, validation, null + "resourcePolicy" + notNull},
			{"no regions", "ReplicateSecretToRegions", `{"SecretId":"s"}`, validation, null + "addReplicaRegions" + notNull},
			{"no regions", "RemoveRegionsFromReplication", `{"SecretId":"s"}`, validation, null + "removeReplicaRegions" + notNull},
			{"NUL in a text", "GetSecretValue", `{"SecretId":"a\u0000b"}`, validation, "1 validation error detected: Value at 'secretId' failed to satisfy constraint: Member must satisfy regular expression pattern: [^\\u0000]*"},
			{"number for a string", "GetSecretValue", `{"SecretId":1}`, serialization, "NUMBER_VALUE can not be converted to a String"},
			{"list for a string", "GetSecretValue", `{"SecretId":["s"]}`, serialization, "Start of list found where not expected"},
			{"object for a string", "GetSecretValue", `{"SecretId":{}}`, serialization, "Start of structure or map found where not expected."},
			{"true for a string", "GetSecretValue", `{"SecretId":true}`, serialization, "TRUE_VALUE can not be converted to a String"},
			{"string for a number", "DeleteSecret", `{"SecretId":"s","RecoveryWindowInDays":"7"}`, serialization, "STRING_VALUE can not be converted to a Long"},
			{"fraction for a number", "DeleteSecret", `{"SecretId":"s","RecoveryWindowInDays":7.5}`, serialization, ""},
			{"huge number", "DeleteSecret", `{"SecretId":"s","RecoveryWindowInDays":99999999999999999999}`, serialization, ""},
			{"string for a flag", "DeleteSecret", `{"SecretId":"s","ForceDeleteWithoutRecovery":"true"}`, serialization, "STRING_VALUE can not be converted to a Boolean"},
			{"string for a list", "TagResource", `{"SecretId":"s","Tags":"a"}`, serialization, ""},
			{"not base64", "PutSecretValue", `{"SecretId":"s","SecretBinary":"***","ClientRequestToken":"` + tokenB + `"}`, serialization, ""},
			{"base64 cut short", "PutSecretValue", `{"SecretId":"s","SecretBinary":"AAE","ClientRequestToken":"` + tokenB + `"}`, serialization, ""},
			{"not JSON", "GetSecretValue", `SecretId=s`, serialization, ""},
			{"a list", "GetSecretValue", `["s"]`, serialization, ""},
			{"cut short", "GetSecretValue", `{"SecretId":"s"`, serialization, ""},
			{"something behind", "GetSecretValue", `{"SecretId":"s"} {}`, serialization, ""},
			{"the same member twice", "GetSecretValue", `{"SecretId":"other","SecretId":"s"}`, serialization, ""},
			{"nested too deeply", "GetSecretValue", `{"SecretId":"s","x":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `}`, serialization, ""},
			{"not UTF-8", "GetSecretValue", "{\"SecretId\":\"\xff\"}", serialization, ""},
		} {
			t.Run(c.operation+" "+c.name, func(t *testing.T) { w.rawFails(t, c.operation, c.body, c.code, c.message) })
		}
		for name, body := range map[string]string{
			"unknown members": `{"SecretId":"s","Color":"red","Nested":{"a":[1,null]},"secretId":"other"}`,
			"null members":    `{"SecretId":"s","VersionId":null,"VersionStage":null}`,
			"white space":     "\r\n\t {\"SecretId\" : \"s\"} \n",
			"escapes":         `{"\u0053ecretId":"\u0073"}`,
		} {
			if m := w.raw(t, "GetSecretValue", body).members(t); m["SecretString"] != "v" {
				t.Errorf("%s: %v", name, m)
			}
		}
		// Times are epoch seconds with milliseconds at most.
		if created, ok := w.raw(t, "DescribeSecret", `{"SecretId":"s"}`).members(t)["CreatedDate"].(float64); !ok || created < 1.6e9 || created > 1e11 {
			t.Errorf("CreatedDate %v", created)
		}
	})
}

// TestUnbuiltOperations answer as AWS does for what it does not know.
func TestUnbuiltOperations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, "s", "v")
	for _, operation := range []string{"RotateSecret", "CancelRotateSecret", "Nonsense", "", "getSecretValue"} {
		a := w.raw(t, operation, `{"SecretId":"s"}`)
		if a.Status != http.StatusBadRequest || a.Body != `{"__type":"UnknownOperationException"}` {
			t.Errorf("%q: %d %s", operation, a.Status, a.Body)
		}
	}
}

// TestUnsigned: nothing is told to those who do not say who they are.
func TestUnsigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, "s", "v")
	for _, id := range []string{"s", "nope", "a b"} {
		a := w.send(t, w.request(t, "GetSecretValue", `{"SecretId":"`+id+`"}`))
		const code, message = "MissingAuthenticationTokenException", "Missing Authentication Token"
		if a.Status != http.StatusBadRequest || a.Body != `{"__type":"`+code+`","message":"`+message+`"}` {
			t.Errorf("%s: %d %s", id, a.Status, a.Body)
			continue
		}
		errs.Note(t, "GetSecretValue", code, message)
	}
	// A secret is not readable under the signature of another region's request.
	r := w.request(t, "GetSecretValue", `{"SecretId":"s"}`)
	const emptySum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	err := w.signer().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: w.Admin.AccessKeyID, SecretAccessKey: w.Admin.SecretAccessKey}, r, emptySum, "secretsmanager", servertest.Region, w.now())
	if err != nil {
		t.Fatal(err)
	}
	if a := w.send(t, r); a.Status == http.StatusOK || !strings.Contains(a.Body, "InvalidSignatureException") {
		t.Errorf("a body that was not signed: %d %s", a.Status, a.Body)
	}
}
