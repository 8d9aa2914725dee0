"""The stand-in portal speaks the dialect of a Dart node, quirks and all, and the bridge's."""

import base64
import json
import pathlib
import tempfile
import unittest

from support import Client, ask, pattern

import native
import s5_format
from s5_portal import S5Portal

SMALL = b"smaller than a chunk"
LARGE = pattern((256 << 10) + 1000)


def form(data, part_type="application/octet-stream", name="file", filename='; filename="blob"'):
    """(body, headers) of a multipart upload."""
    head = f'Content-Disposition: form-data; name="{name}"{filename}\r\nContent-Type: {part_type}'
    body = b"--XX\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n--XX--\r\n"
    return body, {"Content-Type": "multipart/form-data; boundary=XX"}


class PortalTest(unittest.TestCase):
    options = {}

    def setUp(self):
        self.portal = S5Portal(**self.options)
        self.addCleanup(self.portal.stop)

    def ask(self, method, target, body=None, headers=None):
        return ask(self.portal.url, method, target, body, headers)

    def store(self, data):
        """The base58 CID of data, uploaded raw."""
        status, _, answer = self.ask("POST", "/s5/upload", data)
        self.assertEqual(status, 200)
        return json.loads(answer)["cid"]

    def assertText(self, answer, status, text):
        self.assertEqual((answer[0], answer[2].decode()), (status, text))


class Uploads(PortalTest):
    options = {"capacity": 50_000_000}

    def test_version_is_the_probe(self):
        status, headers, body = self.ask("GET", "/s5/version")
        self.assertEqual((status, json.loads(body)), (200, {"node": "1.0.0-pre.1"}))
        self.assertEqual(headers["transfer-encoding"], "chunked")
        self.assertEqual(self.ask("POST", "/s5/unknown")[0], 404)

    def test_raw_and_multipart_give_the_same_cid(self):
        for data in (b"", SMALL, LARGE, bytes(range(256)) * 40, b"\r\n--X\r\n"):
            expected = s5_format.Cid.of(data).text()
            self.assertEqual(self.store(data), expected)
            status, _, answer = self.ask("POST", "/s5/upload", *form(data))
            self.assertEqual((status, json.loads(answer)["cid"]), (200, expected))

    def test_text_parts_are_corrupted(self):
        data = "grün €".encode()
        _, _, answer = self.ask("POST", "/s5/upload", *form(data, "text/plain"))
        stored = "grün ".encode("latin-1") + b"\xac"  # the low byte of U+20AC
        self.assertEqual(json.loads(answer)["cid"], s5_format.Cid.of(stored).text())

    def test_forms_without_the_file(self):
        for part in (form(SMALL, name="data"), form(SMALL, filename="")):
            status, _, answer = self.ask("POST", "/s5/upload", *part)
            self.assertEqual(status, 500)
            self.assertIn(b"HttpBodyFileUpload", answer)

    def test_limit_and_full_disk(self):
        status, _, answer = self.ask("POST", "/s5/upload", bytes(34_000_001))
        self.assertEqual(status, 500)
        self.assertIn(b"maximum size", answer)
        self.store(bytes(34_000_000))
        status, _, answer = self.ask("POST", "/s5/upload", bytes(33_000_000) + b"x")
        self.assertEqual(status, 500)
        self.assertIn(b"No space left on device", answer)

    def test_tus(self):
        data = pattern(700_000)
        hash_ = s5_format.base64url_encode(b"\x1f" + native.blake3(data)).encode()
        headers = {"Upload-Length": str(len(data))}
        headers["Upload-Metadata"] = "name eA==,hash " + base64.b64encode(hash_).decode()
        status, answered, _ = self.ask("POST", "/s5/upload/tus", b"", headers)
        self.assertEqual(status, 201)
        target = answered["location"].removeprefix(self.portal.url)
        for at in (0, 300_000):
            status, answered, _ = self.ask("HEAD", target)
            self.assertEqual((status, answered["upload-offset"]), (200, str(at)))
            piece = data[at:300_000] if at == 0 else data[at:]
            wrong = self.ask("PATCH", target, piece, {"Upload-Offset": str(at + 1)})
            self.assertText(wrong, 500, "Invalid offset")
            status, answered, _ = self.ask("PATCH", target, piece, {"Upload-Offset": str(at)})
            self.assertEqual(status, 204 if at else 200)
        self.assertEqual(self.portal.node.blobs.get(native.blake3(data)), data)
        # What is there already is no failure.
        self.assertEqual(self.ask("POST", "/s5/upload/tus", b"", headers)[0], 409)

    def test_tus_of_other_bytes(self):
        hash_ = s5_format.base64url_encode(b"\x1f" + native.blake3(b"this")).encode()
        headers = {"Upload-Length": "4"}
        headers["Upload-Metadata"] = "hash " + base64.b64encode(hash_).decode()
        _, answered, _ = self.ask("POST", "/s5/upload/tus", b"", headers)
        target = answered["location"].removeprefix(self.portal.url)
        answer = self.ask("PATCH", target, b"that", {"Upload-Offset": "0"})
        self.assertText(answer, 500, "Invalid hash found")
        self.assertEqual(self.ask("HEAD", target)[0], 404)
        self.assertEqual(len(self.portal.node.blobs), 0)

    def test_large_upload_waits_for_continue(self):
        with Client(self.portal.url) as client:
            client.http.putrequest("POST", "/s5/upload")
            client.http.putheader("Content-Length", str(len(LARGE)))
            client.http.putheader("Expect", "100-continue")
            client.http.endheaders()
            client.http.send(LARGE)
            # The client skips the 100 and reads the answer.
            self.assertEqual(client.http.getresponse().status, 200)


class Reads(PortalTest):
    def get(self, cid, value=None):
        status, headers, body = self.ask("GET", "/" + cid, headers={"Range": value} if value else {})
        return status, headers.get("content-range"), body

    def test_small_blobs_know_no_range(self):
        for data in (b"", SMALL, pattern(256 << 10)):
            cid = self.store(data)
            status, headers, body = self.ask("GET", "/" + cid, headers={"Range": "bytes=0-3"})
            self.assertEqual((status, body), (200, data))
            self.assertEqual(headers["transfer-encoding"], "chunked")

    def test_ranges_of_large_blobs(self):
        cid, size = self.store(LARGE), len(LARGE)
        for first, last in ((0, 0), (5, 9), (262144, size - 1), (size - 1, size - 1)):
            answer = self.get(cid, f"bytes={first}-{last}")
            self.assertEqual(answer, (206, f"bytes {first}-{last}/{size}", LARGE[first : last + 1]))
        self.assertEqual(self.get(cid, "bytes=9-"), (206, f"bytes 9-{size - 1}/{size}", LARGE[9:]))
        self.assertEqual(self.get(cid), (200, None, LARGE))
        # An end past the last byte gives everything.
        self.assertEqual(self.get(cid, f"bytes=9-{size}"), (200, None, LARGE))
        # A suffix is misread as a prefix.
        self.assertEqual(self.get(cid, "bytes=-9"), (206, f"bytes 0-9/{size}", LARGE[:10]))
        self.assertEqual(self.get(cid, "bytes=9-5")[0], 416)
        self.assertEqual(self.get(cid, f"bytes={size}-")[0], 416)

    def test_every_spelling_but_not_the_blob_form(self):
        self.store(LARGE)
        cid = s5_format.Cid.of(LARGE)
        for base in "zbuf":
            self.assertEqual(self.get(cid.text(base))[0], 200)
            blob = s5_format.multibase_encode(cid.blob(), base)
            for target in ("/", "/s5/blob/", "/s5/download/"):
                self.assertText(self.ask("GET", target + blob), 500, "This is not a raw CID")

    def test_missing_and_malformed(self):
        status, _, answer = self.ask("GET", "/" + s5_format.Cid.of(b"nobody's").text())
        self.assertEqual(status, 500)
        self.assertIn(b"Timed out after 0:01:00", answer)
        self.assertEqual(self.ask("GET", "/nonsense")[0], 500)
        self.portal.set("missing_status", 404)
        self.assertEqual(self.ask("GET", "/" + s5_format.Cid.of(b"nobody's").text())[0], 404)

    def test_download_and_pin(self):
        cid = self.store(LARGE)
        answer = self.ask("GET", "/s5/download/" + cid, headers={"Range": "bytes=0-3"})
        self.assertEqual((answer[0], answer[2]), (200, LARGE))
        self.assertEqual(self.ask("POST", "/s5/pin/" + cid)[0], 200)
        self.assertEqual(self.portal.node.pinned, {native.blake3(LARGE)})
        missing = s5_format.Cid.of(b"nobody's").text()
        self.assertEqual(self.ask("POST", "/s5/pin/" + missing)[0], 500)

    def test_blob_redirects_to_another_host(self):
        status, headers, _ = self.ask("GET", "/s5/blob/" + self.store(LARGE))
        self.assertEqual(status, 307)
        url, _, name = headers["location"].partition("/storage/")
        self.assertEqual(url, self.portal.storage.url_at("localhost"))
        value = {"Range": f"bytes=5-{len(LARGE) + 5}", "Authorization": "Bearer followed"}
        answer = ask(url, "GET", "/storage/" + name, headers=value)
        self.assertEqual((answer[0], answer[2]), (206, LARGE[5:]))
        self.assertTrue(self.portal.storage.recorder.records()[0].with_token)
        self.assertEqual(ask(url, "GET", "/storage/" + "0" * 64)[0], 404)

    def test_delete_is_off_by_default(self):
        cid = self.store(SMALL)
        self.assertText(self.ask("DELETE", "/s5/delete/" + cid), 401, "Endpoint disabled in config.toml")
        self.portal.set("allow_delete", True)
        self.assertEqual(self.ask("DELETE", "/s5/delete/" + cid)[0], 200)
        self.assertEqual(len(self.portal.node.blobs), 0)

    def test_idle_connections_are_closed(self):
        self.portal.set("idle_close_s", 0.05)
        with Client(self.portal.url) as client:
            client.ask("GET", "/s5/version")
            self.assertEqual(client.http.sock.recv(1), b"")


class Tokens(PortalTest):
    options = {"tokens": ["secret"]}

    def test_every_request_needs_one(self):
        self.assertText(self.ask("GET", "/s5/version"), 401, "Unauthorized")
        for value in ("Bearer other", "secret", "Basic secret"):
            answer = self.ask("POST", "/s5/upload", SMALL, {"Authorization": value})
            self.assertText(answer, 401, "Unauthorized")
        answer = self.ask("POST", "/s5/upload", SMALL, {"Authorization": "Bearer secret"})
        self.assertEqual(answer[0], 200)
        # Records name headers and never hold what they say.
        records = self.portal.recorder.records()
        self.assertEqual([r.with_token for r in records], [False, True, True, True, True])
        self.assertNotIn("secret", repr(records))


class Accounts(PortalTest):
    options = {"tokens": ["secret"], "accounts": True}

    def test_only_some_scopes_need_one(self):
        self.assertEqual(self.ask("GET", "/s5/version")[0], 200)
        self.assertText(self.ask("POST", "/s5/upload", SMALL), 401, "No auth token found")
        cid = "/" + s5_format.Cid.of(SMALL).text()
        answer = self.ask("GET", cid, headers={"Authorization": "Bearer other"})
        self.assertText(answer, 401, "Invalid auth token")


class Registry(PortalTest):
    seed = bytes(range(32))

    def post(self, revision, data, **changed):
        public = b"\xed" + native.ed25519_public_key(self.seed)
        signature = native.ed25519_sign(self.seed, s5_format.registry_message(revision, data))
        fields = {"pk": public, "data": data, "signature": signature} | changed
        fields = {name: s5_format.base64url_encode(value) for name, value in fields.items()}
        body = json.dumps({"revision": revision} | fields)
        return self.ask("POST", "/s5/registry", body)

    def test_set_and_get(self):
        public = s5_format.base64url_encode(b"\xed" + native.ed25519_public_key(self.seed))
        target = "/s5/registry?pk=" + public
        self.assertEqual(self.ask("GET", target)[0], 404)
        self.assertEqual(self.post(5, b"first")[0], 204)
        self.assertText(self.post(5, b"again"), 500, "Revision number too low")
        self.assertText(self.post(4, b"older"), 500, "Revision number too low")
        self.assertEqual(self.post(6, b"second")[0], 204)
        status, _, body = self.ask("GET", target)
        entry = json.loads(body)
        self.assertEqual((status, entry["pk"], entry["revision"]), (200, public, 6))
        self.assertEqual(s5_format.base64url_decode(entry["data"]), b"second")

    def test_refuses(self):
        other = native.ed25519_sign(bytes(32), s5_format.registry_message(1, b"x"))
        self.assertText(self.post(1, b"x", signature=other), 500, "Invalid signature found")
        answer = self.post(1, b"x", pk=b"\xec" + bytes(32))
        self.assertText(answer, 500, "Only ed25519 keys are supported")
        self.assertText(self.post(1, b"x", pk=bytes(32)), 500, "Invalid pubkey")
        self.assertText(self.post(1, bytes(65)), 500, "Data too long")


class BridgeDialect(PortalTest):
    def test_life_of_a_key(self):
        self.assertEqual(json.loads(self.ask("GET", "/health")[2])["status"], "ok")
        target = "/s5/fs/index/a%20b.bin"
        for method in ("GET", "HEAD", "DELETE"):
            self.assertEqual(self.ask(method, target)[0], 404)
        self.assertEqual(self.ask("PUT", target, SMALL)[0], 200)
        self.assertEqual(self.portal.bridge.keys(), ["index/a b.bin"])
        # No ranges here.
        status, _, body = self.ask("GET", target, headers={"Range": "bytes=1-2"})
        self.assertEqual((status, body), (200, SMALL))
        self.assertEqual(self.ask("HEAD", target)[1]["content-length"], str(len(SMALL)))
        self.assertEqual(self.ask("DELETE", target)[0], 200)
        self.assertEqual(self.ask("GET", target)[0], 404)

    def test_json_is_written_anew(self):
        self.ask("PUT", "/s5/fs/m.json", b'{ "a" : 1 }')
        self.assertEqual(self.ask("GET", "/s5/fs/m.json")[2], b'{"a":1}')
        self.assertEqual(self.ask("PUT", "/s5/fs/m.json", b"no json")[0], 500)


class Directory(unittest.TestCase):
    def check_reads(self, portal, data):
        ask(portal.url, "POST", "/s5/upload", data)
        cid = s5_format.Cid.of(data).text()
        for target in ("/", "/s5/download/"):
            self.assertEqual(ask(portal.url, "GET", target + cid)[2], data)
        value = {"Range": "bytes=7-99"}
        expected = data[7:100] if len(data) > 256 << 10 else data
        self.assertEqual(ask(portal.url, "GET", "/" + cid, None, value)[2], expected)

    def test_blobs_outlive_the_portal(self):
        with tempfile.TemporaryDirectory() as directory:
            for count in (1, 2):
                with S5Portal(directory=directory) as portal:
                    ask(portal.url, "POST", "/s5/upload", b"x" * count)
                    self.assertEqual(len(portal.node.blobs), 1 if count == 1 else 5)
                    for size in (1, 0, 300_000):
                        self.check_reads(portal, pattern(size))
            names = sorted(file.name for file in pathlib.Path(directory).iterdir())
            kept = [b"x", b"xx", *(pattern(size) for size in (0, 1, 300_000))]
            self.assertEqual(names, sorted(native.blake3(data).hex() for data in kept))


if __name__ == "__main__":
    unittest.main()
