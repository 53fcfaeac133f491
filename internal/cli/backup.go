package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/server"
)

func newBackup(env *Env) *cobra.Command {
	var data, output, passphrase string
	var recipients []string
	var asJSON, noAudit bool
	c := &cobra.Command{
		Use:   "backup",
		Short: "Write everything stored into one encrypted file",
		Long: `Write everything stored, as it is at one moment, into one file that only its
recipients or whoever knows a passphrase can read: on a running or a stopped
server, SQLite or PostgreSQL. "strongroom restore" reads it into either.

The audit record of this node is in it, unless --no-audit says otherwise. The
root key is not, and is not needed to restore.`,
		Example: `  strongroom backup --recipient age1... --output backup.age
  strongroom backup --passphrase-file /run/keys/backup --output - | ssh host 'cat > backup.age'`,
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case output == "":
				return usageError{withHint(errors.New("strongroom backup needs --output"), helpHint(c))}
			case output == "-" && asJSON:
				return usageError{errors.New("--json has no place where the backup itself goes to standard output")}
			case len(recipients) > 0 && passphrase != "":
				return usageError{errors.New("--recipient and --passphrase-file exclude each other")}
			}
			in := server.BackupRequest{Recipients: recipients, Release: buildOf(env).Version, NoAudit: noAudit}
			if len(recipients) == 0 {
				var err error
				if in.Passphrase, err = readPassphrase(c.Context(), env, passphrase, true); err != nil {
					return err
				}
			}
			n, err := writeBackup(c.Context(), env, data, output, in)
			if err != nil {
				return fmt.Errorf("cannot back up %s: %w", data, err)
			}
			if asJSON {
				return printJSON(env.Stdout, backupWritten{output, n})
			}
			return nil
		},
	}
	dataFlag(c, env, &data)
	jsonFlag(c, &asJSON)
	c.Flags().StringVarP(&output, "output", "o", "", "`FILE` to write, \"-\" for standard output; it must not exist")
	c.Flags().StringArrayVarP(&recipients, "recipient", "r", nil, "age `RECIPIENT` who can read it (age1...); may be repeated")
	c.Flags().StringVar(&passphrase, "passphrase-file", "", "`FILE` with the passphrase (without recipients, the default is to ask)")
	c.Flags().BoolVar(&noAudit, "no-audit", false, "leave the audit record out")
	return c
}

// backupWritten is the outcome as JSON.
type backupWritten struct {
	File  string `json:"file"`
	Bytes int64  `json:"bytes"`
}

// minPassphrase is what scrypt makes expensive enough to guess only if people do
// not choose too badly.
const minPassphrase = 12

// readPassphrase reads a passphrase from a file, or asks for it; twice when it is
// a new one, since nobody sees a slip of the hand.
func readPassphrase(ctx context.Context, env *Env, file string, fresh bool) (string, error) {
	var text string
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("read the passphrase: %w", err)
		}
		text = strings.TrimRight(string(b), "\r\n")
	} else {
		tty, ok := terminal(env.Stdin)
		if !ok {
			return "", usageError{errors.New("no recipient or identity, no --passphrase-file, and no terminal to ask for a passphrase")}
		}
		var err error
		if text, err = promptSecret(ctx, tty, env.Stderr, "Passphrase of the backup (not shown): "); err != nil {
			return "", err
		}
		if fresh {
			again, err := promptSecret(ctx, tty, env.Stderr, "Once more: ")
			if err != nil {
				return "", err
			}
			if again != text {
				return "", errors.New("the two passphrases differ")
			}
		}
	}
	if fresh && len(text) < minPassphrase {
		return "", usageError{fmt.Errorf("the passphrase has fewer than %d characters", minPassphrase)}
	}
	if text == "" {
		return "", usageError{errors.New("the passphrase is empty")}
	}
	return text, nil
}

// writeBackup writes to a file that gets its name when it is whole, and returns its
// size.
func writeBackup(ctx context.Context, env *Env, data, output string, in server.BackupRequest) (int64, error) {
	if output == "-" {
		return streamBackup(ctx, env, data, env.Stdout, in)
	}
	if _, err := os.Lstat(output); err == nil {
		return 0, fmt.Errorf("%s is there already", output)
	}
	part := output + ".part"
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	n, err := streamBackup(ctx, env, data, f, in)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, errors.Join(err, os.Remove(part))
	}
	// Link refuses a name that was taken meanwhile, which rename would not.
	if err := os.Link(part, output); err != nil {
		return 0, err
	}
	return n, os.Remove(part)
}

// streamBackup asks the running server, or opens the directory of a stopped one.
func streamBackup(ctx context.Context, env *Env, data string, to io.Writer, in server.BackupRequest) (int64, error) {
	p := &progress{to: to, talk: env.Stderr}
	body, err := operatorStream(ctx, data, http.MethodPost, "/v1/backup", in)
	switch {
	case err == nil:
		if _, err = io.Copy(p, body); errors.Is(err, io.ErrUnexpectedEOF) {
			err = withHint(errors.New("the server broke off"), "its log says why")
		}
		err = errors.Join(err, body.Close())
	case errors.Is(err, errNotRunning):
		err = backupStopped(ctx, env, data, p, in)
	}
	if err == nil {
		fmt.Fprintf(env.Stderr, "Backup of %s: %s, complete.\n", data, count(uint64(p.n), "byte"))
	}
	return p.n, err
}

func backupStopped(ctx context.Context, env *Env, data string, to io.Writer, in server.BackupRequest) error {
	cfg, err := config.Load(data, env.Getenv, nil)
	if err != nil {
		return usageError{err}
	}
	s, err := server.Open(ctx, server.Options{Config: cfg, Log: quiet(env)})
	if err != nil {
		return fmt.Errorf("no server runs, and the data directory cannot be opened: %w", err)
	}
	_, err = s.Backup(ctx, to, in)
	return errors.Join(err, s.Close(context.WithoutCancel(ctx)))
}

// progressEvery is how often progress is told.
const progressEvery = 2 * time.Second

// progress passes bytes on and tells of them.
type progress struct {
	to, talk io.Writer
	n        int64
	told     time.Time
}

func (p *progress) Write(b []byte) (int, error) {
	n, err := p.to.Write(b)
	p.n += int64(n)
	if p.told.IsZero() {
		p.told = time.Now()
	}
	if time.Since(p.told) >= progressEvery {
		p.told = time.Now()
		fmt.Fprintf(p.talk, "%d MiB written\n", p.n>>20)
	}
	return n, err
}
