package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/strongroom/strongroom/internal/ca"
	"github.com/strongroom/strongroom/internal/servertest"
)

// workplace is a server with a role, and an environment in which the SDK finds
// nothing but what a test puts there.
type workplace struct {
	*testing.T
	server *servertest.Server
	issuer *servertest.Issuer
	dir    string
	role   string
	pods   string // a role for tokens of the issuer
}

func newWorkplace(t *testing.T) *workplace {
	t.Helper()
	issuer := servertest.NewIssuer(t)
	w := &workplace{T: t, server: servertest.Start(t, issuer.Trusted()), issuer: issuer, dir: t.TempDir()}
	bob := w.server.User(t, "bob", servertest.Allow("*", "sts:AssumeRole"))
	w.role = w.server.Role(t, w.server.Admin, "app", servertest.Trust(servertest.Account, "sts:AssumeRole"), "")
	made, err := w.server.IAM().CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{Url: &issuer.URL, ClientIDList: []string{"sts.amazonaws.com"}})
	if err != nil {
		t.Fatal(err)
	}
	w.pods = w.server.Role(t, w.server.Admin, "pods", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"`+*made.OpenIDConnectProviderArn+
		`"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"`+issuer.Host+`:sub":"system:serviceaccount:shop:cart"}}}]}`, "")
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "AWS_") || strings.HasPrefix(name, "STRONGROOM_") && name != "STRONGROOM_POSTGRES" {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
	for name, value := range map[string]string{
		"HOME": w.dir, "XDG_CACHE_HOME": filepath.Join(w.dir, "cache"), "AWS_CA_BUNDLE": filepath.Join(w.server.Dir, ca.CertificateFile),
		"AWS_CONFIG_FILE": filepath.Join(w.dir, "config"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(w.dir, "credentials"),
		"AWS_ENDPOINT_URL": w.server.URL, "AWS_REGION": servertest.Region,
	} {
		t.Setenv(name, value)
	}
	w.write("credentials", fmt.Sprintf("[base]\naws_access_key_id = %s\naws_secret_access_key = %s\n", bob.AccessKeyID, bob.SecretAccessKey))
	return w
}

func (w *workplace) write(name, text string) string {
	w.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
	return path
}

// process runs credential-process and decodes what it prints.
func (w *workplace) process(args ...string) (out processOutput, stderr string, err error) {
	w.Helper()
	cmd := exec.CommandContext(w.Context(), "strongroom", append([]string{"credential-process"}, args...)...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	if err = cmd.Run(); err != nil {
		if o.Len() > 0 {
			w.Errorf("failed, and printed %q", o.String())
		}
		return out, e.String(), err
	}
	return out, e.String(), json.Unmarshal(o.Bytes(), &out)
}

// who asks the server through the SDK's own chain.
func (w *workplace) who(profile string) (string, error) {
	var options []func(*awsconfig.LoadOptions) error
	if profile != "" {
		options = append(options, awsconfig.WithSharedConfigProfile(profile))
	}
	cfg, err := awsconfig.LoadDefaultConfig(w.Context(), options...)
	if err != nil {
		return "", err
	}
	out, err := sts.NewFromConfig(cfg).GetCallerIdentity(w.Context(), nil)
	if err != nil {
		return "", err
	}
	return *out.Arn, nil
}

const assumed = "arn:aws:sts::" + servertest.Account + ":assumed-role/"

func TestCredentialProcess(t *testing.T) {
	w := newWorkplace(t)
	w.write("config", "[profile app]\ncredential_process = strongroom credential-process --profile base --role-arn "+w.role+" --session-name one\n[profile base]\n")
	for range 2 {
		if got, err := w.who("app"); err != nil || got != assumed+"app/one" {
			t.Fatalf("%s, %v", got, err)
		}
	}
	take := []string{"--profile", "base", "--role-arn", w.role}
	first, stderr, err := w.process(take...)
	if err != nil || first.Version != 1 || first.AccountID != servertest.Account || stderr != "" || time.Until(first.Expiration) < 59*time.Minute {
		t.Fatalf("%+v, %q, %v", first.Expiration, stderr, err)
	}
	again := func() processOutput {
		t.Helper()
		out, _, err := w.process(take...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if again() != first {
		t.Error("not cached")
	}
	if out, _, err := w.process(append(take, "--no-cache")...); err != nil || out.AccessKeyID == first.AccessKeyID {
		t.Errorf("cached all the same: %v", err)
	}
	if out, _, err := w.process(append(take, "--session-name", "other")...); err != nil || out.AccessKeyID == first.AccessKeyID {
		t.Errorf("another session got the cached one: %v", err)
	}

	// What somebody else could have read or written is not used.
	dir := filepath.Join(w.dir, "cache", "strongroom", "credentials")
	file := w.cached(dir, first)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	for name, spoil := range map[string]func() error{
		"file open to all":      func() error { return os.Chmod(file, 0o644) },
		"directory open to all": func() error { return os.Chmod(dir, 0o755) },
		"link": func() error {
			if err := os.Rename(file, file+".moved"); err != nil {
				return err
			}
			return os.Symlink(file+".moved", file)
		},
		"not JSON": func() error { return os.WriteFile(file, []byte("x"), 0o600) },
		"ends soon": func() error {
			soon := first
			soon.Expiration = time.Now().Add(refreshBefore - time.Second)
			return w.put(file, soon)
		},
	} {
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := w.put(file, first); err != nil {
			t.Fatal(err)
		}
		if again() != first {
			t.Fatalf("%s: not cached before", name)
		}
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if again() == first {
			t.Errorf("%s: used", name)
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	// What has ended is swept.
	gone := first
	gone.Expiration = time.Now().Add(-time.Minute)
	old := filepath.Join(dir, "old.json")
	if err := w.put(old, gone); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.process(append(take, "--session-name", "sweeper")...); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("ended credentials stay in the cache")
	}

	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no role":         {[]string{"--profile", "base"}, "no role is named"},
		"missing role":    {[]string{"--profile", "base", "--role-arn", w.role + "2"}, "is not authorized to perform: sts:AssumeRole"},
		"missing profile": {[]string{"--profile", "none", "--role-arn", w.role}, "none"},
		"no credentials":  {[]string{"--role-arn", w.role}, "no credentials are found"},
		"no token file":   {[]string{"--role-arn", w.pods, "--web-identity-token-file", filepath.Join(w.dir, "none")}, "no such file"},
		"empty token":     {[]string{"--role-arn", w.pods, "--web-identity-token-file", w.write("empty", "\n")}, "is empty"},
		"bad token":       {[]string{"--role-arn", w.pods, "--web-identity-token-file", w.write("bad", "no.to.ken")}, "InvalidIdentityToken"},
	} {
		if _, stderr, err := w.process(c.args...); err == nil || !strings.Contains(stderr, c.want) || strings.Contains(stderr, "no.to.ken") {
			t.Errorf("%s: %v, %q", name, err, stderr)
		}
	}
	// A profile that waits for itself ends, whichever way it names itself.
	w.write("config", "[profile loop]\ncredential_process = strongroom credential-process --role-arn "+w.role+"\n[profile base]\n")
	for _, args := range [][]string{{"--profile", "loop", "--role-arn", w.role}, {"--role-arn", w.role}} {
		t.Setenv("AWS_PROFILE", "loop")
		if _, stderr, err := w.process(args...); err == nil || !strings.Contains(stderr, "takes its credentials from this command") {
			t.Errorf("%v: %v, %q", args, err, stderr)
		}
	}
	os.Unsetenv("AWS_PROFILE")
	os.Unsetenv("AWS_ENDPOINT_URL")
	if _, stderr, err := w.process(take...); err == nil || !strings.Contains(stderr, "would go to Amazon") {
		t.Errorf("without an endpoint: %v, %q", err, stderr)
	}
}

// cached finds the file that holds credentials.
func (w *workplace) cached(dir string, out processOutput) string {
	w.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		w.Fatal(err)
	}
	found := ""
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			w.Fatal(err)
		}
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
			w.Errorf("%s: %v, %v", f, info.Mode(), err)
		}
		if bytes.Contains(b, []byte(out.AccessKeyID)) {
			found = f
		}
	}
	if found == "" {
		w.Fatalf("not in the cache: %s", out.AccessKeyID)
	}
	return found
}

func (w *workplace) put(file string, out processOutput) error {
	b, err := json.Marshal(out)
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o600)
}

// With an ID token no other credentials are needed, and none that are there are
// used; a token that is replaced is another holder.
func TestCredentialProcessWithToken(t *testing.T) {
	w := newWorkplace(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAAAAAAAAAAAAAAAAA")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "of nobody")
	token := w.write("token", w.issuer.Token(t, time.Now(), nil)+"\n")
	t.Setenv(envRoleARN, w.pods)
	t.Setenv(envTokenFile, token)
	t.Setenv(envSessionName, "cart-0")
	first, stderr, err := w.process()
	if err != nil || stderr != "" {
		t.Fatalf("%q, %v", stderr, err)
	}
	if again, _, err := w.process(); err != nil || again != first {
		t.Errorf("not cached: %v", err)
	}
	w.write("token", w.issuer.Token(t, time.Now(), map[string]any{"jti": "next"}))
	if again, _, err := w.process(); err != nil || again == first {
		t.Errorf("cached for another token: %v", err)
	}
	w.write("config", "[profile pod]\ncredential_process = strongroom credential-process\n")
	os.Unsetenv("AWS_ACCESS_KEY_ID")
	if got, err := w.who("pod"); err != nil || got != assumed+"pods/cart-0" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestContainerCredentials(t *testing.T) {
	w := newWorkplace(t)
	guard := filepath.Join(w.dir, "guard")
	cmd := exec.CommandContext(t.Context(), "strongroom", "container-credentials", "--listen", "127.0.0.1:0", "--token-file", guard,
		"--profile", "base", "--role-arn", w.role, "--session-name", "box")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	w.write("config", "[profile base]\n")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	lines := bufio.NewScanner(out)
	for len(settings) < 2 && lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), "=")
		settings[name] = value
		t.Setenv(name, value)
	}
	url := settings["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
	if url == "" || settings["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] != guard {
		t.Fatalf("%v", settings)
	}
	if got, err := w.who(""); err != nil || got != assumed+"app/box" {
		t.Errorf("%s, %v", got, err)
	}

	secret, err := os.ReadFile(guard)
	if info, serr := os.Stat(guard); err != nil || serr != nil || info.Mode().Perm() != 0o600 || len(secret) < 40 {
		t.Errorf("%v, %v, %v", info, err, serr)
	}
	ask := func(token string, change func(*http.Request)) (int, map[string]string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", token)
		if change != nil {
			change(r)
		}
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		var body map[string]string
		if err := json.NewDecoder(a.Body).Decode(&body); err != nil {
			t.Fatal(err)
		}
		if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%v", a.Header)
		}
		return a.StatusCode, body
	}
	good := string(secret)
	status, first := ask(good, nil)
	if status != http.StatusOK || first["AccountId"] != servertest.Account || !strings.HasPrefix(first["AccessKeyId"], "ASIA") || first["Token"] == "" {
		t.Errorf("%d, account %s", status, first["AccountId"])
	}
	if _, err := time.Parse(time.RFC3339, first["Expiration"]); err != nil {
		t.Error(err)
	}
	if _, again := ask(good, nil); again["AccessKeyId"] != first["AccessKeyId"] {
		t.Error("credentials were not kept")
	}
	for name, c := range map[string]struct {
		token  string
		change func(*http.Request)
		status int
	}{
		"no token":      {"", nil, 401},
		"another token": {good + "x", nil, 401},
		"part of it":    {good[:20], nil, 401},
		"forwarded":     {good, func(r *http.Request) { r.Header.Set("X-Forwarded-For", "127.0.0.1") }, 403},
		"via":           {good, func(r *http.Request) { r.Header.Set("Via", "1.1 proxy") }, 403},
		"empty forward": {good, func(r *http.Request) { r.Header["Forwarded"] = []string{""} }, 403},
		"another host":  {good, func(r *http.Request) { r.Host = "attacker.example" }, 403},
		"post":          {good, func(r *http.Request) { r.Method = http.MethodPost }, 404},
		"another path":  {good, func(r *http.Request) { r.URL.Path = "/x" }, 404},
	} {
		if status, body := ask(c.token, c.change); status != c.status || body["code"] == "" || body["SecretAccessKey"] != "" {
			t.Errorf("%s: %d %v", name, status, body["code"])
		}
	}
	// The file is read each time.
	w.write("guard", "a new token of 28 characters\n")
	if status, _ := ask(good, nil); status != 401 {
		t.Errorf("the old token: %d", status)
	}
	if status, _ := ask("a new token of 28 characters", nil); status != 200 {
		t.Errorf("the new token: %d", status)
	}
	if err := os.Chmod(guard, 0o604); err != nil {
		t.Fatal(err)
	}
	if status, _ := ask("a new token of 28 characters", nil); status != 500 {
		t.Errorf("with a token file open to all: %d", status)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("did not end in peace: %v", err)
	}
}

func TestContainerCredentialsRefuse(t *testing.T) {
	w := newWorkplace(t)
	w.write("config", "[profile base]\n")
	open := w.write("open", "a token of many characters")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args   []string
		status int
		want   string
	}{
		"all interfaces":   {[]string{"--listen", "0.0.0.0:0", "--token-file", "t"}, 2, "is not a loopback address"},
		"metadata service": {[]string{"--listen", "169.254.169.254:80", "--token-file", "t"}, 2, "is not a loopback address"},
		"a name":           {[]string{"--listen", "localhost:0", "--token-file", "t"}, 2, "is not a loopback address"},
		"no token file":    {[]string{"--listen", "127.0.0.1:0"}, 2, "no token file"},
		"open token file":  {[]string{"--listen", "127.0.0.1:0", "--token-file", open}, 1, "open to every user"},
		"short token":      {[]string{"--listen", "127.0.0.1:0", "--token-file", w.write("short", "short")}, 1, "must hold 16"},
		"no such role":     {[]string{"--listen", "127.0.0.1:0", "--token-file", w.write("fine", "a token of many characters"), "--role-arn", w.role + "2"}, 1, "not authorized"},
	} {
		args := append([]string{"container-credentials", "--profile", "base", "--role-arn", w.role}, c.args...)
		var stderr bytes.Buffer
		cmd := exec.CommandContext(t.Context(), "strongroom", args...)
		cmd.Stderr, cmd.Dir = &stderr, w.dir
		err := cmd.Run()
		if cmd.ProcessState.ExitCode() != c.status || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%s: %v, %q", name, err, stderr.String())
		}
	}
}

// A process that serves for long takes its role again and again.
func TestRoleIsTakenManyTimes(t *testing.T) {
	w := newWorkplace(t)
	w.write("config", "[profile base]\n")
	t.Setenv(envDepth, "")
	all := &workload{access: access{env: &Env{Getenv: os.Getenv}, profile: "base"}, roleARN: w.role, duration: time.Hour, now: time.Now}
	seen := map[string]bool{}
	for range 3 * maxDepth {
		h := &containerHandler{w: all}
		got, err := h.current(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		seen[got.AccessKeyID] = true
	}
	if len(seen) != 3*maxDepth {
		t.Errorf("%d credentials", len(seen))
	}
}

// While new credentials cannot be had, those at hand serve until they end, without
// asking each time.
func TestContainerCredentialsOutliveAnOutage(t *testing.T) {
	now := time.Now()
	var stderr bytes.Buffer
	w := &workload{access: access{env: &Env{Stderr: &stderr}}, now: func() time.Time { return now }} // no role: taking it fails
	h := &containerHandler{w: w, held: temporary{AccessKeyID: "ASIA1", Expires: now.Add(5 * time.Minute)}}
	for range 3 {
		if got, err := h.current(t.Context()); err != nil || got.AccessKeyID != "ASIA1" {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	if n := strings.Count(stderr.String(), "no role is named"); n != 1 {
		t.Errorf("tried %d times: %s", n, stderr.String())
	}
	now = now.Add(5 * time.Minute)
	if _, err := h.current(t.Context()); err == nil {
		t.Error("credentials that have ended were served")
	}
}
