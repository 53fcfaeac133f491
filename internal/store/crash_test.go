package store

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	childDir = "STRONGROOM_STORE_CHILD_DIR"
	childURL = "STRONGROOM_STORE_CHILD_URL"
)

// TestKilledWhileWriting starts this test again as another process, which
// writes from several goroutines and says what was acknowledged, and kills it
// without warning. All it said must be there; SQLite's directory must be free.
func TestKilledWhileWriting(t *testing.T) {
	if os.Getenv(childDir)+os.Getenv(childURL) != "" {
		writeUntilKilled(t)
	}
	engines(t, func(t *testing.T, _ opener) {
		config := Config{Dir: t.TempDir()}
		if strings.HasSuffix(t.Name(), PostgreSQL) {
			config = Config{URL: newDatabase(t)}
		}
		acknowledged := make(map[string]bool)
		for round := range 3 {
			cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWhileWriting$")
			cmd.Env = append(os.Environ(), fmt.Sprint(childDir, "=", config.Dir), fmt.Sprint(childURL, "=", config.URL), fmt.Sprint("ROUND=", round))
			if config.URL != "" {
				cmd.Env = append(cmd.Env, childDir+"=")
			}
			runAndKill(t, cmd, acknowledged)
		}
		db, err := open(t.Context(), config, testMigrations(t))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		there := make(map[string]bool)
		for _, name := range strings.Fields(names(t, db, allNames)) {
			there[name] = true
		}
		for name := range acknowledged {
			if !there[name] {
				t.Errorf("%s was acknowledged and is lost", name)
			}
		}
		if len(acknowledged) < 50 {
			t.Errorf("only %d writes were acknowledged: the test proves nothing", len(acknowledged))
		}
		if config.Dir == "" {
			return
		}
		var sound string
		if err := db.Get(t.Context(), `PRAGMA integrity_check`).Scan(&sound); err != nil || sound != "ok" {
			t.Errorf("integrity check says %q, %v", sound, err)
		}
	})
}

// runAndKill reads what the child acknowledges until it has done enough.
func runAndKill(t *testing.T, cmd *exec.Cmd, acknowledged map[string]bool) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	giveUp := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
	defer giveUp.Stop()
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		if n == 40 {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
		if name, ok := strings.CutPrefix(lines.Text(), "done "); ok {
			acknowledged[name] = true
		} else {
			t.Errorf("child says %q", lines.Text())
		}
	}
	cmd.Wait()
}

func writeUntilKilled(t *testing.T) {
	db, err := open(context.Background(), Config{Dir: os.Getenv(childDir), URL: os.Getenv(childURL)}, testMigrations(t))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 1_000_000 {
				name := fmt.Sprintf("r%s-w%d-%d", os.Getenv("ROUND"), worker, i)
				if err := db.Write(context.Background(), insert(name)); err != nil {
					fmt.Println(err)
					os.Exit(1)
				}
				// One write call: lines are not mixed, and not kept back.
				os.Stdout.WriteString("done " + name + "\n")
			}
		})
	}
	wg.Wait()
}

// TestSecondProcessIsRefused starts a process that holds the directory.
func TestSecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWhileWriting$")
	cmd.Env = append(os.Environ(), childDir+"="+dir, childURL+"=", "ROUND=0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	if !bufio.NewScanner(out).Scan() {
		t.Fatal("child says nothing")
	}
	go func() { // keep it writing
		for lines := bufio.NewScanner(out); lines.Scan(); {
		}
	}()
	_, err = Open(t.Context(), Config{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("process %q", fmt.Sprint(cmd.Process.Pid))) {
		t.Errorf("got %v", err)
	}
}
