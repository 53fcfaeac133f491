package secretsmanager

import (
	"testing"

	"github.com/strongroom/strongroom/internal/aws"
)

// FuzzResolve: what a SecretId names is in the caller's region, under a name that a
// secret may have, and the ARN that stands for it names the same.
func FuzzResolve(f *testing.F) {
	const account, region = "111122223333", "us-east-1"
	for _, s := range []string{"a", "prod/db-AbCdEf", "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db-AbCdEf", "arn:aws:secretsmanager:us-east-1:444455556666:secret:a",
		"arn:aws:secretsmanager:eu-west-1:111122223333:secret:a", "arn:aws:kms:us-east-1:111122223333:key/a", "arn:", "arn:aws:secretsmanager:us-east-1:111122223333:secret:-AbCdEf", "a b", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, id string) {
		ref, err := resolve(id, account, region)
		if err != nil {
			return
		}
		if ref.Given != id || ref.Region != region || !aws.ValidAccountID(ref.Account) || ref.Name != "" && !validName(ref.Name) {
			t.Fatalf("%q is %+v", id, ref)
		}
		if ref.Suffix != "" && (len(ref.Suffix) != suffixLength || !ref.ARN) {
			t.Fatalf("%q is %+v", id, ref)
		}
		if ref.Name == "" {
			if ref.arn() != id && ref.ARN {
				t.Fatalf("%q stands for %q", id, ref.arn())
			}
			return
		}
		again, err := resolve(ref.arn(), account, region)
		if err != nil || again.Account != ref.Account || again.Name != ref.Name || ref.Suffix != "" && again.Suffix != ref.Suffix {
			t.Fatalf("%q is %+v, whose ARN %q is %+v, %v", id, ref, ref.arn(), again, err)
		}
	})
}

// FuzzToken: a token is refused, or stands for a place in a list that prints and reads
// as the same.
func FuzzToken(f *testing.F) {
	f.Add(encodeToken(listCursor{Order: "name", Text: "a", UID: "u"}))
	f.Add(encodeToken(versionCursor{ID: "a", Created: 1}))
	for _, s := range []string{"", "AAAA", "e30", "bnVsbA", "W10", "eyJvIjoi\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, token string) {
		var list, list2 listCursor
		if decodeToken(token, &list) == nil {
			if err := decodeToken(encodeToken(list), &list2); err != nil || list != list2 {
				t.Fatalf("%+v %+v %v", list, list2, err)
			}
		}
		var version, version2 versionCursor
		if decodeToken(token, &version) == nil {
			if err := decodeToken(encodeToken(version), &version2); err != nil || version != version2 {
				t.Fatalf("%+v %+v %v", version, version2, err)
			}
		}
	})
}
