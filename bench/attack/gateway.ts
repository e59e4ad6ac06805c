/** The gateway that is attacked: a process of its own on a core of its own, and what it costs while it is watched. */

import { once } from "node:events";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { type Gateway, ManagerServer } from "../../manager-stub/index.ts";
import type { Processes, Program } from "../processes.ts";
import { cpuMs, rssMiB, socketsMiB } from "./kernel.ts";
import { makeBroadcast } from "./message.ts";
import { CAPACITY, gatewayFlags, type ListenerName, type Ports } from "./profile.ts";

/** Counts by name, of those that have moved. */
export type Moved = Readonly<Record<string, number>>;

/** What a gateway cost, and whom it sent away, from `watch` to `finish`. */
export interface Cost {
  readonly rssBeforeMiB: number;
  readonly rssPeakMiB: number;
  readonly rssAfterMiB: number;
  /** The most that the kernel held for TCP, of all of this machine: what was sent and not read, on both sides. */
  readonly socketsPeakMiB: number;
  /** Processor time, percent of a core, while the attack was on. */
  readonly cpuPercent: number;
  readonly loopMaxMs: number;
  /** Clients' messages a second that were told to the manager. */
  readonly inMsgsPerSecond: number;
  readonly refusals: Moved;
  readonly ends: Moved;
  /** Why the link to the manager was lost, each time that it was. */
  readonly linkLosses: readonly string[];
}

const PING_MS = 1000;
const SAMPLE_MS = 50;
/** How long what an attack has left behind may take to be gone: longer than every timeout of the profile. */
const SETTLE_MS = 20_000;
const START_MS = 20_000;
/** A gateway that says nothing for so long will not say anything any more. */
const SILENT_MS = 60_000;
const ROOT = join(import.meta.dirname, "../..");

export class AttackedGateway {
  readonly manager: ManagerServer;
  readonly program: Program;
  #gateway: Gateway;
  #watch: Watch | undefined;
  readonly #linkLosses: string[] = [];

  private constructor(manager: ManagerServer, program: Program, gateway: Gateway) {
    this.manager = manager;
    this.program = program;
    this.#gateway = gateway;
    manager.on("gatewayUp", (again) => {
      this.#gateway = again;
    });
    manager.on("gatewayDown", (_gateway, code, message) => this.#linkLosses.push(`${code}: ${message}`));
  }

  /**
   * Starts a manager that echoes, in this process, and a gateway of it.
   *
   * @param nodeFlags for the gateway's process, such as `--cpu-prof`
   */
  static async start(
    processes: Processes,
    core: number,
    directory: string,
    nodeFlags: readonly string[],
  ): Promise<AttackedGateway> {
    const manager = new ManagerServer({
      listen: `unix:${join(directory, "manager.sock")}`,
      capacity: CAPACITY,
      pingMs: PING_MS,
    });
    manager.on("message", (session, payload) => manager.send(session, payload));
    const link = await manager.listen();
    const flags = ["--manager", link, "--log-level", "error", "--drain-ms", "0", ...gatewayFlags()];
    const command = [process.execPath, ...nodeFlags, "gateway/main.ts", ...flags];
    const program = processes.start("gateway", core, command, { cwd: ROOT });
    const up = once(manager, "gatewayUp", { signal: AbortSignal.timeout(START_MS) });
    const [gateway] = (await Promise.race([up, failed(program)])) as [Gateway];
    return new AttackedGateway(manager, program, gateway);
  }

  get pid(): number {
    return this.#gateway.pid;
  }

  get ports(): Ports {
    const ports = this.#gateway.endpoints.map(({ name, port }) => [name, port]);
    return Object.fromEntries(ports) as Record<ListenerName, number>;
  }

  get sessions(): number {
    return this.#gateway.sessionCount;
  }

  /** Sends a broadcast to every client, attackers among them. */
  broadcast(): void {
    this.manager.broadcast(makeBroadcast(), this.#gateway.id);
  }

  /** Begins to watch what it costs. */
  async watch(): Promise<void> {
    await this.#heartbeat();
    this.#linkLosses.length = 0;
    this.#watch = new Watch(() => this.#gateway);
  }

  /** The attack is over: what is processor time ends here. */
  attackEnded(): void {
    this.#watch?.attackEnded();
  }

  /** Waits until only the honest clients are left, and says what it cost. */
  async finish(honest: number): Promise<Cost> {
    const deadline = performance.now() + SETTLE_MS;
    const isBusy = () => {
      const { sessions = 0, slots } = this.#gateway.vitals ?? {};
      return sessions > honest || (slots?.starting ?? 0) > 0 || (slots?.stopping ?? 0) > 0;
    };
    do await this.#heartbeat();
    while (isBusy() && performance.now() < deadline);
    if (this.#watch === undefined) throw new Error("it was not watched");
    return { ...this.#watch.finish(), linkLosses: [...this.#linkLosses] };
  }

  async stop(): Promise<void> {
    await this.program.stop();
    await this.manager.close();
  }

  /** Waits for a heartbeat. */
  async #heartbeat(): Promise<void> {
    const last = this.#gateway.vitals;
    const deadline = performance.now() + SILENT_MS;
    while (this.#gateway.vitals === last || this.#gateway.vitals === undefined) {
      if (!this.program.running) throw await this.program.failure();
      if (performance.now() > deadline) throw new Error("the gateway says nothing any more");
      await setTimeout(SAMPLE_MS);
    }
  }
}

async function failed(program: Program): Promise<never> {
  throw await program.failure();
}

/** Samples while an attack is on. */
class Watch {
  readonly #gateway: () => Gateway;
  readonly #pid: number;
  readonly #before: Counts;
  readonly #rssBefore: number;
  readonly #begunAt = performance.now();
  readonly #cpuBefore: number;
  readonly #timer: NodeJS.Timeout;
  #rssPeak: number;
  #socketsPeak = 0;
  #loopMaxMs = 0;
  #cpuPercent = 0;
  #seconds = 0;

  /** @param gateway as its manager knows it at the time of asking */
  constructor(gateway: () => Gateway) {
    this.#gateway = gateway;
    this.#pid = gateway().pid;
    this.#before = countsOf(gateway());
    this.#rssBefore = rssMiB(this.#pid);
    this.#rssPeak = this.#rssBefore;
    this.#cpuBefore = cpuMs(this.#pid);
    const first = gateway().vitals;
    this.#timer = setInterval(() => {
      this.#rssPeak = Math.max(this.#rssPeak, rssMiB(this.#pid));
      this.#socketsPeak = Math.max(this.#socketsPeak, socketsMiB());
      const { vitals } = gateway();
      if (vitals !== first) this.#loopMaxMs = Math.max(this.#loopMaxMs, vitals?.loopMaxMs ?? 0);
    }, SAMPLE_MS);
  }

  attackEnded(): void {
    const elapsedMs = performance.now() - this.#begunAt;
    this.#seconds = elapsedMs / 1000;
    this.#cpuPercent = ((cpuMs(this.#pid) - this.#cpuBefore) / elapsedMs) * 100;
  }

  finish(): Omit<Cost, "linkLosses"> {
    clearInterval(this.#timer);
    const after = countsOf(this.#gateway());
    return {
      rssBeforeMiB: this.#rssBefore,
      rssPeakMiB: this.#rssPeak,
      rssAfterMiB: rssMiB(this.#pid),
      socketsPeakMiB: this.#socketsPeak,
      cpuPercent: this.#cpuPercent,
      loopMaxMs: this.#loopMaxMs,
      inMsgsPerSecond: (after.inMsgs - this.#before.inMsgs) / this.#seconds,
      refusals: difference(this.#before.refusals, after.refusals),
      ends: difference(this.#before.ends, after.ends),
    };
  }
}

interface Counts {
  readonly refusals: Moved;
  readonly ends: Moved;
  readonly inMsgs: number;
}

function countsOf({ vitals }: Gateway): Counts {
  return { refusals: vitals?.refusals ?? {}, ends: vitals?.ends ?? {}, inMsgs: vitals?.inMsgs ?? 0 };
}

function difference(before: Moved, after: Moved): Moved {
  const moved = Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)] as const);
  return Object.fromEntries(moved.filter(([, count]) => count > 0));
}
