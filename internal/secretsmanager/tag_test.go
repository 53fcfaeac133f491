package secretsmanager_test

import (
	"fmt"
	"strings"
	"testing"

	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/internal/servertest"
)

// tags makes tags from pairs "key=value".
func tags(pairs ...string) []types.Tag {
	out := []types.Tag{}
	for _, p := range pairs {
		k, v, _ := strings.Cut(p, "=")
		out = append(out, types.Tag{Key: &k, Value: &v})
	}
	return out
}

func (w *world) wantTags(t testing.TB, id string, pairs ...string) {
	t.Helper()
	var got []string
	for _, tag := range w.describe(t, id).Tags {
		got = append(got, *tag.Key+"="+*tag.Value)
	}
	wantStages(t, got, pairs...)
}

// TestTags is spec 10.1.
func TestTags(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("s"), Tags: tags("team=a", "empty=")})
		w.wantTags(t, "s", "team=a", "empty=")
		call(t, w.c.TagResource, &sm.TagResourceInput{SecretId: new("s"), Tags: tags("team=b", "Team=c", "ümlaut 1:/@=ö +-_.=:/@")})
		w.wantTags(t, "s", "team=b", "Team=c", "empty=", "ümlaut 1:/@=ö +-_.=:/@")
		call(t, w.c.UntagResource, &sm.UntagResourceInput{SecretId: new("s"), TagKeys: []string{"empty", "absent", "TEAM"}})
		w.wantTags(t, "s", "team=b", "Team=c", "ümlaut 1:/@=ö +-_.=:/@")
		call(t, w.c.UntagResource, &sm.UntagResourceInput{SecretId: new("s"), TagKeys: []string{"team", "Team", "ümlaut 1:/@"}})
		w.wantTags(t, "s")
		call(t, w.c.TagResource, &sm.TagResourceInput{SecretId: new("s"), Tags: []types.Tag{{Key: new("nil")}}})
		w.wantTags(t, "s", "nil=")
		fails(t, w.c.TagResource, &sm.TagResourceInput{SecretId: new("nope"), Tags: tags("a=b")}, notFound, msgMissing)
		fails(t, w.c.UntagResource, &sm.UntagResourceInput{SecretId: new("nope"), TagKeys: []string{"a"}}, notFound, msgMissing)
		fails(t, w.c.TagResource, &sm.TagResourceInput{SecretId: new("a b"), Tags: tags("a=b")}, validation, msgName)
		fails(t, w.c.UntagResource, &sm.UntagResourceInput{SecretId: new("a b"), TagKeys: []string{"a"}}, validation, msgName)
	})
}

func TestTagRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, "s", "v")
	many := func(from, n int) (out []types.Tag) {
		for i := range n {
			out = append(out, tags(fmt.Sprintf("k%d=v", from+i))...)
		}
		return out
	}
	const tooMany = "You can't have more than 50 tags on a secret."
	long := strings.Repeat("k", 129)
	for name, c := range map[string]struct {
		tags          []types.Tag
		code, message string
	}{
		"no key":            {[]types.Tag{{Value: new("v")}}, badParameter, "You must provide a value for the tag key."},
		"empty key":         {tags("=v"), validation, "1 validation error detected: Value '' at 'tags.1.member.key' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		"reserved":          {tags("aws:x=v"), badParameter, "Tag keys can't start with the reserved prefix aws:."},
		"reserved, shouted": {tags("AWS:x=v"), badParameter, "Tag keys can't start with the reserved prefix aws:."},
		"twice":             {tags("a=1", "b=2", "a=3"), badParameter, "Duplicate tag keys found: a."},
		"too many":          {many(0, 51), badParameter, tooMany},
		"long key":          {tags(long + "=v"), validation, "1 validation error detected: Value '" + long + "' at 'tags.1.member.key' failed to satisfy constraint: Member must have length less than or equal to 128"},
		"long value":        {tags("k=" + long + long), validation, "1 validation error detected: Value '" + long + long + "' at 'tags.1.member.value' failed to satisfy constraint: Member must have length less than or equal to 256"},
		"odd key":           {tags("a*b=v"), badParameter, "Tag keys and values can contain letters, digits, blanks and the characters + - = . _ : / @ only."},
		"odd value":         {tags("a=<b>"), badParameter, "Tag keys and values can contain letters, digits, blanks and the characters + - = . _ : / @ only."},
	} {
		t.Run(name, func(t *testing.T) {
			fails(t, w.c.TagResource, &sm.TagResourceInput{SecretId: new("s"), Tags: c.tags}, c.code, c.message)
			fails(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("n"), Tags: c.tags}, c.code, c.message)
		})
	}
	call(t, w.c.TagResource, &sm.TagResourceInput{SecretId: new("s"), Tags: many(0, 50)})
	fails(t, w.c.TagResource, &sm.TagResourceInput{SecretId: new("s"), Tags: many(50, 1)}, badParameter, tooMany)
	call(t, w.c.TagResource, &sm.TagResourceInput{SecretId: new("s"), Tags: many(7, 3)})
}

// TestTagLockout: nobody may tag themselves out (spec 10.1).
func TestTagLockout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("s"), Tags: tags("team=a")})
	user := w.as(w.User(t, "ann", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:*","Resource":"*","Condition":{"StringEquals":{"secretsmanager:ResourceTag/team":"a"}}}]}`))
	const message = "You can't change the tags of this secret because you would lose access to it."
	fails(t, user.TagResource, &sm.TagResourceInput{SecretId: new("s"), Tags: tags("team=b")}, denied, message)
	fails(t, user.UntagResource, &sm.UntagResourceInput{SecretId: new("s"), TagKeys: []string{"team"}}, denied, message)
	call(t, user.TagResource, &sm.TagResourceInput{SecretId: new("s"), Tags: tags("team=a", "more=x")})
	w.wantTags(t, "s", "team=a", "more=x")
}

// TestAccessByTags: rights follow the tags at once, under both names of the key,
// and a create needs the right to tag.
func TestAccessByTags(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("s"), SecretString: new("v"), Tags: tags("team=a")})
		policy := func(key string) string {
			return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*","Condition":{"StringEquals":{"` + key + `":"a"}}}]}`
		}
		for i, key := range []string{"aws:ResourceTag/team", "secretsmanager:ResourceTag/team"} {
			name := fmt.Sprintf("user%d", i)
			user := w.as(w.User(t, name, policy(key)))
			in := &sm.GetSecretValueInput{SecretId: new("s")}
			call(t, user.GetSecretValue, in)
			call(t, w.c.TagResource, &sm.TagResourceInput{SecretId: new("s"), Tags: tags("team=b")})
			fails(t, user.GetSecretValue, in, denied, "User: arn:aws:iam::111122223333:user/"+name+" is not authorized to perform: secretsmanager:GetSecretValue on resource: s because no identity-based policy allows the secretsmanager:GetSecretValue action")
			call(t, w.c.TagResource, &sm.TagResourceInput{SecretId: new("s"), Tags: tags("team=a")})
			call(t, user.GetSecretValue, in)
		}
		creator := w.as(w.User(t, "creator", servertest.Allow("*", "secretsmanager:CreateSecret")))
		call(t, creator.CreateSecret, &sm.CreateSecretInput{Name: new("plain")})
		fails(t, creator.CreateSecret, &sm.CreateSecretInput{Name: new("tagged"), Tags: tags("a=b")}, denied,
			"User: arn:aws:iam::111122223333:user/creator is not authorized to perform: secretsmanager:TagResource on resource: tagged because no identity-based policy allows the secretsmanager:TagResource action")
		fails(t, creator.CreateSecret, &sm.CreateSecretInput{Name: new("copied"), AddReplicaRegions: []types.ReplicaRegionType{{Region: new("eu-west-1")}}}, denied,
			"User: arn:aws:iam::111122223333:user/creator is not authorized to perform: secretsmanager:ReplicateSecretToRegions on resource: copied because no identity-based policy allows the secretsmanager:ReplicateSecretToRegions action")
	})
}
