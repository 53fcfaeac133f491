package randomops

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

// target is a server under test.
type target struct {
	name   string
	server *servertest.Server
	clock  *clock
}

// clock is the time of all servers and of the model: whole milliseconds, so that
// what is stored, shown and expected is the same number.
type clock struct {
	mu sync.Mutex // the servers' own goroutines read, too; only the test's sets
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = t
}

// targets names the services' request headers.
var targets = map[string]string{"secretsmanager": "secretsmanager", "kms": "TrentService"}

// post sends one signed request straight into the server's handler: what users
// reach over the network, without the cost of TLS.
func (t *target) post(tb testing.TB, creds server.Credentials, service, region, operation string, body []byte) (int, []byte) {
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, "https://strongroom.test/", bytes.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	r.RemoteAddr = "127.0.0.1:1"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	if prefix, ok := targets[service]; ok {
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", prefix+"."+operation)
	}
	hash := sha256.Sum256(body)
	key := aws.Credentials{AccessKeyID: creds.AccessKeyID, SecretAccessKey: creds.SecretAccessKey}
	if err := v4.NewSigner().SignHTTP(tb.Context(), key, r, hex.EncodeToString(hash[:]), service, region, t.clock.t); err != nil {
		tb.Fatal(err)
	}
	w := &response{header: http.Header{}, status: http.StatusOK}
	t.server.Server().Handler().ServeHTTP(w, r)
	return w.status, w.body.Bytes()
}

// response is a http.ResponseWriter that keeps what is written.
type response struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *response) Header() http.Header         { return w.header }
func (w *response) WriteHeader(status int)      { w.status = status }
func (w *response) Write(p []byte) (int, error) { return w.body.Write(p) }

// query makes an IAM call that must succeed and decodes its XML into out.
func (t *target) query(tb testing.TB, creds server.Credentials, out any, parameters ...string) {
	tb.Helper()
	form := url.Values{"Version": {"2010-05-08"}}
	for i := 0; i < len(parameters); i += 2 {
		form.Set(parameters[i], parameters[i+1])
	}
	status, body := t.post(tb, creds, "iam", servertest.Region, "", []byte(form.Encode()))
	if status != http.StatusOK {
		tb.Fatalf("%s: %s: %s", t.name, form.Get("Action"), body)
	}
	if out != nil {
		if err := xml.Unmarshal(body, out); err != nil {
			tb.Fatal(err)
		}
	}
}

// side is one world inside a server: its own two accounts with their users and
// keys. The model's names for what is random (accounts, key ids, ARN suffixes) are
// exchanged for the server's on the way in and back on the way out.
type side struct {
	*target
	creds   []server.Credentials // by principal
	pairs   [][2]string          // model's name, server's name
	out, in *strings.Replacer
	bound   map[string]bool // model's and server's suffixes that have a partner
}

// newSide makes the accounts, users and keys of a world numbered n.
func newSide(tb testing.TB, t *target, n int) *side {
	tb.Helper()
	s := &side{target: t, bound: map[string]bool{}, creds: make([]server.Credentials, len(principals))}
	admins := map[string]server.Credentials{}
	for i, model := range []string{accountA, accountB} {
		id := fmt.Sprintf("%012d", 700_000_000_000+2*n+i)
		admin, err := t.server.Server().CreateAccount(tb.Context(), id, "test")
		if err != nil {
			tb.Fatal(err)
		}
		admins[model] = admin
		s.pairs = append(s.pairs, [2]string{model, id})
	}
	s.rebuild()
	for _, k := range allKeys {
		var made struct{ KeyMetadata struct{ KeyId string } }
		s.must(tb, admins[k.account], "kms", k.region, "CreateKey", object{}, &made)
		s.pairs = append(s.pairs, [2]string{k.id, made.KeyMetadata.KeyId})
		s.rebuild()
		if k.alias != "" {
			s.must(tb, admins[k.account], "kms", k.region, "CreateAlias", object{"AliasName": k.alias, "TargetKeyId": k.id}, nil)
		}
	}
	for i, p := range principals {
		admin := admins[p.account]
		if p.user == "admin" {
			s.creds[i] = admin
			continue
		}
		t.query(tb, admin, nil, "Action", "CreateUser", "UserName", p.user)
		t.query(tb, admin, nil, "Action", "PutUserPolicy", "UserName", p.user, "PolicyName", "rights",
			"PolicyDocument", s.out.Replace(document(p.rights)))
		var key struct {
			ID     string `xml:"CreateAccessKeyResult>AccessKey>AccessKeyId"`
			Secret string `xml:"CreateAccessKeyResult>AccessKey>SecretAccessKey"`
		}
		t.query(tb, admin, &key, "Action", "CreateAccessKey", "UserName", p.user)
		s.creds[i] = server.Credentials{Account: admin.Account, User: p.user, AccessKeyID: key.ID, SecretAccessKey: key.Secret}
	}
	return s
}

func (s *side) must(tb testing.TB, creds server.Credentials, service, region, operation string, in object, out any) {
	tb.Helper()
	status, body := s.post(tb, creds, service, region, operation, []byte(s.out.Replace(encode(in))))
	if status != http.StatusOK {
		tb.Fatalf("%s: %s: %s", s.name, operation, body)
	}
	if out != nil {
		if err := json.Unmarshal(body, out); err != nil {
			tb.Fatal(err)
		}
	}
}

func encode(in object) string {
	b, err := json.Marshal(in)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func (s *side) rebuild() {
	var out, in []string
	for _, p := range s.pairs {
		out, in = append(out, p[0], p[1]), append(in, p[1], p[0])
	}
	s.out, s.in = strings.NewReplacer(out...), strings.NewReplacer(in...)
}

// secretARN ends with the six random characters of a secret.
var secretARN = regexp.MustCompile(`^(arn:aws:secretsmanager:[a-z0-9-]+:\d{12}:secret:.+-)([A-Za-z0-9]{6})$`)

// bind learns that the server's ARN is the one the model knows by its own suffix.
func (s *side) bind(model, seen string) bool {
	m, t := secretARN.FindStringSubmatch(model), secretARN.FindStringSubmatch(seen)
	if m == nil || t == nil || m[1] != t[1] || s.bound[m[2]] || s.bound[t[2]] {
		return false
	}
	s.bound[m[2]], s.bound[t[2]] = true, true
	s.pairs = append(s.pairs, [2]string{"-" + m[2], "-" + t[2]})
	s.rebuild()
	return true
}

// call performs a step; of a walk it returns all pages as one.
func (s *side) call(tb testing.TB, o op) answer {
	if o.name == "jobs" {
		if err := s.server.Server().RunJobsOnce(tb.Context()); err != nil {
			return answer{code: "jobs failed", message: err.Error()}
		}
		return answer{body: object{}}
	}
	in := object{}
	for k, v := range o.in {
		in[k] = v
	}
	var whole object
	for page := 1; ; page++ {
		a := s.once(tb, o, in)
		token, more := a.body["NextToken"]
		if a.code != "" || !o.walk {
			return a
		}
		for k, v := range a.body {
			list, isList := v.([]any)
			if !isList {
				continue
			}
			if limit := o.number("MaxResults"); limit > 0 && len(list) > limit {
				return answer{code: "page too long", message: fmt.Sprint(len(list))}
			}
			if whole != nil {
				before, _ := whole[k].([]any)
				a.body[k] = append(before, list...)
			}
		}
		delete(a.body, "NextToken")
		whole = a.body
		if !more {
			return answer{body: whole}
		}
		if page > 200 {
			return answer{code: "pages without end"}
		}
		in["NextToken"] = token
	}
}

func (s *side) once(tb testing.TB, o op, in object) answer {
	status, body := s.post(tb, s.creds[o.who], o.service, o.region, o.name, []byte(s.out.Replace(encode(in))))
	var a answer
	if len(body) > 0 {
		if err := json.Unmarshal([]byte(s.in.Replace(string(body))), &a.body); err != nil {
			tb.Fatalf("%s: answer %q of %v: %v", s.name, body, o, err)
		}
	}
	if status == http.StatusOK {
		if a.body == nil {
			a.body = object{}
		}
		return a
	}
	a.code, _ = a.body["__type"].(string)
	for _, k := range []string{"Message", "message"} {
		if m, ok := a.body[k].(string); ok {
			a.message = m
		}
	}
	a.body = nil
	return a
}
