package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/ca"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/iam"
	"github.com/strongroom/strongroom/internal/keyring"
	"github.com/strongroom/strongroom/internal/seal"
	"github.com/strongroom/strongroom/internal/store"
)

// What lies in a data directory besides the database and the certificates.
const (
	// RootKeyFile is the root key of the file provider, mode 0600.
	RootKeyFile = "root.key"
	// CredentialsFile holds the first admin key, mode 0600. With the root key it
	// is one of the two files with a secret in the clear.
	CredentialsFile = "admin.json"
	// AuditDir holds the audit segments.
	AuditDir = "audit"
	// SocketFile is the operator's socket.
	SocketFile = "operator.sock"
	// endpointFile holds the URL that the server was last reached at.
	endpointFile = "endpoint"
	// stateFile says which node this directory is; written last by Init.
	stateFile = "node.json"
)

// ErrInitialised means that the data directory is in use already.
var ErrInitialised = errors.New("the data directory is initialised already")

// ErrNotInitialised means that Init has not run, or not to its end.
var ErrNotInitialised = errors.New("the data directory is not initialised")

// state is what node.json holds.
type state struct {
	Node    string `json:"node"`
	Account string `json:"account"`
}

// Credentials are an account's key as the file of the first admin holds them.
type Credentials struct {
	Account         string `json:"account"`
	User            string `json:"user"`
	AccessKeyID     string `json:"accessKeyId"`
	SecretAccessKey string `json:"secretAccessKey"`
}

func readState(dir string) (state, error) {
	var s state
	b, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return s, ErrNotInitialised
	}
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil || s.Node == "" || !aws.ValidAccountID(s.Account) {
		return s, fmt.Errorf("%s is damaged", stateFile)
	}
	return s, nil
}

// Initialised reports whether dir was made by a finished Init.
func Initialised(dir string) bool {
	_, err := readState(dir)
	return err == nil
}

// Account is the account that Init made.
func Account(dir string) (string, error) {
	s, err := readState(dir)
	return s.Account, err
}

// Node is the name of this directory's audit chain.
func Node(dir string) (string, error) {
	s, err := readState(dir)
	return s.Node, err
}

// Endpoint is the URL at which the directory's server is, or was last, reached;
// before its first start the one that the configuration names.
func Endpoint(cfg config.Config) string {
	b, err := os.ReadFile(filepath.Join(cfg.Data, endpointFile))
	if url := strings.TrimSpace(string(b)); err == nil && url != "" {
		return url
	}
	return cfg.URL()
}

// ReadCredentials returns the first admin's key.
func ReadCredentials(dir string) (c Credentials, err error) {
	b, err := os.ReadFile(filepath.Join(dir, CredentialsFile))
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(b, &c)
}

// Init makes a data directory: root key, keyring, certificates, configuration
// file, the first account with its user admin and that user's key. A run that
// was cut short is taken up by the next one; node.json, written last, marks a
// finished one. account "" makes a random one.
func Init(ctx context.Context, cfg config.Config, account string, log *slog.Logger) (creds Credentials, err error) {
	if Initialised(cfg.Data) {
		return creds, ErrInitialised
	}
	if account == "" {
		account = aws.NewAccountID()
	}
	if !aws.ValidAccountID(account) {
		return creds, fmt.Errorf("account id %q is not 12 digits", account)
	}
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return creds, err
	}
	if err := initKeys(ctx, cfg); err != nil {
		return creds, err
	}
	if _, err := os.Stat(filepath.Join(cfg.Data, ca.CertificateFile)); errors.Is(err, fs.ErrNotExist) {
		if err := ca.Init(cfg.Data, cfg.CertificateHosts(), time.Now()); err != nil {
			return creds, fmt.Errorf("make certificates: %w", err)
		}
	}
	if err := writeConfig(cfg); err != nil {
		return creds, err
	}
	node := state{Node: "node-" + aws.RandomString("abcdefghijklmnopqrstuvwxyz0123456789", 8), Account: account}
	if err := writeJSON(filepath.Join(cfg.Data, stateFile), node); err != nil {
		return creds, err
	}
	defer func() {
		if err != nil {
			// Unfinished: the next Init goes on.
			err = errors.Join(err, os.Remove(filepath.Join(cfg.Data, stateFile)))
		}
	}()
	return initAccount(ctx, cfg, account, log)
}

// initKeys makes root key and keyring, or takes up those of an unfinished run.
func initKeys(ctx context.Context, cfg config.Config) error {
	path := filepath.Join(cfg.Data, RootKeyFile)
	root, err := seal.OpenFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		root, err = seal.CreateFile(path)
	}
	if err != nil {
		return fmt.Errorf("make root key: %w", err)
	}
	db, err := store.Open(ctx, store.Config{Dir: cfg.Data, URL: cfg.Database})
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	defer db.Close()
	kept := keyring.SQL{Read: db.Read, Change: db.Maintain}
	if err := keyring.Init(ctx, kept, root, time.Now); err != nil && !errors.Is(err, keyring.ErrExists) {
		return fmt.Errorf("make keyring: %w", err)
	}
	keys, err := keyring.Open(ctx, kept, root, time.Now)
	if err != nil {
		return fmt.Errorf("open keyring: %w", err)
	}
	keys.Close()
	return nil
}

// initAccount makes the first account through a whole server, so that it is
// audited as every later one.
func initAccount(ctx context.Context, cfg config.Config, account string, log *slog.Logger) (creds Credentials, err error) {
	s, err := Open(ctx, Options{Config: cfg, Log: log})
	if err != nil {
		return creds, err
	}
	defer func() { err = errors.Join(err, s.Close(ctx)) }()
	creds, err = s.CreateAccount(ctx, account, "main")
	if err != nil {
		return creds, err
	}
	return creds, writeJSON(filepath.Join(cfg.Data, CredentialsFile), creds)
}

// CreateAccount makes an account with its first admin.
func (s *Server) CreateAccount(ctx context.Context, account, name string) (creds Credentials, err error) {
	creds = Credentials{Account: account, User: iam.AdminName}
	err = s.registry.Background(ctx, iam.API.Name, "CreateAccount", account, s.config.Region, func(ctx context.Context) error {
		var err error
		creds.AccessKeyID, creds.SecretAccessKey, err = s.iam.CreateAccount(ctx, account, name)
		return err
	})
	return creds, err
}

// configHeader begins a configuration file that Init writes.
const configHeader = "# Strongroom's configuration. \"strongroom config check\" prints what is in force.\n"

// writeConfig stores what differs from the defaults, unless there is a file.
func writeConfig(cfg config.Config) error {
	path := filepath.Join(cfg.Data, config.FileName)
	text := configHeader + fmt.Sprintf("region: %s\nregions: [%s]\n", cfg.Region, join(cfg.Regions))
	if d := config.Default(); cfg.Listen != d.Listen {
		text += fmt.Sprintf("listen: %q\n", cfg.Listen)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

func join(regions []string) string {
	out := ""
	for i, r := range regions {
		if i > 0 {
			out += ", "
		}
		out += r
	}
	return out
}

// writeJSON writes a 0600 file so that it is there whole or not at all.
func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(temp, path)
}
