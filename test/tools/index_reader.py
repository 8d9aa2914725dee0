#!/usr/bin/env python3
"""A reader of vdb indexes, written from docs/format.md alone: it shares no line with the extension.

index_reader.py FILE KEYS < queries

FILE is the relation file of a local index, KEYS a file of master keys. Each line of the input is a
query, numbers separated by commas. One line a row of the index: block, offset, `t` where the row is
dead, where it was found (its list, or -1: among the fresh ones), its vector in hexadecimal, big-endian,
where the index has it, else `-`; then for each query the estimate and its lower bound. Ends with status 1 at
the first thing that is not as the page says.
"""

import math
import struct
import sys

import native

PAGE = 8192
HEADER = 24
PAYLOAD = 8152
SPECIAL = 8176
NONE = 0xFFFFFFFF
META, PARAMETERS, DIRECTORY, OBJECT, TIDS, DELTA, LIST_DEAD = 1, 2, 3, 4, 5, 6, 9
L2, INNER_PRODUCT, COSINE = 1, 2, 3
FRAME = 16384
TAG = 16
TYPED = {70: "I", 85: "f", 84: "e", 72: "b"}


class FormatError(Exception):
    """Not what docs/format.md says."""


def require(condition, what):
    if not condition:
        raise FormatError(what)


def up(number, multiple):
    return -(-number // multiple) * multiple


# Section 1: pages.


class Relation:
    def __init__(self, path):
        with open(path, "rb") as file:
            self._bytes = file.read()

    def page(self, block, kind, segment=0):
        """(payload, next) of a page of that kind."""
        page = self._bytes[block * PAGE : (block + 1) * PAGE]
        require(len(page) == PAGE, f"block {block} is missing")
        following, found_segment, found, flags, reserved, magic = struct.unpack_from("<IIHHHH", page, SPECIAL)
        require(magic == 0x7644 and reserved == 0, f"block {block} is no page of an index")
        require(found == kind, f"block {block} is of kind {found}, not {kind}")
        require(found_segment == segment, f"block {block} is of segment {found_segment}")
        require(flags in (0, 1), f"block {block} has flags {flags}")
        lower = struct.unpack_from("<H", page, 12)[0]
        require(HEADER <= lower <= SPECIAL, f"block {block} has no payload")
        return page[HEADER:lower], following

    def chain(self, block, kind):
        parts = []
        while block != NONE:
            payload, block = self.page(block, kind)
            parts.append(payload)
        return b"".join(parts)

    def extents(self, extents, kind, segment):
        return [
            self.page(block, kind, segment)[0]
            for start, pages in extents
            for block in range(start, start + pages)
        ]


META_FIELDS = "magic version metric element code_bits encrypted store store_vectors mean_unset dim chunk_size " \
    "server lists_option generation tombstone_version uuid wrapped_key parameters directory free_list " \
    "intent next_segment recall_target segment_rows segment_lists mean_lists mean_rows".split()


def read_meta(relation):
    payload, following = relation.page(0, META)
    require(len(payload) == 368 and following == NONE, "the metapage has another size")
    meta = dict(zip(META_FIELDS, struct.unpack_from("<IIBBBBBBHIIIIQQ16s112sIIIIIfQQff", payload)))
    require(struct.calcsize("<IIBBBBBBHIIIIQQ16s112sIIIIIfQQff") == 224, "fields")
    require(meta["magic"] == 0x31626476 and meta["version"] == 2, "another version")
    meta["stripes"] = [struct.unpack_from("<III", payload, 224 + 12 * i) for i in range(4)]
    return meta


SEGMENT = struct.Struct("<IIIIQIIffffffIf")
OBJECT_HEADER = struct.Struct("<32s32sQIIIIIIIIII")


class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        values = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return values


def read_directory(data):
    cursor = Cursor(data)
    count, reserved = cursor.take("<II")
    require(reserved == 0, "the directory's reserved field")
    segments = []
    for _ in range(count):
        header = cursor.take(SEGMENT.format)
        number, n_objects, n_lists, n_slots, n_rows, dead_block, dead_pages = header[:7]
        objects = []
        for _ in range(n_objects):
            entry = cursor.take(OBJECT_HEADER.format)
            extents = [cursor.take("<II") for _ in range(entry[10])]
            tid_extents = [cursor.take("<II") for _ in range(entry[11])]
            objects.append({
                "id": entry[0], "nonce": entry[1], "bytes": entry[2], "first_list": entry[3],
                "lists": entry[4], "first_slot": entry[5], "slots": entry[6], "regions": entry[7:10],
                "extents": extents, "tid_extents": tid_extents,
            })
        rows = cursor.take(f"<{n_lists}I")
        require(sum(rows) == n_rows and sum(up(r, 32) for r in rows) == n_slots, "counts of a segment")
        segments.append({"number": number, "objects": objects, "rows": rows, "dead": (dead_block, dead_pages)})
    require(cursor.at == len(data), "the directory goes on behind its end")
    return segments


# Sections 2 to 4: objects, frames, keys.


def read_master_keys(path):
    keys = {}
    with open(path, encoding="ascii") as file:
        for line in filter(None, map(str.strip, file)):
            name, _, key = line.rpartition(":")
            keys[name] = bytes.fromhex(key)
    return keys


def unwrap(meta, keys):
    version, reserved, key_id, nonce, sealed = struct.unpack("<II32s24s48s", meta["wrapped_key"])
    require((version, reserved) == (1, 0), "a wrapped key of another version")
    master = keys[key_id.rstrip(b"\0").decode("ascii")]
    associated = b"vdb_ext data key" + struct.pack("<I", 1) + meta["uuid"] + key_id
    return native.xchacha_open(master, nonce, sealed, associated)


def read_object(relation, meta, segment, entry, data_key):
    """Its plaintext."""
    size, frames = entry["bytes"], -(-entry["bytes"] // FRAME)
    stored = b"".join(relation.extents(entry["extents"], OBJECT, segment))
    require(len(stored) == size + TAG * frames, "an object of another size")
    require(native.blake3(stored) == entry["id"], "an object's id")
    parts = []
    for number in range(frames):
        frame = stored[number * (FRAME + TAG) : (number + 1) * (FRAME + TAG)]
        if meta["encrypted"]:
            key = native.blake3_derive("vdb_ext format 1 object key", data_key + entry["nonce"])
            parts.append(native.xchacha_open(key, number.to_bytes(24, "little"), frame))
        else:
            key = native.blake3_derive("vdb_ext format 1 object check", entry["nonce"])
            plain, tag = frame[:-TAG], frame[-TAG:]
            require(native.blake3_keyed(key, plain + struct.pack("<Q", number))[:TAG] == tag, "a frame's tag")
            parts.append(plain)
    return b"".join(parts)


# Section 5: documents.


def cbor_item(cursor):
    """An item; a typed array as a tuple."""
    (head,) = cursor.take(">B")
    major, value = head >> 5, head & 31
    require(value < 28, "a length that is not definite")
    if value >= 24:
        form = {24: ">B", 25: ">H", 26: ">I", 27: ">Q"}[value]
        if major == 7:
            return cursor.take({26: ">f", 27: ">d"}[value])[0]
        (value,) = cursor.take(form)
    if major == 0:
        return value
    if major in (2, 3):
        (text,) = cursor.take(f"{value}s")
        return text if major == 2 else text.decode()
    if major == 5:
        return dict([(cbor_item(cursor), cbor_item(cursor)) for _ in range(value)])
    require(major == 6, f"an item of kind {major}")
    item = cbor_item(cursor)
    if value in TYPED:
        form = TYPED[value]
        return struct.unpack(f"<{len(item) // struct.calcsize(form)}{form}", item)
    return item


def document(plain, meta, segment, form):
    cursor = Cursor(plain)
    require(plain[:3] == bytes.fromhex("d9d9f7"), "CBOR's mark")
    found = cbor_item(cursor)
    require(cursor.at == len(plain), "bytes behind a document")
    require((found["format"], found["index"], found["segment"]) == (form, meta["uuid"], segment), "a document")
    shape = (meta["metric"], meta["element"], meta["dim"], up(meta["dim"], 64), meta["code_bits"])
    require(tuple(found[k] for k in ("metric", "element", "dim", "padded_dim", "bits")) == shape, "its shape")
    return found


# Section 6: codes.


def bf16(number):
    return struct.unpack("<f", struct.pack("<I", number << 16))[0]


def bits_of(data, dims):
    return [data[i // 8] >> (i % 8) & 1 for i in range(dims)]


def read_block(block, dims):
    """For each of 32 rows (factors, signs)."""
    signs = [[0] * dims for _ in range(32)]
    for group in range(dims // 4):
        for k, byte in enumerate(block[16 * group : 16 * group + 16]):
            row = k // 2 if k % 2 == 0 else 8 + (k - 1) // 2
            for j in range(4):
                signs[row][4 * group + j] = byte >> j & 1
                signs[row + 16][4 * group + j] = byte >> (4 + j) & 1
    factors = struct.unpack_from("<32f32H32H", block, 4 * dims)
    return [((factors[i], bf16(factors[32 + i]), bf16(factors[64 + i])), signs[i]) for i in range(32)]


PARTS = {7: (4, 2, 1), 6: (4, 2), 5: (4, 1), 4: (4,), 3: (2, 1), 2: (2,), 1: (1,)}


def read_ex_record(record, bits, dims):
    """(factors, extra codes)."""
    if bits <= 5:
        add, rescale, error = struct.unpack_from("<fHH", record)
        factors, at = (add, bf16(rescale), bf16(error)), 8
    else:
        factors, at = struct.unpack_from("<fff", record), 12
    codes = [0] * dims
    for width in PARTS[bits - 1]:
        step = 8 * width
        for first in range(0, dims, 64):
            for j in range(step):
                for k in range(8 // width):
                    part = record[at + j] >> (k * width) & ((1 << width) - 1)
                    codes[first + j + k * step] = codes[first + j + k * step] << width | part
            at += step
    require(at == len(record), "an ex record's size")
    return factors, codes


class Query:
    """A query in the space of section 7."""

    def __init__(self, vector, space):
        self._metric = space.metric
        self.q = space.query(vector)
        self._sum = sum(self.q)
        self._offset = -sum(a * b for a, b in zip(self.q, space.mean)) if space.metric == INNER_PRODUCT else 0.0

    def estimate(self, centroid, factors, code, bits):
        """(estimate, lower bound)."""
        distance_sq = sum((a - b) ** 2 for a, b in zip(self.q, centroid))
        add, rescale, error = factors
        g_add = distance_sq
        if self._metric == INNER_PRODUCT:
            g_add = -sum(a * b for a, b in zip(self.q, centroid))
        product = sum(u * x for u, x in zip(code, self.q))
        value = add + g_add + rescale * (product - (2**bits - 1) / 2 * self._sum) + self._offset
        return value, value - error * math.sqrt(distance_sq)


# Section 7: the space.


class Space:
    def __init__(self, relation, meta):
        self.metric, self.dim, self.padded = meta["metric"], meta["dim"], up(meta["dim"], 64)
        data = relation.chain(meta["parameters"], PARAMETERS)
        words = self.padded // 64 * 4
        require(len(data) == 8 * words + 4 * self.padded, "the parameters' size")
        self._signs = [bits_of(data[8 * words // 4 * r :], self.padded) for r in range(4)]
        self.mean = struct.unpack_from(f"<{self.padded}f", data, 8 * words)

    def rotate(self, vector):
        size = self.padded
        x = list(vector) + [0.0] * (size - len(vector))
        part = 1 << (size.bit_length() - 1)
        for signs, first in zip(self._signs, (0, size - part, 0, size - part)):
            x = [-value if sign else value for value, sign in zip(x, signs)]
            y, half = x[first : first + part], 1
            while half < part:
                for start in range(0, part, 2 * half):
                    for i in range(start, start + half):
                        y[i], y[i + half] = y[i] + y[i + half], y[i] - y[i + half]
                half *= 2
            x[first : first + part] = [value / math.sqrt(part) for value in y]
            if part < size:
                low, high = x[: size // 2], x[size // 2 :]
                x = [(a + b) / math.sqrt(2) for a, b in zip(low, high)]
                x += [(a - b) / math.sqrt(2) for a, b in zip(low, high)]
        return x

    def query(self, vector):
        if self.metric == COSINE:
            length = math.sqrt(sum(value * value for value in vector))
            vector = [value / length for value in vector]
        x = self.rotate(vector)
        return x if self.metric == INNER_PRODUCT else [a - b for a, b in zip(x, self.mean)]


# All together.


def show(tid, dead, place, vector, estimates):
    high, low, offset = tid
    numbers = [f"{number:.9g}" for pair in estimates for number in pair]
    print((high << 16) + low, offset, "t" if dead else "f", place, vector, *numbers)


def read_tids(relation, segment, entry):
    """(tid, dead) of each slot."""
    data = [payload for payload in relation.extents(entry["tid_extents"], TIDS, segment)]
    blocks = [page[at : at + 196] for page in data for at in range(0, len(page), 196)]
    require(len(blocks) * 32 == entry["slots"], "TIDs of another number of slots")
    slots = []
    for block in blocks:
        dead = struct.unpack_from("<I", block, 192)[0]
        slots += [(struct.unpack_from("<HHH", block, 6 * i), dead >> i & 1) for i in range(32)]
    return slots


def read_chunk(plain, meta, segment, entry, tids, centroids, dead_counts, queries):
    dims, bits = up(meta["dim"], 64), meta["code_bits"]
    chunk = document(plain, meta, segment, "vdb_ext chunk")
    require((chunk["first_list"], chunk["lists"]) == (entry["first_list"], entry["lists"]), "lists of a chunk")
    block_bytes, ex_bytes = chunk["block_bytes"], chunk["ex_record_bytes"]
    blocks = sum(up(rows, 32) // 32 for rows in chunk["rows"])
    b_offset = 512 + blocks * block_bytes + 64
    require(entry["regions"][:2] == (512, b_offset), "where regions start")
    require(plain[512:].startswith(chunk["region_a"]), "region A is at 512")
    require(plain[b_offset:].startswith(chunk["region_b"]), "region B is where it should be")
    width = meta["dim"] * (4 if meta["element"] == 1 else 2)
    vectors = chunk.get("region_c")
    form = f">{meta['dim']}{'f' if meta['element'] == 1 else 'e'}"  # as PostgreSQL sends them
    slot = block = row = 0
    for place, rows in enumerate(chunk["rows"], chunk["first_list"]):
        found = sum(dead for _, dead in tids[slot : slot + rows])
        require(found == dead_counts[place], f"dead rows of list {place}")
        for i in range(rows):
            at = (block + i // 32) * block_bytes
            if i % 32 == 0:
                lanes = read_block(chunk["region_a"][at : at + block_bytes], dims)
            factors, code = lanes[i % 32]
            if bits > 1:
                record = chunk["region_b"][row * ex_bytes : (row + 1) * ex_bytes]
                factors, extra = read_ex_record(record, bits, dims)
                code = [(sign << bits - 1) + e for sign, e in zip(code, extra)]
            vector = "-"
            if vectors is not None:
                vector = struct.pack(form, *vectors[row * meta["dim"] : (row + 1) * meta["dim"]]).hex()
                require(len(vector) == 2 * width, "a vector in region C")
            estimates = [query.estimate(centroids[place], factors, code, bits) for query in queries]
            show(*tids[slot + i], place, vector, estimates)
            row += 1
        for tid, dead in tids[slot + rows : slot + up(rows, 32)]:
            require(tid[2] == 0, "an unused slot has a TID")
        slot += up(rows, 32)
        block += up(rows, 32) // 32


def read_segment(relation, meta, segment, data_key, queries):
    number, dims = segment["number"], up(meta["dim"], 64)
    first, pages = segment["dead"]
    dead_pages = relation.extents([(first, pages)], LIST_DEAD, number)
    dead_counts = struct.unpack(f"<{len(segment['rows'])}I", b"".join(dead_pages))
    routing_entry, *chunks = segment["objects"]
    routing = document(
        read_object(relation, meta, number, routing_entry, data_key), meta, number, "vdb_ext routing"
    )
    require(routing["rows"] == segment["rows"], "rows of lists")
    require(routing["chunk_lists"] == tuple(entry["lists"] for entry in chunks), "lists of chunks")
    centroids = [
        [routing["scale"][i] * value for value in routing["centroids"][i * dims : (i + 1) * dims]]
        for i in range(routing["lists"])
    ]
    for entry in chunks:
        plain = read_object(relation, meta, number, entry, data_key)
        tids = read_tids(relation, number, entry)
        read_chunk(plain, meta, number, entry, tids, centroids, dead_counts, queries)


def read_delta(relation, meta, queries):
    dims = up(meta["dim"], 64)
    zero = [0.0] * dims
    for block, _, pages in meta["stripes"]:
        seen = 0
        while block != NONE:
            payload, block = relation.page(block, DELTA)
            rows, reserved, row_bytes = struct.unpack_from("<HHI", payload)
            require(reserved == 0 and row_bytes == 6 + 8 + dims // 8, "rows of the delta")
            for at in range(8, 8 + rows * row_bytes, row_bytes):
                *tid, add, rescale, error = struct.unpack_from("<HHHfHH", payload, at)
                code = bits_of(payload[at + 14 : at + row_bytes], dims)
                factors = (add, bf16(rescale), bf16(error))
                show(tid, False, -1, "-", [query.estimate(zero, factors, code, 1) for query in queries])
            seen += 1
        require(seen == pages, "pages of a stripe")


def main():
    path, keys = sys.argv[1:]
    relation = Relation(path)
    meta = read_meta(relation)
    space = Space(relation, meta)
    queries = [Query([float(x) for x in line.split(",")], space) for line in sys.stdin]
    data_key = unwrap(meta, read_master_keys(keys)) if meta["encrypted"] else None
    if meta["directory"] != NONE:
        for segment in read_directory(relation.chain(meta["directory"], DIRECTORY)):
            read_segment(relation, meta, segment, data_key, queries)
    read_delta(relation, meta, queries)


if __name__ == "__main__":
    try:
        main()
    except (FormatError, native.NativeError, KeyError, struct.error) as error:
        print(f"index_reader: {error!r}", file=sys.stderr)
        sys.exit(1)
