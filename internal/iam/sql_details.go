package iam

import (
	"github.com/strongroom/strongroom/internal/store"
)

// span is a piece of a table in name order: behind after, up to last.
type span struct{ after, last string }

// detailTables says where the names of a list of details stand, and the documents
// that hang on them; own is the size of the one in the row itself.
type detailTables struct{ names, documents, owner, own string }

var (
	userDetails   = detailTables{"iam_users", "iam_inline_policies", "entity_id", "0"}
	groupDetails  = detailTables{"iam_groups", "iam_inline_policies", "entity_id", "0"}
	roleDetails   = detailTables{"iam_roles", "iam_inline_policies", "entity_id", "length(trust)"}
	policyDetails = detailTables{"iam_policies", "iam_policy_versions", "policy_id", "0"}
)

// measure returns the piece behind a name that has up to limit rows and no more
// than size characters of documents, and whether there are more rows behind it. A
// first row of more than size is a piece of its own where nothing is before it. size
// becomes what is left of it.
func (d *detailTables) measure(tx store.Tx, account, after string, limit int, size *int) (piece span, rows int, more bool, err error) {
	type row struct {
		name string
		size int64
	}
	list, err := collect(tx, func(r store.Row) (v row, err error) {
		err = r.Scan(&v.name, &v.size)
		return v, err
	}, `SELECT name_fold, `+d.own+` + COALESCE((SELECT SUM(length(document)) FROM `+d.documents+` WHERE account = n.account AND `+d.owner+` = n.id), 0)
		FROM `+d.names+` n WHERE account = $1 AND name_fold > $2 ORDER BY name_fold LIMIT $3`, account, after, int64(limit+1))
	piece = span{after, after}
	for _, v := range list {
		if rows == limit || int(v.size) > *size && *size < maxDetails {
			return piece, rows, true, err
		}
		*size -= int(v.size)
		piece.last = v.name
		rows++
	}
	return piece, rows, false, err
}

// ids selects the ids of a piece; its arguments are $1 to $3.
func (d *detailTables) ids() string {
	return `(SELECT id FROM ` + d.names + ` WHERE account = $1 AND name_fold > $2 AND name_fold <= $3)`
}

// rowsIn reads the rows of a piece in name order.
func rowsIn[T any](tx store.Tx, account string, d *detailTables, piece span, scan func(store.Row) (T, error), columns string) ([]T, error) {
	return collect(tx, scan, `SELECT `+columns+` FROM `+d.names+` p WHERE account = $1 AND name_fold > $2 AND name_fold <= $3 ORDER BY name_fold`,
		account, piece.after, piece.last)
}

// inlineIn returns the inline policies of a piece by their holders' ids.
func inlineIn(tx store.Tx, account string, d *detailTables, piece span) (map[string][]inlinePolicy, error) {
	all, err := collect(tx, scanInlinePolicy, `SELECT `+inlineColumns+` FROM iam_inline_policies
		WHERE account = $1 AND entity_id IN `+d.ids()+` ORDER BY entity_id, name`, account, piece.after, piece.last)
	return byKey(all, func(p inlinePolicy) string { return p.EntityID }), err
}

// pair is a row of two texts.
type pair struct{ key, value string }

func scanPair(r store.Row) (p pair, err error) {
	err = r.Scan(&p.key, &p.value)
	return p, err
}

// attachedIn returns the ARNs attached in a piece by their holders' ids.
func attachedIn(tx store.Tx, account string, d *detailTables, piece span) (map[string][]pair, error) {
	all, err := collect(tx, scanPair, `SELECT entity_id, policy_arn FROM iam_attachments
		WHERE account = $1 AND entity_id IN `+d.ids()+` ORDER BY entity_id, policy_arn`, account, piece.after, piece.last)
	return byKey(all, func(p pair) string { return p.key }), err
}

// groupsIn returns the names of the groups of a piece of users by the users' ids.
func groupsIn(tx store.Tx, account string, piece span) (map[string][]pair, error) {
	all, err := collect(tx, scanPair, `SELECT m.user_id, g.name FROM iam_group_members m JOIN iam_groups g ON g.account = m.account AND g.id = m.group_id
		WHERE m.account = $1 AND m.user_id IN `+userDetails.ids()+` ORDER BY m.user_id, g.name_fold`, account, piece.after, piece.last)
	return byKey(all, func(p pair) string { return p.key }), err
}

// versionsIn returns the versions of a piece of policies by the policies' ids, the
// newest first.
func versionsIn(tx store.Tx, account string, piece span) (map[string][]policyVersion, error) {
	type row struct {
		policy string
		policyVersion
	}
	all, err := collect(tx, func(r store.Row) (v row, err error) {
		v.policyVersion, err = scanPolicyVersionAnd(r, &v.policy)
		return v, err
	}, `SELECT version, document, created_at, policy_id FROM iam_policy_versions
		WHERE account = $1 AND policy_id IN `+policyDetails.ids()+` ORDER BY policy_id, version DESC`, account, piece.after, piece.last)
	out := make(map[string][]policyVersion)
	for _, v := range all {
		out[v.policy] = append(out[v.policy], v.policyVersion)
	}
	return out, err
}

func byKey[T any](all []T, key func(T) string) map[string][]T {
	out := make(map[string][]T)
	for _, v := range all {
		out[key(v)] = append(out[key(v)], v)
	}
	return out
}
