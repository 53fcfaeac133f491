"""What the scenarios share: clients under the response check, names that no other run uses, and short assertions."""

import functools
import json
import os
import time
import unittest
import uuid

import boto3
import botocore
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.exceptions
import botocore.httpsession
import botocore.session

import check

ACCOUNT = os.environ.get("CONFORMANCE_ACCOUNT", "")
SECOND_REGION = os.environ.get("CONFORMANCE_SECOND_REGION", "")
REGION = os.environ.get("AWS_REGION", "")

NOT_FOUND = "Secrets Manager can't find the specified secret."
NO_STAGE = "Secrets Manager can't find the specified secret value for staging label: %s"
NO_VERSION = "Secrets Manager can't find the specified secret value for VersionId: %s"
MARKED = "You can't perform this operation on the secret because it was marked for deletion."
BAD_NAME = "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"
NO_TOKEN = "You must provide a ClientRequestToken value. We recommend a UUID-type value."
TOKEN_IN_USE = "You can't use ClientRequestToken %s because that value is already in use for a version of secret %s."
BOTH_VALUES = "You can't specify both a binary secret value and a string secret value in the same secret."

# boto3 reads AWS_ENDPOINT_URL since 1.28 (botocore 1.31). Newer ones get no endpoint from the tests, as a user gives none.
READS_ENDPOINT = tuple(int(part) for part in botocore.__version__.split(".")[:2]) >= (1, 31)

CONFIG = botocore.config.Config(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=30)

# Sends what the SDK itself would refuse, so that the server has to.
UNCHECKED = CONFIG.merge(botocore.config.Config(parameter_validation=False))


class Recorded:
    """A boto3 session whose answers all pass the check, and the factory that counts them."""

    def __init__(self, service_messages=True, **credentials):
        self.factory = check.ParserFactory(service_messages)
        core = botocore.session.Session()
        core.register_component("response_parser_factory", self.factory)
        self.session = boto3.session.Session(botocore_session=core, **credentials)

        self.clients = {}

    def client(self, service, region=None, config=CONFIG):
        """A client of a service; the same one for the same arguments, because making one reads megabytes of models."""
        key = (service, region, id(config))
        if key not in self.clients:
            options = {} if READS_ENDPOINT else {"endpoint_url": os.environ["AWS_ENDPOINT_URL"]}
            self.clients[key] = self.session.client(service, region_name=region, config=config, **options)
        return self.clients[key]


@functools.lru_cache(maxsize=None)
def administrator(service_messages=True):
    """The session of the user that `strongroom env` gives out."""
    return Recorded(service_messages)


class Case(unittest.TestCase):
    """A test with a Secrets Manager client in self.sm."""

    maxDiff = None

    config = CONFIG

    def setUp(self):
        self.recorded = administrator()
        self.sm = self.recorded.client("secretsmanager", config=self.config)
        self.checked_before = self.recorded.factory.checked
        self.skipped = False

    def tearDown(self):
        # A factory that was asked for no parser would let everything pass.
        if not self.skipped:
            self.assertGreater(self.recorded.factory.checked, self.checked_before, "no answer went through the check")

    def name(self, ending="secret"):
        return "boto3/%s/%s" % (uuid.uuid4().hex, ending)

    def create(self, name=None, **arguments):
        """Makes a secret, with the value "one" unless told otherwise."""
        arguments.setdefault("SecretString", "one")
        return self.sm.create_secret(Name=name or self.name(), **arguments)

    def create_empty(self, name=None, **arguments):
        return self.sm.create_secret(Name=name or self.name(), **arguments)

    def stages(self, secret):
        """The staging labels by version, each list sorted."""
        answer = self.sm.describe_secret(SecretId=secret)
        return {version: sorted(labels) for version, labels in answer.get("VersionIdsToStages", {}).items()}

    def promote(self, secret, to, remove_from):
        return self.sm.update_secret_version_stage(
            SecretId=secret, VersionStage="AWSCURRENT", MoveToVersionId=to, RemoveFromVersionId=remove_from
        )

    def until_gone(self, secret, seconds=60):
        """Waits until a force-deleted secret is purged, as infrastructure tools do."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                self.assertIn("DeletedDate", self.sm.describe_secret(SecretId=secret))
            except botocore.exceptions.ClientError as error:
                self.assertEqual(error.response["Error"]["Code"], "ResourceNotFoundException")
                return
            time.sleep(0.2)
        self.fail("%s is still there after %d s" % (secret, seconds))

    def needs(self, operation, *members):
        """Skips the test where this SDK is older than what is tested."""
        model = self.sm.meta.service_model
        self.skipped = True  # until nothing is missing
        if operation not in model.operation_names:
            self.skipTest("botocore %s has no %s" % (botocore.__version__, operation))
        for member in members:
            if member not in model.operation_model(operation).input_shape.members:
                self.skipTest("botocore %s has no %s in %s" % (botocore.__version__, member, operation))
        self.skipped = False

    def refused(self, code, message=None, status=400):
        """A context in which the call must fail with exactly this answer; a None message is not looked at."""
        return Refused(self, code, message, status)

    def fields(self, answer):
        """The members of an answer, without what boto3 adds."""
        return {name: value for name, value in answer.items() if name != "ResponseMetadata"}

    def assertMembers(self, answer, *names):
        self.assertEqual(sorted(self.fields(answer)), sorted(names))


class Refused:
    def __init__(self, case, code, message, status):
        self.case, self.code, self.message, self.status = case, code, message, status
        self.response = None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.case.fail("accepted, expected %s" % self.code)
        if not isinstance(error, botocore.exceptions.ClientError):
            return False
        self.response = error.response
        found = error.response["Error"]
        self.case.assertEqual(found["Code"], self.code, found.get("Message"))
        if self.message is not None:
            self.case.assertEqual(found.get("Message", ""), self.message)
        self.case.assertEqual(error.response["ResponseMetadata"]["HTTPStatusCode"], self.status)
        return True


@functools.lru_cache(maxsize=None)
def connections():
    return botocore.httpsession.URLLib3Session(verify=os.environ["AWS_CA_BUNDLE"])


def raw(target, body, sign=True, headers=None, credentials=None):
    """Sends one request as no SDK would: body is bytes or something for JSON. Returns status, headers and body."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    sent = {"Content-Type": "application/x-amz-json-1.1"}
    if target is not None:
        sent["X-Amz-Target"] = target
    sent.update(headers or {})
    request = botocore.awsrequest.AWSRequest("POST", os.environ["AWS_ENDPOINT_URL"] + "/", data=body, headers=sent)
    if sign:
        credentials = credentials or botocore.session.Session().get_credentials()
        botocore.auth.SigV4Auth(credentials, "secretsmanager", REGION).add_auth(request)
    response = connections().send(request.prepare())
    return response.status_code, {name.lower(): value for name, value in response.headers.items()}, response.content
