/** The parts of a trial: a manager, a gateway on a core of its own, and the honest clients. */

import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import * as body from "../../../proto/bodies.ts";
import { decodeMap } from "../../../proto/map-body.ts";
import { buildManager } from "../../build.ts";
import type { Cores } from "../../machine.ts";
import type { Processes, Program } from "../../processes.ts";
import { setNiceness } from "../niceness.ts";
import { LISTENERS, listenerNames, type Noticed, type Ports } from "./trial.ts";

const ROOT = join(import.meta.dirname, "../../..");
const FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra"];
const CAPACITY = 10_000;
/** A link on which nothing is heard for three of them is taken for dead. */
const PING_MS = 2000;
/** What measures, and what is measured, is not to wait for whatever else this machine does. */
const FAVOURED_NICENESS = -10;
const LOOK_MS = 20;
/** A gateway that says nothing for so long will not say anything soon. */
const SILENT_MS = 10_000;

/** Which manager is behind the gateway: the one in C, which takes all that comes, or the reference manager. */
export const managerKinds = ["c", "node"] as const;
export type ManagerKind = (typeof managerKinds)[number];

export interface Troupe {
  readonly processes: Processes;
  readonly cores: Cores;
  /** Goes away at the end. */
  readonly directory: string;
  readonly manager: ManagerKind;
  /** The checkout whose gateway it is. */
  readonly gatewayRoot: string;
  readonly nodeFlags: readonly string[];
}

/** How many honest clients there are. */
export const HONEST = 100;

/** What the manager says of itself. */
interface Told {
  /** Empty messages since it started. */
  readonly empty: number;
  /** Sessions that have joined and not left. */
  readonly open: number;
  /** The last heartbeat: of the manager in C its body, in hexadecimal digits. */
  readonly ping?: string;
  readonly vitals?: body.Ping;
}

/** What is known of the gateway. */
export interface Known {
  /** Empty messages that the manager was told: none of the honest clients says any. */
  readonly empty: number;
  /** Sessions that the manager was told of, and not that they have left. */
  readonly open: number;
  readonly vitals: body.Ping | undefined;
}

export class Stage {
  readonly ports: Ports;
  readonly gateway: Program;
  /** With this one the attacker gives way to all of them. */
  readonly attackerNiceness: number;
  readonly #manager: Program;
  readonly #honest: Program;

  private constructor(
    manager: Program,
    gateway: Program,
    honest: Program,
    ports: Ports,
    isFavoured: boolean,
  ) {
    this.#manager = manager;
    this.gateway = gateway;
    this.#honest = honest;
    this.ports = ports;
    this.attackerNiceness = isFavoured ? 0 : -FAVOURED_NICENESS;
  }

  /**
   * Starts all of them, and lets the honest clients talk.
   *
   * @param settings of the gateway, by flag
   */
  static async start(troupe: Troupe, settings: Readonly<Record<string, number>>): Promise<Stage> {
    const { processes, cores, directory } = troupe;
    const socket = join(directory, `neighbours-${Stage.#count++}.sock`);
    const command = managerCommand(troupe);
    const args = ["--listen", socket, "--capacity", String(CAPACITY), "--ping-ms", String(PING_MS)];
    const manager = processes.start("the manager", cores.load, [...command, ...args]);
    await manager.next();
    const core = cores.gateway.at(-1) ?? 0;
    const flags = ["--manager", `unix:${socket}`, ...gatewayFlags(settings)];
    const gateway = processes.start(
      "the gateway",
      core,
      [process.execPath, ...troupe.nodeFlags, join(troupe.gatewayRoot, "gateway/main.ts"), ...flags],
      { cwd: troupe.gatewayRoot, env: cleanEnvironment() },
    );
    const listening = manager.next<{ readonly ports: readonly number[] }>();
    const { ports } = await Promise.race([listening, failure(gateway)]);
    const byName = Object.fromEntries(listenerNames.map((name, i) => [name, ports[i]])) as Ports;
    const liners = [join(directory, "liners"), "--port", String(byName.lines), "--clients", String(HONEST)];
    const honest = processes.start("the honest clients", cores.load, liners);
    const isFavoured = favour(honest, gateway, manager);
    await honest.next();
    return new Stage(manager, gateway, honest, byName, isFavoured);
  }

  static #count = 0;

  /** What the honest clients have noticed since they were last asked. */
  noticed(): Promise<Noticed> {
    return this.#honest.ask<Noticed>();
  }

  /** What is known of the gateway at this moment. */
  async known(): Promise<Known> {
    const { empty, open, ping = "", vitals } = await this.#manager.ask<Told>();
    if (ping === "") return { empty, open, vitals };
    const bytes = Buffer.from(ping, "hex");
    return { empty, open, vitals: body.ping(decodeMap(bytes, 0, bytes.length), "Ping") };
  }

  /** What is known of it, as of a heartbeat that is still to come; without one, of the last that came. */
  async knownNext(): Promise<Known> {
    const deadline = performance.now() + SILENT_MS;
    const first = await this.known();
    let known = first;
    while (known.vitals?.seq === first.vitals?.seq && performance.now() < deadline) {
      await setTimeout(LOOK_MS);
      known = await this.known();
    }
    return known;
  }

  async stop(): Promise<void> {
    await this.#honest.stop();
    await this.gateway.stop();
    await this.#manager.stop();
  }
}

/** Compiles what is in C into the troupe's directory. */
export function prepare({ directory }: Troupe): void {
  buildManager(directory);
  const sources = ["liners.c", "../c/util.c", "../c/hist.c"];
  execFileSync("gcc", [...FLAGS, "-o", join(directory, "liners"), ...sources], {
    cwd: join(import.meta.dirname, ".."),
    stdio: ["ignore", "inherit", "inherit"],
  });
}

function managerCommand({ manager, directory }: Troupe): string[] {
  if (manager === "c") return [join(directory, "manager")];
  return [process.execPath, join(ROOT, "bench/attack/manager.ts")];
}

/** The gateway's flags, beside the manager. */
export function gatewayFlags(settings: Readonly<Record<string, number>>): string[] {
  const flags = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const listen = Object.values(LISTENERS).flatMap((url) => ["--listen", url]);
  return ["--log-level", "error", "--drain-ms", "0", ...listen, ...flags];
}

/** A gateway is to be what its flags say, whatever this shell has set. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("SIDEGATE_")));
}

/** Lets processes go first on their cores, and gives whether this user may say so. */
function favour(...programs: readonly Program[]): boolean {
  try {
    for (const { pid } of programs) setNiceness(pid, FAVOURED_NICENESS);
    return true;
  } catch {
    return false;
  }
}

async function failure(program: Program): Promise<never> {
  throw await program.failure();
}
