"""What works: the worked examples of the specification (secretsmanager.md 16) and every operation once.

A test named example_NN is that row of the table. Examples 18 and 19 are about rotation and have their place with it.
"""

import datetime
import json
import string
import time
import unittest
import uuid

from base import (
    ACCOUNT,
    MARKED,
    NOT_FOUND,
    NO_STAGE,
    NO_TOKEN,
    NO_VERSION,
    REGION,
    SECOND_REGION,
    TOKEN_IN_USE,
    Case,
    raw,
)

PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


class WorkedExamples(Case):
    def test_example_01_create(self):
        name = self.name()
        answer = self.create(name, Description="a description")
        self.assertMembers(answer, "ARN", "Name", "VersionId")
        self.assertEqual(answer["Name"], name)
        prefix = "arn:aws:secretsmanager:%s:%s:secret:%s-" % (REGION, ACCOUNT, name)
        self.assertTrue(answer["ARN"].startswith(prefix), answer["ARN"])
        suffix = answer["ARN"][len(prefix):]
        self.assertEqual(len(suffix), 6)
        self.assertLessEqual(set(suffix), set(string.ascii_letters + string.digits))

    def test_example_02_describe_before_any_read(self):
        name = self.name()
        made = self.create(name, Description="a description")
        answer = self.sm.describe_secret(SecretId=name)
        self.assertMembers(answer, "ARN", "Name", "Description", "CreatedDate", "LastChangedDate", "VersionIdsToStages")
        self.assertEqual(answer["ARN"], made["ARN"])
        self.assertEqual(answer["Description"], "a description")
        self.assertEqual(answer["VersionIdsToStages"], {made["VersionId"]: ["AWSCURRENT"]})
        self.assertGreaterEqual(answer["LastChangedDate"], answer["CreatedDate"])

    def test_example_03_list(self):
        name = self.name()
        made = self.create(name, Description="a description")
        answer = self.sm.list_secrets(Filters=[{"Key": "name", "Values": [name]}])
        self.assertMembers(answer, "SecretList")
        (entry,) = answer["SecretList"]
        self.assertEqual(
            sorted(entry), ["ARN", "CreatedDate", "Description", "LastChangedDate", "Name", "SecretVersionsToStages"]
        )
        self.assertEqual(entry["ARN"], made["ARN"])
        self.assertEqual(entry["SecretVersionsToStages"], {made["VersionId"]: ["AWSCURRENT"]})

    def test_example_04_get_unknown_name(self):
        with self.refused("ResourceNotFoundException", NOT_FOUND):
            self.sm.get_secret_value(SecretId=self.name())

    def test_example_05_secret_without_value(self):
        name = self.name()
        self.assertMembers(self.create_empty(name), "ARN", "Name")
        unknown = str(uuid.uuid4())
        with self.refused("ResourceNotFoundException", NO_STAGE % "AWSCURRENT"):
            self.sm.get_secret_value(SecretId=name)
        with self.refused("ResourceNotFoundException", NO_VERSION % unknown):
            self.sm.get_secret_value(SecretId=name, VersionId=unknown)
        with self.refused("ResourceNotFoundException", NO_STAGE % "AWSPENDING"):
            self.sm.get_secret_value(SecretId=name, VersionStage="AWSPENDING")
        self.assertNotIn("VersionIdsToStages", self.sm.describe_secret(SecretId=name))

    def test_example_06_no_previous_version(self):
        name = self.name()
        self.create(name)
        with self.refused("ResourceNotFoundException", NO_STAGE % "AWSPREVIOUS"):
            self.sm.get_secret_value(SecretId=name, VersionStage="AWSPREVIOUS")

    def test_example_07_version_and_stage_disagree(self):
        name = self.name()
        first = self.create(name)["VersionId"]
        message = "You provided a VersionStage that is not associated to the provided VersionId."
        with self.refused("InvalidRequestException", message):
            self.sm.get_secret_value(SecretId=name, VersionId=first, VersionStage="AWSPREVIOUS")

    def test_example_08_update_moves_the_labels(self):
        name = self.name()
        first = self.create(name)["VersionId"]
        second = self.sm.update_secret(SecretId=name, SecretString="two")["VersionId"]
        answer = self.sm.list_secret_version_ids(SecretId=name)
        self.assertMembers(answer, "ARN", "Name", "Versions")
        versions = {version["VersionId"]: version for version in answer["Versions"]}
        self.assertEqual(set(versions), {first, second})
        self.assertEqual(versions[first]["VersionStages"], ["AWSPREVIOUS"])
        self.assertEqual(versions[second]["VersionStages"], ["AWSCURRENT"])
        for version in versions.values():
            self.assertEqual(version["KmsKeyIds"], ["DefaultEncryptionKey"])

    def test_example_09_pending_versions_are_promoted(self):
        name = self.name()
        first = self.create(name)["VersionId"]
        second = self.sm.put_secret_value(SecretId=name, SecretString="two", VersionStages=["AWSPENDING"])["VersionId"]
        self.promote(name, second, first)
        self.assertEqual(self.stages(name), {first: ["AWSPREVIOUS"], second: ["AWSCURRENT", "AWSPENDING"]})
        third = self.sm.put_secret_value(SecretId=name, SecretString="three", VersionStages=["AWSPENDING"])["VersionId"]
        self.assertEqual(self.stages(name), {first: ["AWSPREVIOUS"], second: ["AWSCURRENT"], third: ["AWSPENDING"]})
        self.promote(name, third, second)
        self.assertEqual(self.stages(name), {second: ["AWSPREVIOUS"], third: ["AWSCURRENT", "AWSPENDING"]})
        listed = {version["VersionId"] for version in self.sm.list_secret_version_ids(SecretId=name)["Versions"]}
        self.assertEqual(listed, {second, third})
        listed = self.sm.list_secret_version_ids(SecretId=name, IncludeDeprecated=True)["Versions"]
        (deprecated,) = [version for version in listed if version["VersionId"] == first]
        self.assertNotIn("VersionStages", deprecated)

    def test_example_10_tags_of_a_deleted_secret(self):
        name = self.name()
        self.create(name)
        self.sm.delete_secret(SecretId=name, RecoveryWindowInDays=7)
        with self.refused("InvalidRequestException", MARKED):
            self.sm.tag_resource(SecretId=name, Tags=[{"Key": "k", "Value": "v"}])
        with self.refused("InvalidRequestException", MARKED):
            self.sm.untag_resource(SecretId=name, TagKeys=["k"])

    def test_example_11_name_of_a_deleted_secret(self):
        name = self.name()
        self.create(name)
        self.sm.delete_secret(SecretId=name, RecoveryWindowInDays=7)
        message = "You can't create this secret because a secret with this name is already scheduled for deletion."
        with self.refused("InvalidRequestException", message):
            self.create(name)

    def test_example_12_name_of_a_purged_secret(self):
        name = self.name()
        old = self.create(name)["ARN"]
        answer = self.sm.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
        self.assertMembers(answer, "ARN", "Name", "DeletionDate")
        self.until_gone(name)
        new = self.create(name, SecretString="two")["ARN"]
        self.assertEqual(old[:-6], new[:-6])
        self.assertNotEqual(old, new)
        with self.refused("ResourceNotFoundException", NOT_FOUND):
            self.sm.get_secret_value(SecretId=old)
        self.assertEqual(self.sm.get_secret_value(SecretId=new[:-7])["SecretString"], "two")

    def test_example_13_name_in_use(self):
        name = self.name()
        self.create(name)
        with self.refused("ResourceExistsException", "The operation failed because the secret %s already exists." % name):
            self.create(name)

    def test_example_14_same_token_same_value(self):
        name, token = self.name(), str(uuid.uuid4())
        self.create_empty(name)
        first = self.sm.put_secret_value(SecretId=name, SecretString="A", ClientRequestToken=token)
        second = self.sm.put_secret_value(SecretId=name, SecretString="A", ClientRequestToken=token)
        self.assertEqual(self.fields(first), self.fields(second))
        self.assertEqual(first["VersionId"], token)
        self.assertEqual(first["VersionStages"], ["AWSCURRENT"])
        self.assertEqual(len(self.sm.list_secret_version_ids(SecretId=name)["Versions"]), 1)

    def test_example_15_same_token_other_value(self):
        name, token = self.name(), str(uuid.uuid4())
        arn = self.create_empty(name)["ARN"]
        self.sm.put_secret_value(SecretId=name, SecretString="A", ClientRequestToken=token)
        with self.refused("ResourceExistsException", TOKEN_IN_USE % (token, arn)):
            self.sm.put_secret_value(SecretId=name, SecretString="B", ClientRequestToken=token)
        self.assertEqual(self.sm.get_secret_value(SecretId=name)["SecretString"], "A")

    def test_example_16_restore(self):
        name = self.name()
        self.create(name)
        self.assertMembers(self.sm.delete_secret(SecretId=name, RecoveryWindowInDays=7), "ARN", "Name", "DeletionDate")
        with self.refused("InvalidRequestException", MARKED):
            self.sm.get_secret_value(SecretId=name)
        self.assertMembers(self.sm.restore_secret(SecretId=name), "ARN", "Name")
        self.assertEqual(self.sm.get_secret_value(SecretId=name)["SecretString"], "one")
        self.assertNotIn("DeletedDate", self.sm.describe_secret(SecretId=name))

    def test_example_17_resource_policy(self):
        name = self.name()
        self.create(name)
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": "*", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}
            ],
        }
        self.assertMembers(self.sm.get_resource_policy(SecretId=name), "ARN", "Name")
        self.assertMembers(self.sm.put_resource_policy(SecretId=name, ResourcePolicy=json.dumps(policy)), "ARN", "Name")
        answer = self.sm.get_resource_policy(SecretId=name)
        self.assertMembers(answer, "ARN", "Name", "ResourcePolicy")
        self.assertEqual(json.loads(answer["ResourcePolicy"]), policy)
        self.assertMembers(self.sm.delete_resource_policy(SecretId=name), "ARN", "Name")
        self.assertMembers(self.sm.get_resource_policy(SecretId=name), "ARN", "Name")

    def test_example_20_raw_put_without_token(self):
        name = self.name()
        self.create(name)
        status, headers, body = raw("secretsmanager.PutSecretValue", {"SecretId": name, "SecretString": "x"})
        self.assertEqual(status, 400)
        self.assertEqual(headers["content-type"], "application/x-amz-json-1.1")
        self.assertEqual(json.loads(body), {"__type": "InvalidRequestException", "Message": NO_TOKEN})

    def test_example_21_replicated_secret(self):
        name = self.name()
        made = self.create(name)
        answer = self.sm.replicate_secret_to_regions(SecretId=name, AddReplicaRegions=[{"Region": SECOND_REGION}])
        self.assertMembers(answer, "ARN", "ReplicationStatus")
        status = self.until_in_sync(name)
        self.assertEqual(
            status,
            {
                "Region": SECOND_REGION,
                "KmsKeyId": "alias/aws/secretsmanager",
                "Status": "InSync",
                "StatusMessage": "Replication succeeded",
            },
        )
        self.assertEqual(self.sm.describe_secret(SecretId=name)["PrimaryRegion"], REGION)

        other = self.recorded.client("secretsmanager", SECOND_REGION)
        replica = other.describe_secret(SecretId=name)
        self.assertEqual(replica["PrimaryRegion"], REGION)
        self.assertEqual(replica["KmsKeyId"], "alias/aws/secretsmanager")
        self.assertEqual(replica["ARN"], made["ARN"].replace(REGION, SECOND_REGION))
        self.assertNotIn("ReplicationStatus", replica)
        value = other.get_secret_value(SecretId=name)
        self.assertEqual((value["SecretString"], value["VersionId"]), ("one", made["VersionId"]))

        message = "Operation not permitted on a replica secret. Call must be made in primary secret's region."
        with self.refused("InvalidParameterException", message):
            other.delete_secret(SecretId=name)
        message = "You can't delete secret %s that still has replica regions [%s]." % (name, SECOND_REGION)
        with self.refused("InvalidParameterException", message):
            self.sm.delete_secret(SecretId=name)

        # The new value reaches the replica too, and the replica becomes a secret of its own when it is cut off.
        second = self.sm.put_secret_value(SecretId=name, SecretString="two")["VersionId"]
        self.until(lambda: other.get_secret_value(SecretId=name)["VersionId"] == second, "the new version in the replica")
        self.assertMembers(other.stop_replication_to_replica(SecretId=name), "ARN")
        self.assertNotIn("PrimaryRegion", other.describe_secret(SecretId=name))
        other.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)

    def test_remove_regions_from_replication(self):
        name = self.name()
        answer = self.create(name, AddReplicaRegions=[{"Region": SECOND_REGION}])
        self.assertMembers(answer, "ARN", "Name", "VersionId", "ReplicationStatus")
        self.until_in_sync(name)
        answer = self.sm.remove_regions_from_replication(SecretId=name, RemoveReplicaRegions=[SECOND_REGION])
        self.assertEqual(answer["ReplicationStatus"] if "ReplicationStatus" in answer else [], [])
        other = self.recorded.client("secretsmanager", SECOND_REGION)
        with self.refused("ResourceNotFoundException", NOT_FOUND):
            other.describe_secret(SecretId=name)
        self.sm.delete_secret(SecretId=name)

    def until_in_sync(self, name):
        found = []

        def synced():
            found[:] = self.sm.describe_secret(SecretId=name)["ReplicationStatus"]
            self.assertIn(found[0]["Status"], ("InProgress", "InSync"), found)
            return found[0]["Status"] == "InSync"

        self.until(synced, "the replica in sync")
        (status,) = found
        return status

    def until(self, condition, what, seconds=30):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                self.fail("waited %d s for %s" % (seconds, what))
            time.sleep(0.1)


class Values(Case):
    def test_text_comes_back_byte_for_byte(self):
        for value in (" leading and trailing \n", "\u0000\u0001\u001f\u007f", "\u2028\u2029", "e\u0301 \u00e9", "\U0001f511" * 3,
                      '{"a": 1,  "a":2}', "</script>&<>'\"\\", "x" * 65536):
            with self.subTest(value[:20]):
                name = self.name()
                self.create(name, SecretString=value)
                answer = self.sm.get_secret_value(SecretId=name)
                self.assertMembers(answer, "ARN", "Name", "VersionId", "SecretString", "VersionStages", "CreatedDate")
                self.assertEqual(answer["SecretString"], value)

    def test_bytes_come_back_as_they_are(self):
        for value in (b"\x00", bytes(range(256)), b"x" * 65536):
            with self.subTest(len(value)):
                name = self.name()
                self.create_empty(name, SecretBinary=value)
                answer = self.sm.get_secret_value(SecretId=name)
                self.assertMembers(answer, "ARN", "Name", "VersionId", "SecretBinary", "VersionStages", "CreatedDate")
                self.assertEqual(answer["SecretBinary"], value)

    def test_kind_may_change_between_versions(self):
        name = self.name()
        self.create(name)
        self.sm.put_secret_value(SecretId=name, SecretBinary=b"one")
        self.assertEqual(self.sm.get_secret_value(SecretId=name)["SecretBinary"], b"one")
        self.assertEqual(self.sm.get_secret_value(SecretId=name, VersionStage="AWSPREVIOUS")["SecretString"], "one")

    def test_same_token_other_kind_is_another_value(self):
        name, token = self.name(), str(uuid.uuid4())
        arn = self.create(name, ClientRequestToken=token)["ARN"]
        with self.refused("ResourceExistsException", TOKEN_IN_USE % (token, arn)):
            self.sm.put_secret_value(SecretId=name, SecretBinary=b"one", ClientRequestToken=token)

    def test_read_by_name_arn_and_partial_arn(self):
        arn = self.create(self.name("a/b_c+d=e.f@g"))["ARN"]
        for secret in (arn, arn[:-7], arn[:-7].rpartition(":secret:")[2]):
            with self.subTest(secret):
                self.assertEqual(self.sm.get_secret_value(SecretId=secret)["ARN"], arn)

    def test_partial_arn_of_a_name_that_looks_like_one_with_suffix(self):
        arn = self.create(self.name("secret-AbCdEf"))["ARN"]
        self.assertEqual(self.sm.get_secret_value(SecretId=arn)["ARN"], arn)
        with self.refused("ResourceNotFoundException", NOT_FOUND):
            self.sm.get_secret_value(SecretId=arn[:-7])

    def test_read_is_noted_by_the_day(self):
        name = self.name()
        self.create(name)
        self.sm.get_secret_value(SecretId=name)

        def noted():
            return self.sm.describe_secret(SecretId=name).get("LastAccessedDate")

        end = time.monotonic() + 30
        while noted() is None and time.monotonic() < end:
            time.sleep(0.1)
        day = noted().astimezone(datetime.timezone.utc)
        self.assertEqual((day.hour, day.minute, day.second, day.microsecond), (0, 0, 0, 0))

    def test_create_again_with_the_same_token_and_value(self):
        name, token = self.name(), str(uuid.uuid4())
        first = self.create(name, ClientRequestToken=token)
        self.assertEqual(self.fields(self.create(name, ClientRequestToken=token)), self.fields(first))
        with self.refused("ResourceExistsException", TOKEN_IN_USE % (token, first["ARN"])):
            self.create(name, SecretString="two", ClientRequestToken=token)

    def test_batch(self):
        self.needs("BatchGetSecretValue")
        names = [self.name() for _ in range(3)]
        for name in names[:2]:
            self.create(name, SecretString="value of " + name)
        answer = self.sm.batch_get_secret_value(SecretIdList=names)
        self.assertMembers(answer, "SecretValues", "Errors")
        self.assertEqual(
            [(value["Name"], value["SecretString"]) for value in answer["SecretValues"]],
            [(name, "value of " + name) for name in names[:2]],
        )
        self.assertEqual(
            answer["Errors"], [{"SecretId": names[2], "ErrorCode": "ResourceNotFoundException", "Message": NOT_FOUND}]
        )

    def test_batch_by_filter(self):
        self.needs("BatchGetSecretValue")
        prefix = self.name("")
        for number in range(3):
            self.create(prefix + str(number))
        found, arguments = [], {}
        while True:
            answer = self.sm.batch_get_secret_value(
                Filters=[{"Key": "name", "Values": [prefix]}], MaxResults=2, **arguments
            )
            found += [value["Name"] for value in answer["SecretValues"]]
            if "NextToken" not in answer:
                break
            arguments = {"NextToken": answer["NextToken"]}
        self.assertEqual(sorted(found), [prefix + str(number) for number in range(3)])


class Changes(Case):
    def test_update_answers_a_version_only_with_a_value(self):
        name = self.name()
        first = self.create(name, Description="old")["VersionId"]
        self.assertMembers(self.sm.update_secret(SecretId=name, Description="new"), "ARN", "Name")
        self.assertEqual(self.sm.describe_secret(SecretId=name)["Description"], "new")
        answer = self.sm.update_secret(SecretId=name, SecretString="one")
        self.assertMembers(answer, "ARN", "Name", "VersionId")
        self.assertNotEqual(answer["VersionId"], first, "the same value under a new token is a new version")

    def test_empty_description_counts_as_none(self):
        name = self.name()
        self.create(name, Description="")
        self.assertNotIn("Description", self.sm.describe_secret(SecretId=name))

    def test_custom_labels_stay_where_they_are(self):
        name = self.name()
        first = self.create(name)["VersionId"]
        answer = self.sm.update_secret_version_stage(SecretId=name, VersionStage="blue", MoveToVersionId=first)
        self.assertMembers(answer, "ARN", "Name")
        second = self.sm.put_secret_value(SecretId=name, SecretString="two")["VersionId"]
        self.assertEqual(self.stages(name), {first: ["AWSPREVIOUS", "blue"], second: ["AWSCURRENT"]})
        self.assertEqual(self.sm.get_secret_value(SecretId=name, VersionStage="blue")["VersionId"], first)
        self.sm.update_secret_version_stage(SecretId=name, VersionStage="blue", RemoveFromVersionId=first)
        self.assertEqual(self.stages(name), {first: ["AWSPREVIOUS"], second: ["AWSCURRENT"]})

    def test_new_current_value_drops_a_pending_one(self):
        name = self.name()
        first = self.create(name)["VersionId"]
        pending = self.sm.put_secret_value(SecretId=name, SecretString="two", VersionStages=["AWSPENDING"])["VersionId"]
        third = self.sm.put_secret_value(SecretId=name, SecretString="three")["VersionId"]
        self.assertEqual(self.stages(name), {first: ["AWSPREVIOUS"], third: ["AWSCURRENT"]})
        self.assertEqual(self.sm.get_secret_value(SecretId=name, VersionId=pending)["SecretString"], "two")

    def test_tags(self):
        name = self.name()
        self.create(name, Tags=[{"Key": "a", "Value": "1"}])
        self.sm.tag_resource(SecretId=name, Tags=[{"Key": "a", "Value": "2"}, {"Key": "B", "Value": ""}])
        tags = {tag["Key"]: tag["Value"] for tag in self.sm.describe_secret(SecretId=name)["Tags"]}
        self.assertEqual(tags, {"a": "2", "B": ""})
        self.sm.untag_resource(SecretId=name, TagKeys=["a", "B", "absent"])
        self.assertEqual(self.sm.describe_secret(SecretId=name).get("Tags", []), [])

    def test_dates_of_a_deletion(self):
        name = self.name()
        self.create(name)
        before = datetime.datetime.now(datetime.timezone.utc)
        planned = self.sm.delete_secret(SecretId=name, RecoveryWindowInDays=7)["DeletionDate"]
        self.assertLess(abs((planned - before).total_seconds() - 7 * 86400), 60)
        deleted = self.sm.describe_secret(SecretId=name)["DeletedDate"]
        self.assertLess(abs((deleted - before).total_seconds()), 60)

    def test_force_delete_of_a_missing_secret(self):
        name = self.name()
        answer = self.sm.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
        self.assertEqual(answer["Name"], name)
        self.assertTrue(answer["ARN"])

    def test_validate_resource_policy(self):
        name = self.name()
        self.create(name)
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": "arn:aws:iam::%s:root" % ACCOUNT},
                    "Action": "secretsmanager:GetSecretValue",
                    "Resource": "*",
                }
            ],
        }
        answer = self.sm.validate_resource_policy(SecretId=name, ResourcePolicy=json.dumps(policy))
        self.assertEqual(self.fields(answer), {"PolicyValidationPassed": True, "ValidationErrors": []})
        policy["Statement"][0]["Principal"] = "*"
        answer = self.sm.validate_resource_policy(SecretId=name, ResourcePolicy=json.dumps(policy))
        self.assertFalse(answer["PolicyValidationPassed"])
        self.assertTrue(answer["ValidationErrors"])


class Listing(Case):
    def setUp(self):
        super().setUp()
        self.prefix = self.name("")
        self.names = [self.prefix + ending for ending in ("alpha", "beta", "gamma")]
        for number, name in enumerate(self.names):
            self.create(name, Description="Number%d of the alphabet" % number, Tags=[{"Key": "n", "Value": str(number)}])

    def list(self, *filters, **arguments):
        filters = ({"Key": "name", "Values": [self.prefix]},) + filters
        pages = self.sm.get_paginator("list_secrets").paginate(Filters=list(filters), **arguments)
        return [entry["Name"][len(self.prefix):] for page in pages for entry in page["SecretList"]]

    def test_created_order_and_pages(self):
        self.assertEqual(self.list(), ["alpha", "beta", "gamma"])
        self.assertEqual(self.list(PaginationConfig={"PageSize": 1}), ["alpha", "beta", "gamma"])
        self.assertEqual(self.list(SortOrder="desc", PaginationConfig={"PageSize": 2}), ["gamma", "beta", "alpha"])

    def test_sort_by_name(self):
        self.needs("ListSecrets", "SortBy")
        self.assertEqual(self.list(SortBy="name", SortOrder="desc"), ["gamma", "beta", "alpha"])

    def test_filters(self):
        for filters, expected in (
            ([{"Key": "name", "Values": [self.prefix + "b", self.prefix + "g"]}], ["beta", "gamma"]),
            ([{"Key": "name", "Values": ["!" + self.prefix + "b"]}], ["alpha", "gamma"]),
            ([{"Key": "tag-key", "Values": ["n"]}, {"Key": "tag-value", "Values": ["1"]}], ["beta"]),
            ([{"Key": "tag-key", "Values": ["N"]}], []),
            ([{"Key": "description", "Values": ["alpha number2"]}], ["gamma"]),
            ([{"Key": "description", "Values": ["lphabet"]}], []),
            ([{"Key": "all", "Values": ["GAM"]}], ["gamma"]),
        ):
            with self.subTest(filters):
                self.assertEqual(self.list(*filters), expected)

    def test_deleted_secrets_are_hidden(self):
        self.needs("ListSecrets", "IncludePlannedDeletion")
        self.sm.delete_secret(SecretId=self.names[1])
        self.assertEqual(self.list(), ["alpha", "gamma"])
        self.assertEqual(self.list(IncludePlannedDeletion=True), ["alpha", "beta", "gamma"])

    def test_pages_of_versions(self):
        name = self.names[0]
        for number in range(4):
            self.sm.put_secret_value(SecretId=name, SecretString=str(number))
        found, arguments = [], {}
        while True:
            answer = self.sm.list_secret_version_ids(SecretId=name, IncludeDeprecated=True, MaxResults=2, **arguments)
            found += [version["VersionId"] for version in answer["Versions"]]
            if "NextToken" not in answer:
                break
            arguments = {"NextToken": answer["NextToken"]}
        self.assertEqual(len(found), 5)
        self.assertEqual(len(set(found)), 5)


class Passwords(Case):
    def password(self, **arguments):
        answer = self.sm.get_random_password(**arguments)
        self.assertMembers(answer, "RandomPassword")
        return answer["RandomPassword"]

    def test_default(self):
        password = self.password()
        self.assertEqual(len(password), 32)
        for characters in (string.ascii_uppercase, string.ascii_lowercase, string.digits, PUNCTUATION):
            self.assertTrue(set(password) & set(characters), password)

    def test_lengths(self):
        for length in (4, 4096):
            self.assertEqual(len(self.password(PasswordLength=length)), length)
        self.assertEqual(len(self.password(PasswordLength=1, RequireEachIncludedType=False)), 1)

    def test_exclusions(self):
        password = self.password(
            PasswordLength=200, ExcludePunctuation=True, ExcludeUppercase=True, ExcludeCharacters="abc0", IncludeSpace=True
        )
        allowed = set(string.ascii_lowercase + string.digits + " ") - set("abc0")
        self.assertLessEqual(set(password), allowed)


if __name__ == "__main__":
    unittest.main()
