package secretsmanager_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// wantMembers compares which members a JSON object has.
func wantMembers(t testing.TB, what string, m map[string]any, want ...string) {
	t.Helper()
	got := slices.Sorted(maps.Keys(m))
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s has members %v, want %v", what, got, want)
	}
}

// TestMembersOfAnswers: which members each answer has and has not, seen without
// an SDK (spec 1.2, 2.3 to 2.12 and 16).
func TestMembersOfAnswers(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ask := func(operation, body string) map[string]any {
			t.Helper()
			a := w.raw(t, operation, body)
			if a.Status != 200 || a.Header.Get("Content-Type") != "application/x-amz-json-1.1" || a.Header.Get("x-amzn-RequestId") == "" {
				t.Fatalf("%s: %d %v %s", operation, a.Status, a.Header, a.Body)
			}
			return a.members(t)
		}
		first := func(m map[string]any, list string) map[string]any {
			t.Helper()
			l, ok := m[list].([]any)
			if !ok || len(l) == 0 {
				t.Fatalf("no %s in %v", list, m)
			}
			return l[0].(map[string]any)
		}
		wantMembers(t, "an empty list", ask("ListSecrets", `{}`), "SecretList")
		wantMembers(t, "create", ask("CreateSecret", `{"Name":"s","SecretString":"v","ClientRequestToken":"`+tokenA+`"}`), "ARN", "Name", "VersionId")
		wantMembers(t, "create without value", ask("CreateSecret", `{"Name":"e","ClientRequestToken":"`+tokenA+`"}`), "ARN", "Name")
		wantMembers(t, "describe", ask("DescribeSecret", `{"SecretId":"s"}`), "ARN", "Name", "CreatedDate", "LastChangedDate", "VersionIdsToStages")
		wantMembers(t, "describe without value", ask("DescribeSecret", `{"SecretId":"e"}`), "ARN", "Name", "CreatedDate", "LastChangedDate")
		list := ask("ListSecrets", `{}`)
		wantMembers(t, "list", list, "SecretList")
		wantMembers(t, "listed", first(list, "SecretList"), "ARN", "Name", "CreatedDate", "LastChangedDate", "SecretVersionsToStages")
		wantMembers(t, "a page", ask("ListSecrets", `{"MaxResults":1}`), "SecretList", "NextToken")
		versions := ask("ListSecretVersionIds", `{"SecretId":"s"}`)
		wantMembers(t, "versions", versions, "ARN", "Name", "Versions")
		wantMembers(t, "version", first(versions, "Versions"), "VersionId", "VersionStages", "CreatedDate", "KmsKeyIds")
		wantMembers(t, "no versions", ask("ListSecretVersionIds", `{"SecretId":"e"}`), "ARN", "Name", "Versions")
		wantMembers(t, "get", ask("GetSecretValue", `{"SecretId":"s"}`), "ARN", "Name", "VersionId", "SecretString", "VersionStages", "CreatedDate")
		wantMembers(t, "describe after a read", ask("DescribeSecret", `{"SecretId":"s"}`), "ARN", "Name", "CreatedDate", "LastChangedDate", "LastAccessedDate", "VersionIdsToStages")
		wantMembers(t, "put", ask("PutSecretValue", `{"SecretId":"s","SecretBinary":"AAE=","ClientRequestToken":"`+tokenB+`"}`), "ARN", "Name", "VersionId", "VersionStages")
		wantMembers(t, "get binary", ask("GetSecretValue", `{"SecretId":"s"}`), "ARN", "Name", "VersionId", "SecretBinary", "VersionStages", "CreatedDate")
		wantMembers(t, "update", ask("UpdateSecret", `{"SecretId":"s","Description":"d"}`), "ARN", "Name")
		wantMembers(t, "update value", ask("UpdateSecret", `{"SecretId":"s","SecretString":"v","ClientRequestToken":"`+tokenC+`"}`), "ARN", "Name", "VersionId")
		wantMembers(t, "get deprecated", ask("GetSecretValue", `{"SecretId":"s","VersionId":"`+tokenA+`"}`), "ARN", "Name", "VersionId", "SecretString", "CreatedDate")
		deprecated := ask("ListSecretVersionIds", `{"SecretId":"s","IncludeDeprecated":true}`)["Versions"].([]any)
		wantMembers(t, "deprecated version", deprecated[len(deprecated)-1].(map[string]any), "VersionId", "CreatedDate", "KmsKeyIds", "LastAccessedDate")
		wantMembers(t, "move label", ask("UpdateSecretVersionStage", `{"SecretId":"s","VersionStage":"x","MoveToVersionId":"`+tokenA+`"}`), "ARN", "Name")
		wantMembers(t, "no policy", ask("GetResourcePolicy", `{"SecretId":"s"}`), "ARN", "Name")
		const policy = `{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"secretsmanager:GetSecretValue\",\"Resource\":\"*\"}]}`
		wantMembers(t, "put policy", ask("PutResourcePolicy", `{"SecretId":"s","ResourcePolicy":"`+policy+`"}`), "ARN", "Name")
		wantMembers(t, "get policy", ask("GetResourcePolicy", `{"SecretId":"s"}`), "ARN", "Name", "ResourcePolicy")
		wantMembers(t, "delete policy", ask("DeleteResourcePolicy", `{"SecretId":"s"}`), "ARN", "Name")
		wantMembers(t, "delete no policy", ask("DeleteResourcePolicy", `{"SecretId":"s"}`), "ARN", "Name")
		wantMembers(t, "validate policy", ask("ValidateResourcePolicy", `{"ResourcePolicy":"`+policy+`"}`), "PolicyValidationPassed", "ValidationErrors")
		wantMembers(t, "password", ask("GetRandomPassword", `{}`), "RandomPassword")
		batch := ask("BatchGetSecretValue", `{"SecretIdList":["s","e"]}`)
		wantMembers(t, "batch", batch, "SecretValues", "Errors")
		wantMembers(t, "batch value", first(batch, "SecretValues"), "ARN", "Name", "VersionId", "SecretString", "VersionStages", "CreatedDate")
		wantMembers(t, "batch error", first(batch, "Errors"), "SecretId", "ErrorCode", "Message")
		wantMembers(t, "batch of one", ask("BatchGetSecretValue", `{"SecretIdList":["s"]}`), "SecretValues", "Errors")

		// TagResource and UntagResource answer with nothing at all.
		for _, c := range [][2]string{
			{"TagResource", `{"SecretId":"s","Tags":[{"Key":"k","Value":"v"}]}`},
			{"UntagResource", `{"SecretId":"s","TagKeys":["k"]}`},
		} {
			a := w.raw(t, c[0], c[1])
			if a.Status != 200 || a.Body != "" || a.Header.Get("Content-Length") != "0" {
				t.Errorf("%s: %d %q", c[0], a.Status, a.Body)
			}
		}
		d := ask("DescribeSecret", `{"SecretId":"s"}`)
		wantMembers(t, "describe once tagged", d, "ARN", "Name", "Description", "CreatedDate", "LastChangedDate", "LastAccessedDate", "VersionIdsToStages", "Tags")
		if tags, ok := d["Tags"].([]any); !ok || len(tags) != 0 {
			t.Errorf("tags after the last was removed: %v, want []", d["Tags"])
		}
		wantMembers(t, "delete", ask("DeleteSecret", `{"SecretId":"s"}`), "ARN", "Name", "DeletionDate")
		wantMembers(t, "describe marked", ask("DescribeSecret", `{"SecretId":"s"}`), "ARN", "Name", "Description", "CreatedDate", "LastChangedDate", "LastAccessedDate", "DeletedDate", "VersionIdsToStages", "Tags")
		wantMembers(t, "restore", ask("RestoreSecret", `{"SecretId":"s"}`), "ARN", "Name")
		wantMembers(t, "replicate", ask("ReplicateSecretToRegions", `{"SecretId":"s","AddReplicaRegions":[{"Region":"eu-west-1"}]}`), "ARN", "ReplicationStatus")
		w.jobs()
		d = ask("DescribeSecret", `{"SecretId":"s"}`)
		wantMembers(t, "replica status", first(d, "ReplicationStatus"), "Region", "KmsKeyId", "Status", "StatusMessage")
		wantMembers(t, "listed primary", ask("ListSecrets", `{"Filters":[{"Key":"name","Values":["s"]}]}`)["SecretList"].([]any)[0].(map[string]any),
			"ARN", "Name", "Description", "CreatedDate", "LastChangedDate", "LastAccessedDate", "SecretVersionsToStages", "Tags", "PrimaryRegion")
		replica := w.rawAs(t, w.Admin, "eu-west-1", "DescribeSecret", `{"SecretId":"s"}`).members(t)
		wantMembers(t, "replica", replica, "ARN", "Name", "Description", "CreatedDate", "LastChangedDate", "VersionIdsToStages", "Tags", "PrimaryRegion", "KmsKeyId")
		wantMembers(t, "stop", w.rawAs(t, w.Admin, "eu-west-1", "StopReplicationToReplica", `{"SecretId":"s"}`).members(t), "ARN")
		wantMembers(t, "remove region", ask("RemoveRegionsFromReplication", `{"SecretId":"s","RemoveReplicaRegions":["eu-west-1"]}`), "ARN", "ReplicationStatus")
	})
}

// TestDates is spec 11.
func TestDates(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.createWith(t, "s", tokenA, "v1")
		d := w.describe(t, "s")
		if d.LastChangedDate.Before(*d.CreatedDate) || d.LastAccessedDate != nil {
			t.Errorf("created %v, changed %v, accessed %v", d.CreatedDate, d.LastChangedDate, d.LastAccessedDate)
		}
		if ms := d.CreatedDate.Nanosecond() % 1e6; ms != 0 {
			t.Errorf("created %v is finer than milliseconds", d.CreatedDate)
		}

		// Describing and listing do not count as access, reading does, by day.
		w.move(time.Hour)
		call(t, w.c.ListSecrets, &sm.ListSecretsInput{})
		call(t, w.c.ListSecretVersionIds, &sm.ListSecretVersionIdsInput{SecretId: new("s")})
		if d := w.describe(t, "s"); d.LastAccessedDate != nil {
			t.Errorf("accessed %v without a read", d.LastAccessedDate)
		}
		changed := *w.describe(t, "s").LastChangedDate
		day := func() time.Time { return w.now().UTC().Truncate(24 * time.Hour) }
		for range 2 { // at once, then from the row
			w.get(t, "s")
			d := w.describe(t, "s")
			if !d.LastAccessedDate.Equal(day()) {
				t.Errorf("accessed %v, want %v", d.LastAccessedDate, day())
			}
			if !d.LastChangedDate.Equal(changed) {
				t.Errorf("a read moved LastChangedDate from %v to %v", changed, d.LastChangedDate)
			}
			l := call(t, w.c.ListSecrets, &sm.ListSecretsInput{}).SecretList[0]
			v := call(t, w.c.ListSecretVersionIds, &sm.ListSecretVersionIdsInput{SecretId: new("s")}).Versions[0]
			if !l.LastAccessedDate.Equal(day()) || !v.LastAccessedDate.Equal(day()) {
				t.Errorf("listed access %v, of the version %v, want %v", l.LastAccessedDate, v.LastAccessedDate, day())
			}
			w.jobs()
			w.move(24 * time.Hour)
		}
		w.jobs()
		w.Restart()
		w.c = w.as(w.Admin)
		if got := w.describe(t, "s").LastAccessedDate; !got.Equal(day().Add(-24 * time.Hour)) {
			t.Errorf("accessed %v after a restart, want %v", got, day().Add(-24*time.Hour))
		}

		// Each version has its own day; a batch counts as reading.
		w.put(t, "s", tokenB, "v2")
		call(t, w.c.BatchGetSecretValue, &sm.BatchGetSecretValueInput{SecretIdList: []string{"s"}})
		for _, v := range call(t, w.c.ListSecretVersionIds, &sm.ListSecretVersionIdsInput{SecretId: new("s")}).Versions {
			want := day()
			if *v.VersionId == tokenA {
				want = want.Add(-24 * time.Hour)
			}
			if v.LastAccessedDate == nil || !v.LastAccessedDate.Equal(want) {
				t.Errorf("version %s accessed %v, want %v", *v.VersionId, v.LastAccessedDate, want)
			}
		}
	})
}

// TestLastChangedDate: every change moves it (spec 11).
func TestLastChangedDate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createWith(t, "s", tokenA, "v1")
	id := new("s")
	last := *w.describe(t, "s").LastChangedDate
	for _, c := range []struct {
		name  string
		moves bool
		do    func()
	}{
		{"put", true, func() { w.put(t, "s", tokenB, "v2") }},
		{"put again", false, func() { w.put(t, "s", tokenB, "v2") }},
		{"description", true, func() { call(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: id, Description: new("x")}) }},
		{"label", true, func() {
			call(t, w.c.UpdateSecretVersionStage, &sm.UpdateSecretVersionStageInput{SecretId: id, VersionStage: new("l"), MoveToVersionId: new(tokenA)})
		}},
		{"tag", true, func() {
			call(t, w.c.TagResource, &sm.TagResourceInput{SecretId: id, Tags: []types.Tag{{Key: new("k"), Value: new("v")}}})
		}},
		{"untag", true, func() { call(t, w.c.UntagResource, &sm.UntagResourceInput{SecretId: id, TagKeys: []string{"k"}}) }},
		{"untag nothing", false, func() { call(t, w.c.UntagResource, &sm.UntagResourceInput{SecretId: id, TagKeys: []string{"k"}}) }},
		{"delete", true, func() { w.mark(t, "s") }},
		{"restore", true, func() { call(t, w.c.RestoreSecret, &sm.RestoreSecretInput{SecretId: id}) }},
		{"restore nothing", false, func() { call(t, w.c.RestoreSecret, &sm.RestoreSecretInput{SecretId: id}) }},
		{"read", false, func() { w.get(t, "s") }},
	} {
		w.move(time.Second)
		c.do()
		now := *w.describe(t, "s").LastChangedDate
		if now.After(last) != c.moves {
			t.Errorf("%s: LastChangedDate %v, before %v", c.name, now, last)
		}
		last = now
	}
}
