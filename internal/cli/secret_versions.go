package cli

import (
	"encoding/json"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/spf13/cobra"
)

func newSecretVersions(env *Env) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "versions NAME",
		Short: "List the versions of a secret and their labels",
		Args:  arguments("NAME"),
	}
	a := accessFlags(c, env)
	c.Flags().BoolVar(&all, "all", false, "with those that have no label any more")
	c.RunE = func(c *cobra.Command, args []string) error {
		in := &secretsmanager.ListSecretVersionIdsInput{SecretId: &args[0]}
		if all {
			in.IncludeDeprecated = &all
		}
		ctx := c.Context()
		api, err := a.open(ctx)
		if err != nil {
			return apiError("list versions of secret", args[0], err)
		}
		var received struct {
			ARN      string
			Name     string
			Versions []json.RawMessage
		}
		versions := []json.RawMessage{}
		var rows [][]string
		pages := secretsmanager.NewListSecretVersionIdsPaginator(api, in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return apiError("list versions of secret", args[0], err)
			}
			received.Versions = nil
			if err := json.Unmarshal(api.raw, &received); err != nil {
				return apiError("list versions of secret", args[0], err)
			}
			versions = append(versions, received.Versions...)
			for _, v := range page.Versions {
				rows = append(rows, []string{deref(v.VersionId), moment(v.CreatedDate), strings.Join(v.VersionStages, ", ")})
			}
		}
		if a.asJSON {
			received.Versions = versions
			return printJSON(env.Stdout, received)
		}
		return printTable(env.Stdout, []string{"VERSION", "CREATED", "LABELS"}, rows)
	}
	return c
}
