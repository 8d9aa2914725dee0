// The headers with which the npm package aws4 signs the requests on standard input.
// Usage: sign.mjs FOLDER-OF-NODE_MODULES <requests.json >headers.json

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const aws4 = createRequire(join(process.argv[2], "package.json"))("aws4");
const requests = JSON.parse(readFileSync(0, "utf8"));
const signed = requests.map(
  ({ credentials, ...request }) => aws4.sign({ service: "s3", ...request }, credentials).headers,
);
process.stdout.write(JSON.stringify(signed));
