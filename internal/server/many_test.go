package server_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

var many = flag.Int("secrets", 0, "how many secrets TestMany backs up, ships and restores")

// TestMany measures backup and restore of many secrets of 1 KB. It is run by hand:
//
//	go test ./internal/server -run TestMany -secrets 100000 -v -timeout 2h
func TestMany(t *testing.T) {
	if *many == 0 {
		t.Skip("run by hand, with -secrets")
	}
	recipient, ids := newIdentity(t)
	target := filepath.Join(t.TempDir(), "target")
	s := servertest.Start(t, shipping(target, recipient))
	sm := s.Secrets()
	value := fmt.Sprintf("%01024d", 0)
	var next atomic.Int64
	var wg sync.WaitGroup
	begun := time.Now()
	told := func(what string) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		t.Logf("%-32s %8.1f s, heap %d MB, of the system %d MB", what, time.Since(begun).Seconds(), m.HeapAlloc>>20, m.Sys>>20)
		begun = time.Now()
	}
	for range 64 {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(*many); n = next.Add(1) {
				name := fmt.Sprintf("many/%09d", n)
				if _, err := sm.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	told(fmt.Sprintf("%d secrets made, shipped", *many))
	arrived(t, s, time.Now())
	st := s.Server().Status().Ship
	told(fmt.Sprintf("all arrived, %d MB, %d gaps", st.Bytes>>20, st.Gaps))
	at := time.Now()
	file := filepath.Join(t.TempDir(), "b.age")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Server().Backup(t.Context(), f, server.BackupRequest{Recipients: []string{recipient}}); err != nil {
		t.Fatal(err)
	}
	size, _ := f.Seek(0, 1)
	told(fmt.Sprintf("backup, %d MB", size>>20))
	report, err := s.Server().CheckStore(context.Background())
	if err != nil || !report.OK() {
		t.Fatal(report.Faults, err)
	}
	told("check")
	arrived(t, s, at)
	s.Stop()
	begun = time.Now()
	if _, err := server.Restore(t.Context(), empty(t, ""), server.RestoreRequest{Open: func() (io.ReadCloser, error) { return os.Open(file) }, Identities: ids}, silent); err != nil {
		t.Fatal(err)
	}
	told("restore of the backup")
	out, err := server.Restore(t.Context(), empty(t, ""), server.RestoreRequest{Shipped: fromTarget(target, ids, at).Shipped, At: at, Identities: ids}, silent)
	if err != nil {
		t.Fatal(err)
	}
	told(fmt.Sprintf("restore of what was shipped, %d objects, %d commits", out.Shipped.Logs, out.Shipped.Commits))
	if n := out.Rows["secrets"]; n != int64(*many) {
		t.Errorf("%d secrets restored", n)
	}
}
