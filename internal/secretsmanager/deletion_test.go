package secretsmanager_test

import (
	"strings"
	"testing"
	"time"

	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

const (
	msgWindow   = "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive)."
	msgConflict = "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays."
)

const day = 24 * time.Hour

// near compares times that the test and the server took on their own.
func near(got *time.Time, want time.Time) bool {
	return got != nil && got.Sub(want).Abs() < 10*time.Second
}

// TestDeleteAndRestore is spec 4.1, 4.2 and 16.10, 16.11 and 16.16.
func TestDeleteAndRestore(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		arn := w.createWith(t, "s", tokenA, "v1")
		call(t, w.c.TagResource, &sm.TagResourceInput{SecretId: &arn, Tags: []types.Tag{{Key: new("k"), Value: new("v")}}})
		out := call(t, w.c.DeleteSecret, &sm.DeleteSecretInput{SecretId: new("s"), RecoveryWindowInDays: new(int64(7)), ForceDeleteWithoutRecovery: new(false)})
		if *out.ARN != arn || *out.Name != "s" || !near(out.DeletionDate, w.now().Add(7*day)) {
			t.Errorf("delete: %s %s %v", *out.ARN, *out.Name, out.DeletionDate)
		}
		d := w.describe(t, "s")
		if !near(d.DeletedDate, w.now()) || len(d.Tags) != 1 || len(d.VersionIdsToStages) != 1 {
			t.Errorf("described as deleted %v, tags %v, versions %v", d.DeletedDate, d.Tags, d.VersionIdsToStages)
		}
		if l := call(t, w.c.ListSecrets, &sm.ListSecretsInput{}).SecretList; len(l) > 0 {
			t.Error("a marked secret is listed")
		}
		l := call(t, w.c.ListSecrets, &sm.ListSecretsInput{IncludePlannedDeletion: new(true)}).SecretList
		if len(l) != 1 || !near(l[0].DeletedDate, w.now()) {
			t.Errorf("planned deletions: %v", l)
		}
		if v := call(t, w.c.ListSecretVersionIds, &sm.ListSecretVersionIdsInput{SecretId: &arn}).Versions; len(v) != 1 {
			t.Errorf("versions of a marked secret: %v", v)
		}
		w.wantMarked(t, "s")
		fails(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("s"), SecretString: new("v1"), ClientRequestToken: new(tokenA)}, badRequest,
			"You can't create this secret because a secret with this name is already scheduled for deletion.")

		restored := call(t, w.c.RestoreSecret, &sm.RestoreSecretInput{SecretId: new("s")})
		if *restored.ARN != arn || *restored.Name != "s" {
			t.Errorf("restore: %s %s", *restored.ARN, *restored.Name)
		}
		d = w.describe(t, "s")
		if d.DeletedDate != nil || len(d.Tags) != 1 || w.get(t, "s") != "v1" {
			t.Errorf("after restore: deleted %v, tags %v", d.DeletedDate, d.Tags)
		}
		call(t, w.c.RestoreSecret, &sm.RestoreSecretInput{SecretId: &arn})
		fails(t, w.c.RestoreSecret, &sm.RestoreSecretInput{SecretId: new("nope")}, notFound, msgMissing)
		fails(t, w.c.DeleteSecret, &sm.DeleteSecretInput{SecretId: new("nope")}, notFound, msgMissing)
		out = call(t, w.c.DeleteSecret, &sm.DeleteSecretInput{SecretId: new("s")})
		if !near(out.DeletionDate, w.now().Add(30*day)) {
			t.Errorf("default window ends %v", out.DeletionDate)
		}
	})
}

// wantMarked tries everything that a marked secret refuses (spec 2.2).
func (w *world) wantMarked(t *testing.T, id string) {
	t.Helper()
	const policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`
	fails(t, w.c.GetSecretValue, &sm.GetSecretValueInput{SecretId: &id}, badRequest, msgMarked)
	fails(t, w.c.GetSecretValue, &sm.GetSecretValueInput{SecretId: &id, VersionStage: new("X")}, badRequest, msgMarked)
	fails(t, w.c.PutSecretValue, &sm.PutSecretValueInput{SecretId: &id, SecretString: new("x")}, badRequest, msgMarked)
	fails(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: &id, Description: new("x")}, badRequest, msgMarked)
	fails(t, w.c.TagResource, &sm.TagResourceInput{SecretId: &id, Tags: []types.Tag{{Key: new("a"), Value: new("b")}}}, badRequest, msgMarked)
	fails(t, w.c.UntagResource, &sm.UntagResourceInput{SecretId: &id, TagKeys: []string{"k"}}, badRequest, msgMarked)
	fails(t, w.c.UpdateSecretVersionStage, &sm.UpdateSecretVersionStageInput{SecretId: &id, VersionStage: new("x"), MoveToVersionId: new(tokenA)}, badRequest, msgMarked)
	fails(t, w.c.PutResourcePolicy, &sm.PutResourcePolicyInput{SecretId: &id, ResourcePolicy: new(policy)}, badRequest, msgMarked)
	fails(t, w.c.GetResourcePolicy, &sm.GetResourcePolicyInput{SecretId: &id}, badRequest, msgMarked)
	fails(t, w.c.DeleteResourcePolicy, &sm.DeleteResourcePolicyInput{SecretId: &id}, badRequest, msgMarked)
	fails(t, w.c.ValidateResourcePolicy, &sm.ValidateResourcePolicyInput{SecretId: &id, ResourcePolicy: new(policy)}, badRequest, msgMarked)
	fails(t, w.c.ReplicateSecretToRegions, &sm.ReplicateSecretToRegionsInput{SecretId: &id, AddReplicaRegions: []types.ReplicaRegionType{{Region: new("eu-west-1")}}}, badRequest, msgMarked)
	fails(t, w.c.RemoveRegionsFromReplication, &sm.RemoveRegionsFromReplicationInput{SecretId: &id, RemoveReplicaRegions: []string{"eu-west-1"}}, badRequest, msgMarked)
	fails(t, w.c.StopReplicationToReplica, &sm.StopReplicationToReplicaInput{SecretId: &id}, badRequest, msgMarked)
	fails(t, w.c.DeleteSecret, &sm.DeleteSecretInput{SecretId: &id}, badRequest, msgMarked)
	entry := call(t, w.c.BatchGetSecretValue, &sm.BatchGetSecretValueInput{SecretIdList: []string{id}})
	w.wantEntry(t, entry, 0, id, badRequest, msgMarked)
}

// wantEntry checks an entry of Errors.
func (w *world) wantEntry(t testing.TB, out *sm.BatchGetSecretValueOutput, i int, id, code, message string) {
	t.Helper()
	if len(out.Errors) <= i {
		t.Errorf("%d errors, want one at %d: %s", len(out.Errors), i, code)
		return
	}
	if e := out.Errors[i]; *e.SecretId != id || *e.ErrorCode != code || *e.Message != message {
		t.Errorf("entry %d: %s %s: %s\nwant %s %s: %s", i, *e.SecretId, *e.ErrorCode, *e.Message, id, code, message)
		return
	}
	errs.Note(t, "BatchGetSecretValue", code, message)
}

// TestDeleteSecretChecks is the order of checks of spec 4.1.
func TestDeleteSecretChecks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, "s", "v")
	for name, c := range map[string]struct {
		in            sm.DeleteSecretInput
		code, message string
	}{
		"window too short":                     {sm.DeleteSecretInput{SecretId: new("s"), RecoveryWindowInDays: new(int64(6))}, badParameter, msgWindow},
		"window too long":                      {sm.DeleteSecretInput{SecretId: new("s"), RecoveryWindowInDays: new(int64(31))}, badParameter, msgWindow},
		"window negative":                      {sm.DeleteSecretInput{SecretId: new("s"), RecoveryWindowInDays: new(int64(-7))}, badParameter, msgWindow},
		"window zero with force":               {sm.DeleteSecretInput{SecretId: new("s"), RecoveryWindowInDays: new(int64(0)), ForceDeleteWithoutRecovery: new(true)}, badParameter, msgWindow},
		"window with force":                    {sm.DeleteSecretInput{SecretId: new("s"), RecoveryWindowInDays: new(int64(7)), ForceDeleteWithoutRecovery: new(true)}, badParameter, msgConflict},
		"bad window beats missing":             {sm.DeleteSecretInput{SecretId: new("nope"), RecoveryWindowInDays: new(int64(6))}, badParameter, msgWindow},
		"conflict beats missing":               {sm.DeleteSecretInput{SecretId: new("nope"), RecoveryWindowInDays: new(int64(7)), ForceDeleteWithoutRecovery: new(true)}, badParameter, msgConflict},
		"bad name beats bad window":            {sm.DeleteSecretInput{SecretId: new("a b"), RecoveryWindowInDays: new(int64(6))}, validation, msgName},
		"bad name, even with force":            {sm.DeleteSecretInput{SecretId: new("a b"), ForceDeleteWithoutRecovery: new(true)}, validation, msgName},
		"missing":                              {sm.DeleteSecretInput{SecretId: new("nope")}, notFound, msgMissing},
		"missing, force switched off":          {sm.DeleteSecretInput{SecretId: new("nope"), ForceDeleteWithoutRecovery: new(false)}, notFound, msgMissing},
		"window far outside, never a overflow": {sm.DeleteSecretInput{SecretId: new("s"), RecoveryWindowInDays: new(int64(1) << 62)}, badParameter, msgWindow},
	} {
		t.Run(name, func(t *testing.T) { fails(t, w.c.DeleteSecret, &c.in, c.code, c.message) })
	}
	if got := w.get(t, "s"); got != "v" {
		t.Errorf("value %q after refused deletions", got)
	}
}

// TestForceDelete is spec 4.1 with force, and 16.12.
func TestForceDelete(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		arn := w.createWith(t, "s", tokenA, "v1")
		out := call(t, w.c.DeleteSecret, &sm.DeleteSecretInput{SecretId: &arn, ForceDeleteWithoutRecovery: new(true)})
		if *out.ARN != arn || *out.Name != "s" || !near(out.DeletionDate, w.now()) {
			t.Errorf("%s %s %v", *out.ARN, *out.Name, out.DeletionDate)
		}
		fails(t, w.c.DescribeSecret, &sm.DescribeSecretInput{SecretId: new("s")}, notFound, msgMissing)
		// The same token again makes a new secret: nothing of the old one is left.
		renewed := w.createWith(t, "s", tokenA, "v2")
		if renewed == arn {
			t.Error("the ARN came back")
		}
		if n := len(call(t, w.c.ListSecretVersionIds, &sm.ListSecretVersionIdsInput{SecretId: new("s"), IncludeDeprecated: new(true)}).Versions); n != 1 {
			t.Errorf("%d versions of the new secret", n)
		}
		// Force on what is marked already.
		w.mark(t, "s")
		call(t, w.c.DeleteSecret, &sm.DeleteSecretInput{SecretId: new("s"), ForceDeleteWithoutRecovery: new(true)})
		fails(t, w.c.RestoreSecret, &sm.RestoreSecretInput{SecretId: new("s")}, notFound, msgMissing)

		// Nothing there: success, with a made-up ARN (recorded).
		nothing := call(t, w.c.DeleteSecret, &sm.DeleteSecretInput{SecretId: new("nothing"), ForceDeleteWithoutRecovery: new(true)})
		if !strings.HasPrefix(*nothing.ARN, "arn:") || *nothing.Name != "nothing" || !near(nothing.DeletionDate, w.now()) {
			t.Errorf("forced deletion of nothing: %s %s %v", *nothing.ARN, *nothing.Name, nothing.DeletionDate)
		}
		again := call(t, w.c.DeleteSecret, &sm.DeleteSecretInput{SecretId: &arn, ForceDeleteWithoutRecovery: new(true)})
		if *again.Name != arn || *again.ARN == "" {
			t.Errorf("forced deletion by the ARN of nothing: %s %s", *again.ARN, *again.Name)
		}
	})
}

// TestPurge: the job erases what was not restored in time, and only that.
func TestPurge(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.create(t, "week", "v")
		w.create(t, "month", "v")
		w.create(t, "restored", "v")
		w.create(t, "live", "v")
		w.mark(t, "week")
		w.mark(t, "restored")
		call(t, w.c.DeleteSecret, &sm.DeleteSecretInput{SecretId: new("month")})
		w.move(7*day - time.Minute)
		w.jobs()
		for _, id := range []string{"week", "month", "restored", "live"} {
			w.describe(t, id)
		}
		call(t, w.c.RestoreSecret, &sm.RestoreSecretInput{SecretId: new("restored")})
		w.move(2 * time.Minute)
		w.jobs()
		fails(t, w.c.DescribeSecret, &sm.DescribeSecretInput{SecretId: new("week")}, notFound, msgMissing)
		if w.get(t, "restored") != "v" || w.get(t, "live") != "v" {
			t.Error("the purge took a live secret")
		}
		call(t, w.c.RestoreSecret, &sm.RestoreSecretInput{SecretId: new("month")})
		call(t, w.c.DeleteSecret, &sm.DeleteSecretInput{SecretId: new("month")})
		w.move(29 * day)
		w.jobs()
		w.describe(t, "month")
		w.move(day + time.Minute)
		w.jobs()
		fails(t, w.c.RestoreSecret, &sm.RestoreSecretInput{SecretId: new("month")}, notFound, msgMissing)
		w.create(t, "week", "again")
	})
}
