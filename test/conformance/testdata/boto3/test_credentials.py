"""What users hold besides access keys: groups, passwords, second factors, and the report on all of it."""

import base64
import csv
import hashlib
import hmac
import struct
import time
import unittest
import uuid

import base
from base import ACCOUNT, Case


def code(seed, step):
    """The code of an authenticator app in a step of thirty seconds (RFC 6238)."""
    digest = hmac.new(base64.b32decode(seed), struct.pack(">q", step), hashlib.sha1).digest()
    (number,) = struct.unpack_from(">I", digest, digest[-1] % 16)
    return "%06d" % (number % 2**31 % 10**6)


class Credentials(Case):
    def setUp(self):
        super().setUp()
        self.sm.get_random_password()  # The check of answers counts those in JSON.
        self.iam = self.recorded.client("iam")
        self.user = "user-" + uuid.uuid4().hex[:12]
        self.iam.create_user(UserName=self.user)
        self.addCleanup(self.iam.delete_user, UserName=self.user)

    def key(self):
        """A session of the user, whose key goes with the test."""
        key = self.iam.create_access_key(UserName=self.user)["AccessKey"]
        self.addCleanup(self.iam.delete_access_key, UserName=self.user, AccessKeyId=key["AccessKeyId"])
        return base.Recorded(
            aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"], region_name=base.REGION
        )

    def allow(self, action):
        policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"%s","Resource":"*"}]}' % action
        self.iam.put_user_policy(UserName=self.user, PolicyName="p", PolicyDocument=policy)
        self.addCleanup(self.iam.delete_user_policy, UserName=self.user, PolicyName="p")

    def test_groups(self):
        name = "group-" + uuid.uuid4().hex[:12]
        group = self.iam.create_group(GroupName=name, Path="/teams/")["Group"]
        self.assertEqual(group["Arn"], "arn:aws:iam::%s:group/teams/%s" % (ACCOUNT, name))
        self.iam.add_user_to_group(GroupName=name, UserName=self.user)
        self.assertEqual([u["UserName"] for u in self.iam.get_group(GroupName=name)["Users"]], [self.user])
        self.assertEqual([g["GroupName"] for g in self.iam.list_groups_for_user(UserName=self.user)["Groups"]], [name])
        with self.refused("DeleteConflict", "Cannot delete entity, must remove users from group first.", 409):
            self.iam.delete_group(GroupName=name)
        self.iam.remove_user_from_group(GroupName=name, UserName=self.user)
        self.iam.update_group(GroupName=name, NewPath="/")
        pages = self.iam.get_paginator("list_groups").paginate(PaginationConfig={"PageSize": 1})
        self.assertIn(name, {g["GroupName"] for page in pages for g in page["Groups"]})
        self.iam.delete_group(GroupName=name)

    def test_password(self):
        with self.refused("PasswordPolicyViolation", "Password does not conform to the account password policy."):
            self.iam.create_login_profile(UserName=self.user, Password="short")
        profile = self.iam.create_login_profile(UserName=self.user, Password="first Password 1", PasswordResetRequired=True)
        self.assertTrue(profile["LoginProfile"]["PasswordResetRequired"])
        self.allow("iam:ChangePassword")
        own = self.key().client("iam")
        with self.refused("AccessDenied", status=403):
            own.change_password(OldPassword="wrong", NewPassword="second Password 2")
        own.change_password(OldPassword="first Password 1", NewPassword="second Password 2")
        self.assertFalse(self.iam.get_login_profile(UserName=self.user)["LoginProfile"]["PasswordResetRequired"])
        self.iam.delete_login_profile(UserName=self.user)
        with self.refused("NoSuchEntity", "Login Profile for User %s cannot be found." % self.user, 404):
            self.iam.get_login_profile(UserName=self.user)

    def test_second_factor(self):
        device = self.iam.create_virtual_mfa_device(VirtualMFADeviceName=self.user)["VirtualMFADevice"]
        serial, seed = device["SerialNumber"], device["Base32StringSeed"]
        self.addCleanup(self.iam.delete_virtual_mfa_device, SerialNumber=serial)
        self.assertTrue(device["QRCodePNG"].startswith(b"\x89PNG"))
        step = int(time.time()) // 30
        self.iam.enable_mfa_device(
            UserName=self.user,
            SerialNumber=serial,
            AuthenticationCode1=code(seed, step - 1),
            AuthenticationCode2=code(seed, step),
        )
        self.addCleanup(self.iam.deactivate_mfa_device, UserName=self.user, SerialNumber=serial)
        self.assertEqual([d["SerialNumber"] for d in self.iam.list_mfa_devices(UserName=self.user)["MFADevices"]], [serial])
        self.allow("iam:ListMFADevices")
        sts = self.key().client("sts")
        with self.refused("AccessDenied", status=403):  # the code was used
            sts.get_session_token(SerialNumber=serial, TokenCode=code(seed, step))
        made = sts.get_session_token(SerialNumber=serial, TokenCode=code(seed, step + 1))["Credentials"]
        with_factor = base.Recorded(
            aws_access_key_id=made["AccessKeyId"],
            aws_secret_access_key=made["SecretAccessKey"],
            aws_session_token=made["SessionToken"],
            region_name=base.REGION,
        )
        # Only a session with the factor may call IAM.
        self.assertEqual(len(with_factor.client("iam").list_mfa_devices()["MFADevices"]), 1)

    def test_report(self):
        self.key().client("sts").get_caller_identity()
        summary = self.iam.get_account_summary()["SummaryMap"]
        self.assertGreater(summary["Users"], 1)
        end = time.monotonic() + 30
        while self.iam.generate_credential_report()["State"] != "COMPLETE":
            self.assertLess(time.monotonic(), end, "no report was made")
            time.sleep(0.2)
        report = self.iam.get_credential_report()
        self.assertEqual(report["ReportFormat"], "text/csv")
        rows = list(csv.DictReader(report["Content"].decode().splitlines()))
        self.assertEqual(rows[0]["user"], "<root_account>")
        self.assertIn("admin", {row["user"] for row in rows})


if __name__ == "__main__":
    unittest.main()
