// Reads an encrypted blob from a portal with nothing but its encrypted CID: what anyone could do
// whom the index's owner gave one. Writes the plaintext to standard output; fails where a byte is wrong.
// Usage: [S5_TOKEN=...] read_blob.mjs FOLDER-OF-NODE_MODULES PORTAL ENCRYPTED-CID

import { load } from "./modules.mjs";

const [folder, portal, text] = process.argv.slice(2);
const { blake3, CID, xchacha20poly1305 } = await load(folder);
const equal = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)) === 0;

function decode(spelling) {
  if (spelling[0] === "u") return new Uint8Array(Buffer.from(spelling.slice(1), "base64url"));
  return CID.decodeString(spelling);
}

// ae a6 | log2 of the chunk | 1f hash of what is stored | key | padding | CID of the plaintext
const cid = decode(text);
if (cid[0] !== 0xae || cid[1] !== 0xa6 || cid[3] !== 0x1f) throw new Error("not an encrypted CID");
const step = 2 ** cid[2];
const hash = cid.subarray(3, 36);
const key = cid.subarray(36, 68);
const padding = new DataView(cid.buffer, cid.byteOffset).getUint32(68, true);
const plain = CID.fromBytes(cid.subarray(72));

// The stored size is not in the CID but follows from the plaintext's: a tag for each chunk.
const padded = plain.size + padding;
const chunks = Math.ceil(padded / step);
const address = CID.fromHash(hash, padded + 16 * chunks).toBase58();
const token = process.env.S5_TOKEN;
const headers = token ? { authorization: `Bearer ${token}` } : {};
const response = await fetch(`${portal}/${address}`, { headers });
if (response.status !== 200) throw new Error(`the portal answers ${response.status}`);
const stored = new Uint8Array(await response.arrayBuffer());
if (!equal(blake3(stored), hash.subarray(1))) throw new Error("other bytes than were asked for");

const pieces = [];
for (let number = 0; number < chunks; number++) {
  const nonce = new Uint8Array(24);
  new DataView(nonce.buffer).setBigUint64(0, BigInt(number), true);
  const at = number * (step + 16);
  pieces.push(xchacha20poly1305(key, nonce).decrypt(stored.subarray(at, at + step + 16)));
}
const opened = Buffer.concat(pieces).subarray(0, plain.size);
if (!equal(blake3(opened), plain.hash.hashBytes)) throw new Error("the plaintext is not the one named");
process.stdout.write(opened);
