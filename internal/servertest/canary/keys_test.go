package canary_test

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/strongroom/strongroom/internal/keyring"
	"github.com/strongroom/strongroom/internal/keyring/envelope"
	"github.com/strongroom/strongroom/internal/seal"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/sigv4"
	"github.com/strongroom/strongroom/internal/store"
)

// vault reads the stopped server's keys the way whoever holds the root key can.
type vault struct {
	*world
	db   *store.DB
	ring *keyring.Keyring
}

// openVault opens the store that the server has left.
func (w *world) openVault() *vault {
	w.Helper()
	c := store.Config{Dir: w.server.Dir}
	if w.postgres != nil {
		c.URL = w.postgres.Address
	}
	db, err := store.Open(w.Context(), c)
	if err != nil {
		w.Fatal(err)
	}
	root, err := seal.OpenFile(filepath.Join(w.server.Dir, server.RootKeyFile))
	if err != nil {
		w.Fatal(err)
	}
	kept := keyring.SQL{Read: db.Read}
	ring, err := keyring.Open(w.Context(), kept, root, time.Now)
	if err != nil {
		w.Fatal(err)
	}
	stored, err := kept.Load(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	for _, k := range stored {
		// What package keyring binds a wrapped key to.
		aad := envelope.AppendText(envelope.AppendText(nil, "strongroom storage key v1"), k.ID)
		aad = binary.BigEndian.AppendUint64(aad, uint64(k.Created.UnixMicro()))
		secret, err := root.Unwrap(w.Context(), k.Wrapped, aad)
		if err != nil {
			w.Fatal(err)
		}
		w.add(kindInternal+": storage key", secret)
	}
	return &vault{w, db, ring}
}

func (v *vault) close() {
	v.Helper()
	v.ring.Close()
	if err := v.db.Close(); err != nil {
		v.Error(err)
	}
}

// each calls fn for each row of a query.
func (v *vault) each(query string, fn func(store.Rows) error) {
	v.Helper()
	err := v.db.Read(v.Context(), func(tx store.Tx) error {
		rows, err := tx.Query(query)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := fn(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	if err != nil {
		v.Fatalf("%s: %v", query, err)
	}
}

// internalKeys notes the keys that no answer ever holds: the root key, the
// storage keys, KMS material, the data key of each version, the signing seed of
// the audit log, and what signatures are made with.
func (w *world) internalKeys() {
	w.Helper()
	text, err := os.ReadFile(filepath.Join(w.server.Dir, server.RootKeyFile))
	if err != nil {
		w.Fatal(err)
	}
	root, err := base64.StdEncoding.DecodeString(strings.Split(string(text), "\n")[1])
	if err != nil || len(root) != 32 {
		w.Fatalf("root key of %d bytes, %v", len(root), err)
	}
	w.add(kindRoot, root)
	for _, s := range services {
		for _, day := range []time.Time{time.Now(), time.Now().Add(-time.Hour)} {
			key := sigv4.SigningKey([]byte(w.server.Admin.SecretAccessKey), day.UTC().Format("20060102"), "us-east-1", s.Name)
			w.add(kindInternal+": signing key for "+s.Name, key[:])
		}
	}
	v := w.openVault()
	defer v.close()
	v.each(`SELECT node, sealed FROM audit_keys`, func(r store.Rows) error {
		var node string
		var sealed []byte
		if err := r.Scan(&node, &sealed); err != nil {
			return err
		}
		v.unseal("audit key", "audit-head-key", []byte(node), sealed)
		return nil
	})
	v.dataKeys(v.material())
	w.expectKinds()
}

// unseal opens what the keyring has sealed and notes it.
func (v *vault) unseal(label, purpose string, aad, sealed []byte) []byte {
	v.Helper()
	plain, err := v.ring.Open(purpose, aad, sealed)
	if err != nil {
		v.Fatalf("%s: %v", label, err)
	}
	v.add(kindInternal+": "+label, plain)
	return plain
}

// material notes the material of all KMS keys and returns it by the id in blobs.
func (v *vault) material() map[envelope.MaterialID][]byte {
	v.Helper()
	out := make(map[envelope.MaterialID][]byte)
	v.each(`SELECT account, region, key_id, id, sealed FROM kms_material`, func(r store.Rows) error {
		var account, region, key, id string
		var sealed []byte
		if err := r.Scan(&account, &region, &key, &id, &sealed); err != nil {
			return err
		}
		aad := envelope.AppendText(envelope.AppendText(nil, account), region)
		aad = envelope.AppendText(envelope.AppendText(aad, key), id)
		plain := v.unseal("material of a KMS key", "kms.material", aad, sealed)
		out[materialID(v, id)] = plain
		return nil
	})
	return out
}

// dataKeys notes the data key of each version of each secret.
func (v *vault) dataKeys(material map[envelope.MaterialID][]byte) {
	v.Helper()
	v.each(`SELECT s.account, s.region, s.name, s.suffix, v.version_id, v.data_key FROM secret_versions v
		JOIN secrets s ON s.account = v.account AND s.region = v.region AND s.uid = v.secret_uid`, func(r store.Rows) error {
		var account, region, name, suffix, version string
		var wrapped []byte
		if err := r.Scan(&account, &region, &name, &suffix, &version, &wrapped); err != nil {
			return err
		}
		blob, err := envelope.Parse(envelope.KMS, wrapped)
		if err != nil {
			return err
		}
		arn := "arn:aws:secretsmanager:" + region + ":" + account + ":secret:" + name + "-" + suffix
		key, err := blob.Open(material[blob.Name.Material], envelope.Context(map[string]string{"SecretARN": arn, "SecretVersionId": version}))
		if err != nil {
			v.Errorf("data key of %s %s: %v", arn, version, err)
			return nil
		}
		v.add(kindInternal+": data key of a version of "+name, key)
		return nil
	})
}

// materialID is the part of a material's id that blobs carry.
func materialID(v *vault, id string) (out envelope.MaterialID) {
	v.Helper()
	b, err := hex.DecodeString(id)
	if err != nil || len(b) < len(out) {
		v.Fatalf("material id %q", id)
	}
	copy(out[:], b)
	return out
}
