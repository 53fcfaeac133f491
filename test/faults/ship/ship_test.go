// Package ship kills servers that are shipped to a bucket, takes the bucket away, kills
// restores, and compares what is restored with what was acknowledged.
package ship

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
	"github.com/strongroom/strongroom/test/faults/program"
)

var rounds = flag.Int("rounds", 3, "how often the server is killed")

// bucket is a server of S3's protocol that can be made to fail.
type bucket struct {
	*httptest.Server
	backend *s3mem.Backend

	mu    sync.Mutex
	fault string // "", "full", "down"
}

func newBucket(t *testing.T) *bucket {
	t.Helper()
	b := &bucket{backend: s3mem.New()}
	fake := gofakes3.New(b.backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	b.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		fault := b.fault
		b.mu.Unlock()
		switch {
		case fault == "down":
			panic(http.ErrAbortHandler)
		case fault == "full" && r.Method == http.MethodPut:
			w.WriteHeader(http.StatusInsufficientStorage)
			io.WriteString(w, "<Error><Code>QuotaExceeded</Code></Error>")
			return
		}
		fake.ServeHTTP(w, r)
	}))
	b.Config.ErrorLog = log.New(io.Discard, "", 0) // It tells of clients that were killed.
	b.Start()
	t.Cleanup(b.Close)
	if err := b.backend.CreateBucket("backups"); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bucket) fail(how string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault = how
}

// objects returns all of them.
func (b *bucket) objects(t *testing.T) map[string][]byte {
	t.Helper()
	out := make(map[string][]byte)
	list, err := b.backend.ListBucket("backups", &gofakes3.Prefix{}, gofakes3.ListBucketPage{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list.Contents {
		o, err := b.backend.GetObject("backups", c.Key, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(o.Contents)
		if err = errors.Join(err, o.Contents.Close()); err != nil {
			t.Fatal(err)
		}
		out[c.Key] = body
	}
	return out
}

func (b *bucket) put(t *testing.T, key string, body []byte) {
	t.Helper()
	if _, err := b.backend.PutObject("backups", key, map[string]string{}, bytes.NewReader(body), int64(len(body)), nil); err != nil {
		t.Fatal(err)
	}
}

// write is one of the model.
type write struct {
	name         string
	begun, ended time.Time // ended is zero unless it was acknowledged
}

// model is what writers did.
type model struct {
	mu     sync.Mutex
	writes []write
}

// load writes until ctx ends or the server is gone.
func (m *model) load(ctx context.Context, s *program.Server, round, writer int) {
	sm := secretsmanager.NewFromConfig(s.AWS(servertest.Region))
	for i := 0; ctx.Err() == nil; i++ {
		w := write{name: fmt.Sprintf("canary-%d-%d-%d", round, writer, i), begun: time.Now()}
		value := "value-of-" + w.name
		_, err := sm.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &w.name, SecretString: &value})
		if err == nil {
			w.ended = time.Now()
		}
		m.mu.Lock()
		m.writes = append(m.writes, w)
		m.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// values are the secrets of a restored data directory.
func values(t *testing.T, dir string, c server.Credentials) map[string]string {
	t.Helper()
	cfg, err := config.Load(dir, func(string) string { return "" }, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.Open(t.Context(), server.Options{Config: cfg, Log: slog.New(slog.DiscardHandler), ManualJobs: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	h := httptest.NewServer(s.Handler())
	defer h.Close()
	sm := secretsmanager.New(secretsmanager.Options{BaseEndpoint: &h.URL, Region: servertest.Region,
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, "")})
	out := make(map[string]string)
	pages := secretsmanager.NewListSecretsPaginator(sm, &secretsmanager.ListSecretsInput{MaxResults: new(int32(100))})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range page.SecretList {
			v, err := sm.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: secret.ARN})
			if err != nil {
				t.Fatal(err)
			}
			out[*secret.Name] = *v.SecretString
		}
	}
	return out
}

// restorer runs the command against the bucket.
type restorer struct {
	t                *testing.T
	b                *bucket
	identity, binary string
}

func (r *restorer) command(dir string, more ...string) *exec.Cmd {
	args := append([]string{"restore", "--data", dir, "--identity", r.identity, "--from", "s3://backups/some/where", "--s3-endpoint", r.b.URL}, more...)
	cmd := exec.Command(r.binary, args...)
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=secret", "STRONGROOM_DATA=")
	return cmd
}

// TestKilled: a server is killed again and again under load while its bucket fails
// again and again; any moment is restored as it was, also after the restore itself was
// killed.
func TestKilled(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir, err := os.MkdirTemp("", "sr") // Short: a socket is to fit.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	identity := filepath.Join(dir, "identity")
	credentialsFile := filepath.Join(dir, "credentials")
	err = errors.Join(os.WriteFile(identity, []byte(id.String()+"\n"), 0o600),
		os.WriteFile(credentialsFile, []byte("[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = secret\n"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	b := newBucket(t)
	d := program.At(t, filepath.Join(dir, "data"))
	d.Init("", fmt.Sprintf("backup:\n  ship:\n    to: s3://backups/some/where\n    endpoint: %s\n    credentials_file: %s\n    recipients: [%s]\n    interval: 200ms\n",
		b.URL, credentialsFile, id.Recipient()))
	var m model
	var moments []time.Time
	for round := range *rounds {
		s, err := d.Start()
		if err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			until(t, s, time.Now()) // There is a first copy of the database.
		}
		ctx, stop := context.WithCancel(t.Context())
		var writers sync.WaitGroup
		for w := range 4 {
			writers.Go(func() { m.load(ctx, s, round, w) })
		}
		time.Sleep(time.Duration(300+random.IntN(700)) * time.Millisecond)
		b.fail([]string{"", "full", "down"}[round%3])
		time.Sleep(time.Duration(random.IntN(700)) * time.Millisecond)
		if random.IntN(2) == 0 {
			b.fail("")
			time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
		}
		s.Kill()
		stop()
		writers.Wait()
		moments = append(moments, time.Now())
		b.fail("")
	}
	s, err := d.Start()
	if err != nil {
		t.Fatal(err)
	}
	until(t, s, time.Now())
	if gaps := s.Metric("strongroom_ship_gaps_total"); gaps != "0" {
		t.Errorf("%s gaps", gaps)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	acknowledged := 0
	for _, w := range m.writes {
		if !w.ended.IsZero() {
			acknowledged++
		}
	}
	for range 2 {
		w := m.writes[random.IntN(len(m.writes))]
		moments = append(moments, w.begun.Add(time.Duration(random.IntN(int(10*time.Millisecond)))))
	}
	r := &restorer{t: t, b: b, identity: identity, binary: program.Binary(t)}
	checked, kills := 0, 0
	for i, at := range moments {
		into := filepath.Join(dir, fmt.Sprint("restored-", i))
		more := []string{"--at", at.UTC().Format(time.RFC3339Nano), "--as-of", at.UTC().Truncate(time.Second).Format(time.RFC3339)}
		if i%2 == 0 { // Killed on the way, wherever it is then.
			for range 2 {
				cmd := r.command(into, more...)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Duration(20+random.IntN(250)) * time.Millisecond)
				_ = cmd.Process.Kill()
				if cmd.Wait() != nil {
					kills++
				}
			}
		}
		if !server.Initialised(into) {
			if out, err := r.command(into, more...).CombinedOutput(); err != nil {
				t.Fatalf("restore: %v\n%s", err, out)
			}
		}
		got := values(t, into, d.Admin)
		for _, w := range m.writes {
			value, there := got[w.name]
			switch {
			case !w.ended.IsZero() && !w.ended.After(at) && !there:
				t.Errorf("%s was acknowledged before %v and is not there", w.name, at)
			case w.begun.After(at) && there:
				t.Errorf("%s was begun after %v and is there", w.name, at)
			case there && value != "value-of-"+w.name:
				t.Errorf("%s has the value %q", w.name, value)
			}
			checked++
		}
		if out, err := exec.Command(r.binary, "check", "--data", into).CombinedOutput(); err != nil {
			t.Errorf("check: %v\n%s", err, out)
		}
	}
	t.Logf("%d rounds, %d writes acknowledged, %d moments restored, %d restores killed, %d times compared, 0 lost", *rounds, acknowledged, len(moments), kills, checked)
	r.refuses(random)
}

// until waits until the bucket can restore the moment.
func until(t *testing.T, s *program.Server, at time.Time) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var seconds float64
		if _, err := fmt.Sscan(s.Metric("strongroom_ship_until_timestamp_seconds"), &seconds); err == nil && seconds > float64(at.UnixMicro())/1e6 {
			return
		}
	}
	t.Fatalf("not shipped\n%s", s.Log)
}

// refuses alters what is in the bucket; nothing may be written then.
func (r *restorer) refuses(random *rand.Rand) {
	t := r.t
	t.Helper()
	all := r.b.objects(t)
	var names []string
	for name, body := range all {
		names = append(names, name)
		for _, text := range []string{"canary", "value-of", "SQLite format 3", servertest.Account, "eventName"} {
			if bytes.Contains(body, []byte(text)) {
				t.Errorf("%q is in %s in the clear", text, name)
			}
		}
	}
	into := filepath.Join(t.TempDir(), "refused")
	refused := func(what string) {
		t.Helper()
		out, err := r.command(into).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "altered or incomplete") {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
		if _, err := os.Stat(into); err == nil {
			t.Errorf("%s: something was written", what)
		}
	}
	last := "" // The newest base: what the latest moment begins with.
	for _, name := range names {
		if strings.Contains(name, "/base-") && name > last {
			last = name
		}
	}
	stem, _, _ := strings.Cut(filepath.Base(last), ".")
	first := filepath.Dir(last) + "/log-" + strings.TrimPrefix(stem, "base-")
	tried := 0
	for i, name := range names {
		isLog := strings.Contains(name, "/log-")
		if !isLog && !strings.Contains(name, filepath.Base(stem)) || isLog && name < first || random.IntN(len(names)) > 4 && tried > 0 {
			continue
		}
		body := all[name]
		bad := bytes.Clone(body)
		bad[random.IntN(len(bad))] ^= 1 << random.IntN(8)
		r.b.put(t, name, bad)
		refused("a bit of " + name)
		r.b.put(t, name, all[names[(i+1)%len(names)]])
		refused("another object as " + name)
		if isLog && name != lastOf(names, "/log-") {
			if _, err := r.b.backend.DeleteObject("backups", name); err != nil {
				t.Fatal(err)
			}
			refused(name + " gone")
		}
		r.b.put(t, name, body)
		tried++
	}
	if tried == 0 {
		t.Error("nothing was altered")
	}
	if out, err := r.command(into).CombinedOutput(); err != nil {
		t.Errorf("the control: %v\n%s", err, out)
	}
}

func lastOf(names []string, kind string) string {
	last := ""
	for _, name := range names {
		if strings.Contains(name, kind) && name > last {
			last = name
		}
	}
	return last
}
