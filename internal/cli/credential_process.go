package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// processOutput is the contract of credential_process.
type processOutput struct {
	Version         int
	AccessKeyID     string    `json:"AccessKeyId"`
	SecretAccessKey string    `json:"SecretAccessKey"`
	SessionToken    string    `json:"SessionToken"`
	Expiration      time.Time `json:"Expiration"`
	AccountID       string    `json:"AccountId,omitempty"`
}

func newCredentialProcess(env *Env) *cobra.Command {
	var cacheDir string
	var noCache bool
	c := &cobra.Command{
		Use:   "credential-process",
		Short: "Take a role for an AWS profile (credential_process)",
		Long: `Take a role and print its credentials as an AWS profile's credential_process does:
every AWS tool that reads the profile then works with temporary credentials and
without keys in a file.

The role is taken with the credentials that the SDK finds (--profile, environment),
or with an ID token from a file, such as a Kubernetes service account's. SDKs keep
credentials within a process only, so they are cached in a private directory and
made anew six minutes before they end.`,
		Example: `  [profile app]
  region = us-east-1
  endpoint_url = https://127.0.0.1:4766
  credential_process = strongroom credential-process --endpoint https://127.0.0.1:4766 --region us-east-1 --profile base --role-arn arn:aws:iam::111122223333:role/app`,
		Args: arguments(),
	}
	w := workloadFlags(c, env)
	c.Flags().StringVar(&cacheDir, "cache-dir", "", "`DIR` that keeps credentials (default strongroom/credentials in the user's cache)")
	c.Flags().BoolVar(&noCache, "no-cache", false, "always make new credentials, and keep none")
	exclude(c, "cache-dir", "no-cache")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if _, interactive := terminal(env.Stdout); interactive {
			return withHint(errors.New("the credentials would be shown on the terminal"), "name this command as credential_process of an AWS profile")
		}
		t, err := w.prepare(c.Context())
		if err != nil {
			return fmt.Errorf("cannot take a role: %w", err)
		}
		got, err := cachedOrTaken(c.Context(), t, cacheDir, noCache)
		if err != nil {
			return err
		}
		return json.NewEncoder(env.Stdout).Encode(processOutput{
			1, got.AccessKeyID, got.SecretAccessKey, got.SessionToken, got.Expires.UTC(), got.AccountID,
		})
	}
	return c
}

// cachedOrTaken returns credentials of an earlier run, or makes some. A cache that
// does not work costs a call, and nothing else.
func cachedOrTaken(ctx context.Context, t *taking, dir string, none bool) (temporary, error) {
	if none {
		return t.take(ctx)
	}
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return t.take(ctx)
		}
		dir = filepath.Join(base, "strongroom", "credentials")
	}
	file := filepath.Join(dir, t.cacheName())
	if got, err := readCache(file); err == nil && got.fresh(t.now()) {
		return got, nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(t.env.Stderr, "strongroom: cached credentials are not used: %v\n", err)
	}
	got, err := t.take(ctx)
	if err != nil {
		return got, err
	}
	if err := writeCache(file, got); err != nil {
		fmt.Fprintf(t.env.Stderr, "strongroom: credentials are not cached: %v\n", err)
	}
	sweep(dir, t.now())
	return got, nil
}

// cacheName follows from everything that the credentials depend on: who takes
// which role where. A holder who changed finds none of another's.
func (t *taking) cacheName() string {
	b, err := json.Marshal([]any{*t.client.Options().BaseEndpoint, t.client.Options().Region, t.roleARN, t.session, t.externalID, t.duration, t.tokenFile, t.holder})
	if err != nil {
		panic(err) // texts and a number
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]) + ".json"
}

// maxCached bounds a file of the cache; a session token has some 11 KB at most.
const maxCached = 64 << 10

// readCache reads a file that nobody else could have written or read.
func readCache(file string) (got temporary, err error) {
	if err := private(filepath.Dir(file)); err != nil {
		return got, err
	}
	// Not through a link, which could lead to a file with another's credentials.
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return got, err
	}
	defer f.Close()
	if err := privateFile(f); err != nil {
		return got, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxCached))
	if err != nil {
		return got, err
	}
	var out processOutput
	if err := json.Unmarshal(b, &out); err != nil || out.Version != 1 {
		return got, fmt.Errorf("%s is not a file of this cache", file)
	}
	return temporary{out.AccessKeyID, out.SecretAccessKey, out.SessionToken, out.AccountID, out.Expiration}, nil
}

// private refuses a directory in which somebody else could put or find files.
func private(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return err
	}
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 || st.Uid != uint32(os.Geteuid()) {
		return fmt.Errorf("%s must be a directory of this user alone, mode 0700", dir)
	}
	return nil
}

// privateFile is private for an open file.
func privateFile(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 || st.Uid != uint32(os.Geteuid()) {
		return fmt.Errorf("%s must be a file of this user alone, mode 0600", f.Name())
	}
	return nil
}

func writeCache(file string, got temporary) error {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := private(dir); err != nil {
		return err
	}
	b, err := json.Marshal(processOutput{1, got.AccessKeyID, got.SecretAccessKey, got.SessionToken, got.Expires.UTC(), got.AccountID})
	if err != nil {
		return err
	}
	defer clear(b)
	return writePrivate(file, b)
}

// sweep removes what has ended from the cache. Token files change, and with them
// the names here, so nobody else would.
func sweep(dir string, now time.Time) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return
	}
	for _, file := range files {
		if got, err := readCache(file); err == nil && now.After(got.Expires) {
			_ = os.Remove(file) // another process may have been faster
		}
	}
}
