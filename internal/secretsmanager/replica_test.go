package secretsmanager_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/servertest"
)

const msgSync = "Replication succeeded"

// to names regions for replicas.
func to(regions ...string) (out []types.ReplicaRegionType) {
	for _, r := range regions {
		out = append(out, types.ReplicaRegionType{Region: &r})
	}
	return out
}

// status returns "Status: message" of a secret's replica in the other region.
func (w *world) status(t testing.TB, id string) string {
	t.Helper()
	return statusOf(w.describe(t, id).ReplicationStatus, servertest.Other)
}

func statusOf(list []types.ReplicationStatusType, region string) string {
	i := slices.IndexFunc(list, func(s types.ReplicationStatusType) bool { return *s.Region == region })
	if i < 0 {
		return ""
	}
	return string(list[i].Status) + ": " + aws.ToString(list[i].StatusMessage)
}

// TestReplication is spec 6 and 16.21.
func TestReplication(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		out := call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("s"), SecretString: new("v1"), ClientRequestToken: new(tokenA), Description: new("d"),
			Tags: tags("a=b"), AddReplicaRegions: to("eu-west-1")})
		if got := statusOf(out.ReplicationStatus, "eu-west-1"); got != "InProgress: " {
			t.Errorf("status at creation %q", got)
		}
		again := call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("s"), SecretString: new("v1"), ClientRequestToken: new(tokenA), AddReplicaRegions: to("eu-west-1")})
		if got := statusOf(again.ReplicationStatus, "eu-west-1"); got != "InProgress: " {
			t.Errorf("status in the answer to the same request again %q", got)
		}
		w.putPolicy(t, "s", publicRead)
		w.move(time.Minute)
		fails(t, w.there.DescribeSecret, &sm.DescribeSecretInput{SecretId: new("s")}, notFound, msgMissing)
		w.jobs()
		d := w.describe(t, "s")
		if *d.PrimaryRegion != "us-east-1" || len(d.ReplicationStatus) != 1 || statusOf(d.ReplicationStatus, "eu-west-1") != "InSync: "+msgSync || *d.ReplicationStatus[0].KmsKeyId != "alias/aws/secretsmanager" {
			t.Errorf("primary in %v with %v", d.PrimaryRegion, d.ReplicationStatus)
		}
		r := call(t, w.there.DescribeSecret, &sm.DescribeSecretInput{SecretId: new("s")})
		if *r.ARN != strings.Replace(*d.ARN, "us-east-1", "eu-west-1", 1) || *r.PrimaryRegion != "us-east-1" || r.ReplicationStatus != nil || *r.KmsKeyId != "alias/aws/secretsmanager" || *r.Description != "d" || len(r.Tags) != 1 {
			t.Errorf("replica %+v", r)
		}
		if !r.CreatedDate.After(*d.CreatedDate) || !r.LastChangedDate.Equal(*d.LastChangedDate) {
			t.Errorf("replica created %v, changed %v; primary %v, %v", r.CreatedDate, r.LastChangedDate, d.CreatedDate, d.LastChangedDate)
		}
		p := call(t, w.there.GetResourcePolicy, &sm.GetResourcePolicyInput{SecretId: new("s")})
		sameJSON(t, *p.ResourcePolicy, publicRead)
		l := call(t, w.there.ListSecrets, &sm.ListSecretsInput{}).SecretList
		if len(l) != 1 || *l[0].PrimaryRegion != "us-east-1" {
			t.Errorf("listed replicas %v", l)
		}

		// New versions, labels and the rest follow.
		w.put(t, "s", tokenB, "v2")
		w.put(t, "s", tokenC, "v3", "AWSPENDING", "blue")
		call(t, w.c.UntagResource, &sm.UntagResourceInput{SecretId: new("s"), TagKeys: []string{"a"}})
		call(t, w.c.DeleteResourcePolicy, &sm.DeleteResourcePolicyInput{SecretId: new("s")})
		if got := w.status(t, "s"); got != "InProgress: " {
			t.Errorf("status after a change %q", got)
		}
		w.jobs()
		r = call(t, w.there.DescribeSecret, &sm.DescribeSecretInput{SecretId: r.ARN})
		wantStages(t, r.VersionIdsToStages[tokenA], "AWSPREVIOUS")
		wantStages(t, r.VersionIdsToStages[tokenB], "AWSCURRENT")
		wantStages(t, r.VersionIdsToStages[tokenC], "AWSPENDING", "blue")
		if len(r.Tags) > 0 || call(t, w.there.GetResourcePolicy, &sm.GetResourcePolicyInput{SecretId: new("s")}).ResourcePolicy != nil {
			t.Errorf("replica keeps tags %v or the policy", r.Tags)
		}
		for token, want := range map[string]string{tokenA: "v1", tokenB: "v2", tokenC: "v3"} {
			got := call(t, w.there.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("s"), VersionId: &token})
			if *got.SecretString != want {
				t.Errorf("replica's version %s is %s", token, *got.SecretString)
			}
		}
		// Reading the replica is the replica's access, shown in the status.
		if d := w.describe(t, "s"); d.LastAccessedDate != nil || d.ReplicationStatus[0].LastAccessedDate == nil {
			t.Errorf("primary accessed %v, replica %v", d.LastAccessedDate, d.ReplicationStatus[0].LastAccessedDate)
		}

		// A policy taken away and given again is the replica's at each step.
		ann := w.in(w.User(t, "ann", ""), "eu-west-1")
		for i, name := range []string{"ann", "admin", "ann"} {
			w.putPolicy(t, "s", allowing(user(servertest.Account, name), "secretsmanager:GetSecretValue"))
			w.jobs()
			call(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("s"), Description: new(fmt.Sprint(i))})
			w.jobs()
			_, err := ann.GetSecretValue(t.Context(), &sm.GetSecretValueInput{SecretId: new("s")})
			if isDenied(t, err) != (name != "ann") {
				t.Errorf("step %d: policy for %s, ann's read: %v", i, name, err)
			}
		}
	})
}

// TestReplicaRefusesWrites is the table of spec 2.2 and 6.
func TestReplicaRefusesWrites(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("s"), SecretString: new("v"), ClientRequestToken: new(tokenA), AddReplicaRegions: to("eu-west-1")})
	w.jobs()
	id := new("s")
	c := w.there
	fails(t, c.DeleteSecret, &sm.DeleteSecretInput{SecretId: id}, badParameter, msgReplica)
	fails(t, c.DeleteSecret, &sm.DeleteSecretInput{SecretId: id, ForceDeleteWithoutRecovery: new(true)}, badParameter, msgReplica)
	fails(t, c.RestoreSecret, &sm.RestoreSecretInput{SecretId: id}, badParameter, msgReplica)
	fails(t, c.PutSecretValue, &sm.PutSecretValueInput{SecretId: id, SecretString: new("x")}, badParameter, msgReplica)
	fails(t, c.UpdateSecret, &sm.UpdateSecretInput{SecretId: id, Description: new("x")}, badParameter, msgReplica)
	fails(t, c.UpdateSecret, &sm.UpdateSecretInput{SecretId: id, SecretString: new("x")}, badParameter, msgReplica)
	fails(t, c.UpdateSecret, &sm.UpdateSecretInput{SecretId: id, Description: new("x"), KmsKeyId: new("")}, badParameter, msgReplica)
	fails(t, c.UpdateSecretVersionStage, &sm.UpdateSecretVersionStageInput{SecretId: id, VersionStage: new("x"), MoveToVersionId: new(tokenA)}, badParameter, msgReplica)
	fails(t, c.TagResource, &sm.TagResourceInput{SecretId: id, Tags: tags("a=b")}, badParameter, msgReplica)
	fails(t, c.UntagResource, &sm.UntagResourceInput{SecretId: id, TagKeys: []string{"a"}}, badParameter, msgReplica)
	fails(t, c.PutResourcePolicy, &sm.PutResourcePolicyInput{SecretId: id, ResourcePolicy: new(publicRead)}, badParameter, msgReplica)
	fails(t, c.DeleteResourcePolicy, &sm.DeleteResourcePolicyInput{SecretId: id}, badParameter, msgReplica)
	fails(t, c.ReplicateSecretToRegions, &sm.ReplicateSecretToRegionsInput{SecretId: id, AddReplicaRegions: to("us-east-1")}, badParameter, msgReplica)
	fails(t, c.RemoveRegionsFromReplication, &sm.RemoveRegionsFromReplicationInput{SecretId: id, RemoveReplicaRegions: []string{"us-east-1"}}, badParameter, msgReplica)
	fails(t, c.CreateSecret, &sm.CreateSecretInput{Name: id, SecretString: new("x")}, exists, "The operation failed because the secret s already exists.")

	call(t, c.GetSecretValue, &sm.GetSecretValueInput{SecretId: id})
	call(t, c.BatchGetSecretValue, &sm.BatchGetSecretValueInput{SecretIdList: []string{"s"}})
	call(t, c.ListSecretVersionIds, &sm.ListSecretVersionIdsInput{SecretId: id})
	call(t, c.GetResourcePolicy, &sm.GetResourcePolicyInput{SecretId: id})
	call(t, c.ValidateResourcePolicy, &sm.ValidateResourcePolicyInput{SecretId: id, ResourcePolicy: new(publicRead)})

	// The replica's key is its own, and stays when the primary changes.
	arn := w.key(t, "eu-west-1", "alias/there")
	call(t, c.UpdateSecret, &sm.UpdateSecretInput{SecretId: id, KmsKeyId: new("alias/there")})
	w.put(t, "s", tokenB, "v2")
	w.jobs()
	if d := call(t, c.DescribeSecret, &sm.DescribeSecretInput{SecretId: id}); *d.KmsKeyId != "alias/there" {
		t.Errorf("replica's key %s", *d.KmsKeyId)
	}
	for _, v := range call(t, c.ListSecretVersionIds, &sm.ListSecretVersionIdsInput{SecretId: id}).Versions {
		if !slices.Equal(v.KmsKeyIds, []string{arn}) {
			t.Errorf("replica's version %s under %v", *v.VersionId, v.KmsKeyIds)
		}
	}
	if d := w.describe(t, "s"); d.KmsKeyId != nil || *d.ReplicationStatus[0].KmsKeyId != "alias/there" {
		t.Errorf("primary's key %v, its status says %s", d.KmsKeyId, *d.ReplicationStatus[0].KmsKeyId)
	}
	fails(t, w.c.StopReplicationToReplica, &sm.StopReplicationToReplicaInput{SecretId: id}, badParameter, "Operation not permitted on a secret that isn't a replica.")
}

// TestReplicaKeys: replicas under customer keys of their regions.
func TestReplicaKeys(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		here, there := w.key(t, "", "alias/app"), w.key(t, "eu-west-1", "alias/app")
		call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("s"), SecretString: new("v"), ClientRequestToken: new(tokenA), KmsKeyId: &here,
			AddReplicaRegions: []types.ReplicaRegionType{{Region: new("eu-west-1"), KmsKeyId: new("alias/app")}}})
		w.jobs()
		if got := w.status(t, "s"); got != "InSync: "+msgSync {
			t.Fatalf("status %q", got)
		}
		v := call(t, w.there.ListSecretVersionIds, &sm.ListSecretVersionIdsInput{SecretId: new("s")}).Versions[0]
		if !slices.Equal(v.KmsKeyIds, []string{there}) {
			t.Errorf("replica under %v, want %s", v.KmsKeyIds, there)
		}
		// Each is readable without the other's key.
		call(t, w.keys(w.Admin, "").DisableKey, &kms.DisableKeyInput{KeyId: &here})
		call(t, w.there.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("s")})
		// A key that cannot be used shows in the status only.
		call(t, w.keys(w.Admin, "").EnableKey, &kms.EnableKeyInput{KeyId: &here})
		call(t, w.keys(w.Admin, "eu-west-1").DisableKey, &kms.DisableKeyInput{KeyId: &there})
		w.put(t, "s", tokenB, "v2")
		w.jobs()
		if got := w.status(t, "s"); !strings.HasPrefix(got, "Failed: Replication failed: ") || !strings.Contains(got, "is disabled") {
			t.Errorf("status under a disabled key %q", got)
		}
		bad := call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("bad"), AddReplicaRegions: []types.ReplicaRegionType{{Region: new("eu-west-1"), KmsKeyId: new("alias/none")}}})
		if got := statusOf(bad.ReplicationStatus, "eu-west-1"); got != "Failed: Replication failed: "+msgBadKey {
			t.Errorf("status with no such key %q", got)
		}
	})
}

// TestReplicaNameTaken: a secret in the way fails the replica, by status only;
// it is overwritten on request, or the replica is asked for again once it is gone.
func TestReplicaNameTaken(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		const taken = "Failed: Replication failed: Secret name s already exists in region eu-west-1."
		for _, force := range []bool{true, false} {
			w.create(t, "s", "mine")
			call(t, w.there.CreateSecret, &sm.CreateSecretInput{Name: new("s"), SecretString: new("in the way")})
			in := &sm.ReplicateSecretToRegionsInput{SecretId: new("s"), AddReplicaRegions: to("eu-west-1")}
			out := call(t, w.c.ReplicateSecretToRegions, in)
			if got := statusOf(out.ReplicationStatus, "eu-west-1"); got != "InProgress: " {
				t.Errorf("status when asked %q", got)
			}
			w.jobs()
			if got := w.status(t, "s"); got != taken {
				t.Errorf("status %q", got)
			}
			if got := call(t, w.there.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("s")}); *got.SecretString != "in the way" {
				t.Error("the secret in the way was overwritten without asking")
			}
			if force {
				in.ForceOverwriteReplicaSecret = true
			} else {
				call(t, w.there.DeleteSecret, &sm.DeleteSecretInput{SecretId: new("s"), ForceDeleteWithoutRecovery: new(true)})
			}
			call(t, w.c.ReplicateSecretToRegions, in)
			w.jobs()
			if got := w.status(t, "s"); got != "InSync: "+msgSync {
				t.Errorf("force %v: status %q", force, got)
			}
			if got := call(t, w.there.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("s")}); *got.SecretString != "mine" {
				t.Errorf("force %v: replica reads %s", force, *got.SecretString)
			}
			call(t, w.c.RemoveRegionsFromReplication, &sm.RemoveRegionsFromReplicationInput{SecretId: new("s"), RemoveReplicaRegions: []string{"eu-west-1"}})
			call(t, w.c.DeleteSecret, &sm.DeleteSecretInput{SecretId: new("s"), ForceDeleteWithoutRecovery: new(true)})
		}
	})
}

// TestRemoveAndStop: two ways for a replica to end.
func TestRemoveAndStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servertest.Config(func(c *config.Config) { c.Regions = append(c.Regions, "ap-south-1") }))
	arn := *call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("s"), SecretString: new("v"), ClientRequestToken: new(tokenA), AddReplicaRegions: to("eu-west-1", "ap-south-1")}).ARN
	w.jobs()
	// Spec 4.1.6, with the id as the caller wrote it.
	for _, id := range []string{"s", arn} {
		for _, force := range []*bool{nil, new(true)} {
			fails(t, w.c.DeleteSecret, &sm.DeleteSecretInput{SecretId: &id, ForceDeleteWithoutRecovery: force}, badParameter,
				"You can't delete secret "+id+" that still has replica regions [ap-south-1, eu-west-1].")
		}
	}
	// Removed at once; regions without a replica are no error, own ones neither.
	out := call(t, w.c.RemoveRegionsFromReplication, &sm.RemoveRegionsFromReplicationInput{SecretId: new("s"), RemoveReplicaRegions: []string{"ap-south-1", "sa-east-1", "us-east-1"}})
	if *out.ARN != arn || len(out.ReplicationStatus) != 1 || *out.ReplicationStatus[0].Region != "eu-west-1" {
		t.Errorf("remaining %v", out.ReplicationStatus)
	}
	fails(t, w.in(w.Admin, "ap-south-1").DescribeSecret, &sm.DescribeSecretInput{SecretId: new("s")}, notFound, msgMissing)
	w.get(t, "s")

	stopped := call(t, w.there.StopReplicationToReplica, &sm.StopReplicationToReplicaInput{SecretId: new("s")})
	if *stopped.ARN != strings.Replace(arn, "us-east-1", "eu-west-1", 1) {
		t.Errorf("stopped %s", *stopped.ARN)
	}
	d := call(t, w.there.DescribeSecret, &sm.DescribeSecretInput{SecretId: new("s")})
	if d.PrimaryRegion != nil || d.KmsKeyId != nil || d.ReplicationStatus != nil {
		t.Errorf("promoted secret has primary %v, key %v", d.PrimaryRegion, d.KmsKeyId)
	}
	if d := w.describe(t, "s"); d.PrimaryRegion != nil || d.ReplicationStatus != nil {
		t.Errorf("former primary has primary %v, replicas %v", d.PrimaryRegion, d.ReplicationStatus)
	}
	// The link is cut both ways.
	call(t, w.there.PutSecretValue, &sm.PutSecretValueInput{SecretId: new("s"), SecretString: new("theirs")})
	w.put(t, "s", tokenB, "ours")
	w.jobs()
	if got := call(t, w.there.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("s")}); *got.SecretString != "theirs" || w.get(t, "s") != "ours" {
		t.Error("the link was not cut")
	}
	call(t, w.c.DeleteSecret, &sm.DeleteSecretInput{SecretId: new("s")})
	call(t, w.there.DeleteSecret, &sm.DeleteSecretInput{SecretId: new("s")})

	for name, c := range map[string]struct {
		region, code, message string
	}{
		"bad format":   {"nowhere", validation, `1 validation error detected: Value 'nowhere' at 'addReplicaRegions.1.member.region' failed to satisfy constraint: Member must satisfy regular expression pattern: ^([a-z]+-)+\d+$`},
		"own region":   {"us-east-1", badParameter, "Invalid replica region."},
		"unserved one": {"us-west-2", badParameter, "Invalid replica region."},
	} {
		t.Run(name, func(t *testing.T) {
			fails(t, w.c.ReplicateSecretToRegions, &sm.ReplicateSecretToRegionsInput{SecretId: new("s"), AddReplicaRegions: to(c.region)}, c.code, c.message)
		})
	}
	for _, id := range []string{"nope", "arn:aws:secretsmanager:us-east-1:111122223333:secret:nope-AbCdEf"} {
		fails(t, w.c.ReplicateSecretToRegions, &sm.ReplicateSecretToRegionsInput{SecretId: &id, AddReplicaRegions: to("eu-west-1")}, notFound, msgMissing)
		fails(t, w.c.RemoveRegionsFromReplication, &sm.RemoveRegionsFromReplicationInput{SecretId: &id, RemoveReplicaRegions: []string{"eu-west-1"}}, notFound, msgMissing)
		fails(t, w.c.StopReplicationToReplica, &sm.StopReplicationToReplicaInput{SecretId: &id}, notFound, msgMissing)
	}
}

// TestReplicationRights: the rights of who asked count each time values are
// copied; without them the status says so, and nothing is copied.
func TestReplicationRights(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		here := w.key(t, "", "")
		call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("s"), SecretString: new("v1"), ClientRequestToken: new(tokenA), KmsKeyId: &here})
		creds := w.User(t, "ann", servertest.Allow("*", "secretsmanager:*"))
		ann := w.as(creds)
		in := &sm.ReplicateSecretToRegionsInput{SecretId: new("s"), AddReplicaRegions: to("eu-west-1")}
		const failed = "Failed: Replication failed: " + msgKMS
		if got := statusOf(call(t, ann.ReplicateSecretToRegions, in).ReplicationStatus, "eu-west-1"); got != failed {
			t.Errorf("asked without a right to the key: %q", got)
		}
		w.jobs()
		if got := w.status(t, "s"); got != failed {
			t.Errorf("without a right to the key: %q", got)
		}
		fails(t, w.there.DescribeSecret, &sm.DescribeSecretInput{SecretId: new("s")}, notFound, msgMissing)

		w.SetPolicy(t, w.Admin, "ann", servertest.Allow("*", "secretsmanager:*", "kms:*"))
		call(t, ann.ReplicateSecretToRegions, in)
		w.jobs()
		if got := w.status(t, "s"); got != "InSync: "+msgSync {
			t.Errorf("with the right: %q", got)
		}
		// Lost again: the next value does not get through.
		w.SetPolicy(t, w.Admin, "ann", servertest.Allow("*", "secretsmanager:*"))
		w.put(t, "s", tokenB, "v2")
		w.jobs()
		if got := w.status(t, "s"); got != failed {
			t.Errorf("after the right was lost: %q", got)
		}
		if got := call(t, w.there.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("s")}); *got.SecretString != "v1" {
			t.Errorf("replica reads %s", *got.SecretString)
		}
		// So does a user that is no more.
		w.SetPolicy(t, w.Admin, "ann", servertest.Allow("*", "secretsmanager:*", "kms:*"))
		call(t, ann.ReplicateSecretToRegions, in)
		w.jobs()
		if got := call(t, w.there.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("s")}); *got.SecretString != "v2" {
			t.Errorf("replica reads %s after the right was back", *got.SecretString)
		}
		w.deletePolicy(t, "ann")
		w.deleteUser(t, creds)
		w.put(t, "s", tokenC, "v3")
		w.jobs()
		if got := w.status(t, "s"); got != failed {
			t.Errorf("after the user was deleted: %q", got)
		}
		// Another may take over.
		call(t, w.c.ReplicateSecretToRegions, in)
		w.jobs()
		if got := w.status(t, "s"); got != "InSync: "+msgSync {
			t.Errorf("after the admin took over: %q", got)
		}
	})
}

// TestReplicationRightsOfARole: what the session of a role asked for rests on the
// role, and outlives the session.
func TestReplicationRightsOfARole(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		key := w.key(t, "", "")
		call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("s"), SecretString: new("v1"), ClientRequestToken: new(tokenA), KmsKeyId: &key})
		app := w.role(t, "app", servertest.Allow("*", "secretsmanager:*", "kms:*"))
		call(t, app.ReplicateSecretToRegions, &sm.ReplicateSecretToRegionsInput{SecretId: new("s"), AddReplicaRegions: to("eu-west-1")})
		w.jobs()
		if got := w.status(t, "s"); got != "InSync: "+msgSync {
			t.Errorf("asked for by a session: %q", got)
		}
		w.move(2 * time.Hour)
		fails(t, app.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("s")}, "ExpiredTokenException", "The security token included in the request is expired")
		w.put(t, "s", tokenB, "v2")
		w.jobs()
		if got := call(t, w.there.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("s")}); *got.SecretString != "v2" {
			t.Errorf("replica reads %s when the session has ended", *got.SecretString)
		}
		w.deleteRole(t, "app")
		w.role(t, "app", servertest.Allow("*", "secretsmanager:*", "kms:*"))
		w.put(t, "s", tokenC, "v3")
		w.jobs()
		if got := w.status(t, "s"); got != "Failed: Replication failed: "+msgKMS {
			t.Errorf("after the role was deleted and made anew: %q", got)
		}
	})
}
