package iam

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/strongroom/strongroom/internal/iam/awsmanaged"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/store"
)

// Inspect looks at every row of the slice and opens everything that is sealed.
func Inspect(in *store.Inspection, tx store.Tx, keys Sealer) error {
	c := inspector{in, tx, keys}
	for _, part := range []func() error{
		c.accounts, c.users, c.groups, c.roles, c.accessKeys, c.devices, c.passwords, c.inline,
		c.policies, c.policyVersions, c.attachments, c.members, c.providers, c.passwordPolicies,
	} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

type inspector struct {
	in   *store.Inspection
	tx   store.Tx
	keys Sealer
}

// The conditions under which what a row r hangs on exists.
const (
	hasUser   = `EXISTS (SELECT 1 FROM iam_users u WHERE u.account = r.account AND u.id = r.user_id)`
	hasEntity = `(EXISTS (SELECT 1 FROM iam_users e WHERE e.account = r.account AND e.id = r.entity_id)
		OR EXISTS (SELECT 1 FROM iam_groups e WHERE e.account = r.account AND e.id = r.entity_id)
		OR EXISTS (SELECT 1 FROM iam_roles e WHERE e.account = r.account AND e.id = r.entity_id))`
	hasBoundary   = `EXISTS (SELECT 1 FROM iam_policies p WHERE p.account = r.account AND p.arn = r.boundary)`
	hasAttachment = `EXISTS (SELECT 1 FROM iam_policies p WHERE p.account = r.account AND p.arn = r.policy_arn)`
	hasPolicy     = `EXISTS (SELECT 1 FROM iam_policies p WHERE p.account = r.account AND p.id = r.policy_id)`
)

// accountTables are the tables of this slice whose rows belong to an account and
// to nothing else.
var accountTables = [...]string{"iam_users", "iam_groups", "iam_roles", "iam_policies", "iam_access_keys", "iam_mfa_devices",
	"iam_oidc_providers", "iam_password_policies", "iam_account_aliases"}

func (c *inspector) accounts() error {
	err := store.Each(c.in, c.tx, "accounts", scanText, func(a *string) string { return *a }, func(*string) {}, `SELECT account FROM accounts`)
	for _, table := range accountTables {
		if err == nil {
			err = c.in.Orphans(c.tx, table, "their account does not exist", `SELECT DISTINCT 'all of account ' || r.account FROM `+table+` r
				WHERE NOT EXISTS (SELECT 1 FROM accounts a WHERE a.account = r.account)`)
		}
	}
	return err
}

// named are the columns that users, groups, roles and policies have in common.
type named struct {
	account, id, name, fold, tags string
	// boundary is "" for none; bounded says that it is a policy of the account.
	boundary string
	bounded  bool
	document string
}

// entities looks at a table of named things and calls more for what is its own.
func (c *inspector) entities(table, columns string, more func(row string, v *named)) error {
	return store.Each(c.in, c.tx, table, func(r store.Row) (v named, err error) {
		err = r.Scan(&v.account, &v.id, &v.name, &v.fold, &v.tags, &v.boundary, &v.bounded, &v.document)
		return v, err
	}, func(v *named) string { return v.row() }, func(v *named) {
		if v.fold != fold(v.name) {
			c.in.Fault(table, v.row(), "it is found under the name %q, which is not its own", v.fold)
		}
		if _, err := tagsFromText(v.tags); err != nil {
			c.in.Fault(table, v.row(), "its tags are not readable: %v", err)
		}
		if _, aws := awsmanaged.Get(v.boundary); v.boundary != "" && !v.bounded && !aws {
			c.in.Fault(table, v.row(), "its boundary %s does not exist", v.boundary)
		}
		if more != nil {
			more(v.row(), v)
		}
	}, `SELECT account, id, name, name_fold, `+columns+` FROM `+table+` r`)
}

func (v *named) row() string { return v.account + "/" + v.id + " (" + v.name + ")" }

func (c *inspector) users() error {
	return c.entities("iam_users", `tags, boundary, `+hasBoundary+`, ''`, nil)
}

func (c *inspector) groups() error { return c.entities("iam_groups", `'', '', FALSE, ''`, nil) }

func (c *inspector) roles() error {
	return c.entities("iam_roles", `tags, boundary, `+hasBoundary+`, trust`, func(row string, v *named) {
		c.document("iam_roles", row, v.document)
	})
}

// document parses a policy as the engine does: one that does not parse denies
// everybody, or hides what it denies.
func (c *inspector) document(table, row, text string) {
	if _, err := policy.Parse([]byte(text)); err != nil {
		c.in.Fault(table, row, "its policy is none: %v", err)
	}
}

// held is a row that belongs to a user.
type held struct {
	account, id, user string
	sealed            []byte
	owned             bool
}

// sealedRows looks at a table of what users hold, and opens each row by the
// context that of makes of it.
func (c *inspector) sealedRows(table, id, purpose string, of func(*held) []byte, check func(plain []byte) string) error {
	return store.Each(c.in, c.tx, table, func(r store.Row) (v held, err error) {
		err = r.Scan(&v.account, &v.id, &v.user, &v.sealed, &v.owned)
		return v, err
	}, func(v *held) string { return v.account + "/" + v.id }, func(v *held) {
		row := v.account + "/" + v.id
		if !v.owned {
			c.in.Fault(table, row, "its user %s does not exist", v.user)
		}
		plain, err := c.keys.Open(purpose, of(v), v.sealed)
		if err != nil {
			c.in.Fault(table, row, "it does not open: %v", err)
			return
		}
		defer clear(plain)
		if problem := check(plain); problem != "" {
			c.in.Fault(table, row, "%s", problem)
		}
	}, `SELECT account, `+id+`, user_id, sealed, user_id = '' OR `+hasUser+` FROM `+table+` r`)
}

func (c *inspector) accessKeys() error {
	return c.sealedRows("iam_access_keys", "key_id", sealPurpose, func(v *held) []byte { return sealContext(v.account, v.id) }, func(plain []byte) string {
		if len(plain) == 0 {
			return "its secret is empty"
		}
		return ""
	})
}

func (c *inspector) devices() error {
	return c.sealedRows("iam_mfa_devices", "id", seedPurpose, func(v *held) []byte {
		return seedContext(&mfaDevice{Account: v.account, ID: v.id})
	}, func(plain []byte) string {
		if len(plain) != seedBytes {
			return fmt.Sprintf("its seed is %d bytes long, not %d", len(plain), seedBytes)
		}
		return ""
	})
}

// passwords looks at those in force and those before.
func (c *inspector) passwords() error {
	of := func(v *held) []byte { return passwordContext(v.account, v.user) }
	check := func(plain []byte) string {
		if !strings.HasPrefix(string(plain), "$argon2id$") {
			return "it is not an Argon2id hash"
		}
		return ""
	}
	if err := c.sealedRows("iam_login_profiles", "user_id", passwordPurpose, of, check); err != nil {
		return err
	}
	return c.sealedRows("iam_old_passwords", "user_id", passwordPurpose, of, check)
}

// link is a row that joins two others.
type link struct {
	row, other, document string
	left, right          bool
}

// links looks at a table of links. columns are the row's name, what it points at,
// whether its holder and whether its target exist, and a policy or ”.
func (c *inspector) links(table, columns string, fn func(*link)) error {
	return store.Each(c.in, c.tx, table, func(r store.Row) (v link, err error) {
		err = r.Scan(&v.row, &v.other, &v.left, &v.right, &v.document)
		return v, err
	}, func(v *link) string { return v.row }, fn, `SELECT `+columns+` FROM `+table+` r`)
}

func (c *inspector) inline() error {
	const table = "iam_inline_policies"
	return c.links(table, `account || '/' || entity_id || ' ' || name, entity_id, `+hasEntity+`, TRUE, document`, func(v *link) {
		if !v.left {
			c.in.Fault(table, v.row, "its user, group or role does not exist")
		}
		c.document(table, v.row, v.document)
	})
}

func (c *inspector) policies() error {
	err := c.entities("iam_policies", `tags, '', FALSE, ''`, nil)
	if err != nil {
		return err
	}
	err = c.in.Orphans(c.tx, "iam_policies", "its default version does not exist", `SELECT r.arn FROM iam_policies r WHERE NOT EXISTS
		(SELECT 1 FROM iam_policy_versions v WHERE v.account = r.account AND v.policy_id = r.id AND v.version = r.default_version)`)
	if err != nil {
		return err
	}
	return c.in.Orphans(c.tx, "iam_policies", "its next version is one that was there before", `SELECT r.arn FROM iam_policies r WHERE EXISTS
		(SELECT 1 FROM iam_policy_versions v WHERE v.account = r.account AND v.policy_id = r.id AND v.version >= r.next_version)`)
}

func (c *inspector) policyVersions() error {
	const table = "iam_policy_versions"
	return c.links(table, `account || '/' || policy_id || ' v' || CAST(version AS TEXT), policy_id, `+hasPolicy+`, TRUE, document`, func(v *link) {
		if !v.left {
			c.in.Fault(table, v.row, "its policy does not exist")
		}
		c.document(table, v.row, v.document)
	})
}

func (c *inspector) attachments() error {
	const table = "iam_attachments"
	return c.links(table, `account || '/' || entity_id || ' ' || policy_arn, policy_arn, `+hasEntity+`, `+hasAttachment+`, ''`, func(v *link) {
		if !v.left {
			c.in.Fault(table, v.row, "its user, group or role does not exist")
		}
		if _, aws := awsmanaged.Get(v.other); !v.right && !aws {
			c.in.Fault(table, v.row, "its policy does not exist")
		}
	})
}

func (c *inspector) members() error {
	const table = "iam_group_members"
	return c.links(table, `account || '/' || group_id || ' ' || user_id, user_id,
		EXISTS (SELECT 1 FROM iam_groups g WHERE g.account = r.account AND g.id = r.group_id), `+hasUser+`, ''`, func(v *link) {
		if !v.left {
			c.in.Fault(table, v.row, "its group does not exist")
		}
		if !v.right {
			c.in.Fault(table, v.row, "its user does not exist")
		}
	})
}

func (c *inspector) providers() error {
	return store.Each(c.in, c.tx, "iam_oidc_providers", scanOIDCProvider, func(p *oidcProvider) string { return p.arn() }, func(p *oidcProvider) {
		if p.JWKS != "" && !json.Valid([]byte(p.JWKS)) {
			c.in.Fault("iam_oidc_providers", p.arn(), "its keys are not readable")
		}
	}, `SELECT `+oidcColumns+` FROM iam_oidc_providers`)
}

func (c *inspector) passwordPolicies() error {
	const table = "iam_password_policies"
	return c.links(table, `account, '', TRUE, TRUE, policy`, func(v *link) {
		var p passwordPolicy
		if err := json.Unmarshal([]byte(v.document), &p); err != nil {
			c.in.Fault(table, v.row, "it is not readable: %v", err)
		}
	})
}
