package aws

import (
	"strings"
	"testing"
)

// FuzzParseARN: what parses prints as it was, and has the parts that make it one.
func FuzzParseARN(f *testing.F) {
	for _, s := range []string{"arn:aws:iam::111122223333:user/a", "arn:aws:secretsmanager:us-east-1:111122223333:secret:a:b-AbCdEf", "arn:::::", "arn:a:b:::c", "ARN:a:b:c:d:e", "arn:aws:s3:::\x00", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseARN(s)
		if err != nil {
			if a != (ARN{}) {
				t.Fatalf("%q is refused, and is %+v", s, a)
			}
			return
		}
		if a.String() != s || a.Partition == "" || a.Service == "" || a.Resource == "" || strings.Contains(a.Partition+a.Service+a.Region+a.Account, ":") {
			t.Fatalf("%q is %+v", s, a)
		}
	})
}

// FuzzAccessKeyAccount: of all texts only what could have been made names an account.
func FuzzAccessKeyAccount(f *testing.F) {
	for _, prefix := range []string{"AKIA", TemporaryKeyPrefix} {
		id, err := NewAccessKeyID(prefix, "111122223333")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(id)
		f.Add(strings.ToLower(id))
	}
	f.Add("AKIAIOSFODNN7EXAMPLE")
	f.Add("")
	f.Fuzz(func(t *testing.T, id string) {
		account, ok := AccessKeyAccount(id)
		if ok && (!ValidAccountID(account) || len(id) < 16 || len(id) > 128) {
			t.Fatalf("%q is of account %q", id, account)
		}
		if !ok && account != "" {
			t.Fatalf("%q is no key, and of account %q", id, account)
		}
	})
}

// FuzzSameTagKey: being the same is symmetric, holds for each with itself, and never
// holds where letter by letter lower case differs.
func FuzzSameTagKey(f *testing.F) {
	f.Add("tier", "TIER")
	f.Add("t\u0130er", "tier")
	f.Add("\u017ftage", "stage")
	f.Add("\xff", "\ufffd")
	f.Fuzz(func(t *testing.T, a, b string) {
		if !SameTagKey(a, a) || SameTagKey(a, b) != SameTagKey(b, a) {
			t.Fatalf("%q %q", a, b)
		}
	})
}
