package config

import (
	"bytes"
	"os"
	"testing"

	"go.yaml.in/yaml/v3"
)

// FuzzDecode: a file is refused with a mistake that names it, or what it says can be
// written down and read again as the same.
func FuzzDecode(f *testing.F) {
	whole, err := yaml.Marshal(Default())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	for _, s := range []string{"", "data: /x\n", "listen: 1\n", "nothing: 1\n", "limits: {body: 1, body: 2}\n", "limits: [1]\n", "a: &a [*a]\n", "---\n---\n",
		"limits:\n  request_time: 1h\n  rates: {mode: custom, operations: [{names: [kms:Decrypt], rate: 1.5}]}\n", "regions: [us-east-1, \"\\xff\"]\n", "!!binary x", "? {a: b}\n",
		"network:\n  endpoints:\n  - id: vpce-1\n    listen: [unix:/x]\n", "audit: {segment_size: 0x10}\n", "tls: ~\n", "\t"} {
		f.Add([]byte(s))
	}
	if b, err := os.ReadFile("../../packaging/strongroom.yaml"); err == nil {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		c := Default()
		if err := decode("f.yaml", src, &c); err != nil {
			m, ok := err.(*Mistake)
			if !ok || m.File != "f.yaml" || m.Line < 0 || m.Error() == "" {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		if c.Validate() != nil {
			return
		}
		first, err := yaml.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var again Config
		if err := decode("f.yaml", first, &again); err != nil {
			t.Fatalf("%v\n%s", err, first)
		}
		second, err := yaml.Marshal(again)
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%v\n%s\n%s", err, first, second)
		}
		if err := again.Validate(); err != nil {
			t.Fatalf("valid, and then %v\n%s", err, first)
		}
	})
}
