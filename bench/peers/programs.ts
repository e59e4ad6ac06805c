/** Programs of the system that are measured beside. */

import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { Unavailable } from "./peer.ts";

/** Where Debian puts what only root runs, which not every user's PATH has. */
const SYSTEM = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/** @throws Unavailable when it is not installed */
export function findProgram(name: string): string {
  for (const directory of [...(process.env.PATH ?? "").split(delimiter), ...SYSTEM]) {
    const path = join(directory, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this one.
    }
  }
  throw new Unavailable(`${name} is not installed`);
}
