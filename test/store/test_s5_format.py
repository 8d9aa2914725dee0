"""Every vector of test/golden/s5/vectors.json: CIDs, the blob cipher, registry entries."""

import unittest

from support import VECTORS, pattern

import native
import s5_format

PLAIN = {"empty": b"", "Hello, world!": b"Hello, world!", "1 byte 0x00": b"\0"}
CHUNK = 1 << 18


def plain_of(vector):
    return PLAIN.get(vector["label"], pattern(size_in(vector)))


def size_in(vector):
    """From the label where the vector does not say it."""
    first = vector["label"].split()[0]
    return vector.get("size", int(first) if first.isdigit() else 0)


class CidVectors(unittest.TestCase):
    def test_hash_and_every_spelling(self):
        bases = {"hex": "f", "base32": "b", "base58": "z", "base64url": "u"}
        for vector in VECTORS["cids"]:
            cid = s5_format.Cid.of(plain_of(vector))
            self.assertEqual(cid.hash.hex(), vector["blake3"])
            self.assertEqual(cid.size, vector["size"])
            for form, data in (("legacy", cid.legacy()), ("blob", cid.blob())):
                for name, base in bases.items():
                    with self.subTest(label=vector["label"], form=form, base=name):
                        text = vector[form][name]
                        self.assertEqual(s5_format.multibase_encode(data, base), text)
                        decoded = s5_format.multibase_decode(text)
                        self.assertEqual(s5_format.parse_cid(decoded), cid)

    def test_sizes_of_no_to_eight_bytes(self):
        head = s5_format.Cid.of(b"").legacy()[:34]
        self.assertIsNone(s5_format.parse_cid(head).size)
        for length in range(1, 9):
            size = 0xA5 << (8 * (length - 1))
            cid = s5_format.parse_cid(head + size.to_bytes(8, "little")[:length])
            self.assertEqual(cid.size, size)
            self.assertEqual(cid.legacy(), head + s5_format.encode_size(size))
        with self.assertRaises(s5_format.FormatError):
            s5_format.parse_cid(head + bytes(9))

    def test_refuses_what_is_no_cid(self):
        for text in ("", "z", "zz0", "q00", "u*", "f26", "f261f", "f271f" + "00" * 33, "b8"):
            with self.subTest(text=text), self.assertRaises(s5_format.FormatError):
                s5_format.parse_cid(s5_format.multibase_decode(text))


class CipherVectors(unittest.TestCase):
    key = bytes(range(32))

    def vectors(self, name):
        return [v for v in VECTORS["encryption"] if v["enc"].startswith(name)]

    def test_chunks_without_padding(self):
        for vector in self.vectors("chunked"):
            with self.subTest(label=vector["label"]):
                self.assertEqual(bytes.fromhex(vector["key"]), self.key)
                plain = plain_of(vector)
                stored = s5_format.encrypt(self.key, plain, 18)
                self.assertEqual(len(stored), vector["ct_size"])
                self.assertEqual(native.blake3(stored).hex(), vector["ct_blake3"])
                self.assertEqual(stored[-16:].hex(), vector["last_tag"])
                if "ct" in vector:
                    self.assertEqual(stored.hex(), vector["ct"])
                first = stored[: CHUNK + 16]
                self.assertEqual(first[-16:].hex(), vector["first_tag"])
                self.assertEqual(s5_format.decrypt(self.key, stored, 18), plain)

    def test_padded_blobs_and_their_cids(self):
        for vector in self.vectors("uploadBlobEncrypted"):
            with self.subTest(label=vector["label"]):
                data = bytes.fromhex(vector["encryptedCID_hex"])
                cid = s5_format.parse_encrypted_cid(data)
                plain = plain_of(vector)
                self.assertEqual(cid.encode(), data)
                self.assertEqual(s5_format.multibase_encode(data, "u"), vector["encryptedCID_u"])
                self.assertEqual(cid.plain, s5_format.Cid.of(plain))
                self.assertEqual(cid.plain.hash.hex(), vector["plain_blake3"])
                self.assertEqual((cid.chunk_log2, cid.padding), (18, vector["padding"]))
                # S5.js puts the padding behind the last chunk even where that is full: then the
                # chunk is too long for its own reader, which the vectors tell.
                pieces = [plain[at : at + CHUNK] for at in range(0, len(plain), CHUNK)]
                pieces[-1] += bytes(cid.padding)
                self.assertEqual(
                    "ok" if len(pieces[-1]) <= CHUNK else "FAILS: invalid tag",
                    vector["s5js_own_decrypt"],
                )
                stored = b"".join(
                    native.xchacha_seal(cid.key, number.to_bytes(24, "little"), piece)
                    for number, piece in enumerate(pieces)
                )
                self.assertEqual(len(stored), vector["ct_size"])
                self.assertEqual(native.blake3(stored), cid.encrypted_hash)
                self.assertEqual(cid.encrypted_hash.hex(), vector["ct_blake3"])

    def test_mutable_blob(self):
        vector = VECTORS["mutable"]
        plain = vector["back"].encode()
        head = b"\x8d\x01" + bytes.fromhex(vector["nonce"])
        plain = len(plain).to_bytes(4, "little") + plain
        plain += bytes(vector["total"] - len(head) - len(plain) - 16)
        sealed = native.xchacha_seal(bytes.fromhex(vector["key"]), head[2:], plain)
        self.assertEqual((head + sealed)[:64].hex(), vector["head"])
        self.assertEqual(sealed[-16:].hex(), vector["tag"])
        self.assertEqual(native.blake3(head + sealed).hex(), vector["blake3"])

    def test_small_chunks_and_every_tampering(self):
        plain = pattern(3 * (1 << 14) + 5)
        stored = s5_format.encrypt(self.key, plain, 14)
        self.assertEqual(len(stored), len(plain) + 4 * 16)
        self.assertEqual(s5_format.decrypt(self.key, stored, 14), plain)
        frame = (1 << 14) + 16
        swapped = stored[frame : 2 * frame] + stored[:frame] + stored[2 * frame :]
        flipped = bytes([stored[0] ^ 1]) + stored[1:]
        for damaged in (swapped, flipped, stored[:-1]):
            with self.assertRaises(native.NativeError):
                s5_format.decrypt(self.key, damaged, 14)
        # Cut between chunks: only hash or size tells.
        self.assertEqual(s5_format.decrypt(self.key, stored[:frame], 14), plain[: 1 << 14])


class RegistryVectors(unittest.TestCase):
    seed = bytes(32)

    def test_signature(self):
        words = VECTORS["registry"][0].split()
        message = s5_format.registry_message(1, bytes(33))
        signature = native.ed25519_sign(self.seed, message)
        self.assertEqual(signature.hex(), words[-2])
        public = native.ed25519_public_key(self.seed)
        self.assertTrue(native.ed25519_verify(public, message, signature))
        self.assertFalse(native.ed25519_verify(public, message + b"\0", signature))
        self.assertFalse(native.ed25519_verify(public, message, signature[:-1]))

    def test_record(self):
        record = bytes.fromhex(VECTORS["registry"][1].split()[-1])
        data, revision = record[43:76], int.from_bytes(record[34:42], "little")
        signature = native.ed25519_sign(self.seed, s5_format.registry_message(revision, data))
        public = bytes([s5_format.ED25519]) + native.ed25519_public_key(self.seed)
        self.assertEqual(s5_format.registry_record(public, revision, data, signature), record)


if __name__ == "__main__":
    unittest.main()
