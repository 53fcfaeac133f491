package iam

import (
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// group is a row of iam_groups.
type group struct {
	Account, ID, Name, Path string
	CreatedAt               time.Time
}

func (g *group) arn() string { return entityARN(g.Account, "group", g.Path, g.Name) }

// resource is the group as audit records list it.
func (g *group) resource() wire.Resource {
	return wire.Resource{ARN: g.arn(), Type: "AWS::IAM::Group", Account: g.Account}
}

const groupColumns = `account, id, name, path, created_at`

func scanGroup(r store.Row) (g group, err error) {
	var created int64
	err = r.Scan(&g.Account, &g.ID, &g.Name, &g.Path, &created)
	g.CreatedAt = aws.Micros(created)
	return g, err
}

func getGroup(tx store.Tx, account, name string) (group, error) {
	return scanGroup(tx.QueryRow(`SELECT `+groupColumns+` FROM iam_groups WHERE account = $1 AND name_fold = $2`, account, fold(name)))
}

func getGroupByID(tx store.Tx, account, id string) (group, error) {
	return scanGroup(tx.QueryRow(`SELECT `+groupColumns+` FROM iam_groups WHERE account = $1 AND id = $2`, account, id))
}

// saveGroup inserts a group, or writes it anew under its id. A name that another
// one has is a store.IsUnique error.
func saveGroup(tx store.Tx, g group) error {
	_, err := tx.Exec(`INSERT INTO iam_groups (account, id, name, name_fold, path, created_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (account, id) DO UPDATE SET name = $3, name_fold = $4, path = $5`,
		g.Account, g.ID, g.Name, fold(g.Name), g.Path, g.CreatedAt.UnixMicro())
	return err
}

// listGroups returns up to limit groups behind the marker, in name order.
func listGroups(tx store.Tx, account, after, pathPrefix string, limit int) ([]group, error) {
	return collect(tx, scanGroup, `SELECT `+groupColumns+` FROM iam_groups
		WHERE account = $1 AND name_fold > $2 AND substr(path, 1, length($3)) = $3
		ORDER BY name_fold LIMIT $4`, account, after, pathPrefix, int64(limit))
}

func deleteGroup(tx store.Tx, account, id string) error {
	_, err := tx.Exec(`DELETE FROM iam_groups WHERE account = $1 AND id = $2`, account, id)
	return err
}

// listMembers returns up to limit members behind the marker, in name order. As in
// groupsOf, the cross join makes SQLite begin with the members and not walk through
// everybody.
func listMembers(tx store.Tx, account, groupID, after string, limit int) ([]user, error) {
	return collect(tx, scanUser, `SELECT `+userColumns+` FROM (SELECT user_id AS member FROM iam_group_members WHERE account = $1 AND group_id = $3) m
		CROSS JOIN iam_users WHERE account = $1 AND id = m.member AND name_fold > $2 ORDER BY name_fold LIMIT $4`, account, after, groupID, int64(limit))
}

func addMember(tx store.Tx, account, groupID, userID string) error {
	_, err := tx.Exec(`INSERT INTO iam_group_members (account, group_id, user_id) VALUES ($1, $2, $3)`, account, groupID, userID)
	return err
}

func removeMember(tx store.Tx, account, groupID, userID string) error {
	_, err := tx.Exec(`DELETE FROM iam_group_members WHERE account = $1 AND group_id = $2 AND user_id = $3`, account, groupID, userID)
	return err
}

// groupsOf lists the groups of a user, in name order.
func groupsOf(tx store.Tx, account, userID string) ([]group, error) {
	return collect(tx, scanGroup, `SELECT `+groupColumns+` FROM (SELECT group_id AS joined FROM iam_group_members WHERE account = $1 AND user_id = $2) m
		CROSS JOIN iam_groups WHERE account = $1 AND id = m.joined ORDER BY name_fold`, account, userID)
}
