package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/spf13/cobra"
)

// maxJWKS bounds the document that is read; the operator's socket takes no more.
const maxJWKS = 48 << 10

func newOIDC(env *Env) *cobra.Command {
	c := group(&cobra.Command{
		Use:   "oidc",
		Short: "Keys of identity providers that cannot be reached",
		Long: `Say by which keys the tokens of an identity provider verify. A provider is made
with the AWS API: aws iam create-open-id-connect-provider.`,
	})
	c.AddCommand(newOIDCSetKeys(env))
	return c
}

func newOIDCSetKeys(env *Env) *cobra.Command {
	var data, file string
	var fetch bool
	c := &cobra.Command{
		Use:   "set-keys ARN",
		Short: "Paste the keys of an identity provider, or have them fetched again",
		Long: `Take the keys of an identity provider from a JWKS document instead of asking the
provider: for issuers that the server cannot reach, such as the API server of an
air-gapped cluster. From then on the provider is never asked; when it changes its
keys, paste them again. --fetch forgets the document and asks the provider.

The command asks the running server over its socket, so it works on its machine
only, for the user that runs it. It is recorded.`,
		Example: `  kubectl get --raw /openid/v1/jwks > jwks.json
  strongroom oidc set-keys arn:aws:iam::111122223333:oidc-provider/kubernetes.default.svc --jwks jwks.json`,
		Args: arguments("ARN"),
		RunE: func(c *cobra.Command, args []string) error {
			if (file == "") != fetch {
				return usageError{withHint(errors.New("give either --jwks or --fetch"), helpHint(c))}
			}
			var jwks []byte
			var err error
			if !fetch {
				if jwks, err = readDocument(env, file, maxJWKS); err != nil {
					return fmt.Errorf("cannot read the keys: %w", err)
				}
			}
			in := map[string]string{"provider": args[0], "jwks": string(jwks)}
			if err := operator(c.Context(), data, http.MethodPost, "/v1/oidc/keys", in, &struct{}{}); err != nil {
				return fmt.Errorf("cannot set the keys of %s: %w", plain(args[0]), err)
			}
			if fetch {
				fmt.Fprintln(env.Stdout, "The keys are fetched from the provider again.")
			} else {
				fmt.Fprintln(env.Stdout, "The keys are in force.")
			}
			return nil
		},
	}
	dataFlag(c, env, &data)
	c.Flags().StringVar(&file, "jwks", "", "JWKS document `FILE`, \"-\" for standard input")
	c.Flags().BoolVar(&fetch, "fetch", false, "forget a pasted document")
	_ = c.MarkFlagFilename("jwks") // fails only for a flag that does not exist
	return c
}

// readDocument reads a file, "-" for standard input, of at most most bytes and not
// of none.
func readDocument(env *Env, file string, most int64) ([]byte, error) {
	in := env.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, most+1))
	switch {
	case err != nil:
		return nil, err
	case len(b) == 0:
		return nil, errors.New("it is empty")
	case int64(len(b)) > most:
		return nil, fmt.Errorf("it is longer than %d bytes", most)
	}
	return b, nil
}
