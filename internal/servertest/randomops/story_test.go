package randomops

import (
	"fmt"
	"testing"
	"time"
)

// TestStories replays what chance found once, and what it meets too seldom.
func TestStories(t *testing.T) {
	r := newRunner(t)
	for _, story := range []struct {
		name  string
		steps []op
	}{
		{"a replica follows a token that was pruned and used again", reusedToken()},
	} {
		t.Run(story.name, func(t *testing.T) {
			for i := range story.steps {
				story.steps[i].id = i + 1
			}
			if _, wrong := r.replay(t, story.steps); wrong != "" {
				t.Errorf("the answers differ\n%s", wrong)
			}
		})
	}
}

func call(region, name string, in object) op {
	return op{service: "secretsmanager", name: name, who: admin, region: region, in: in}
}

func storyToken(n int) string { return fmt.Sprintf("token-%026d", n) }

// reusedToken fills a secret's versions until the first is pruned, and puts another
// value under its token before the replica has seen any of that.
func reusedToken() []op {
	put := func(n int, value string) op {
		o := call(east, "PutSecretValue", object{"SecretId": "app/db", "ClientRequestToken": storyToken(n), "SecretString": value})
		o.after = 25 * time.Hour
		return o
	}
	jobs := op{name: "jobs"}
	steps := []op{
		call(east, "CreateSecret", object{"Name": "app/db", "ClientRequestToken": storyToken(0), "SecretString": "first",
			"AddReplicaRegions": []object{{"Region": west}}}),
		jobs,
	}
	for n := range quotas.versions {
		steps = append(steps, put(n+1, "next"))
	}
	return append(steps, put(0, "first again, but another"), jobs,
		call(west, "GetSecretValue", object{"SecretId": "app/db"}),
		call(west, "ListSecretVersionIds", object{"SecretId": "app/db", "IncludeDeprecated": true}))
}
