package secretsmanager_test

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
	"time"

	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/servertest"
)

// TestCreateSecret walks spec secretsmanager.md 2.3.
func TestCreateSecret(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		out := call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("db/app"), SecretString: new("v1"), ClientRequestToken: new(tokenA), Description: new("d")})
		if !regexp.MustCompile(`^arn:aws:secretsmanager:us-east-1:111122223333:secret:db/app-[A-Za-z0-9]{6}$`).MatchString(*out.ARN) {
			t.Errorf("ARN %s", *out.ARN)
		}
		if *out.Name != "db/app" || *out.VersionId != tokenA || out.ReplicationStatus != nil {
			t.Errorf("answer %s %s %v", *out.Name, *out.VersionId, out.ReplicationStatus)
		}

		again := call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("db/app"), SecretString: new("v1"), ClientRequestToken: new(tokenA), Description: new("d")})
		if *again.ARN != *out.ARN || *again.Name != *out.Name || *again.VersionId != *out.VersionId {
			t.Errorf("the same request again: %s %s, want the first answer", *again.ARN, *again.VersionId)
		}
		used := "You can't use ClientRequestToken " + tokenA + " because that value is already in use for a version of secret " + *out.ARN + "."
		taken := "The operation failed because the secret db/app already exists."
		for name, c := range map[string]struct {
			in      *sm.CreateSecretInput
			message string
		}{
			"same token, other value":        {&sm.CreateSecretInput{SecretString: new("v2"), ClientRequestToken: new(tokenA)}, used},
			"same token, same bytes, binary": {&sm.CreateSecretInput{SecretBinary: []byte("v1"), ClientRequestToken: new(tokenA)}, used},
			"other token, same value":        {&sm.CreateSecretInput{SecretString: new("v1"), ClientRequestToken: new(tokenB)}, taken},
			"same token, no value":           {&sm.CreateSecretInput{ClientRequestToken: new(tokenA)}, taken},
			"token differs in case":          {&sm.CreateSecretInput{SecretString: new("v1"), ClientRequestToken: new(strings.ToUpper(tokenA))}, taken},
		} {
			t.Run(name, func(t *testing.T) {
				c.in.Name = new("db/app")
				fails(t, w.c.CreateSecret, c.in, exists, c.message)
			})
		}
		if got := w.get(t, "db/app"); got != "v1" {
			t.Errorf("value is %q after refused creations", got)
		}
	})
}

func TestCreateSecretWithoutValue(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		out := call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("empty"), ClientRequestToken: new(tokenA), Description: new("")})
		if out.VersionId != nil {
			t.Errorf("version %s of a secret without a value", *out.VersionId)
		}
		again := call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("empty"), ClientRequestToken: new(tokenA)})
		if *again.ARN != *out.ARN || again.VersionId != nil {
			t.Errorf("the same request again: %s, version %v", *again.ARN, again.VersionId)
		}
		fails(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("empty"), ClientRequestToken: new(tokenB)}, exists, "The operation failed because the secret empty already exists.")

		// Spec 16, example 5.
		fails(t, w.c.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("empty")}, notFound,
			"Secrets Manager can't find the specified secret value for staging label: AWSCURRENT")
		fails(t, w.c.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("empty"), VersionId: new(tokenB)}, notFound,
			"Secrets Manager can't find the specified secret value for VersionId: "+tokenB)
		fails(t, w.c.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("empty"), VersionStage: new("AWSPENDING")}, notFound,
			"Secrets Manager can't find the specified secret value for staging label: AWSPENDING")
		d := w.describe(t, "empty")
		if d.VersionIdsToStages != nil || d.Description != nil {
			t.Errorf("describe: versions %v, description %v", d.VersionIdsToStages, d.Description)
		}
		l := call(t, w.c.ListSecretVersionIds, &sm.ListSecretVersionIdsInput{SecretId: new("empty")})
		if l.Versions == nil || len(l.Versions) > 0 {
			t.Errorf("versions %v, want an empty list", l.Versions)
		}

		// The first value gets AWSCURRENT in addition to what is asked for.
		put := call(t, w.c.PutSecretValue, &sm.PutSecretValueInput{SecretId: new("empty"), SecretString: new("v"), VersionStages: []string{"AWSPENDING", "X"}})
		wantStages(t, put.VersionStages, "AWSCURRENT", "AWSPENDING", "X")
	})
}

// TestNames is spec 2.1: which names there may be, and how they are found again.
func TestNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"a", "a/b/c", "with_under+plus=eq.dot@at-dash", "rds!db-1", strings.Repeat("n", 512), "ends-AbCdEf", "ends-AbCde", "ends-AbCdEf-", "-", "-AbCdEf"} {
		arn := w.create(t, name, name)
		if got := w.get(t, name); got != name {
			t.Errorf("by name %s: %q", name, got)
		}
		if got := w.get(t, arn); got != name {
			t.Errorf("by ARN of %s: %q", name, got)
		}
	}
	partial := "arn:aws:secretsmanager:us-east-1:111122223333:secret:"
	for _, name := range []string{"a", "a/b/c", "with_under+plus=eq.dot@at-dash", "ends-AbCde", "ends-AbCdEf-"} {
		if got := w.get(t, partial+name); got != name {
			t.Errorf("by partial ARN of %s: %q", name, got)
		}
	}
	full := w.create(t, "full", "v")
	for name, c := range map[string]struct {
		id   string
		hint []string
	}{
		"unknown":                                 {id: "nope"},
		"case matters":                            {id: "A"},
		"name with its own suffix":                {id: "full" + full[len(full)-7:]},
		"partial ARN of a name that ends so":      {partial + "ends-AbCdEf", []string{"partial ARN"}},
		"full ARN with another suffix":            {id: partial + "full-000000"},
		"partial ARN, unknown":                    {id: partial + "nope"},
		"ARN of another region":                   {id: strings.Replace(full, "us-east-1", "eu-west-1", 1)},
		"ARN of another service":                  {id: strings.Replace(full, ":secretsmanager:", ":kms:", 1)},
		"ARN of another partition":                {id: strings.Replace(full, "arn:aws:", "arn:aws-cn:", 1)},
		"malformed ARN":                           {id: "arn:"},
		"malformed ARN with a name":               {id: "arn:aws:secretsmanager:us-east-1:111122223333:full"},
		"ARN without an account":                  {id: "arn:aws:secretsmanager:us-east-1::secret:full"},
		"ARN with characters no name has":         {id: partial + "bad name-AbCdEf"},
		"ARN of nothing":                          {id: partial},
		"ARN with only a suffix":                  {id: partial + "-AbCdEf-GhIjKl"},
		"ARN of a name longer than a name can be": {id: partial + strings.Repeat("x", 1500)},
	} {
		t.Run(name, func(t *testing.T) {
			fails(t, w.c.GetSecretValue, &sm.GetSecretValueInput{SecretId: &c.id}, notFound, msgMissing, c.hint...)
		})
	}

	// The random end differs after deletion and creation (spec 2.1.5, 16.12).
	call(t, w.c.DeleteSecret, &sm.DeleteSecretInput{SecretId: new("full"), ForceDeleteWithoutRecovery: new(true)})
	renewed := w.create(t, "full", "new")
	if renewed == full {
		t.Error("the ARN came back after deletion")
	}
	fails(t, w.c.GetSecretValue, &sm.GetSecretValueInput{SecretId: &full}, notFound, msgMissing)
	if got := w.get(t, partial+"full"); got != "new" {
		t.Errorf("partial ARN finds %q", got)
	}
}

// TestValueSizes is spec 2.14: 65,536 bytes, text and binary, empty, and the
// value never repeated.
func TestValueSizes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const limit = 65536
	one := "1 validation error detected: Value at '"
	long := "' failed to satisfy constraint: Member must have length less than or equal to 65536"
	short := "' failed to satisfy constraint: Member must have length greater than or equal to 1"
	largest := strings.Repeat("ä", limit/2)
	w.create(t, "text", largest)
	if got := w.get(t, "text"); got != largest {
		t.Errorf("largest text came back with %d bytes", len(got))
	}
	binary := bytes.Repeat([]byte{0, 0xff, '\n'}, limit/3+1)[:limit]
	call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("binary"), SecretBinary: binary})
	got := call(t, w.c.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("binary")})
	if !bytes.Equal(got.SecretBinary, binary) || got.SecretString != nil {
		t.Error("largest binary value came back changed")
	}
	fails(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("x"), SecretString: new(largest + "a")}, validation, one+"secretString"+long)
	fails(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("x"), SecretString: new("")}, validation, one+"secretString"+short)
	fails(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("x"), SecretBinary: append(binary, 0)}, validation, one+"secretBinary"+long)
	fails(t, w.c.PutSecretValue, &sm.PutSecretValueInput{SecretId: new("text"), SecretString: new(largest + "a")}, validation, one+"secretString"+long)
	fails(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("text"), SecretString: new("")}, validation, one+"secretString"+short)
	w.rawFails(t, "PutSecretValue", `{"SecretId":"text","SecretBinary":"","ClientRequestToken":"`+tokenA+`"}`, validation, one+"secretBinary"+short)

	// A value is not parsed, trimmed or normalised.
	for _, v := range []string{" {\"a\" : 1}\r\n", "\ufeffbom", "e\u0301 and \u00e9", "nul\x00inside", "<&>\u2028", `{"dup":1,"dup":2}`} {
		call(t, w.c.PutSecretValue, &sm.PutSecretValueInput{SecretId: new("text"), SecretString: &v})
		if got := w.get(t, "text"); got != v {
			t.Errorf("value %q came back as %q", v, got)
		}
	}
	raw := w.raw(t, "GetSecretValue", `{"SecretId":"binary"}`).members(t)
	if raw["SecretBinary"] != base64.StdEncoding.EncodeToString(binary) {
		t.Error("binary value is not standard base64 on the wire")
	}
}

func TestCreateSecretRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, "marked", "v")
	w.mark(t, "marked")
	for name, c := range map[string]struct {
		in            *sm.CreateSecretInput
		code, message string
	}{
		"bad name":       {&sm.CreateSecretInput{Name: new("a b")}, validation, msgName},
		"umlaut":         {&sm.CreateSecretInput{Name: new("ä")}, validation, msgName},
		"an ARN":         {&sm.CreateSecretInput{Name: new("arn:aws:x")}, validation, msgName},
		"both values":    {&sm.CreateSecretInput{Name: new("a"), SecretString: new("s"), SecretBinary: []byte("b")}, badParameter, msgBoth},
		"marked":         {&sm.CreateSecretInput{Name: new("marked"), SecretString: new("v")}, badRequest, "You can't create this secret because a secret with this name is already scheduled for deletion."},
		"short token":    {&sm.CreateSecretInput{Name: new("a"), ClientRequestToken: new("short")}, validation, "1 validation error detected: Value 'short' at 'clientRequestToken' failed to satisfy constraint: Member must have length greater than or equal to 32"},
		"long token":     {&sm.CreateSecretInput{Name: new("a"), ClientRequestToken: new(strings.Repeat("t", 65))}, validation, "1 validation error detected: Value '" + strings.Repeat("t", 65) + "' at 'clientRequestToken' failed to satisfy constraint: Member must have length less than or equal to 64"},
		"long name":      {&sm.CreateSecretInput{Name: new(strings.Repeat("n", 513))}, validation, "1 validation error detected: Value '" + strings.Repeat("n", 513) + "' at 'name' failed to satisfy constraint: Member must have length less than or equal to 512"},
		"long text":      {&sm.CreateSecretInput{Name: new("a"), Description: new(strings.Repeat("d", 2049))}, validation, "1 validation error detected: Value '" + strings.Repeat("d", 2049) + "' at 'description' failed to satisfy constraint: Member must have length less than or equal to 2048"},
		"no such key":    {&sm.CreateSecretInput{Name: new("a"), KmsKeyId: new("alias/nope")}, badParameter, msgBadKey},
		"own region":     {&sm.CreateSecretInput{Name: new("a"), AddReplicaRegions: []types.ReplicaRegionType{{Region: new("us-east-1")}}}, badParameter, "Invalid replica region."},
		"region unknown": {&sm.CreateSecretInput{Name: new("a"), AddReplicaRegions: []types.ReplicaRegionType{{Region: new("ap-south-1")}}}, badParameter, "Invalid replica region."},
		"region twice":   {&sm.CreateSecretInput{Name: new("a"), AddReplicaRegions: []types.ReplicaRegionType{{Region: new("eu-west-1")}, {Region: new("eu-west-1")}}}, badParameter, "Invalid replica region."},
	} {
		t.Run(name, func(t *testing.T) { fails(t, w.c.CreateSecret, c.in, c.code, c.message) })
	}
	if out := call(t, w.c.ListSecrets, &sm.ListSecretsInput{}); len(out.SecretList) > 0 {
		t.Errorf("refused creations left %v", out.SecretList)
	}
}

// TestPartnerSecret: a type is stored and echoed (spec 5.10).
func TestPartnerSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("p"), Type: new("SalesforceClientSecret")})
	if d := w.describe(t, "p"); d.Type == nil || *d.Type != "SalesforceClientSecret" {
		t.Errorf("type %v", d.Type)
	}
	call(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("p"), Type: new("BigIDClientSecret")})
	if l := call(t, w.c.ListSecrets, &sm.ListSecretsInput{}).SecretList; *l[0].Type != "BigIDClientSecret" {
		t.Errorf("listed type %v", *l[0].Type)
	}
}

func TestSecretQuota(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servertest.Config(func(c *config.Config) { c.Quotas.Secrets = 2 }))
	w.create(t, "a", "v")
	w.create(t, "b", "v")
	const full = "You can't create this secret because the account already has 2 secrets in this Region, the quota."
	w.move(2 * time.Second)
	fails(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("c")}, limitExceeded, full)
	// A request that was granted before stays granted.
	fails(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("a")}, exists, "The operation failed because the secret a already exists.")
	call(t, w.there.CreateSecret, &sm.CreateSecretInput{Name: new("c")})
	call(t, w.c.DeleteSecret, &sm.DeleteSecretInput{SecretId: new("a"), ForceDeleteWithoutRecovery: new(true)})
	w.create(t, "c", "v")
	// Marked secrets count: they can come back.
	w.mark(t, "b")
	w.move(2 * time.Second)
	fails(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("d")}, limitExceeded, full)
}
