"""CIDs, registry entries and the blob cipher against @lumeweb/libs5, @noble/hashes, @noble/ciphers."""

import json
import os
import subprocess
import unittest

from support import REPO, pattern

import native
import npm_packages
import s5_format
from s5_portal import S5Portal

NODE = REPO / "test/store/node"
SIZES = [0, 1, 255, 256, 65_535, 65_536, 262_144, 262_145, 1_000_000]
KEY = bytes(range(100, 132))


def node(script, *arguments, **kwargs):
    folder = npm_packages.folder_of("s5")
    command = ["node", str(NODE / script), str(folder), *arguments]
    return subprocess.run(command, capture_output=True, timeout=120, **kwargs)


class NodeTest(unittest.TestCase):
    def setUp(self):
        try:
            npm_packages.folder_of("s5")
        except npm_packages.Unavailable as error:
            self.skipTest(str(error))

    def answers(self, **cases):
        every = {"cids": [], "decoded": [], "entries": [], "verified": [], "sealed": []} | cases
        result = node("crosscheck.mjs", input=json.dumps(every).encode())
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return json.loads(result.stdout)


class CrossCheck(NodeTest):
    def test_cids(self):
        cids = [s5_format.Cid.of(pattern(size)) for size in SIZES]
        texts = [cid.text(base) for cid in cids for base in "zbf"]
        answers = self.answers(cids=SIZES, decoded=texts)
        for cid, answer in zip(cids, answers["cids"]):
            expected = {"hash": cid.hash.hex(), "hex": cid.text("f")}
            expected |= {"base32": cid.text("b"), "base58": cid.text("z")}
            self.assertEqual(answer, expected)
        read = [{"type": 0x26, "hash": "1f" + cid.hash.hex(), "size": cid.size} for cid in cids]
        self.assertEqual(answers["decoded"], [answer for answer in read for _ in "zbf"])

    def test_registry(self):
        cases, records = [], []
        # libs5 writes numbers by JavaScript's shifts of 32 bits; above them it is wrong.
        for number, revision in enumerate((0, 1, 256, 1_700_000_000, (1 << 31) - 1)):
            seed, data = native.blake3(bytes([number])), pattern(number * 16)
            cases.append({"seed": seed.hex(), "revision": revision, "data": data.hex()})
            signature = native.ed25519_sign(seed, s5_format.registry_message(revision, data))
            public = bytes([s5_format.ED25519]) + native.ed25519_public_key(seed)
            records.append(s5_format.registry_record(public, revision, data, signature))
        tampered = [record[:-1] + bytes([record[-1] ^ 1]) for record in records]
        answers = self.answers(entries=cases, verified=[r.hex() for r in records + tampered])
        self.assertEqual(answers["entries"], [record.hex() for record in records])
        self.assertEqual(answers["verified"], [True] * 5 + [False] * 5)

    def test_cipher_with_chunks_of_both_sizes(self):
        sizes = [0, 1, 16_383, 16_384, 16_385, 100_000, 262_144, 262_145, 600_000]
        cases = [{"key": KEY.hex(), "size": s, "log2": k} for s in sizes for k in (14, 18)]
        stored = [s5_format.encrypt(KEY, pattern(c["size"]), c["log2"]) for c in cases]
        answers = self.answers(sealed=cases)
        self.assertEqual(answers["sealed"], [native.blake3(data).hex() for data in stored])


class ReadBlob(NodeTest):
    """The reader that has nothing but an encrypted CID."""

    def read(self, portal, cid, base="u", token="secret"):
        text = s5_format.multibase_encode(cid.encode(), base)
        env = dict(os.environ, S5_TOKEN=token)
        return node("read_blob.mjs", portal.url, text, env=env)

    def test_reads_and_verifies(self):
        with S5Portal(tokens=["secret"]) as portal:
            for size, log2 in ((0, 14), (13, 14), (100_000, 14), (300_000, 14), (300_000, 18)):
                plain = pattern(size)
                stored = s5_format.encrypt(KEY, plain, log2)
                hash_ = portal.node.blobs.put(stored)
                cid = s5_format.EncryptedCid(log2, hash_, KEY, 0, s5_format.Cid.of(plain))
                result = self.read(portal, cid, "z" if size == 13 else "u")
                self.assertEqual(result.returncode, 0, result.stderr.decode())
                self.assertEqual(result.stdout, plain)
            self.assertNotEqual(self.read(portal, cid, token="other").returncode, 0)
            portal.faults.add("flip", offset=70_000)
            result = self.read(portal, cid)
            self.assertNotEqual(result.returncode, 0)
            self.assertIn(b"other bytes than were asked for", result.stderr)


if __name__ == "__main__":
    unittest.main()
