"""What is refused, word by word (errors-secretsmanager.tsv and secretsmanager.md 1)."""

import base64
import json
import os
import unittest
import uuid

import botocore.credentials

import base
import check
from base import (
    BAD_NAME,
    BOTH_VALUES,
    MARKED,
    NOT_FOUND,
    NO_TOKEN,
    REGION,
    Case,
    raw,
)


class Lenient(Case):
    """Cases whose requests the SDK would refuse to send."""

    config = base.UNCHECKED


class Constraints(Lenient):
    def violation(self, item):
        return self.refused(
            "ValidationException", "1 validation error detected: %s" % item
        )

    def test_missing_member(self):
        with self.violation("Value null at 'secretId' failed to satisfy constraint: Member must not be null"):
            self.sm.get_secret_value()

    def test_token_too_short(self):
        with self.violation(
            "Value 'short' at 'clientRequestToken' failed to satisfy constraint: "
            "Member must have length greater than or equal to 32"
        ):
            self.create(ClientRequestToken="short")

    def test_token_too_long(self):
        token = "t" * 65
        with self.violation(
            "Value '%s' at 'clientRequestToken' failed to satisfy constraint: "
            "Member must have length less than or equal to 64" % token
        ):
            self.create(ClientRequestToken=token)

    def test_value_too_long_is_not_repeated(self):
        for member, value in (("SecretString", "v" * 65537), ("SecretBinary", b"v" * 65537)):
            with self.subTest(member):
                with self.violation(
                    "Value at '%s' failed to satisfy constraint: Member must have length less than or equal to 65536"
                    % (member[0].lower() + member[1:])
                ):
                    self.create_empty(**{member: value})

    def test_empty_value(self):
        with self.violation(
            "Value at 'secretString' failed to satisfy constraint: Member must have length greater than or equal to 1"
        ):
            self.create(SecretString="")

    def test_several_at_once(self):
        with self.refused("ValidationException") as refused:
            self.sm.put_secret_value(SecretId="", ClientRequestToken="short", SecretString="x")
        self.assertTrue(
            refused.response["Error"]["Message"].startswith("2 validation errors detected: "), refused.response["Error"]
        )

    def test_page_size(self):
        for size in (0, 101):
            with self.subTest(size), self.refused("ValidationException"):
                self.sm.list_secrets(MaxResults=size)

    def test_unknown_filter_key(self):
        with self.refused("ValidationException") as refused:
            self.sm.list_secrets(Filters=[{"Key": "colour", "Values": ["red"]}])
        self.assertIn(
            "Value 'colour' at 'filters.1.member.key' failed to satisfy constraint: Member must satisfy enum value set: [",
            refused.response["Error"]["Message"],
        )

    def test_password_length(self):
        for length in (0, 4097):
            with self.subTest(length), self.refused("ValidationException"):
                self.sm.get_random_password(PasswordLength=length)

    def test_bad_next_token(self):
        with self.refused("InvalidNextTokenException"):
            self.sm.list_secrets(NextToken="made-up")


class Names(Lenient):
    def test_characters_outside_the_set(self):
        for call in (
            lambda name: self.create(name),
            lambda name: self.sm.delete_secret(SecretId=name),
            lambda name: self.sm.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True),
            lambda name: self.sm.describe_secret(SecretId=name),
            lambda name: self.sm.get_secret_value(SecretId=name),
            lambda name: self.sm.list_secret_version_ids(SecretId=name),
            lambda name: self.sm.put_secret_value(SecretId=name, SecretString="x"),
            lambda name: self.sm.tag_resource(SecretId=name, Tags=[{"Key": "k", "Value": "v"}]),
            lambda name: self.sm.untag_resource(SecretId=name, TagKeys=["k"]),
            lambda name: self.sm.update_secret(SecretId=name, SecretString="x"),
        ):
            for name in ("with blank", "colon:", "é", "a,b"):
                with self.subTest(name), self.refused("ValidationException", BAD_NAME):
                    call(name)

    def test_missing_secret(self):
        name = self.name()
        for call in (
            lambda: self.sm.delete_secret(SecretId=name),
            lambda: self.sm.describe_secret(SecretId=name),
            lambda: self.sm.get_secret_value(SecretId=name),
            lambda: self.sm.list_secret_version_ids(SecretId=name),
            lambda: self.sm.put_secret_value(SecretId=name, SecretString="x"),
            lambda: self.sm.restore_secret(SecretId=name),
            lambda: self.sm.tag_resource(SecretId=name, Tags=[{"Key": "k", "Value": "v"}]),
            lambda: self.sm.untag_resource(SecretId=name, TagKeys=["k"]),
            lambda: self.sm.update_secret(SecretId=name, SecretString="x"),
            lambda: self.sm.get_resource_policy(SecretId=name),
        ):
            with self.refused("ResourceNotFoundException", NOT_FOUND):
                call()

    def test_deleted_secret(self):
        name = self.name()
        version = self.create(name)["VersionId"]
        self.sm.delete_secret(SecretId=name)
        policy = '{"Version":"2012-10-17","Statement":[]}'
        for call in (
            lambda: self.sm.get_secret_value(SecretId=name),
            lambda: self.sm.put_secret_value(SecretId=name, SecretString="x"),
            lambda: self.sm.update_secret(SecretId=name, Description="x"),
            lambda: self.sm.update_secret_version_stage(SecretId=name, VersionStage="x", MoveToVersionId=version),
            lambda: self.sm.get_resource_policy(SecretId=name),
            lambda: self.sm.delete_resource_policy(SecretId=name),
        ):
            with self.refused("InvalidRequestException", MARKED):
                call()
        self.sm.describe_secret(SecretId=name)
        self.sm.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)


class Rules(Lenient):
    def test_both_values(self):
        name = self.name()
        with self.refused("InvalidParameterException", BOTH_VALUES):
            self.create(name, SecretBinary=b"x")
        self.create(name)
        with self.refused("InvalidParameterException", BOTH_VALUES):
            self.sm.put_secret_value(SecretId=name, SecretString="x", SecretBinary=b"x")
        with self.refused("InvalidParameterException", BOTH_VALUES):
            self.sm.update_secret(SecretId=name, SecretString="x", SecretBinary=b"x")

    def test_no_value(self):
        name = self.name()
        self.create(name)
        with self.refused("InvalidRequestException", "You must provide either SecretString or SecretBinary."):
            self.sm.put_secret_value(SecretId=name)

    def test_recovery_window(self):
        message = "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive)."
        for days, force in ((6, None), (31, None), (0, True), (-1, None)):
            arguments = {} if force is None else {"ForceDeleteWithoutRecovery": force}
            with self.subTest(days), self.refused("InvalidParameterException", message):
                self.sm.delete_secret(SecretId=self.name(), RecoveryWindowInDays=days, **arguments)
        message = "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays."
        with self.refused("InvalidParameterException", message):
            self.sm.delete_secret(SecretId=self.name(), RecoveryWindowInDays=7, ForceDeleteWithoutRecovery=True)

    def test_moving_a_label_needs_its_holder(self):
        name = self.name()
        first = self.create(name)["VersionId"]
        second = self.sm.put_secret_value(SecretId=name, SecretString="two", VersionStages=["blue"])["VersionId"]
        message = (
            "The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently attached to version %s, "
            "so you must explicitly reference that version in RemoveFromVersionId." % first
        )
        with self.refused("InvalidParameterException", message):
            self.sm.update_secret_version_stage(SecretId=name, VersionStage="AWSCURRENT", MoveToVersionId=second)
        with self.refused("InvalidParameterException"):
            self.sm.update_secret_version_stage(SecretId=name, VersionStage="AWSCURRENT", RemoveFromVersionId=first)
        with self.refused("InvalidParameterException"):
            self.promote(name, second, second)
        self.assertEqual(self.stages(name), {first: ["AWSCURRENT"], second: ["blue"]})

    def test_password_rules(self):
        for arguments, message in (
            ({"PasswordLength": 3}, "Password length is too short based on the required types."),
            ({"ExcludeCharacters": "0123456789"}, "All characters of the desired type have been excluded"),
            (
                {
                    "ExcludeUppercase": True,
                    "ExcludeLowercase": True,
                    "ExcludeNumbers": True,
                    "ExcludePunctuation": True,
                },
                "All characters have been excluded from selection",
            ),
        ):
            with self.subTest(message), self.refused("InvalidParameterException", message):
                self.sm.get_random_password(**arguments)

    def test_unusable_key(self):
        message = "The operation failed because of an invalid KMS key: Invalid keyId"
        with self.refused("InvalidParameterException", message):
            self.create(KmsKeyId="alias/" + uuid.uuid4().hex)

    def test_policies(self):
        name = self.name()
        self.create(name)

        def policy(principal, version="2012-10-17"):
            return json.dumps(
                {
                    "Version": version,
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": principal,
                            "Action": "secretsmanager:GetSecretValue",
                            "Resource": "*",
                        }
                    ],
                }
            )

        with self.refused("MalformedPolicyDocumentException", "This resource policy contains a syntax error."):
            self.sm.put_resource_policy(SecretId=name, ResourcePolicy="{")
        with self.refused("MalformedPolicyDocumentException", "This policy has invalid syntax."):
            self.sm.put_resource_policy(SecretId=name, ResourcePolicy=policy("*", "2020-01-01"))
        nobody = "arn:aws:iam::%s:user/nobody-%s" % (base.ACCOUNT, uuid.uuid4().hex)
        with self.refused(
            "MalformedPolicyDocumentException", "This resource policy contains an unsupported principal."
        ):
            self.sm.put_resource_policy(SecretId=name, ResourcePolicy=policy({"AWS": nobody}))
        with self.refused(
            "PublicPolicyException",
            "You can't attach a resource-based policy that allows broad access to the secret.",
        ):
            self.sm.put_resource_policy(SecretId=name, ResourcePolicy=policy("*"), BlockPublicPolicy=True)
        self.assertMembers(self.sm.get_resource_policy(SecretId=name), "ARN", "Name")

    def test_batch_arguments(self):
        self.needs("BatchGetSecretValue")
        message = "Either 'SecretIdList' or 'Filters' must be provided, but not both."
        with self.refused("InvalidParameterException", message):
            self.sm.batch_get_secret_value()
        with self.refused("InvalidParameterException", message):
            self.sm.batch_get_secret_value(SecretIdList=["a"], Filters=[{"Key": "name", "Values": ["a"]}])
        message = "'Filters' not specified. 'Filters' must also be specified when 'MaxResults' is provided."
        with self.refused("InvalidParameterException", message):
            self.sm.batch_get_secret_value(SecretIdList=["a"], MaxResults=2)


class Wire(unittest.TestCase):
    """Requests that no SDK sends."""

    def answer(self, expected, *arguments, **options):
        status, headers, body = raw(*arguments, **options)
        self.assertEqual(status, 400, body)
        check.check_error(status, headers, body)
        document = json.loads(body)
        self.assertEqual(document["__type"], expected, document)
        return document.get("message", document.get("Message"))

    def test_token_is_missed_before_the_secret(self):
        for operation in ("PutSecretValue", "UpdateSecret"):
            with self.subTest(operation):
                message = self.answer(
                    "InvalidRequestException", "secretsmanager." + operation, {"SecretId": "absent", "SecretString": "x"}
                )
                self.assertEqual(message, NO_TOKEN)
        message = self.answer("InvalidRequestException", "secretsmanager.CreateSecret", {"Name": "a", "SecretString": "x"})
        self.assertEqual(message, NO_TOKEN)

    def test_unknown_operation(self):
        for target in ("secretsmanager.Nothing", "secretsmanager.getsecretvalue", "secretsmanager."):
            with self.subTest(target):
                self.answer("UnknownOperationException", target, {})

    def test_bodies_that_are_not_the_input(self):
        for body in (b"{", b"[]", b'"x"', b'{"SecretId":7}', b'{"SecretId":["a"]}', b'{"SecretId":"\xff"}'):
            with self.subTest(body):
                self.answer("SerializationException", "secretsmanager.DescribeSecret", body)

    def test_unknown_members_are_passed_over(self):
        message = self.answer(
            "ResourceNotFoundException", "secretsmanager.DescribeSecret", {"SecretId": uuid.uuid4().hex, "Colour": {"a": [1]}}
        )
        self.assertEqual(message, NOT_FOUND)

    def test_no_signature(self):
        message = self.answer("MissingAuthenticationTokenException", "secretsmanager.ListSecrets", {}, sign=False)
        self.assertEqual(message, "Missing Authentication Token")

    def test_unknown_key(self):
        stranger = botocore.credentials.Credentials("AKIAIOSFODNN7EXAMPLE", "x" * 40)
        message = self.answer("UnrecognizedClientException", "secretsmanager.ListSecrets", {}, credentials=stranger)
        self.assertEqual(message, "The security token included in the request is invalid.")

    def test_wrong_secret_key(self):
        right = botocore.credentials.Credentials(os.environ["AWS_ACCESS_KEY_ID"], "x" * 40)
        message = self.answer("InvalidSignatureException", "secretsmanager.ListSecrets", {}, credentials=right)
        self.assertTrue(message.startswith("The request signature we calculated does not match"), message)

    def test_wrong_session_token(self):
        odd = botocore.credentials.Credentials(
            os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], "token"
        )
        self.answer("UnrecognizedClientException", "secretsmanager.ListSecrets", {}, credentials=odd)

    def test_binary_that_is_no_base64(self):
        body = {"Name": "wire/" + uuid.uuid4().hex, "SecretBinary": "*", "ClientRequestToken": str(uuid.uuid4())}
        self.answer("SerializationException", "secretsmanager.CreateSecret", body)

    def test_blobs_travel_as_base64(self):
        name = "wire/" + uuid.uuid4().hex
        value = base64.b64encode(b"\x00\xff").decode()
        body = {"Name": name, "SecretBinary": value, "ClientRequestToken": str(uuid.uuid4())}
        status, _, answer = raw("secretsmanager.CreateSecret", body)
        self.assertEqual(status, 200, answer)
        status, headers, answer = raw("secretsmanager.GetSecretValue", {"SecretId": name})
        self.assertEqual(status, 200, answer)
        self.assertEqual(json.loads(answer)["SecretBinary"], value)


class Denials(Case):
    """A user without rights, made and removed here."""

    def setUp(self):
        super().setUp()
        self.iam = self.recorded.client("iam")
        self.user = "denied-" + uuid.uuid4().hex[:12]
        self.arn = self.iam.create_user(UserName=self.user)["User"]["Arn"]
        key = self.iam.create_access_key(UserName=self.user)["AccessKey"]
        self.addCleanup(self.remove, key["AccessKeyId"])
        other = base.Recorded(
            aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"], region_name=REGION
        )
        self.denied = other.client("secretsmanager")

    def remove(self, key):
        for policy in self.iam.list_user_policies(UserName=self.user)["PolicyNames"]:
            self.iam.delete_user_policy(UserName=self.user, PolicyName=policy)
        self.iam.delete_access_key(UserName=self.user, AccessKeyId=key)
        self.iam.delete_user(UserName=self.user)

    def allow(self, actions, effect="Allow"):
        document = {"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": actions, "Resource": "*"}]}
        self.iam.put_user_policy(UserName=self.user, PolicyName=effect, PolicyDocument=json.dumps(document))

    def test_nothing_allows(self):
        name = self.name()
        arn = self.create(name)["ARN"]
        for secret in (name, arn, arn[:-7], self.name("missing")):
            message = (
                "User: %s is not authorized to perform: secretsmanager:GetSecretValue on resource: %s because no "
                "identity-based policy allows the secretsmanager:GetSecretValue action" % (self.arn, secret)
            )
            with self.subTest(secret), self.refused("AccessDeniedException", message):
                self.denied.get_secret_value(SecretId=secret)

    def test_operation_without_a_resource(self):
        self.create()
        message = (
            "User: %s is not authorized to perform: secretsmanager:ListSecrets because no identity-based policy allows "
            "the secretsmanager:ListSecrets action" % self.arn
        )
        with self.refused("AccessDeniedException", message):
            self.denied.list_secrets()

    def test_explicit_deny(self):
        name = self.name()
        self.create(name)
        self.allow("secretsmanager:*")
        self.assertEqual(self.denied.get_secret_value(SecretId=name)["SecretString"], "one")
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Deny",
                    "Principal": {"AWS": self.arn},
                    "Action": "secretsmanager:GetSecretValue",
                    "Resource": "*",
                }
            ],
        }
        self.sm.put_resource_policy(SecretId=name, ResourcePolicy=json.dumps(policy))
        message = (
            "User: %s is not authorized to perform: secretsmanager:GetSecretValue on resource: %s with an explicit deny "
            "in a resource-based policy" % (self.arn, name)
        )
        with self.refused("AccessDeniedException", message):
            self.denied.get_secret_value(SecretId=name)

    def test_change_of_policy_is_in_force_at_once(self):
        name = self.name()
        self.create(name)
        for _ in range(3):
            self.allow("secretsmanager:GetSecretValue")
            self.denied.get_secret_value(SecretId=name)
            self.iam.delete_user_policy(UserName=self.user, PolicyName="Allow")
            with self.refused("AccessDeniedException"):
                self.denied.get_secret_value(SecretId=name)


if __name__ == "__main__":
    unittest.main()
