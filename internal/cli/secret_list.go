package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/spf13/cobra"
)

func newSecretList(env *Env) *cobra.Command {
	var filters []string
	var deleted bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List secrets",
		Long: `List the secrets of the account in the region, all pages of them. A filter is
KEY=VALUE with one of the keys
  ` + filterKeys(", ") + `.
A value matches as a prefix of words, and "!" before it negates. Values of one
key widen the list, different keys narrow it.`,
		Example: `  strongroom secret list --filter name=prod/ --filter tag-key=team
  strongroom secret list --json`,
		Args: arguments(),
	}
	a := accessFlags(c, env)
	c.Flags().StringArrayVar(&filters, "filter", nil, "filter as `KEY=VALUE`; may be repeated")
	c.Flags().BoolVar(&deleted, "deleted", false, "with those that wait for their deletion")
	c.RunE = func(c *cobra.Command, _ []string) error {
		in := &secretsmanager.ListSecretsInput{}
		if deleted {
			in.IncludePlannedDeletion = &deleted
		}
		var err error
		if in.Filters, err = parseFilters(filters); err != nil {
			return usageError{err}
		}
		ctx := c.Context()
		api, err := a.open(ctx)
		if err != nil {
			return apiError("list secrets", "", err)
		}
		all := struct {
			SecretList []json.RawMessage
		}{SecretList: []json.RawMessage{}}
		var rows [][]string
		pages := secretsmanager.NewListSecretsPaginator(api, in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return apiError("list secrets", "", err)
			}
			received := all
			if err := json.Unmarshal(api.raw, &received); err != nil {
				return apiError("list secrets", "", err)
			}
			all.SecretList = append(all.SecretList, received.SecretList...)
			for _, s := range page.SecretList {
				rows = append(rows, secretRow(s, deleted))
			}
		}
		if a.asJSON {
			return printJSON(env.Stdout, all)
		}
		head := []string{"NAME", "CHANGED", "DESCRIPTION"}
		if deleted {
			head = slices.Insert(head, 2, "DELETED")
		}
		return printTable(env.Stdout, head, rows)
	}
	return c
}

func secretRow(s types.SecretListEntry, deleted bool) []string {
	changed := s.LastChangedDate
	if changed == nil {
		changed = s.CreatedDate
	}
	row := []string{deref(s.Name), moment(changed), deref(s.Description)}
	if deleted {
		row = slices.Insert(row, 2, moment(s.DeletedDate))
	}
	return row
}

// parseFilters gathers the values of each key, in the order of the keys.
func parseFilters(texts []string) ([]types.Filter, error) {
	var out []types.Filter
	for _, t := range texts {
		key, val, ok := strings.Cut(t, "=")
		name := types.FilterNameStringType(key)
		if !ok || !slices.Contains(name.Values(), name) {
			return nil, fmt.Errorf("--filter %s is not KEY=VALUE with a key of %s", plain(t), filterKeys(", "))
		}
		i := slices.IndexFunc(out, func(f types.Filter) bool { return f.Key == name })
		if i < 0 {
			out = append(out, types.Filter{Key: name})
			i = len(out) - 1
		}
		out[i].Values = append(out[i].Values, val)
	}
	return out, nil
}

func filterKeys(separator string) string {
	var names []string
	for _, k := range types.FilterNameStringType("").Values() {
		names = append(names, string(k))
	}
	return strings.Join(names, separator)
}
