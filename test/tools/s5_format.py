"""S5's identifiers, registry entries and blob encryption, written from their description alone.

The core has its own; the tests hold the two against each other and against @lumeweb/libs5.
"""

import base64
import dataclasses

import native

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BLAKE3 = 0x1F
RAW = 0x26
BLOB = b"\x5b\x82\x1e"
ENCRYPTED = b"\xae\xa6"
ED25519 = 0xED
REGISTRY = 0x07
TAG_BYTES = 16


class FormatError(ValueError):
    """Not what S5 writes."""


def base58_encode(data):
    number = int.from_bytes(data, "big")
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    zeros = len(data) - len(data.lstrip(b"\0"))
    return BASE58[0] * zeros + text


def base58_decode(text):
    number = 0
    for letter in text:
        digit = BASE58.find(letter)
        if digit < 0:
            raise FormatError("not base58")
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip(BASE58[0]))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


def base64url_encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def base64url_decode(text):
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise FormatError("not base64url") from error


def multibase_encode(data, base="z"):
    """data as text: z base58, b base32, u base64url, f hex."""
    if base == "z":
        return "z" + base58_encode(data)
    if base == "b":
        return "b" + base64.b32encode(data).decode().lower().rstrip("=")
    if base == "u":
        return "u" + base64url_encode(data)
    if base == "f":
        return "f" + data.hex()
    raise FormatError(f"unknown base {base}")


def multibase_decode(text):
    base, rest = text[:1], text[1:]
    try:
        if base == "z":
            return base58_decode(rest)
        if base == "b":
            return base64.b32decode(rest.upper() + "=" * (-len(rest) % 8))
        if base == "u":
            return base64url_decode(rest)
        if base == "f":
            return bytes.fromhex(rest)
    except ValueError as error:
        raise FormatError("not multibase") from error
    raise FormatError("unknown multibase prefix")


def encode_size(size):
    """Little-endian without trailing zeros, but at least one byte."""
    return size.to_bytes(8, "little").rstrip(b"\0") or b"\0"


def decode_size(data):
    if len(data) > 8:
        raise FormatError("size of more than eight bytes")
    return int.from_bytes(data, "little")


@dataclasses.dataclass(frozen=True)
class Cid:
    """Hash and size of a blob. size is None where the identifier has none."""

    hash: bytes
    size: int | None

    @staticmethod
    def of(data):
        return Cid(native.blake3(data), len(data))

    def legacy(self):
        return bytes([RAW, BLAKE3]) + self.hash + encode_size(self.size)

    def blob(self):
        return BLOB + self.hash + encode_size(self.size)

    def text(self, base="z"):
        """The form that portals want and give."""
        return multibase_encode(self.legacy(), base)


def parse_cid(data):
    """A legacy CID or a blob identifier."""
    for prefix in (bytes([RAW, BLAKE3]), BLOB):
        if data.startswith(prefix) and len(data) >= len(prefix) + 32:
            at = len(prefix) + 32
            return Cid(data[len(prefix) : at], decode_size(data[at:]) if len(data) > at else None)
    raise FormatError("not the CID of a blob")


@dataclasses.dataclass(frozen=True)
class EncryptedCid:
    """What is needed to read an encrypted blob: where it is, its key, and what it was."""

    chunk_log2: int
    encrypted_hash: bytes
    key: bytes
    padding: int
    plain: Cid

    def encode(self):
        head = ENCRYPTED + bytes([self.chunk_log2, BLAKE3]) + self.encrypted_hash + self.key
        return head + self.padding.to_bytes(4, "little") + self.plain.legacy()


def parse_encrypted_cid(data):
    if not data.startswith(ENCRYPTED) or len(data) < 72 or data[3] != BLAKE3:
        raise FormatError("not an encrypted CID")
    padding = int.from_bytes(data[68:72], "little")
    return EncryptedCid(data[2], data[4:36], data[36:68], padding, parse_cid(data[72:]))


def encrypt(key, plain, chunk_log2):
    """A blob as stored: chunks of 2^chunk_log2, each sealed under its number. Nothing for nothing."""
    step = 1 << chunk_log2
    starts = enumerate(range(0, len(plain), step))
    return b"".join(
        native.xchacha_seal(key, number.to_bytes(24, "little"), plain[at : at + step])
        for number, at in starts
    )


def decrypt(key, stored, chunk_log2):
    step = (1 << chunk_log2) + TAG_BYTES
    starts = enumerate(range(0, len(stored), step))
    return b"".join(
        native.xchacha_open(key, number.to_bytes(24, "little"), stored[at : at + step])
        for number, at in starts
    )


def registry_message(revision, data):
    """The bytes that a registry entry's signature covers."""
    if len(data) > 255:
        raise FormatError("registry data of more than 255 bytes")
    return bytes([REGISTRY]) + revision.to_bytes(8, "little") + bytes([len(data)]) + data


def registry_record(public, revision, data, signature):
    """An entry as nodes send it; public is ed | 32 bytes."""
    fields = revision.to_bytes(8, "little") + bytes([len(data)]) + data
    return bytes([REGISTRY]) + public + fields + signature
