// Package config is the server's configuration: one struct, defaults in one
// place, strict decoding, flags over environment over file.
//
// Its one invariant: what is not understood is an error. An unknown key in the
// file stops the server with the line it stands on, so a setting that somebody
// believes in is always in force.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// FileName is the configuration file inside the data directory.
const FileName = "strongroom.yaml"

// Environment variables that stand between flags and file.
const (
	EnvData     = "STRONGROOM_DATA"
	EnvListen   = "STRONGROOM_LISTEN"
	EnvDatabase = "STRONGROOM_DATABASE"
)

// Config holds every setting. The zero value of a field means its default.
type Config struct {
	// Data is the data directory; not in the file, which lies in it.
	Data string `yaml:"-"`
	// Listen is the address of the API, host:port.
	Listen string `yaml:"listen"`
	// Operations is the address of /healthz, /readyz and /metrics; loopback.
	Operations string `yaml:"operations"`
	// Database is a postgres:// URL; empty means SQLite in the data directory.
	Database string `yaml:"database,omitempty"`
	// DatabaseFile is a file that holds the URL, for URLs with a password. A
	// relative path begins in the data directory.
	DatabaseFile string `yaml:"database_file,omitempty"`
	// Region is the default region, Regions are all that are served.
	Region  string   `yaml:"region"`
	Regions []string `yaml:"regions"`
	// InsecureHTTP serves plain HTTP, on loopback only.
	InsecureHTTP bool `yaml:"insecure_http,omitempty"`
	// RequireUnprivileged refuses to run as root.
	RequireUnprivileged bool `yaml:"require_unprivileged,omitempty"`
	TLS                 TLS  `yaml:"tls"`
	// Network holds the private endpoints.
	Network Network `yaml:"network,omitempty"`
	Limits  Limits  `yaml:"limits"`
	Cache   Cache   `yaml:"cache"`
	Audit   Audit   `yaml:"audit"`
	Egress  Egress  `yaml:"egress"`
	Denials Denials `yaml:"denials"`
	Quotas  Quotas  `yaml:"quotas"`
	Memory  Memory  `yaml:"memory"`
	Backup  Backup  `yaml:"backup,omitempty"`
	Log     Log     `yaml:"log"`
}

// TLS says which certificate is served.
type TLS struct {
	// Certificate and Key are PEM files of the operator's own; empty means one
	// from the data directory's own authority.
	Certificate string `yaml:"certificate,omitempty"`
	Key         string `yaml:"key,omitempty"`
	// Hosts are further names and addresses for the own certificate.
	Hosts []string `yaml:"hosts,omitempty"`
	// ClientCA is a PEM file of authorities that certificates of clients of the public
	// listeners must come from, ClientAuth is off, request or require (the default
	// with ClientCA).
	ClientCA   string `yaml:"client_ca,omitempty"`
	ClientAuth string `yaml:"client_auth,omitempty"`
}

// ClientAuthMode is the mode in force.
func (t *TLS) ClientAuthMode() string { return clientAuthMode(t.ClientAuth, t.ClientCA) }

// Limits bound what a client may ask for.
type Limits struct {
	Body       int64 `yaml:"body"`        // bytes of a request body
	BodyMemory int64 `yaml:"body_memory"` // of all bodies together, the first 64 KiB of each not counted
	Header     int   `yaml:"header"`      // bytes of all headers
	Nesting    int   `yaml:"nesting"`     // depth of JSON
	Members    int   `yaml:"members"`     // of all objects of a JSON body
	Elements   int   `yaml:"elements"`    // of a list
	Parameters int   `yaml:"parameters"`  // of a Query request
	// Connections are those open at once: at all public listeners together, and at
	// each private one. So nobody at one door can shut another.
	Connections int `yaml:"connections"`
	// ConnectionsPerAddress are those of one address, or one /64 of IPv6; 0 for no
	// bound.
	ConnectionsPerAddress int           `yaml:"connections_per_address"`
	InFlight              int           `yaml:"in_flight"`     // requests worked on at once
	QueueTime             time.Duration `yaml:"queue_time"`    // that a request may wait to be taken up, if all do; 0 for no bound
	RequestTime           time.Duration `yaml:"request_time"`  // for one operation
	HeaderTime            time.Duration `yaml:"header_time"`   // to send the headers
	ReadTime              time.Duration `yaml:"read_time"`     // to send a whole request
	WriteTime             time.Duration `yaml:"write_time"`    // to take an answer
	IdleTime              time.Duration `yaml:"idle_time"`     // between requests
	ShutdownTime          time.Duration `yaml:"shutdown_time"` // for calls under way at the end
	// DrainTime is how long calls are still answered at the end while /readyz sends
	// the load balancer elsewhere.
	DrainTime time.Duration `yaml:"drain_time"`
	Rates     Rates         `yaml:"rates"`
}

// Rates bound how many requests a second are answered, on each node. Each bound is
// for one region of one account.
type Rates struct {
	// Mode is off, aws (AWS's quotas, and what is said here in their place) or
	// custom (what is said here).
	Mode string `yaml:"mode"`
	// Account is for all requests together, Principal for those of one user or
	// role; 0 for no bound.
	Account   float64 `yaml:"account,omitempty"`
	Principal float64 `yaml:"principal,omitempty"`
	// Operations are bounds on operations, alone or shared by several.
	Operations []OperationRate `yaml:"operations,omitempty"`
}

// OperationRate is a bound that operations share, each named as in policies: such
// as "kms:Decrypt".
type OperationRate struct {
	Names []string `yaml:"names"`
	Rate  float64  `yaml:"rate"`
}

// The values of Rates.Mode.
const (
	RatesOff    = "off"
	RatesAWS    = "aws"
	RatesCustom = "custom"
)

// Cache bounds what is kept in memory between calls.
type Cache struct {
	// Rows is how many bytes of secrets are kept as they rest, sealed, where the
	// database is SQLite; 0 reads the database for each call.
	Rows int64 `yaml:"rows"`
}

// Audit says how safe a record is before its call is answered.
type Audit struct {
	// Durability is "written" (in the operating system, on disk within 200 ms),
	// "synced" (on disk) or "replicated" (in the database; PostgreSQL only).
	Durability string `yaml:"durability"`
	// SegmentSize is the size of a segment file in bytes.
	SegmentSize int64 `yaml:"segment_size"`
	// Spool is how many bytes of segments stay on disk once the database has them;
	// 0 keeps all. With SQLite the segments are all there is, and stay.
	Spool int64 `yaml:"spool"`
}

// Egress says where the server may connect to on somebody's word, such as to the
// issuer of identity tokens. Metadata services, link-local and multicast
// addresses and the server itself are refused whatever is said here.
type Egress struct {
	// AllowPrivate and AllowLoopback are "true", "false" or "auto": true while
	// everything listens on loopback only.
	AllowPrivate  string `yaml:"allow_private"`
	AllowLoopback string `yaml:"allow_loopback"`
	// Allow are private or loopback ranges that are open all the same, such as
	// 10.20.0.0/16.
	Allow []netip.Prefix `yaml:"allow,omitempty"`
	// CAFile holds authorities in PEM, trusted beside those of the system. A
	// relative path begins in the data directory.
	CAFile string `yaml:"ca_file,omitempty"`
	// Time is for a whole exchange.
	Time time.Duration `yaml:"time"`
}

// Denials say how long the explanations of denied calls are kept.
type Denials struct {
	// Keep is the time.
	Keep time.Duration `yaml:"keep"`
	// PerAccount is how many an account has at most; the oldest go first.
	PerAccount int `yaml:"per_account"`
}

// Quotas are per account and region, with AWS's numbers as defaults; 0 leaves
// the default.
type Quotas struct {
	Secrets           int `yaml:"secrets,omitempty"`
	VersionsPerSecret int `yaml:"versions_per_secret,omitempty"`
	LabelsPerSecret   int `yaml:"labels_per_secret,omitempty"`
	TagsPerSecret     int `yaml:"tags_per_secret,omitempty"`
	Users             int `yaml:"users,omitempty"`
	Groups            int `yaml:"groups,omitempty"`
	Roles             int `yaml:"roles,omitempty"`
	Policies          int `yaml:"policies,omitempty"`
	AccessKeysPerUser int `yaml:"access_keys_per_user,omitempty"`
	GroupsPerUser     int `yaml:"groups_per_user,omitempty"`
	PoliciesPerEntity int `yaml:"policies_per_entity,omitempty"`
}

// Memory says what the system may do with the memory of the server's process.
type Memory struct {
	// Lock is auto (all memory stays out of swap space where the system allows,
	// else the storage keys), all (or the server does not start) or keys.
	Lock string `yaml:"lock"`
	// Dumps allows core dumps, and debuggers of the same user.
	Dumps bool `yaml:"dumps"`
}

// Backup says what is copied elsewhere while the server works.
type Backup struct {
	Ship Ship `yaml:"ship,omitempty"`
}

// Ship sends a SQLite store to a target, commit by commit, so that it can be restored
// as it was at any moment.
type Ship struct {
	// To is a directory, or s3://bucket/prefix; empty for none.
	To string `yaml:"to,omitempty"`
	// Recipients can restore (age1...).
	Recipients []string `yaml:"recipients,omitempty"`
	// Endpoint is the https URL of a bucket that is not Amazon's, Region its region.
	Endpoint string `yaml:"endpoint,omitempty"`
	Region   string `yaml:"region,omitempty"`
	// CredentialsFile is a file as AWS's tools have it, for the bucket; without it
	// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY count. A relative path begins in the
	// data directory.
	CredentialsFile string `yaml:"credentials_file,omitempty"`
	// Interval is how often commits are sent: what a lost machine takes with it.
	Interval time.Duration `yaml:"interval,omitempty"`
	// BaseEvery is how often the whole database is copied, Retention how far back it
	// can be restored.
	BaseEvery time.Duration `yaml:"base_every,omitempty"`
	Retention time.Duration `yaml:"retention,omitempty"`
	// Spool bounds what waits in the data directory for a target that does not take
	// it, in bytes.
	Spool int64 `yaml:"spool,omitempty"`
}

// Log says what is logged and how.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn or error
	Format string `yaml:"format"` // text or json
}

// Default returns the defaults.
func Default() Config {
	return Config{
		Data: "strongroom-data", Listen: "127.0.0.1:4766", Operations: "127.0.0.1:4767", Region: "us-east-1",
		Limits: Limits{Body: 1 << 20, BodyMemory: 256 << 20, Header: 32 << 10, Nesting: 64, Members: 10_000, Elements: 1000, Parameters: 1024,
			Connections: 10_000, ConnectionsPerAddress: 1000, InFlight: 1024, QueueTime: 30 * time.Millisecond,
			RequestTime: 30 * time.Second, HeaderTime: 5 * time.Second,
			ReadTime: 15 * time.Second, WriteTime: 45 * time.Second, IdleTime: 2 * time.Minute, ShutdownTime: 20 * time.Second,
			Rates: Rates{Mode: RatesOff}},
		Cache:   Cache{Rows: 32 << 20},
		Audit:   Audit{Durability: "written", SegmentSize: 64 << 20, Spool: 1 << 30},
		Egress:  Egress{AllowPrivate: "auto", AllowLoopback: "auto", Time: 10 * time.Second},
		Denials: Denials{Keep: 90 * 24 * time.Hour, PerAccount: 100_000},
		Memory:  Memory{Lock: "auto"},
		Backup:  Backup{Ship{Interval: time.Second, BaseEvery: 24 * time.Hour, Retention: 7 * 24 * time.Hour, Spool: 1 << 30}},
		Log:     Log{Level: "info", Format: "text"},
	}
}

// Load reads the file of a data directory over the defaults, then the
// environment. A missing file is no error. flags, if not nil, is applied last.
// What is wrong with a setting is a *Mistake.
func Load(data string, getenv func(string) string, flags func(*Config)) (Config, error) {
	c := Default()
	c.Data = data
	path := filepath.Join(data, FileName)
	src, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("read configuration: %w", err)
	}
	if err := decode(path, src, &c); err != nil {
		return c, err
	}
	if err := c.settlePublic(); err != nil {
		return c, locate(err, c, path, src)
	}
	file := c
	if v := getenv(EnvListen); v != "" {
		c.Listen = v
	}
	if v := getenv(EnvDatabase); v != "" {
		c.Database = v
	}
	if flags != nil {
		flags(&c)
	}
	c.overridePublic()
	if c.Database == "" && c.DatabaseFile != "" {
		path := c.Path(c.DatabaseFile)
		b, err := os.ReadFile(path)
		if err != nil {
			return c, &Mistake{Key: "database_file", Text: err.Error(), File: path, Line: lineOf(src, "database_file")}
		}
		c.Database = strings.TrimSpace(string(b))
	}
	if len(c.Regions) == 0 {
		c.Regions = []string{c.Region}
	}
	return c, locate(c.Validate(), file, path, src)
}

// Mistake is a setting that cannot be.
type Mistake struct {
	// Key is the setting's place in the file, such as "audit.durability"; empty
	// when the file cannot be read as one.
	Key string
	// Text says what is wrong.
	Text string
	// File and Line are where it stands; empty and 0 when it came from the
	// environment, a flag or a default.
	File string
	Line int
}

// Error begins with file and line, as compilers do.
func (m *Mistake) Error() string {
	switch {
	case m.File == "":
		return m.Text
	case m.Line == 0:
		return m.File + ": " + m.Text
	}
	return fmt.Sprintf("%s:%d: %s", m.File, m.Line, m.Text)
}

// decode reads the file's text over c.
func decode(path string, src []byte, c *Config) error {
	d := yaml.NewDecoder(bytes.NewReader(src))
	d.KnownFields(true)
	err := d.Decode(c)
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	// The library's texts begin with "line 3: ", some behind "yaml: "; of several
	// faults the first is told.
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if several, ok := errors.AsType[*yaml.TypeError](err); ok && len(several.Errors) > 0 {
		text = several.Errors[0]
	}
	m := &Mistake{Text: text, File: path}
	if n, rest, ok := strings.Cut(strings.TrimPrefix(text, "line "), ": "); ok && n != text {
		if line, err := strconv.Atoi(n); err == nil {
			m.Line, m.Text = line, rest
		}
	}
	if key, ok := unknownKey(m.Text); ok {
		m.Key, m.Text = key, fmt.Sprintf("there is no setting %q here", key)
	}
	return m
}

// unknownKey finds the key in the library's text about one.
func unknownKey(text string) (string, bool) {
	rest, ok := strings.CutPrefix(text, "field ")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(strings.SplitN(rest, " in type ", 2)[0], " not found")
}

// locate says where in the file a mistake was made, if the file alone makes it.
func locate(err error, file Config, path string, src []byte) error {
	m, ok := errors.AsType[*Mistake](err)
	if !ok {
		return err
	}
	if len(file.Regions) == 0 {
		file.Regions = []string{file.Region}
	}
	alone := file.settlePublic()
	if alone == nil {
		alone = file.Validate()
	}
	if alone != nil && alone.Error() == m.Error() {
		if line := lineOf(src, m.Key); line > 0 {
			m.File, m.Line = path, line
		}
	}
	return m
}

// lineOf finds a key such as "audit.durability" or "network.vpcs.0.id" in YAML; of
// one that is not there it finds what should hold it, and 0 without that.
func lineOf(src []byte, key string) int {
	var doc yaml.Node
	if err := yaml.Unmarshal(src, &doc); err != nil || len(doc.Content) == 0 {
		return 0
	}
	at, line := doc.Content[0], 0
	for name := range strings.SplitSeq(key, ".") {
		found := false
		if i, err := strconv.Atoi(name); err == nil && at.Kind == yaml.SequenceNode && i < len(at.Content) {
			at, line, found = at.Content[i], at.Content[i].Line, true
		}
		for i := 0; at.Kind == yaml.MappingNode && i+1 < len(at.Content); i += 2 {
			if at.Content[i].Value == name {
				at, line, found = at.Content[i+1], at.Content[i].Line, true
				break
			}
		}
		if !found {
			return line
		}
	}
	return line
}

var regionPattern = regexp.MustCompile(`^([a-z]+-)+\d+$`)

// Validate says what cannot be; the error is a *Mistake.
func (c *Config) Validate() error {
	wrong := func(key, format string, args ...any) error {
		return &Mistake{Key: key, Text: fmt.Sprintf(format, args...)}
	}
	for _, r := range c.Regions {
		if !regionPattern.MatchString(r) || len(r) > 32 {
			key := "regions"
			if r == c.Region {
				key = "region"
			}
			return wrong(key, "%q is not a region; use a name such as us-east-1 or dc-berlin-1", r)
		}
	}
	if !slices.Contains(c.Regions, c.Region) {
		return wrong("regions", "regions does not hold the default region %s", c.Region)
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return wrong("listen", "listen %q is not host:port", c.Listen)
	}
	if c.InsecureHTTP && !loopback(c.Listen) {
		return wrong("insecure_http", "insecure_http works on loopback only, not on %s: secrets and signatures would cross the network in the clear", c.Listen)
	}
	if c.Operations != "" && !loopback(c.Operations) {
		return wrong("operations", "operations must listen on loopback, not on %s: it asks for no signature", c.Operations)
	}
	if (c.TLS.Certificate == "") != (c.TLS.Key == "") {
		return wrong("tls", "tls needs both certificate and key, or neither")
	}
	switch mode := c.TLS.ClientAuthMode(); {
	case mode != ClientAuthOff && mode != ClientAuthRequest && mode != ClientAuthRequire:
		return wrong("tls.client_auth", "tls.client_auth %q is none of off, request and require", mode)
	case mode != ClientAuthOff && c.TLS.ClientCA == "":
		return wrong("tls.client_auth", "tls.client_auth %s needs client_ca, to know whose certificates are good", mode)
	case mode != ClientAuthOff && c.InsecureHTTP:
		return wrong("tls.client_auth", "insecure_http asks for no certificates, but tls.client_auth does")
	}
	if err := c.Limits.validate(); err != nil {
		return err
	}
	if c.Cache.Rows < 0 {
		return wrong("cache.rows", "cache.rows must be 0 for no cache, or more, not %d", c.Cache.Rows)
	}
	if !slices.Contains([]string{"written", "synced", "replicated"}, c.Audit.Durability) {
		return wrong("audit.durability", "audit durability %q is none of written, synced and replicated", c.Audit.Durability)
	}
	if c.Audit.Durability == "replicated" && c.Database == "" {
		return wrong("audit.durability", "audit durability replicated needs PostgreSQL: SQLite's database lies on the disk that the record is on anyway")
	}
	if c.Audit.Spool < 0 {
		return wrong("audit.spool", "audit.spool must not be below 0, as %d is", c.Audit.Spool)
	}
	for _, s := range []struct{ key, value string }{{"egress.allow_private", c.Egress.AllowPrivate}, {"egress.allow_loopback", c.Egress.AllowLoopback}} {
		if !slices.Contains([]string{"true", "false", "auto"}, s.value) {
			return wrong(s.key, "%s %q is none of true, false and auto", s.key, s.value)
		}
	}
	if c.Egress.Time <= 0 || c.Egress.Time > time.Minute {
		return wrong("egress.time", "egress.time %s is not between 0 and 1m: a caller waits for it", c.Egress.Time)
	}
	if c.Denials.Keep <= 0 {
		return wrong("denials.keep", "denials.keep must be more than 0, not %s", c.Denials.Keep)
	}
	if c.Denials.PerAccount <= 0 {
		return wrong("denials.per_account", "denials.per_account must be more than 0, not %d", c.Denials.PerAccount)
	}
	if !slices.Contains([]string{"auto", "all", "keys"}, c.Memory.Lock) {
		return wrong("memory.lock", "memory.lock %q is none of auto, all and keys", c.Memory.Lock)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		return wrong("log.format", "log format %q is neither text nor json", c.Log.Format)
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level) {
		return wrong("log.level", "log level %q is none of debug, info, warn and error", c.Log.Level)
	}
	if err := c.validateShip(); err != nil {
		return err
	}
	return c.validateNetwork()
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// URL is where clients on this machine reach the API.
func (c *Config) URL() string {
	scheme := "https"
	if c.InsecureHTTP && len(c.PublicListen()) > 0 {
		scheme = "http" // Private endpoints have TLS always.
	}
	host, port, _ := net.SplitHostPort(c.URLAddress())
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// CertificateHosts are the names and addresses of the own certificate.
func (c *Config) CertificateHosts() []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	for _, l := range c.PublicListen() {
		if host, _, _ := net.SplitHostPort(l); !unspecified(host) && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return append(hosts, c.TLS.Hosts...)
}

// Redacted returns the effective configuration as YAML, without passwords.
func (c Config) Redacted() string {
	if c.Database != "" {
		c.Database = "[redacted]"
	}
	b, err := yaml.Marshal(c)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
