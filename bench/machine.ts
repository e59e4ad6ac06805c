/** What is known of the machine, and how its cores are given out. */

import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { join } from "node:path";

/** One core for everything that measures; the others are for who is measured. */
export interface Cores {
  readonly load: number;
  /** The last one is used, and more of them by scenarios that run several gateways. */
  readonly gateway: readonly number[];
}

/** What belongs to every figure. */
export interface Machine {
  readonly commit: string;
  /** Whether the checkout differs from the commit. */
  readonly modified: boolean;
  /** Whether its gateway has the poller; else its clients are read by Node. */
  readonly polled: boolean;
  readonly node: string;
  readonly cpu: string;
  readonly kernel: string;
  /** What the peers, and what was compiled here, are of; null for what is not installed. */
  readonly versions: Readonly<Record<string, string | null>>;
  readonly cores: Cores;
}

/** Enough for 10,000 clients through a relay, which needs two descriptors for each. */
const WANTED_DESCRIPTORS = 65_536;

/** The cores in a list such as `0-2,5`. */
function readCores(list: string): number[] {
  return list.split(",").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

function allowedCores(): number[] {
  const list = /^Cpus_allowed_list:\s*(.+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  return readCores(list ?? "0");
}

/** Cores that are one core in truth, and slow each other down. */
function siblingsOf(core: number): number[] {
  const path = `/sys/devices/system/cpu/cpu${core}/topology/thread_siblings_list`;
  return existsSync(path) ? readCores(readFileSync(path, "utf8")) : [core];
}

/**
 * Splits the cores and stays on the load's itself.
 *
 * @throws Error when there are fewer than two, or no `taskset`
 */
export function takeCores(): Cores {
  const [load = 0, ...rest] = allowedCores();
  const siblings = siblingsOf(load);
  const apart = rest.filter((core) => !siblings.includes(core));
  const gateway = apart.length > 0 ? apart : rest;
  if (gateway.length === 0) throw new Error("two cores are needed: one for the gateway, one for the load");
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

/** The first line that a program says of its version. */
function versionOf(name: string, flag: string): string | null {
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` };
  const { stdout, stderr, status } = spawnSync(name, [flag], { encoding: "utf8", env });
  return status === 0 ? (`${stdout}${stderr}`.split("\n")[0] ?? null) : null;
}

export function describeMachine(root: string, cores: Cores): Machine {
  const git = (...args: string[]) => execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim();
  return {
    commit: git("rev-parse", "--short", "HEAD"),
    polled: existsSync(join(root, "build/poller.node")),
    modified: git("status", "--porcelain", "--untracked-files=no") !== "",
    node: process.version,
    cpu: cpus()[0]?.model ?? "unknown",
    kernel: release(),
    versions: {
      nginx: versionOf("nginx", "-v"),
      haproxy: versionOf("haproxy", "-v"),
      gcc: versionOf("gcc", "--version"),
      openssl: versionOf("openssl", "version"),
    },
    cores,
  };
}
