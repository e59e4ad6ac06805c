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

const ROOT = resolve(import.meta.dirname ?? ".", "..");
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
  const compiler = process.env.CC ?? "cc";
  const { error, status, stderr } = spawnSync(compiler, [...FLAGS, "-I", headers, "-o", fresh, ...SOURCES]);
  if (error !== undefined) return `${compiler} can't be run (${error.message})`;
  if (status !== 0) return `${compiler} failed:\n${stderr}`;
  // A gateway that runs has the one before mapped.
  renameSync(fresh, TARGET);
  return undefined;
}

const reason = build();
if (reason !== undefined) {
  process.stderr.write(`sidegate: no poller, so clients are read by Node.js, which is slower: ${reason}\n`);
  process.exitCode = process.argv.includes("--required") ? 1 : 0;
}
