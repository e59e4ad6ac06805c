/** What the kernel knows of a process, and of this machine's sockets. */

import { readFileSync } from "node:fs";

const PAGE_BYTES = 4096;
/** The kernel counts processor time in steps of this. */
const TICK_MS = 10;

/** Resident memory of a process; 0 when it is gone. */
export function rssMiB(pid: number): number {
  const pages = readKernel(`${pid}/statm`).split(" ")[1];
  return (Number(pages ?? 0) * PAGE_BYTES) / 2 ** 20;
}

/** Memory that the kernel holds for TCP. */
export function socketsMiB(): number {
  const pages = /^TCP:.* mem (\d+)/m.exec(readKernel("net/sockstat"))?.[1];
  return (Number(pages ?? 0) * PAGE_BYTES) / 2 ** 20;
}

/** User and system time of a process. */
export function cpuMs(pid: number): number {
  // The name before it may have blanks and brackets.
  const fields = readKernel(`${pid}/stat`).split(") ").at(-1)?.split(" ") ?? [];
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * TICK_MS;
}

/** A file of the kernel's; empty when what it tells of is gone, which is seen elsewhere. */
function readKernel(file: string): string {
  try {
    return readFileSync(`/proc/${file}`, "utf8");
  } catch {
    return "";
  }
}
