#!/usr/bin/env python3
"""Turns a .npy file of binary16 vectors into rows for COPY ... FROM STDIN (FORMAT binary).

npy_copy.py FILE.npy [TEXTS.tsv]    rows (id int, embedding vector), or (id int, text, embedding)
Row i of the vectors belongs to line i of the texts ("id<tab>text"); ids count from 0. Standard
library only, so that a fresh machine can load the data.
"""

import array
import pathlib
import re
import struct
import sys

SIGNATURE = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
TRAILER = struct.pack(">h", -1)


def read_npy(path):
    """Yields the vectors as arrays of floats."""
    with open(path, "rb") as file:
        magic = file.read(8)
        if magic[:8] != b"\x93NUMPY\x01\x00":
            raise ValueError(f"{path}: not a .npy file of format 1.0")
        header = file.read(struct.unpack("<H", file.read(2))[0]).decode("latin-1")
        match = re.search(r"'descr': '<f2', 'fortran_order': False, 'shape': \((\d+), (\d+)\)", header)
        if match is None:
            raise ValueError(f"{path}: not a row-major binary16 matrix: {header.strip()}")
        rows, dim = int(match.group(1)), int(match.group(2))
        layout = struct.Struct(f"<{dim}e")
        for _ in range(rows):
            yield array.array("f", layout.unpack(file.read(layout.size)))


def read_texts(path):
    """The second column of each line."""
    lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    return [line.split("\t", 1)[1] for line in lines]


def field(value):
    return struct.pack(">i", len(value)) + value


def vector_field(vector):
    """The binary form of type vector: dimensions and a zero as int16, then float4s."""
    numbers = array.array("f", vector)
    if sys.byteorder == "little":
        numbers.byteswap()
    return field(struct.pack(">hh", len(numbers), 0) + numbers.tobytes())


def copy_rows(npy, tsv=None):
    """Yields the parts of a binary COPY stream."""
    texts = read_texts(tsv) if tsv else None
    fields = struct.pack(">h", 3 if tsv else 2)
    yield SIGNATURE
    for i, vector in enumerate(read_npy(npy)):
        text = field(texts[i].encode()) if texts else b""
        yield fields + field(struct.pack(">i", i)) + text + vector_field(vector)
    yield TRAILER


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    for part in copy_rows(*sys.argv[1:]):
        sys.stdout.buffer.write(part)
