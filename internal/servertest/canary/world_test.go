package canary_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/iam"
	"github.com/strongroom/strongroom/internal/kms"
	"github.com/strongroom/strongroom/internal/pgtest"
	"github.com/strongroom/strongroom/internal/secretsmanager"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
	"github.com/strongroom/strongroom/internal/servertest/canary"
	"github.com/strongroom/strongroom/internal/sts"
	"github.com/strongroom/strongroom/internal/wire"
)

// service is a service under test and the inputs of its operations.
type service struct {
	*wire.Service
	operations reflect.Type
}

var (
	secretsService = service{&secretsmanager.API, reflect.TypeFor[secretsmanager.Operations]()}
	kmsService     = service{&kms.API, reflect.TypeFor[kms.Operations]()}
	iamService     = service{&iam.API, reflect.TypeFor[iam.Operations]()}
	stsService     = service{&sts.API, reflect.TypeFor[sts.Operations]()}
	services       = []service{secretsService, kmsService, iamService, stsService}
)

// input is the type of an operation's input.
func (s service) input(t *testing.T, operation string) reflect.Type {
	t.Helper()
	m, ok := s.operations.MethodByName(operation)
	if !ok {
		t.Fatalf("%s has no operation %s", s.Name, operation)
	}
	return m.Type.In(1).Elem()
}

// built lists the operations that the server has.
func (s service) built() []string {
	var out []string
	for _, o := range s.Operations {
		if o.Built {
			out = append(out, o.Name)
		}
	}
	return out
}

// The kinds of values, which begin their labels. An answer may hold those that
// revealed names for it; everything else is a leak.
const (
	kindSecret   = "secret value"
	kindPlain    = "KMS plaintext"
	kindDataKey  = "data key"
	kindPassword = "password"
	kindKey      = "access-key secret"
	kindToken    = "session token"
	kindRefused  = "refused value"
	kindInternal = "internal key"
	kindRoot     = "root key"
	kindAdmin    = "admin's access-key secret"
	kindSeed     = "MFA seed"
	kindIdentity = "ID token"
	kindLogin    = "user's password"
)

// revealed says which answers are meant to hold values, and of which kinds.
var revealed = map[string][]string{
	"secretsmanager:GetSecretValue":      {kindSecret},
	"secretsmanager:BatchGetSecretValue": {kindSecret},
	"secretsmanager:GetRandomPassword":   {kindPassword},
	"kms:GenerateDataKey":                {kindDataKey},
	"kms:Decrypt":                        {kindPlain, kindDataKey},
	"iam:CreateAccessKey":                {kindKey},
	"iam:CreateVirtualMFADevice":         {kindSeed},
	"sts:AssumeRole":                     {kindKey, kindToken},
	"sts:AssumeRoleWithWebIdentity":      {kindKey, kindToken},
	"sts:GetSessionToken":                {kindKey, kindToken},
	"sts:GetFederationToken":             {kindKey, kindToken},
	"operator:accounts":                  {kindKey},
	"operator:root-credentials":          {kindKey},
}

// value is something that must not be found.
type value struct {
	label string
	bytes []byte
}

// answer is all that a client received.
type answer struct {
	operation string
	success   bool
	bytes     []byte
}

// world is a server, what was sent to it and what it said.
type world struct {
	*testing.T
	server *servertest.Server
	// dir is the temporary directory that server and test see.
	dir        string
	postgres   *pgtest.Watched // nil on SQLite
	operations string          // address of the metrics
	nobody     server.Credentials
	values     []value
	answers    []answer
	succeeded  map[string]bool
	refused    map[string]bool
	process    *servertest.Buffer // what goes past the server's logger
	ahead      atomic.Int64       // nanoseconds that the clock is ahead
}

// now is the clock of server and clients.
func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

func newWorld(t *testing.T, postgres bool) *world {
	w := &world{T: t, succeeded: make(map[string]bool), refused: make(map[string]bool), process: &servertest.Buffer{}}
	if postgres {
		// Before TMPDIR is ours: the database server outlives the test.
		w.postgres = pgtest.Watch(t)
	}
	dir, err := os.MkdirTemp("", "canary")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w.dir = dir
	t.Setenv("TMPDIR", dir)
	w.captureProcess()
	w.operations = freeAddress(t)
	w.server = servertest.Start(t, servertest.Now(w.now), servertest.Config(func(c *config.Config) {
		c.Operations = w.operations
		c.Limits.Body = 256 << 10 // the request that is too large need not be larger
		if postgres {
			c.Database = w.postgres.Address
		}
	}))
	w.add(kindAdmin, []byte(w.server.Admin.SecretAccessKey))
	w.nobody = w.server.User(t, "nobody", "")
	w.add(kindKey+" of nobody", []byte(w.nobody.SecretAccessKey))
	return w
}

// captureProcess catches what the libraries' own loggers would print.
func (w *world) captureProcess() {
	before, output := slog.Default(), log.Writer()
	slog.SetDefault(slog.New(slog.NewTextHandler(w.process, &slog.HandlerOptions{Level: slog.LevelDebug})))
	log.SetOutput(w.process)
	w.Cleanup(func() {
		slog.SetDefault(before)
		log.SetOutput(output)
	})
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// add notes a value that must not be found.
func (w *world) add(label string, v []byte) {
	w.values = append(w.values, value{label, bytes.Clone(v)})
}

// text makes a value that is text, with the characters that encodings change
// strewn in, so that no two values have a piece in common.
func (w *world) text(label string) string {
	random := rand.Text() + rand.Text()
	var v []byte
	for i, special := range []byte(`"&<>'\/+%=`) {
		v = append(append(v, random[5*i:5*i+5]...), special)
	}
	w.add(label, v)
	return string(v)
}

// bytes makes a value of any bytes.
func (w *world) bytes(label string) []byte {
	v := make([]byte, 48)
	rand.Read(v)
	w.add(label, v)
	return v
}

// long makes text of n bytes, each part of which shows the same value.
func (w *world) long(label string, n int) string {
	unit := rand.Text()[:24]
	w.add(label, []byte(unit+unit))
	return strings.Repeat(unit, n/len(unit)+1)[:n]
}

// request is a request before it is signed.
type request struct {
	service   service
	operation string
	body      []byte
	as        server.Credentials
	region    string
	// before and after change the request around its signing.
	before, after func(*http.Request)
	// label names the answer; "" = service and operation.
	label string
}

func (w *world) request(s service, operation string, body []byte) *request {
	return &request{service: s, operation: operation, body: body, as: w.server.Admin, region: servertest.Region}
}

// send sends r and keeps what came back.
func (w *world) send(r *request) (status int, body []byte) {
	w.Helper()
	q, err := http.NewRequestWithContext(w.Context(), http.MethodPost, w.server.URL+"/", bytes.NewReader(r.body))
	if err != nil {
		w.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if r.service.Protocol == wire.JSON11 {
		q.Header.Set("Content-Type", "application/x-amz-json-1.1")
		q.Header.Set("X-Amz-Target", r.service.TargetPrefix+"."+r.operation)
	}
	if r.before != nil {
		r.before(q)
	}
	sum := sha256.Sum256(r.body)
	creds := aws.Credentials{AccessKeyID: r.as.AccessKeyID, SecretAccessKey: r.as.SecretAccessKey}
	if err := v4.NewSigner().SignHTTP(w.Context(), creds, q, hex.EncodeToString(sum[:]), r.service.Name, r.region, w.now()); err != nil {
		w.Fatal(err)
	}
	if r.after != nil {
		r.after(q)
	}
	name := r.service.Name + ":" + r.operation
	if r.label != "" {
		name = r.label
	}
	return w.exchange(w.server.HTTP, q, name)
}

// exchange sends q and keeps the answer under a name.
func (w *world) exchange(c *http.Client, q *http.Request, name string) (status int, body []byte) {
	w.Helper()
	a, err := c.Do(q)
	if err != nil {
		w.Fatalf("%s: %v", name, err)
	}
	defer a.Body.Close()
	body, err = io.ReadAll(a.Body)
	if err != nil {
		w.Fatalf("%s: %v", name, err)
	}
	all := []byte(fmt.Sprintf("%s %v\n", a.Status, a.Header))
	w.answers = append(w.answers, answer{name, a.StatusCode < 300, append(all, body...)})
	if a.StatusCode >= 500 {
		w.Errorf("%s: status %d: %s", name, a.StatusCode, body)
	}
	return a.StatusCode, body
}

type m = map[string]any

// encode spells members in the service's protocol.
func (w *world) encode(s service, operation string, members m) []byte {
	w.Helper()
	if s.Protocol == wire.Query {
		form := url.Values{"Action": {operation}, "Version": {s.APIVersion}}
		for k, v := range members {
			form.Set(k, fmt.Sprint(v))
		}
		return []byte(form.Encode())
	}
	members = maps.Clone(members)
	if members == nil {
		members = m{}
	}
	for _, o := range s.Operations {
		if o.Name == operation && o.IdempotencyToken != "" && members[o.IdempotencyToken] == nil {
			members[o.IdempotencyToken] = rand.Text() + "-" + rand.Text() // as SDKs do
		}
	}
	b, err := json.Marshal(members)
	if err != nil {
		w.Fatal(err)
	}
	return b
}

// ok performs an operation. Before, it is asked for by somebody who may not, and
// with a wrong signature. The answer of a JSON service is decoded, that of a Query
// service is under "".
func (w *world) ok(s service, operation string, members m) m {
	w.Helper()
	return w.okIn(servertest.Region, s, operation, members)
}

func (w *world) okIn(region string, s service, operation string, members m) m {
	w.Helper()
	body := w.encode(s, operation, members)
	w.mustRefuse(&request{service: s, operation: operation, body: body, region: region, as: w.nobody})
	forged := w.server.Admin
	forged.SecretAccessKey = "not it"
	w.mustRefuse(&request{service: s, operation: operation, body: body, region: region, as: forged})

	r := w.request(s, operation, body)
	r.region = region
	status, got := w.send(r)
	if status != http.StatusOK {
		w.Fatalf("%s:%s: status %d: %s", s.Name, operation, status, got)
	}
	w.succeeded[s.Name+":"+operation] = true
	if s.Protocol == wire.Query {
		return m{"": string(got)}
	}
	out := m{}
	if len(got) > 0 {
		if err := json.Unmarshal(got, &out); err != nil {
			w.Fatal(err)
		}
	}
	return out
}

func (w *world) mustRefuse(r *request) {
	w.Helper()
	if r.operation == "AssumeRoleWithWebIdentity" {
		return // The token says who calls, whatever else is sent.
	}
	for _, o := range r.service.Operations {
		if o.Name == r.operation && o.NoAuthorization && r.as == w.nobody {
			return // Open to every caller.
		}
	}
	if status, got := w.send(r); status < 400 {
		w.Fatalf("%s:%s as %s: status %d: %s", r.service.Name, r.operation, r.as.User, status, got)
	}
	w.refused[r.service.Name+":"+r.operation] = true
}

// no expects the operation to be refused with a code.
func (w *world) no(code string, s service, operation string, members m) {
	w.Helper()
	status, got := w.send(w.request(s, operation, w.encode(s, operation, members)))
	if status < 400 || !strings.Contains(string(got), code) {
		w.Fatalf("%s:%s: want %s, got status %d: %s", s.Name, operation, code, status, got)
	}
	w.refused[s.Name+":"+operation] = true
}

// element returns the text of the first such element of an XML answer.
func (w *world) element(answer m, name string) string {
	w.Helper()
	_, rest, ok := strings.Cut(answer[""].(string), "<"+name+">")
	text, _, closed := strings.Cut(rest, "</"+name+">")
	if !ok || !closed {
		w.Fatalf("no %s in %s", name, answer[""])
	}
	return text
}

// metrics fetches what the loopback listener serves.
func (w *world) metrics() {
	w.Helper()
	for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
		q, err := http.NewRequestWithContext(w.Context(), http.MethodGet, "http://"+w.operations+path, nil)
		if err != nil {
			w.Fatal(err)
		}
		if status, _ := w.exchange(http.DefaultClient, q, path); status != http.StatusOK {
			w.Errorf("%s: status %d", path, status)
		}
	}
}

// operator asks the operator's socket for all it has.
func (w *world) operator() {
	w.Helper()
	c := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(w.server.Dir, server.SocketFile))
	}}}
	defer c.CloseIdleConnections()
	ask := func(method, path, body, name string) (int, []byte) {
		q, err := http.NewRequestWithContext(w.Context(), method, "http://operator/v1/"+path, strings.NewReader(body))
		if err != nil {
			w.Fatal(err)
		}
		return w.exchange(c, q, name)
	}
	ask("GET", "status", "", "operator:status")
	ask("GET", "accounts", "", "operator:list-accounts")
	for _, path := range []string{"accounts", "root-credentials"} {
		v := w.text(kindRefused + ": operator " + path)
		for _, body := range []string{`{"secretAccessKey":` + quote(v) + `}`, `{"account":[` + quote(v) + `]}`, `{"account":` + quote(v) + `}`, quote(v)} {
			if status, got := ask("POST", path, body, "operator:refused"); status < 400 {
				w.Errorf("operator %s: status %d: %s", path, status, got)
			}
		}
	}
	for path, body := range map[string]string{
		"accounts":         `{"account":"222233334444","name":"second"}`,
		"root-credentials": `{"account":"` + servertest.Account + `"}`,
	} {
		status, got := ask("POST", path, body, "operator:"+path)
		var creds server.Credentials
		if err := json.Unmarshal(got, &creds); err != nil || status != http.StatusOK || creds.SecretAccessKey == "" {
			w.Fatalf("operator %s: status %d, %v", path, status, err)
		}
		w.add(kindKey+" of "+creds.User+" "+creds.Account, []byte(creds.SecretAccessKey))
		r := w.request(stsService, "GetCallerIdentity", w.encode(stsService, "GetCallerIdentity", nil))
		r.as = creds
		if status, got := w.send(r); status != http.StatusOK {
			w.Fatalf("%s: status %d: %s", creds.User, status, got)
		}
	}
}

// quote spells s as JSON without more escapes than needed.
func quote(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // Text is always encoded.
	return strings.TrimSuffix(b.String(), "\n")
}

// needles makes the set to search for.
func (w *world) needles() *canary.Needles {
	w.Helper()
	n := canary.New()
	for _, v := range w.values {
		if err := n.Add(v.label, v.bytes); err != nil {
			w.Fatal(err)
		}
	}
	return n
}
