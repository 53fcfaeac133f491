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
		{"a version is pruned when it is a day old, not before", dayOld()},
		{"a create with replicas, repeated, answers as the first", []op{replicated(), replicated(), jobs, replicated()}},
		{"asking twice for a region changes nothing", []op{replicated(), jobs,
			call(west, "GetSecretValue", object{"SecretId": "app/db"}),
			call(east, "ReplicateSecretToRegions", object{"SecretId": "app/db", "AddReplicaRegions": inWest}), describe(east)}},
		{"removing a region that holds no replica changes nothing", []op{replicated(), jobs,
			call(east, "RemoveRegionsFromReplication", object{"SecretId": "app/db", "RemoveReplicaRegions": []string{"ap-south-1"}}), describe(east)}},
		{"of two primaries that overwrite each other the one asked first stays", mutualOverwrite()},
	} {
		t.Run(story.name, func(t *testing.T) {
			w := r.world(t)
			var last answer
			for i, o := range story.steps {
				o.id = i + 1
				var wrong string
				if last, wrong = w.step(t, r.clock, o); wrong != "" {
					t.Fatalf("step %d: the answers differ\n%s", i+1, wrong)
				}
			}
			if last.code != "" {
				t.Errorf("the story ends with %v: it tells nothing", last)
			}
		})
	}
}

func call(region, name string, in object) op {
	return op{service: "secretsmanager", name: name, who: admin, region: region, in: in, after: time.Second}
}

func storyToken(n int) string { return fmt.Sprintf("token-%026d", n) }

var (
	jobs   = op{name: "jobs", after: time.Second}
	inWest = []object{{"Region": west}}
)

// replicated makes a secret in the east with a replica in the west.
func replicated() op {
	return call(east, "CreateSecret", object{"Name": "app/db", "ClientRequestToken": storyToken(0), "SecretString": "first", "AddReplicaRegions": inWest})
}

func describe(region string) op { return call(region, "DescribeSecret", object{"SecretId": "app/db"}) }

// mutualOverwrite lets a secret in each region become the other's replica.
func mutualOverwrite() []op {
	create := func(region string) op {
		return call(region, "CreateSecret", object{"Name": "app/db", "ClientRequestToken": storyToken(0), "SecretString": region})
	}
	replicate := func(region, to string) op {
		return call(region, "ReplicateSecretToRegions", object{"SecretId": "app/db",
			"AddReplicaRegions": []object{{"Region": to}}, "ForceOverwriteReplicaSecret": true})
	}
	return []op{create(east), create(west), replicate(west, east), replicate(east, west), jobs, describe(east), describe(west),
		call(east, "GetSecretValue", object{"SecretId": "app/db"}), call(west, "GetSecretValue", object{"SecretId": "app/db"})}
}

// dayOld fills a secret's versions within minutes and tries to add another just
// before and just after the oldest is a day old.
func dayOld() []op {
	steps := []op{call(east, "CreateSecret", object{"Name": "app/db", "ClientRequestToken": storyToken(0)})}
	put := func(after time.Duration) {
		o := call(east, "PutSecretValue", object{"SecretId": "app/db", "ClientRequestToken": storyToken(len(steps)), "SecretString": "next"})
		o.after = after
		steps = append(steps, o)
	}
	for range quotas.versions {
		put(time.Minute)
	}
	sinceOldest := time.Duration(quotas.versions-1) * time.Minute
	put(24*time.Hour - sinceOldest - time.Millisecond)
	put(time.Millisecond)
	return append(steps, call(east, "ListSecretVersionIds", object{"SecretId": "app/db", "IncludeDeprecated": true}))
}

// reusedToken fills a secret's versions until the first is pruned, and puts another
// value under its token before the replica has seen any of that.
func reusedToken() []op {
	put := func(n int, value string) op {
		o := call(east, "PutSecretValue", object{"SecretId": "app/db", "ClientRequestToken": storyToken(n), "SecretString": value})
		o.after = 25 * time.Hour
		return o
	}
	steps := []op{replicated(), jobs}
	for n := range quotas.versions {
		steps = append(steps, put(n+1, "next"))
	}
	return append(steps, put(0, "first again, but another"), jobs,
		call(west, "GetSecretValue", object{"SecretId": "app/db"}),
		call(west, "ListSecretVersionIds", object{"SecretId": "app/db", "IncludeDeprecated": true}))
}
