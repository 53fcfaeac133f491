package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
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
shell use this server as the user admin.

The output holds that user's secret access key.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			vars, err := environment(data, env)
			if err != nil {
				return err
			}
			if asJSON {
				out := make(map[string]string, len(vars))
				for _, v := range vars {
					out[v[0]] = v[1]
				}
				e := json.NewEncoder(env.Stdout)
				e.SetIndent("", "  ")
				return e.Encode(out)
			}
			for _, v := range vars {
				fmt.Fprintf(env.Stdout, "export %s=%s\n", v[0], shellQuote(v[1]))
			}
			_, err = fmt.Fprint(env.Stdout, cliGuard)
			return err
		},
	}
	dataFlag(c, env, &data)
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return c
}

// environment lists variables and values in the order they are printed.
func environment(data string, env *Env) ([][2]string, error) {
	cfg, err := config.Load(data, env.Getenv, nil)
	if err != nil {
		return nil, err
	}
	creds, err := server.ReadCredentials(data)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, withHint(fmt.Errorf("%s holds no credentials of an admin", data), "make the data directory with: strongroom init --data "+data)
	}
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	vars := [][2]string{
		{"AWS_ENDPOINT_URL", server.Endpoint(cfg)},
		{"AWS_REGION", cfg.Region},
		{"AWS_DEFAULT_REGION", cfg.Region},
		{"AWS_ACCESS_KEY_ID", creds.AccessKeyID},
		{"AWS_SECRET_ACCESS_KEY", creds.SecretAccessKey},
	}
	if !cfg.InsecureHTTP && cfg.TLS.Certificate == "" {
		bundle, err := filepath.Abs(filepath.Join(data, ca.CertificateFile))
		if err != nil {
			return nil, err
		}
		vars = append(vars, [2]string{"AWS_CA_BUNDLE", bundle})
	}
	return vars, nil
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// cliGuard keeps an AWS CLI that does not know AWS_ENDPOINT_URL (before 1.29 and
// 2.13; Debian 12 has 2.9.19) from sending the user's secret to Amazon: the
// function refuses and says what to do instead. The version is looked at when
// the shell evaluates it, so an upgrade is noticed by evaluating again. A session
// token of other credentials would be sent along and refused.
const cliGuard = `unset AWS_SESSION_TOKEN AWS_PROFILE
if command -v aws >/dev/null 2>&1; then
  case "$(command aws --version 2>&1)" in
  aws-cli/0.*|aws-cli/1.[0-9].*|aws-cli/1.1[0-9].*|aws-cli/1.2[0-8].*|aws-cli/2.[0-9].*|aws-cli/2.1[0-2].*)
    aws() {
      case " $* " in
      *" --endpoint-url "*|*" --endpoint-url="*) command aws "$@" ;;
      *)
        echo "strongroom: this AWS CLI ($(command aws --version 2>&1 | cut -d' ' -f1)) does not know AWS_ENDPOINT_URL and would send your call, secrets included, to Amazon." >&2
        echo "strongroom: use version 2.13 or newer (1.29 of the first), or say it yourself: aws --endpoint-url \"\$AWS_ENDPOINT_URL\" ..." >&2
        return 2 ;;
      esac
    } ;;
  *) unset -f aws 2>/dev/null || true ;;
  esac
fi
`
