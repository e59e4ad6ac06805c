/**
 * Compiles gateway/native, for the Node.js that runs this, with the headers that lie beside it. Runs when the
 * package is installed: without a compiler, or elsewhere than on Linux, the gateway does without, which is said here and
 * is no error.
 *
 * Plain JavaScript: also a Node.js that does not run TypeScript may install the package.
 */

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "..");
const SOURCES = ["poller.c", "binding.c"].map((name) => join(ROOT, "gateway/native", name));
const TARGET = join(ROOT, "build/poller.node");
const FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-fPIC", "-shared"];

/** The headers of this Node.js: beside its program, and where the package `node` has them. */
const INCLUDE = [
  "../include/node",
  `../node_modules/node-linux-${process.arch}/include/node`,
  `../../node-linux-${process.arch}/include/node`,
].map((path) => resolve(dirname(process.execPath), path));

/** @returns {string | undefined} why it was not compiled */
function build() {
  if (process.platform !== "linux") return `the poller is for Linux, and this is ${process.platform}`;
  const headers = INCLUDE.find((path) => existsSync(join(path, "node_api.h")));
  if (headers === undefined) return `the headers of Node.js are not in ${INCLUDE[0]}`;
  mkdirSync(dirname(TARGET), { recursive: true });
  const fresh = `${TARGET}.${process.pid}`;
  // As make has it, it may be followed by options.
  const [compiler = "cc", ...options] = process.env.CC?.split(" ").filter(Boolean) ?? [];
  const given = [...options, ...FLAGS, "-I", headers, "-o", fresh, ...SOURCES];
  const { error, status, stderr } = spawnSync(compiler, given);
  if (error !== undefined) return `${compiler} can't be run (${error.message})`;
  if (status !== 0) return `${compiler} failed:\n${stderr}`;
  if (!existsSync(fresh)) return `${compiler} made nothing`;
  // A gateway that runs has the one before mapped.
  renameSync(fresh, TARGET);
  return undefined;
}

const isRequired = process.argv.includes("--required");
const reason = build();
if (reason !== undefined) {
  const without = existsSync(TARGET)
    ? "the one that is there is kept"
    : "without it clients are read by Node.js, which is slower";
  process.stderr.write(`sidegate: the poller was not compiled: ${reason}\n${without}\n`);
  process.exitCode = isRequired ? 1 : 0;
} else if (isRequired) {
  process.stdout.write(`compiled ${TARGET}\n`);
}
