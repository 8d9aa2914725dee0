// Runs s3rver on a free port of the loopback interface until standard input ends. It checks no
// signature of version 4 and lets anyone in: who may do what is the business of the proxy before it.
// Usage: s3rver.mjs FOLDER-OF-NODE_MODULES DIRECTORY BUCKET

import { createRequire } from "node:module";
import { join } from "node:path";

const [folder, directory, bucket] = process.argv.slice(2);
const require = createRequire(join(folder, "package.json"));

// s3rver scrambles its continuation tokens by DES, which OpenSSL 3 no longer has. Triple DES with one
// key three times is the same cipher, and still there.
const crypto = require("node:crypto");
for (const name of ["createCipheriv", "createDecipheriv"]) {
  const real = crypto[name];
  crypto[name] = (cipher, key, iv) =>
    cipher === "des" ? real("des-ede3-cbc", Buffer.concat([key, key, key]), iv) : real(cipher, key, iv);
}

const S3rver = require("s3rver");
const server = new S3rver({
  address: "127.0.0.1",
  port: 0,
  silent: true,
  directory,
  vhostBuckets: false,
  configureBuckets: [{ name: bucket }],
});
const { port } = await server.run();
console.log(JSON.stringify({ port }));
process.stdin.on("end", () => process.exit(0)).resume();
