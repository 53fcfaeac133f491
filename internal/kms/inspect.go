package kms

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/strongroom/strongroom/internal/keyring/envelope"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/store"
)

// ErrGone is the error for a blob under a key that is not there any more, which is
// what deleting a key is for, and no damage.
var ErrGone = errors.New("its KMS key was deleted")

// Materials opens blobs for an inspection, outside any call and whatever state the
// keys are in. It never leaves the process that the operator started for it.
type Materials struct {
	// keys are those that any row tells of: true, the key's own; false, only one
	// of its materials.
	keys map[keyName]bool
	open map[materialName][]byte
}

type keyName struct {
	place
	id string
}

type materialName struct {
	keyName
	id envelope.MaterialID
}

// Close clears the materials.
func (m *Materials) Close() {
	for _, b := range m.open {
		clear(b)
	}
	clear(m.open)
}

// Open opens a blob. It returns ErrGone when neither the key nor its material is
// there.
func (m *Materials) Open(wrapped []byte, ec map[string]string) ([]byte, error) {
	blob, err := envelope.Parse(envelope.KMS, wrapped)
	if err != nil {
		return nil, err
	}
	name := keyName{place{blob.Name.Account, blob.Name.Region}, blob.Name.KeyID}
	material, ok := m.open[materialName{name, blob.Name.Material}]
	_, known := m.keys[name]
	switch {
	case !ok && !known:
		return nil, ErrGone
	case !ok:
		return nil, fmt.Errorf("material %x of key %s is missing or does not open", blob.Name.Material, name.keyARN(name.id))
	}
	return blob.Open(material, envelope.Context(ec))
}

// inspected is a row of kms_material.
type inspected struct {
	keyName
	material string
	sealed   []byte
	hasKey   bool
}

// Inspect looks at every row of the slice and returns what opens its blobs. The
// caller closes it.
func Inspect(in *store.Inspection, tx store.Tx, keys Sealer) (*Materials, error) {
	m := &Materials{keys: make(map[keyName]bool), open: make(map[materialName][]byte)}
	err := store.Each(in, tx, "kms_material", func(r store.Row) (v inspected, err error) {
		err = r.Scan(&v.account, &v.region, &v.keyName.id, &v.material, &v.sealed, &v.hasKey)
		return v, err
	}, func(v *inspected) string { return v.material }, func(v *inspected) { m.material(in, keys, v) },
		`SELECT m.account, m.region, m.key_id, m.id, m.sealed,
			EXISTS (SELECT 1 FROM kms_keys k WHERE k.account = m.account AND k.region = m.region AND k.id = m.key_id) FROM kms_material m`)
	if err != nil {
		m.Close()
		return nil, err
	}
	err = store.Each(in, tx, "kms_keys", scanKey, func(k *key) string { return k.arn() }, func(k *key) { m.key(in, k) },
		`SELECT `+keyColumns+` FROM kms_keys`)
	if err == nil {
		err = store.Each(in, tx, "kms_aliases", func(r store.Row) (a alias, err error) {
			err = r.Scan(&a.account, &a.region, &a.Name, &a.KeyID)
			return a, err
		}, func(a *alias) string { return a.aliasARN(a.Name) }, func(a *alias) {
			if !m.keys[keyName{a.place, a.KeyID}] {
				in.Fault("kms_aliases", a.aliasARN(a.Name), "it points at key %s, which does not exist", a.KeyID)
			}
		}, `SELECT account, region, name, key_id FROM kms_aliases`)
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func (m *Materials) material(in *store.Inspection, keys Sealer, v *inspected) {
	row := v.keyARN(v.keyName.id) + " material " + v.material
	// Known by its material too: a key whose row is lost was not deleted.
	m.keys[v.keyName] = v.hasKey
	if !v.hasKey {
		in.Fault("kms_material", row, "its key does not exist")
	}
	id, err := hex.DecodeString(v.material)
	if err != nil || len(id) != 2*len(envelope.MaterialID{}) {
		in.Fault("kms_material", row, "its id is not 64 hexadecimal digits")
		return
	}
	opened, err := keys.Open(sealPurpose, sealContext(&key{place: v.place, ID: v.keyName.id}, v.material), v.sealed)
	if err != nil {
		in.Fault("kms_material", row, "it does not open: %v", err)
		return
	}
	if len(opened) != envelope.MaterialSize {
		in.Fault("kms_material", row, "it is %d bytes long, not %d", len(opened), envelope.MaterialSize)
		clear(opened)
		return
	}
	m.open[materialName{v.keyName, envelope.MaterialID(id[:len(envelope.MaterialID{})])}] = opened
}

func (m *Materials) key(in *store.Inspection, k *key) {
	name := keyName{k.place, k.ID}
	m.keys[name] = true
	fault := func(problem string, args ...any) { in.Fault("kms_keys", k.arn(), problem, args...) }
	if id, err := hex.DecodeString(k.Material); err != nil || len(id) != 2*len(envelope.MaterialID{}) {
		fault("the id of its material is not 64 hexadecimal digits")
	} else if m.open[materialName{name, envelope.MaterialID(id[:len(envelope.MaterialID{})])}] == nil {
		fault("its material %s is missing or does not open", k.Material)
	}
	switch k.State {
	case KeyStateEnabled, KeyStateDisabled:
		if !k.DeleteAt.IsZero() {
			fault("it is %s, yet has a day of deletion", k.State)
		}
	case KeyStatePendingDeletion:
		if k.DeleteAt.IsZero() {
			fault("it is %s, yet has no day of deletion", k.State)
		}
	default:
		fault("its state %q is none", k.State)
	}
	if _, err := policy.Parse([]byte(k.Policy)); err != nil {
		fault("its policy is none: %v", err)
	}
}
