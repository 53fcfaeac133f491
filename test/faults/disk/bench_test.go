package disk

import (
	"context"
	"errors"

	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/strongroom/strongroom/internal/servertest"
	"github.com/strongroom/strongroom/test/faults/faultfs"
	"github.com/strongroom/strongroom/test/faults/program"
)

// patience is for what comes within a second or two on a quiet machine.
const patience = 60 * time.Second

// bench is a server on a disk that breaks.
type bench struct {
	*testing.T
	disk  *faultfs.Disk
	mount *faultfs.Mount
	d     *program.Deployment
	s     *program.Server
}

// small makes segments fill up within a test, and leaves reads to the database.
const small = "audit: {segment_size: 262144}\ncache: {rows: 0}"

// start makes a deployment with the secrets a and b, and a server that has not read anything yet.
func start(t *testing.T) *bench {
	t.Helper()
	t.Parallel()
	if why := faultfs.Missing(); why != "" {
		t.Skip(why)
	}
	b := &bench{T: t, disk: faultfs.New()}
	dir := t.TempDir()
	b.plug(dir)
	t.Cleanup(func() {
		if b.s != nil {
			b.s.Kill()
		}
		if err := b.mount.Unmount(); err != nil {
			t.Error(err)
		}
	})
	b.d = program.At(t, filepath.Join(dir, "d"))
	b.d.Init("", small)
	b.serve()
	for _, name := range []string{"a", "b"} {
		if _, err := b.secrets().CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: new("old " + name)}); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func (b *bench) plug(dir string) {
	b.Helper()
	var err error
	if b.mount, err = b.disk.Mount(dir, faultfs.Direct); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) serve() {
	b.Helper()
	var err error
	if b.s, err = b.d.Start(); err != nil {
		b.Fatal(err)
	}
}

// stop ends the server as an operator does.
func (b *bench) stop() {
	b.Helper()
	if err := b.s.Stop(); err != nil {
		b.Fatalf("stop: %v\n%s", err, b.s.Log)
	}
}

// refuses starts the server, which must refuse to, and returns what it says.
func (b *bench) refuses(say ...string) {
	b.Helper()
	s, err := b.d.Start()
	if err == nil {
		s.Kill()
		b.Fatal("the server starts")
	}
	b.says("the start", err.Error(), append(say, "cannot start")...)
}

func (b *bench) says(what, text string, say ...string) {
	b.Helper()
	for _, want := range say {
		if !strings.Contains(text, want) {
			b.Errorf("%s does not say %q:\n%s", what, want, text)
		}
	}
}

// cut puts the disk back as a power cut leaves it.
func (b *bench) cut(seed uint64) {
	b.Helper()
	b.disk.Freeze()
	found := b.disk.Cut(seed)
	b.disk.Kill()
	b.s.Kill()
	if err := b.mount.Unmount(); err != nil {
		b.Fatal(err)
	}
	b.disk = found
	b.plug(filepath.Dir(b.d.Dir))
}

func (b *bench) secrets() *secretsmanager.Client {
	return secretsmanager.NewFromConfig(b.s.AWS(servertest.Region))
}

func (b *bench) put(name, value string) error {
	_, err := b.secrets().PutSecretValue(context.Background(), &secretsmanager.PutSecretValueInput{SecretId: &name, SecretString: &value})
	return err
}

func (b *bench) get(name string) (string, error) {
	out, err := b.secrets().GetSecretValue(context.Background(), &secretsmanager.GetSecretValueInput{SecretId: &name})
	if err != nil {
		return "", err
	}
	return *out.SecretString, nil
}

// is fails unless a secret has a value.
func (b *bench) is(name, want string) {
	b.Helper()
	if got, err := b.get(name); err != nil || got != want {
		b.Errorf("%s is %q, %v, want %q", name, got, err, want)
	}
}

// refused says whether an answer is 503 with the code that SDKs try again.
func refused(err error) bool {
	return code(err) == "ServiceUnavailableException" && status(err) == http.StatusServiceUnavailable
}

func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

func status(err error) int {
	if e, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		return e.HTTPStatusCode()
	}
	return 0
}

// await waits until f is true.
func (b *bench) await(what string, f func() bool) {
	b.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if f() {
			return
		}
	}
	b.Fatalf("%s: not within %v\n%s", what, patience, b.s.Log)
}

// recovers waits until changes are taken again without a restart.
func (b *bench) recovers() {
	b.Helper()
	b.await("a change after the fault", func() bool { return b.put("a", "after") == nil })
	b.is("a", "after")
	b.ready(http.StatusOK, "ready\n")
	b.metric("strongroom_store_up", "1")
	b.metric("strongroom_audit_up", "1")
}

func (b *bench) ready(want int, say string) {
	b.Helper()
	got, body := b.s.Get("/readyz")
	// An answer is good for a moment, so that asking costs nothing.
	for end := time.Now().Add(patience); (got != want || !strings.Contains(body, say)) && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		got, body = b.s.Get("/readyz")
	}
	if got != want || !strings.Contains(body, say) {
		b.Errorf("/readyz answers %d %q, want %d and %q", got, body, want, say)
	}
	if alive, _ := b.s.Get("/healthz"); alive != http.StatusOK {
		b.Errorf("/healthz answers %d", alive)
	}
}

func (b *bench) metric(name, want string) {
	b.Helper()
	if got := b.s.Metric(name); got != want {
		b.Errorf("%s is %q, want %q", name, got, want)
	}
}

// warns fails unless `strongroom status` says something.
func (b *bench) warns(say ...string) {
	b.Helper()
	out, stderr, err := b.d.Run("status")
	if err != nil {
		b.Errorf("status: %v\n%s", err, stderr)
	}
	b.says("status", out, say...)
}

// check fails unless `strongroom check` is content.
func (b *bench) check() {
	b.Helper()
	if out, stderr, err := b.d.Run("check"); err != nil {
		b.Errorf("check: %v\n%s%s", err, out, stderr)
	}
}

// once fails unless the log has exactly one line with a text.
func (b *bench) once(text string) {
	b.Helper()
	if n := strings.Count(b.s.Log.String(), text); n != 1 {
		b.Errorf("the log says %d times: %s\n%s", n, text, b.s.Log)
	}
}

// changes is how many records of successful changes of secret a there are, apart from its creation.
func (b *bench) changes() int {
	b.Helper()
	out, stderr, err := b.d.Run("audit", "tail", "--from", "1", "--no-follow", "--json")
	if err != nil {
		b.Fatalf("audit tail: %v\n%s", err, stderr)
	}
	n := 0
	for line := range strings.Lines(out) {
		if strings.Contains(line, `"eventName":"PutSecretValue"`) && !strings.Contains(line, `"errorCode"`) {
			n++
		}
	}
	return n
}
