package kms

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/wire"
)

// TestChangesHoldForTheNextCall, also for a node that has everything cached.
func TestChangesHoldForTheNextCall(t *testing.T) {
	w := newWorld(t)
	admin := w.as("admin")
	id := w.newKey(admin, in{})
	arn := keyARN(accountA, id)
	w.must(admin, "CreateAlias", in{"AliasName": "alias/app", "TargetKeyId": id})
	other := w.service().Via("secretsmanager")
	_, wrapped, err := other.Generate(admin, arn, nil)
	check(t, err)
	opens := func() error {
		_, err := other.Decrypt(admin, wrapped, nil)
		return err
	}
	check(t, opens())
	w.must(admin, "DisableKey", in{"KeyId": id})
	wantError(t, opens(), "DisabledException", "*")
	w.must(admin, "EnableKey", in{"KeyId": id})
	check(t, opens())
	w.must(admin, "PutKeyPolicy", in{"KeyId": id, "Policy": statement(`{"AWS":"arn:aws:iam::111122223333:user/nobody"}`, `"kms:*"`, ""), "BypassPolicyLockoutSafetyCheck": true})
	wantError(t, opens(), codeAccessDenied, "*")
	w.must(w.as("nobody"), "PutKeyPolicy", in{"KeyId": id, "Policy": defaultPolicy(accountA), "BypassPolicyLockoutSafetyCheck": true})
	check(t, opens())
	if got, _, err := other.Resolve(admin, accountA, home, "alias/app"); got != arn || err != nil {
		t.Errorf("the alias is %s, %v", got, err)
	}
	w.must(admin, "ScheduleKeyDeletion", in{"KeyId": id, "PendingWindowInDays": 7})
	wantError(t, opens(), "KMSInvalidStateException", "*")
	w.advance(7 * 24 * time.Hour)
	n, _, err := w.svc.PurgeDue(t.Context())
	if n != 1 || err != nil {
		t.Fatal(n, err)
	}
	wantError(t, opens(), codeAccessDenied, errCiphertextKey().Message)
	_, _, err = other.Resolve(admin, accountA, home, "alias/app")
	wantError(t, err, "NotFoundException", "*")
}

// TestDroppedMaterialIsCleared: the bytes themselves are gone, and calls under
// way still see whole material or none.
func TestDroppedMaterialIsCleared(t *testing.T) {
	w := newWorld(t)
	admin := w.as("admin")
	id := w.newKey(admin, in{})
	blob := w.encrypt(admin, id, "hello", nil)
	p := place{accountA, home}
	k, err := w.svc.cache.key(t.Context(), p, id)
	check(t, err)
	held := k.material[k.seals].bytes
	if bytes.Equal(held, make([]byte, 32)) {
		t.Fatal("the material is all zeros")
	}
	w.must(admin, "DisableKey", in{"KeyId": id})
	w.must(admin, "EnableKey", in{"KeyId": id})
	w.must(admin, "Decrypt", in{"CiphertextBlob": blob})
	if !bytes.Equal(held, make([]byte, 32)) {
		t.Error("material survives the generation it was cached under")
	}
	// Whoever still holds the dropped key gets material for one use.
	err = k.withMaterial(t.Context(), w.db, w.ring, k.seals, func(m *openMaterial) error {
		held = m.bytes
		if bytes.Equal(held, make([]byte, 32)) {
			return errors.New("material is cleared while in use")
		}
		return nil
	})
	check(t, err)
	if !bytes.Equal(held, make([]byte, 32)) || len(k.material) != 0 {
		t.Error("a dropped key keeps material")
	}
	w.must(admin, "Decrypt", in{"CiphertextBlob": blob})
	k, err = w.svc.cache.key(t.Context(), p, id)
	check(t, err)
	held = k.material[k.seals].bytes
	w.svc.Close()
	if !bytes.Equal(held, make([]byte, 32)) || w.svc.cache.size != 0 {
		t.Error("Close leaves material in memory")
	}
}

func TestCacheIsBounded(t *testing.T) {
	const limit = 4
	w := newWorld(t, func(c *Config) { c.CacheEntries = limit })
	blobs := make(map[string]string)
	for i := range 12 {
		ctx := w.in(fmt.Sprint([]string{accountA, accountB}[i%2], "/admin"), []string{home, abroad}[i/2%2])
		id := w.newKey(ctx, in{})
		w.must(ctx, "CreateAlias", in{"AliasName": "alias/" + id, "TargetKeyId": id})
		blobs[id] = w.encrypt(ctx, "alias/"+id, id, nil)
		if size := entries(t, w.svc.cache); size > limit {
			t.Fatalf("the cache holds %d entries", size)
		}
	}
	for range 3 {
		i := 0
		for id, blob := range blobs {
			for _, account := range []string{accountA, accountB} {
				for _, region := range []string{home, abroad} {
					out, err := w.call(w.in(account+"/admin", region), "Decrypt", in{"CiphertextBlob": blob})
					if err == nil && string(unb64(t, out["Plaintext"])) == id {
						i++
					}
				}
			}
			if size := entries(t, w.svc.cache); size > limit {
				t.Fatalf("the cache holds %d entries", size)
			}
		}
		if i != len(blobs) {
			t.Fatalf("%d of %d open", i, len(blobs))
		}
	}
}

// entries counts what the cache holds and checks its own count.
func entries(t *testing.T, c *cache) (n int) {
	t.Helper()
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, s := range c.scopes {
		n += len(s.keys) + len(s.aliases)
	}
	if n != c.size {
		t.Fatalf("the cache holds %d entries and counts %d", n, c.size)
	}
	return n
}

// TestUnderChange runs decryptions beside changes of the same region with a tiny
// cache: each succeeds or is told that the key is disabled, and a change that
// was acknowledged holds for the next call.
func TestUnderChange(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.CacheEntries = 2 })
	w.rec.off = true
	admin := w.as("admin")
	var ids, blobs []string
	for range 4 {
		id := w.newKey(admin, in{})
		ids, blobs = append(ids, id), append(blobs, w.encrypt(admin, id, "hello", nil))
	}
	var stop atomic.Bool
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			ctx := w.as("admin")
			for !stop.Load() {
				out, err := w.call(ctx, "Decrypt", in{"CiphertextBlob": blobs[i]})
				switch e, _ := errors.AsType[*aws.Error](err); {
				case err == nil && out["Plaintext"] != b64("hello"):
					t.Error("another plaintext came back")
				case err != nil && (i != 0 || e == nil || e.Code != "DisabledException"):
					t.Error(err)
				}
			}
		})
	}
	for range 20 {
		w.must(admin, "DisableKey", in{"KeyId": ids[0]})
		if _, err := w.call(admin, "Decrypt", in{"CiphertextBlob": blobs[0]}); err == nil {
			t.Error("a key works after its disabling was acknowledged")
		}
		w.must(admin, "EnableKey", in{"KeyId": ids[0]})
		if _, err := w.call(admin, "Decrypt", in{"CiphertextBlob": blobs[0]}); err != nil {
			t.Errorf("a key does not work after its enabling was acknowledged: %v", err)
		}
	}
	stop.Store(true)
	group.Wait()
}

func TestPurgeDestroys(t *testing.T) {
	w := newWorld(t)
	admin := w.as("admin")
	keep, id := w.newKey(admin, in{}), w.newKey(admin, in{})
	later := w.newKey(w.as(accountB+"/admin"), in{})
	w.must(admin, "CreateAlias", in{"AliasName": "alias/gone", "TargetKeyId": id})
	w.encrypt(admin, id, "hello", nil)
	var sealed []byte
	check(t, w.db.Get(t.Context(), `SELECT sealed FROM kms_material WHERE key_id = $1`, id).Scan(&sealed))
	w.must(admin, "ScheduleKeyDeletion", in{"KeyId": id, "PendingWindowInDays": 7})
	w.must(w.as(accountB+"/admin"), "ScheduleKeyDeletion", in{"KeyId": later, "PendingWindowInDays": 9})

	if n, next, err := w.svc.PurgeDue(t.Context()); n != 0 || err != nil || !next.Equal(start.Add(7*24*time.Hour)) {
		t.Errorf("PurgeDue before its time is %d, %v, %v", n, next, err)
	}
	w.advance(7 * 24 * time.Hour)
	if n, next, err := w.svc.PurgeDue(t.Context()); n != 1 || err != nil || !next.Equal(start.Add(9*24*time.Hour)) {
		t.Errorf("PurgeDue at its time is %d, %v, %v", n, next, err)
	}
	if n, _, err := w.svc.PurgeDue(t.Context()); n != 0 || err != nil {
		t.Errorf("PurgeDue again is %d, %v", n, err)
	}
	for _, table := range []string{"kms_keys WHERE id", "kms_material WHERE key_id", "kms_aliases WHERE key_id"} {
		var n int64
		check(t, w.db.Get(t.Context(), `SELECT COUNT(*) FROM `+table+` = $1`, id).Scan(&n))
		if n != 0 {
			t.Errorf("%d rows are left in %s", n, table)
		}
	}
	w.must(admin, "DescribeKey", in{"KeyId": keep})
	w.fails(admin, "DescribeKey", in{"KeyId": id}, "NotFoundException", "*")
	w.fails(admin, "DescribeKey", in{"KeyId": "alias/gone"}, "NotFoundException", "*")

	events := w.rec.of("DeleteKey")
	if len(events) != 1 {
		t.Fatalf("%d events, want 1", len(events))
	}
	if e := events[0]; e.EventType != wire.EventServiceEvent || e.Principal.Account != accountA || e.Region != home || e.Err != nil ||
		len(e.Resources) != 1 || e.Resources[0].ARN != keyARN(accountA, id) {
		t.Errorf("the event is %+v", e)
	}
	for path, content := range files(t, w.dir) {
		if bytes.Contains(content, sealed) {
			t.Errorf("%s still holds the sealed material", path)
		}
	}
}

func TestPurgeReportsWhatItCouldNotDo(t *testing.T) {
	w := newWorld(t)
	admin := w.as("admin")
	id := w.newKey(admin, in{})
	w.must(admin, "ScheduleKeyDeletion", in{"KeyId": id, "PendingWindowInDays": 7})
	w.advance(7 * 24 * time.Hour)
	w.rec.fail = "DeleteKey"
	if _, _, err := w.svc.PurgeDue(t.Context()); err == nil {
		t.Error("a lost record goes unnoticed")
	}
}

// TestCanary: neither material nor plaintext is in any file of the store or in
// any error, in no spelling.
func TestCanary(t *testing.T) {
	w := newWorld(t)
	admin := w.as("admin")
	id := w.newKey(admin, in{})
	const secret = "correct-horse-battery-staple-42!"
	blob := w.encrypt(admin, id, secret, nil)
	k, err := w.svc.cache.key(t.Context(), place{accountA, home}, id)
	check(t, err)
	var spellings [][]byte
	check(t, k.withMaterial(t.Context(), w.db, w.ring, k.seals, func(m *openMaterial) error {
		for _, s := range [][]byte{bytes.Clone(m.bytes), []byte(secret)} {
			spellings = append(spellings, s, []byte(hex.EncodeToString(s)), []byte(strings.ToUpper(hex.EncodeToString(s))),
				[]byte(base64.StdEncoding.EncodeToString(s)), []byte(base64.RawURLEncoding.EncodeToString(s)))
		}
		return nil
	}))
	check(t, w.db.Scrub(t.Context()))

	found := func(what string, text []byte) {
		t.Helper()
		for i, s := range spellings {
			if bytes.Contains(text, s) {
				t.Errorf("%s holds spelling %d of a secret", what, i)
			}
		}
	}
	all := files(t, w.dir)
	if len(all) == 0 {
		t.Fatal("the store has no files")
	}
	var seen bool
	for path, content := range all {
		found(path, content)
		seen = seen || bytes.Contains(content, []byte(id))
	}
	if !seen {
		t.Error("the search does not even find the key's id")
	}
	w.must(admin, "DisableKey", in{"KeyId": id})
	for operation, input := range map[string]in{
		"Encrypt": {"KeyId": id, "Plaintext": b64(secret)},
		"Decrypt": {"CiphertextBlob": blob},
	} {
		_, err := w.call(admin, operation, input)
		found("error of "+operation, []byte(err.Error()))
		input["EncryptionAlgorithm"] = "ROT13"
		_, err = w.call(admin, operation, input)
		found("validation error of "+operation, []byte(err.Error()))
	}
	_, err = w.call(admin, "Encrypt", in{"KeyId": id, "Plaintext": b64(strings.Repeat(secret, 200))})
	found("error about a long plaintext", []byte(err.Error()))
	for _, c := range w.rec.calls {
		found("record of "+c.Operation, append(c.RequestParameters(), fmt.Sprintf("%v %+v", c.ResponseElements, c.Input)...))
	}
}

func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := make(map[string][]byte)
	check(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		all[path], err = os.ReadFile(path)
		return err
	}))
	return all
}

func FuzzParseReference(f *testing.F) {
	for _, s := range []string{
		"1234abcd-12ab-34cd-56ef-1234567890ab", "mrk-1234567890abcdef1234567890abcdef", "alias/app", "alias/", "alias/aws/secretsmanager", "key/x", "",
		"arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab", "arn:aws:kms:us-east-1:444455556666:alias/a/b",
		"arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab", "arn:aws:s3:::x", "arn:", "arn:aws:kms:us-east-1:1:key/x",
	} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, text string, aliases bool) {
		at := place{accountA, home}
		ref, err := parseReference(text, at, aliases)
		if err != nil {
			if _, ok := errors.AsType[*aws.Error](err); !ok {
				t.Fatalf("%q: %v is no answer", text, err)
			}
			return
		}
		if ref.region != home || (ref.id == "") == (ref.alias == "") || ref.alias != "" && !aliases {
			t.Fatalf("%q is %+v", text, ref)
		}
		again, err := parseReference(ref.arn(), at, aliases)
		if err != nil || again.arn() != ref.arn() || again.account != ref.account {
			t.Fatalf("%q is %s, which is %+v, %v", text, ref.arn(), again, err)
		}
	})
}

// BenchmarkDecrypt is the path of every read of a secret: nested call, decision
// under the managed key's policy, cached key and material.
func BenchmarkDecrypt(b *testing.B) {
	w := newWorld(b)
	w.rec.off = true
	h := w.svc.Via("secretsmanager")
	nobody := w.as("nobody")
	arn, err := h.DefaultKey(nobody, accountA, home)
	check(b, err)
	ec := secretContext("EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE")
	_, wrapped, err := h.Generate(nobody, arn, ec)
	check(b, err)
	b.ReportAllocs()
	for b.Loop() {
		plain, err := h.Decrypt(nobody, wrapped, ec)
		if err != nil {
			b.Fatal(err)
		}
		clear(plain)
	}
}
