package pgtest

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func query(t *testing.T, address, statement string) string {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	var out string
	if err := conn.QueryRow(ctx, statement).Scan(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestStartGivesSeparateDatabases(t *testing.T) {
	a, b := Start(t), Start(t)
	if x, y := query(t, a, "SELECT current_database()"), query(t, b, "SELECT current_database()"); x == y {
		t.Errorf("both are %s", x)
	}
	if super := query(t, a, "SELECT rolsuper::text FROM pg_roles WHERE rolname = current_user"); super != "false" {
		t.Error("role is a superuser")
	}
}

// TestServerSortsByLanguage makes sure that the server would show a query that
// forgot to ask for bytewise order, where the installation can.
func TestServerSortsByLanguage(t *testing.T) {
	got := query(t, Start(t), "SELECT string_agg(x, '' ORDER BY x) FROM (VALUES ('B'), ('a'), ('C')) v(x)")
	if got != "aBC" {
		t.Skipf("this server has neither ICU nor an English locale: order is %s", got)
	}
}

func TestDatabaseIsDroppedWithOpenConnections(t *testing.T) {
	var address string
	t.Run("user", func(t *testing.T) {
		address = Start(t)
		if _, err := pgx.Connect(context.Background(), address); err != nil {
			t.Fatal(err)
		}
	})
	if conn, err := pgx.Connect(context.Background(), address); err == nil {
		conn.Close(context.Background())
		t.Error("database is still there")
	}
}

const childVariable = "STRONGROOM_PGTEST_CHILD"

// TestNothingOutlivesAKilledBinary starts a second test binary, kills it
// without warning, and looks for its server and directory.
func TestNothingOutlivesAKilledBinary(t *testing.T) {
	if os.Getenv(childVariable) == "1" {
		Start(t)
		s, err := shared()
		if err != nil {
			t.Fatal(err)
		}
		pid, err := os.ReadFile(s.data() + "/postmaster.pid")
		if err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("ready " + s.dir + " " + strings.SplitN(string(pid), "\n", 2)[0] + "\n")
		select {}
	}
	if os.Getenv(skipVariable) == "1" {
		t.Skip("PostgreSQL tests are skipped because " + skipVariable + "=1")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestNothingOutlivesAKilledBinary$")
	cmd.Env = append(os.Environ(), childVariable+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 4096)
	n, err := out.Read(line)
	fields := strings.Fields(string(line[:n]))
	if err != nil || len(fields) != 3 || fields[0] != "ready" {
		cmd.Process.Kill()
		t.Fatalf("child said %q, %v", line[:n], err)
	}
	dir := fields[1]
	pid, err := strconv.Atoi(fields[2])
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	for range 500 {
		_, noDir := os.Stat(dir)
		_, noProcess := os.Stat("/proc/" + strconv.Itoa(pid))
		if os.IsNotExist(noDir) && os.IsNotExist(noProcess) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("server %d or its directory %s is still there", pid, dir)
}
