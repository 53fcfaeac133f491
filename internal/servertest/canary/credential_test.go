package canary_test

import (
	"encoding/base32"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/strongroom/strongroom/internal/servertest"
)

// credentialScenario is about what users hold besides access keys.
func (w *world) credentialScenario() {
	do := func(operation string, members m) m { w.Helper(); return w.ok(iamService, operation, members) }
	do("CreateUser", m{"UserName": "dora"})
	do("CreateGroup", m{"GroupName": "team"})
	do("UpdateGroup", m{"GroupName": "team", "NewPath": "/x/"})
	do("AddUserToGroup", m{"GroupName": "team", "UserName": "dora"})
	do("GetGroup", m{"GroupName": "team"})
	do("ListGroups", nil)
	do("ListGroupsForUser", m{"UserName": "dora"})
	w.no("DeleteConflict", iamService, "DeleteGroup", m{"GroupName": "team"})
	do("RemoveUserFromGroup", m{"GroupName": "team", "UserName": "dora"})
	do("DeleteGroup", m{"GroupName": "team"})
	do("TagUser", m{"UserName": "dora", "Tags.member.1.Key": "a", "Tags.member.1.Value": "b"})
	do("ListUserTags", m{"UserName": "dora"})
	do("UntagUser", m{"UserName": "dora", "TagKeys.member.1": "a"})
	do("UpdateUser", m{"UserName": "dora", "NewPath": "/x/"})
	const serial = "arn:aws:iam::" + servertest.Account + ":mfa/phone"
	made := do("CreateVirtualMFADevice", m{"VirtualMFADeviceName": "phone"})
	text := w.blob(made, "Base32StringSeed")
	seed, err := base32.StdEncoding.DecodeString(string(text))
	if err != nil {
		w.Fatal(err)
	}
	w.add(kindSeed, seed)
	w.add(kindSeed+" in base32", text)
	w.add(kindSeed+" as a picture", w.blob(made, "QRCodePNG"))
	do("ListVirtualMFADevices", nil)
	w.no("InvalidAuthenticationCode", iamService, "EnableMFADevice", m{"UserName": "dora", "SerialNumber": serial, "AuthenticationCode1": "000000", "AuthenticationCode2": "000000"})
	do("EnableMFADevice", m{"UserName": "dora", "SerialNumber": serial, "AuthenticationCode1": w.totp(seed, -1), "AuthenticationCode2": w.totp(seed, 0)})
	do("ListMFADevices", m{"UserName": "dora"})
	w.no("DeleteConflict", iamService, "DeleteVirtualMFADevice", m{"SerialNumber": serial})
	do("DeactivateMFADevice", m{"UserName": "dora", "SerialNumber": serial})
	do("DeleteVirtualMFADevice", m{"SerialNumber": serial})
	do("GetAccessKeyLastUsed", m{"AccessKeyId": w.server.Admin.AccessKeyID})
	w.loginScenario()
	do("CreateAccountAlias", m{"AccountAlias": "canary"})
	do("ListAccountAliases", nil)
	do("DeleteAccountAlias", m{"AccountAlias": "canary"})
	do("GetAccountSummary", nil)
	do("GenerateCredentialReport", nil)
	w.await("the credential report is made", func() bool {
		status, _ := w.send(w.request(iamService, "GetCredentialReport", w.encode(iamService, "GetCredentialReport", nil)))
		return status == http.StatusOK
	})
	do("GetCredentialReport", nil)
	do("DeleteUser", m{"UserName": "dora"})
}

// loginScenario gives dora passwords, and takes them away.
func (w *world) loginScenario() {
	do := func(operation string, members m) m { w.Helper(); return w.ok(iamService, operation, members) }
	no := func(code, operation string, members m) { w.Helper(); w.no(code, iamService, operation, members) }
	first := w.text(kindLogin + ": CreateLoginProfile")
	do("CreateLoginProfile", m{"UserName": "dora", "Password": first, "PasswordResetRequired": "true"})
	no("EntityAlreadyExists", "CreateLoginProfile", m{"UserName": "dora", "Password": w.text(kindRefused + ": second login profile")})
	no("NoSuchEntity", "CreateLoginProfile", m{"UserName": "nobody-at-all", "Password": w.text(kindRefused + ": login profile of nobody")})
	no("ValidationError", "CreateLoginProfile", m{"UserName": "dora", "Password": w.long(kindRefused+": password too long", 129)})
	do("GetLoginProfile", m{"UserName": "dora"})
	do("UpdateAccountPasswordPolicy", m{"PasswordReusePrevention": "5", "MinimumPasswordLength": "20"})
	do("GetAccountPasswordPolicy", nil)
	do("UpdateLoginProfile", m{"UserName": "dora", "Password": w.text(kindLogin + ": UpdateLoginProfile")})
	no("PasswordPolicyViolation", "UpdateLoginProfile", m{"UserName": "dora", "Password": first})
	do("DeleteLoginProfile", m{"UserName": "dora"})
	no("NoSuchEntity", "UpdateLoginProfile", m{"UserName": "dora", "Password": w.text(kindRefused + ": no login profile")})
	do("DeleteAccountPasswordPolicy", nil)

	// The caller's own.
	old := w.text(kindLogin + ": admin's")
	do("CreateLoginProfile", m{"Password": old})
	no("AccessDenied", "ChangePassword", m{"OldPassword": w.text(kindRefused + ": wrong old password"), "NewPassword": w.text(kindRefused + ": new password")})
	do("ChangePassword", m{"OldPassword": old, "NewPassword": w.text(kindLogin + ": ChangePassword")})
	do("DeleteLoginProfile", nil)
}

// blob decodes a member of an XML answer.
func (w *world) blob(answer m, name string) []byte {
	w.Helper()
	b, err := base64.StdEncoding.DecodeString(w.element(answer, name))
	if err != nil {
		w.Fatal(err)
	}
	return b
}

// totp is the code of a step counted from the present one.
func (w *world) totp(seed []byte, from int64) string {
	return servertest.TOTP(seed, w.now().Add(time.Duration(from)*30*time.Second))
}
