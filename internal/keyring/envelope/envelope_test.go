package envelope_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/keyring/envelope"
)

type unhex []byte

func (h *unhex) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

type vectors struct {
	Contexts []struct {
		Title   string
		Pairs   map[string]string
		Encoded unhex
	}
	Blobs []struct {
		Title                                 string
		Kind                                  envelope.Kind
		Account, Region, KeyID                string
		Material, Key, AAD, Plaintext, Sealed unhex
	}
	Values []struct {
		Title                            string
		Account, ARN, VersionID, Purpose string
		Key, Plaintext, Sealed           unhex
	}
}

func load(t testing.TB) (v vectors) {
	t.Helper()
	src, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(src, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// The released formats: whatever else changes, these open.
func TestVectors(t *testing.T) {
	v := load(t)
	if len(v.Contexts) < 4 || len(v.Blobs) < 6 || len(v.Values) < 2 {
		t.Fatal("vectors are missing: released ones stay for ever")
	}
	for _, c := range v.Contexts {
		t.Run("context/"+c.Title, func(t *testing.T) {
			if got := envelope.Context(c.Pairs); !bytes.Equal(got, c.Encoded) {
				t.Errorf("got  %x\nwant %x", got, c.Encoded)
			}
		})
	}
	for _, c := range v.Blobs {
		t.Run("blob/"+c.Title, func(t *testing.T) {
			b, err := envelope.Parse(c.Kind, c.Sealed)
			if err != nil {
				t.Fatal(err)
			}
			want := envelope.Name{Account: c.Account, Region: c.Region, KeyID: c.KeyID, Material: envelope.MaterialID(c.Material)}
			if b.Name != want {
				t.Errorf("name %+v, want %+v", b.Name, want)
			}
			got, err := b.Open(c.Key, c.AAD)
			if err != nil || !bytes.Equal(got, c.Plaintext) {
				t.Errorf("Open = %x, %v; want %x", got, err, c.Plaintext)
			}
			// The same facts sealed today have the same shape: name in front,
			// equal length.
			again, err := envelope.Seal(c.Kind, b.Name, c.Key, c.AAD, c.Plaintext)
			if err != nil {
				t.Fatal(err)
			}
			head := len(c.Sealed) - len(c.Plaintext) - 16 - 32 - 12 - 16
			if len(again) != len(c.Sealed) || !bytes.Equal(again[:head], c.Sealed[:head]) {
				t.Errorf("Seal now writes another layout: %x", again)
			}
		})
	}
	for _, c := range v.Values {
		t.Run("value/"+c.Title, func(t *testing.T) {
			name := envelope.ValueName{Account: c.Account, ARN: c.ARN, VersionID: c.VersionID, Purpose: c.Purpose}
			got, err := envelope.OpenValue(c.Key, name, c.Sealed)
			if err != nil || !bytes.Equal(got, c.Plaintext) {
				t.Errorf("OpenValue = %x, %v; want %x", got, err, c.Plaintext)
			}
		})
	}
}

// Every change of a single bit, every cut and every byte more is refused, in
// every kind.
func TestAlteredIsRefused(t *testing.T) {
	for _, c := range load(t).Blobs {
		if len(c.Sealed) > 1000 {
			continue // the same layout as its siblings, and slow
		}
		refuse := func(what string, at int, sealed []byte) {
			b, err := envelope.Parse(c.Kind, sealed)
			if err == nil {
				_, err = b.Open(c.Key, c.AAD)
			}
			if err != envelope.ErrInvalidCiphertext {
				t.Errorf("%s: %s at %d: %v", c.Title, what, at, err)
			}
		}
		for i := range c.Sealed {
			for bit := range 8 {
				s := bytes.Clone(c.Sealed)
				s[i] ^= 1 << bit
				refuse("bit", i, s)
			}
			refuse("cut", i, c.Sealed[:i])
		}
		refuse("more", len(c.Sealed), append(bytes.Clone(c.Sealed), 0))
	}
	for _, c := range load(t).Values {
		name := envelope.ValueName{Account: c.Account, ARN: c.ARN, VersionID: c.VersionID, Purpose: c.Purpose}
		for i := range c.Sealed {
			for bit := range 8 {
				s := bytes.Clone(c.Sealed)
				s[i] ^= 1 << bit
				if _, err := envelope.OpenValue(c.Key, name, s); err != envelope.ErrInvalidCiphertext {
					t.Errorf("%s: bit at %d: %v", c.Title, i, err)
				}
			}
			if _, err := envelope.OpenValue(c.Key, name, c.Sealed[:i]); err != envelope.ErrInvalidCiphertext {
				t.Errorf("%s: cut at %d: %v", c.Title, i, err)
			}
		}
	}
}

func TestForeignIsRefused(t *testing.T) {
	c := load(t).Blobs[0]
	b, err := envelope.Parse(c.Kind, c.Sealed)
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Clone(c.Key)
	other[31] ^= 1
	for name, try := range map[string]struct{ key, aad []byte }{
		"other material":   {other, c.AAD},
		"short material":   {c.Key[:16], c.AAD},
		"no material":      {nil, c.AAD},
		"no context":       {c.Key, nil},
		"longer context":   {c.Key, append(bytes.Clone(c.AAD), 0)},
		"shorter context":  {c.Key, c.AAD[:len(c.AAD)-1]},
		"swapped material": {c.AAD[:32], c.Key},
	} {
		if _, err := b.Open(try.key, try.aad); err != envelope.ErrInvalidCiphertext {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := (envelope.Blob{}).Open(c.Key, nil); err != envelope.ErrInvalidCiphertext {
		t.Errorf("zero blob: %v", err)
	}
	// A blob of one kind under the same key is no blob of another kind, even with
	// its format byte rewritten.
	k, err := envelope.Seal(envelope.Keyring, envelope.Name{}, c.Key, nil, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := envelope.Parse(envelope.Root, k); err != envelope.ErrInvalidCiphertext {
		t.Errorf("keyring blob parsed as root: %v", err)
	}
	k[0] = byte(envelope.Root)
	r, err := envelope.Parse(envelope.Root, k)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Open(c.Key, nil); err != envelope.ErrInvalidCiphertext {
		t.Errorf("keyring blob opened as root: %v", err)
	}
}

// Parse must refuse names that Seal could not have written, so that a blob has
// one spelling.
func TestParseRefusesOddNames(t *testing.T) {
	good := load(t).Blobs[0].Sealed
	for name, change := range map[string]func(b []byte){
		"account beyond twelve digits": func(b []byte) { copy(b[1:], []byte{0xe8, 0xd4, 0xa5, 0x10, 0x00}) },
		"region empty":                 func(b []byte) { b[6] = 0 },
		"region too long":              func(b []byte) { b[6] = 33 },
		"region beyond the blob":       func(b []byte) { b[6] = 255 },
		"region with a quote":          func(b []byte) { b[7] = '\'' },
		"key id with a slash":          func(b []byte) { b[17] = '/' },
		"key id not text":              func(b []byte) { b[17] = 0x80 },
		"key id empty":                 func(b []byte) { b[16] = 0 },
		"unknown format":               func(b []byte) { b[0] = 0x12 },
	} {
		b := bytes.Clone(good)
		change(b)
		if _, err := envelope.Parse(envelope.KMS, b); err != envelope.ErrInvalidCiphertext {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := envelope.Parse(envelope.KMS, make([]byte, 1<<20)); err != envelope.ErrInvalidCiphertext {
		t.Errorf("huge: %v", err)
	}
	if _, err := envelope.Parse(0, []byte{0}); err != envelope.ErrInvalidCiphertext {
		t.Errorf("kind 0: %v", err)
	}
}

func TestSealRefuses(t *testing.T) {
	key := bytes.Repeat([]byte("K3y!"), 8)
	name := envelope.Name{Account: "111122223333", Region: "us-east-1", KeyID: "k"}
	with := func(f func(n *envelope.Name)) envelope.Name { n := name; f(&n); return n }
	for title, c := range map[string]struct {
		kind      envelope.Kind
		name      envelope.Name
		key       []byte
		plaintext int
	}{
		"unknown kind":            {0x99, name, key, 1},
		"short material":          {envelope.KMS, name, key[:16], 1},
		"no material":             {envelope.KMS, name, nil, 1},
		"kms plaintext too long":  {envelope.KMS, name, key, 4097},
		"account of 11 digits":    {envelope.KMS, with(func(n *envelope.Name) { n.Account = "11112222333" }), key, 1},
		"account with a letter":   {envelope.KMS, with(func(n *envelope.Name) { n.Account = "11112222333x" }), key, 1},
		"no region":               {envelope.KMS, with(func(n *envelope.Name) { n.Region = "" }), key, 1},
		"region of 33":            {envelope.KMS, with(func(n *envelope.Name) { n.Region = strings.Repeat("a", 33) }), key, 1},
		"key id of 65":            {envelope.KMS, with(func(n *envelope.Name) { n.KeyID = strings.Repeat("a", 65) }), key, 1},
		"key id with a colon":     {envelope.KMS, with(func(n *envelope.Name) { n.KeyID = "a:b" }), key, 1},
		"keyring with an account": {envelope.Keyring, name, key, 1},
		"keyring too long":        {envelope.Keyring, envelope.Name{}, key, 64<<10 + 1},
		"root too long":           {envelope.Root, envelope.Name{}, key, 1<<10 + 1},
	} {
		_, err := envelope.Seal(c.kind, c.name, c.key, nil, make([]byte, c.plaintext))
		if err == nil {
			t.Errorf("%s: accepted", title)
		} else if strings.Contains(err.Error(), "K3y!") {
			t.Errorf("%s: error shows the key: %v", title, err)
		}
	}
	if _, err := envelope.SealValue(key[:31], envelope.ValueName{}, nil); err == nil {
		t.Error("short data key accepted")
	}
	if _, err := envelope.SealValue(key, envelope.ValueName{}, make([]byte, 1<<20+1)); err == nil {
		t.Error("huge value accepted")
	}
}

// The largest plaintext of Encrypt has to fit into Decrypt's 6144 bytes under
// the longest name.
func TestKMSBlobFits(t *testing.T) {
	name := envelope.Name{Account: "999999999999", Region: strings.Repeat("r", 32), KeyID: strings.Repeat("k", 64)}
	blob, err := envelope.Seal(envelope.KMS, name, make([]byte, 32), nil, make([]byte, 4096))
	if err != nil {
		t.Fatal(err)
	}
	if len(blob) > 6144 {
		t.Errorf("%d bytes", len(blob))
	}
	if b, err := envelope.Parse(envelope.KMS, blob); err != nil || b.Name != name {
		t.Errorf("Parse = %+v, %v", b.Name, err)
	}
}

func TestSealsDiffer(t *testing.T) {
	key := make([]byte, 32)
	a, _ := envelope.Seal(envelope.Keyring, envelope.Name{}, key, nil, []byte("same"))
	b, _ := envelope.Seal(envelope.Keyring, envelope.Name{}, key, nil, []byte("same"))
	// Salt, commitment and nonce each start afresh.
	for field, at := range map[string][2]int{"salt": {17, 33}, "commitment": {33, 65}, "nonce": {65, 77}} {
		if bytes.Equal(a[at[0]:at[1]], b[at[0]:at[1]]) {
			t.Errorf("two seals share their %s", field)
		}
	}
}

// Each field of the name and each shift of bytes between fields must matter.
func TestValueIsBoundToItsPlace(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 32)
	name := envelope.ValueName{Account: "111122223333", ARN: "arn:x", VersionID: "v1", Purpose: "p"}
	sealed, err := envelope.SealValue(key, name, []byte("s3cret"))
	if err != nil {
		t.Fatal(err)
	}
	for title, n := range map[string]envelope.ValueName{
		"account":       {"111122223334", "arn:x", "v1", "p"},
		"ARN":           {"111122223333", "arn:y", "v1", "p"},
		"version":       {"111122223333", "arn:x", "v2", "p"},
		"purpose":       {"111122223333", "arn:x", "v1", "q"},
		"shifted":       {"111122223333", "arn:xv", "1", "p"},
		"shifted right": {"111122223333", "arn:", "xv1", "p"},
	} {
		if _, err := envelope.OpenValue(key, n, sealed); err != envelope.ErrInvalidCiphertext {
			t.Errorf("%s: %v", title, err)
		}
	}
	if bytes.Contains(sealed, []byte("s3cret")) {
		t.Error("plaintext inside")
	}
}

func FuzzBlob(f *testing.F) {
	f.Add(byte(envelope.KMS), []byte("material"), []byte("aad"), []byte("plaintext"), uint16(3))
	f.Add(byte(envelope.Keyring), []byte{}, []byte{}, []byte{}, uint16(40))
	f.Add(byte(envelope.Root), []byte{1}, []byte("a"), []byte("b"), uint16(80))
	f.Fuzz(func(t *testing.T, kind byte, seed, aad, plaintext []byte, at uint16) {
		material := make([]byte, 32)
		copy(material, seed)
		name := envelope.Name{}
		copy(name.Material[:], seed)
		if kind == byte(envelope.KMS) {
			name.Account, name.Region, name.KeyID = "111122223333", "us-east-1", "mrk-1"
		}
		sealed, err := envelope.Seal(envelope.Kind(kind), name, material, aad, plaintext)
		if err != nil {
			return
		}
		open := func(raw, material, aad []byte) ([]byte, error) {
			b, err := envelope.Parse(envelope.Kind(kind), raw)
			if err != nil {
				return nil, err
			}
			return b.Open(material, aad)
		}
		got, err := open(sealed, material, aad)
		if err != nil || !bytes.Equal(got, plaintext) {
			t.Fatalf("open∘seal: %x, %v", got, err)
		}
		sealed[int(at)%len(sealed)] ^= byte(at>>8) | 1
		if _, err := open(sealed, material, aad); !errors.Is(err, envelope.ErrInvalidCiphertext) {
			t.Fatalf("altered at %d: %v", at, err)
		}
		sealed[int(at)%len(sealed)] ^= byte(at>>8) | 1
		if _, err := open(sealed, material, append(aad[:len(aad):len(aad)], 0)); !errors.Is(err, envelope.ErrInvalidCiphertext) {
			t.Fatalf("other aad: %v", err)
		}
		material[int(at)%32] ^= 0x80
		if _, err := open(sealed, material, aad); !errors.Is(err, envelope.ErrInvalidCiphertext) {
			t.Fatalf("other material: %v", err)
		}
	})
}

// Untrusted bytes never panic, and what parses as a KMS blob names a key that
// could exist.
func FuzzParse(f *testing.F) {
	for _, b := range load(f).Blobs {
		f.Add(byte(b.Kind), []byte(b.Sealed))
	}
	f.Fuzz(func(t *testing.T, kind byte, raw []byte) {
		b, err := envelope.Parse(envelope.Kind(kind), raw)
		if err != nil {
			if err != envelope.ErrInvalidCiphertext {
				t.Fatal(err)
			}
			return
		}
		if kind == byte(envelope.KMS) && (len(b.Name.Account) != 12 || b.Name.Region == "" || b.Name.KeyID == "") {
			t.Fatalf("name %+v", b.Name)
		}
		if _, err := b.Open(make([]byte, 32), nil); err != envelope.ErrInvalidCiphertext {
			t.Fatalf("opened under a zero key: %v", err)
		}
	})
}

// Distinct contexts encode differently: decode what was encoded and compare.
func FuzzContext(f *testing.F) {
	f.Add("a", "b", "c", "d")
	f.Add("", "", "a", "")
	f.Add("ab", "c", "a", "bc")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string) {
		pairs := map[string]string{k1: v1, k2: v2}
		in := envelope.Context(pairs)
		next := func() string {
			n := int(in[0])<<24 | int(in[1])<<16 | int(in[2])<<8 | int(in[3])
			s := string(in[4 : 4+n])
			in = in[4+n:]
			return s
		}
		before, seen := "", 0
		for ; len(in) > 0; seen++ {
			k := next()
			if v := next(); pairs[k] != v {
				t.Fatalf("key %q: %q", k, v)
			}
			if seen > 0 && k <= before {
				t.Fatalf("%q after %q", k, before)
			}
			before = k
		}
		if seen != len(pairs) {
			t.Fatalf("%d pairs of %d", seen, len(pairs))
		}
	})
}

func BenchmarkOpenKMS(b *testing.B) {
	c := load(b).Blobs[0]
	b.ReportAllocs()
	for b.Loop() {
		blob, err := envelope.Parse(c.Kind, c.Sealed)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := blob.Open(c.Key, c.AAD); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenValue(b *testing.B) {
	c := load(b).Values[0]
	name := envelope.ValueName{Account: c.Account, ARN: c.ARN, VersionID: c.VersionID, Purpose: c.Purpose}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := envelope.OpenValue(c.Key, name, c.Sealed); err != nil {
			b.Fatal(err)
		}
	}
}
