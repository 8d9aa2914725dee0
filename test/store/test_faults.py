"""Every fault that a stand-in can commit, as a client sees it; what is recorded; the control port."""

import http.client
import json
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from support import REPO, Client, ask, pattern

import s5_format
from faults import KINDS, SEEDED
from recorder import at_once, rounds
from s5_portal import S5Portal
from throwaway_ca import ThrowawayCa

LARGE = pattern(300_000)
OTHER = bytes(400_000)
BROKEN = (http.client.HTTPException, OSError)


class FaultTest(unittest.TestCase):
    options = {}

    def setUp(self):
        self.portal = S5Portal(**self.options)
        self.addCleanup(self.portal.stop)
        self.faults = self.portal.faults
        self.older = self.put(OTHER[:270_000])
        self.cid = self.put(LARGE)
        self.newer = self.put(OTHER)
        self.portal.recorder.clear()

    def put(self, data):
        self.portal.node.blobs.put(data)
        return s5_format.Cid.of(data).text()

    def get(self, value="bytes=1000-1999", client=None):
        headers = {"Range": value} if value else {}
        where = client.ask if client else lambda *args: ask(self.portal.url, *args)
        return where("GET", "/" + self.cid, None, headers)


class WrongAnswers(FaultTest):
    def test_statuses(self):
        for status in (401, 403, 404, 409, 413, 429, 500, 503):
            self.faults.add("status", status=status, text="as told", retry_after=2)
            code, headers, body = self.get()
            self.assertEqual((code, headers["retry-after"], body), (status, "2", b"as told"))
        self.assertEqual(self.get()[0], 206)

    def test_disk_full(self):
        self.faults.add("disk_full", method="POST")
        status, _, body = ask(self.portal.url, "POST", "/s5/upload", b"x")
        self.assertEqual(status, 500)
        self.assertIn(b"No space left", body)

    def test_wrong_cid(self):
        self.faults.add("wrong_cid")
        answers = [ask(self.portal.url, "POST", "/s5/upload", b"x")[2] for _ in range(2)]
        right = s5_format.Cid.of(b"x")
        wrong = s5_format.multibase_decode(json.loads(answers[0])["cid"])
        self.assertNotEqual(s5_format.parse_cid(wrong).hash, right.hash)
        self.assertEqual(s5_format.parse_cid(wrong).size, 1)
        self.assertEqual(json.loads(answers[1])["cid"], right.text())

    def test_ignore_range(self):
        self.faults.add("ignore_range")
        self.assertEqual(self.get()[::2], (200, LARGE))
        self.assertEqual(self.portal.recorder.records()[0].range, "bytes=1000-1999")

    def test_wrong_content_range(self):
        said = []
        for what in ("start", "total", "none"):
            self.faults.add("wrong_content_range", what=what)
            status, headers, body = self.get()
            self.assertEqual((status, body), (206, LARGE[1000:2000]))
            said.append(headers.get("content-range"))
        self.assertEqual(said, ["bytes 1001-2000/300001", "bytes 1000-1999/300001", None])

    def test_flip(self):
        rule = self.faults.add("flip", offset=1500, bit=7, times=None)
        body = bytearray(self.get()[2])
        body[500] ^= 0x80
        self.assertEqual(bytes(body), LARGE[1000:2000])
        whole = self.get(None)[2]
        self.assertEqual([i for i in range(len(LARGE)) if whole[i] != LARGE[i]], [1500])
        # An answer without that byte is sound, and not counted.
        self.assertEqual(self.get("bytes=0-1499")[2], LARGE[:1500])
        self.assertEqual(rule.hit, 2)

    def test_other_and_older_objects(self):
        for kind in ("other_object", "older_object"):
            self.faults.add(kind)
            status, headers, body = self.get()
            self.assertEqual((status, body), (206, bytes(1000)))
            self.assertEqual(headers["content-range"], "bytes 1000-1999/300000")
        self.assertEqual(self.get()[2], LARGE[1000:2000])

    def test_older_value_of_a_key(self):
        for value in (b"first", b"second"):
            ask(self.portal.url, "PUT", "/s5/fs/key.bin", value)
        self.faults.add("older_object")
        read = [ask(self.portal.url, "GET", "/s5/fs/key.bin")[2] for _ in range(2)]
        self.assertEqual(read, [b"firstf", b"second"])

    def test_truncate_agrees_with_itself(self):
        self.faults.add("truncate", at=10)
        status, headers, body = self.get()
        self.assertEqual((status, headers["content-length"], body), (206, "10", LARGE[1000:1010]))

    def test_redirects(self):
        self.faults.add("redirect_loop", times=2)
        for _ in range(2):
            status, headers, _ = self.get()
            self.assertEqual((status, headers["location"]), (307, "/" + self.cid))
        elsewhere = self.portal.storage.url_at("localhost")
        self.faults.add("redirect", to=elsewhere)
        self.assertEqual(self.get()[1]["location"], elsewhere + "/" + self.cid)


class BrokenConnections(FaultTest):
    def test_cut(self):
        for reset in (False, True):
            self.faults.add("cut", at=10, reset=reset)
            with self.assertRaises(BROKEN) as caught:
                self.get()
            if not reset:
                self.assertEqual(caught.exception.partial, LARGE[1000:1010])
        sizes = [record.response_bytes for record in self.portal.recorder.records()]
        self.assertEqual(sizes, [10, 10])

    def test_cut_of_a_chunked_body(self):
        cid = self.put(b"small blob")
        self.faults.add("cut", at=4)
        with self.assertRaises(http.client.IncompleteRead):
            ask(self.portal.url, "GET", "/" + cid)

    def test_reset_and_close(self):
        for kind, error in (("reset", ConnectionResetError), ("close", http.client.RemoteDisconnected)):
            self.faults.add(kind)
            with self.assertRaises(error):
                self.get()
        self.assertEqual([r.status for r in self.portal.recorder.records()], [None, None])

    def upload(self, data, timeout=5):
        with Client(self.portal.url, timeout=timeout) as client:
            return client.ask("POST", "/s5/upload", data)[0]

    def test_answers_lost_after_the_work(self):
        for number, kind in enumerate(("reset", "close")):
            self.faults.add(kind, after=True)
            data = bytes([number])
            with self.assertRaises(BROKEN):
                self.upload(data)
            self.assertIn(s5_format.Cid.of(data).hash, self.portal.node.blobs)

    def test_uploads_that_break_off(self):
        # More than the kernel's buffers hold, so that the client notices while it sends.
        data = bytes(30_000_000)
        for kind, error in (("reset", BROKEN), ("close", BROKEN), ("stall", TimeoutError)):
            self.faults.add(kind, upload_at=100_000)
            with self.assertRaises(error):
                self.upload(data, timeout=0.3 if kind == "stall" else 5)
        self.assertNotIn(s5_format.Cid.of(data).hash, self.portal.node.blobs)
        self.assertEqual(self.upload(b"whole"), 200)
        self.assertEqual([r.request_bytes for r in self.portal.recorder.records()], [0, 0, 0, 5])

    def test_reset_on_a_kept_alive_connection(self):
        rule = self.faults.add("reset", kept_alive=True)
        with Client(self.portal.url) as client:
            self.assertEqual(self.get(client=client)[0], 206)
            with self.assertRaises(ConnectionResetError):
                self.get(client=client)
        self.assertEqual(rule.hit, 1)
        self.assertEqual(self.get()[0], 206)

    def test_stalls_before_and_within_the_body(self):
        for at in (None, 10):
            self.faults.add("stall", at=at)
            with Client(self.portal.url, timeout=0.2) as client, self.assertRaises(TimeoutError):
                self.get(client=client)
        # One that ends by itself, by closing the connection.
        self.faults.add("stall", seconds=0.05)
        with self.assertRaises(BROKEN):
            self.get()

    def test_slow_first_byte(self):
        self.faults.add("slow_first_byte", seconds=0.2)
        start = time.monotonic()
        self.assertEqual(self.get()[0], 206)
        self.assertGreaterEqual(time.monotonic() - start, 0.2)

    def test_down_and_up_again(self):
        with Client(self.portal.url) as client:
            self.get(client=client)
            self.portal.down()
            with self.assertRaises(BROKEN):
                self.get(client=client)
        with self.assertRaises(ConnectionRefusedError):
            self.get()
        self.portal.up()
        self.assertEqual(self.get()[0], 206)

    def test_down_ends_what_waits(self):
        self.faults.add("stall")
        self.faults.add("slow_first_byte", seconds=60, skip=1)
        clients = [threading.Thread(target=self.swallow) for _ in range(2)]
        for client in clients:
            client.start()
        while len(self.portal.recorder.records()) < 2:
            time.sleep(0.01)
        self.portal.down()
        for client in clients:
            client.join(5)
            self.assertFalse(client.is_alive())

    def swallow(self):
        try:
            self.get()
        except BROKEN:
            pass


class Limits(FaultTest):
    def test_connections_beyond_the_limit(self):
        self.portal.set("connection_limit", 1)
        with Client(self.portal.url) as first:
            self.assertEqual(self.get(client=first)[0], 206)
            self.assertEqual(self.get()[::2], (503, b"Too many connections"))
            self.portal.set("over_limit", "reset")
            with self.assertRaises(BROKEN):
                self.get()
            self.portal.set("over_limit", "wait")
            with Client(self.portal.url, timeout=0.2) as client, self.assertRaises(TimeoutError):
                self.get(client=client)
        self.assertEqual(self.get()[0], 206)

    def test_latency_and_bandwidth(self):
        self.portal.set("latency_ms", 50)
        start = time.monotonic()
        self.get()
        self.assertGreaterEqual(time.monotonic() - start, 0.05)
        self.portal.set("latency_ms", 0)
        self.portal.set("bandwidth", 1_000_000)
        start = time.monotonic()
        self.assertEqual(self.get(None)[2], LARGE)
        self.assertGreaterEqual(time.monotonic() - start, 0.3)


class Choosing(FaultTest):
    def test_method_path_skip_times(self):
        rule = self.faults.add("status", method="GET", path="^/z", skip=1, times=2)
        ask(self.portal.url, "GET", "/s5/version")
        ask(self.portal.url, "POST", "/s5/upload", b"x")
        self.assertEqual([self.get()[0] for _ in range(4)], [206, 500, 500, 206])
        self.assertEqual(rule.hit, 2)
        faults = [record.faults for record in self.portal.recorder.records(path="^/z")]
        self.assertEqual(faults, [[], ["status"], ["status"], []])

    def test_query(self):
        self.faults.add("status", query="(^|&)part=2(&|$)")
        asked = [ask(self.portal.url, "GET", "/s5/version" + q)[0] for q in ("", "?part=1", "?a&part=2")]
        self.assertEqual(asked, [200, 200, 500])

    def test_only_ranged(self):
        self.faults.add("status", ranged=True)
        self.assertEqual(self.get(None)[0], 200)
        self.assertEqual(self.get()[0], 500)

    def test_unknown_is_refused(self):
        for kind, options in (("flop", {}), ("flip", {"byte": 1}), ("status", {"at": 1})):
            with self.assertRaises(ValueError):
                self.faults.add(kind, **options)
        self.assertLess(set(SEEDED), set(KINDS))

    def run_seeded(self, order):
        """The faults that a seed gives to a hundred requests that come in this order."""
        self.faults.clear()
        self.faults.seed(11, 0.3, kinds=["status", "ignore_range", "wrong_content_range"])
        self.portal.recorder.clear()
        with Client(self.portal.url) as client:
            for at in order:
                self.get(f"bytes={at}-{at + 9}", client)
        return {record.range: record.faults for record in self.portal.recorder.records()}

    def test_a_seed_gives_the_same_faults_in_any_order(self):
        first = self.run_seeded(range(100))
        self.assertEqual(self.run_seeded(reversed(range(100))), first)
        hit = sum(1 for faults in first.values() if faults)
        self.assertTrue(10 < hit < 60, hit)

    def test_a_seed_keeps_what_it_is_told(self):
        self.faults.seed(5, 1, kinds=[{"kind": "status", "status": 418}])
        self.assertEqual({self.get()[0] for _ in range(5)}, {418})
        with self.assertRaises(ValueError):
            self.faults.seed(5, 1, kinds=[{"kind": "status", "at": 1}])

    def test_a_seed_of_everything_ends(self):
        self.faults.seed(3, 0.8)
        seen = set()
        for _ in range(120):
            try:
                self.get()
            except BROKEN:
                pass
        for record in self.portal.recorder.records():
            seen.update(record.faults)
        self.assertEqual(seen, set(SEEDED))


class Recording(FaultTest):
    options = {"wire": True, "latency_ms": 30}

    def test_counts_rounds_and_bytes(self):
        for _ in range(2):
            threads = [threading.Thread(target=self.get) for _ in range(5)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        summary = self.portal.recorder.summary(method="GET")
        self.assertEqual((summary["requests"], summary["response_bytes"]), (10, 10_000))
        self.assertEqual((summary["rounds"], summary["connections"]), (2, 10))
        self.assertEqual(summary["statuses"], {"206": 10})
        self.assertGreater(summary["at_once"], 1)
        records = self.portal.recorder.records(since=8)
        self.assertEqual((len(records), at_once(records[:1]), rounds(records[:1])), (2, 1, 1))

    def test_wire_holds_both_directions(self):
        ask(self.portal.url, "POST", "/s5/upload", b"needle" * 30_000)
        self.get("bytes=0-199")
        self.assertIn(b"needle" * 30_000, self.portal.recorder.wire_bytes(sent=False))
        self.assertIn(LARGE[:200], self.portal.recorder.wire_bytes(sent=True))
        self.assertNotIn(LARGE[:200], self.portal.recorder.wire_bytes(sent=False))


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.ca = ThrowawayCa(cls.directory.name + "/ca")

    def version(self, tls, ca, host="127.0.0.1", **options):
        with S5Portal(tls=tls, **options) as portal:
            return ask(portal.url_at(host), "GET", "/s5/version", ca=ca.certificate)[0]

    def test_good_certificate(self):
        for host in ("127.0.0.1", "localhost"):
            self.assertEqual(self.version(self.ca.server(), self.ca, host), 200)

    def test_wrong_certificates(self):
        other = ThrowawayCa(self.directory.name + "/other")
        tried = [(self.ca.server(kind), self.ca) for kind in ("expired", "not-yet", "wrong-host")]
        for tls, ca in [*tried, (self.ca.server(), other), (other.server(), self.ca)]:
            with self.assertRaises(ssl.SSLCertVerificationError):
                self.version(tls, ca)

    def test_faults_and_wire_under_tls(self):
        with S5Portal(tls=self.ca.server(), wire=True) as portal:
            portal.faults.add("reset", times=1)
            with self.assertRaises(BROKEN):
                ask(portal.url, "GET", "/s5/version", ca=self.ca.certificate)
            ask(portal.url, "GET", "/s5/version", ca=self.ca.certificate)
            self.assertIn(b"GET /s5/version", portal.recorder.wire_bytes(sent=False))
            with Client(portal.url, ca=self.ca.certificate) as client:
                client.ask("GET", "/s5/version")
                portal.down()
                with self.assertRaises(BROKEN):
                    client.ask("GET", "/s5/version")

    def test_plain_http_to_a_tls_port(self):
        with S5Portal(tls=self.ca.server()) as portal:
            with self.assertRaises(BROKEN):
                ask(portal.url.replace("https", "http"), "GET", "/s5/version")


class Program(unittest.TestCase):
    """The portal as a program, driven through its control port."""

    def setUp(self):
        command = [sys.executable, REPO / "test/tools/s5_portal.py", "--token", "secret", "--wire"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(self.end)
        self.facts = json.loads(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        self.assertEqual(self.process.wait(10), 0)
        self.process.stdout.close()

    def admin(self, method, target, value=None):
        body = None if value is None else json.dumps(value)
        status, _, answer = ask(self.facts["admin"], method, target, body)
        return status, answer

    def version(self):
        headers = {"Authorization": "Bearer secret"}
        return ask(self.facts["url"], "GET", "/s5/version", None, headers)[0]

    def test_commands(self):
        self.assertEqual(self.version(), 200)
        self.assertEqual(self.admin("POST", "/faults", {"kind": "status", "status": 503})[0], 200)
        self.assertEqual([self.version(), self.version()], [503, 200])
        self.assertEqual(json.loads(self.admin("GET", "/faults")[1]), [["status", 1]])
        self.assertEqual(self.admin("POST", "/faults", {"kind": "none such"})[0], 500)
        self.admin("POST", "/seed", {"seed": 1, "chance": 1, "kinds": ["disk_full"]})
        self.assertEqual(self.version(), 500)
        self.admin("DELETE", "/faults")
        self.admin("POST", "/set", {"latency_ms": 1, "allow_delete": True})
        self.assertEqual(self.admin("POST", "/set", {"unknown": 1})[0], 500)
        self.assertEqual(self.version(), 200)
        summary = json.loads(self.admin("GET", "/summary?path=version")[1])
        self.assertEqual(summary["statuses"], {"200": 3, "503": 1, "500": 1})
        self.assertEqual(len(json.loads(self.admin("GET", "/records?method=GET")[1])), 5)
        self.assertIn(b"/s5/version", self.admin("GET", "/wire?sent=0")[1])
        self.admin("DELETE", "/records")
        self.assertEqual(self.admin("GET", "/records")[1], b"[]")
        self.assertEqual(self.admin("GET", "/blobs")[1], b"[]")
        self.assertEqual(self.admin("GET", "/nothing")[0], 404)
        self.admin("POST", "/down")
        with self.assertRaises(ConnectionRefusedError):
            self.version()
        self.admin("POST", "/up")
        self.assertEqual(self.version(), 200)

    def test_token_does_not_follow_unless_sent(self):
        storage = self.facts["storage"]
        ask(storage, "GET", "/storage/" + "0" * 64)
        ask(storage, "GET", "/storage/" + "1" * 64, headers={"Authorization": "Bearer secret"})
        records = json.loads(ask(self.facts["second_admin"], "GET", "/records")[2])
        followed = ["authorization" in record["header_names"] for record in records]
        self.assertEqual(followed, [False, True])


class Malformed(FaultTest):
    def test_garbage_only_costs_its_connection(self):
        host = ("127.0.0.1", self.portal.port)
        requests = [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"x" * 70_000]
        requests += [b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"]
        for request in requests:
            with socket.create_connection(host, timeout=5) as sock:
                sock.sendall(request)
                try:
                    self.assertEqual(sock.recv(100), b"")
                except ConnectionResetError:
                    pass
        self.assertEqual(self.get()[0], 206)


if __name__ == "__main__":
    unittest.main()
