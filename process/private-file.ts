/** A file that holds something secret: what is in it, and whether more people can read it than should. */

import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";

/** The bit of a file's mode that lets everybody read it. */
const READABLE_BY_OTHERS = 0o004;

export interface PrivateFile {
  readonly bytes: Buffer;
  /** For the log, when every user of the machine can read the file. */
  readonly warning: string | undefined;
}

/**
 * Reads a file.
 *
 * @throws Error, the system's own, when it can't be read
 */
export function readPrivateFile(path: string): PrivateFile {
  const file = openSync(path, "r");
  try {
    const open = (fstatSync(file).mode & READABLE_BY_OTHERS) !== 0;
    const warning = open ? `${path} can be read by every user of this machine; chmod 600 it` : undefined;
    return { bytes: readFileSync(file), warning };
  } finally {
    closeSync(file);
  }
}

/** A secret out of a file: without the line end that editors and `echo` put behind it. */
export function withoutLineEnd(bytes: Buffer): Buffer {
  const text = bytes.at(-1) === 0x0a ? bytes.subarray(0, -1) : bytes;
  return text.length < bytes.length && text.at(-1) === 0x0d ? text.subarray(0, -1) : text;
}
