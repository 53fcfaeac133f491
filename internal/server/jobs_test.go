package server_test

import (
	"errors"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/internal/servertest"
	"github.com/strongroom/strongroom/internal/store"
)

// Every job that runs under a lease changes nothing without it, in any of its
// transactions, and does change something with it: a job that this test has
// nothing to do for fails it.
func TestLeasedJobsChangeNothingWithoutTheLease(t *testing.T) {
	var later atomic.Int64
	s := servertest.Start(t, servertest.ManualJobs(), servertest.Now(func() time.Time { return time.Now().Add(time.Duration(later.Load())) }))
	ctx, sm := t.Context(), s.Secrets()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	// What is due: a replica, a secret and a key to be erased, a denial to be forgotten.
	must(sm.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: new("copied"), SecretString: new("value"),
		AddReplicaRegions: []smtypes.ReplicaRegionType{{Region: new(servertest.Other)}}}))
	must(sm.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: new("erased"), SecretString: new("value")}))
	must(sm.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: new("erased"), RecoveryWindowInDays: new(int64(7))}))
	key, err := s.KMS("").CreateKey(ctx, &kms.CreateKeyInput{})
	must(key, err)
	must(s.KMS("").ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: key.KeyMetadata.KeyId, PendingWindowInDays: new(int32(7))}))
	nobody := s.User(t, "nobody", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:GetUser","Resource":"*"}]}`)
	if _, err := s.SecretsAs(nobody, "").GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: new("copied")}); err == nil {
		t.Fatal("nobody may read")
	}
	db, all := s.Server().Store(), s.Server().Jobs()
	for _, j := range all {
		if j.Shared {
			must(j.Run(ctx))
		}
	}
	later.Store(int64(100 * 24 * time.Hour))
	for _, j := range all {
		if j.Shared {
			continue
		}
		before := content(t, db)
		if _, err := j.Run(db.UnderLease(ctx, "job."+j.Name, 1)); !errors.Is(err, store.ErrFenced) {
			t.Errorf("%s without its lease: %v", j.Name, err)
		}
		if !reflect.DeepEqual(content(t, db), before) {
			t.Errorf("%s without its lease changes something", j.Name)
		}
		epoch, held, err := db.Lease(ctx, "job."+j.Name, time.Minute)
		if err != nil || !held {
			t.Fatal(held, err)
		}
		must(j.Run(db.UnderLease(ctx, "job."+j.Name, epoch)))
		if reflect.DeepEqual(content(t, db), before) {
			t.Errorf("%s changes nothing: give this test something for it to do", j.Name)
		}
	}
}
