package canary_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/servertest/canary"
	"github.com/strongroom/strongroom/internal/store"
)

// TestDeletedIsErased takes the sealed bytes of a secret and of a key's material
// out of the database, deletes both, and looks for those bytes in the files: they
// were sealed, but whoever gets the root key later must not open what was deleted
// (design.md, invariant 2).
func TestDeletedIsErased(t *testing.T) {
	w := newWorld(t, false)
	key := w.ok(kmsService, "CreateKey", nil)["KeyMetadata"].(m)["KeyId"].(string)
	w.ok(secretsService, "CreateSecret", m{"Name": "doomed", "SecretString": w.text(kindSecret)})
	w.ok(secretsService, "CreateSecret", m{"Name": "stays", "SecretString": w.text(kindSecret)})

	w.server.Stop()
	gone, stays := canary.New(), canary.New()
	add := func(n *canary.Needles, label string, sealed []byte) {
		// The end of a blob is what is random in it.
		if err := n.Add(label, sealed[len(sealed)-40:]); err != nil {
			t.Fatal(err)
		}
	}
	v := w.openVault()
	v.each(`SELECT s.name, v.sealed, v.data_key FROM secret_versions v JOIN secrets s ON s.uid = v.secret_uid`, func(r store.Rows) error {
		var name string
		var sealed, wrapped []byte
		if err := r.Scan(&name, &sealed, &wrapped); err != nil {
			return err
		}
		n := gone
		if name == "stays" {
			n = stays
		}
		add(n, "sealed value of "+name, sealed)
		add(n, "data key of "+name, wrapped)
		return nil
	})
	v.each(`SELECT key_id, sealed FROM kms_material`, func(r store.Rows) error {
		var id string
		var sealed []byte
		if err := r.Scan(&id, &sealed); err != nil {
			return err
		}
		if id == key {
			add(gone, "sealed material", sealed)
		}
		return nil
	})
	v.close()
	if found := w.hits(gone); len(found) != 3 {
		t.Fatalf("before the deletion found only %v", found)
	}

	w.server.Restart()
	w.ok(secretsService, "DeleteSecret", m{"SecretId": "doomed", "ForceDeleteWithoutRecovery": true})
	w.ok(kmsService, "ScheduleKeyDeletion", m{"KeyId": key, "PendingWindowInDays": 7})
	w.server.Stop()
	w.ahead.Store(int64(8 * 24 * time.Hour))
	w.ranUntil(w.now())
	w.server.Restart() // Its jobs run when it starts.
	w.await("the key is purged", func() bool {
		status, _ := w.send(w.request(kmsService, "DescribeKey", w.encode(kmsService, "DescribeKey", m{"KeyId": key})))
		return status != http.StatusOK
	})
	w.await("the secret is purged", func() bool {
		status, _ := w.send(w.request(secretsService, "DescribeSecret", w.encode(secretsService, "DescribeSecret", m{"SecretId": "doomed"})))
		return status != http.StatusOK
	})
	w.server.Stop()
	for label := range w.hits(gone) {
		t.Errorf("%s is still in the files", label)
	}
	if found := w.hits(stays); len(found) != 2 {
		t.Errorf("of what stays, only %v is there", found)
	}
}

// hits returns the labels of what is found in the data directory.
func (w *world) hits(n *canary.Needles) map[string]bool {
	w.Helper()
	found := make(map[string]bool)
	w.searchTree(n, w.server.Dir, func(_ string, h canary.Hit) { found[h.Label] = true })
	return found
}

// await waits until cond holds.
func (w *world) await(what string, cond func() bool) {
	w.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if cond() {
			return
		}
	}
	w.Fatalf("waited in vain until %s", what)
}

// ranUntil writes down that the deployment was seen running until a moment. A clock
// that has only leapt there would destroy nothing for a day (store.Steady).
func (w *world) ranUntil(at time.Time) {
	w.Helper()
	v := w.openVault()
	defer v.close()
	if err := v.db.Maintain(w.Context(), func(tx store.Tx) error {
		_, err := tx.Exec(`UPDATE clock SET seen_at = $1`, at.UnixMicro())
		return err
	}); err != nil {
		w.Fatal(err)
	}
}
