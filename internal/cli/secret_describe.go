package cli

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/spf13/cobra"
)

func newSecretDescribe(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "describe NAME",
		Short: "Show everything about a secret but its value",
		Args:  arguments("NAME"),
	}
	a := accessFlags(c, env)
	c.RunE = func(c *cobra.Command, args []string) error {
		ctx := c.Context()
		api, err := a.open(ctx)
		if err != nil {
			return apiError("describe secret", args[0], err)
		}
		s, err := api.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &args[0]})
		if err != nil {
			return apiError("describe secret", args[0], err)
		}
		return a.show(api, func() error { return printFields(env.Stdout, describe(s)) })
	}
	return c
}

func describe(s *secretsmanager.DescribeSecretOutput) [][2]string {
	out := [][2]string{
		{"Name", deref(s.Name)},
		{"ARN", deref(s.ARN)},
		{"Description", deref(s.Description)},
		{"KMS key", deref(s.KmsKeyId)},
		{"Created", moment(s.CreatedDate)},
		{"Changed", moment(s.LastChangedDate)},
		{"Accessed", day(moment(s.LastAccessedDate))},
		{"Deleted", moment(s.DeletedDate)},
		{"Primary region", deref(s.PrimaryRegion)},
	}
	if deref(s.RotationEnabled) {
		out = append(out, [2]string{"Rotation", "next " + moment(s.NextRotationDate)})
	}
	for _, r := range s.ReplicationStatus {
		status := deref(r.Region) + ": " + string(r.Status)
		if deref(r.StatusMessage) != "" {
			status += ", " + *r.StatusMessage
		}
		out = append(out, [2]string{"Replica", status})
	}
	for _, t := range sortedTags(s.Tags) {
		out = append(out, [2]string{"Tag", t})
	}
	var versions []string
	for id, labels := range s.VersionIdsToStages {
		slices.Sort(labels)
		versions = append(versions, strings.Join(labels, ", ")+": "+id)
	}
	slices.Sort(versions)
	for _, v := range versions {
		out = append(out, [2]string{"Version", v})
	}
	return out
}

// day cuts a time that is kept by the day.
func day(at string) string {
	date, _, _ := strings.Cut(at, " ")
	return date
}

func sortedTags(tags []types.Tag) []string {
	var out []string
	for _, t := range tags {
		out = append(out, deref(t.Key)+"="+deref(t.Value))
	}
	slices.Sort(out)
	return out
}
