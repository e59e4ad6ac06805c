/** The certificates in test/fixtures/tls. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./process.ts";

/** The path of one of them, such as `server.crt`. */
export function tlsFile(name: string): string {
  return join(ROOT, "test/fixtures/tls", name);
}

export function readTlsFile(name: string): Buffer {
  return readFileSync(tlsFile(name));
}

/** What a listener needs of them, as URL parameters. */
export const TLS_PARAMETERS = `cert=${tlsFile("server.crt")}&key=${tlsFile("server.key")}`;
