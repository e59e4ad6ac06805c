/** Compiles the programs of bench/c. */

import { execFileSync, spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { join } from "node:path";

const SOURCES = join(import.meta.dirname, "c");
const FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra"];
const SHARED = ["util.c", "frame.c"];

/** Paths of the programs. */
export interface Programs {
  readonly load: string;
  readonly echo: string;
  readonly manager: string;
  readonly gateway: string;
  /** Whether the load speaks TLS. */
  readonly tls: boolean;
}

function compile(
  directory: string,
  name: string,
  sources: readonly string[],
  extra: readonly string[],
): string {
  const program = join(directory, name);
  execFileSync("gcc", [...FLAGS, "-o", program, ...sources, ...SHARED, ...extra], {
    cwd: SOURCES,
    stdio: ["ignore", "inherit", "inherit"],
  });
  return program;
}

function hasOpenssl(): boolean {
  const input = "#include <openssl/ssl.h>\n";
  return spawnSync("gcc", ["-E", "-o", "/dev/null", "-"], { input }).status === 0;
}

/**
 * Compiles the manager alone into `directory`, and gives its path.
 *
 * @throws Error when there is no gcc, or it finds fault
 */
export function buildManager(directory: string): string {
  return compile(directory, "manager", ["manager.c"], []);
}

/**
 * Compiles them into `directory`.
 *
 * @throws Error when there is no gcc, or it finds fault
 */
export function build(directory: string): Programs {
  if (spawnSync("gcc", ["--version"]).status !== 0) throw new Error("gcc is needed to build the load");
  const tls = hasOpenssl();
  const ofLoad = [...globSync("load*.c", { cwd: SOURCES }), "client.c", "hist.c", "sample.c", "tls.c"];
  return {
    load: compile(directory, "load", ofLoad, tls ? ["-DWITH_TLS", "-lssl", "-lcrypto"] : []),
    echo: compile(directory, "echo", ["echo.c"], []),
    manager: buildManager(directory),
    gateway: compile(directory, "gateway", ["gateway.c"], []),
    tls,
  };
}
