"""Reads the float32 .npy files that make_data writes."""

import array
import re
import struct


def _open(path):
    file = open(path, "rb")
    file.seek(8)
    header = file.read(struct.unpack("<H", file.read(2))[0]).decode("latin-1")
    match = re.search(r"'<f4', 'fortran_order': False, 'shape': \((\d+), (\d+)\)", header)
    if match is None:
        file.close()
        raise ValueError(f"{path}: not a matrix of float32")
    return file, int(match.group(1)), int(match.group(2))


def shape(path):
    file, rows, dim = _open(path)
    file.close()
    return rows, dim


def rows(path, limit):
    """The first rows as arrays of floats."""
    file, count, dim = _open(path)
    with file:
        return [array.array("f", file.read(4 * dim)) for _ in range(min(count, limit))]


def text(vector):
    """As type vector reads it."""
    return "[" + ",".join(f"{value:.9g}" for value in vector) + "]"
