"""The services beside Secrets Manager, as far as its users meet them: keys, callers, users."""

import json
import unittest
import uuid

import base
from base import ACCOUNT, Case


class Keys(Case):
    def setUp(self):
        super().setUp()
        # KMS spells the messages of its errors as it likes; the check of the envelope stays.
        self.kms = base.administrator(service_messages=False).client("kms")
        self.key = self.kms.create_key(Description="conformance")["KeyMetadata"]

    def test_round_trip(self):
        context = {"purpose": "test"}
        blob = self.kms.encrypt(KeyId=self.key["KeyId"], Plaintext=b"\x00text", EncryptionContext=context)["CiphertextBlob"]
        answer = self.kms.decrypt(CiphertextBlob=blob, EncryptionContext=context)
        self.assertEqual((answer["Plaintext"], answer["KeyId"]), (b"\x00text", self.key["Arn"]))
        with self.refused("InvalidCiphertextException"):
            self.kms.decrypt(CiphertextBlob=blob, EncryptionContext={"purpose": "other"})
        data = self.kms.generate_data_key(KeyId=self.key["KeyId"], KeySpec="AES_256")
        self.assertEqual(len(data["Plaintext"]), 32)
        self.assertEqual(self.kms.decrypt(CiphertextBlob=data["CiphertextBlob"])["Plaintext"], data["Plaintext"])
        self.use_secrets_manager()

    def test_secret_under_a_key_of_its_own(self):
        alias = "alias/" + uuid.uuid4().hex
        self.kms.create_alias(AliasName=alias, TargetKeyId=self.key["KeyId"])
        name = self.name()
        self.create(name, KmsKeyId=alias)
        self.assertEqual(self.sm.describe_secret(SecretId=name)["KmsKeyId"], alias)
        (version,) = self.sm.list_secret_version_ids(SecretId=name)["Versions"]
        self.assertNotEqual(version["KmsKeyIds"], ["DefaultEncryptionKey"])

        self.kms.disable_key(KeyId=self.key["KeyId"])
        with self.refused("DecryptionFailure"):
            self.sm.get_secret_value(SecretId=name)
        with self.refused("EncryptionFailure"):
            self.sm.put_secret_value(SecretId=name, SecretString="two")
        self.kms.enable_key(KeyId=self.key["KeyId"])
        self.assertEqual(self.sm.get_secret_value(SecretId=name)["SecretString"], "one")

        answer = self.sm.update_secret(SecretId=name, KmsKeyId="")
        self.assertMembers(answer, "ARN", "Name")
        self.assertNotIn("KmsKeyId", self.sm.describe_secret(SecretId=name))
        self.kms.schedule_key_deletion(KeyId=self.key["KeyId"], PendingWindowInDays=7)
        self.assertEqual(self.sm.get_secret_value(SecretId=name)["SecretString"], "one")
        self.kms.cancel_key_deletion(KeyId=self.key["KeyId"])
        self.assertEqual(self.kms.describe_key(KeyId=alias)["KeyMetadata"]["KeyState"], "Disabled")

    def test_the_managed_key(self):
        self.create()
        aliases = self.kms.get_paginator("list_aliases").paginate()
        names = {alias["AliasName"] for page in aliases for alias in page["Aliases"]}
        self.assertIn("alias/aws/secretsmanager", names)
        self.assertEqual(self.kms.describe_key(KeyId="alias/aws/secretsmanager")["KeyMetadata"]["KeyManager"], "AWS")

    def test_policy_and_listing(self):
        policy = json.loads(self.kms.get_key_policy(KeyId=self.key["KeyId"], PolicyName="default")["Policy"])
        self.kms.put_key_policy(KeyId=self.key["KeyId"], PolicyName="default", Policy=json.dumps(policy))
        keys = self.kms.get_paginator("list_keys").paginate()
        self.assertIn(self.key["KeyId"], {key["KeyId"] for page in keys for key in page["Keys"]})
        self.use_secrets_manager()

    def use_secrets_manager(self):
        self.sm.get_random_password()


class Identity(Case):
    def setUp(self):
        super().setUp()
        self.sm.get_random_password()

    def test_caller(self):
        answer = self.recorded.client("sts").get_caller_identity()
        self.assertEqual(answer["Account"], ACCOUNT)
        self.assertEqual(answer["Arn"], "arn:aws:iam::%s:user/admin" % ACCOUNT)
        self.assertTrue(answer["UserId"].startswith("AIDA"), answer["UserId"])

    def test_users_and_keys(self):
        iam = self.recorded.client("iam")
        name = "user-" + uuid.uuid4().hex[:12]
        user = iam.create_user(UserName=name)["User"]
        self.assertEqual(user["Arn"], "arn:aws:iam::%s:user/%s" % (ACCOUNT, name))
        with self.refused("EntityAlreadyExists", status=409):
            iam.create_user(UserName=name)
        self.assertIn(name, {u["UserName"] for page in iam.get_paginator("list_users").paginate() for u in page["Users"]})

        key = iam.create_access_key(UserName=name)["AccessKey"]
        self.assertEqual(len(key["SecretAccessKey"]), 40)
        session = base.Recorded(
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
            region_name=base.REGION,
        )
        self.assertEqual(session.client("sts").get_caller_identity()["Arn"], user["Arn"])

        iam.update_access_key(UserName=name, AccessKeyId=key["AccessKeyId"], Status="Inactive")
        with self.refused("InvalidClientTokenId", status=403):
            session.client("sts").get_caller_identity()
        (listed,) = iam.list_access_keys(UserName=name)["AccessKeyMetadata"]
        self.assertEqual((listed["AccessKeyId"], listed["Status"]), (key["AccessKeyId"], "Inactive"))

        with self.refused("DeleteConflict", status=409):
            iam.delete_user(UserName=name)
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        iam.delete_user(UserName=name)
        with self.refused("NoSuchEntity", status=404):
            iam.get_user(UserName=name)


if __name__ == "__main__":
    unittest.main()
