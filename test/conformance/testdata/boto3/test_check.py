"""The check must find what it is there to find."""

import http.server
import threading
import unittest

import botocore.session

import check

MODEL = botocore.session.Session().get_service_model("secretsmanager")
HEADERS = {"x-amzn-requestid": "2f0e1a34-6f0f-4a55-9d3c-0d1b1a3b9f10", "content-type": "application/x-amz-json-1.1"}

VERSION = "11111111-1111-4111-8111-111111111111"
ARN = "arn:aws:secretsmanager:us-east-1:111122223333:secret:a-AbCdEf"


def output(operation):
    return MODEL.operation_model(operation).output_shape


class Success(unittest.TestCase):
    def accept(self, operation, body, headers=HEADERS):
        check.check_success(200, headers, body, output(operation))

    def reject(self, operation, body, because, headers=HEADERS):
        with self.assertRaisesRegex(check.Mismatch, because):
            check.check_success(200, headers, body, output(operation))

    def test_good_answers(self):
        self.accept("CreateSecret", b'{"ARN":"%s","Name":"a"}' % ARN.encode())
        self.accept("GetSecretValue", b'{"SecretBinary":"AAEC","VersionStages":["AWSCURRENT"],"CreatedDate":1712813867.123}')
        self.accept("ListSecrets", b'{"SecretList":[{"Tags":[],"LastAccessedDate":1712793600}]}')
        self.accept("DescribeSecret", b'{"VersionIdsToStages":{"%s":["A"]},"RotationEnabled":false}' % VERSION.encode())

    def test_unknown_member(self):
        self.reject("CreateSecret", b'{"Arn":"x"}', "members that .* does not have: .*Arn")

    def test_unknown_member_below(self):
        self.reject("ListSecrets", b'{"SecretList":[{"Name":"a","VersionIdsToStages":{}}]}', r"\$\.SecretList\[0\] has members")

    def test_wrong_types(self):
        for body in (b'{"Name":1}', b'{"Name":["a"]}', b'{"RotationEnabled":"true"}', b'{"RotationEnabled":0}',
                     b'{"CreatedDate":"2024-04-11T00:00:00Z"}', b'{"CreatedDate":true}', b'{"Tags":{}}',
                     b'{"VersionIdsToStages":[]}', b'{"RotationRules":{"AutomaticallyAfterDays":1.5}}'):
            with self.subTest(body):
                self.reject("DescribeSecret", body, "the model says|is empty")

    def test_integer_is_not_a_boolean(self):
        self.reject("DescribeSecret", b'{"RotationRules":{"AutomaticallyAfterDays":true}}', "is a boolean")

    def test_null(self):
        self.reject("CreateSecret", b'{"ARN":null}', "is null")

    def test_timestamps(self):
        self.reject("DescribeSecret", b'{"CreatedDate":1712813867123}', "not seconds")
        self.reject("DescribeSecret", b'{"CreatedDate":1712813867.123456}', "finer than a millisecond")

    def test_base64(self):
        for text in (b"AAE", b"AA-_", b"AA\\nEC"):
            with self.subTest(text):
                self.reject("GetSecretValue", b'{"SecretBinary":"%s"}' % text, "no standard base64")

    def test_lengths(self):
        self.reject("GetSecretValue", b'{"VersionId":"short"}', "least is 32")
        self.reject("CreateSecret", b'{"VersionId":"%s"}' % (b"a" * 65), "most is 64")

    def test_enum(self):
        self.reject("ReplicateSecretToRegions", b'{"ReplicationStatus":[{"Status":"Done"}]}', "not one of")

    def test_empty_list(self):
        self.reject("GetSecretValue", b'{"VersionStages":[]}', "is empty")

    def test_no_output_means_no_body(self):
        self.assertIsNone(output("TagResource"))
        self.accept("TagResource", b"")
        self.reject("TagResource", b"{}", "no output")

    def test_not_json(self):
        for body in (b"", b"{", b'{"ARN":"\xff"}', b'{"CreatedDate":NaN}', b'{"ARN":"a","ARN":"a"}'):
            with self.subTest(body):
                self.reject("DescribeSecret", body, "JSON|duplicate")

    def test_headers(self):
        self.reject("CreateSecret", b"{}", "RequestId", {"content-type": "application/x-amz-json-1.1"})
        self.reject("CreateSecret", b"{}", "no UUID", dict(HEADERS, **{"x-amzn-requestid": "7"}))
        self.reject("CreateSecret", b"{}", "content type", dict(HEADERS, **{"content-type": "application/json"}))

    def test_status(self):
        with self.assertRaisesRegex(check.Mismatch, "status 204"):
            check.check_success(204, HEADERS, b"", None)

    def test_every_operation_has_a_check_for_each_of_its_types(self):
        def walk(shape, seen):
            if shape.name in seen:
                return
            seen.add(shape.name)
            self.assertIn(shape.type_name, check.CHECKS)
            for member in getattr(shape, "members", {}).values():
                walk(member, seen)
            for side in ("member", "key", "value"):
                if hasattr(shape, side) and shape.type_name in ("list", "map"):
                    walk(getattr(shape, side), seen)

        for operation in MODEL.operation_names:
            if output(operation) is not None:
                walk(output(operation), set())


class Error(unittest.TestCase):
    def reject(self, status, body, because):
        with self.assertRaisesRegex(check.Mismatch, because):
            check.check_error(status, HEADERS, body)

    def test_good_answers(self):
        check.check_error(400, HEADERS, b'{"__type":"ResourceNotFoundException","Message":"x"}')
        check.check_error(400, HEADERS, b'{"__type":"ValidationException","message":"x"}')
        check.check_error(400, HEADERS, b'{"__type":"UnknownOperationException"}')
        check.check_error(500, HEADERS, b'{"__type":"InternalServiceError","Message":"x"}')

    def test_envelope(self):
        self.reject(400, b"[]", "no object")
        self.reject(400, b'{"message":"x"}', "__type")
        self.reject(400, b'{"__type":"a.b#ResourceNotFoundException","Message":"x"}', "not a bare name")
        self.reject(400, b'{"__type":"ResourceNotFoundException","Message":"x","stack":""}', "unknown members")
        self.reject(400, b'{"__type":"ResourceNotFoundException","Message":7}', "no string")

    def test_spelling(self):
        self.reject(400, b'{"__type":"ResourceNotFoundException","message":"x"}', "lower case")
        self.reject(400, b'{"__type":"ValidationException","Message":"x"}', "with a capital")

    def test_status(self):
        self.reject(302, b'{"__type":"ResourceNotFoundException","Message":"x"}', "status 302")
        self.reject(500, b'{"__type":"ResourceNotFoundException","Message":"x"}', "status 500")


class Query(unittest.TestCase):
    """Answers in XML."""

    WHOLE = (
        '<GetUserResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><GetUserResult>%s</GetUserResult>'
        "<ResponseMetadata><RequestId>x</RequestId></ResponseMetadata></GetUserResponse>"
    )
    USER = (
        "<User><Path>/</Path><UserName>a</UserName><UserId>AIDAAAAAAAAAAAAAAAAAA</UserId>"
        "<Arn>arn:aws:iam::111122223333:user/a</Arn><CreateDate>2026-02-19T18:34:51Z</CreateDate>%s</User>"
    )

    def setUp(self):
        self.shape = botocore.session.Session().get_service_model("iam").operation_model("GetUser").output_shape

    def reject(self, body, because):
        with self.assertRaisesRegex(check.Mismatch, because):
            check.check_query(200, body, self.shape)

    def test_answers(self):
        check.check_query(200, self.WHOLE % self.USER % "<Tags/>", self.shape)
        check.check_query(200, self.WHOLE % self.USER % "<Tags><member><Key>k</Key><Value></Value></member></Tags>", self.shape)
        self.reject(self.WHOLE % "", "lacks")
        self.reject(self.WHOLE % self.USER % "<Extra/>", "does not have")
        self.reject(self.WHOLE % self.USER % "<Path>/</Path>", "does not have")
        self.reject(self.WHOLE % self.USER % "<Tags><Tag/></Tags>", "in the place of a member")
        self.reject(self.WHOLE % (self.USER % "").replace("T18", " 18"), "no time")
        self.reject((self.WHOLE % self.USER % "").replace("GetUserResult>", "Result>"), "the model says")

    def test_errors(self):
        whole = "<ErrorResponse>%s<RequestId>x</RequestId></ErrorResponse>"
        check.check_query(404, whole % "<Error><Type>Sender</Type><Code>A</Code><Message>b</Message></Error>", None)
        for body in ("", "<Error><Code>A</Code></Error>"):
            with self.assertRaises(check.Mismatch):
                check.check_query(404, whole % body, None)


class Factory(unittest.TestCase):
    """The check is really in the way of an answer."""

    def test_parser(self):
        factory = check.ParserFactory()
        parser = factory.create_parser("json")
        good = {"status_code": 200, "headers": HEADERS, "body": b'{"Name":"a"}'}
        self.assertEqual(parser.parse(good, output("CreateSecret"))["Name"], "a")
        self.assertEqual(factory.checked, 1)
        with self.assertRaises(check.Mismatch):
            parser.parse(dict(good, body=b'{"Name":"a","Extra":1}'), output("CreateSecret"))

    def test_clients_use_it(self):
        """A whole client, against a stand-in server whose answer has a member too many."""

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                body = b'{"Name":"a","Extra":1}'
                self.send_response(200)
                for name, value in HEADERS.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.addCleanup(server.server_close)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)

        core = botocore.session.Session()
        core.register_component("response_parser_factory", check.ParserFactory())
        client = core.create_client(
            "secretsmanager",
            "us-east-1",
            endpoint_url="http://127.0.0.1:%d" % server.server_port,
            aws_access_key_id="a",
            aws_secret_access_key="b",
        )
        with self.assertRaisesRegex(check.Mismatch, "Extra"):
            client.create_secret(Name="a")


if __name__ == "__main__":
    unittest.main()
