"""The S3 server and the proxy before it: signatures against AWS's examples, aws4 and curl; ranges,
conditions, multipart uploads, listing; the same faults as the portal's."""

import datetime
import hashlib
import json
import re
import shutil
import subprocess
import sys
import unittest
import urllib.parse

from support import REPO, ask, pattern

import npm_packages
import sigv4
from http_message import Request
from s3_server import SKIPPED, S3Server

NOW = datetime.datetime(2013, 5, 24, tzinfo=datetime.timezone.utc)
EXAMPLE = sigv4.Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
LEAST = 5 << 20


class Signatures(unittest.TestCase):
    """The examples in AWS's "Authenticating Requests: Using the Authorization Header"."""

    host = "examplebucket.s3.amazonaws.com"

    def signed(self, method, target, body=b"", headers=(), credentials=EXAMPLE, now=NOW):
        made = sigv4.sign(
            credentials, "us-east-1", method, target, self.host, body, headers, now
        )
        return Request(method, target, made, body)

    def assertSignature(self, request, expected):
        self.assertEqual(request.header("authorization")[-64:], expected)
        sigv4.verify(EXAMPLE, "us-east-1", request, NOW)

    def test_published_examples(self):
        get = self.signed("GET", "/test.txt", headers=[("Range", "bytes=0-9")])
        self.assertSignature(get, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
        extra = [("Date", "Fri, 24 May 2013 00:00:00 GMT")]
        extra += [("x-amz-storage-class", "REDUCED_REDUNDANCY")]
        put = self.signed("PUT", "/test%24file.text", b"Welcome to Amazon S3.", extra)
        self.assertSignature(put, "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")
        life = self.signed("GET", "/?lifecycle")
        self.assertSignature(life, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")
        listed = self.signed("GET", "/?max-keys=2&prefix=J")
        self.assertSignature(listed, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")

    def refusal(self, request, credentials=EXAMPLE, region="us-east-1", now=NOW):
        with self.assertRaises(sigv4.Refused) as caught:
            sigv4.verify(credentials, region, request, now)
        return caught.exception.code

    def test_what_is_refused(self):
        request = self.signed("GET", "/a?x=1", headers=[("x-amz-meta-a", "1")])
        other = sigv4.Credentials(EXAMPLE.access_key_id, "other")
        self.assertEqual(self.refusal(request, other), "SignatureDoesNotMatch")
        unknown = sigv4.Credentials("AKOTHER", EXAMPLE.secret_access_key)
        self.assertEqual(self.refusal(request, unknown), "InvalidAccessKeyId")
        self.assertEqual(self.refusal(request, region="eu-west-1"), "AuthorizationHeaderMalformed")
        late = NOW + datetime.timedelta(minutes=16)
        self.assertEqual(self.refusal(request, now=late), "RequestTimeTooSkewed")
        for target in ("/b?x=1", "/a?x=2", "/a"):
            moved = Request("GET", target, request.headers)
            self.assertEqual(self.refusal(moved), "SignatureDoesNotMatch")
        other = Request("PUT", "/a?x=1", request.headers)
        self.assertEqual(self.refusal(other), "SignatureDoesNotMatch")
        filled = Request("GET", "/a?x=1", request.headers, b"body")
        self.assertEqual(self.refusal(filled), "XAmzContentSHA256Mismatch")
        added = Request("GET", "/a?x=1", [*request.headers, ("x-amz-acl", "public-read")])
        self.assertEqual(self.refusal(added), "AccessDenied")
        bare = [(k, v) for k, v in request.headers if k != "authorization"]
        self.assertEqual(self.refusal(Request("GET", "/a?x=1", bare)), "AccessDenied")
        unhashed = [(k, v) for k, v in request.headers if k != "x-amz-content-sha256"]
        self.assertEqual(self.refusal(Request("GET", "/a?x=1", unhashed)), "InvalidRequest")

    def test_session_tokens(self):
        temporary = sigv4.Credentials(EXAMPLE.access_key_id, EXAMPLE.secret_access_key, "session")
        request = self.signed("GET", "/a", credentials=temporary)
        sigv4.verify(temporary, "us-east-1", request, NOW)
        self.assertEqual(self.refusal(request), "InvalidToken")
        self.assertEqual(self.refusal(self.signed("GET", "/a"), temporary), "InvalidToken")


class S3Test(unittest.TestCase):
    options = {}

    @classmethod
    def setUpClass(cls):
        try:
            cls.s3, cls.unavailable = S3Server(**cls.options), None
            cls.addClassCleanup(cls.s3.stop)
        except npm_packages.Unavailable as error:
            cls.unavailable = str(error)

    def setUp(self):
        if self.unavailable:
            self.skipTest(self.unavailable)
        self.s3.faults.clear()
        self.s3.recorder.clear()

    def ask(self, method, key, body=b"", **headers):
        headers = [(name.replace("_", "-"), value) for name, value in headers.items()]
        return self.s3.ask(method, f"/{self.s3.bucket}{key}", body, headers)

    def code(self, answer):
        """Status and S3's code of an error."""
        return answer[0], re.search(rb"<Code>(\w+)</Code>", answer[2])[1].decode()


class Objects(S3Test):
    def test_put_get_head_delete(self):
        data = pattern(300_000)
        status, headers, _ = self.ask("PUT", "/life/a%20b.bin", data)
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        self.assertEqual((status, headers["etag"]), (200, etag))
        self.assertEqual(self.ask("GET", "/life/a%20b.bin")[2], data)
        headers = self.ask("HEAD", "/life/a%20b.bin")[1]
        self.assertEqual((headers["content-length"], headers["etag"]), ("300000", etag))
        status, headers, body = self.ask("GET", "/life/a%20b.bin", range="bytes=7-99")
        self.assertEqual((status, headers["content-range"]), (206, "bytes 7-99/300000"))
        self.assertEqual(body, data[7:100])
        # Unlike S5's node: an end past the last byte is cut, a start past it is an error.
        answer = self.ask("GET", "/life/a%20b.bin", range="bytes=299990-400000")
        self.assertEqual((answer[0], answer[2]), (206, data[-10:]))
        answer = self.ask("GET", "/life/a%20b.bin", range="bytes=300000-300001")
        self.assertEqual(self.code(answer), (416, "InvalidRange"))
        self.assertEqual([self.ask("DELETE", "/life/a%20b.bin")[0] for _ in range(2)], [204, 204])
        self.assertEqual(self.code(self.ask("GET", "/life/a%20b.bin")), (404, "NoSuchKey"))
        self.assertEqual(self.code(self.s3.ask("GET", "/elsewhere/a")), (404, "NoSuchBucket"))

    def test_bucket_as_host_name(self):
        self.ask("PUT", "/hosted.bin", b"hosted")
        host = f"{self.s3.bucket}.localhost:{self.s3.port}"
        self.assertEqual(self.s3.ask("GET", "/hosted.bin", host=host)[2], b"hosted")

    def test_unsigned_is_refused(self):
        answer = ask(self.s3.url, "GET", f"/{self.s3.bucket}/a")
        self.assertEqual(self.code(answer), (403, "AccessDenied"))

    def test_conditions(self):
        self.assertEqual(self.ask("PUT", "/once", b"1", if_none_match="*")[0], 200)
        again = self.ask("PUT", "/once", b"2", if_none_match="*")
        self.assertEqual(self.code(again), (412, "PreconditionFailed"))
        etag = self.ask("HEAD", "/once")[1]["etag"]
        self.assertEqual(self.ask("PUT", "/once", b"3", if_match=etag)[0], 200)
        stale = self.ask("PUT", "/once", b"4", if_match=etag)
        self.assertEqual(self.code(stale), (412, "PreconditionFailed"))
        absent = self.ask("PUT", "/never", b"5", if_match=etag)
        self.assertEqual(self.code(absent), (404, "NoSuchKey"))
        self.assertEqual(self.ask("GET", "/once")[2], b"3")

    def test_list_by_prefix_in_pages(self):
        for number in range(5):
            self.ask("PUT", f"/listed/{number}", b"x")
        self.ask("PUT", "/other", b"x")
        keys, token = [], ""
        while True:
            query = f"?continuation-token={token}" if token else "?"
            query += "&list-type=2&max-keys=2&prefix=listed%2F"
            body = self.ask("GET", query.replace("?&", "?"))[2].decode()
            keys += re.findall("<Key>([^<]+)</Key>", body)
            found = re.search("<NextContinuationToken>([^<]+)<", body)
            if found is None:
                break
            token = found[1].replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
        self.assertEqual(keys, [f"listed/{number}" for number in range(5)])
        self.assertLessEqual(set(keys), set(self.s3.front.keys()))


class Multipart(S3Test):
    def begin(self, key):
        body = self.ask("POST", f"{key}?uploads=")[2].decode()
        return re.search("<UploadId>([^<]+)<", body)[1]

    def part(self, key, upload, number, data):
        answer = self.ask("PUT", f"{key}?partNumber={number}&uploadId={upload}", data)
        self.assertEqual(answer[0], 200)
        return number, answer[1]["etag"]

    def complete(self, key, upload, parts):
        body = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{e}</ETag></Part>" for n, e in parts)
        body = f"<CompleteMultipartUpload>{body}</CompleteMultipartUpload>".encode()
        return self.ask("POST", f"{key}?uploadId={upload}", body)

    def test_parts_in_any_order(self):
        pieces = [pattern(LEAST), bytes(LEAST), b"the rest"]
        upload = self.begin("/large")
        parts = [self.part("/large", upload, n + 1, pieces[n]) for n in (2, 0, 1)]
        wrong = self.complete("/large", upload, parts)
        self.assertEqual(self.code(wrong), (400, "InvalidPartOrder"))
        wrong = self.complete("/large", upload, [(1, '"0"'), *sorted(parts)[1:]])
        self.assertEqual(self.code(wrong), (400, "InvalidPart"))
        self.assertEqual(self.complete("/large", upload, sorted(parts))[0], 200)
        self.assertEqual(self.ask("GET", "/large")[2], b"".join(pieces))
        self.assertEqual(self.code(self.complete("/large", upload, parts)), (404, "NoSuchUpload"))

    def test_pages_of_uploads(self):
        uploads = [(key, self.begin("/" + key)) for key in ("b/1", "b/2", "a", "b/1")]
        wanted = sorted(upload for upload in uploads if upload[0] != "a")
        found, marker = [], ""
        while marker is not None:
            body = self.ask("GET", f"?{marker}max-uploads=1&prefix=b%2F&uploads=")[2].decode()
            found += re.findall("<Key>([^<]+)</Key><UploadId>([^<]+)</UploadId>", body)
            after = re.search("<NextKeyMarker>([^<]+)<.*<NextUploadIdMarker>([^<]+)<", body)
            self.assertEqual("<IsTruncated>true<" in body, after is not None)
            names = ("key-marker", "upload-id-marker")
            marker = (
                urllib.parse.urlencode(list(zip(names, after.groups()))) + "&" if after else None
            )
        self.assertEqual(found, wanted)
        for key, upload in uploads:
            self.ask("DELETE", f"/{key}?uploadId={upload}")

    def test_small_parts_and_abort(self):
        upload = self.begin("/small")
        parts = [self.part("/small", upload, n, b"x") for n in (1, 2)]
        self.assertEqual(self.code(self.complete("/small", upload, parts)), (400, "EntityTooSmall"))
        path = f"{self.s3.bucket}/small"
        self.assertEqual(self.s3.front.uploads(), [(upload, path)])
        self.assertIn(upload.encode(), self.ask("GET", "?uploads=")[2])
        self.assertEqual(self.ask("DELETE", f"/small?uploadId={upload}")[0], 204)
        self.assertEqual(self.s3.front.uploads(), [])
        self.assertEqual(list(self.s3.front._directory.rglob(upload)), [])


class Faults(S3Test):
    def test_every_kind_that_needs_the_server(self):
        old, data = bytes(2000), pattern(2000)
        self.ask("PUT", "/key", old)
        self.ask("PUT", "/key", data)
        self.ask("PUT", "/other", b"o" * 3000)
        for kind, expected in (("older_object", old[:9]), ("other_object", b"o" * 9)):
            self.s3.faults.add(kind)
            status, _, body = self.ask("GET", "/key", range="bytes=1-9")
            self.assertEqual((status, body), (206, expected))
        self.s3.faults.add("flip", offset=5, bit=0)
        self.assertEqual(self.ask("GET", "/key", range="bytes=4-6")[2], bytes([4, 4, 6]))
        self.s3.faults.add("ignore_range")
        self.assertEqual(self.ask("GET", "/key", range="bytes=4-6")[0], 200)
        self.s3.faults.add("wrong_content_range", what="total")
        headers = self.ask("GET", "/key", range="bytes=4-6")[1]
        self.assertEqual(headers["content-range"], "bytes 4-6/2001")
        self.s3.faults.add("status", status=503, method="PUT")
        self.assertEqual(self.code(self.ask("PUT", "/key", b"x")), (503, "SlowDown"))
        self.assertEqual(self.ask("GET", "/key")[2], data)

    def test_records_name_no_secret(self):
        self.ask("GET", "/key")
        records = self.s3.recorder.records()
        self.assertTrue(records[0].with_token)
        self.assertNotIn(self.s3.credentials.access_key_id, repr(records))


class OtherSigners(S3Test):
    """Requests signed by software that is not ours."""

    def test_aws4(self):
        credentials = {"accessKeyId": self.s3.credentials.access_key_id}
        credentials["secretAccessKey"] = self.s3.credentials.secret_access_key
        paths = ["/archive/plain", "/archive/a%20b%2Bc/%C3%A9.bin", "/archive?list-type=2&prefix=a%2Fb"]
        paths += ["/archive?prefix=b&list-type=2&delimiter=", "/archive/m?uploads="]
        host = f"127.0.0.1:{self.s3.port}"
        common = {"host": host, "region": self.s3.region, "credentials": credentials}
        requests = [common | {"method": m, "path": p} for p in paths for m in ("GET", "PUT")]
        for request in requests:
            if request["method"] == "PUT":
                request["body"] = "body"
        script = REPO / "test/store/node/sign.mjs"
        command = ["node", str(script), str(npm_packages.folder_of("s3"))]
        result = subprocess.run(command, input=json.dumps(requests).encode(), capture_output=True)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        for request, headers in zip(requests, json.loads(result.stdout)):
            with self.subTest(path=request["path"], method=request["method"]):
                body = request.get("body", "").encode()
                headers = [(name, str(value)) for name, value in headers.items()]
                signed = Request(request["method"], request["path"], headers, body)
                sigv4.verify(self.s3.credentials, self.s3.region, signed)

    @unittest.skipUnless(shutil.which("curl"), "there is no curl")
    def test_curl(self):
        self.ask("PUT", "/a%20b", b"for curl")

        def curl(*arguments):
            credentials = self.s3.credentials
            user = f"{credentials.access_key_id}:{credentials.secret_access_key}"
            command = ["curl", "-s", "--noproxy", "*", "--user", user, "--aws-sigv4"]
            command += [f"aws:amz:{self.s3.region}:s3", *arguments]
            return subprocess.run(command, capture_output=True, timeout=60).stdout

        hashed = ["-H", "x-amz-content-sha256: " + hashlib.sha256(b"").hexdigest()]
        url = f"{self.s3.url}/{self.s3.bucket}"
        self.assertEqual(curl(*hashed, "-r", "0-2", url + "/a%20b"), b"for")
        self.assertIn(b"<KeyCount>", curl(*hashed, url + "?list-type=2&prefix=a%20"))
        curl("-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "-X", "PUT", "-d", "sent", url + "/c")
        self.assertEqual(self.ask("GET", "/c")[2], b"sent")


class Program(S3Test):
    def test_says_where_it_is(self):
        command = [sys.executable, REPO / "test/tools/s3_server.py", "--bucket", "own"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        facts = json.loads(process.stdout.readline())
        self.assertEqual(facts["bucket"], "own")
        self.assertEqual(ask(facts["url"], "GET", "/own/x")[0], 403)
        self.assertEqual(ask(facts["admin"], "GET", "/uploads")[2], b"[]")
        process.stdin.close()
        self.assertEqual(process.wait(10), 0)
        process.stdout.close()
        self.assertNotEqual(process.returncode, SKIPPED)


if __name__ == "__main__":
    unittest.main()
