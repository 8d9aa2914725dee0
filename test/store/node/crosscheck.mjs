// What @lumeweb/libs5, @noble/hashes and @noble/ciphers make of the cases on standard input. The Python
// test compares; nothing here shares a line with test/tools or src.
// Usage: crosscheck.mjs FOLDER-OF-NODE_MODULES <cases.json >answers.json

import { readFileSync } from "node:fs";
import { load } from "./modules.mjs";

const { blake3, CID, KeyPair, registry, xchacha20poly1305 } = await load(process.argv[2]);
const cases = JSON.parse(readFileSync(0, "utf8"));
const bytes = (hex) => new Uint8Array(Buffer.from(hex, "hex"));
const hex = (data) => Buffer.from(data).toString("hex");
const pattern = (size) => Uint8Array.from({ length: size }, (_, i) => i % 251);

function cid(size) {
  const data = pattern(size);
  const hash = blake3(data);
  const made = CID.fromHash(Uint8Array.from([0x1f, ...hash]), size);
  return { hash: hex(hash), hex: made.toHex(), base32: made.toBase32(), base58: made.toBase58() };
}

function decoded(text) {
  const read = CID.decode(text);
  return { type: read.type, hash: hex(read.hash.fullBytes), size: read.size };
}

function entry({ seed, revision, data }) {
  const kp = new KeyPair(bytes(seed));
  return hex(
    registry.serializeRegistryEntry(registry.signRegistryEntry({ kp, revision, data: bytes(data) })),
  );
}

function verified(record) {
  try {
    return registry.verifyRegistryEntry(registry.deserializeRegistryEntry(bytes(record)));
  } catch {
    return false;
  }
}

function sealed({ key, size, log2 }) {
  const plain = pattern(size);
  const step = 2 ** log2;
  const pieces = [];
  for (let at = 0, number = 0; at < size; at += step, number++) {
    const nonce = new Uint8Array(24);
    new DataView(nonce.buffer).setBigUint64(0, BigInt(number), true);
    pieces.push(xchacha20poly1305(bytes(key), nonce).encrypt(plain.subarray(at, at + step)));
  }
  return hex(blake3(Buffer.concat(pieces)));
}

const answers = {
  cids: cases.cids.map(cid),
  decoded: cases.decoded.map(decoded),
  entries: cases.entries.map(entry),
  verified: cases.verified.map(verified),
  sealed: cases.sealed.map(sealed),
};
process.stdout.write(JSON.stringify(answers));
