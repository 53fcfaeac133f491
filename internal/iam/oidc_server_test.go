package iam_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/strongroom/strongroom/internal/servertest"
)

const thumb = "9e99a48a9960b14926bb7f3b02e22da2b0ab7280"

func TestOIDCProviders(t *testing.T) {
	for name, options := range map[string][]servertest.Option{"sqlite": nil, "postgresql": {servertest.Postgres()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, options...)
			const arn = "arn:aws:iam::111122223333:oidc-provider/id.example:6443/tenant/A"
			made := must(b.admin.CreateOpenIDConnectProvider(t.Context(), &sdk.CreateOpenIDConnectProviderInput{
				Url: str("https://id.example:6443/tenant/A"), ClientIDList: []string{"b", "a", "b"}, ThumbprintList: []string{thumb},
				Tags: []types.Tag{{Key: str("team"), Value: str("blue")}},
			}))(t)
			if *made.OpenIDConnectProviderArn != arn || len(made.Tags) != 1 {
				t.Errorf("%s, %v", *made.OpenIDConnectProviderArn, made.Tags)
			}
			look := func() *sdk.GetOpenIDConnectProviderOutput {
				return must(b.admin.GetOpenIDConnectProvider(t.Context(), &sdk.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: str(arn)}))(t)
			}
			got := look()
			if *got.Url != "id.example:6443/tenant/A" || !slices.Equal(got.ClientIDList, []string{"b", "a"}) || !slices.Equal(got.ThumbprintList, []string{thumb}) ||
				got.CreateDate == nil || len(got.Tags) != 1 || *got.Tags[0].Value != "blue" {
				t.Errorf("%+v", got)
			}
			for range 2 { // adding and removing may be repeated
				must(b.admin.AddClientIDToOpenIDConnectProvider(t.Context(), &sdk.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderArn: str(arn), ClientID: str("c")}))(t)
				must(b.admin.RemoveClientIDFromOpenIDConnectProvider(t.Context(), &sdk.RemoveClientIDFromOpenIDConnectProviderInput{OpenIDConnectProviderArn: str(arn), ClientID: str("b")}))(t)
			}
			must(b.admin.UpdateOpenIDConnectProviderThumbprint(t.Context(), &sdk.UpdateOpenIDConnectProviderThumbprintInput{OpenIDConnectProviderArn: str(arn), ThumbprintList: []string{}}))(t)
			if got = look(); !slices.Equal(got.ClientIDList, []string{"a", "c"}) || len(got.ThumbprintList) != 0 {
				t.Errorf("%+v", got)
			}
			must(b.admin.CreateOpenIDConnectProvider(t.Context(), &sdk.CreateOpenIDConnectProviderInput{Url: str("https://id.example")}))(t)
			list := must(b.admin.ListOpenIDConnectProviders(t.Context(), nil))(t).OpenIDConnectProviderList
			if len(list) != 2 || *list[0].Arn != "arn:aws:iam::111122223333:oidc-provider/id.example" || *list[1].Arn != arn {
				t.Errorf("%d providers", len(list))
			}
			must(b.admin.DeleteOpenIDConnectProvider(t.Context(), &sdk.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: str(arn)}))(t)
			_, err := b.admin.GetOpenIDConnectProvider(t.Context(), &sdk.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: str(arn)})
			b.want(t, "GetOpenIDConnectProvider", err, 404, "NoSuchEntity", "OpenIDConnect Provider not found for arn "+arn)
		})
	}
}

func TestOIDCProvidersRefuse(t *testing.T) {
	b := start(t)
	const arn = "arn:aws:iam::111122223333:oidc-provider/id.example"
	create := func(url string, change ...func(*sdk.CreateOpenIDConnectProviderInput)) error {
		in := &sdk.CreateOpenIDConnectProviderInput{Url: &url}
		for _, f := range change {
			f(in)
		}
		_, err := b.admin.CreateOpenIDConnectProvider(t.Context(), in)
		return err
	}
	add := func(id string) error {
		_, err := b.admin.AddClientIDToOpenIDConnectProvider(t.Context(), &sdk.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderArn: str(arn), ClientID: &id})
		return err
	}
	update := func(list []string) error {
		_, err := b.admin.UpdateOpenIDConnectProviderThumbprint(t.Context(), &sdk.UpdateOpenIDConnectProviderThumbprintInput{OpenIDConnectProviderArn: str(arn), ThumbprintList: list})
		return err
	}
	const op = "CreateOpenIDConnectProvider"
	for _, url := range []string{"id.example", "http://id.example", "https://", "https:///x", "https://a b", "https://id.example?x=1", "https://id.example/#x",
		"https://u:p@id.example", "https://id.example/\u00e9", "https://id.example/*", "https://:6443", "HTTPS://id.example"} {
		b.want(t, op, create(url), 400, "ValidationError", "Invalid Open ID Connect Provider URL")
	}
	many := func(n int) (out []string) {
		for i := range n {
			out = append(out, fmt.Sprint("client-", i))
		}
		return out
	}
	fives := slices.Repeat([]string{thumb}, 5)
	b.want(t, op, create("https://id.example", func(in *sdk.CreateOpenIDConnectProviderInput) { in.ThumbprintList = fives }), 400, "InvalidInput", "Thumbprint list must contain fewer than 5 entries.")
	b.want(t, op, create("https://id.example", func(in *sdk.CreateOpenIDConnectProviderInput) { in.ClientIDList = many(101) }), 409, "LimitExceeded", "Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: 100")
	ok(t, create("https://id.example", func(in *sdk.CreateOpenIDConnectProviderInput) { in.ClientIDList = many(100) }))
	b.want(t, op, create("https://id.example"), 409, "EntityAlreadyExists", "Provider with url https://id.example already exists.")
	ok(t, add("client-7"))
	b.want(t, "AddClientIDToOpenIDConnectProvider", add("client-100"), 409, "LimitExceeded", "Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: 100")
	b.want(t, "UpdateOpenIDConnectProviderThumbprint", update(fives), 400, "InvalidInput", "Thumbprint list must contain fewer than 5 entries.")

	// Missing, another account's, and no ARN of a provider, by every operation.
	call := map[string]func(*sdk.Client, string) error{
		"GetOpenIDConnectProvider": func(c *sdk.Client, arn string) error {
			_, err := c.GetOpenIDConnectProvider(t.Context(), &sdk.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: &arn})
			return err
		},
		"DeleteOpenIDConnectProvider": func(c *sdk.Client, arn string) error {
			_, err := c.DeleteOpenIDConnectProvider(t.Context(), &sdk.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: &arn})
			return err
		},
		"AddClientIDToOpenIDConnectProvider": func(c *sdk.Client, arn string) error {
			_, err := c.AddClientIDToOpenIDConnectProvider(t.Context(), &sdk.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderArn: &arn, ClientID: str("x")})
			return err
		},
		"RemoveClientIDFromOpenIDConnectProvider": func(c *sdk.Client, arn string) error {
			_, err := c.RemoveClientIDFromOpenIDConnectProvider(t.Context(), &sdk.RemoveClientIDFromOpenIDConnectProviderInput{OpenIDConnectProviderArn: &arn, ClientID: str("x")})
			return err
		},
		"UpdateOpenIDConnectProviderThumbprint": func(c *sdk.Client, arn string) error {
			_, err := c.UpdateOpenIDConnectProviderThumbprint(t.Context(), &sdk.UpdateOpenIDConnectProviderThumbprintInput{OpenIDConnectProviderArn: &arn, ThumbprintList: []string{}})
			return err
		},
	}
	other := b.as(b.Account(t, "444455556666"))
	bare := b.as(b.User(t, "bare", ""))
	for operation, f := range call {
		for _, missing := range []string{"arn:aws:iam::111122223333:oidc-provider/missing.example", "arn:aws:iam::444455556666:oidc-provider/id.example"} {
			message := "OpenIDConnect Provider not found for arn " + missing
			if operation == "DeleteOpenIDConnectProvider" {
				message = "OpenId connect Provider " + missing + " cannot be found."
			}
			b.want(t, operation, f(b.admin, missing), 404, "NoSuchEntity", message)
		}
		if err := f(other, arn); err == nil || !strings.Contains(err.Error(), "NoSuchEntity") {
			t.Errorf("%s by another account: %v", operation, err)
		}
		for _, bad := range []string{"arn:aws:iam::111122223333:role/id.example", "arn:aws:iam::111122223333:oidc-provider/", "id.example.of.no.arn.at.all"} {
			b.want(t, operation, f(b.admin, bad), 400, "ValidationError", "ARN "+bad+" is not valid.")
		}
		for _, at := range []string{arn, "arn:aws:iam::111122223333:oidc-provider/missing.example"} {
			denied(t, "bare", "iam:"+operation, at, f(bare, at))
		}
	}
	denied(t, "bare", "iam:"+op, "arn:aws:iam::111122223333:oidc-provider/x.example", func() error {
		_, err := bare.CreateOpenIDConnectProvider(t.Context(), &sdk.CreateOpenIDConnectProviderInput{Url: str("https://x.example")})
		return err
	}())
	_, err := bare.ListOpenIDConnectProviders(t.Context(), nil)
	denied(t, "bare", "iam:ListOpenIDConnectProviders", "arn:aws:iam::111122223333:oidc-provider/*", err)
	for i := range 99 {
		ok(t, create(fmt.Sprintf("https://%d.example", i)))
	}
	b.want(t, op, create("https://100.example"), 409, "LimitExceeded", "Cannot exceed quota for OpenIdConnectProvidersPerAccount: 100")
}

// denied asserts a refusal in AWS's words.
func denied(t *testing.T, user, action, resource string, err error) {
	t.Helper()
	sentence := "AccessDenied: User: arn:aws:iam::111122223333:user/" + user + " is not authorized to perform: " + action + " on resource: " + resource + " because no identity-based policy allows the " + action + " action"
	if err == nil || !strings.Contains(err.Error(), sentence) {
		t.Errorf("%v\nwant %s", err, sentence)
	}
}
