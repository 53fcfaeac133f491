package secretsmanager

import (
	"encoding/json"
	"fmt"

	"github.com/strongroom/strongroom/internal/keyring/envelope"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/store"
)

// Opener opens data keys for an inspection, outside any call.
type Opener interface {
	Open(wrapped []byte, ec map[string]string) ([]byte, error)
}

// Inspect looks at every row of the slice and opens every value. gone is the
// opener's error for a data key whose KMS key was deleted on purpose.
func Inspect(in *store.Inspection, tx store.Tx, keys Opener, gone func(error) bool) error {
	c := inspector{in: in, keys: keys, gone: gone}
	// One walk in the order of an index, with nothing kept but one secret's
	// version ids: there may be millions.
	rows, err := tx.Query(`SELECT ` + secretColumns + `, s.current_version, v.version_id, v.kind, v.data_key, v.sealed
		FROM secrets s LEFT JOIN secret_versions v ON v.account = s.account AND v.region = s.region AND v.secret_uid = s.uid
		ORDER BY s.account, s.region, s.uid`)
	if err != nil {
		return fmt.Errorf("read secrets: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := c.row(rows); err != nil {
			return fmt.Errorf("read secrets: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read secrets: %w", err)
	}
	c.finish()
	return c.rest(tx)
}

// inspector walks over secrets with their versions.
type inspector struct {
	in   *store.Inspection
	keys Opener
	gone func(error) bool
	// The secret whose versions are being read, and those seen.
	at       *secret
	current  string
	pairs    labels
	versions map[string]bool
}

// row takes a row of secrets and versions. Its error is the engine's.
func (c *inspector) row(r store.Row) error {
	var x secretScan
	var current string
	var id, kind *string
	var dataKey, sealed []byte
	if err := r.Scan(x.dest(&current, &id, &kind, &dataKey, &sealed)...); err != nil {
		return err
	}
	if c.at == nil || c.at.Account != x.Account || c.at.Region != x.Region || c.at.UID != x.UID {
		c.finish()
		c.begin(&x, current)
	}
	if id == nil {
		return nil
	}
	c.versions[*id] = true
	c.in.Saw("secret_versions")
	v := &version{ID: *id, Kind: valueKind(*kind), DataKey: dataKey, Sealed: sealed}
	row := c.at.arn() + " version " + v.ID
	plain, err := c.keys.Open(v.DataKey, encryptionContext(c.at.arn(), v.ID))
	if err != nil && c.gone(err) {
		c.in.Note("versions of secrets that nobody can read any more, because their KMS key was deleted")
		return nil
	}
	if err != nil {
		c.in.Fault("secret_versions", row, "its data key does not open: %v", err)
		return nil
	}
	defer clear(plain)
	value, err := envelope.OpenValue(plain, valueName(c.at, v.ID, v.Kind), v.Sealed)
	if err != nil {
		c.in.Fault("secret_versions", row, "its value does not open: %v", err)
	}
	clear(value)
	return nil
}

// begin looks at a secret by itself.
func (c *inspector) begin(x *secretScan, current string) {
	c.in.Saw("secrets")
	c.at, c.current, c.pairs, c.versions = &x.secret, current, nil, make(map[string]bool)
	fault := func(problem string, args ...any) { c.in.Fault("secrets", c.at.arn(), problem, args...) }
	// By the strict reader: that of calls takes a damaged text for a short one.
	var pairs [][2]string
	if err := json.Unmarshal([]byte(x.labels), &pairs); err != nil {
		fault("its labels are not readable: %v", err)
	}
	for _, p := range pairs {
		if c.pairs.versionOf(p[0]) != "" {
			fault("its label %q is on two versions", p[0])
		}
		c.pairs = append(c.pairs, label{p[0], p[1]})
	}
	if _, err := decodeTags(x.tags); err != nil {
		fault("its tags are not readable: %v", err)
	}
	if c.at.Policy != "" {
		if _, err := policy.Parse([]byte(c.at.Policy)); err != nil {
			fault("its policy is none: %v", err)
		}
	}
	if (x.deleted == 0) != (x.purgeAt == 0) {
		fault("it has a day of deletion or one of removal, but not both")
	}
}

// finish compares a secret's labels with its versions.
func (c *inspector) finish() {
	if c.at == nil {
		return
	}
	for _, l := range c.pairs {
		if !c.versions[l.Version] {
			c.in.Fault("secrets", c.at.arn(), "its label %q points at version %s, which does not exist", l.Stage, l.Version)
		}
	}
	if want := c.pairs.versionOf(stageCurrent); c.current != want {
		c.in.Fault("secrets", c.at.arn(), "its current version is %q, but AWSCURRENT is on %q", c.current, want)
	}
}

// rest looks for rows that hang on nothing.
func (c *inspector) rest(tx store.Tx) error {
	if err := c.in.Orphans(tx, "secret_versions", "its secret does not exist", `SELECT v.account || '/' || v.region || '/' || v.secret_uid || ' version ' || v.version_id FROM secret_versions v
		WHERE NOT EXISTS (SELECT 1 FROM secrets s WHERE s.account = v.account AND s.region = v.region AND s.uid = v.secret_uid)`); err != nil {
		return err
	}
	type replica struct{ row, status string }
	err := store.Each(c.in, tx, "secret_replicas", func(r store.Row) (v replica, err error) {
		err = r.Scan(&v.row, &v.status)
		return v, err
	}, func(v *replica) string { return v.row }, func(v *replica) {
		switch v.status {
		case replicaInSync, replicaInProgress, replicaFailed:
		default:
			c.in.Fault("secret_replicas", v.row, "its status %q is none", v.status)
		}
	}, `SELECT account || '/' || region || '/' || secret_uid || ' in ' || replica_region, status FROM secret_replicas`)
	if err != nil {
		return err
	}
	return c.in.Orphans(tx, "secret_replicas", "its secret does not exist", `SELECT r.account || '/' || r.region || '/' || r.secret_uid || ' in ' || r.replica_region FROM secret_replicas r
		WHERE NOT EXISTS (SELECT 1 FROM secrets s WHERE s.account = r.account AND s.region = r.region AND s.uid = r.secret_uid)`)
}
