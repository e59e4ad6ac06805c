/** A certificate that signs itself, made once in a run. */

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Bench } from "../bench.ts";
import { Unavailable } from "./peer.ts";
import { findProgram } from "./programs.ts";

export interface Certificate {
  readonly cert: string;
  readonly key: string;
  /** Both in one file, as HAProxy wants it. */
  readonly both: string;
}

const REQUEST =
  "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost";

/** @throws Unavailable when there is no openssl */
export function certificate({ directory }: Bench): Certificate {
  const files = {
    cert: join(directory, "cert.pem"),
    key: join(directory, "key.pem"),
    both: join(directory, "both.pem"),
  };
  if (existsSync(files.both)) return files;
  const made = spawnSync(findProgram("openssl"), [
    ...REQUEST.split(" "),
    "-keyout",
    files.key,
    "-out",
    files.cert,
  ]);
  if (made.status !== 0) throw new Unavailable(`openssl makes no certificate: ${made.stderr}`);
  writeFileSync(files.both, readFileSync(files.cert, "utf8") + readFileSync(files.key, "utf8"));
  return files;
}
