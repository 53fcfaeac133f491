package wire

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/aws"
)

// TestDecisions pins the invariant: what may be answered given what was decided.
func TestDecisions(t *testing.T) {
	allowed, denied := Decision{Allowed: true}, Decision{Allowed: false}
	fault := &aws.Error{Code: "ResourceNotFoundException", Message: "gone"}
	tests := []struct {
		name      string
		decisions []Decision
		err       error
		code      string // "" is success
		bug       bool   // whether it is loudly logged
	}{
		{"success, allowed", []Decision{allowed}, nil, "", false},
		{"success, allowed twice", []Decision{allowed, allowed}, nil, "", false},
		{"success, undecided", nil, nil, "InternalServiceError", true},
		{"success, denied", []Decision{denied}, nil, "InternalServiceError", true},
		{"success, allowed then denied", []Decision{allowed, denied}, nil, "InternalServiceError", true},
		{"error, allowed", []Decision{allowed}, fault, "ResourceNotFoundException", false},
		{"error, denied", []Decision{denied}, &aws.Error{Code: "AccessDeniedException"}, "AccessDeniedException", false},
		{"error, undecided", nil, fault, "InternalServiceError", true},
		{"error, undecided but invalid", nil, Invalid(fault), "ResourceNotFoundException", false},
		{"error, undecided but invalid and wrapped", nil, fmt.Errorf("check: %w", Invalid(fault)), "ResourceNotFoundException", false},
		{"error, undecided but of the framework", nil, &aws.Error{Code: "ValidationException", Framework: true}, "ValidationException", false},
		{"error, undecided but internal", nil, &aws.Error{Code: "InternalServiceError", Status: 500}, "InternalServiceError", false},
		{"inner error, allowed", []Decision{allowed}, errors.New("disk"), "InternalServiceError", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.get = func(ctx context.Context, _ *toyInput) (*toyOutput, error) {
				for _, d := range tt.decisions {
					CallFrom(ctx).Decide(d)
				}
				if tt.err != nil {
					return nil, tt.err
				}
				return &toyOutput{Secret: new(aws.SensitiveString("hunter2"))}, nil
			}
			rec := w.do(jsonRequest("Toy.Get", `{"Id":"a"}`))
			body := rec.Body.String()
			if tt.code == "" {
				if rec.Code != 200 || !strings.Contains(body, "hunter2") {
					t.Errorf("got %d %s", rec.Code, body)
				}
			} else if rec.Code == 200 || !strings.Contains(body, `"`+tt.code+`"`) || strings.Contains(body, "hunter2") {
				t.Errorf("got %d %s, want %s", rec.Code, body, tt.code)
			}
			c := w.recorded[0]
			if (c.Err == nil) != (tt.code == "") || len(c.Decisions) != len(tt.decisions) {
				t.Errorf("recorded %+v", c)
			}
			if loud := strings.Contains(w.log.String(), "operation is broken"); loud != tt.bug {
				t.Errorf("complained: %v, log %s", loud, w.log.String())
			}
		})
	}
}

func TestPanic(t *testing.T) {
	for name, p := range map[string]func(){
		"value built of a secret": func() { panic("hunter2") },
		"error built of a secret": func() { panic(errors.New("hunter2")) },
		"runtime error":           func() { var none []int; _ = none[len(none)] },
		"abort":                   func() { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.get = func(ctx context.Context, _ *toyInput) (*toyOutput, error) {
				allow(ctx)
				p()
				return nil, nil
			}
			rec := w.do(jsonRequest("Toy.Get", `{"Id":"a"}`))
			if rec.Code != 500 || rec.Body.String() != `{"__type":"InternalServiceError","Message":"An internal error occurred."}` {
				t.Errorf("got %d %s", rec.Code, rec.Body)
			}
			if len(w.recorded) != 1 || w.recorded[0].Err == nil {
				t.Errorf("events %v", w.events)
			}
			if log := w.log.String(); strings.Contains(log, "hunter2") || !strings.Contains(log, "run_test.go") {
				t.Errorf("log %s", log)
			}
		})
	}
	t.Run("in the recorder", func(t *testing.T) {
		w := newWorld(t)
		w.auth = func(*Call, *http.Request, []byte) error { panic("hunter2") }
		if rec := w.do(jsonRequest("Toy.Get", `{"Id":"a"}`)); rec.Code != 500 {
			t.Errorf("got %d %s", rec.Code, rec.Body)
		}
		if log := w.log.String(); strings.Contains(log, "hunter2") || !strings.Contains(log, "panicked") {
			t.Errorf("log %s", log)
		}
		// Nobody knows who called, so it counts among those.
		if len(w.unverified) != 1 || len(w.recorded) != 0 {
			t.Errorf("events %v", w.events)
		}
	})
}

func TestNoOutputNoError(t *testing.T) {
	w := newWorld(t)
	w.get = func(ctx context.Context, _ *toyInput) (*toyOutput, error) { allow(ctx); return nil, nil }
	if rec := w.do(jsonRequest("Toy.Get", `{"Id":"a"}`)); rec.Code != 500 {
		t.Errorf("got %d %s", rec.Code, rec.Body)
	}
}

// TestNoRoom pins that without room for its record a call has no effect.
func TestNoRoom(t *testing.T) {
	for _, req := range []*http.Request{jsonRequest("Toy.Get", `{"Id":"a"}`), formRequest("Action=Get&Version=2010-05-08&Id=a")} {
		w := newWorld(t)
		w.beginErr = errors.New("disk full")
		w.get = func(context.Context, *toyInput) (*toyOutput, error) { t.Error("operation ran"); return nil, nil }
		rec := w.do(req)
		if rec.Code != 503 || !strings.Contains(rec.Body.String(), "ServiceUnavailable") || len(w.recorded) != 0 {
			t.Errorf("got %d %s, events %v", rec.Code, rec.Body, w.events)
		}
		if len(w.observed) != 1 || w.observed[0] != 503 || !strings.Contains(w.log.String(), "disk full") {
			t.Errorf("observed %v, log %s", w.observed, w.log.String())
		}
	}
}

// TestRecordLost pins that no answer leaves without its record.
func TestRecordLost(t *testing.T) {
	for _, req := range []*http.Request{jsonRequest("Toy.Get", `{"Id":"a"}`), formRequest("Action=Get&Version=2010-05-08&Id=a")} {
		w := newWorld(t)
		w.recordErr = errors.New("disk on fire")
		rec := w.do(req)
		if rec.Code != 500 || strings.Contains(rec.Body.String(), "hunter2") || strings.Contains(rec.Body.String(), "disk") {
			t.Errorf("got %d %s", rec.Code, rec.Body)
		}
		if w.observed[0] != 500 || !strings.Contains(w.log.String(), "disk on fire") {
			t.Errorf("observed %v, log %s", w.observed, w.log.String())
		}
	}
}

// TestCallerLeaves pins that a call is recorded although nobody waits any more.
func TestCallerLeaves(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.get = func(ctx context.Context, _ *toyInput) (*toyOutput, error) {
		allow(ctx)
		cancel()
		return &toyOutput{}, nil
	}
	w.do(jsonRequest("Toy.Get", `{"Id":"a"}`).WithContext(ctx))
	if len(w.recorded) != 1 {
		t.Errorf("events %v", w.events)
	}
}

func TestNested(t *testing.T) {
	run := func(t *testing.T, fn func(context.Context) error) (*world, error) {
		w := newWorld(t)
		var err error
		w.get = func(ctx context.Context, _ *toyInput) (*toyOutput, error) {
			allow(ctx)
			err = w.Nested(ctx, "qoy", "Get", "toy.amazonaws.com", &toyInput{Id: new("x")}, fn)
			return &toyOutput{}, nil
		}
		w.do(jsonRequest("Toy.Get", `{"Id":"a"}`))
		return w, err
	}
	t.Run("allowed", func(t *testing.T) {
		w, err := run(t, func(ctx context.Context) error { allow(ctx); return nil })
		if err != nil || strings.Join(w.events, ", ") != "begin Get, begin Get, record Get, record Get" {
			t.Errorf("%v, events %v", err, w.events)
		}
		inner, outer := w.recorded[0], w.recorded[1]
		if inner.Parent != outer || inner.Via != "toy.amazonaws.com" || inner.Principal != outer.Principal || inner.Region != outer.Region ||
			inner.Service.Name != "qoy" || inner.RequestID == outer.RequestID || inner.EventID == outer.EventID ||
			string(inner.RequestParameters()) != `{"id":"x"}` || len(inner.Decisions) != 1 || len(outer.Decisions) != 1 {
			t.Errorf("inner %+v\nouter %+v", inner, outer)
		}
	})
	t.Run("the outer decision does not count", func(t *testing.T) {
		if _, err := run(t, func(context.Context) error { return nil }); !errors.Is(err, errUndecided) {
			t.Errorf("%v", err)
		}
	})
	t.Run("errors come back as they are", func(t *testing.T) {
		want := &aws.Error{Code: "NotFoundException"}
		w, err := run(t, func(ctx context.Context) error { allow(ctx); return want })
		if err != error(want) || w.recorded[0].Err != error(want) {
			t.Errorf("%v, recorded %v", err, w.recorded[0].Err)
		}
	})
	t.Run("panics come back as errors", func(t *testing.T) {
		if w, err := run(t, func(context.Context) error { panic("x") }); err == nil || len(w.recorded) != 2 {
			t.Errorf("%v, events %v", err, w.events)
		}
	})
	t.Run("only inside a call", func(t *testing.T) {
		err := newWorld(t).Nested(t.Context(), "toy", "Get", "", nil, func(context.Context) error { t.Error("ran"); return nil })
		if err == nil {
			t.Error("no error")
		}
	})
	t.Run("only of built operations", func(t *testing.T) {
		w := newWorld(t)
		ctx := NewContext(t.Context(), &Call{Principal: &aws.Principal{}})
		if err := w.Nested(ctx, "toy", "Later", "", nil, nil); err == nil {
			t.Error("no error")
		}
	})
}

func TestInvoke(t *testing.T) {
	face := &Call{Principal: &aws.Principal{ARN: "arn:face"}, Region: "eu-west-1"}
	for _, service := range []string{"toy", "qoy"} {
		w := newWorld(t)
		out, err := w.Invoke(NewContext(t.Context(), face), service, "Get", []byte(`{"Id":"a"}`))
		if err != nil || string(out) != `{"ARN":"arn:toy","Secret":"hunter2"}` {
			t.Errorf("%s: %s, %v", service, out, err)
		}
		if c := w.recorded[0]; c.Parent != nil || c.Principal != face.Principal || c.Via != "" {
			t.Errorf("%s: %+v", service, c)
		}
	}
	t.Run("inside a call", func(t *testing.T) {
		w := newWorld(t)
		w.get = func(ctx context.Context, in *toyInput) (*toyOutput, error) {
			allow(ctx)
			if *in.Id == "outer" {
				_, err := w.Invoke(ctx, "toy", "Get", []byte(`{"Id":"inner"}`))
				return &toyOutput{}, err
			}
			return &toyOutput{}, nil
		}
		if rec := w.do(jsonRequest("Toy.Get", `{"Id":"outer"}`)); rec.Code != 200 || w.recorded[0].Parent != w.recorded[1] {
			t.Errorf("%d, events %v", rec.Code, w.events)
		}
	})
	for name, tt := range map[string]struct {
		ctx       context.Context
		operation string
		in        string
		code      string
	}{
		"outside any call": {t.Context(), "Get", "{}", ""},
		"unbuilt":          {NewContext(t.Context(), face), "Later", "{}", ""},
		"without caller":   {NewContext(t.Context(), &Call{}), "Get", "{}", ""},
		"malformed":        {NewContext(t.Context(), face), "Get", "[", "SerializationException"},
		"invalid":          {NewContext(t.Context(), face), "Get", "{}", "ValidationException"},
	} {
		out, err := newWorld(t).Invoke(tt.ctx, "toy", tt.operation, []byte(tt.in))
		e, _ := errors.AsType[*aws.Error](err)
		if out != nil || err == nil || tt.code != "" && (e == nil || e.Code != tt.code) {
			t.Errorf("%s: %s, %v", name, out, err)
		}
	}
	t.Run("record lost", func(t *testing.T) {
		w := newWorld(t)
		w.recordErr = errors.New("disk on fire")
		if out, err := w.Invoke(NewContext(t.Context(), face), "toy", "Get", []byte(`{"Id":"a"}`)); out != nil || err == nil {
			t.Errorf("%s, %v", out, err)
		}
	})
}

func TestBackground(t *testing.T) {
	w := newWorld(t)
	err := w.Background(t.Context(), "toy", "EndVersionDelete", "111122223333", "eu-west-1", func(ctx context.Context) error {
		CallFrom(ctx).Extra = map[string]any{"SecretId": "arn"}
		return w.Nested(ctx, "qoy", "Get", "toy.amazonaws.com", nil, func(ctx context.Context) error { allow(ctx); return nil })
	})
	if err != nil || len(w.recorded) != 2 {
		t.Fatalf("%v, events %v", err, w.events)
	}
	c := w.recorded[1]
	if c.EventType != EventServiceEvent || c.Operation != "EndVersionDelete" || c.Principal.Service != "toy.amazonaws.com" ||
		c.Principal.Type != aws.PrincipalService || c.Principal.Account != "111122223333" || c.Region != "eu-west-1" || c.Extra == nil {
		t.Errorf("%+v", c)
	}
	if w.recorded[0].Principal != c.Principal {
		t.Error("nested call has another principal")
	}
	boom := errors.New("boom")
	if err := w.Background(t.Context(), "toy", "X", "1", "r", func(context.Context) error { return boom }); !errors.Is(err, boom) {
		t.Error(err)
	}
	if err := w.Background(t.Context(), "nope", "X", "1", "r", nil); err == nil {
		t.Error("unknown service")
	}
}

func TestRegisterRefusesMistakes(t *testing.T) {
	get := Op("Get", func(context.Context, *nothing) (*nothing, error) { return nil, nil })
	service := func(ops ...OperationInfo) *Service { return &Service{Name: "x", Operations: ops} }
	for name, register := range map[string]func(*Registry){
		"missing":   func(g *Registry) { g.Register(service(OperationInfo{Name: "Get", Built: true})) },
		"unknown":   func(g *Registry) { g.Register(service(), get) },
		"not built": func(g *Registry) { g.Register(service(OperationInfo{Name: "Get"}), get) },
		"twice":     func(g *Registry) { g.Register(service(OperationInfo{Name: "Get", Built: true}), get, get) },
		"service twice": func(g *Registry) {
			g.Register(service(OperationInfo{Name: "Get", Built: true}), get)
			g.Register(service(OperationInfo{Name: "Get", Built: true}), get)
		},
		"version twice": func(g *Registry) {
			g.Register(&Service{Name: "a", Protocol: Query, APIVersion: "1"})
			g.Register(&Service{Name: "b", Protocol: Query, APIVersion: "1"})
		},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			register(NewRegistry(Config{}))
		}()
	}
}

func TestNoCall(t *testing.T) {
	if CallFrom(t.Context()) != nil {
		t.Error("a call from nowhere")
	}
}
