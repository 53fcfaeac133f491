package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func none(string) string { return "" }

func TestLoadOrder(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "listen: 127.0.0.1:1\nregion: eu-test-1\nregions: [eu-test-1, eu-test-2]\n")
	c, err := Load(dir, none, nil)
	if err != nil || c.Listen != "127.0.0.1:1" || c.Region != "eu-test-1" || c.Limits.Body != 1<<20 {
		t.Fatalf("file: %+v, %v", c, err)
	}
	env := func(k string) string { return map[string]string{EnvListen: "127.0.0.1:2"}[k] }
	if c, err = Load(dir, env, nil); err != nil || c.Listen != "127.0.0.1:2" {
		t.Fatalf("environment: %+v, %v", c.Listen, err)
	}
	if c, err = Load(dir, env, func(c *Config) { c.Listen = "127.0.0.1:3" }); err != nil || c.Listen != "127.0.0.1:3" {
		t.Fatalf("flags: %+v, %v", c.Listen, err)
	}
	write(t, dir, "database_file: url\n")
	if err := os.WriteFile(filepath.Join(dir, "url"), []byte("postgres://db/x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err = Load(dir, none, nil); err != nil || c.Database != "postgres://db/x" {
		t.Fatalf("database file: %q, %v", c.Database, err)
	}
	if c, err = Load(t.TempDir(), none, nil); err != nil || c.Region != "us-east-1" || len(c.Regions) != 1 {
		t.Fatalf("no file: %+v, %v", c, err)
	}
}

func TestRefused(t *testing.T) {
	for name, text := range map[string]string{
		`:1: there is no setting "listne"`:   "listne: 127.0.0.1:1\n",
		`:3: there is no setting "bdy"`:      "limits:\n  body: 1\n  bdy: 2\n",
		":2: cannot unmarshal":               "region: us-east-1\nlimits: {body: many}\n",
		":2: mapping values are not allowed": "listen: a\n b: c\n",
		":3: audit durability":               "region: us-east-1\naudit:\n  durability: maybe\n",
		"missing: no such file or directory": "database_file: missing\n",
		"is none of debug":                   "log: {level: loud}\n",
		"not a region":                       "region: Mars\n",
		"works on loopback only":             "insecure_http: true\nlisten: 0.0.0.0:80\n",
		"operations must listen":             "operations: 0.0.0.0:4767\n",
		"none of written, synced":            "audit: {durability: maybe}\n",
		"replicated needs PostgreSQL":        "audit: {durability: replicated}\n",
		"does not hold the default":          "regions: [eu-west-1]\n",
		"needs both certificate and key":     "tls: {certificate: a.pem}\n",
		"neither text nor json":              "log: {format: xml}\n",
		`:2: egress.allow_private "maybe"`:   "egress:\n  allow_private: maybe\n",
		"egress.time 2m0s is not between":    "egress: {time: 2m}\n",
		"no '/'":                             "egress: {allow: [10.0.0.1]}\n",
		"is not host:port":                   "listen: nowhere\n",
		`:2: tls.client_auth "maybe"`:        "tls:\n  client_auth: maybe\n",
		"needs client_ca, to know":           "tls: {client_auth: require}\n",
		"insecure_http asks for no":          "insecure_http: true\ntls: {client_ca: a.pem}\n",
		`:2: memory.lock "some"`:             "memory:\n  lock: some\n",
		":2: limits.body must be more than":  "limits:\n  body: 0\n",
		":2: limits.in_flight must be more":  "limits:\n  in_flight: -1\n",
		":3: limits.idle_time must be more":  "limits:\n  body: 1\n  idle_time: 0s\n",
		":2: limits.connections_per_address": "limits:\n  connections_per_address: -1\n",
		`:3: limits.rates.mode "some"`:       "limits:\n  rates:\n    mode: some\n",
		"limits.rates.account must be 0":     "limits: {rates: {mode: custom, account: -1}}\n",
		"limits.rates.principal must be 0":   "limits: {rates: {mode: custom, principal: .nan}}\n",
		"each needs names, and a rate":       "limits: {rates: {mode: aws, operations: [{names: [kms:Decrypt]}]}}\n",
		"has bounds but its mode is off":     "limits: {rates: {account: 5}}\n",
	} {
		dir := t.TempDir()
		write(t, dir, text)
		if _, err := Load(dir, none, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: got error %v, want %q", text, err, name)
		}
	}
}

// TestMistakeOfTheEnvironment: a line of the file is named only where the file is
// to blame.
func TestMistakeOfTheEnvironment(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "listen: 127.0.0.1:1\n")
	_, err := Load(dir, func(k string) string { return map[string]string{EnvListen: "nowhere"}[k] }, nil)
	if m, ok := errors.AsType[*Mistake](err); !ok || m.Key != "listen" || m.File != "" || m.Line != 0 {
		t.Errorf("got %+v", err)
	}
}

func TestEgress(t *testing.T) {
	dir := t.TempDir()
	if c, err := Load(dir, none, nil); err != nil || c.Egress.AllowPrivate != "auto" || c.Egress.AllowLoopback != "auto" || c.Egress.Time != 10*time.Second {
		t.Fatalf("defaults: %+v, %v", c.Egress, err)
	}
	write(t, dir, "egress: {allow_private: true, allow_loopback: false, allow: [10.20.0.0/16, 'fd12::/48'], ca_file: ca.pem, time: 3s}\n")
	c, err := Load(dir, none, nil)
	if err != nil || c.Egress.AllowPrivate != "true" || c.Egress.AllowLoopback != "false" || len(c.Egress.Allow) != 2 || c.Egress.Allow[1].String() != "fd12::/48" || c.Egress.Time != 3*time.Second {
		t.Fatalf("got %+v, %v", c.Egress, err)
	}
	// What "config check" prints is a configuration again.
	write(t, dir, c.Redacted())
	if again, err := Load(dir, none, nil); err != nil || !reflect.DeepEqual(again.Egress, c.Egress) {
		t.Fatalf("printed and read: %+v, %v", again.Egress, err)
	}
}

func TestRedacted(t *testing.T) {
	c := Default()
	c.Database = "postgres://u:hunter2@db/x"
	if s := c.Redacted(); strings.Contains(s, "hunter2") || !strings.Contains(s, "[redacted]") {
		t.Error(s)
	}
}

func write(t *testing.T, dir, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, FileName), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
