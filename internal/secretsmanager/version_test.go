package secretsmanager_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"testing"
	"time"

	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/servertest"
)

// tokenOf makes a token from a number.
func tokenOf(i int) string { return fmt.Sprintf("%08d-0000-4000-8000-000000000000", i) }

// versions returns the ids of a list, page by page.
func (w *world) versions(t testing.TB, in sm.ListSecretVersionIdsInput) (ids []string) {
	t.Helper()
	for {
		out := call(t, w.c.ListSecretVersionIds, &in)
		if in.MaxResults != nil && len(out.Versions) > int(*in.MaxResults) {
			t.Fatalf("page of %d, asked for %d", len(out.Versions), *in.MaxResults)
		}
		for _, v := range out.Versions {
			ids = append(ids, *v.VersionId)
		}
		if out.NextToken == nil {
			return ids
		}
		in.NextToken = out.NextToken
	}
}

// TestListSecretVersionIds is spec 2.10 and 16.8.
func TestListSecretVersionIds(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		arn := w.createWith(t, "s", tokenOf(1), "v")
		for i := 2; i <= 5; i++ {
			w.move(time.Second)
			w.put(t, "s", tokenOf(i), "v")
		}
		out := call(t, w.c.ListSecretVersionIds, &sm.ListSecretVersionIdsInput{SecretId: &arn})
		if *out.ARN != arn || *out.Name != "s" || len(out.Versions) != 2 || out.NextToken != nil {
			t.Fatalf("%s %s %d versions, next %v", *out.ARN, *out.Name, len(out.Versions), out.NextToken)
		}
		for i, want := range []string{"AWSCURRENT", "AWSPREVIOUS"} {
			v := out.Versions[i]
			wantStages(t, v.VersionStages, want)
			if !slices.Equal(v.KmsKeyIds, []string{"DefaultEncryptionKey"}) || v.LastAccessedDate != nil || v.CreatedDate == nil {
				t.Errorf("version %d: keys %v, accessed %v, created %v", i, v.KmsKeyIds, v.LastAccessedDate, v.CreatedDate)
			}
		}
		all := []string{tokenOf(5), tokenOf(4), tokenOf(3), tokenOf(2), tokenOf(1)}
		for _, page := range []int32{1, 2, 3, 5, 100} {
			got := w.versions(t, sm.ListSecretVersionIdsInput{SecretId: new("s"), IncludeDeprecated: new(true), MaxResults: &page})
			if !slices.Equal(got, all) {
				t.Errorf("pages of %d: %v", page, got)
			}
			got = w.versions(t, sm.ListSecretVersionIdsInput{SecretId: new("s"), MaxResults: &page})
			if !slices.Equal(got, all[:2]) {
				t.Errorf("pages of %d without deprecated ones: %v", page, got)
			}
		}
		fails(t, w.c.ListSecretVersionIds, &sm.ListSecretVersionIdsInput{SecretId: new("nope")}, notFound, msgMissing)
		fails(t, w.c.ListSecretVersionIds, &sm.ListSecretVersionIdsInput{SecretId: new("a b")}, validation, msgName)
		for _, page := range []int32{0, 101, -1} {
			want := fmt.Sprintf("1 validation error detected: Value '%d' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 100", page)
			if page < 1 {
				want = fmt.Sprintf("1 validation error detected: Value '%d' at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal to 1", page)
			}
			fails(t, w.c.ListSecretVersionIds, &sm.ListSecretVersionIdsInput{SecretId: new("s"), MaxResults: &page}, validation, want)
		}
		for _, garbage := range badTokens {
			fails(t, w.c.ListSecretVersionIds, &sm.ListSecretVersionIdsInput{SecretId: new("s"), NextToken: &garbage}, badToken, msgBadPage)
		}
	})
}

// badTokens are tokens that no list has handed out.
var badTokens = []string{
	"x", "!", "====", "bnVsbA", // null
	base64.RawURLEncoding.EncodeToString([]byte(`{}`)),
	base64.RawURLEncoding.EncodeToString([]byte(`{"o":"created-date"}`)),
	base64.RawURLEncoding.EncodeToString([]byte(`{"o":"color","u":"x","c":1}`)),
	base64.RawURLEncoding.EncodeToString([]byte(`{"o":"name","u":"x","t":"a\u0000b","c":-1}`)),
	base64.RawURLEncoding.EncodeToString([]byte(`{"o":"name","u":"\u0000","i":""}`)),
	base64.RawURLEncoding.EncodeToString([]byte(`{"c":1e400,"i":"x","n":1e400,"u":"x","o":"name"}`)),
	base64.RawURLEncoding.EncodeToString([]byte(`[1,2,3]`)),
	base64.StdEncoding.EncodeToString([]byte(`{"c":1,"i":"xy","u":"x"}`)) + "=",
}

// TestPruning is spec 3.4: beyond the quota the oldest versions without a label
// go, none younger than a day and none with a label.
func TestPruning(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.createWith(t, "s", tokenOf(1), "v1")
		call(t, w.c.UpdateSecretVersionStage, &sm.UpdateSecretVersionStageInput{SecretId: new("s"), VersionStage: new("keep"), MoveToVersionId: new(tokenOf(1))})
		for i := 2; i <= 100; i++ {
			w.put(t, "s", tokenOf(i), "v")
		}
		list := func() []string {
			return w.versions(t, sm.ListSecretVersionIdsInput{SecretId: new("s"), IncludeDeprecated: new(true)})
		}
		if n := len(list()); n != 100 {
			t.Fatalf("%d versions", n)
		}
		const full = "You've exceeded the quota of 100 versions for the secret."
		fails(t, w.c.PutSecretValue, &sm.PutSecretValueInput{SecretId: new("s"), SecretString: new("x")}, limitExceeded, full)
		fails(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("s"), SecretString: new("x")}, limitExceeded, full)
		// A version that is there already needs no room, nor does a description.
		w.put(t, "s", tokenOf(100), "v")
		call(t, w.c.UpdateSecret, &sm.UpdateSecretInput{SecretId: new("s"), Description: new("d")})

		w.move(day - time.Minute)
		fails(t, w.c.PutSecretValue, &sm.PutSecretValueInput{SecretId: new("s"), SecretString: new("x")}, limitExceeded, full)
		w.move(2 * time.Minute)
		w.put(t, "s", tokenOf(101), "v")
		w.put(t, "s", tokenOf(102), "v")
		got := list()
		if len(got) != 100 {
			t.Errorf("%d versions after pruning", len(got))
		}
		for _, gone := range []int{2, 3} {
			if slices.Contains(got, tokenOf(gone)) {
				t.Errorf("version %d is still there", gone)
			}
			fails(t, w.c.GetSecretValue, &sm.GetSecretValueInput{SecretId: new("s"), VersionId: new(tokenOf(gone))}, notFound,
				"Secrets Manager can't find the specified secret value for VersionId: "+tokenOf(gone))
		}
		for _, kept := range []int{1, 4, 100, 101, 102} {
			if !slices.Contains(got, tokenOf(kept)) {
				t.Errorf("version %d is gone", kept)
			}
		}
	})
}

// TestVersionQuota: the quota is configuration.
func TestVersionQuota(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servertest.Config(func(c *config.Config) { c.Quotas.VersionsPerSecret = 3 }))
	w.createWith(t, "s", tokenOf(1), "v1")
	w.put(t, "s", tokenOf(2), "v")
	w.put(t, "s", tokenOf(3), "v")
	fails(t, w.c.PutSecretValue, &sm.PutSecretValueInput{SecretId: new("s"), SecretString: new("x")}, limitExceeded, "You've exceeded the quota of 3 versions for the secret.")
	// All but one carry a label: one day on, one version can make room, not two.
	w.put(t, "s", tokenOf(3), "v")
	w.move(day)
	w.put(t, "s", tokenOf(4), "v", "AWSPENDING")
	fails(t, w.c.PutSecretValue, &sm.PutSecretValueInput{SecretId: new("s"), SecretString: new("x"), VersionStages: []string{"more"}}, limitExceeded, "You've exceeded the quota of 3 versions for the secret.")
	if got := w.versions(t, sm.ListSecretVersionIdsInput{SecretId: new("s"), IncludeDeprecated: new(true)}); !slices.Equal(got, []string{tokenOf(4), tokenOf(3), tokenOf(2)}) {
		t.Errorf("versions %v", got)
	}
}
