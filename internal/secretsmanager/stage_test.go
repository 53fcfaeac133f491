package secretsmanager_test

import (
	"fmt"
	"testing"
	"time"

	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

func (w *world) promote(t testing.TB, id, from, to string) {
	t.Helper()
	call(t, w.c.UpdateSecretVersionStage, &sm.UpdateSecretVersionStageInput{SecretId: &id, VersionStage: new("AWSCURRENT"), MoveToVersionId: &to, RemoveFromVersionId: &from})
}

// TestPendingAndPromotion is the recorded example of spec 3.2 and 16.9.
func TestPendingAndPromotion(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.createWith(t, "s", tokenA, "v1")
		w.put(t, "s", tokenB, "v2", "AWSPENDING")
		w.wantVersions(t, "s", map[string][]string{tokenA: {"AWSCURRENT"}, tokenB: {"AWSPENDING"}})
		w.promote(t, "s", tokenA, tokenB)
		w.wantVersions(t, "s", map[string][]string{tokenA: {"AWSPREVIOUS"}, tokenB: {"AWSCURRENT", "AWSPENDING"}})
		if got := w.get(t, "s"); got != "v2" {
			t.Errorf("promoted value %q", got)
		}
		w.put(t, "s", tokenC, "v3", "AWSPENDING")
		w.wantVersions(t, "s", map[string][]string{tokenA: {"AWSPREVIOUS"}, tokenB: {"AWSCURRENT"}, tokenC: {"AWSPENDING"}})
		w.promote(t, "s", tokenB, tokenC)
		w.wantVersions(t, "s", map[string][]string{tokenB: {"AWSPREVIOUS"}, tokenC: {"AWSCURRENT", "AWSPENDING"}})
		// A new value takes the left-over AWSPENDING off (spec 3.2).
		w.put(t, "s", tokenD, "v4")
		w.wantVersions(t, "s", map[string][]string{tokenC: {"AWSPREVIOUS"}, tokenD: {"AWSCURRENT"}})
	})
}

// TestUpdateSecretVersionStage is the table of spec 3.3. Each case starts from
// A [AWSPREVIOUS], B [AWSCURRENT, custom], C [AWSPENDING], D without a label.
func TestUpdateSecretVersionStage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const unknown = "eeeeeeee-eeee-4eee-8eee-eeeeeeeeeeee"
	start := map[string][]string{tokenA: {"AWSPREVIOUS"}, tokenB: {"AWSCURRENT", "custom"}, tokenC: {"AWSPENDING"}}
	notHolder := func(stage string) string {
		return fmt.Sprintf("When you move staging label %s, if you specify RemoveFromVersionId, it must be set to the version that currently has the staging label %[1]s.", stage)
	}
	for i, c := range []struct {
		name, stage, to, from string
		want                  map[string][]string
		code, message         string
	}{
		{name: "attach an unattached label", stage: "new", to: tokenD, want: map[string][]string{tokenA: {"AWSPREVIOUS"}, tokenB: {"AWSCURRENT", "custom"}, tokenC: {"AWSPENDING"}, tokenD: {"new"}}},
		{name: "a label that begins with AWS", stage: "AWSOMETHING", to: tokenD, want: map[string][]string{tokenA: {"AWSPREVIOUS"}, tokenB: {"AWSCURRENT", "custom"}, tokenC: {"AWSPENDING"}, tokenD: {"AWSOMETHING"}}},
		{name: "move a custom label", stage: "custom", to: tokenA, from: tokenB, want: map[string][]string{tokenA: {"AWSPREVIOUS", "custom"}, tokenB: {"AWSCURRENT"}, tokenC: {"AWSPENDING"}}},
		{name: "move pending", stage: "AWSPENDING", to: tokenD, from: tokenC, want: map[string][]string{tokenA: {"AWSPREVIOUS"}, tokenB: {"AWSCURRENT", "custom"}, tokenD: {"AWSPENDING"}}},
		{name: "move previous", stage: "AWSPREVIOUS", to: tokenD, from: tokenA, want: map[string][]string{tokenD: {"AWSPREVIOUS"}, tokenB: {"AWSCURRENT", "custom"}, tokenC: {"AWSPENDING"}}},
		{name: "promote pending", stage: "AWSCURRENT", to: tokenC, from: tokenB, want: map[string][]string{tokenB: {"AWSPREVIOUS", "custom"}, tokenC: {"AWSPENDING", "AWSCURRENT"}}},
		{name: "roll back to previous", stage: "AWSCURRENT", to: tokenA, from: tokenB, want: map[string][]string{tokenA: {"AWSCURRENT"}, tokenB: {"AWSPREVIOUS", "custom"}, tokenC: {"AWSPENDING"}}},
		{name: "roll back to a deprecated version", stage: "AWSCURRENT", to: tokenD, from: tokenB, want: map[string][]string{tokenD: {"AWSCURRENT"}, tokenB: {"AWSPREVIOUS", "custom"}, tokenC: {"AWSPENDING"}}},
		{name: "detach a custom label", stage: "custom", from: tokenB, want: map[string][]string{tokenA: {"AWSPREVIOUS"}, tokenB: {"AWSCURRENT"}, tokenC: {"AWSPENDING"}}},
		{name: "detach pending", stage: "AWSPENDING", from: tokenC, want: map[string][]string{tokenA: {"AWSPREVIOUS"}, tokenB: {"AWSCURRENT", "custom"}}},
		{name: "move to where it is", stage: "AWSCURRENT", to: tokenB, want: start},
		{name: "move from and to where it is", stage: "custom", to: tokenB, from: tokenB, want: start},
		{name: "current without remove", stage: "AWSCURRENT", to: tokenC, code: badParameter,
			message: "The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently attached to version " + tokenB + ", so you must explicitly reference that version in RemoveFromVersionId."},
		{name: "custom without remove", stage: "custom", to: tokenC, code: badParameter,
			message: "The parameter RemoveFromVersionId can't be empty. Staging label custom is currently attached to version " + tokenB + ", so you must explicitly reference that version in RemoveFromVersionId."},
		{name: "remove from another", stage: "AWSCURRENT", to: tokenC, from: tokenA, code: badParameter, message: notHolder("AWSCURRENT")},
		{name: "remove from another, to the holder", stage: "AWSCURRENT", to: tokenB, from: tokenA, code: badParameter, message: notHolder("AWSCURRENT")},
		{name: "remove a label that nobody has", stage: "none", from: tokenA, code: badParameter, message: notHolder("none")},
		{name: "move a label nobody has from somewhere", stage: "none", to: tokenA, from: tokenB, code: badParameter, message: notHolder("none")},
		{name: "detach current", stage: "AWSCURRENT", from: tokenB, code: badParameter, message: "You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed."},
		{name: "neither version", stage: "custom", code: badParameter, message: "You must provide either MoveToVersionId or RemoveFromVersionId."},
		{name: "move to an unknown version", stage: "new", to: unknown, code: notFound, message: "Secrets Manager can't find the specified secret value for VersionId: " + unknown},
		{name: "remove from an unknown version", stage: "custom", to: tokenA, from: unknown, code: notFound, message: "Secrets Manager can't find the specified secret value for VersionId: " + unknown},
		{name: "short version id", stage: "custom", to: "x", code: validation, message: "1 validation error detected: Value 'x' at 'moveToVersionId' failed to satisfy constraint: Member must have length greater than or equal to 32"},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := fmt.Sprintf("s%d", i)
			arn := w.createWith(t, name, tokenD, "vD")
			w.put(t, name, tokenA, "vA")
			w.put(t, name, tokenB, "vB", "AWSCURRENT", "custom")
			w.put(t, name, tokenC, "vC", "AWSPENDING")
			w.wantVersions(t, name, start)
			in := &sm.UpdateSecretVersionStageInput{SecretId: &name, VersionStage: &c.stage}
			if c.to != "" {
				in.MoveToVersionId = &c.to
			}
			if c.from != "" {
				in.RemoveFromVersionId = &c.from
			}
			if c.code != "" {
				fails(t, w.c.UpdateSecretVersionStage, in, c.code, c.message)
				w.wantVersions(t, name, start)
				return
			}
			out := call(t, w.c.UpdateSecretVersionStage, in)
			if *out.ARN != arn || *out.Name != name {
				t.Errorf("answer %s %s", *out.ARN, *out.Name)
			}
			w.wantVersions(t, name, c.want)
		})
	}
	fails(t, w.c.UpdateSecretVersionStage, &sm.UpdateSecretVersionStageInput{SecretId: new("nope"), VersionStage: new("x"), MoveToVersionId: new(tokenA)}, notFound, msgMissing)
}

// TestLabelQuota: at most twenty labels over all versions (spec 3.1).
func TestLabelQuota(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const full = "You can't have more than 20 staging labels attached to the versions of a secret."
	w.createWith(t, "s", tokenA, "v1")
	stages := make([]string, 19)
	for i := range stages {
		stages[i] = fmt.Sprintf("l%d", i)
	}
	w.put(t, "s", tokenB, "v2", stages...)
	fails(t, w.c.UpdateSecretVersionStage, &sm.UpdateSecretVersionStageInput{SecretId: new("s"), VersionStage: new("more"), MoveToVersionId: new(tokenA)}, limitExceeded, full)
	fails(t, w.c.PutSecretValue, &sm.PutSecretValueInput{SecretId: new("s"), SecretString: new("v3"), VersionStages: []string{"more"}}, limitExceeded, full)
	// AWSPREVIOUS would be the twenty-first.
	fails(t, w.c.PutSecretValue, &sm.PutSecretValueInput{SecretId: new("s"), SecretString: new("v3")}, limitExceeded, full)
	fails(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("s"), SecretString: new("v3")}, limitExceeded, full)
	// Moving is not adding.
	call(t, w.c.UpdateSecretVersionStage, &sm.UpdateSecretVersionStageInput{SecretId: new("s"), VersionStage: new("l0"), MoveToVersionId: new(tokenA), RemoveFromVersionId: new(tokenB)})
	call(t, w.c.UpdateSecretVersionStage, &sm.UpdateSecretVersionStageInput{SecretId: new("s"), VersionStage: new("l0"), RemoveFromVersionId: new(tokenA)})
	w.put(t, "s", tokenC, "v3")
	if n := len(w.describe(t, "s").VersionIdsToStages); n != 3 {
		t.Errorf("%d versions with labels, want 3", n)
	}
}

// TestLabelsMoveLastChangedDate: moving a label changes the secret, an idle move
// does not.
func TestLabelsMoveLastChangedDate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createWith(t, "s", tokenA, "v1")
	before := *w.describe(t, "s").LastChangedDate
	w.move(time.Second)
	in := &sm.UpdateSecretVersionStageInput{SecretId: new("s"), VersionStage: new("x"), MoveToVersionId: new(tokenA)}
	call(t, w.c.UpdateSecretVersionStage, in)
	after := *w.describe(t, "s").LastChangedDate
	if !after.After(before) {
		t.Errorf("changed %v, before %v", after, before)
	}
	w.move(time.Second)
	call(t, w.c.UpdateSecretVersionStage, in)
	if again := *w.describe(t, "s").LastChangedDate; !again.Equal(after) {
		t.Errorf("a label moved to where it was changed the secret: %v, before %v", again, after)
	}
}
