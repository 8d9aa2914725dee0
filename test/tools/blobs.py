"""Where a stand-in portal keeps its blobs: memory, or a directory that outlives it."""

import mmap
import os
import pathlib
import threading

import native


class Blobs:
    """Blobs by hash, in the order in which they came. Thread safe."""

    def __init__(self, directory=None):
        self._lock = threading.Lock()
        self._directory = pathlib.Path(directory) if directory else None
        self._blobs = {}  # hash -> bytes, or a map of the file, or None until that is wanted
        if self._directory:
            self._directory.mkdir(parents=True, exist_ok=True)
            found = [f for f in self._directory.iterdir() if len(f.name) == 64]
            for file in sorted(found, key=lambda f: f.stat().st_mtime_ns):
                self._blobs[bytes.fromhex(file.name)] = None

    def put(self, data):
        """Keeps data; returns its hash."""
        key = native.blake3(data)
        with self._lock:
            if key not in self._blobs:
                if self._directory:
                    path = self._directory / key.hex()
                    half = path.with_suffix(".part")
                    half.write_bytes(data)
                    os.replace(half, path)
                self._blobs[key] = None if self._directory else bytes(data)
        return key

    def get(self, key):
        """The bytes, or something that gives them when sliced: a range of a large blob is to cost no
        more than the range. None where there are none."""
        with self._lock:
            if key in self._blobs and self._blobs[key] is None:
                with open(self._directory / key.hex(), "rb") as file:
                    size = os.fstat(file.fileno()).st_size
                    # Nothing cannot be mapped.
                    mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) if size else b""
                self._blobs[key] = mapped
            return self._blobs.get(key)

    def remove(self, key):
        with self._lock:
            if key in self._blobs:
                del self._blobs[key]
                if self._directory:
                    (self._directory / key.hex()).unlink()

    def hashes(self):
        with self._lock:
            return list(self._blobs)

    def __contains__(self, key):
        with self._lock:
            return key in self._blobs

    def __len__(self):
        with self._lock:
            return len(self._blobs)

    def total_bytes(self):
        return sum(len(self.get(key) or b"") for key in self.hashes())

    def donor(self, key, older):
        """Bytes of another blob: the last one of all, or the one that came just before `key`."""
        keys = self.hashes()
        if older:
            keys = keys[: keys.index(key)] if key in keys else keys
        others = [other for other in keys if other != key]
        return self.get(others[-1])[:] if others else None
