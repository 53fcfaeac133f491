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
	"slices"
	"strings"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/ca"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/iam"
	"github.com/strongroom/strongroom/internal/keyring"
	"github.com/strongroom/strongroom/internal/seal"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
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
	// databaseFile holds the database's URL, mode 0600.
	databaseFile = "database.url"
	// endpointFile holds the URL that the server was last reached at.
	endpointFile = "endpoint"
	// stateFile says which node this directory is; Init gives it its name last.
	stateFile = "node.json"
	// begunFile is what it is called until then.
	begunFile = "node.json.begun"
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
	// SessionToken belongs to temporary credentials, which the file never holds.
	SessionToken string `json:"sessionToken,omitempty"`
}

func readState(dir string) (state, error) { return readStateFile(dir, stateFile) }

func readStateFile(dir, name string) (state, error) {
	var s state
	b, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return s, ErrNotInitialised
	}
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil || s.Node == "" || !aws.ValidAccountID(s.Account) {
		return s, fmt.Errorf("%s is damaged", name)
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
// was cut short, by kill -9 too, is taken up by the next one; node.json, which
// gets its name last, marks a finished one. account "" makes a random one, or
// takes up the one that was begun with.
func Init(ctx context.Context, cfg config.Config, account string, log *slog.Logger) (creds Credentials, err error) {
	if Initialised(cfg.Data) {
		return creds, ErrInitialised
	}
	if account != "" && !aws.ValidAccountID(account) {
		return creds, fmt.Errorf("account id %q is not 12 digits", account)
	}
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return creds, err
	}
	begun, again, err := begin(cfg.Data, account)
	if err != nil {
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
	if creds, err = initAccount(ctx, cfg, begun, again, log); err != nil {
		return creds, err
	}
	if err := os.Rename(filepath.Join(cfg.Data, begunFile), filepath.Join(cfg.Data, stateFile)); err != nil {
		return creds, err
	}
	return creds, syncDir(cfg.Data)
}

// begin chooses node and account and keeps them for the case that Init is cut
// short; again says that it has been.
func begin(dir, account string) (s state, again bool, err error) {
	s, err = readStateFile(dir, begunFile)
	switch {
	case errors.Is(err, ErrNotInitialised):
		if account == "" {
			account = aws.NewAccountID()
		}
		s = state{Node: newNodeName(), Account: account}
		return s, false, writeJSON(filepath.Join(dir, begunFile), s)
	case err != nil:
		return s, false, err
	case account != "" && account != s.Account:
		return s, true, fmt.Errorf("an unfinished init of account %s is in %s: name that account, or remove the directory and begin anew", s.Account, dir)
	}
	return s, true, nil
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
func initAccount(ctx context.Context, cfg config.Config, begun state, again bool, log *slog.Logger) (creds Credentials, err error) {
	s, err := Open(ctx, Options{Config: cfg, Log: log, begun: begun})
	if err != nil {
		return creds, err
	}
	defer func() { err = errors.Join(err, s.Close(ctx)) }()
	accounts, err := s.iam.ListAccounts(ctx)
	if err != nil {
		return creds, err
	}
	known := slices.ContainsFunc(accounts, func(a iam.Account) bool { return a.ID == begun.Account })
	switch {
	case !known:
		creds, err = s.CreateAccount(ctx, begun.Account, "main")
	case again:
		if creds, err = ReadCredentials(cfg.Data); err == nil {
			return creds, nil // Nothing was missing but the name of node.json.
		}
		creds, err = s.replaceAdminKey(ctx, begun.Account)
	default:
		// Somebody else's: not to be taken for our own by the next run.
		err = fmt.Errorf("account %s is in the database already", begun.Account)
		err = errors.Join(err, os.Remove(filepath.Join(cfg.Data, begunFile)))
	}
	if err != nil {
		return creds, err
	}
	return creds, writeJSON(filepath.Join(cfg.Data, CredentialsFile), creds)
}

// replaceAdminKey makes a key for the admin of an account that a run of Init had
// made before it was cut short, in place of the one whose secret went with it. It
// does so as the account's root user, by the same operations as a client.
func (s *Server) replaceAdminKey(ctx context.Context, account string) (creds Credentials, err error) {
	ctx = wire.NewContext(ctx, &wire.Call{Region: s.config.Region, Principal: &aws.Principal{
		Type: aws.PrincipalRoot, Account: account, ARN: aws.RootARN(account), UserID: account,
	}})
	var held struct {
		AccessKeyMetadata []struct{ AccessKeyId string }
	}
	if err := s.asRoot(ctx, "ListAccessKeys", map[string]string{"UserName": iam.AdminName}, &held); err != nil {
		return creds, err
	}
	for _, k := range held.AccessKeyMetadata {
		if err := s.asRoot(ctx, "DeleteAccessKey", map[string]string{"UserName": iam.AdminName, "AccessKeyId": k.AccessKeyId}, nil); err != nil {
			return creds, err
		}
	}
	var made struct {
		AccessKey struct{ AccessKeyId, SecretAccessKey string }
	}
	if err := s.asRoot(ctx, "CreateAccessKey", map[string]string{"UserName": iam.AdminName}, &made); err != nil {
		return creds, err
	}
	return Credentials{Account: account, User: iam.AdminName, AccessKeyID: made.AccessKey.AccessKeyId, SecretAccessKey: made.AccessKey.SecretAccessKey}, nil
}

// asRoot performs an operation of IAM as the principal in ctx.
func (s *Server) asRoot(ctx context.Context, operation string, in map[string]string, out any) error {
	b, err := json.Marshal(in)
	if err != nil {
		return err
	}
	if b, err = s.registry.Invoke(ctx, iam.API.Name, operation, b); err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(b, out)
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
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err // Written by an earlier run, or by the operator before us.
	}
	if cfg.Database != "" {
		// A file of its own: the URL mostly holds a password, and the
		// configuration is what people show each other.
		if err := writeFile(filepath.Join(cfg.Data, databaseFile), []byte(cfg.Database+"\n")); err != nil {
			return err
		}
		text += "database_file: " + databaseFile + "\n"
	}
	return writeFile(path, []byte(text))
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

// writeJSON writes v as writeFile does.
func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append(b, '\n'))
}

// writeFile writes a 0600 file so that it is there whole or not at all, also after
// a power cut, and before anything that is written later.
func writeFile(path string, b []byte) error {
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
