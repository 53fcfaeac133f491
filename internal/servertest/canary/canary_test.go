package canary_test

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest/canary"
)

// TestCanary sends values through every operation and every refusal, and then
// looks for them wherever the server, its database and its clients have written
// (design.md, invariant 1).
func TestCanary(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgresql"} {
		t.Run(engine, func(t *testing.T) {
			w := newWorld(t, engine == "postgresql")
			w.scenario()
			w.refusals()
			w.operator()
			w.metrics()
			w.coverage()
			// As the files are while the server runs, and as it leaves them.
			w.snapshot()
			w.server.Stop()
			w.internalKeys()
			w.search()
		})
	}
}

// refusesAll are operations that succeed for nobody: no service here has a
// service-linked role.
var refusesAll = map[string]bool{"iam:CreateServiceLinkedRole": true, "iam:DeleteServiceLinkedRole": true}

// coverage fails for an operation that nothing has gone through, so that a new
// one comes with its lines in the scenario.
func (w *world) coverage() {
	w.Helper()
	for _, s := range services {
		for _, operation := range s.built() {
			name := s.Name + ":" + operation
			if !w.succeeded[name] && !refusesAll[name] {
				w.Errorf("%s never succeeded: add it to the scenario", name)
			}
			if !w.refused[name] {
				w.Errorf("%s was never refused", name)
			}
		}
	}
}

// TestServicesAreComplete fails for a service that the tests do not know.
func TestServicesAreComplete(t *testing.T) {
	generated, err := filepath.Glob("../../*/api_gen.go")
	if err != nil || len(generated) == 0 {
		t.Fatal("no services found", err)
	}
	for _, path := range generated {
		name := filepath.Base(filepath.Dir(path))
		if !slices.ContainsFunc(services, func(s service) bool { return s.Name == name }) {
			t.Errorf("service %s is not in the canary test", name)
		}
	}
}

// snapshot copies the data directory of the running server.
func (w *world) snapshot() {
	w.Helper()
	to := filepath.Join(w.dir, "running")
	err := filepath.WalkDir(w.server.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(w.server.Dir, path)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, rel)), 0o700); err != nil {
			return err
		}
		return copyFile(filepath.Join(to, rel), path)
	})
	if err != nil {
		w.Fatal(err)
	}
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if os.IsNotExist(err) {
		return nil // A spare segment that has got its number.
	}
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Close()
}

// exempt are the files with a secret in the clear, by name (design.md,
// invariant 1).
var exempt = map[string]string{server.RootKeyFile: kindRoot, server.CredentialsFile: kindAdmin}

// search looks for all values everywhere.
func (w *world) search() {
	w.Helper()
	n := w.needles()
	exempted := make(map[string]bool)
	leak := func(path string, h canary.Hit) {
		if label, ok := exempt[filepath.Base(path)]; ok && h.Label == label {
			exempted[filepath.Base(path)] = true
			return
		}
		w.Errorf("LEAK in %s: %s", path, h)
	}
	size := w.searchTree(n, w.dir, leak)
	if w.postgres != nil {
		w.postgres.Flush(w)
		size += w.searchTree(n, w.postgres.Dir, leak)
	}
	logs := w.server.Log.String()
	n.ScanBytes([]byte(logs), func(h canary.Hit) { leak("the server's log", h) })
	n.ScanBytes([]byte(w.process.String()), func(h canary.Hit) { leak("the process's log", h) })
	w.searchAnswers(n)
	for name := range exempt {
		// The search itself must work where there is something to find.
		if !exempted[name] {
			w.Errorf("the value that belongs into %s was not found there", name)
		}
	}
	if !strings.Contains(logs, "level=DEBUG") {
		w.Error("the log has no debug lines: it was not at its most talkative")
	}
	w.Logf("%d values, %d answers, %d KiB of log, %d MiB of files searched", len(w.values), len(w.answers), len(logs)>>10, size>>20)
}

func (w *world) searchTree(n *canary.Needles, dir string, leak func(string, canary.Hit)) int64 {
	w.Helper()
	size, err := n.Tree(dir, leak)
	if err != nil {
		w.Fatal(err)
	}
	return size
}

// searchAnswers looks into what clients received. A value may be in the successful
// answers that are there to tell it, and must be in some of them.
func (w *world) searchAnswers(n *canary.Needles) {
	w.Helper()
	told := make(map[string]bool)
	for _, a := range w.answers {
		n.ScanBytes(a.bytes, func(h canary.Hit) {
			if a.success && slices.ContainsFunc(revealed[a.operation], func(kind string) bool { return strings.HasPrefix(h.Label, kind) }) {
				told[a.operation] = true
				return
			}
			w.Errorf("LEAK in an answer of %s: %s", a.operation, h)
		})
	}
	for operation := range revealed {
		if !told[operation] {
			w.Errorf("no value was found in the answers of %s, which tell them", operation)
		}
	}
}

// count is how many values have labels of a kind.
func (w *world) count(kind string) int {
	n := 0
	for _, v := range w.values {
		if strings.HasPrefix(v.label, kind) {
			n++
		}
	}
	return n
}

// expectKinds fails when a kind of value was not sent at all.
func (w *world) expectKinds() {
	w.Helper()
	for _, kind := range []string{kindSecret, kindPlain, kindDataKey, kindPassword, kindKey, kindToken, kindRefused, kindInternal, kindRoot, kindAdmin} {
		if w.count(kind) == 0 {
			w.Errorf("no value is a %s", kind)
		}
	}
}
