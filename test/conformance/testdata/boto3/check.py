"""A strict check of raw responses against the SDK's own service model.

boto3 is lenient: it drops members that it does not know, takes a number for a string, and makes nothing of a null. A
program that reads the answers with another SDK is less lucky, so the scenarios read every answer through this check. It
stands where botocore asks for a parser, sees the bytes as they came, and raises before botocore's parser smooths them.
"""

import base64
import binascii
import json
import re
import uuid
import xml.etree.ElementTree

import botocore.parsers

# Codes that the front of the service answers, with "message" in lower case; everything else says "Message".
FRAMEWORK_CODES = frozenset(
    {
        "ExpiredTokenException",
        "IncompleteSignatureException",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "SerializationException",
        "ThrottlingException",
        "UnknownOperationException",
        "UnrecognizedClientException",
        "ValidationException",
    }
)

# Members that are empty lists rather than left out when there is nothing to list.
MAY_BE_EMPTY = frozenset({"Tags", "SecretList", "Errors", "SecretValues", "Versions", "ValidationErrors", "ReplicationStatus"})


class Mismatch(AssertionError):
    """A response that does not fit the model."""


def check_success(status, headers, body, shape):
    """Checks the answer to a call that succeeded. shape is the output shape, or None where the model has none."""
    if status != 200:
        raise Mismatch("status %d" % status)
    check_headers(headers)
    if shape is None:
        if body != b"":
            raise Mismatch("body is %d bytes, the operation has no output" % len(body))
        return
    content_type = headers.get("content-type")
    if content_type != "application/x-amz-json-1.1":
        raise Mismatch("content type %r" % content_type)
    check_shape(load(body), shape, "$")


def check_error(status, headers, body, service_messages=True):
    """Checks an error answer: status, envelope and the spelling of the message member."""
    check_headers(headers)
    if not 400 <= status <= 599:
        raise Mismatch("status %d" % status)
    document = load(body)
    if not isinstance(document, dict):
        raise Mismatch("error body is no object")
    code = document.get("__type")
    if not isinstance(code, str) or not re.fullmatch(r"[A-Za-z]+", code):
        raise Mismatch("__type %r is not a bare name" % (code,))
    if status >= 500 and code not in ("InternalServiceError", "InternalFailure", "KMSInternalException", "ServiceUnavailableException"):
        raise Mismatch("status %d for %s" % (status, code))
    unknown = set(document) - {"__type", "Message", "message"}
    if unknown:
        raise Mismatch("unknown members in the error: %s" % sorted(unknown))
    if not service_messages:
        return
    expected = "message" if code in FRAMEWORK_CODES and "message" in document else "Message"
    if code in FRAMEWORK_CODES and "Message" in document:
        raise Mismatch("%s spells its message with a capital" % code)
    if code not in FRAMEWORK_CODES and "message" in document:
        raise Mismatch("%s spells its message in lower case" % code)
    if expected in document and not isinstance(document[expected], str):
        raise Mismatch("message of %s is no string" % code)


def check_headers(headers):
    request_id = headers.get("x-amzn-requestid")
    if request_id is None:
        raise Mismatch("no x-amzn-RequestId")
    try:
        uuid.UUID(request_id)
    except ValueError:
        raise Mismatch("request id %r is no UUID" % request_id) from None


def load(body):
    """Parses JSON as strictly as the strictest client: UTF-8, no duplicate members, no NaN."""

    def pairs(members):
        names = [name for name, _ in members]
        if len(set(names)) != len(names):
            raise Mismatch("duplicate members in %s" % names)
        return dict(members)

    def constant(name):
        raise Mismatch("%s is no JSON" % name)

    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=pairs, parse_constant=constant)
    except ValueError as error:
        raise Mismatch("body is no JSON: %s" % error) from None


# Members that AWS added after the older of the tested SDKs were made: these ignore them, as they ignore AWS's. An SDK that
# knows a member checks it like any other.
NEWER_MEMBERS = {
    "KeyMetadata": frozenset({"CurrentKeyMaterialId"}),
    "DecryptResponse": frozenset({"KeyMaterialId"}),
    "GenerateDataKeyResponse": frozenset({"KeyMaterialId"}),
    "GetKeyPolicyResponse": frozenset({"PolicyName"}),
}


def check_shape(value, shape, path):
    """Checks one value, and all below it, against a shape of the model."""
    if value is None:
        raise Mismatch("%s is null, absent members are left out" % path)
    CHECKS[shape.type_name](value, shape, path)


def check_structure(value, shape, path):
    expect(value, dict, shape, path)
    newer = NEWER_MEMBERS.get(shape.name, frozenset()) - set(shape.members)
    unknown = set(value) - set(shape.members) - newer
    if unknown:
        raise Mismatch("%s has members that %s does not have: %s" % (path, shape.name, sorted(unknown)))
    absent = set(shape.required_members) - set(value)
    if absent:
        raise Mismatch("%s lacks %s" % (path, sorted(absent)))
    for name, member in value.items():
        if name not in newer:
            check_shape(member, shape.members[name], path + "." + name)


def check_list(value, shape, path):
    expect(value, list, shape, path)
    name = path.rpartition(".")[2]
    if not value and name not in MAY_BE_EMPTY:
        raise Mismatch("%s is empty, empty members are left out" % path)
    check_length(len(value), shape, path, lower=False)
    for number, member in enumerate(value):
        check_shape(member, shape.member, "%s[%d]" % (path, number))


def check_map(value, shape, path):
    expect(value, dict, shape, path)
    for key, member in value.items():
        check_shape(key, shape.key, path + " key")
        check_shape(member, shape.value, "%s[%r]" % (path, key))


def check_string(value, shape, path):
    expect(value, str, shape, path)
    check_length(len(value), shape, path)
    enum = getattr(shape, "enum", None)
    if enum and value not in enum:
        raise Mismatch("%s is %r, not one of %s" % (path, value, sorted(enum)))


def check_blob(value, shape, path):
    expect(value, str, shape, path)
    try:
        data = base64.b64decode(value, validate=True)
    except binascii.Error:
        raise Mismatch("%s is no standard base64" % path) from None
    check_length(len(data), shape, path)


def check_boolean(value, shape, path):
    expect(value, bool, shape, path)


def check_integer(value, shape, path):
    if isinstance(value, bool):
        raise Mismatch("%s is a boolean, the model says %s" % (path, shape.type_name))
    expect(value, int, shape, path)


def check_number(value, shape, path):
    if isinstance(value, bool):
        raise Mismatch("%s is a boolean, the model says %s" % (path, shape.type_name))
    expect(value, (int, float), shape, path)


def check_timestamp(value, shape, path):
    """Epoch seconds, at most to the millisecond, in this century."""
    check_number(value, shape, path)
    if not 946684800 <= value < 4102444800:
        raise Mismatch("%s is %r, not seconds of this century" % (path, value))
    if abs(value * 1000 - round(value * 1000)) > 1e-3:
        raise Mismatch("%s is %r, finer than a millisecond" % (path, value))


def check_length(length, shape, path, lower=True):
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if lower and low is not None and length < low:
        raise Mismatch("%s has length %d, the model's least is %d" % (path, length, low))
    if high is not None and length > high:
        raise Mismatch("%s has length %d, the model's most is %d" % (path, length, high))


def expect(value, kind, shape, path):
    if not isinstance(value, kind):
        raise Mismatch("%s is a %s, the model says %s" % (path, type(value).__name__, shape.type_name))


CHECKS = {
    "structure": check_structure,
    "list": check_list,
    "map": check_map,
    "string": check_string,
    "character": check_string,
    "blob": check_blob,
    "boolean": check_boolean,
    "integer": check_integer,
    "long": check_integer,
    "float": check_number,
    "double": check_number,
    "timestamp": check_timestamp,
}


def check_query(status, body, shape):
    """Checks an answer in XML, as IAM and STS give it."""
    root = xml.etree.ElementTree.fromstring(body)
    if status >= 300:
        names = [local(child) for child in root]
        if local(root) != "ErrorResponse" or names != ["Error", "RequestId"]:
            raise Mismatch("error of %s with %s" % (local(root), names))
        names = [local(child) for child in root[0]]
        if names not in (["Type", "Code", "Message"], ["Type", "Code"]):
            raise Mismatch("error has %s" % names)
        return
    names = [local(child) for child in root]
    wrapper = shape.serialization.get("resultWrapper") if shape is not None else None
    if names != ([wrapper] if wrapper else []) + ["ResponseMetadata"]:
        raise Mismatch("%s has %s, the model says %s" % (local(root), names, wrapper))
    if wrapper:
        check_element(root[0], shape, "$")


def local(element):
    return element.tag.rpartition("}")[2]


def check_element(element, shape, path):
    """Checks one element, and all below it, against a shape of the model. Empty lists are empty elements."""
    kind, text = shape.type_name, element.text or ""
    if kind == "structure":
        names = [local(child) for child in element]
        newer = NEWER_MEMBERS.get(shape.name, frozenset()) - set(shape.members)
        if len(set(names)) != len(names) or set(names) - set(shape.members) - newer:
            raise Mismatch("%s has members that %s does not have: %s" % (path, shape.name, names))
        absent = set(shape.required_members) - set(names) - MAY_LACK.get(shape.name, frozenset())
        if absent:
            raise Mismatch("%s lacks %s" % (path, sorted(absent)))
        for child in element:
            if local(child) not in newer:
                check_element(child, shape.members[local(child)], path + "." + local(child))
    elif kind == "list":
        for number, child in enumerate(element):
            if local(child) != "member":
                raise Mismatch("%s has %s in the place of a member" % (path, local(child)))
            check_element(child, shape.member, "%s[%d]" % (path, number))
    elif kind == "map":
        for entry in element:
            if local(entry) != "entry" or [local(child) for child in entry] != ["key", "value"]:
                raise Mismatch("%s is no map" % path)
            check_element(entry[0], shape.key, path + " key")
            check_element(entry[1], shape.value, path + " value")
    elif len(element):
        raise Mismatch("%s has elements, the model says %s" % (path, kind))
    elif kind == "boolean":
        if text not in ("true", "false"):
            raise Mismatch("%s is %r, no boolean" % (path, text))
    elif kind == "timestamp":
        if not re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", text):
            raise Mismatch("%s is %r, no time" % (path, text))
    elif kind in ("integer", "long"):
        if not re.fullmatch(r"-?\d+", text):
            raise Mismatch("%s is %r, no number" % (path, text))
    elif shape.name not in OTHER_WORDS:
        CHECKS[kind](text, shape, path)


# Strings for which AWS itself answers other words than its model has (recorded), or than older models had.
OTHER_WORDS = frozenset({"PermissionsBoundaryAttachmentType", "PolicySourceType", "summaryKeyType"})

# Members that older models say are always there, and newer ones not.
MAY_LACK = {"AccessKeyLastUsed": frozenset({"LastUsedDate"})}


class Parser:
    """Checks a raw response, then lets botocore's parser have it."""

    def __init__(self, parser, factory, protocol):
        self._parser = parser
        self._protocol = protocol
        self._factory = factory

    def parse(self, response, shape):
        status, headers = response["status_code"], response["headers"]
        lower = {name.lower(): value for name, value in headers.items()}
        if self._protocol == "query":
            check_headers(lower)
            check_query(status, response["body"], shape)
        elif status >= 300:
            check_error(status, lower, response["body"], self._factory.service_messages)
        else:
            check_success(status, lower, response["body"], shape)
        self._factory.checked += 1
        return self._parser.parse(response, shape)

    def __getattr__(self, name):
        return getattr(self._parser, name)


class ParserFactory(botocore.parsers.ResponseParserFactory):
    """Takes the place of botocore's component "response_parser_factory"; checked counts the answers seen."""

    def __init__(self, service_messages=True):
        super().__init__()
        self.service_messages = service_messages
        self.checked = 0

    def create_parser(self, protocol_name):
        parser = super().create_parser(protocol_name)
        return Parser(parser, self, protocol_name) if protocol_name in ("json", "query") else parser
