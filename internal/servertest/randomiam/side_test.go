package randomiam

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

// clock is the time of all servers and of the model, in whole seconds: IAM shows
// no finer ones.
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

// side is one world inside a server: its own two accounts. The model's names for
// what is random (accounts, unique ids, access keys) are exchanged for the server's
// on the way in and back on the way out.
type side struct {
	name    string
	server  *servertest.Server
	clock   *clock
	admins  []server.Credentials
	keys    map[string]server.Credentials // by the model's access key id
	pairs   []string                      // model's name, server's name, and so on
	out, in *strings.Replacer
	bound   map[string]bool // names on either side that have a partner
}

// newSide makes the accounts of a world numbered n, each with the secret that
// probes read.
func newSide(tb testing.TB, name string, srv *servertest.Server, c *clock, n int) *side {
	tb.Helper()
	s := &side{name: name, server: srv, clock: c, keys: map[string]server.Credentials{}, bound: map[string]bool{}}
	for i, model := range accounts {
		id := fmt.Sprintf("%012d", 700_000_000_000+2*n+i)
		admin, err := srv.Server().CreateAccount(tb.Context(), id, "test")
		if err != nil {
			tb.Fatal(err)
		}
		s.admins = append(s.admins, admin)
		s.pair(model, id)
		if a := s.once(tb, op{service: "secretsmanager", name: "CreateSecret", account: i, in: object{"Name": probe, "SecretString": "open", "ClientRequestToken": uuid}}); a.code != "" {
			tb.Fatal(a)
		}
	}
	return s
}

func (s *side) pair(model, seen string) {
	s.pairs = append(s.pairs, model, seen)
	back := slices.Clone(s.pairs)
	for i := 0; i < len(back); i += 2 {
		back[i], back[i+1] = back[i+1], back[i]
	}
	s.out, s.in = strings.NewReplacer(s.pairs...), strings.NewReplacer(back...)
}

const uuid = "00000000-0000-0000-0000-000000000000"

// uniqueID are the identifiers that are random.
var uniqueID = regexp.MustCompile(`^(AIDA|AROA|AGPA|ANPA)[A-Z0-9]{17}$|^(AKIA|ASIA)[A-Z0-9]{16}$`)

// bind learns that the server's id is the one the model knows by its own.
func (s *side) bind(model, seen string) bool {
	if !uniqueID.MatchString(model) || !uniqueID.MatchString(seen) || model[:4] != seen[:4] || s.bound[model] || s.bound[seen] {
		return false
	}
	s.bound[model], s.bound[seen] = true, true
	s.pair(model, seen)
	return true
}

// call performs a step; of a list it returns all pages as one.
func (s *side) call(tb testing.TB, o op) answer {
	lists := paged[o.name]
	if lists == nil {
		return s.once(tb, o)
	}
	most, limited := o.in["MaxItems"].(int)
	page := o
	page.in = object{}
	for k, v := range o.in {
		page.in[k] = v
	}
	var whole object
	for pages := 0; ; pages++ {
		if pages > 200 {
			return answer{code: "pages without end"}
		}
		a := s.once(tb, page)
		if a.code != "" {
			return a
		}
		more, marker := a.body["IsTruncated"], a.body["Marker"]
		delete(a.body, "IsTruncated")
		delete(a.body, "Marker")
		size := 0
		for _, k := range lists {
			list, _ := a.body[k].([]any)
			size += len(list)
			if whole != nil {
				before, _ := whole[k].([]any)
				a.body[k] = append(before, list...)
			}
		}
		whole = a.body
		switch {
		case limited && size > most, more == "true" && size != most, size == 0 && page.has("Marker"):
			return answer{code: "page of a wrong size", message: fmt.Sprint(size)}
		case more == "false" && marker == nil:
			return answer{body: plain(whole).(object)}
		case more != "true" || marker == nil:
			return answer{code: "end of list", message: fmt.Sprint(more, marker)}
		}
		page.in["Marker"] = marker
	}
}

func (s *side) once(tb testing.TB, o op) answer {
	key := s.admins[o.account]
	if o.as != "" {
		key = s.keys[o.as]
	}
	q := servertest.Raw{Service: o.service, Key: key, At: s.clock.now()}
	if o.service == "secretsmanager" {
		b, err := json.Marshal(o.in)
		if err != nil {
			tb.Fatal(err)
		}
		q.Target, q.Body = "secretsmanager."+o.name, s.out.Replace(string(b))
	} else {
		q.Form, q.Body = o.form(), s.out.Replace(o.form().Encode())
	}
	// Straight into the handler: what users reach over the network, without the cost
	// of TLS.
	r, w := s.server.Request(tb, q), httptest.NewRecorder()
	r.RemoteAddr = "127.0.0.1:1"
	s.server.Server().Handler().ServeHTTP(w, r)
	text := s.in.Replace(w.Body.String())
	if o.service == "secretsmanager" {
		var e struct {
			Type    string `json:"__type"`
			Message string // in either spelling
		}
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			tb.Fatalf("%s: answer %q of %v: %v", s.name, text, o, err)
		}
		return answer{code: e.Type, message: e.Message, body: object{}}
	}
	var e element
	if err := xml.Unmarshal([]byte(text), &e); err != nil {
		tb.Fatalf("%s: answer %q of %v: %v", s.name, text, o, err)
	}
	tree, _ := e.tree().(object)
	if w.Code != http.StatusOK {
		inner, _ := tree["Error"].(object)
		return answer{code: fmt.Sprint(inner["Code"]), message: fmt.Sprint(inner["Message"])}
	}
	body, _ := tree[o.name+"Result"].(object)
	if body == nil {
		body = object{}
	}
	return answer{body: body}
}

// element is any XML.
type element struct {
	XMLName  xml.Name
	Children []element `xml:",any"`
	Text     string    `xml:",chardata"`
}

// tree makes objects, lists and strings of XML. What is empty is the empty string,
// whatever it was.
func (e element) tree() any {
	if len(e.Children) == 0 {
		return e.Text
	}
	if e.Children[0].XMLName.Local == "member" {
		var list []any
		for _, c := range e.Children {
			list = append(list, c.tree())
		}
		return list
	}
	out := object{}
	for _, c := range e.Children {
		out[c.XMLName.Local] = c.tree()
	}
	return out
}

// plain makes what tree makes of the model's answers.
func plain(v any) any {
	switch v := v.(type) {
	case object:
		if len(v) == 0 {
			return ""
		}
		out := object{}
		for k, member := range v {
			out[k] = plain(member)
		}
		return out
	case []object:
		return list(v)
	case []string:
		return list(v)
	case []any:
		return list(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339)
	}
	return fmt.Sprint(v)
}

func list[T any](in []T) any {
	if len(in) == 0 {
		return ""
	}
	var out []any
	for _, v := range in {
		out = append(out, plain(v))
	}
	return out
}
