package secretsmanager_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// wantStages compares labels without their order, which is not specified.
func wantStages(t testing.TB, got []string, want ...string) {
	t.Helper()
	got = slices.Clone(got)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("labels %v, want %v", got, want)
	}
}

// wantVersions compares the labels of all versions that have some.
func (w *world) wantVersions(t testing.TB, id string, want map[string][]string) {
	t.Helper()
	got := w.describe(t, id).VersionIdsToStages
	if len(got) != len(want) {
		t.Errorf("versions of %s: %v, want %v", id, got, want)
		return
	}
	for v, stages := range want {
		wantStages(t, got[v], stages...)
	}
}

func (w *world) put(t testing.TB, id, token, value string, stages ...string) *sm.PutSecretValueOutput {
	t.Helper()
	return call(t, w.c.PutSecretValue, &sm.PutSecretValueInput{SecretId: &id, ClientRequestToken: &token, SecretString: &value, VersionStages: stages})
}

func (w *world) createWith(t testing.TB, name, token, value string) (arn string) {
	t.Helper()
	return *call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: &name, ClientRequestToken: &token, SecretString: &value}).ARN
}

func tokenUsed(token, arn string) string {
	return "You can't use ClientRequestToken " + token + " because that value is already in use for a version of secret " + arn + "."
}

// TestGetSecretValue is the table of spec 2.6.
func TestGetSecretValue(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		arn := w.createWith(t, "s", tokenA, "v1")
		before := w.now()
		w.put(t, "s", tokenB, "v2")
		w.put(t, "s", tokenC, "v3")
		for name, c := range map[string]struct {
			in            sm.GetSecretValueInput
			value, id     string
			stages        []string
			code, message string
		}{
			"neither":               {in: sm.GetSecretValueInput{}, value: "v3", id: tokenC, stages: []string{"AWSCURRENT"}},
			"by ARN":                {in: sm.GetSecretValueInput{SecretId: &arn}, value: "v3", id: tokenC, stages: []string{"AWSCURRENT"}},
			"label current":         {in: sm.GetSecretValueInput{VersionStage: new("AWSCURRENT")}, value: "v3", id: tokenC, stages: []string{"AWSCURRENT"}},
			"label previous":        {in: sm.GetSecretValueInput{VersionStage: new("AWSPREVIOUS")}, value: "v2", id: tokenB, stages: []string{"AWSPREVIOUS"}},
			"version":               {in: sm.GetSecretValueInput{VersionId: new(tokenB)}, value: "v2", id: tokenB, stages: []string{"AWSPREVIOUS"}},
			"deprecated version":    {in: sm.GetSecretValueInput{VersionId: new(tokenA)}, value: "v1", id: tokenA},
			"both, agreeing":        {in: sm.GetSecretValueInput{VersionId: new(tokenB), VersionStage: new("AWSPREVIOUS")}, value: "v2", id: tokenB, stages: []string{"AWSPREVIOUS"}},
			"label nobody has":      {in: sm.GetSecretValueInput{VersionStage: new("AWSPENDING")}, code: notFound, message: "Secrets Manager can't find the specified secret value for staging label: AWSPENDING"},
			"label in another case": {in: sm.GetSecretValueInput{VersionStage: new("awscurrent")}, code: notFound, message: "Secrets Manager can't find the specified secret value for staging label: awscurrent"},
			"version unknown":       {in: sm.GetSecretValueInput{VersionId: new(tokenD)}, code: notFound, message: "Secrets Manager can't find the specified secret value for VersionId: " + tokenD},
			"both, disagreeing":     {in: sm.GetSecretValueInput{VersionId: new(tokenB), VersionStage: new("AWSCURRENT")}, code: badRequest, message: "You provided a VersionStage that is not associated to the provided VersionId."},
			"both, label unknown":   {in: sm.GetSecretValueInput{VersionId: new(tokenB), VersionStage: new("X")}, code: badRequest, message: "You provided a VersionStage that is not associated to the provided VersionId."},
			"both, version unknown": {in: sm.GetSecretValueInput{VersionId: new(tokenD), VersionStage: new("AWSCURRENT")}, code: notFound, message: "Secrets Manager can't find the specified secret value for VersionId: " + tokenD},
			"version too short":     {in: sm.GetSecretValueInput{VersionId: new("x")}, code: validation, message: "1 validation error detected: Value 'x' at 'versionId' failed to satisfy constraint: Member must have length greater than or equal to 32"},
		} {
			t.Run(name, func(t *testing.T) {
				if c.in.SecretId == nil {
					c.in.SecretId = new("s")
				}
				if c.code != "" {
					fails(t, w.c.GetSecretValue, &c.in, c.code, c.message)
					return
				}
				out := call(t, w.c.GetSecretValue, &c.in)
				if *out.ARN != arn || *out.Name != "s" || *out.VersionId != c.id || *out.SecretString != c.value || out.SecretBinary != nil {
					t.Errorf("got %s %s %s %s", *out.ARN, *out.Name, *out.VersionId, *out.SecretString)
				}
				wantStages(t, out.VersionStages, c.stages...)
				if out.CreatedDate == nil || out.CreatedDate.Before(before.Add(-time.Minute)) || out.CreatedDate.After(w.now()) {
					t.Errorf("created %v", out.CreatedDate)
				}
			})
		}
		// CreatedDate is the version's own.
		old := call(t, w.c.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("s"), VersionId: new(tokenA)})
		w.move(time.Hour)
		w.put(t, "s", tokenD, "v4")
		now := call(t, w.c.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("s")})
		if d := now.CreatedDate.Sub(*old.CreatedDate); d < 50*time.Minute {
			t.Errorf("an hour later the new version is %v younger", d)
		}
	})
}

// TestPutSecretValue is spec 2.4 with the movements of 3.2.
func TestPutSecretValue(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		arn := w.createWith(t, "s", tokenA, "v1")
		out := w.put(t, "s", tokenB, "v2")
		if *out.ARN != arn || *out.Name != "s" || *out.VersionId != tokenB {
			t.Errorf("answer %s %s %s", *out.ARN, *out.Name, *out.VersionId)
		}
		wantStages(t, out.VersionStages, "AWSCURRENT")
		w.wantVersions(t, "s", map[string][]string{tokenA: {"AWSPREVIOUS"}, tokenB: {"AWSCURRENT"}})

		// The same again, spec 16.14 and 16.15.
		again := w.put(t, "s", tokenB, "v2", "IGNORED")
		wantStages(t, again.VersionStages, "AWSCURRENT")
		w.wantVersions(t, "s", map[string][]string{tokenA: {"AWSPREVIOUS"}, tokenB: {"AWSCURRENT"}})
		fails(t, w.c.PutSecretValue, &sm.PutSecretValueInput{SecretId: new("s"), ClientRequestToken: new(tokenB), SecretString: new("other")}, exists, tokenUsed(tokenB, arn))
		fails(t, w.c.PutSecretValue, &sm.PutSecretValueInput{SecretId: new("s"), ClientRequestToken: new(tokenB), SecretBinary: []byte("v2")}, exists, tokenUsed(tokenB, arn))
		fails(t, w.c.PutSecretValue, &sm.PutSecretValueInput{SecretId: new("s"), ClientRequestToken: new(tokenA), SecretString: new("v2")}, exists, tokenUsed(tokenA, arn))

		pending := w.put(t, "s", tokenC, "v3", "AWSPENDING", "blue", "AWSPENDING")
		wantStages(t, pending.VersionStages, "AWSPENDING", "blue")
		w.wantVersions(t, "s", map[string][]string{tokenA: {"AWSPREVIOUS"}, tokenB: {"AWSCURRENT"}, tokenC: {"AWSPENDING", "blue"}})
		if got := w.get(t, "s"); got != "v2" {
			t.Errorf("current value %q while another is pending", got)
		}
		// A new current value abandons the pending one; blue moves as asked.
		w.put(t, "s", tokenD, "v4", "AWSCURRENT", "blue")
		w.wantVersions(t, "s", map[string][]string{tokenB: {"AWSPREVIOUS"}, tokenD: {"AWSCURRENT", "blue"}})

		// Text and binary may change from version to version.
		call(t, w.c.PutSecretValue, &sm.PutSecretValueInput{SecretId: &arn, SecretBinary: []byte{0, 1}})
		got := call(t, w.c.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("s")})
		if got.SecretString != nil || string(got.SecretBinary) != "\x00\x01" {
			t.Errorf("binary value came back as %v", got.SecretBinary)
		}
	})
}

func TestPutSecretValueRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, "s", "v")
	many := make([]string, 21)
	for i := range many {
		many[i] = "l" + strings.Repeat("x", i)
	}
	for name, c := range map[string]struct {
		in            sm.PutSecretValueInput
		code, message string
	}{
		"neither value":  {sm.PutSecretValueInput{}, badRequest, msgNeither},
		"both values":    {sm.PutSecretValueInput{SecretString: new("a"), SecretBinary: []byte("a")}, badParameter, msgBoth},
		"missing":        {sm.PutSecretValueInput{SecretId: new("nope"), SecretString: new("a")}, notFound, msgMissing},
		"bad name":       {sm.PutSecretValueInput{SecretId: new("a b"), SecretString: new("a")}, validation, msgName},
		"too many label": {sm.PutSecretValueInput{SecretString: new("a"), VersionStages: many}, validation, "1 validation error detected: Value '[" + strings.Join(many, ", ") + "]' at 'versionStages' failed to satisfy constraint: Member must have length less than or equal to 20"},
		"no labels":      {sm.PutSecretValueInput{SecretString: new("a"), VersionStages: []string{}}, validation, "1 validation error detected: Value '[]' at 'versionStages' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		"empty label":    {sm.PutSecretValueInput{SecretString: new("a"), VersionStages: []string{""}}, validation, "1 validation error detected: Value '' at 'versionStages.1.member' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		"rotation token": {sm.PutSecretValueInput{SecretString: new("a"), RotationToken: new(strings.Repeat("!", 36))}, validation, `1 validation error detected: Value at 'rotationToken' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9\-]+$`},
	} {
		t.Run(name, func(t *testing.T) {
			if c.in.SecretId == nil {
				c.in.SecretId = new("s")
			}
			fails(t, w.c.PutSecretValue, &c.in, c.code, c.message)
		})
	}
	call(t, w.c.PutSecretValue, &sm.PutSecretValueInput{SecretId: new("s"), SecretString: new("a"), RotationToken: new(tokenA)})
}

// TestUpdateSecret is spec 2.5.
func TestUpdateSecret(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		arn := w.createWith(t, "s", tokenA, "v1")
		created := w.describe(t, "s")
		w.move(time.Second)
		out := call(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("s"), Description: new("about")})
		if *out.ARN != arn || *out.Name != "s" || out.VersionId != nil {
			t.Errorf("answer without a value: %s %s %v", *out.ARN, *out.Name, out.VersionId)
		}
		d := w.describe(t, "s")
		if *d.Description != "about" || !d.LastChangedDate.After(*created.LastChangedDate) || !d.CreatedDate.Equal(*created.CreatedDate) {
			t.Errorf("described as %v, changed %v then %v", *d.Description, created.LastChangedDate, d.LastChangedDate)
		}

		// No field at all: accepted, nothing changes.
		w.move(time.Second)
		if a := w.raw(t, "UpdateSecret", `{"SecretId":"s"}`); a.Status != 200 {
			t.Errorf("update of nothing: %s", a.Body)
		}
		if now := w.describe(t, "s"); !now.LastChangedDate.Equal(*d.LastChangedDate) || *now.Description != "about" {
			t.Error("update of nothing changed something")
		}

		v2 := call(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("s"), SecretString: new("v2"), ClientRequestToken: new(tokenB)})
		if *v2.VersionId != tokenB {
			t.Errorf("version %s", *v2.VersionId)
		}
		w.wantVersions(t, "s", map[string][]string{tokenA: {"AWSPREVIOUS"}, tokenB: {"AWSCURRENT"}})
		if *w.describe(t, "s").Description != "about" {
			t.Error("a new value took the description away")
		}

		// The current value again under a new token is a new version all the same.
		changed := w.describe(t, "s").LastChangedDate
		w.move(time.Second)
		call(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("s"), SecretString: new("v2"), ClientRequestToken: new(tokenC)})
		w.wantVersions(t, "s", map[string][]string{tokenB: {"AWSPREVIOUS"}, tokenC: {"AWSCURRENT"}})
		if now := w.describe(t, "s").LastChangedDate; !now.After(*changed) {
			t.Error("the same value again did not move LastChangedDate")
		}

		// A token seen before.
		again := call(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("s"), SecretString: new("v2"), ClientRequestToken: new(tokenB)})
		if *again.VersionId != tokenB {
			t.Errorf("same token and content: %s", *again.VersionId)
		}
		w.wantVersions(t, "s", map[string][]string{tokenB: {"AWSPREVIOUS"}, tokenC: {"AWSCURRENT"}})
		fails(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("s"), SecretString: new("else"), ClientRequestToken: new(tokenB)}, exists, tokenUsed(tokenB, arn))
		// Refused as a whole.
		fails(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("s"), SecretString: new("else"), Description: new("new"), ClientRequestToken: new(tokenB)}, exists, tokenUsed(tokenB, arn))
		if *w.describe(t, "s").Description != "about" {
			t.Error("a refused update changed the description")
		}

		call(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("s"), Description: new("")})
		if d := w.describe(t, "s"); d.Description != nil {
			t.Errorf("cleared description shows as %q", *d.Description)
		}
		fails(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("s"), SecretString: new("a"), SecretBinary: []byte("a")}, badParameter, msgBoth)
		fails(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("nope"), SecretString: new("a")}, notFound, msgMissing)
		fails(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("a b"), SecretString: new("a")}, validation, msgName)
	})
}
