package kms

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/aws"
)

func TestRepliesOfCryptography(t *testing.T) {
	w := newWorld(t)
	admin := w.as("admin")
	m := w.must(admin, "CreateKey", in{})["KeyMetadata"].(map[string]any)
	id, arn, material := m["KeyId"].(string), m["Arn"], m["CurrentKeyMaterialId"]
	w.must(admin, "CreateAlias", in{"AliasName": "alias/app", "TargetKeyId": id})
	ec := map[string]string{"b": "2", "a": "1"}

	for _, name := range []string{id, arn.(string), "alias/app", "arn:aws:kms:us-east-1:111122223333:alias/app"} {
		out := w.must(admin, "Encrypt", in{"KeyId": name, "Plaintext": b64("hello"), "EncryptionContext": ec})
		if len(out) != 3 || out["KeyId"] != arn || out["EncryptionAlgorithm"] != "SYMMETRIC_DEFAULT" {
			t.Errorf("Encrypt by %s returns %v", name, out)
		}
		opened := w.must(admin, "Decrypt", in{"CiphertextBlob": out["CiphertextBlob"], "KeyId": name, "EncryptionContext": ec})
		if len(opened) != 4 || opened["KeyId"] != arn || opened["EncryptionAlgorithm"] != "SYMMETRIC_DEFAULT" ||
			opened["KeyMaterialId"] != material || opened["Plaintext"] != b64("hello") {
			t.Errorf("Decrypt by %s returns %v", name, opened)
		}
		again := w.must(admin, "Encrypt", in{"KeyId": name, "Plaintext": b64("hello"), "EncryptionContext": ec})
		if again["CiphertextBlob"] == out["CiphertextBlob"] {
			t.Error("two ciphertexts of one plaintext are equal")
		}
	}
	for _, c := range []struct {
		input in
		size  int
	}{
		{in{"KeySpec": "AES_256"}, 32}, {in{"KeySpec": "AES_128"}, 16}, {in{"NumberOfBytes": 1}, 1}, {in{"NumberOfBytes": 1024}, 1024},
	} {
		c.input["KeyId"] = id
		out := w.must(admin, "GenerateDataKey", c.input)
		plain := unb64(t, out["Plaintext"])
		if len(out) != 4 || len(plain) != c.size || out["KeyId"] != arn || out["KeyMaterialId"] != material {
			t.Errorf("GenerateDataKey(%v) returns %v", c.input, out)
		}
		opened := w.must(admin, "Decrypt", in{"CiphertextBlob": out["CiphertextBlob"]})
		if opened["Plaintext"] != out["Plaintext"] {
			t.Error("the sealed data key opens to another one")
		}
	}
	largest := strings.Repeat("x", 4096)
	blob := w.encrypt(admin, id, largest, map[string]string{"k": strings.Repeat("v", 8191)})
	if n := len(unb64(t, blob)); n > 6144 {
		t.Errorf("the largest plaintext makes a blob of %d bytes", n)
	}
	out := w.must(admin, "Decrypt", in{"CiphertextBlob": blob, "EncryptionContext": map[string]string{"k": strings.Repeat("v", 8191)}})
	if string(unb64(t, out["Plaintext"])) != largest {
		t.Error("the largest plaintext does not come back")
	}
}

func TestContextsMustAgree(t *testing.T) {
	w := newWorld(t)
	admin := w.as("admin")
	id := w.newKey(admin, in{})
	type ec = map[string]string
	for _, c := range []struct {
		name         string
		seal, unseal ec
		opens        bool
	}{
		{"both absent", nil, nil, true},
		{"empty and absent", ec{}, nil, true},
		{"equal", ec{"a": "1", "b": "2"}, ec{"b": "2", "a": "1"}, true},
		{"missing", ec{"a": "1"}, nil, false},
		{"extra", nil, ec{"a": "1"}, false},
		{"one extra", ec{"a": "1"}, ec{"a": "1", "b": "2"}, false},
		{"other case of a value", ec{"a": "x"}, ec{"a": "X"}, false},
		{"other case of a name", ec{"a": "x"}, ec{"A": "x"}, false},
		{"swapped", ec{"a": "b"}, ec{"b": "a"}, false},
		{"boundary moved", ec{"ab": "c"}, ec{"a": "bc"}, false},
		{"two pairs as one", ec{"a": "1", "b": "2"}, ec{"a": "1b2"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			blob := w.encrypt(admin, id, "hello", c.seal)
			_, err := w.call(admin, "Decrypt", in{"CiphertextBlob": blob, "EncryptionContext": c.unseal})
			if c.opens {
				check(t, err)
				return
			}
			wantError(t, err, "InvalidCiphertextException", "")
		})
	}
}

// TestAlteredBlobs flips each bit, cuts at each length and appends: nothing
// opens, and nothing is answered but the two errors that say nothing.
func TestAlteredBlobs(t *testing.T) {
	w := newWorld(t)
	admin := w.as("admin")
	id := w.newKey(admin, in{})
	other := unb64(t, w.encrypt(admin, w.newKey(admin, in{}), "hello", nil))
	blob := unb64(t, w.encrypt(admin, id, "hello", nil))
	refused := func(what string, altered []byte) {
		t.Helper()
		_, err := w.call(admin, "Decrypt", in{"CiphertextBlob": base64.StdEncoding.EncodeToString(altered)})
		e, ok := errors.AsType[*aws.Error](err)
		if !ok || e.Code != "InvalidCiphertextException" && e.Message != errCiphertextKey().Message {
			t.Fatalf("%s: %v", what, err)
		}
	}
	for i := range len(blob) * 8 {
		altered := bytes.Clone(blob)
		altered[i/8] ^= 1 << (i % 8)
		refused("flipped bit", altered)
	}
	for n := 1; n < len(blob); n++ {
		refused("cut", blob[:n])
	}
	refused("appended", append(bytes.Clone(blob), 0))
	// The header of one key on the body of another.
	name := len(blob) - 5 - 16 - 12 - 32 - 16
	refused("spliced", append(bytes.Clone(blob[:name]), other[name:]...))
}

func TestDamagedMaterialIsOurFault(t *testing.T) {
	w := newWorld(t)
	admin := w.as("admin")
	id := w.newKey(admin, in{})
	blob := w.encrypt(admin, id, "hello", nil)
	_, err := w.exec(`UPDATE kms_material SET sealed = (SELECT sealed FROM kms_material WHERE key_id <> $1) WHERE key_id = $1`, id)
	if err == nil {
		t.Fatal("the only material was replaced by none")
	}
	other := w.newKey(admin, in{})
	// Material of another row does not open in this one.
	if n, err := w.exec(`UPDATE kms_material SET sealed = (SELECT sealed FROM kms_material WHERE key_id = $2) WHERE key_id = $1`, id, other); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	_, err = w.call(admin, "Decrypt", in{"CiphertextBlob": blob})
	if e, ok := errors.AsType[*aws.Error](err); ok {
		t.Fatalf("swapped material is answered %v, want an internal error", e)
	}
	if err == nil {
		t.Fatal("swapped material opens")
	}
}

func TestCiphertextsOfKeysOutOfReach(t *testing.T) {
	w := newWorld(t)
	admin := w.as("admin")
	id := w.newKey(admin, in{})
	blob := w.encrypt(admin, id, "hello", nil)
	message := errCiphertextKey().Message

	w.fails(w.as("nobody"), "Decrypt", in{"CiphertextBlob": blob}, codeAccessDenied, message)
	w.fails(w.in("admin", abroad), "Decrypt", in{"CiphertextBlob": blob}, codeAccessDenied, message)
	w.fails(w.as(accountB+"/admin"), "Decrypt", in{"CiphertextBlob": blob}, codeAccessDenied, message)
	// Who names the key is told why.
	w.fails(w.as("nobody"), "Decrypt", in{"CiphertextBlob": blob, "KeyId": id}, codeAccessDenied,
		"User: arn:aws:iam::111122223333:user/nobody is not authorized to perform: kms:Decrypt on resource: "+keyARN(accountA, id)+
			" because no identity-based policy allows the kms:Decrypt action")

	w.must(admin, "ScheduleKeyDeletion", in{"KeyId": id, "PendingWindowInDays": 7})
	w.advance(8 * 24 * 3600e9)
	if n, _, err := w.svc.PurgeDue(t.Context()); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	w.fails(admin, "Decrypt", in{"CiphertextBlob": blob}, codeAccessDenied, message)
	for _, c := range w.rec.of("Decrypt") {
		if len(c.Decisions) == 0 {
			t.Error("a decryption was answered without a decision")
		}
	}
}
