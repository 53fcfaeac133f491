package crash

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/strongroom/strongroom/internal/servertest"
)

func providerARN(id string) *string {
	return aws.String("arn:aws:iam::" + servertest.Account + ":oidc-provider/" + id + ".example")
}

func (c *clients) newProvider(id string) {
	c.Helper()
	_, err := c.iam.CreateOpenIDConnectProvider(c.ctx, &iam.CreateOpenIDConnectProviderInput{Url: aws.String("https://" + id + ".example"), ClientIDList: []string{"a"}})
	c.must(err)
}

func (c *clients) providerState(id string) string {
	c.Helper()
	p, err := c.iam.GetOpenIDConnectProvider(c.ctx, &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: providerARN(id)})
	if code(err) == "NoSuchEntity" {
		return "none"
	}
	c.must(err)
	return describe(map[string]any{"clients": p.ClientIDList, "thumbprints": p.ThumbprintList})
}

func providerChanges() []change {
	return []change{
		{"iam:CreateOpenIDConnectProvider", nil, simple(func(c *clients, id, target string) (*iam.CreateOpenIDConnectProviderOutput, error) {
			return c.iam.CreateOpenIDConnectProvider(c.ctx, &iam.CreateOpenIDConnectProviderInput{Url: aws.String("https://" + id + ".example"), ClientIDList: []string{"a"}})
		}), false},
		{"iam:DeleteOpenIDConnectProvider", (*clients).newProvider, simple(func(c *clients, id, target string) (*iam.DeleteOpenIDConnectProviderOutput, error) {
			return c.iam.DeleteOpenIDConnectProvider(c.ctx, &iam.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: providerARN(id)})
		}), false},
		{"iam:AddClientIDToOpenIDConnectProvider", (*clients).newProvider, simple(func(c *clients, id, target string) (*iam.AddClientIDToOpenIDConnectProviderOutput, error) {
			return c.iam.AddClientIDToOpenIDConnectProvider(c.ctx, &iam.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderArn: providerARN(id), ClientID: aws.String("b")})
		}), true},
		{"iam:RemoveClientIDFromOpenIDConnectProvider", (*clients).newProvider, simple(func(c *clients, id, target string) (*iam.RemoveClientIDFromOpenIDConnectProviderOutput, error) {
			return c.iam.RemoveClientIDFromOpenIDConnectProvider(c.ctx, &iam.RemoveClientIDFromOpenIDConnectProviderInput{OpenIDConnectProviderArn: providerARN(id), ClientID: aws.String("a")})
		}), true},
		{"iam:UpdateOpenIDConnectProviderThumbprint", (*clients).newProvider, simple(func(c *clients, id, target string) (*iam.UpdateOpenIDConnectProviderThumbprintOutput, error) {
			return c.iam.UpdateOpenIDConnectProviderThumbprint(c.ctx, &iam.UpdateOpenIDConnectProviderThumbprintInput{OpenIDConnectProviderArn: providerARN(id), ThumbprintList: []string{"9e99a48a9960b14926bb7f3b02e22da2b0ab7280"}})
		}), true},
	}
}
