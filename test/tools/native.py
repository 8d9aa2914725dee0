"""BLAKE3, Ed25519 and XChaCha20-Poly1305 for the stand-ins, from C libraries through ctypes.

The standard library has none of the three, and a stand-in that takes chunks of 32 MiB cannot hash
them in Python. BLAKE3 comes from libblake3 or from the C sources that CMakeLists.txt takes, built here
without their assembler; the other two from libsodium. The Node tests in test/store hold all of it
against software that shares no line with either.
"""

import ctypes
import ctypes.util
import functools
import os
import pathlib
import subprocess
import tempfile

from pg import REPO

CACHE = REPO / "build/standins"
SOURCES = ("blake3.c", "blake3_dispatch.c", "blake3_portable.c")
# The portable code alone: about a gigabyte a second, and the same command on every machine.
PORTABLE = [f"-DBLAKE3_NO_{isa}" for isa in ("SSE2", "SSE41", "AVX2", "AVX512")]
HASHER_BYTES = 4096  # a blake3_hasher has about 1,912


class NativeError(RuntimeError):
    """A library is missing, or an operation was refused."""


def build_blake3(target):
    """Compiles BLAKE3's sources into the shared library `target`."""
    folders = sorted(pathlib.Path("/usr/share/cargo/registry").glob("blake3-*/c"))
    if not folders:
        raise NativeError("BLAKE3 not found: install libblake3-dev or librust-blake3-dev")
    command = [os.environ.get("CC", "cc"), "-O2", "-shared", "-fPIC", "-DBLAKE3_USE_NEON=0"]
    command += [*PORTABLE, "-o", str(target), *(str(folders[-1] / name) for name in SOURCES)]
    subprocess.run(command, check=True)


@functools.cache
def blake3_library():
    installed = ctypes.util.find_library("blake3")
    if installed:
        return ctypes.CDLL(installed)
    cached = CACHE / "libblake3.so"
    if cached.exists():
        return ctypes.CDLL(str(cached))
    # Built beside its place and renamed, so that of two processes at once neither loads half a file;
    # or in a folder of its own where the tree is not ours to write (tests run as another user).
    try:
        CACHE.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=CACHE)
    except OSError:
        folder = tempfile.TemporaryDirectory()
    with folder as name:
        built = pathlib.Path(name) / "libblake3.so"
        build_blake3(built)
        library = ctypes.CDLL(str(built))
        if built.parent.parent == CACHE:
            built.replace(cached)
    return library


def blake3(data):
    """The 32 bytes of BLAKE3(data)."""
    return blake3_hash(data, blake3_library().blake3_hasher_init)


def blake3_keyed(key, data):
    """The keyed hash: key has 32 bytes."""
    return blake3_hash(data, blake3_library().blake3_hasher_init_keyed, bytes(key))


def blake3_derive(context, material):
    """BLAKE3's derive_key: 32 bytes of key for that context."""
    init = blake3_library().blake3_hasher_init_derive_key
    return blake3_hash(material, init, context.encode())


def blake3_hash(data, init, *arguments):
    library = blake3_library()
    hasher = ctypes.create_string_buffer(HASHER_BYTES)
    init(hasher, *arguments)
    library.blake3_hasher_update(hasher, bytes(data), ctypes.c_size_t(len(data)))
    out = ctypes.create_string_buffer(32)
    library.blake3_hasher_finalize(hasher, out, ctypes.c_size_t(32))
    return out.raw


@functools.cache
def sodium():
    name = ctypes.util.find_library("sodium")
    if name is None:
        raise NativeError("libsodium not found: install libsodium-dev")
    library = ctypes.CDLL(name)
    if library.sodium_init() < 0:
        raise NativeError("libsodium does not start")
    return library


def ed25519_public_key(seed):
    public, secret = ctypes.create_string_buffer(32), ctypes.create_string_buffer(64)
    sodium().crypto_sign_seed_keypair(public, secret, bytes(seed))
    return public.raw


def ed25519_sign(seed, message):
    """The 64 bytes of the signature that the key of `seed` puts under message."""
    public, secret = ctypes.create_string_buffer(32), ctypes.create_string_buffer(64)
    sodium().crypto_sign_seed_keypair(public, secret, bytes(seed))
    out = ctypes.create_string_buffer(64)
    size = ctypes.c_ulonglong(len(message))
    sodium().crypto_sign_detached(out, None, bytes(message), size, secret)
    return out.raw


def ed25519_verify(public, message, signature):
    if len(public) != 32 or len(signature) != 64:
        return False
    size = ctypes.c_ulonglong(len(message))
    verify = sodium().crypto_sign_verify_detached
    return verify(bytes(signature), bytes(message), size, bytes(public)) == 0


def xchacha_seal(key, nonce, plain):
    """plain encrypted, with its tag of 16 bytes behind it; no associated data."""
    out = ctypes.create_string_buffer(len(plain) + 16)
    size = ctypes.c_ulonglong(len(plain))
    seal = sodium().crypto_aead_xchacha20poly1305_ietf_encrypt
    seal(out, None, bytes(plain), size, None, ctypes.c_ulonglong(0), None, bytes(nonce), bytes(key))
    return out.raw


def xchacha_open(key, nonce, sealed, associated=b""):
    """The plaintext; NativeError where the tag does not fit."""
    if len(sealed) < 16:
        raise NativeError("shorter than a tag")
    out = ctypes.create_string_buffer(max(1, len(sealed) - 16))
    size, more = ctypes.c_ulonglong(len(sealed)), ctypes.c_ulonglong(len(associated))
    unseal = sodium().crypto_aead_xchacha20poly1305_ietf_decrypt
    rest = (bytes(associated), more, bytes(nonce), bytes(key))
    if unseal(out, None, None, bytes(sealed), size, *rest) != 0:
        raise NativeError("authentication failed")
    return out.raw[: len(sealed) - 16]
