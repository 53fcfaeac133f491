package iam_test

import (
	"encoding/json"
	"path/filepath"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

// Records say what was changed, and hold neither password, code nor seed.
func TestCredentialRecords(t *testing.T) {
	t.Parallel()
	c := newClock()
	b := start(t, servertest.Now(c.now))
	key := b.User(t, "bob", servertest.Allow("*", "iam:ChangePassword"))
	b.createGroup(t, "readers", "/x/")
	ok(t, b.join("readers", "bob"))
	p := b.device(t, "phone")
	ok(t, b.enable(t, "bob", p, c.now()))
	ok(t, b.login("bob", "first Password 1"))
	ok(t, change(t, b.as(key), "first Password 1", "second Password 2"))
	ok(t, b.setPassword("bob", "third Password 3"))
	must(b.admin.CreateAccountAlias(t.Context(), &sdk.CreateAccountAliasInput{AccountAlias: str("an-alias")}))(t)

	const account = "111122223333"
	user := map[string]string{"AWS::IAM::User": "arn:aws:iam::" + account + ":user/bob"}
	at := c.now().UTC().Format("Jan 2, 2006 3:04:05 PM")
	group := must(b.admin.GetGroup(t.Context(), &sdk.GetGroupInput{GroupName: str("readers")}))(t).Group
	device := map[string]string{"AWS::IAM::VirtualMFADevice": p.serial}
	want := map[string]struct {
		asked, answered any
		resources       map[string]string
	}{
		"CreateGroup": {m{"groupName": "readers", "path": "/x/"},
			m{"group": m{"arn": *group.Arn, "createDate": at, "groupId": *group.GroupId, "groupName": "readers", "path": "/x/"}}, map[string]string{"AWS::IAM::Group": *group.Arn}},
		"AddUserToGroup":         {m{"groupName": "readers", "userName": "bob"}, nil, map[string]string{"AWS::IAM::Group": *group.Arn, "AWS::IAM::User": user["AWS::IAM::User"]}},
		"CreateVirtualMFADevice": {m{"virtualMFADeviceName": "phone"}, m{"virtualMFADevice": m{"serialNumber": p.serial}}, device},
		"EnableMFADevice": {m{"userName": "bob", "serialNumber": p.serial}, nil,
			map[string]string{"AWS::IAM::User": user["AWS::IAM::User"], "AWS::IAM::VirtualMFADevice": p.serial}},
		"CreateLoginProfile": {m{"userName": "bob"},
			m{"loginProfile": m{"userName": "bob", "createDate": at, "passwordResetRequired": false}}, user},
		"ChangePassword":     {nil, nil, user},
		"UpdateLoginProfile": {m{"userName": "bob"}, nil, user},
		"CreateAccountAlias": {m{"accountAlias": "an-alias"}, nil, map[string]string{}},
	}
	b.records(t, func(r record) {
		w, known := want[r.EventName]
		if !known {
			return
		}
		delete(want, r.EventName)
		if got, w := text(r.RequestParameters), text(w.asked); got != w {
			t.Errorf("%s was asked %s, want %s", r.EventName, got, w)
		}
		if got, w := text(r.ResponseElements), text(w.answered); got != w {
			t.Errorf("%s answered %s, want %s", r.EventName, got, w)
		}
		touched := map[string]string{}
		for _, x := range r.Resources {
			touched[x.Type] = x.ARN
		}
		if got, w := text(touched), text(w.resources); got != w {
			t.Errorf("%s touched %s, want %s", r.EventName, got, w)
		}
	})
	for name := range want {
		t.Errorf("no record of %s", name)
	}
}

type m = map[string]any

// record is what the test looks at of an audit record.
type record struct {
	EventName                           string
	RequestParameters, ResponseElements any
	Resources                           []struct{ ARN, Type string }
}

// records shows each record of the chain.
func (b *bench) records(t *testing.T, show func(record)) {
	t.Helper()
	node, err := server.Node(b.Dir)
	ok(t, err)
	ok(t, audit.Scan(t.Context(), filepath.Join(b.Dir, server.AuditDir), node, 0, func(e audit.Entry) error {
		var r record
		if err := json.Unmarshal(e.Body, &r); err != nil {
			return err
		}
		show(r)
		return nil
	}))
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // Only plain values come here.
	}
	return string(b)
}
