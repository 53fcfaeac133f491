package iam_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/iam"
	"github.com/strongroom/strongroom/internal/servertest"
	"github.com/strongroom/strongroom/internal/store"
)

// unfelt are changes that no cached decision rests on, with the reason. All others
// must count a new generation, or nodes go on with what they loaded before.
var unfelt = map[string]string{
	"CreateGroup":                             "has no members yet",
	"CreateLoginProfile":                      "passwords are read where they are compared",
	"UpdateLoginProfile":                      "the same",
	"DeleteLoginProfile":                      "the same",
	"ChangePassword":                          "the same",
	"UpdateAccountPasswordPolicy":             "read where a password is changed",
	"DeleteAccountPasswordPolicy":             "the same",
	"CreateVirtualMFADevice":                  "devices are read where a code is compared; sessions say for themselves that one was shown",
	"EnableMFADevice":                         "the same",
	"DeactivateMFADevice":                     "the same",
	"DeleteVirtualMFADevice":                  "the same",
	"CreateOpenIDConnectProvider":             "providers are read where a token is verified",
	"DeleteOpenIDConnectProvider":             "the same",
	"AddClientIDToOpenIDConnectProvider":      "the same",
	"RemoveClientIDFromOpenIDConnectProvider": "the same",
	"UpdateOpenIDConnectProviderThumbprint":   "the same",
	"CreateAccountAlias":                      "a name for people",
	"DeleteAccountAlias":                      "the same",
	"CreateServiceLinkedRole":                 "refuses everything",
	"DeleteServiceLinkedRole":                 "the same",
}

// The operations that change something, each once, in an order in which they go
// well. $allow and $trust are policies, $key and $policy what came of a call before.
const changes = `
CreateUser UserName=bob
CreatePolicy PolicyName=p PolicyDocument=$allow
CreatePolicyVersion PolicyArn=$policy PolicyDocument=$allow
SetDefaultPolicyVersion PolicyArn=$policy VersionId=v2
DeletePolicyVersion PolicyArn=$policy VersionId=v1
TagPolicy PolicyArn=$policy Tags.member.1.Key=a Tags.member.1.Value=b
UntagPolicy PolicyArn=$policy TagKeys.member.1=a
CreateAccessKey UserName=bob
UpdateAccessKey UserName=bob AccessKeyId=$key Status=Inactive
DeleteAccessKey UserName=bob AccessKeyId=$key
PutUserPolicy UserName=bob PolicyName=q PolicyDocument=$allow
DeleteUserPolicy UserName=bob PolicyName=q
AttachUserPolicy UserName=bob PolicyArn=$policy
DetachUserPolicy UserName=bob PolicyArn=$policy
PutUserPermissionsBoundary UserName=bob PermissionsBoundary=$policy
DeleteUserPermissionsBoundary UserName=bob
TagUser UserName=bob Tags.member.1.Key=a Tags.member.1.Value=b
UntagUser UserName=bob TagKeys.member.1=a
CreateGroup GroupName=g
AddUserToGroup GroupName=g UserName=bob
PutGroupPolicy GroupName=g PolicyName=q PolicyDocument=$allow
DeleteGroupPolicy GroupName=g PolicyName=q
AttachGroupPolicy GroupName=g PolicyArn=$policy
DetachGroupPolicy GroupName=g PolicyArn=$policy
RemoveUserFromGroup GroupName=g UserName=bob
UpdateGroup GroupName=g NewGroupName=h
DeleteGroup GroupName=h
CreateRole RoleName=r AssumeRolePolicyDocument=$trust
PutRolePolicy RoleName=r PolicyName=q PolicyDocument=$allow
DeleteRolePolicy RoleName=r PolicyName=q
AttachRolePolicy RoleName=r PolicyArn=$policy
DetachRolePolicy RoleName=r PolicyArn=$policy
PutRolePermissionsBoundary RoleName=r PermissionsBoundary=$policy
DeleteRolePermissionsBoundary RoleName=r
TagRole RoleName=r Tags.member.1.Key=a Tags.member.1.Value=b
UntagRole RoleName=r TagKeys.member.1=a
UpdateRole RoleName=r MaxSessionDuration=7200
UpdateRoleDescription RoleName=r Description=d
UpdateAssumeRolePolicy RoleName=r PolicyDocument=$trust
DeleteRole RoleName=r
DeletePolicy PolicyArn=$policy
UpdateUser UserName=bob NewUserName=alice
DeleteUser UserName=alice
`

// Every operation that changes what a decision rests on counts a new generation of
// IAM; a new operation has to say which it is.
func TestChangesCountGenerations(t *testing.T) {
	t.Parallel()
	b := start(t, servertest.Postgres())
	db, err := store.Open(t.Context(), store.Config{URL: b.Server.Server().Config().Database})
	ok(t, err)
	defer func() { ok(t, db.Close()) }()
	generation := func() int64 {
		g, err := db.Generation(t.Context(), servertest.Account, "", auth.IAMGeneration)
		ok(t, err)
		return g
	}
	known := map[string]string{"$allow": servertest.Allow("*", "iam:GetUser"), "$trust": servertest.Trust(servertest.Account, "sts:AssumeRole")}
	tried := map[string]bool{}
	for line := range strings.Lines(strings.TrimSpace(changes)) {
		fields := strings.Fields(line)
		action := fields[0]
		form := url.Values{"Action": {action}, "Version": {"2010-05-08"}}
		for _, f := range fields[1:] {
			name, value, _ := strings.Cut(f, "=")
			if v, held := known[value]; held {
				value = v
			}
			form.Set(name, value)
		}
		before := generation()
		answer := b.Send(t, servertest.Raw{Service: "iam", Form: form})
		if answer.Status != 200 {
			t.Fatalf("%s: %d %s", action, answer.Status, answer.Body)
		}
		if moved := generation() != before; moved != (unfelt[action] == "") {
			t.Errorf("%s: a new generation: %v", action, moved)
		}
		tried[action] = true
		for name, element := range map[string]string{"$key": "AccessKeyId", "$policy": "Arn"} {
			if m := regexp.MustCompile("<" + element + ">(AKIA[^<]*|arn:[^<]*:policy/[^<]*)<").FindSubmatch(answer.Body); m != nil {
				known[name] = string(m[1])
			}
		}
	}
	for i := range iam.API.Operations {
		o := &iam.API.Operations[i]
		if o.Built && !o.ReadOnly && !tried[o.Name] && unfelt[o.Name] == "" {
			t.Errorf("%s changes something: does a decision rest on it?", o.Name)
		}
	}
}
