package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/rogpeppe/go-internal/testscript"
)

// update rewrites the expected output in the scripts.
var update = flag.Bool("update", false, "accept the output of the commands in testdata")

// TestMain makes this binary the strongroom command of the scripts, and whoami,
// which asks the server who its caller is.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"strongroom": strongroom, "whoami": whoami})
}

func strongroom() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(Run(ctx, &Env{Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv,
		Version: "v1.2.3", Commit: "0123456789abcdef"}))
}

func whoami() {
	ctx := context.Background()
	cfg, err := awsconfig.LoadDefaultConfig(ctx)
	if err == nil {
		var out *sts.GetCallerIdentityOutput
		if out, err = sts.NewFromConfig(cfg).GetCallerIdentity(ctx, nil); err == nil {
			fmt.Println(*out.Arn)
			return
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func TestScripts(t *testing.T) {
	vectors, err := filepath.Abs("../policy/testdata/iam-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata", UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			// A free port for each server, and nothing of the machine's own AWS settings.
			e.Setenv("STRONGROOM_LISTEN", "127.0.0.1:0")
			e.Setenv("AWS_CONFIG_FILE", filepath.Join(e.WorkDir, "aws-config"))
			e.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
			e.Setenv("VECTORS", vectors)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": serveScript, "fails": failsScript, "flip": flipScript, "exports": exportsScript, "mode": modeScript,
		},
	})
}

// serveScript waits until the server of a data directory answers (serve DIR).
func serveScript(ts *testscript.TestScript, _ bool, args []string) {
	file := filepath.Join(ts.MkAbs(args[0]), "endpoint")
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		u, err := url.Parse(strings.TrimSpace(string(b)))
		if err != nil || u.Host == "" {
			continue
		}
		if c, err := net.Dial("tcp", u.Host); err == nil {
			c.Close()
			return
		}
	}
	ts.Fatalf("the server on %s does not answer", args[0])
}

// failsScript runs a command that must end with a status (fails STATUS COMMAND…).
func failsScript(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != want {
		ts.Fatalf("%v ended with %v, want status %d", args[1:], err, want)
	}
}

// flipScript changes one byte of a text in the first file of a pattern that has
// it (flip PATTERN TEXT).
func flipScript(ts *testscript.TestScript, _ bool, args []string) {
	files, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	for _, file := range files {
		b, err := os.ReadFile(file)
		ts.Check(err)
		if i := bytes.Index(b, []byte(args[1])); i >= 0 {
			b[i] ^= 1
			ts.Check(os.WriteFile(file, b, 0o600))
			return
		}
	}
	ts.Fatalf("no file of %s has %q", args[0], args[1])
}

// exportsScript takes the exports that the last command printed into the
// script's own environment.
func exportsScript(ts *testscript.TestScript, _ bool, _ []string) {
	n := 0
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		name, val, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "='")
		if ok && strings.HasPrefix(line, "export ") {
			ts.Setenv(name, strings.TrimSuffix(val, "'"))
			n++
		}
	}
	if n == 0 {
		ts.Fatalf("no exports")
	}
}

// modeScript compares a file's permissions (mode 0600 FILE).
func modeScript(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%#o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}
