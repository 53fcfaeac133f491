package crash

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/http"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/strongroom/strongroom/internal/server"
)

// holders are the keys of callers other than the first administrator: by data
// directory and id.
var holders sync.Map

// as is a client with the key that belongs to id.
func (c *clients) as(id string) *iam.Client {
	c.Helper()
	key, ok := holders.Load(c.server.Dir + id)
	if !ok {
		c.Fatalf("%s has no key", id)
	}
	return iam.NewFromConfig(c.server.AWS(key.(server.Credentials), ""))
}

// newSelf makes a user that may change its own password, which must be changed.
func (c *clients) newSelf(id string) {
	c.Helper()
	key := c.server.User(c.T, id, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:ChangePassword","Resource":"*"}]}`)
	holders.Store(c.server.Dir+id, key)
	_, err := c.iam.CreateLoginProfile(c.ctx, &iam.CreateLoginProfileInput{UserName: &id, Password: aws.String("the first Password 1"), PasswordResetRequired: true})
	c.must(err)
}

// accountOf is the number of the account that belongs to id: what an account has
// one of cannot be told apart by names.
func accountOf(id string) string { return fmt.Sprintf("7%011d", crc32.ChecksumIEEE([]byte(id))) }

func (c *clients) newAccount(id string) {
	c.Helper()
	res := c.server.Operator(c.T, http.MethodPost, "/v1/accounts", map[string]string{"account": accountOf(id), "name": id})
	var key server.Credentials
	if res.Status != http.StatusOK || json.Unmarshal(res.Body, &key) != nil {
		c.Fatalf("create account: status %d: %s", res.Status, res.Body)
	}
	holders.Store(c.server.Dir+id, key)
}

func (c *clients) newPasswordPolicy(id string) {
	c.Helper()
	c.newAccount(id)
	_, err := c.as(id).UpdateAccountPasswordPolicy(c.ctx, &iam.UpdateAccountPasswordPolicyInput{RequireNumbers: true})
	c.must(err)
}

// accountState says what the account of id has of its own, if id has one.
func (c *clients) accountState(id string) string {
	c.Helper()
	if key, ok := holders.Load(c.server.Dir + id); !ok || key.(server.Credentials).Account != accountOf(id) {
		return "none"
	}
	aliases, err := c.as(id).ListAccountAliases(c.ctx, nil)
	c.must(err)
	state := map[string]any{"aliases": aliases.AccountAliases}
	p, err := c.as(id).GetAccountPasswordPolicy(c.ctx, nil)
	if code(err) != "NoSuchEntity" {
		c.must(err)
		state["passwords"] = p.PasswordPolicy
	}
	return describe(state)
}

func (c *clients) newAlias(id string) {
	c.Helper()
	c.newAccount(id)
	_, err := c.as(id).CreateAccountAlias(c.ctx, &iam.CreateAccountAliasInput{AccountAlias: &id})
	c.must(err)
}

func accountChanges() []change {
	return []change{
		{"iam:UpdateAccountPasswordPolicy", (*clients).newAccount, simple(func(c *clients, id, target string) (*iam.UpdateAccountPasswordPolicyOutput, error) {
			return c.as(id).UpdateAccountPasswordPolicy(c.ctx, &iam.UpdateAccountPasswordPolicyInput{RequireSymbols: true})
		}), true},
		{"iam:DeleteAccountPasswordPolicy", (*clients).newPasswordPolicy, simple(func(c *clients, id, target string) (*iam.DeleteAccountPasswordPolicyOutput, error) {
			return c.as(id).DeleteAccountPasswordPolicy(c.ctx, nil)
		}), false},
		{"iam:CreateAccountAlias", (*clients).newAccount, simple(func(c *clients, id, target string) (*iam.CreateAccountAliasOutput, error) {
			return c.as(id).CreateAccountAlias(c.ctx, &iam.CreateAccountAliasInput{AccountAlias: &id})
		}), false},
		{"iam:DeleteAccountAlias", (*clients).newAlias, simple(func(c *clients, id, target string) (*iam.DeleteAccountAliasOutput, error) {
			return c.as(id).DeleteAccountAlias(c.ctx, &iam.DeleteAccountAliasInput{AccountAlias: &id})
		}), false},
	}
}
