package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/keyring"
	"github.com/strongroom/strongroom/internal/keyring/envelope"
	rootkey "github.com/strongroom/strongroom/internal/seal"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/store"
)

// filled is a row of each of the two tables.
type filled struct {
	uid, name, suffix, token, labels string
	wrapped, sealed                  []byte
	err                              error
}

// fill puts secrets into the store of a stopped server, sealed as the server would,
// and without a call, a decision and an audit record for each: a million of them
// through the API would take longer than all that is measured.
func fill(ctx context.Context, data string, from, to int) error {
	root, err := rootkey.OpenFile(filepath.Join(data, server.RootKeyFile))
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, store.Config{Dir: data})
	if err != nil {
		return err
	}
	defer db.Close()
	keys, err := keyring.Open(ctx, keyring.SQL{Read: db.Read, Change: db.Maintain}, root, time.Now)
	if err != nil {
		return err
	}
	defer keys.Close()
	key, err := openKey(ctx, db, keys)
	if err != nil {
		return err
	}
	made := make(chan *filled, 1000)
	var next atomic.Int64
	next.Store(int64(from))
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < to; i = int(next.Add(1)) - 1 {
				made <- key.secret(i)
			}
		})
	}
	go func() {
		workers.Wait()
		close(made)
	}()
	err = insertAll(ctx, db, key, made)
	for range made { // after a failure
	}
	return err
}

// fillChunk is how many secrets share a transaction.
const fillChunk = 5000

func insertAll(ctx context.Context, db *store.DB, key *defaultKey, made <-chan *filled) error {
	created := time.Now().UnixMicro()
	for more := true; more; {
		err := db.Maintain(ctx, func(tx store.Tx) error {
			for range fillChunk {
				f, ok := <-made
				if !ok {
					more = false
					return nil
				}
				if f.err != nil {
					return f.err
				}
				created++
				if err := f.insert(tx, key, created); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *filled) insert(tx store.Tx, key *defaultKey, created int64) error {
	_, err := tx.Exec(`INSERT INTO secrets (account, region, uid, name, suffix, description, kms_key_id, type, owning_service,
			tags, policy, policy_version, labels, current_version, create_token, created_at, changed_at, accessed_at,
			deleted_at, purge_at, primary_region, replica, revision)
		VALUES ($1, $2, $3, $4, $5, '', '', '', '', '', '', 0, $6, $7, $7, $8, $8, $9, 0, 0, '', $10, 1)`,
		key.account, region, f.uid, f.name, f.suffix, f.labels, f.token, created, today(), false)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO secret_versions (account, region, secret_uid, version_id, created_at, accessed_at, kind, kms_key_arn, data_key, sealed)
		VALUES ($1, $2, $3, $4, $5, $6, 's', '', $7, $8)`, key.account, region, f.uid, f.token, created, today(), f.wrapped, f.sealed)
	return err
}

// today is the day that a version says it was last read on, so that reading it
// writes nothing.
func today() int64 { return time.Now().UTC().Truncate(24 * time.Hour).UnixMicro() }

// defaultKey is the key that the secrets of an account rest under.
type defaultKey struct {
	account, id string
	material    envelope.MaterialID
	bytes       []byte
}

// openKey opens the material of the default key, which the server has made with
// its first secret.
func openKey(ctx context.Context, db *store.DB, keys *keyring.Keyring) (*defaultKey, error) {
	var k defaultKey
	var material string
	var sealed []byte
	err := db.Get(ctx, `SELECT k.account, k.id, m.id, m.sealed FROM kms_keys k
		JOIN kms_material m ON m.account = k.account AND m.region = k.region AND m.key_id = k.id AND m.id = k.material
		WHERE k.region = $1 AND k.managed_by = 'secretsmanager'`, region).Scan(&k.account, &k.id, &material, &sealed)
	if err != nil {
		return nil, fmt.Errorf("look up the default key: %w", err)
	}
	var aad []byte
	for _, text := range []string{k.account, region, k.id, material} {
		aad = envelope.AppendText(aad, text)
	}
	if k.bytes, err = keys.Open("kms.material", aad, sealed); err != nil {
		return nil, err
	}
	_, err = hex.Decode(k.material[:], []byte(material)[:2*len(k.material)]) // the part of it that blobs carry
	return &k, err
}

// secret makes the i-th one.
func (k *defaultKey) secret(i int) *filled {
	f := &filled{uid: aws.NewUUID(), name: name(i), suffix: fmt.Sprintf("%06d", rand.IntN(1_000_000)), token: fmt.Sprintf("%032x", i)}
	f.labels = `[["AWSCURRENT","` + f.token + `"]]`
	arn := "arn:aws:secretsmanager:" + region + ":" + k.account + ":secret:" + f.name + "-" + f.suffix
	plain := randomBytes(32)
	ec := map[string]string{"SecretARN": arn, "SecretVersionId": f.token}
	var wrong error
	f.wrapped, f.err = envelope.Seal(envelope.KMS, envelope.Name{Account: k.account, Region: region, KeyID: k.id, Material: k.material}, k.bytes, envelope.Context(ec), plain)
	f.sealed, wrong = envelope.SealValue(plain, envelope.ValueName{Account: k.account, ARN: arn, VersionID: f.token, Purpose: "secretsmanager.value.s"}, []byte(value))
	f.err = errors.Join(f.err, wrong)
	return f
}
