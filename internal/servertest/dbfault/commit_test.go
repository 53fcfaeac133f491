package dbfault

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/internal/pgtest/netfault"
)

// TestCutCommits breaks the connection around every commit, and each call is
// acknowledged all the same: whether it was committed is looked up by its own row.
func TestCutCommits(t *testing.T) {
	for name, how := range map[string]netfault.Cut{
		"before it arrives":     netfault.Before,
		"after it was answered": netfault.After,
		"at the same moment":    netfault.During,
	} {
		t.Run(name, func(t *testing.T) {
			w := shared(t)
			w.create("warm")
			const calls, writers = 5, 4
			var wg sync.WaitGroup
			for i := range writers {
				wg.Go(func() {
					for n := range calls {
						// A commit that never arrives runs again, and must arrive once.
						if how != netfault.After {
							w.proxy.NextCommit(how)
						} else {
							w.proxy.EachCommit(how)
						}
						name := fmt.Sprintf("s%d-%d", i, n)
						_, err := w.Secrets().CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: new("v")})
						if err != nil {
							t.Errorf("create: %v", err)
						}
					}
				})
			}
			wg.Wait()
			w.proxy.EachCommit(netfault.None)
			w.proxy.NextCommit(netfault.None)
			if w.proxy.Cuts() < calls {
				t.Errorf("%d commits were cut", w.proxy.Cuts())
			}
			found := map[string]int{}
			for _, r := range w.records() {
				if r.EventName == "CreateSecret" && r.ErrorCode == "" {
					found[r.RequestID]++
				}
			}
			for id, n := range found {
				if n != 1 {
					t.Errorf("request %s has %d records", id, n)
				}
			}
			if len(found) != calls*writers+1 {
				t.Errorf("%d records of %d secrets made", len(found), calls*writers+1)
			}
			for i := range writers {
				for n := range calls {
					if got, err := w.get(t.Context(), fmt.Sprintf("s%d-%d", i, n)); err != nil || got != "v" {
						t.Errorf("s%d-%d: %q, %v", i, n, got, err)
					}
				}
			}
			if w.metric("strongroom_store_commits_lost_total") == "0" {
				t.Error("no commit was looked up")
			}
			w.sound()
		})
	}
}

// TestUnknownOutcome: the database is gone right after a commit, and stays away
// beyond our patience. The caller and the auditor are told that nobody knows; the
// same token finds out.
func TestUnknownOutcome(t *testing.T) {
	w := shared(t)
	w.create("s")
	var token string
	for n := 0; ; n++ {
		// The housekeeping commits, too. If the cut meets that, the change is refused
		// before it commits, and another one is tried.
		token = fmt.Sprintf("%032d", n)
		w.proxy.EachCommit(netfault.After)
		cuts := w.proxy.Cuts()
		done := make(chan error, 1)
		go func() { _, err := w.put(t.Context(), "s", "second", &token); done <- err }()
		w.until("a cut", func() bool { return w.proxy.Cuts() > cuts })
		w.proxy.Set(t, netfault.Refuse)
		w.proxy.Cut()
		err := <-done
		if err != nil {
			refused(t, "put", err, true)
			if strings.Contains(err.Error(), "not known") {
				break
			}
		}
		if n == 9 {
			t.Fatalf("the cut never meets the change: %v", err)
		}
		w.proxy.EachCommit(netfault.None)
		w.proxy.Set(t, netfault.Pass)
		w.await(true)
	}
	w.proxy.EachCommit(netfault.None)
	w.proxy.Set(t, netfault.Pass)
	w.await(true)
	found, event := 0, ""
	for _, r := range w.records() {
		if r.EventName == "PutSecretValue" && r.ErrorCode == "InternalServiceError" && strings.Contains(r.ErrorMessage, "not known") {
			found++
			event = r.EventID
		}
	}
	if found != 1 {
		t.Errorf("%d records tell that the outcome is not known", found)
	}
	// Once it is, another one tells that.
	w.until("the record of the change", func() bool {
		for _, r := range w.records() {
			if r.EventID == event && r.ErrorCode == "" {
				return true
			}
		}
		return false
	})
	out, err := w.put(t.Context(), "s", "second", &token)
	if err != nil || *out.VersionId != token {
		t.Errorf("repeated: %v", err)
	}
	if got, err := w.get(t.Context(), "s"); err != nil || got != "second" {
		t.Errorf("afterwards: %q, %v", got, err)
	}
	w.sound()
}
