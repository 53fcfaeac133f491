package session

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
)

// FuzzUnpack: what unpacks is bounded, and packs and unpacks as the same.
func FuzzUnpack(f *testing.F) {
	good, err := pack(&aws.Session{Type: aws.PrincipalUser, Account: "111122223333", EntityID: "AIDA", Issued: time.Unix(1, 0).UTC(), Expires: time.Unix(2, 0).UTC(),
		Tags: []aws.Tag{{Key: "a", Value: "b"}}, Policies: []aws.SessionPolicy{{Text: "{}"}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte{})
	bomb, err := pack(&aws.Session{Name: string(bytes.Repeat([]byte{'a'}, maxUnpacked))})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bomb)
	f.Fuzz(func(t *testing.T, packed []byte) {
		s, err := unpack(packed)
		if err != nil {
			if s != nil {
				t.Fatal("refused, and there")
			}
			return
		}
		b, err := pack(s)
		if err != nil {
			return // a time that JSON cannot hold
		}
		again, err := unpack(b)
		if err != nil || !reflect.DeepEqual(s, again) {
			t.Fatalf("%+v\n%+v\n%v", s, again, err)
		}
	})
}
