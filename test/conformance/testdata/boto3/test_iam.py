"""Every operation of IAM and STS that is there, once, with its answer under the check."""

import json
import unittest
import uuid

import base
from base import ACCOUNT, Case

ALLOW = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iam:GetUser", "Resource": "*"}]})
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": ["sts:AssumeRole", "sts:TagSession"]}],
    }
)
TAGS = [{"Key": "team", "Value": "blue"}]
ISSUER = "issuer.test/" + uuid.uuid4().hex
N = "all-" + uuid.uuid4().hex[:12]
ARN = "arn:aws:iam::%s:%%s/%s" % (ACCOUNT, N)
PROVIDER = "arn:aws:iam::%s:oidc-provider/%s" % (ACCOUNT, ISSUER)
DEVICE = ARN % "mfa"
NAMES = {"User": {"UserName": N}, "Group": {"GroupName": N}, "Role": {"RoleName": N}, "Policy": {"PolicyArn": ARN % "policy"}}


def steps():
    """Operations with their arguments, or the code of the answer behind them. Later ones need the earlier."""
    user, group, role, policy = (NAMES[kind] for kind in ("User", "Group", "Role", "Policy"))
    bound = {"PermissionsBoundary": ARN % "policy"}
    provider = {"OpenIDConnectProviderArn": PROVIDER}
    codes = {"AuthenticationCode1": "000000", "AuthenticationCode2": "000001"}
    yield "CreatePolicy", {"PolicyName": N, "PolicyDocument": ALLOW, "Description": "d", "Tags": TAGS}
    yield "CreateUser", {**user, "Tags": TAGS, **bound}
    yield "CreateGroup", group
    yield "CreateRole", {**role, "AssumeRolePolicyDocument": TRUST, "Description": "d", "Tags": TAGS, **bound}
    yield "AddUserToGroup", {**user, **group}
    for kind in ("User", "Group", "Role"):
        name = NAMES[kind]
        yield "Put%sPolicy" % kind, {**name, "PolicyName": "p", "PolicyDocument": ALLOW}
        yield "Get%sPolicy" % kind, {**name, "PolicyName": "p"}
        yield "List%sPolicies" % kind, name
        yield "Attach%sPolicy" % kind, {**name, **policy}
        yield "ListAttached%sPolicies" % kind, name
        yield "Get%s" % kind, name
        yield "List%ss" % kind, {}
    for kind in ("User", "Role", "Policy"):
        yield "Tag%s" % kind, {**NAMES[kind], "Tags": [{"Key": "k", "Value": ""}]}
        yield "List%sTags" % kind, NAMES[kind]
        yield "Untag%s" % kind, {**NAMES[kind], "TagKeys": ["k"]}
    yield "UpdateUser", {**user, "NewPath": "/"}
    yield "UpdateGroup", {**group, "NewPath": "/"}
    yield "UpdateRole", {**role, "MaxSessionDuration": 7200}
    yield "UpdateRoleDescription", {**role, "Description": "e"}
    yield "UpdateAssumeRolePolicy", {**role, "PolicyDocument": TRUST}
    yield "ListGroupsForUser", user
    yield "GetPolicy", policy
    yield "ListPolicies", {}
    yield "CreatePolicyVersion", {**policy, "PolicyDocument": ALLOW}
    yield "GetPolicyVersion", {**policy, "VersionId": "v2"}
    yield "ListPolicyVersions", policy
    yield "SetDefaultPolicyVersion", {**policy, "VersionId": "v2"}
    yield "DeletePolicyVersion", {**policy, "VersionId": "v1"}
    yield "ListEntitiesForPolicy", policy
    yield "GetAccountAuthorizationDetails", {}
    yield "SimulateCustomPolicy", {"PolicyInputList": [ALLOW], "ActionNames": ["iam:GetUser", "kms:Decrypt"]}
    yield "SimulatePrincipalPolicy", {"PolicySourceArn": ARN % "user", "ActionNames": ["iam:GetUser"], "ResourceArns": [ARN % "user"]}
    yield "CreateAccessKey", user
    yield "ListAccessKeys", user
    yield "CreateLoginProfile", {**user, "Password": "first Password 1"}
    yield "GetLoginProfile", user
    yield "UpdateLoginProfile", {**user, "PasswordResetRequired": True}
    yield "ChangePassword", {"OldPassword": "first Password 1", "NewPassword": "x"}, "NoSuchEntity"
    yield "DeleteLoginProfile", user
    yield "UpdateAccountPasswordPolicy", {"MinimumPasswordLength": 8}
    yield "GetAccountPasswordPolicy", {}
    yield "DeleteAccountPasswordPolicy", {}
    yield "CreateVirtualMFADevice", {"VirtualMFADeviceName": N}
    yield "ListVirtualMFADevices", {}
    yield "ListMFADevices", user
    yield "EnableMFADevice", {**user, "SerialNumber": DEVICE, **codes}, "InvalidAuthenticationCode"
    yield "ResyncMFADevice", {**user, "SerialNumber": DEVICE, **codes}, None
    yield "DeactivateMFADevice", {**user, "SerialNumber": DEVICE}, "NoSuchEntity"
    yield "DeleteVirtualMFADevice", {"SerialNumber": DEVICE}
    yield "CreateOpenIDConnectProvider", {"Url": "https://" + ISSUER, "ClientIDList": ["app"], "ThumbprintList": ["0" * 40], "Tags": TAGS}
    yield "GetOpenIDConnectProvider", provider
    yield "ListOpenIDConnectProviders", {}
    yield "AddClientIDToOpenIDConnectProvider", {**provider, "ClientID": "b"}
    yield "RemoveClientIDFromOpenIDConnectProvider", {**provider, "ClientID": "b"}
    yield "UpdateOpenIDConnectProviderThumbprint", {**provider, "ThumbprintList": ["1" * 40]}
    yield "TagOpenIDConnectProvider", {**provider, "Tags": TAGS}, None
    yield "ListOpenIDConnectProviderTags", provider, None
    yield "UntagOpenIDConnectProvider", {**provider, "TagKeys": ["team"]}, None
    yield "DeleteOpenIDConnectProvider", provider
    yield "CreateAccountAlias", {"AccountAlias": N}
    yield "ListAccountAliases", {}
    yield "DeleteAccountAlias", {"AccountAlias": N}
    yield "GetAccountSummary", {}
    yield "GenerateCredentialReport", {}
    yield "GetCredentialReport", {}, None
    yield "GetContextKeysForCustomPolicy", {"PolicyInputList": [ALLOW]}, None
    yield "GetContextKeysForPrincipalPolicy", {"PolicySourceArn": ARN % "user"}, None
    yield "CreateServiceLinkedRole", {"AWSServiceName": "none.amazonaws.com"}, "InvalidInput"
    yield "DeleteServiceLinkedRole", role, "NoSuchEntity"
    for kind in ("User", "Role"):
        yield "Put%sPermissionsBoundary" % kind, {**NAMES[kind], **bound}
        yield "Delete%sPermissionsBoundary" % kind, NAMES[kind]
    for kind in ("User", "Group", "Role"):
        yield "Detach%sPolicy" % kind, {**NAMES[kind], **policy}
        yield "Delete%sPolicy" % kind, {**NAMES[kind], "PolicyName": "p"}
    yield "RemoveUserFromGroup", {**user, **group}


def sts_steps():
    yield "GetCallerIdentity", {}
    yield "AssumeRole", {"RoleArn": ARN % "role", "RoleSessionName": "session", "Tags": TAGS, "Policy": ALLOW}
    yield "AssumeRoleWithWebIdentity", {"RoleArn": ARN % "role", "RoleSessionName": "session", "WebIdentityToken": "none"}, "InvalidIdentityToken"
    yield "GetSessionToken", {"DurationSeconds": 900}
    yield "GetFederationToken", {"Name": "some", "Policy": ALLOW}
    yield "GetAccessKeyInfo", {"AccessKeyId": "AKIAIOSFODNN7EXAMPLE"}
    yield "DecodeAuthorizationMessage", {"EncodedMessage": "none"}, "InvalidAuthorizationMessageException"


class Every(Case):
    def setUp(self):
        super().setUp()
        self.iam, self.sts = (self.recorded.client(service) for service in ("iam", "sts"))

    def run_steps(self, client, steps, called):
        """Makes the calls that this SDK knows. A code of None takes any answer that fits."""
        methods = {operation: method for method, operation in client.meta.method_to_api_mapping.items()}
        answers = {}
        for operation, arguments, *code in steps:
            called.add(operation)
            if operation not in methods:
                continue
            with self.subTest(operation):
                try:
                    answers[operation] = getattr(client, methods[operation])(**arguments)
                    self.assertIn(code, ([], [None]), "accepted")
                except base.botocore.exceptions.ClientError as error:
                    found = error.response["Error"]
                    self.assertIn(code, ([found["Code"]], [None]), found)
        return answers

    def test_every_operation(self):
        called = {"iam": set(), "sts": set()}
        answers = self.run_steps(self.iam, steps(), called["iam"])
        self.run_steps(self.sts, sts_steps(), called["sts"])
        key = {"AccessKeyId": answers["CreateAccessKey"]["AccessKey"]["AccessKeyId"]}
        last = [
            ("GetAccessKeyLastUsed", key),
            ("UpdateAccessKey", {"UserName": N, **key, "Status": "Inactive"}),
            ("DeleteAccessKey", {"UserName": N, **key}),
            *(("Delete" + kind, NAMES[kind]) for kind in ("User", "Group", "Role", "Policy")),
        ]
        self.run_steps(self.iam, last, called["iam"])

        # What was not called is not there.
        for service, names in called.items():
            client = self.recorded.client(service, config=base.UNCHECKED)
            for method, operation in client.meta.method_to_api_mapping.items():
                if operation not in names:
                    with self.subTest(operation), self.refused("InvalidAction"):
                        getattr(client, method)()


if __name__ == "__main__":
    unittest.main()
