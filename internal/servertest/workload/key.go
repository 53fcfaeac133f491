package workload

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// keys are keys with their aliases. Their facts:
//
//	key             its id
//	state, policy, alias.NAME
//
// The description is the unit's name: by it a key is found whose id was lost.
var keys = kind{
	name: "key", weight: 2, life: 30, read: readKey,
	ops: []op{
		{name: "kms:CreateKey", can: func(f facts) bool { return len(f) == 0 },
			apply: func(f facts, s *step) { f["key"], f["state"], f["policy"] = unnamed, "Enabled", keyPolicy(s.n) },
			do: func(ctx context.Context, c *clients, u *unit, s *step) (string, error) {
				out, err := c.kms[u.region].CreateKey(ctx, &kms.CreateKeyInput{Description: &u.name, Policy: aws.String(keyPolicy(s.n)),
					Tags: []types.Tag{{TagKey: aws.String("k"), TagValue: aws.String("v")}}})
				if err != nil {
					return "", err
				}
				return *out.KeyMetadata.KeyId, nil
			}},
		{name: "kms:CreateAlias", can: func(f facts) bool { return f["state"] == "Enabled" && len(f.below("alias.")) < 4 },
			apply: func(f facts, _ *step) { f["alias."+alias(f)] = "" },
			do: func(ctx context.Context, c *clients, u *unit, _ *step) (string, error) {
				_, err := c.kms[u.region].CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/" + u.name + "/" + alias(u.state)), TargetKeyId: aws.String(u.state["key"])})
				return "", err
			}},
		{name: "kms:PutKeyPolicy", can: func(f facts) bool { return f["state"] == "Enabled" }, apply: func(f facts, s *step) { f["policy"] = keyPolicy(s.n) },
			do: func(ctx context.Context, c *clients, u *unit, s *step) (string, error) {
				_, err := c.kms[u.region].PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: aws.String(u.state["key"]), Policy: aws.String(keyPolicy(s.n))})
				return "", err
			}},
		{name: "kms:DisableKey", can: func(f facts) bool { return f["state"] == "Enabled" }, apply: func(f facts, _ *step) { f["state"] = "Disabled" },
			do: func(ctx context.Context, c *clients, u *unit, _ *step) (string, error) {
				_, err := c.kms[u.region].DisableKey(ctx, &kms.DisableKeyInput{KeyId: aws.String(u.state["key"])})
				return "", err
			}},
		{name: "kms:EnableKey", can: func(f facts) bool { return f["state"] == "Disabled" }, apply: func(f facts, _ *step) { f["state"] = "Enabled" },
			do: func(ctx context.Context, c *clients, u *unit, _ *step) (string, error) {
				_, err := c.kms[u.region].EnableKey(ctx, &kms.EnableKeyInput{KeyId: aws.String(u.state["key"])})
				return "", err
			}},
		{name: "kms:ScheduleKeyDeletion", can: func(f facts) bool { return f["state"] == "Enabled" || f["state"] == "Disabled" },
			apply: func(f facts, _ *step) { f["state"] = "PendingDeletion" },
			do: func(ctx context.Context, c *clients, u *unit, s *step) (string, error) {
				_, err := c.kms[u.region].ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: aws.String(u.state["key"]), PendingWindowInDays: aws.Int32(int32(7 + s.n%20))})
				return "", err
			}},
		{name: "kms:CancelKeyDeletion", can: func(f facts) bool { return f["state"] == "PendingDeletion" }, apply: func(f facts, _ *step) { f["state"] = "Disabled" },
			do: func(ctx context.Context, c *clients, u *unit, _ *step) (string, error) {
				_, err := c.kms[u.region].CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: aws.String(u.state["key"])})
				return "", err
			}},
	},
}

// alias is the name of the next alias.
func alias(f facts) string { return fmt.Sprintf("a%d", len(f.below("alias."))) }

func keyPolicy(n int) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Sid":"p%d","Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}]}`, n)
}

// readKey reads a key, and uses it where it can be used: what was encrypted
// under it once must open for ever.
func readKey(ctx context.Context, r *reading, u *unit) (facts, error) {
	id := u.state["key"]
	if id == "" {
		if id = r.strays(u.region)[u.name]; id == "" {
			return facts{}, nil
		}
	}
	c := r.kms[u.region]
	d, err := c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &id})
	if code(err) == "NotFoundException" {
		return facts{}, nil
	}
	if err != nil {
		return nil, err
	}
	f := facts{"key": id, "state": string(d.KeyMetadata.KeyState)}
	p, err := c.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: &id})
	if err != nil {
		return nil, err
	}
	f["policy"] = compact(*p.Policy)
	pages := kms.NewListAliasesPaginator(c, &kms.ListAliasesInput{KeyId: &id})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, a := range page.Aliases {
			f["alias."+strings.TrimPrefix(*a.AliasName, "alias/"+u.name+"/")] = ""
		}
	}
	if f["state"] != "Enabled" {
		return f, nil
	}
	if u.cipher == nil {
		e, err := c.Encrypt(ctx, &kms.EncryptInput{KeyId: &id, Plaintext: []byte(u.name)})
		if err != nil {
			return nil, err
		}
		u.cipher = e.CiphertextBlob
	}
	open, err := c.Decrypt(ctx, &kms.DecryptInput{KeyId: &id, CiphertextBlob: u.cipher})
	if err != nil || string(open.Plaintext) != u.name {
		f["cipher"] = fmt.Sprintf("does not open: %v", err)
	}
	return f, nil
}
