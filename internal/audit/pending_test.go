package audit

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

func putCall() *wire.Call {
	c := getCall()
	c.Operation, c.ReadOnly = "PutSecretValue", false
	return c
}

func TestChangeWithoutCallIsNotCommitted(t *testing.T) {
	b := newBench(t)
	l := b.open()
	put := func(ctx context.Context) error {
		return b.db.Write(ctx, func(tx store.Tx) error {
			_, err := tx.Exec(`INSERT INTO things (name) VALUES ('x')`)
			return err
		})
	}
	if err := put(t.Context()); !errors.Is(err, errNoCall) {
		t.Fatalf("without a call: %v", err)
	}
	c := putCall()
	if err := put(wire.NewContext(t.Context(), c)); !errors.Is(err, errNotBegun) {
		t.Fatalf("call without room: %v", err)
	}
	b.run(l, c, nil)
	if err := put(wire.NewContext(t.Context(), c)); !errors.Is(err, errNotBegun) {
		t.Fatalf("call that is over: %v", err)
	}
	b.log = nil
	if err := put(wire.NewContext(t.Context(), putCall())); err == nil || !strings.Contains(err.Error(), "before the audit log") {
		t.Fatalf("without a log: %v", err)
	}
	b.log = l
	var n int
	err := b.db.Read(t.Context(), func(tx store.Tx) error { return tx.QueryRow(`SELECT count(*) FROM things`).Scan(&n) })
	if err != nil || n != 0 {
		t.Fatalf("%d changes without a record, %v", n, err)
	}
}

func TestPendingRowGoesOnceTheRecordIsSynced(t *testing.T) {
	b := newBench(t)
	l := b.open(func(c *Config) { c.HeadEvery, c.SyncEvery = 10*time.Millisecond, time.Hour })
	b.run(l, putCall(), func(ctx context.Context) {
		b.change(ctx, "x")
		b.change(ctx, "y")
	})
	if n := b.pendingRows(); n != 1 {
		t.Fatalf("%d pending rows for one call", n)
	}
	time.Sleep(50 * time.Millisecond)
	if n := b.pendingRows(); n != 1 {
		t.Fatal("the row went although the record is not on disk")
	}
	if err := l.sync(0, true); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); b.pendingRows() > 0 || l.Stats().Pending > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("the row stays: %+v", l.Stats())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestPendingRowsGoInChunks(t *testing.T) {
	b := newBench(t)
	l := b.open()
	for range 2*forgetChunk + 7 {
		b.run(l, putCall(), func(ctx context.Context) { b.change(ctx, "x") })
	}
	if n := b.pendingRows(); n != 2*forgetChunk+7 {
		t.Fatalf("%d rows", n)
	}
	b.close()
	if n := b.pendingRows(); n != 0 {
		t.Fatalf("%d rows stay", n)
	}
}

// count returns how many records carry an event id, and one of them.
func (b *bench) count(id string) (n int, record map[string]any) {
	b.Helper()
	for _, r := range b.records() {
		if r["eventID"] == id {
			n, record = n+1, r
		}
	}
	return n, record
}

func TestCrashBetweenCommitAndAppendIsReconciled(t *testing.T) {
	tests := []struct {
		name      string
		point     string
		recovered bool
	}{
		{"committed, not appended", FaultBeforeAppend, true},
		{"appended, not answered", FaultAfterAppend, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			died := errors.New("died")
			l := b.open(func(c *Config) {
				c.Fault = func(p string) {
					if p == tt.point {
						panic(died)
					}
				}
			})
			c := putCall()
			c.Resources = append(c.Resources, wire.Resource{ARN: "arn:aws:kms:us-east-1:444455556666:key/k", Type: "AWS::KMS::Key", Account: "444455556666"})
			func() {
				defer func() {
					if recover() != died {
						t.Fatal("the fault point was not passed")
					}
				}()
				b.run(l, c, func(ctx context.Context) { b.change(ctx, "x") })
			}()
			b.crash()
			for range 2 { // A second start must not add it again.
				l = b.open()
				n, record := b.count(c.EventID)
				if n != 1 {
					t.Fatalf("%d records", n)
				}
				if got := record["strongroom"].(map[string]any)["recovered"] == true; got != tt.recovered {
					t.Fatalf("recovered: %v", got)
				}
				if n, _ := b.count(derivedID(c.EventID, "444455556666")); n != 1 {
					t.Fatalf("%d records for the other account", n)
				}
				b.close()
				if b.pendingRows() != 0 {
					t.Fatal("the pending row stays")
				}
			}
			b.mustVerify()
		})
	}
}

func TestRolledBackChangeLeavesNothing(t *testing.T) {
	b := newBench(t)
	l := b.open()
	c := putCall()
	b.run(l, c, func(ctx context.Context) {
		no := errors.New("no")
		if err := b.db.Write(ctx, func(store.Tx) error { return no }); !errors.Is(err, no) {
			t.Fatal(err)
		}
	})
	if n := b.pendingRows(); n != 0 {
		t.Fatalf("%d rows", n)
	}
	b.close()
	b.mustVerify()
}

func TestNestedChangeSurvivesCrashOfItsCall(t *testing.T) {
	b := newBench(t)
	l := b.open()
	parent := putCall()
	ctx := wire.NewContext(t.Context(), parent)
	if err := l.Begin(ctx, parent); err != nil {
		t.Fatal(err)
	}
	child := decryptCall(parent)
	b.run(l, child, func(ctx context.Context) { b.change(ctx, "key") })
	b.crash() // The child is recorded, but waits for its parent.
	b.open()
	if n, _ := b.count(child.EventID); n != 1 {
		t.Fatalf("%d records of the nested change", n)
	}
	if n, _ := b.count(parent.EventID); n != 0 {
		t.Fatal("a call that changed nothing and was not answered has a record")
	}
	b.close()
	b.mustVerify()
}
