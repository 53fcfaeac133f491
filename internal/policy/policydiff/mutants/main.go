// Command mutants checks that the tests of the policy engine would notice a
// mistake. It puts one seeded fault after the other into the engine, runs the
// shared vectors and the differential test, and fails when a fault passes both.
// It then says whether the engine's unit tests would have caught that one; they
// were written by whoever wrote the line, so they alone are no proof.
//
// The one invariant: the tree is never written to. A fault reaches the compiler
// through an overlay (go help build, -overlay).
//
// It runs in the root of the module.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

const (
	engine       = "internal/policy"
	differential = "internal/policy/policydiff"
	// seeds bounds the differential test. A fault that survives these but not
	// the whole test is too close to surviving.
	seeds = "12000"
	// parallel faults at a time: while one is linked, another one runs.
	parallel = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, strings.Join(os.Args[1:], " ")); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// run tries the faults whose description contains only.
func run(ctx context.Context, out io.Writer, only string) error {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	chosen, texts, err := prepare(only)
	if err != nil {
		return err
	}
	start := time.Now()
	// Without a fault nothing may fail, or everything below would look caught.
	sound, err := try(ctx, filepath.Join(dir, "sound"), "", nil)
	if err != nil {
		return err
	}
	if sound != (outcome{}) {
		return errors.New("the tests fail without any fault: " + sound.String())
	}
	outcomes := make([]outcome, len(chosen))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	turns := make(chan int)
	for range parallel {
		group.Go(func() {
			for i := range turns {
				var err error
				if outcomes[i], err = try(ctx, filepath.Join(dir, fmt.Sprint(i)), chosen[i].file, texts[i]); err != nil {
					cancel(fmt.Errorf("fault %q: %w", chosen[i].breaks, err)) // the first cause is kept
				}
			}
		})
	}
	for i := range chosen {
		if ctx.Err() != nil {
			break
		}
		fmt.Fprintf(os.Stderr, "\r%d of %d", i+1, len(chosen))
		turns <- i
	}
	close(turns)
	group.Wait()
	fmt.Fprintln(os.Stderr)
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return report(out, chosen, outcomes, time.Since(start))
}

// prepare applies every fault in memory, so that one that has lost its place
// stops the run before it has begun.
func prepare(only string) (chosen []fault, texts [][]byte, err error) {
	for _, f := range faults {
		src, err := os.ReadFile(filepath.Join(engine, f.file))
		if err != nil {
			return nil, nil, fmt.Errorf("fault %q: %w", f.breaks, err)
		}
		if n := strings.Count(string(src), f.old); n != 1 {
			return nil, nil, fmt.Errorf("fault %q: %s holds %q %d times, not once: the engine has changed, so must the fault", f.breaks, f.file, f.old, n)
		}
		if strings.Contains(f.breaks, only) {
			chosen = append(chosen, f)
			texts = append(texts, []byte(strings.Replace(string(src), f.old, f.new, 1)))
		}
	}
	if len(chosen) == 0 {
		return nil, nil, fmt.Errorf("no fault is described by %q", only)
	}
	return chosen, texts, nil
}

// outcome says which tests failed.
type outcome struct{ vectors, differential, unit bool }

func (o outcome) survived() bool { return !o.vectors && !o.differential }

func (o outcome) String() string {
	return fmt.Sprintf("vectors %s, differential %s, unit %s", mark(o.vectors), mark(o.differential), mark(o.unit))
}

func mark(caught bool) string {
	if caught {
		return "caught"
	}
	return "-"
}

// try builds the tests with text in place of file, or as they are without one,
// and runs them.
func try(ctx context.Context, dir, file string, text []byte) (outcome, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return outcome{}, err
	}
	defer os.RemoveAll(dir)
	overlay := ""
	if file != "" {
		var err error
		if overlay, err = writeOverlay(dir, file, text); err != nil {
			return outcome{}, err
		}
	}
	var o outcome
	binary, err := build(ctx, dir, overlay, differential)
	if err != nil {
		return o, err
	}
	if o.vectors, err = fails(ctx, differential, binary, "-test.run=^TestSharedVectors$"); err != nil {
		return o, err
	}
	if o.differential, err = fails(ctx, differential, binary, "-test.run=Agrees", "-seeds="+seeds); err != nil || !o.survived() {
		return o, err
	}
	if binary, err = build(ctx, dir, overlay, engine); err != nil {
		return o, err
	}
	o.unit, err = fails(ctx, engine, binary)
	return o, err
}

// build links the tests of a package, without what only a debugger reads.
func build(ctx context.Context, dir, overlay, folder string) (string, error) {
	binary := filepath.Join(dir, filepath.Base(folder)+".test")
	link := exec.CommandContext(ctx, "go", "test", "-c", "-ldflags=-s -w", "-overlay="+overlay, "-o", binary, "./"+folder)
	if out, err := link.CombinedOutput(); err != nil {
		return "", fmt.Errorf("does not build: %w\n%s", err, out)
	}
	return binary, nil
}

func writeOverlay(dir, file string, text []byte) (string, error) {
	original, err := filepath.Abs(filepath.Join(engine, file))
	if err != nil {
		return "", err
	}
	mutant := filepath.Join(dir, file)
	if err := os.WriteFile(mutant, text, 0o600); err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {original: mutant}})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, overlay, 0o600)
}

// fails runs a test binary in the folder of its package. A test that hangs is
// ended by its own timeout and so fails too.
func fails(ctx context.Context, folder, binary string, args ...string) (bool, error) {
	test := exec.CommandContext(ctx, binary, append(args, "-test.failfast", "-test.timeout=90s")...)
	test.Dir = folder
	err := test.Run()
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if _, failed := errors.AsType[*exec.ExitError](err); failed {
		return true, nil
	}
	return false, err
}

func report(out io.Writer, chosen []fault, outcomes []outcome, took time.Duration) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FAULT\tFILE\tVECTORS\tDIFFERENTIAL\tUNIT")
	var byVectors, byDifferential, survived int
	for i, o := range outcomes {
		unit := "" // not asked
		if o.survived() {
			unit = mark(o.unit)
			survived++
		}
		if o.vectors {
			byVectors++
		}
		if o.differential {
			byDifferential++
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", chosen[i].breaks, chosen[i].file, mark(o.vectors), mark(o.differential), unit)
	}
	fmt.Fprintf(table, "%d faults in %s\t\t%d\t%d\t\n", len(chosen), took.Round(time.Second), byVectors, byDifferential)
	if err := table.Flush(); err != nil {
		return err
	}
	if survived > 0 {
		return fmt.Errorf("%d faults pass both the vectors and the differential test", survived)
	}
	return nil
}
