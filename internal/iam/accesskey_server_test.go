package iam_test

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

// query is a request below the SDK; pairs are further parameters.
func (b *bench) query(key *server.Credentials, action string, pairs ...string) servertest.Raw {
	form := url.Values{"Action": {action}, "Version": {"2010-05-08"}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	q := servertest.Raw{Service: "iam", Form: form}
	if key != nil {
		q.Key = *key
	}
	return q
}

func TestAccessKeyLife(t *testing.T) {
	b := start(t)
	b.createUser("Bob", "/x/")
	made := must(b.admin.CreateAccessKey(t.Context(), &sdk.CreateAccessKeyInput{UserName: str("bob")}))(t).AccessKey
	if !regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`).MatchString(*made.AccessKeyId) || !regexp.MustCompile(`^[A-Za-z0-9/+]{40}$`).MatchString(*made.SecretAccessKey) {
		t.Errorf("key %s, secret of %d characters", *made.AccessKeyId, len(*made.SecretAccessKey))
	}
	if *made.UserName != "Bob" || made.Status != types.StatusTypeActive || made.CreateDate == nil {
		t.Errorf("%s %s %v", *made.UserName, made.Status, made.CreateDate)
	}
	second := must(b.admin.CreateAccessKey(t.Context(), &sdk.CreateAccessKeyInput{UserName: str("Bob")}))(t).AccessKey
	_, err := b.admin.CreateAccessKey(t.Context(), &sdk.CreateAccessKeyInput{UserName: str("Bob")})
	b.want(t, "CreateAccessKey", err, 409, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")

	must(b.admin.UpdateAccessKey(t.Context(), &sdk.UpdateAccessKeyInput{UserName: str("BOB"), AccessKeyId: second.AccessKeyId, Status: types.StatusTypeInactive}))(t)
	var seen []string
	for p := sdk.NewListAccessKeysPaginator(b.admin, &sdk.ListAccessKeysInput{UserName: str("bob"), MaxItems: new(int32(1))}); p.HasMorePages(); {
		page, err := p.NextPage(t.Context())
		ok(t, err)
		for _, k := range page.AccessKeyMetadata {
			seen = append(seen, *k.AccessKeyId)
			if want := map[bool]types.StatusType{true: types.StatusTypeInactive, false: types.StatusTypeActive}[*k.AccessKeyId == *second.AccessKeyId]; k.Status != want || *k.UserName != "Bob" || k.CreateDate == nil {
				t.Errorf("%s of %s is %s", *k.AccessKeyId, *k.UserName, k.Status)
			}
		}
	}
	if want := []string{*made.AccessKeyId, *second.AccessKeyId}; !slices.Equal(sorted(seen), sorted(want)) {
		t.Errorf("listed %v, want %v", seen, want)
	}
	// An inactive key counts like any other, a deleted one does not.
	_, err = b.admin.CreateAccessKey(t.Context(), &sdk.CreateAccessKeyInput{UserName: str("Bob")})
	b.want(t, "CreateAccessKey", err, 409, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")
	must(b.admin.DeleteAccessKey(t.Context(), &sdk.DeleteAccessKeyInput{UserName: str("Bob"), AccessKeyId: made.AccessKeyId}))(t)
	must(b.admin.CreateAccessKey(t.Context(), &sdk.CreateAccessKeyInput{UserName: str("Bob")}))(t)

	// The secret was shown once and is nowhere in later answers.
	a := b.Send(t, b.query(nil, "ListAccessKeys", "UserName", "Bob"))
	if a.Status != 200 || strings.Contains(string(a.Body), "Secret") || !strings.Contains(string(a.Body), "<IsTruncated>false</IsTruncated>") || strings.Contains(string(a.Body), "Marker") {
		t.Errorf("%s", a.Body)
	}
	_, err = b.admin.ListAccessKeys(t.Context(), &sdk.ListAccessKeysInput{Marker: str("!")})
	b.want(t, "ListAccessKeys", err, 400, "ValidationError", "Invalid Marker.")
	_, err = b.admin.UpdateAccessKey(t.Context(), &sdk.UpdateAccessKeyInput{AccessKeyId: &b.Admin.AccessKeyID, Status: types.StatusTypeExpired})
	b.want(t, "UpdateAccessKey", err, 400, "InvalidInput", "Status must be Active or Inactive.")
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

func TestKeysOfTheCaller(t *testing.T) {
	b := start(t)
	key := b.User(t, "bob", servertest.Allow("arn:aws:iam::*:user/${aws:username}", "iam:*AccessKey*"))
	own := b.as(key)
	second := must(own.CreateAccessKey(t.Context(), nil))(t).AccessKey
	if *second.UserName != "bob" {
		t.Errorf("the key is %s's", *second.UserName)
	}
	if n := len(must(own.ListAccessKeys(t.Context(), nil))(t).AccessKeyMetadata); n != 2 {
		t.Errorf("%d keys", n)
	}
	must(own.UpdateAccessKey(t.Context(), &sdk.UpdateAccessKeyInput{AccessKeyId: second.AccessKeyId, Status: types.StatusTypeInactive}))(t)
	must(own.DeleteAccessKey(t.Context(), &sdk.DeleteAccessKeyInput{AccessKeyId: second.AccessKeyId}))(t)
	_, err := own.ListAccessKeys(t.Context(), &sdk.ListAccessKeysInput{UserName: str("admin")})
	b.want(t, "ListAccessKeys", err, 403, "AccessDenied", "User: arn:aws:iam::111122223333:user/bob is not authorized to perform: iam:ListAccessKeys on resource: user admin because no identity-based policy allows the iam:ListAccessKeys action")
	// With its own key the caller can lock itself out; that is AWS's way too.
	must(own.DeleteAccessKey(t.Context(), &sdk.DeleteAccessKeyInput{AccessKeyId: &key.AccessKeyID}))(t)
	if _, err := own.ListAccessKeys(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "InvalidClientTokenId") {
		t.Errorf("after that: %v", err)
	}
}
