package kms

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/pgtest"
	"github.com/strongroom/strongroom/internal/store"
)

// TestOnPostgreSQL walks through every statement of the slice on the other
// engine; the rules themselves are tested on SQLite.
func TestOnPostgreSQL(t *testing.T) {
	w := newWorldOn(t, store.Config{URL: pgtest.Start(t)})
	admin := w.as("admin")
	nodes := []*Handle{w.svc.Via("secretsmanager"), w.service().Via("secretsmanager"), w.service().Via("secretsmanager")}

	arns := make([]string, 12)
	var group sync.WaitGroup
	for i := range arns {
		group.Go(func() {
			var err error
			if arns[i], err = nodes[i%len(nodes)].DefaultKey(w.as("nobody"), accountA, home); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if slices.Sort(arns); arns[0] != arns[len(arns)-1] {
		t.Fatalf("first users got %s and %s", arns[0], arns[len(arns)-1])
	}

	id := w.newKey(admin, in{"Description": "d", "Tags": []in{{"TagKey": "team", "TagValue": "blue"}}})
	arn := keyARN(accountA, id)
	w.must(admin, "CreateAlias", in{"AliasName": "alias/app", "TargetKeyId": id})
	w.fails(admin, "CreateAlias", in{"AliasName": "alias/app", "TargetKeyId": id}, "AlreadyExistsException", "*")
	_, wrapped, err := nodes[1].Generate(admin, arn, secretContext("v"))
	check(t, err)
	opens := func() error {
		_, err := nodes[2].Decrypt(admin, wrapped, secretContext("v"))
		return err
	}
	check(t, opens())
	w.must(admin, "DisableKey", in{"KeyId": id})
	wantError(t, opens(), "DisabledException", "*")
	w.must(admin, "EnableKey", in{"KeyId": id})
	w.must(admin, "PutKeyPolicy", in{"KeyId": id, "Policy": statement(`{"AWS":"111122223333"}`, `"kms:*"`, "")})
	check(t, opens())
	if n := len(w.must(admin, "ListKeys", in{"Limit": 1})["Keys"].([]any)); n != 1 {
		t.Errorf("a page of one key has %d", n)
	}
	if n := len(w.must(admin, "ListAliases", in{})["Aliases"].([]any)); n != 2 {
		t.Errorf("%d aliases, want 2", n)
	}
	if n := len(w.must(admin, "ListAliases", in{"KeyId": id})["Aliases"].([]any)); n != 1 {
		t.Errorf("%d aliases of the key, want 1", n)
	}
	w.must(admin, "ScheduleKeyDeletion", in{"KeyId": id, "PendingWindowInDays": 7})
	w.must(admin, "CancelKeyDeletion", in{"KeyId": id})
	w.must(admin, "ScheduleKeyDeletion", in{"KeyId": id, "PendingWindowInDays": 7})
	w.advance(7 * 24 * time.Hour)
	if n, next, err := w.svc.PurgeDue(t.Context()); n != 1 || !next.IsZero() || err != nil {
		t.Errorf("PurgeDue is %d, %v, %v", n, next, err)
	}
	wantError(t, opens(), codeAccessDenied, errCiphertextKey().Message)
}
