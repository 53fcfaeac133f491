package wire

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// refusedAs checks the answer to a request that is one too many.
func refusedAs(t *testing.T, rec *httptest.ResponseRecorder, want, after string) {
	t.Helper()
	if body := rec.Body.String(); rec.Code != 400 || !strings.Contains(body, want) || !strings.Contains(body, "Rate exceeded") {
		t.Errorf("%d %s, want 400 %s", rec.Code, body, want)
	}
	if got := rec.Header().Get("Retry-After"); got != after {
		t.Errorf("Retry-After %q, want %q", got, after)
	}
}

// TestInFlight: with every slot taken a request is answered at once, before its
// signature is looked at, in the words of its protocol; it is counted and not
// recorded; a slot that is free again serves.
func TestInFlight(t *testing.T) {
	w := newWorld(t)
	w.handler = w.Handler(w, Limits{InFlight: 1})
	inside, leave := make(chan struct{}), make(chan struct{})
	slow := w.get
	w.get = func(ctx context.Context, in *toyInput) (*toyOutput, error) {
		inside <- struct{}{}
		<-leave
		return slow(ctx, in)
	}
	first := make(chan *httptest.ResponseRecorder)
	go func() { first <- w.do(jsonRequest("Toy.Get", `{"Id":"a"}`)) }()
	<-inside
	known := w.auth
	w.auth = nil // Whoever asks it panics.
	refusedAs(t, w.do(jsonRequest("Toy.Get", `{"Id":"a"}`)), `"__type":"ThrottlingException"`, "1")
	refusedAs(t, w.do(formRequest("Action=Get&Version=2010-05-08&Id=a")), "<Code>Throttling</Code>", "1")
	w.auth = known
	if len(w.unverified) != 2 || len(w.recorded) != 0 || w.unverified[0].Throttled != ThrottledInFlight {
		t.Errorf("%d counted, %d recorded", len(w.unverified), len(w.recorded))
	}
	leave <- struct{}{}
	if rec := <-first; rec.Code != 200 {
		t.Errorf("the one in flight: %d", rec.Code)
	}
	w.get = slow
	if rec := w.do(jsonRequest("Toy.Get", `{"Id":"a"}`)); rec.Code != 200 {
		t.Errorf("after it: %d", rec.Code)
	}
	// A panic gives its slot back.
	w.get = func(context.Context, *toyInput) (*toyOutput, error) { panic("at the disco") }
	for range 3 {
		if rec := w.do(jsonRequest("Toy.Get", `{"Id":"a"}`)); rec.Code != 500 {
			t.Errorf("a panic: %d", rec.Code)
		}
	}
}

// TestAdmit: a caller that asks too often is refused once it is known, and its
// call is not recorded.
func TestAdmit(t *testing.T) {
	w := newWorld(t)
	var who []string
	w.handler = w.Handler(w, Limits{Admit: func(c *Call) (string, time.Duration) {
		who = append(who, c.Principal.Account+" "+c.Region+" "+c.Service.Name+":"+c.Operation)
		if len(who) == 1 {
			return "", 0
		}
		return "account", 1500 * time.Millisecond
	}})
	if rec := w.do(jsonRequest("Toy.Get", `{"Id":"a"}`)); rec.Code != 200 || rec.Header().Get("Retry-After") != "" {
		t.Errorf("%d", rec.Code)
	}
	refusedAs(t, w.do(jsonRequest("Toy.Get", `{"Id":"a"}`)), `"__type":"ThrottlingException"`, "2")
	refusedAs(t, w.do(formRequest("Action=Get&Version=2010-05-08&Id=a")), "<Code>Throttling</Code>", "2")
	if want := "111122223333 eu-west-1 toy:Get"; who[0] != want || len(who) != 3 {
		t.Errorf("%q, want %s", who, want)
	}
	if len(w.recorded) != 1 || len(w.unverified) != 2 || w.unverified[0].Principal == nil {
		t.Errorf("%d recorded, %d counted", len(w.recorded), len(w.unverified))
	}
	if n := strings.Count(w.log.String(), `"level":"INFO"`); n != 1 {
		t.Errorf("%d lines of log", n)
	}
}

// TestBodiesTogether: large bodies share a bound; small ones go on beside them, and
// what is answered is given back.
func TestBodiesTogether(t *testing.T) {
	w := newWorld(t)
	h := newHandler(w.Registry, w, Limits{Bodies: 100 << 10})
	w.handler = h
	large := jsonRequest("Toy.Get", `{"Id":"a","Other":"`+strings.Repeat("x", 150<<10)+`"}`)
	if rec := w.do(large); rec.Code != 200 {
		t.Fatalf("one large body: %d %s", rec.Code, rec.Body)
	}
	if n := h.bodies.Load(); n != 0 {
		t.Errorf("%d bytes are still counted", n)
	}
	h.bodies.Add(90 << 10) // Of somebody else's.
	rec := w.do(jsonRequest("Toy.Get", `{"Id":"a","Other":"`+strings.Repeat("x", 150<<10)+`"}`))
	refusedAs(t, rec, `"__type":"ThrottlingException"`, "1")
	if rec.Header().Get("Connection") != "close" {
		t.Error("the rest of the body is read as a request")
	}
	if rec := w.do(jsonRequest("Toy.Get", `{"Id":"a","Other":"`+strings.Repeat("x", 60<<10)+`"}`)); rec.Code != 200 {
		t.Errorf("a small body: %d", rec.Code)
	}
	if n := h.bodies.Load(); n != 90<<10 {
		t.Errorf("%d bytes are counted", n)
	}
}

// TestThrottleWords: KMS has its own sentence.
func TestThrottleWords(t *testing.T) {
	x := &exchange{call: &Call{Service: &Service{Name: "kms"}}}
	if e := x.throttled("", 0); e.Code != "ThrottlingException" || !strings.Contains(e.Message, "may call KMS") || x.wait <= 0 {
		t.Errorf("%+v", e)
	}
}

// TestBoundsOfInput: too many members, too long a list, in either protocol.
func TestBoundsOfInput(t *testing.T) {
	w := newWorld(t)
	w.handler = w.Handler(w, Limits{Members: 5, Elements: 3})
	for body, want := range map[string]string{
		`{"Id":"a","Names":["a","b","c"]}`:               "",
		`{"Id":"a","Names":["a","b","c","d"]}`:           "SerializationException",
		`{"Id":"a","Context":{"a":"1","b":"2","c":"3"}}`: "",
		`{"Id":"a","Unknown":{"a":1,"b":2,"c":3,"d":4}}`: "SerializationException",
	} {
		if rec := w.do(jsonRequest("Toy.Get", body)); (rec.Code == 200) != (want == "") || !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%s: %d %s", body, rec.Code, rec.Body)
		}
	}
	list := "&Names.member.1=a&Names.member.2=b&Names.member.3=c"
	for body, want := range map[string]string{list: "", list + "&Names.member.4=d": "<Code>MalformedInput</Code>"} {
		if rec := w.do(formRequest("Action=Get&Version=2010-05-08&Id=a" + body)); (rec.Code == 200) != (want == "") || !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%s: %d %s", body, rec.Code, rec.Body)
		}
	}
}
