package iam

import (
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// role is a row of iam_roles.
type role struct {
	Account, ID, Name, Path, Description string
	// Trust is the trust policy, with unique ids in the place of users and roles.
	Trust        string
	TrustVersion int64
	// MaxSession is in seconds.
	MaxSession int64
	// Boundary is the ARN of the permissions boundary, "" for none.
	Boundary string
	Tags     []aws.Tag
	// Service is set for service-linked roles only.
	Service string
	// SessionsAfter voids the sessions issued up to it; zero voids none.
	SessionsAfter time.Time
	CreatedAt     time.Time
	// Used is the last use of a session that was written down.
	Used use
}

func (r *role) arn() string { return entityARN(r.Account, "role", r.Path, r.Name) }

// resource is the role as audit records list it.
func (r *role) resource() wire.Resource {
	return wire.Resource{ARN: r.arn(), Type: "AWS::IAM::Role", Account: r.Account}
}

// roleFields are the columns that saveRole writes.
const (
	roleFields  = `account, id, name, path, description, trust, trust_version, max_session, boundary, tags, service, sessions_after, created_at`
	roleColumns = roleFields + `, used_at, used_region`
)

func scanRole(row store.Row) (r role, err error) {
	var tags string
	var after, created int64
	if err = row.Scan(&r.Account, &r.ID, &r.Name, &r.Path, &r.Description, &r.Trust, &r.TrustVersion, &r.MaxSession, &r.Boundary, &tags,
		&r.Service, &after, &created, &r.Used.at, &r.Used.region); err != nil {
		return r, err
	}
	r.SessionsAfter, r.CreatedAt = microsOrZero(after), aws.Micros(created)
	r.Tags, err = tagsFromText(tags)
	return r, err
}

func getRole(tx store.Tx, account, name string) (role, error) {
	return scanRole(tx.QueryRow(`SELECT `+roleColumns+` FROM iam_roles WHERE account = $1 AND name_fold = $2`, account, fold(name)))
}

func getRoleByID(tx store.Tx, account, id string) (role, error) {
	return scanRole(tx.QueryRow(`SELECT `+roleColumns+` FROM iam_roles WHERE account = $1 AND id = $2`, account, id))
}

// listRoles returns up to limit roles behind the marker, in name order.
func listRoles(tx store.Tx, account, after, pathPrefix string, limit int) ([]role, error) {
	return collect(tx, scanRole, `SELECT `+roleColumns+` FROM iam_roles
		WHERE account = $1 AND name_fold > $2 AND substr(path, 1, length($3)) = $3
		ORDER BY name_fold LIMIT $4`, account, after, pathPrefix, int64(limit))
}

func deleteRole(tx store.Tx, account, id string) error {
	_, err := tx.Exec(`DELETE FROM iam_roles WHERE account = $1 AND id = $2`, account, id)
	return err
}

// saveRole inserts a role, or writes it anew under its id.
func saveRole(tx store.Tx, r role) error {
	tags, err := tagsText(r.Tags)
	if err != nil {
		return err
	}
	var after int64
	if !r.SessionsAfter.IsZero() {
		after = r.SessionsAfter.UnixMicro()
	}
	_, err = tx.Exec(`INSERT INTO iam_roles (`+roleFields+`, name_fold) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
		ON CONFLICT (account, id) DO UPDATE SET description = $5, trust = $6, trust_version = $7, max_session = $8, boundary = $9,
			tags = $10, sessions_after = $12`,
		r.Account, r.ID, r.Name, r.Path, r.Description, r.Trust, r.TrustVersion, r.MaxSession, r.Boundary, tags,
		r.Service, after, r.CreatedAt.UnixMicro(), fold(r.Name))
	return err
}
