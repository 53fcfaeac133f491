package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/internal/ca"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/server"
)

func newEnv(env *Env) *cobra.Command {
	var data string
	var asJSON bool
	c := &cobra.Command{
		Use:   "env",
		Short: "Print the environment that points AWS tools at this server",
		Long: `Print shell exports: eval "$(strongroom env)" makes the AWS CLI and SDKs of this
shell use this server as the user admin. It holds in sh, bash and zsh.

The output holds that user's secret access key.`,
		Args: arguments(),
		RunE: func(*cobra.Command, []string) error {
			creds, err := adminCredentials(data)
			if err != nil {
				return err
			}
			vars, err := environment(env, data, creds)
			if err != nil {
				return err
			}
			if asJSON {
				out := make(map[string]string, len(vars))
				for _, v := range vars {
					out[v[0]] = v[1]
				}
				return printJSON(env.Stdout, out)
			}
			return printExports(env, vars)
		},
	}
	dataFlag(c, env, &data)
	jsonFlag(c, &asJSON)
	return c
}

// adminCredentials reads the key that init left in a data directory.
func adminCredentials(data string) (server.Credentials, error) {
	creds, err := server.ReadCredentials(data)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !server.Initialised(data):
		return creds, notInitialised(data)
	case errors.Is(err, fs.ErrNotExist):
		return creds, withHint(fmt.Errorf("%s is gone from %s", server.CredentialsFile, data),
			"use a key of your own, or get one for an hour: strongroom root-credentials")
	case errors.Is(err, fs.ErrPermission):
		return creds, withHint(fmt.Errorf("read credentials: %w", err), "run this as the user that ran init, or use a key of your own")
	case err != nil:
		return creds, fmt.Errorf("read credentials: %w", err)
	}
	return creds, nil
}

// environment lists variables and values in the order they are printed.
func environment(env *Env, data string, creds server.Credentials) ([][2]string, error) {
	cfg, err := config.Load(data, env.Getenv, nil)
	if err != nil {
		return nil, usageError{err}
	}
	endpoint := server.Endpoint(cfg)
	vars := [][2]string{
		{"AWS_ENDPOINT_URL", endpoint},
		// A setting of the profile to ignore endpoints would send calls to Amazon.
		{"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "false"},
		{"AWS_REGION", cfg.Region},
		{"AWS_DEFAULT_REGION", cfg.Region},
		{"AWS_ACCESS_KEY_ID", creds.AccessKeyID},
		{"AWS_SECRET_ACCESS_KEY", creds.SecretAccessKey},
	}
	if strings.HasPrefix(endpoint, "https:") && cfg.TLS.Certificate == "" {
		bundle, err := filepath.Abs(filepath.Join(data, ca.CertificateFile))
		if err != nil {
			return nil, err
		}
		vars = append(vars, [2]string{"AWS_CA_BUNDLE", bundle})
	}
	return append(vars, pastProxies(env, endpoint)...), nil
}

// pastProxies keeps clients that are told to use a proxy from asking it for this
// machine: Python's do so even for loopback addresses.
func pastProxies(env *Env, endpoint string) [][2]string {
	proxied := slices.ContainsFunc([]string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"},
		func(name string) bool { return env.Getenv(name) != "" })
	u, err := url.Parse(endpoint)
	if !proxied || err != nil {
		return nil
	}
	// Tools that know both spellings prefer the small one.
	list := env.Getenv("no_proxy")
	if list == "" {
		list = env.Getenv("NO_PROXY")
	}
	hosts := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
	if !slices.Contains(hosts, u.Hostname()) {
		hosts = append(hosts, u.Hostname())
	}
	list = strings.Join(hosts, ",")
	return [][2]string{{"NO_PROXY", list}, {"no_proxy", list}}
}

// printExports writes what a shell evaluates.
func printExports(env *Env, vars [][2]string) error {
	for _, v := range vars {
		if _, err := fmt.Fprintf(env.Stdout, "export %s=%s\n", v[0], shellQuote(v[1])); err != nil {
			return err
		}
	}
	_, err := fmt.Fprint(env.Stdout, cliGuard)
	return err
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// shellWord quotes a word for a line to be copied, where it needs it.
func shellWord(s string) string {
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%,=", r)
	}
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !safe(r) }) {
		return s
	}
	return shellQuote(s)
}

// cliGuard keeps an AWS CLI that does not know AWS_ENDPOINT_URL (before 1.29 and
// 2.13; Debian 12 has 2.9.19) from sending the user's secret to Amazon: the
// function refuses and says what to do instead. Arguments are compared one by
// one, since a secret among them may hold any text. The version is looked at
// when the shell evaluates it, so an upgrade is noticed by evaluating again.
//
// A session token of other credentials would be sent along and refused; an
// endpoint for one service would win over the one for all.
const cliGuard = `unset AWS_SESSION_TOKEN AWS_PROFILE
unset AWS_ENDPOINT_URL_SECRETS_MANAGER AWS_ENDPOINT_URL_KMS AWS_ENDPOINT_URL_IAM AWS_ENDPOINT_URL_STS
unset -f aws 2>/dev/null || true
if command -v aws >/dev/null 2>&1; then
  case "$(command aws --version 2>&1)" in
  aws-cli/0.*|aws-cli/1.[0-9].*|aws-cli/1.1[0-9].*|aws-cli/1.2[0-8].*|aws-cli/2.[0-9].*|aws-cli/2.1[0-2].*)
    aws() {
      case "${1-}" in --version|help|configure) command aws "$@"; return ;; esac
      for strongroom_word in "$@"; do
        case "$strongroom_word" in
        --endpoint-url|--endpoint-url=*) unset strongroom_word; command aws "$@"; return ;;
        esac
      done
      unset strongroom_word
      echo "strongroom: this AWS CLI ($(command aws --version 2>&1 | cut -d' ' -f1)) does not know AWS_ENDPOINT_URL and would send your call, secrets included, to Amazon." >&2
      echo "strongroom: use version 2.13 or newer (1.29 of the first), or say it yourself: aws --endpoint-url \"\$AWS_ENDPOINT_URL\" ..." >&2
      return 2
    } ;;
  esac
fi
`
