package secretsmanager_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

// record is what these tests look at in an audit record.
type record struct {
	EventName, EventType, ErrorCode string
	AdditionalEventData             struct{ SecretID, SecretVersionID string }
	ResponseElements                map[string]any
}

// records returns those of an event, in order.
func (w *world) records(t testing.TB, event string) (of []record) {
	t.Helper()
	node, err := server.Node(w.Dir)
	if err != nil {
		t.Fatal(err)
	}
	err = audit.Scan(t.Context(), filepath.Join(w.Dir, server.AuditDir), node, 0, func(e audit.Entry) error {
		var r record
		err := json.Unmarshal(e.Body, &r)
		if r.EventName == event {
			of = append(of, r)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return of
}

// TestResponseElements: what the records of changes say came back (spec 14.1).
func TestResponseElements(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	arn := w.createWith(t, "s", tokenA, "v")
	for name, attempt := range attempts {
		if name == "StopReplicationToReplica" || name == "DeleteSecret" {
			continue
		}
		if err := attempt(t.Context(), w.c, "s"); err != nil && name != "CreateSecret" {
			t.Errorf("%s: %v", name, err)
		}
		r := w.records(t, name)
		last := r[len(r)-1]
		switch name {
		case "BatchGetSecretValue", "DescribeSecret", "GetRandomPassword", "GetResourcePolicy", "GetSecretValue", "ListSecretVersionIds", "ListSecrets", "ValidateResourcePolicy":
			if last.ResponseElements != nil {
				t.Errorf("%s: response %v, want none", name, last.ResponseElements)
			}
		case "CreateSecret":
			if r[0].ResponseElements["arn"] != arn || last.ErrorCode == "" || last.ResponseElements != nil {
				t.Errorf("%s: response %v, then %s with %v", name, r[0].ResponseElements, last.ErrorCode, last.ResponseElements)
			}
		default:
			if len(last.ResponseElements) != 1 || last.ResponseElements["arn"] != arn {
				t.Errorf("%s: response %v, want the ARN", name, last.ResponseElements)
			}
		}
	}
	call(t, w.c.RemoveRegionsFromReplication, &sm.RemoveRegionsFromReplicationInput{SecretId: new("s"), RemoveReplicaRegions: []string{"eu-west-1"}})
	out := call(t, w.c.DeleteSecret, &sm.DeleteSecretInput{SecretId: new("s")})
	got := w.records(t, "DeleteSecret")[0].ResponseElements
	if len(got) != 3 || got["arn"] != arn || got["name"] != "s" || got["deletionDate"] != out.DeletionDate.UTC().Format("Jan 2, 2006 3:04:05 PM") {
		t.Errorf("DeleteSecret: response %v", got)
	}
}

// TestServiceEvents: what the service does by itself is on record, version by
// version (spec 14.2).
func TestServiceEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servertest.Config(func(c *config.Config) { c.Quotas.VersionsPerSecret = 3 }))
	arn := w.createWith(t, "s", tokenA, "v")
	w.put(t, "s", tokenB, "v")
	w.put(t, "s", tokenC, "v")
	all := []string{tokenA, tokenB, tokenC}
	seen := func(event string, arn string, want ...string) {
		t.Helper()
		var got []string
		for _, r := range w.records(t, event) {
			if r.AdditionalEventData.SecretID == arn {
				got = append(got, r.AdditionalEventData.SecretVersionID)
			}
			if r.EventType != "AwsServiceEvent" || r.ErrorCode != "" {
				t.Errorf("%s is %s with error %q", event, r.EventType, r.ErrorCode)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s of versions %v, want %v", event, got, want)
		}
	}
	w.mark(t, "s")
	seen("StartSecretVersionDelete", arn, all...)
	call(t, w.c.RestoreSecret, &sm.RestoreSecretInput{SecretId: new("s")})
	seen("CancelSecretVersionDelete", arn, all...)
	w.mark(t, "s")
	w.jobs()
	seen("EndSecretVersionDelete", arn)
	w.move(8 * day)
	w.jobs()
	seen("EndSecretVersionDelete", arn, all...)

	arn = w.createWith(t, "s", tokenA, "v")
	w.put(t, "s", tokenB, "v")
	call(t, w.c.DeleteSecret, &sm.DeleteSecretInput{SecretId: new("s"), ForceDeleteWithoutRecovery: new(true)})
	seen("EndSecretVersionDelete", arn, tokenA, tokenB)

	arn = w.createWith(t, "s", tokenA, "v")
	w.put(t, "s", tokenB, "v")
	w.put(t, "s", tokenC, "v")
	w.move(25 * time.Hour)
	w.put(t, "s", tokenD, "v")
	seen("SecretVersionDeletion", arn, tokenA)

	call(t, w.c.ReplicateSecretToRegions, &sm.ReplicateSecretToRegionsInput{SecretId: new("s"), AddReplicaRegions: to("eu-west-1")})
	w.jobs()
	seen("ReplicationStarted", arn, "")
	seen("ReplicationSucceeded", arn, "")
	call(t, w.c.CreateSecret, &sm.CreateSecretInput{Name: new("f"), AddReplicaRegions: to("eu-west-1")})
	call(t, w.there.CreateSecret, &sm.CreateSecretInput{Name: new("f")})
	w.jobs()
	failed := w.records(t, "ReplicationFailed")
	if len(failed) != 1 || !strings.Contains(failed[0].AdditionalEventData.SecretID, ":secret:f-") {
		t.Errorf("failed replications on record: %v", failed)
	}
}
