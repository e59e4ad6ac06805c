/**
 * The steps of a gateway's life, one at a time: open the listeners, drain, stop. Each runs under one lock, so that a
 * shutdown never meets listeners that are half open. Each manager has a life of its own (manager-life.ts).
 */

import { Mutex } from "async-mutex";
import type { Logger } from "pino";
import type { Endpoint } from "../proto/bodies.ts";
import { descriptorWarning } from "./descriptors.ts";
import { type Ending, ExitCode } from "./exit-codes.ts";
import type { LinkLoss } from "./links/manager-link.ts";
import type { ManagerHost, ManagerLife } from "./manager-life.ts";
import type { Counters } from "./metrics/counters.ts";
import type { Roster } from "./slots/roster.ts";
import type { Sessions } from "./slots/sessions.ts";
import { ListenError, type Listener } from "./transports/listener.ts";

export interface LifecycleLimits {
  /** How long sessions go on after a drain was asked for. */
  readonly drainMs: number;
  /** How long a manager has to acknowledge the sessions that a shutdown ended. */
  readonly shutdownAckMs: number;
}

export interface LifecycleOptions {
  readonly sessions: Sessions;
  readonly counters: Counters;
  readonly listeners: readonly Listener[];
  readonly limits: LifecycleLimits;
  readonly log: Logger;
  /** Called once, when clients are let in for the first time. */
  readonly ready: () => void;
}

export class Lifecycle implements ManagerHost {
  /** Resolves when the gateway has ended. */
  readonly ended: Promise<Ending>;

  readonly #options: LifecycleOptions;
  readonly #mutex = new Mutex();
  readonly #end: (ending: Ending) => void;
  #managers: readonly ManagerLife[] = [];
  #open: Listener[] = [];
  #ready = false;
  #draining = false;
  #stopped = false;
  /** What was said last about the capacity. */
  #warned: string | undefined;

  constructor(options: LifecycleOptions) {
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<Ending>();
    this.ended = promise;
    this.#end = resolve;
  }

  /** Begins: dials the managers, once it is sure that clients could be listened for. */
  start(managers: readonly ManagerLife[]): void {
    this.#managers = managers;
    this.#step(async () => {
      for (const listener of this.#options.listeners) await listener.tryOut();
      for (const manager of managers) manager.dial();
    });
  }

  /**
   * Ends the gateway in good order: no new clients, `drainMs` for those that are there, then the end of
   * them and of the links. A second call changes nothing.
   *
   * @param drainMs overrides the configured time
   * @param code the exit code that it ends with
   */
  drain(reason: string, drainMs = this.#options.limits.drainMs, code: number = ExitCode.ok): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#options.log.info({ reason, drainMs, sessions: this.#options.sessions.liveCount }, "draining");
    // Their steps may need this lock themselves.
    Promise.all(this.#managers.map((manager) => manager.quiet())).then(() => {
      this.#step(() => this.#drain(reason, drainMs, code));
    });
  }

  // What the lives of its managers need.

  get draining(): boolean {
    return this.#draining;
  }

  openListeners(): Promise<readonly Endpoint[]> {
    return this.#mutex.runExclusive(async () => {
      const { listeners } = this.#options;
      for (const listener of listeners) {
        if (this.#draining || this.#open.includes(listener)) continue;
        await listener.open();
        this.#open.push(listener);
      }
      return listeners.map(({ endpoint }) => endpoint);
    });
  }

  resized(): void {
    const warning = descriptorWarning(this.#options.sessions.table.capacity);
    if (warning === this.#warned) return;
    this.#warned = warning;
    if (warning !== undefined) this.#options.log.warn(warning);
  }

  ready(): void {
    if (!this.#ready) this.#options.ready();
    this.#ready = true;
  }

  hopeless(loss: LinkLoss): boolean {
    if (this.#draining || !this.#managers.every(({ hopeless }) => hopeless)) return false;
    this.#step(() => this.#stop({ code: ExitCode.rejected, message: loss.message }));
    return true;
  }

  failOver(lost: Roster): void {
    const { sessions, log } = this.#options;
    const others = sessions.failOver(lost);
    for (const manager of this.#managers) {
      const taken = others.get(manager.roster);
      if (taken === undefined) continue;
      log.warn({ from: lost.name, to: manager.name, sessions: taken }, "sessions go to another manager");
      manager.takeOver();
    }
  }

  lost(bytes: number): void {
    this.#options.counters.lostBytes += bytes;
  }

  failed(error: unknown): void {
    this.#step(() => this.#fail(error));
  }

  #step(run: () => void | Promise<void>): void {
    this.#mutex.runExclusive(run).catch((error: unknown) => this.#fail(error));
  }

  async #drain(reason: string, drainMs: number, code: number): Promise<void> {
    const { sessions, limits, log } = this.#options;
    await this.#closeListeners();
    sessions.closedFor = "draining";
    this.#tellDraining(reason, drainMs);
    const allGone = () => sessions.table.usedCount === 0;
    await sessions.waitUntil(allGone, drainMs);
    log.info({ sessions: sessions.liveCount }, "ending the sessions that are left");
    sessions.endAll("shutdown");
    await sessions.waitUntil(allGone, limits.shutdownAckMs);
    sessions.cutAll("shutdown");
    await sessions.waitUntil(allGone, limits.shutdownAckMs);
    await this.#stop({ code });
  }

  #tellDraining(reason: string, drainMs: number): void {
    for (const { link } of this.#managers) if (link.up) link.draining({ reason, drainMs });
  }

  async #closeListeners(): Promise<void> {
    await Promise.all(this.#open.map((listener) => listener.close()));
    this.#open = [];
  }

  /** Lets go of everything that is left, in order, and ends. */
  async #stop(ending: Ending): Promise<void> {
    const { sessions, limits } = this.#options;
    if (this.#stopped) return;
    this.#stopped = true;
    this.#draining = true;
    await this.#closeListeners();
    await Promise.all(this.#managers.map((manager) => manager.finish()));
    sessions.closedFor = "draining";
    for (const manager of this.#managers) manager.end();
    sessions.detachAll("shutdown");
    await sessions.waitUntil(() => sessions.connectedCount === 0, limits.shutdownAckMs);
    sessions.stop();
    this.#end(ending);
  }

  async #fail(error: unknown): Promise<void> {
    if (error instanceof ListenError) {
      await this.#closeListeners();
      this.#tellDraining(error.message, 0);
      await this.#stop({ code: ExitCode.listen, message: error.message });
    } else {
      this.#options.log.fatal({ err: error }, "a step of the gateway's life failed");
      this.#end({ code: ExitCode.fault, message: (error as Error).message });
    }
  }
}
