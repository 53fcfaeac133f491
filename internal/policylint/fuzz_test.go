package policylint

import (
	"slices"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/policy"
)

// FuzzCheck: whatever the text, what is found in it is found again, and stands where
// the text is.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{"", "{}", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`,
		`{"Statement":{"Sid":"a","Effect":"Deny","NotAction":["secretsmanager:Get*","kms:Decypt"],"Resource":["arn:aws:secretsmanager:*:*:secret:a"],"Condition":{"StringLike":{"aws:username":"${aws:nothing}*"}}}}`,
		`{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/33"},"Foo":{"a":"b"}}}]}`} {
		for k := range 6 {
			f.Add(s, uint8(k))
		}
	}
	f.Fuzz(func(t *testing.T, text string, k uint8) {
		kind := policy.Kind(k)
		found := Check([]byte(text), kind)
		if !slices.Equal(found, Check([]byte(text), kind)) {
			t.Fatalf("%+v is not found again", found)
		}
		lines := strings.Count(text, "\n") + 1
		for _, x := range found {
			if x.Message == "" || x.Line < 0 || x.Line > lines {
				t.Fatalf("%+v in %d lines", x, lines)
			}
		}
		Guess([]byte(text))
	})
}
