/**
 * Runs the attacker: what it is to do goes into a file, the program (attacker.c) is compiled here, and what it
 * achieved comes back as a line of JSON. It gives way to the honest clients, with whom it shares a core.
 */

import { execFileSync, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Processes, Program } from "../processes.ts";
import { setNiceness } from "./niceness.ts";

/** One kind of client that attacks. */
export interface Target {
  /** Without blanks. */
  readonly name: string;
  readonly port: number;
  /** It comes from one of so many loopback addresses, from the first on, in turn. */
  readonly from: string;
  readonly addresses: number;
  /** The kernel's receive buffer; none: as the kernel likes. */
  readonly receiveBufferBytes?: number;
  /** Default true. */
  readonly reads?: boolean;
  /** Sent at once. */
  readonly hello?: Buffer;
  /** It shuts down its sending side behind that; default false. */
  readonly finishes?: boolean;
  /** Sent behind that again and again: `dripBytes` each `everyMs`, or without it as much as is taken. */
  readonly tail?: Buffer;
  readonly everyMs?: number;
  /** Default 1. */
  readonly dripBytes?: number;
  /** After so long it leaves, with a reset; none: it stays until it is cut. */
  readonly holdMs?: number;
  /** It leaves with a FIN instead; default false. */
  readonly closes?: boolean;
}

/** Connections that go to targets in turn. */
export interface Assault {
  /** So many are open at once, at the most. */
  readonly clients: number;
  /** New ones a second; 0: as fast as it goes. */
  readonly rate: number;
  /** So many come in all, and it is over when they are gone; default: without end. */
  readonly total?: number;
  readonly targets: readonly Target[];
}

/** What clients of one kind achieved: connections, and bytes. */
export interface TargetResult {
  readonly name: string;
  readonly started: number;
  readonly connected: number;
  /** Connections that did not come about. */
  readonly failed: number;
  readonly finishedByPeer: number;
  readonly resetByPeer: number;
  /** Connections that the attacker itself gave up. */
  readonly left: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

export interface AssaultResult {
  readonly seconds: number;
  readonly openMost: number;
  readonly targets: readonly TargetResult[];
}

const FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra"];
/** Of two who want the core, an honest client gets nine tenths of it. */
const ATTACKER_NICENESS = 10;

export class Attacker {
  readonly #processes: Processes;
  readonly #core: number;
  readonly #directory: string;
  readonly #program: string;

  /**
   * Compiles the program into `directory`.
   *
   * @throws Error when there is no gcc
   */
  constructor(processes: Processes, core: number, directory: string) {
    this.#processes = processes;
    this.#core = core;
    this.#directory = directory;
    this.#program = join(directory, "attacker");
    if (spawnSync("gcc", ["--version"]).status !== 0) throw new Error("gcc is needed to build the attacker");
    execFileSync("gcc", [...FLAGS, "-o", this.#program, "attacker.c", "spec.c"], {
      cwd: import.meta.dirname,
      stdio: ["ignore", "inherit", "inherit"],
    });
  }

  /** @throws Error when it ends otherwise than by itself */
  run(assault: Assault, seconds: number): Promise<AssaultResult> {
    return this.start(assault, seconds).next<AssaultResult>();
  }

  /** Starts it; it says what it achieved at its end, or when it is asked. */
  start(assault: Assault, seconds: number, niceness = ATTACKER_NICENESS): Program {
    const file = join(this.#directory, "assault");
    writeFileSync(file, describe(assault, seconds));
    const program = this.#processes.start("attacker", this.#core, [this.#program, file]);
    setNiceness(program.pid, niceness);
    return program;
  }
}

/** The lines that spec.c reads. */
function describe({ clients, rate, total = 0, targets }: Assault, seconds: number): string {
  const lines = targets.map((one) =>
    [
      "target",
      one.name,
      one.port,
      one.from,
      one.addresses,
      one.receiveBufferBytes ?? 0,
      (one.reads ?? true) ? "reads" : "deaf",
      one.finishes ? "finishes" : "stays",
      one.holdMs ?? -1,
      one.closes ? "closes" : "resets",
      one.everyMs ?? 0,
      one.dripBytes ?? 1,
      hex(one.hello),
      hex(one.tail),
    ].join(" "),
  );
  return `${[`seconds ${seconds}`, `clients ${clients}`, `rate ${rate}`, `total ${total}`, ...lines].join("\n")}\n`;
}

function hex(bytes: Buffer | undefined): string {
  return bytes === undefined || bytes.length === 0 ? "-" : bytes.toString("hex");
}
