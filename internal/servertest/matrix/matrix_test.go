package matrix

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/strongroom/strongroom/internal/servertest"
)

// question is one call.
type question struct {
	layers
	o *operation
}

func (q *question) String() string {
	return fmt.Sprintf("%s by %s: identity %s, boundary %s, session %s, endpoint %s, resource %s",
		q.o.action(), q.caller, q.identity, q.boundary, q.session, q.endpoint, q.resource)
}

// questions are those about a kind of caller.
func questions(k kind, rows func([]int) [][]int) (all []question) {
	id, boundary, session := identities, optional, optional
	switch k.local() {
	case rootUser:
		id, boundary, session = []effect{absent}, []effect{absent}, []effect{absent}
	case iamUser, userSession:
		session = []effect{absent}
	}
	for _, row := range rows([]int{len(id), len(boundary), len(session), len(optional), len(grants), len(operations)}) {
		all = append(all, question{
			layers{caller: k, identity: id[row[0]], boundary: boundary[row[1]], session: session[row[2]], endpoint: optional[row[3]], resource: grants[row[4]]},
			&operations[row[5]],
		})
	}
	return all
}

// workers ask at once.
const workers = 8

// TestMatrix asks them all.
func TestMatrix(t *testing.T) {
	if missing := unasked(); len(missing) > 0 {
		t.Errorf("operations that nobody asks about: %v", missing)
	}
	rows := product
	if testing.Short() {
		rows = pairwise
	}
	w := newWorld(t)
	var asked, denied atomic.Int64
	for k := rootUser; k <= foreignRole; k++ {
		t.Run(k.String(), func(t *testing.T) {
			queue := make(chan question)
			var wg sync.WaitGroup
			var wrong atomic.Int64
			for range workers {
				wg.Go(func() {
					for q := range queue {
						asked.Add(1)
						if q.o.expect(q.layers).layer != "" {
							denied.Add(1)
						}
						if fault := w.ask(t, &q); fault != "" && wrong.Add(1) <= 20 {
							t.Errorf("%v\n%s", &q, fault)
						}
					}
				})
			}
			all := questions(k, rows)
			for _, q := range all {
				queue <- q
			}
			close(queue)
			wg.Wait()
			if n := wrong.Load(); n > 0 {
				t.Errorf("%d of %d answers are wrong", n, len(all))
			}
		})
	}
	t.Run("anonymous", w.anonymous)
	t.Run("what exists is not revealed", w.unrevealed)
	t.Logf("%d questions, %d of them to be denied", asked.Load(), denied.Load())
}

// send makes the call of a question.
func (w *world) send(t *testing.T, q *question, unsigned bool) servertest.Answer {
	body, err := json.Marshal(q.o.input(w, q.resource))
	if err != nil {
		t.Fatal(err)
	}
	raw := servertest.Raw{Service: q.o.service.Name, Target: q.o.target(), Body: string(body), Unsigned: unsigned}
	if c := w.callers[callerKey{q.caller, q.identity, q.boundary, q.session}]; !unsigned {
		raw.Key = c.key
	}
	return w.through[q.endpoint].Send(t, raw)
}

// ask makes the call and returns what is wrong with the answer.
func (w *world) ask(t *testing.T, q *question) string {
	answer := w.send(t, q, false)
	code, text := answer.Error()
	got := fmt.Sprintf("answered %d %s %q", answer.Status, code, text)
	v := q.o.expect(q.layers)
	if v.layer == "" {
		if code != q.o.allowed || (code == "") != (answer.Status == http.StatusOK) {
			return got + ", but is to be allowed"
		}
		if q.o.name == "BatchGetSecretValue" {
			return w.batch(q, answer)
		}
		return ""
	}
	if code != "AccessDeniedException" {
		return fmt.Sprintf("%s, but is to be denied%s", got, v.reason(q.o.action()))
	}
	if q.o.denied != "" {
		if text != q.o.denied {
			return got + ", want " + q.o.denied
		}
		return ""
	}
	c := w.callers[callerKey{q.caller, q.identity, q.boundary, q.session}]
	if !strings.HasPrefix(text, message(c, q.o)) || !strings.HasSuffix(text, v.reason(q.o.action())) {
		return got + ", want " + message(c, q.o) + " …" + v.reason(q.o.action())
	}
	return ""
}

// batch looks at the one secret of a batch, which is decided on by itself.
func (w *world) batch(q *question, answer servertest.Answer) string {
	var out struct {
		SecretValues []struct{ ARN string }
		Errors       []struct{ SecretId, ErrorCode string }
	}
	if err := json.Unmarshal(answer.Body, &out); err != nil {
		return err.Error()
	}
	if expect(q.layers, secret).layer == "" {
		if len(out.SecretValues) != 1 || out.SecretValues[0].ARN != w.live[q.resource] || len(out.Errors) != 0 {
			return fmt.Sprintf("the secret is to be read, but: %s", answer.Body)
		}
		return ""
	}
	if len(out.SecretValues) != 0 || len(out.Errors) != 1 || out.Errors[0].ErrorCode != "AccessDeniedException" {
		return fmt.Sprintf("the secret is to be denied, but: %s", answer.Body)
	}
	return ""
}

// anonymous: without a signature nothing is decided at all, whatever a policy
// says of everybody.
func (w *world) anonymous(t *testing.T) {
	for i := range operations {
		for _, g := range []grant{byEveryone, unsaid} {
			for _, e := range optional {
				q := question{layers{resource: g, endpoint: e}, &operations[i]}
				answer := w.send(t, &q, true)
				if code, _ := answer.Error(); code != "MissingAuthenticationTokenException" {
					t.Errorf("%s without a signature, resource %s, endpoint %s: %d %s", q.o.action(), g, e, answer.Status, answer.Body)
				}
			}
		}
	}
}

// unrevealed: whoever is denied gets the same answer for what exists and for what
// does not.
func (w *world) unrevealed(t *testing.T) {
	asked := 0
	for _, key := range slices.Collect(maps.Keys(w.callers)) {
		// Nobody but those who are denied whether it exists or not: of the account
		// itself whoever has no identity policy for it, of another one everybody.
		if !key.kind.foreign() && key.identity != silences || key.session == denies || key.boundary == denies || key.identity == denies {
			continue
		}
		for i := range operations {
			o := &operations[i]
			if o.on == nothing || o.name == "Decrypt" {
				continue
			}
			q := question{layers{caller: key.kind, identity: key.identity, boundary: key.boundary, session: key.session, resource: unsaid}, o}
			if o.on != secret && !key.kind.foreign() {
				q.resource = byAccount // Only there does a key leave it to identity policies.
			}
			there := o.input(w, q.resource)
			member := "SecretId"
			if o.on != secret {
				member = "KeyId"
			}
			absentee := maps.Clone(there)
			name := there[member].(string)
			absentee[member] = name[:len(name)-6] + "000000"
			var answers [2]string
			for n, input := range []in{there, absentee} {
				body, err := json.Marshal(input)
				check(t, err)
				c := w.callers[key]
				answer := w.s.Send(t, servertest.Raw{Service: o.service.Name, Target: o.target(), Body: string(body), Key: c.key})
				answers[n] = strings.ReplaceAll(string(answer.Body), input[member].(string), "<name>")
			}
			asked++
			if answers[0] != answers[1] || !strings.Contains(answers[0], "AccessDeniedException") {
				t.Errorf("%v\nof what exists:  %s\nof what does not: %s", &q, answers[0], answers[1])
			}
		}
	}
	if asked == 0 {
		t.Error("nobody was asked")
	}
}
