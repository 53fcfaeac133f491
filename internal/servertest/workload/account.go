package workload

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/strongroom/strongroom/internal/servertest"
)

// account is what an account has one of, so that one writer has it alone. Its
// facts: alias, passwords (the password policy).
var account = kind{
	name: "account", weight: 1, read: readAccount,
	ops: []op{
		{name: "iam:CreateAccountAlias", can: func(f facts) bool { return !f.has("alias") }, apply: func(f facts, s *step) { f["alias"] = accountAlias(s.n) },
			do: asks(func(ctx context.Context, c *iam.Client, _ *unit, s *step) (*iam.CreateAccountAliasOutput, error) {
				return c.CreateAccountAlias(ctx, &iam.CreateAccountAliasInput{AccountAlias: aws.String(accountAlias(s.n))})
			})},
		{name: "iam:DeleteAccountAlias", can: where("alias"), apply: unset("alias"),
			do: asks(func(ctx context.Context, c *iam.Client, u *unit, _ *step) (*iam.DeleteAccountAliasOutput, error) {
				return c.DeleteAccountAlias(ctx, &iam.DeleteAccountAliasInput{AccountAlias: aws.String(u.state["alias"])})
			})},
		{name: "iam:UpdateAccountPasswordPolicy", can: func(facts) bool { return true }, apply: func(f facts, s *step) { f["passwords"] = fmt.Sprint(8 + s.n%8) },
			do: asks(func(ctx context.Context, c *iam.Client, _ *unit, s *step) (*iam.UpdateAccountPasswordPolicyOutput, error) {
				return c.UpdateAccountPasswordPolicy(ctx, &iam.UpdateAccountPasswordPolicyInput{MinimumPasswordLength: aws.Int32(int32(8 + s.n%8)), RequireNumbers: true, RequireSymbols: true})
			})},
		{name: "iam:DeleteAccountPasswordPolicy", can: where("passwords"), apply: unset("passwords"),
			do: asks(func(ctx context.Context, c *iam.Client, _ *unit, _ *step) (*iam.DeleteAccountPasswordPolicyOutput, error) {
				return c.DeleteAccountPasswordPolicy(ctx, nil)
			})},
	},
}

func accountAlias(n int) string { return fmt.Sprintf("workload-%d", n) }

func readAccount(ctx context.Context, r *reading, _ *unit) (facts, error) {
	f := facts{}
	aliases, err := r.iam.ListAccountAliases(ctx, nil)
	if err != nil {
		return nil, err
	}
	if len(aliases.AccountAliases) > 0 {
		f["alias"] = strings.Join(aliases.AccountAliases, " ")
	}
	p, err := r.iam.GetAccountPasswordPolicy(ctx, nil)
	if code(err) == "NoSuchEntity" {
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	f["passwords"] = fmt.Sprint(*p.PasswordPolicy.MinimumPasswordLength)
	if !p.PasswordPolicy.RequireNumbers || !p.PasswordPolicy.RequireSymbols {
		f["passwords"] += " and more"
	}
	return f, nil
}

// providers are providers of identities. Their facts: provider, client.ID,
// thumbprints.
var providers = kind{
	name: "provider", weight: 1, read: readProvider,
	ops: []op{
		{name: "iam:CreateOpenIDConnectProvider", can: func(f facts) bool { return len(f) == 0 },
			apply: func(f facts, _ *step) { f["provider"], f["client.a"], f["thumbprints"] = "", "", "" },
			do: asks(func(ctx context.Context, c *iam.Client, u *unit, _ *step) (*iam.CreateOpenIDConnectProviderOutput, error) {
				return c.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{Url: aws.String("https://" + u.name + ".example"), ClientIDList: []string{"a"}})
			})},
		{name: "iam:DeleteOpenIDConnectProvider", can: where("provider"), apply: func(f facts, _ *step) { clear(f) },
			do: asks(func(ctx context.Context, c *iam.Client, u *unit, _ *step) (*iam.DeleteOpenIDConnectProviderOutput, error) {
				return c.DeleteOpenIDConnectProvider(ctx, &iam.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: providerARN(u)})
			})},
		{name: "iam:AddClientIDToOpenIDConnectProvider", can: where("provider"), apply: func(f facts, s *step) { f["client."+clientID(s.n)] = "" },
			do: asks(func(ctx context.Context, c *iam.Client, u *unit, s *step) (*iam.AddClientIDToOpenIDConnectProviderOutput, error) {
				return c.AddClientIDToOpenIDConnectProvider(ctx, &iam.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderArn: providerARN(u), ClientID: aws.String(clientID(s.n))})
			})},
		{name: "iam:RemoveClientIDFromOpenIDConnectProvider", can: where("provider"), apply: func(f facts, s *step) { delete(f, "client."+clientID(s.n)) },
			do: asks(func(ctx context.Context, c *iam.Client, u *unit, s *step) (*iam.RemoveClientIDFromOpenIDConnectProviderOutput, error) {
				return c.RemoveClientIDFromOpenIDConnectProvider(ctx, &iam.RemoveClientIDFromOpenIDConnectProviderInput{OpenIDConnectProviderArn: providerARN(u), ClientID: aws.String(clientID(s.n))})
			})},
		{name: "iam:UpdateOpenIDConnectProviderThumbprint", can: where("provider"), apply: func(f facts, s *step) { f["thumbprints"] = thumbprint(s.n) },
			do: asks(func(ctx context.Context, c *iam.Client, u *unit, s *step) (*iam.UpdateOpenIDConnectProviderThumbprintOutput, error) {
				return c.UpdateOpenIDConnectProviderThumbprint(ctx, &iam.UpdateOpenIDConnectProviderThumbprintInput{OpenIDConnectProviderArn: providerARN(u), ThumbprintList: []string{thumbprint(s.n)}})
			})},
	},
}

func providerARN(u *unit) *string {
	return aws.String("arn:aws:iam::" + servertest.Account + ":oidc-provider/" + u.name + ".example")
}

func clientID(n int) string { return fmt.Sprintf("c%d", n%4) }

func thumbprint(n int) string { return fmt.Sprintf("%040x", n) }

func readProvider(ctx context.Context, r *reading, u *unit) (facts, error) {
	p, err := r.iam.GetOpenIDConnectProvider(ctx, &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: providerARN(u)})
	if code(err) == "NoSuchEntity" {
		return facts{}, nil
	}
	if err != nil {
		return nil, err
	}
	slices.Sort(p.ThumbprintList)
	f := facts{"provider": "", "thumbprints": strings.Join(p.ThumbprintList, " ")}
	for _, id := range p.ClientIDList {
		f["client."+id] = ""
	}
	return f, nil
}
