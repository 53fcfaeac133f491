package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/wire"
)

var update = flag.Bool("update", false, "accept the records as they are")

func TestRecords(t *testing.T) {
	issued := time.Date(2026, 1, 10, 9, 0, 0, 0, time.UTC)
	denied := &aws.Error{Code: "AccessDeniedException", Message: "User: arn:aws:iam::111122223333:user/alice is not authorized to perform: secretsmanager:GetSecretValue"}
	tests := []struct {
		name   string
		change func(c *wire.Call)
	}{
		{"user", func(*wire.Call) {}},
		{"user_session", func(c *wire.Call) {
			c.Principal.AccessKeyID = "ASIAEXAMPLE"
			c.Principal.Session = &aws.Session{Issued: issued, MFA: true}
		}},
		{"root", func(c *wire.Call) {
			c.Principal = &aws.Principal{Type: aws.PrincipalRoot, Account: testAccount, ARN: aws.RootARN(testAccount), UserID: testAccount, AccessKeyID: "AKIAROOT"}
		}},
		{"assumed_role", func(c *wire.Call) {
			c.Principal = &aws.Principal{
				Type: aws.PrincipalAssumedRole, Account: testAccount, ARN: "arn:aws:sts::111122223333:assumed-role/app/session",
				UserID: "AROAEXAMPLE:session", EntityID: "AROAEXAMPLE", RoleARN: "arn:aws:iam::111122223333:role/service/app", AccessKeyID: "ASIAEXAMPLE",
				Session: &aws.Session{Issued: issued},
			}
		}},
		{"web_identity", func(c *wire.Call) {
			c.Principal = &aws.Principal{
				Type: aws.PrincipalWebIdentity, Provider: "arn:aws:iam::111122223333:oidc-provider/id.example", UserName: "system:serviceaccount:shop:cart",
				UserID: "arn:aws:iam::111122223333:oidc-provider/id.example:sts.amazonaws.com:system:serviceaccount:shop:cart",
			}
		}},
		{"web_identity_session", func(c *wire.Call) {
			c.Principal = &aws.Principal{
				Type: aws.PrincipalAssumedRole, Account: testAccount, ARN: "arn:aws:sts::111122223333:assumed-role/app/pod",
				UserID: "AROAEXAMPLE:pod", EntityID: "AROAEXAMPLE", RoleARN: "arn:aws:iam::111122223333:role/app", AccessKeyID: "ASIAEXAMPLE",
				Session: &aws.Session{Issued: issued, Provider: "arn:aws:iam::111122223333:oidc-provider/id.example", SourceIdentity: "alice"},
			}
		}},
		{"federated_by_root", func(c *wire.Call) {
			c.Principal = &aws.Principal{
				Type: aws.PrincipalFederatedUser, Account: testAccount, ARN: "arn:aws:sts::111122223333:federated-user/bob",
				UserID: "111122223333:bob", UserARN: aws.RootARN(testAccount), AccessKeyID: "ASIAEXAMPLE", Session: &aws.Session{Issued: issued},
			}
		}},
		{"federated_user", func(c *wire.Call) {
			c.Principal = &aws.Principal{
				Type: aws.PrincipalFederatedUser, Account: testAccount, ARN: "arn:aws:sts::111122223333:federated-user/bob",
				UserID: "111122223333:bob", EntityID: "AIDAEXAMPLE", UserARN: "arn:aws:iam::111122223333:user/alice", AccessKeyID: "ASIAEXAMPLE",
				Session: &aws.Session{Issued: issued},
			}
		}},
		{"service", func(c *wire.Call) {
			c.Principal = &aws.Principal{Type: aws.PrincipalService, Account: testAccount, Service: "events.amazonaws.com"}
		}},
		{"denied", func(c *wire.Call) {
			c.Err = denied
			c.Decisions[0].Allowed = false
			c.Decisions[0].Evidence = policy.Decision{Outcome: policy.ImplicitDeny, Layer: policy.LayerIdentity, Statement: -1}
			c.ResponseElements = map[string]any{"arn": "x"}
		}},
		{"denied_kms", func(c *wire.Call) {
			c.Service, c.Operation, c.Err = keyService, "Decrypt", denied
			c.Decisions[0].Allowed = false
		}},
		{"not_found", func(c *wire.Call) {
			c.Err = &aws.Error{Code: "ResourceNotFoundException", Message: "Secrets Manager can't find the specified secret."}
			c.Resources = nil
		}},
		{"internal_error", func(c *wire.Call) { c.Err = errors.New("the value hunter2 did not decrypt") }},
		{"changed", func(c *wire.Call) {
			c.Operation, c.ReadOnly = "DeleteSecret", false
			at := aws.NewTime(issued)
			c.ResponseElements = map[string]any{"name": "db/app", "deletionDate": at, "arn": new(secretARN), "none": (*string)(nil),
				"list": []any{1, int64(2), true, nil, "a\nb"}, "versions": []string{"a"}, "value": aws.SensitiveString("hunter2"), "blob": []byte("hunter2"),
				"nested": &putInput{SecretId: new("db/app"), SecretString: new(aws.SensitiveString("hunter2"))}, "m": map[string]string{"b": "2", "a": "1"}}
		}},
		{"rotation", func(c *wire.Call) {
			c.EventType, c.Operation, c.ReadOnly = wire.EventServiceEvent, "RotationFailed", false
			c.Principal = &aws.Principal{Type: aws.PrincipalService, Account: testAccount, Service: "secretsmanager.amazonaws.com"}
			c.RequestID = "Rotation-" + secretARN + "-uuid"
			c.Extra = map[string]any{"SecretId": secretARN}
			c.Err = &aws.Error{Code: "InternalServiceError", Message: "Error when executing lambda during setSecret step"}
			c.Input, c.Source, c.UserAgent, c.TLS, c.Decisions, c.Resources = nil, netip.Addr{}, "", wire.TLS{}, nil, nil
		}},
		{"plain_connection", func(c *wire.Call) { c.TLS = wire.TLS{} }},
		{"in_process", func(c *wire.Call) { c.Source, c.TLS = netip.Addr{}, wire.TLS{} }},
		{"cross_account", func(c *wire.Call) {
			arn := "arn:aws:secretsmanager:us-east-1:444455556666:secret:x-AbCdEf"
			c.Resources[0] = wire.Resource{ARN: arn, Type: "AWS::SecretsManager::Secret", Account: "444455556666"}
			c.Decisions[0].Resource = arn
		}},
		{"cross_account_by_resource_policy", func(c *wire.Call) {
			c.Resources[0].Account = "444455556666"
			c.Decisions[0].Evidence = policy.Decision{Outcome: policy.Allow, Layer: policy.LayerResource, Source: "resource"}
		}},
		{"cross_account_denied", func(c *wire.Call) {
			c.Resources[0].Account = "444455556666"
			c.Decisions[0].Allowed, c.Err = false, denied
		}},
		{"nested", func(c *wire.Call) {
			parent := *c
			*c = *decryptCall(&parent)
		}},
		{"no_principal", func(c *wire.Call) { c.Principal, c.Service, c.Operation = nil, nil, "" }},
	}
	l := &Log{cfg: Config{Account: testAccount}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := getCall()
			tt.change(c)
			if c.Operation != "RotationFailed" {
				c.RequestID = "5b2bd1a7-0000-4000-8000-000000000001"
			}
			c.EventID = "5b2bd1a7-0000-4000-8000-000000000002"
			var got bytes.Buffer
			events, _ := l.render(new([]byte), nil, c, &fullLimits, maxCopies)
			for _, e := range events {
				if err := json.Indent(&got, e.body, "", "  "); err != nil {
					t.Fatalf("%v in %s", err, e.body)
				}
				got.WriteByte('\n')
			}
			if strings.Contains(got.String(), "hunter2") {
				t.Error("a secret value is in the record")
			}
			golden := filepath.Join("testdata", "records", tt.name+".json")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("differs from %s; got\n%s", golden, got.String())
			}
		})
	}
}

// worstCall has every part as large, and as costly to escape, as it gets.
func worstCall() *wire.Call {
	long := strings.Repeat("\x01\"é", 20<<10)
	c := getCall()
	c.Operation, c.Region, c.RequestID, c.UserAgent, c.Via = long, long, long, long, ""
	c.Service = &wire.Service{Name: "x", EventSource: long}
	c.TLS = wire.TLS{Version: long, Cipher: long, Host: long}
	c.Principal = &aws.Principal{
		Type: aws.PrincipalAssumedRole, Account: long, ARN: long, UserID: long, UserName: long, AccessKeyID: long,
		EntityID: long, RoleARN: "arn:aws:iam:" + long + ":" + long + ":role/" + long, Session: &aws.Session{Provider: long, SourceIdentity: long},
	}
	c.Err = &aws.Error{Code: long, Message: long}
	c.Input = &getInput{SecretId: new(long)}
	c.Extra = map[string]any{long: long, "b": []any{long, long, long}}
	c.Resources, c.Decisions = nil, nil
	for range 40 {
		c.Resources = append(c.Resources, wire.Resource{ARN: long, Type: long, Account: long})
		c.Decisions = append(c.Decisions, wire.Decision{Action: long, Resource: long, Allowed: true,
			Evidence: policy.Decision{Source: long, Version: long}})
	}
	return c
}

func TestRecordsAreBounded(t *testing.T) {
	c := worstCall()
	parts := map[string]func(c *wire.Call){
		"failed": func(*wire.Call) {},
		"succeeded": func(c *wire.Call) {
			c.Err = nil
			c.Input = &getInput{SecretId: new(strings.Repeat("s", 31<<10))}
			c.ResponseElements = map[string]any{"a": strings.Repeat("r", 4<<10), "b": strings.Repeat("r", 1500)}
		},
		"nested": func(c *wire.Call) { c.Via = c.Region },
	}
	for name, change := range parts {
		t.Run(name, func(t *testing.T) {
			c := *c
			change(&c)
			for limits, most := range map[*limits]int{&fullLimits: maxEvent, &shortLimits: leastEvent} {
				r := renderer{limits: limits, call: &c, recipient: c.Region, shared: c.Region, recovered: true}
				b := r.append(nil)
				if !json.Valid(b) {
					t.Fatalf("not JSON: %.300s", b)
				}
				if len(b) > most {
					t.Errorf("%d bytes, more than %d", len(b), most)
				}
				t.Logf("%d of %d", len(b), most)
				var m struct {
					RequestParameters map[string]any
					Strongroom        struct{ OmittedResources, OmittedDecisions int }
				}
				if err := json.Unmarshal(b, &m); err != nil {
					t.Fatal(err)
				}
				if m.Strongroom.OmittedResources == 0 || m.Strongroom.OmittedDecisions == 0 {
					t.Error("what was left out is not told")
				}
				if limits == &shortLimits && m.RequestParameters["omitted"] != true {
					t.Error("parameters are not marked as omitted")
				}
			}
		})
	}
}

func TestNodeRecordsAreBounded(t *testing.T) {
	l := &Log{cfg: Config{Account: testAccount, Node: strings.Repeat("n", 64)}, now: time.Now}
	fillUnverified(l)
	if b := l.appendNodeEvent(nil, unverifiedEvent, time.Now(), l.unverified.details(time.Now())); len(b) > leastEvent || !json.Valid(b) {
		t.Errorf("%d bytes, more than %d: %s", len(b), leastEvent, b)
	}
}

func TestNoSecretReachesASegment(t *testing.T) {
	const canary = "canary-7f3a"
	b := newBench(t)
	l := b.open()
	for _, fail := range []error{nil, errors.New("cannot seal " + canary), (&aws.Error{Code: "InternalServiceError"}).With(errors.New(canary))} {
		c := putCall()
		c.Input = &putInput{
			SecretId: new("db/app"), ClientRequestToken: new("token-1"), SecretString: new(aws.SensitiveString(canary)),
			SecretBinary: aws.SensitiveBytes(canary), RotationToken: new(aws.SensitiveString(canary)),
		}
		c.ResponseElements = map[string]any{"arn": secretARN, "secret": aws.SensitiveString(canary), "p": new(aws.SensitiveString(canary)), "raw": []byte(canary),
			"deep": []any{aws.SensitiveString(canary), map[string]any{"x": aws.SensitiveBytes(canary)}, []aws.SensitiveString{canary}}}
		c.Err = fail
		b.run(l, c, func(ctx context.Context) { b.change(ctx, "x") })
	}
	b.close()
	found := false
	err := filepath.WalkDir(b.root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data := b.read(path)
		found = found || bytes.Contains(data, []byte("token-1"))
		for _, form := range []string{canary, "Y2FuYXJ5LTdmM2", "63616e6172792d37"} {
			if bytes.Contains(data, []byte(form)) {
				t.Errorf("%s contains the secret as %s", path, form)
			}
		}
		return nil
	})
	if err != nil || !found {
		t.Fatalf("the search does not find what must be there: %v", err)
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "plain", `q"b\`, "a\nb\x00", "é€😀", "\xff\xfe", strings.Repeat("é", 40), strings.Repeat(`\u0041`, 9), strings.Repeat("\x01", 30)} {
		f.Add(s, 20)
	}
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = 3 + (limit%4096+4096)%4096
		b := appendText([]byte("x"), s, limit)
		if len(b) > 1+limit+2 {
			t.Fatalf("%d bytes, limit %d", len(b), limit)
		}
		if bytes.ContainsAny(b, "\n\x00") {
			t.Fatal("a control character survived")
		}
		var got string
		if err := json.Unmarshal(b[1:], &got); err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		var each strings.Builder
		for _, r := range s { // Each bad byte counts for itself.
			each.WriteRune(r)
		}
		whole := each.String()
		if got == whole {
			return
		}
		kept, cut := strings.CutSuffix(got, "...")
		if !cut || !strings.HasPrefix(whole, kept) {
			t.Fatalf("%q became %q", s, got)
		}
		if full := appendText(nil, s, 1<<30); len(full)-2 <= limit {
			t.Fatalf("cut although it fits: %q in %d", s, limit)
		}
		if len(b)-3 < limit-6-3 {
			t.Fatalf("cut to %d, limit %d", len(b)-3, limit)
		}
	})
}

func FuzzLine(f *testing.F) {
	e := newEvent([]byte(`{"a":1}`))
	f.Add(appendLine(nil, 7, Hash{1}, e.hash, Hash{2}, e.body))
	f.Add(appendLine(nil, 7, Hash{1}, e.hash, Hash{2}, nil))
	f.Add(appendTrailer(nil, 1, 1, Hash{}))
	h, _ := header{node: "n", first: 1, created: time.UnixMicro(0)}.appendHeader(nil)
	f.Add(h)
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.TrimSuffix(b, []byte("\n"))
		if l, err := parseLine(b); err == nil {
			if again := appendLine(nil, l.seq, l.prev, l.record, l.chain, l.event); string(again) != string(b)+"\n" {
				t.Fatalf("%q parses and prints as %q", b, again)
			}
		}
		if h, _, err := parseHeader(b); err == nil {
			if again, _ := h.appendHeader(nil); string(again) != string(b)+"\n" {
				t.Fatalf("%q parses and prints as %q", b, again)
			}
		}
		if h, err := parseHeadFile(b); err == nil && string(h.appendFile(nil)) != string(b) {
			t.Fatalf("%q prints otherwise", b)
		}
	})
}
