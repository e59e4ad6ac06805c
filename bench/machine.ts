/** What is known of the machine, and how its cores are given out. */

import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, release } from "node:os";

/** One core for who is measured, one for everything that measures. */
export interface Cores {
  readonly load: number;
  /** One, unless the machine has more and a scenario runs several gateways. */
  readonly gateway: readonly number[];
}

/** What belongs to every figure. */
export interface Machine {
  readonly commit: string;
  /** Whether the checkout differs from the commit. */
  readonly modified: boolean;
  readonly node: string;
  readonly cpu: string;
  readonly kernel: string;
  readonly cores: Cores;
}

/** Enough for 10,000 clients through a relay, which needs two descriptors for each. */
const WANTED_DESCRIPTORS = 65_536;

/** The cores that this process may use, from a list such as `0-2,5`. */
function allowedCores(): number[] {
  const list = /^Cpus_allowed_list:\s*(.+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  return list.split(",").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

/**
 * Splits the cores and stays on the load's itself.
 *
 * @throws Error when there are fewer than two, or no `taskset`
 */
export function takeCores(): Cores {
  const [load, ...gateway] = allowedCores();
  if (load === undefined || gateway.length === 0)
    throw new Error("two cores are needed: one for the gateway, one for the load");
  const pinned = spawnSync("taskset", ["-a", "-c", "-p", String(load), String(process.pid)]);
  if (pinned.status !== 0) throw new Error("`taskset` is needed to give processes cores of their own");
  return { load, gateway };
}

/**
 * How many descriptors a process that is started from here can have. Raises the limit first, where this user may.
 */
export function takeDescriptors(): number {
  const hardLimit = () => {
    const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
    return hard === "unlimited" ? Number.POSITIVE_INFINITY : Number(hard);
  };
  if (hardLimit() < WANTED_DESCRIPTORS) {
    const limit = `--nofile=${WANTED_DESCRIPTORS}:${WANTED_DESCRIPTORS}`;
    spawnSync("prlimit", [`--pid=${process.pid}`, limit]);
  }
  return hardLimit();
}

export function describeMachine(root: string, cores: Cores): Machine {
  const git = (...args: string[]) => execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim();
  return {
    commit: git("rev-parse", "--short", "HEAD"),
    modified: git("status", "--porcelain", "--untracked-files=no") !== "",
    node: process.version,
    cpu: cpus()[0]?.model ?? "unknown",
    kernel: release(),
    cores,
  };
}
