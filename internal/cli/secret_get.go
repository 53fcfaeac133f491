package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/spf13/cobra"
)

func newSecretGet(env *Env) *cobra.Command {
	var version, stage, output string
	c := &cobra.Command{
		Use:   "get NAME",
		Short: "Print the value of a secret",
		Long: `Print the value of a secret on standard output and nothing else: byte for byte,
with a line end added on a terminal only. Binary values are not written to a
terminal; --output writes any value to a file of mode 0600.`,
		Example: `  strongroom secret get prod/db
  strongroom secret get prod/db --stage AWSPREVIOUS
  strongroom secret get prod/tls-key --output key.pem`,
		Args: arguments("NAME"),
	}
	a := accessFlags(c, env)
	c.Flags().StringVar(&version, "version-id", "", "version `ID` to read (default the one labelled AWSCURRENT)")
	c.Flags().StringVar(&stage, "stage", "", "staging `LABEL` to read, such as AWSPREVIOUS")
	c.Flags().StringVarP(&output, "output", "o", "", "write the value to `FILE`, of mode 0600")
	exclude(c, "output", "json")
	_ = c.MarkFlagFilename("output") // fails only for a flag that does not exist
	c.RunE = func(c *cobra.Command, args []string) error {
		ctx := c.Context()
		api, err := a.open(ctx)
		if err != nil {
			return apiError("get secret", args[0], err)
		}
		out, err := api.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &args[0], VersionId: optional(version), VersionStage: optional(stage)})
		if err != nil {
			return apiError("get secret", args[0], err)
		}
		return a.show(api, func() error {
			if out.SecretString != nil {
				err = writeValue(env, output, []byte(*out.SecretString), true)
			} else {
				err = writeValue(env, output, out.SecretBinary, false)
			}
			return apiError("get secret", args[0], err)
		})
	}
	return c
}

// writeValue hands a value over: to a file, or to standard output.
func writeValue(env *Env, output string, value []byte, text bool) error {
	defer clear(value)
	if output != "" {
		return writePrivate(output, value)
	}
	_, interactive := terminal(env.Stdout)
	if interactive && !text {
		return withHint(errors.New("the value is binary and would garble the terminal"), "write it to a file with --output FILE, or redirect standard output")
	}
	if _, err := env.Stdout.Write(value); err != nil {
		return err
	}
	if interactive && !strings.HasSuffix(string(value), "\n") {
		_, err := io.WriteString(env.Stdout, "\n")
		return err
	}
	return nil
}

// writePrivate writes a file that only its owner may read, whole or not at all.
// An existing file is replaced and not written into: its mode, or whoever has it
// open, would let others read.
func writePrivate(path string, value []byte) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// CreateTemp makes files of mode 0600.
	f, err := os.CreateTemp(filepath.Dir(path), ".strongroom-*")
	if err != nil {
		return err
	}
	_, err = f.Write(value)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
