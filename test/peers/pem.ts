/** The server's certificate and its key in one file, as HAProxy wants them. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { temporaryDirectory } from "../helpers/rig.ts";
import { readTlsFile } from "../helpers/tls-files.ts";

/** Gives the file's path. It goes with the test. */
export function serverFile(t: TestContext): string {
  const path = join(temporaryDirectory(t), "server.pem");
  writeFileSync(path, Buffer.concat([readTlsFile("server.crt"), readTlsFile("server.key")]));
  return path;
}
