// The packages of test/store/node/s5, loaded from the folder that holds their node_modules.

import { join } from "node:path";
import { pathToFileURL } from "node:url";

export async function load(folder) {
  const from = (file) => import(pathToFileURL(join(folder, "node_modules", file)).href);
  const [hashes, ciphers, cid, keys, registry] = await Promise.all([
    from("@noble/hashes/blake3.js"),
    from("@noble/ciphers/chacha.js"),
    from("@lumeweb/libs5/lib/cid.js"),
    from("@lumeweb/libs5/lib/ed25519.js"),
    from("@lumeweb/libs5/lib/service/registry.js"),
  ]);
  return {
    blake3: hashes.blake3,
    xchacha20poly1305: ciphers.xchacha20poly1305,
    CID: cid.default,
    KeyPair: keys.default,
    registry,
  };
}
