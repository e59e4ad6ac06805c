/**
 * The steps of a gateway's life, one at a time: register, reconnect, drain, stop. Each runs under one lock,
 * so that a shutdown never meets listeners that are half open, nor a dial one that is under way.
 */

import { setImmediate as turn } from "node:timers/promises";
import { Mutex } from "async-mutex";
import type { Logger } from "pino";
import type { Registered } from "../proto/bodies.ts";
import type { Cancel, Clock } from "./clock.ts";
import { descriptorWarning } from "./descriptors.ts";
import { type Ending, ExitCode } from "./exit-codes.ts";
import type { LinkLoss, ManagerLink } from "./links/manager-link.ts";
import type { Sessions } from "./slots/sessions.ts";
import { ListenError, type Listener } from "./transports/listener.ts";

export interface LifecycleLimits {
  /** How long clients are held while there is no link; 0: not at all. */
  readonly holdMs: number;
  /** How long sessions go on after a drain was asked for. */
  readonly drainMs: number;
  /** How long the manager has to acknowledge the sessions that a shutdown ended. */
  readonly shutdownAckMs: number;
}

export interface LifecycleOptions {
  readonly link: ManagerLink;
  readonly sessions: Sessions;
  readonly listeners: readonly Listener[];
  readonly limits: LifecycleLimits;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called once, when clients are let in for the first time. */
  readonly ready: () => void;
}

/** Sessions announced again in one turn of the event loop. */
const REJOINS_PER_TURN = 500;

export class Lifecycle {
  /** Resolves when the gateway has ended. */
  readonly ended: Promise<Ending>;

  readonly #options: LifecycleOptions;
  readonly #mutex = new Mutex();
  readonly #end: (ending: Ending) => void;
  #cancelRedial: Cancel = () => {};
  #cancelHold: Cancel = () => {};
  #open: Listener[] = [];
  #ready = false;
  #draining = false;
  #linkGone: () => void = () => {};
  /** Goes on with what waits for the link to take more. */
  #goOn: () => void = () => {};

  constructor(options: LifecycleOptions) {
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<Ending>();
    this.ended = promise;
    this.#end = resolve;
  }

  /** Begins: dials the manager. */
  start(): void {
    this.#step(() => this.#options.link.dial());
  }

  /** The manager has taken the gateway on. */
  registered(registered: Registered, lostBytes: ReadonlyMap<number, number> | undefined): void {
    const { sessions, log } = this.#options;
    const { id, capacity, resumed } = registered;
    this.#cancelHold();
    log.info({ id, capacity, resumed, held: sessions.connectedCount }, "registered with the manager");
    const warning = descriptorWarning(registered.capacity);
    if (warning !== undefined) log.warn(warning);
    sessions.table.resize(registered.capacity);
    sessions.admission = registered.admit === true;
    if (lostBytes !== undefined) sessions.orphanAll(lostBytes);
    sessions.release();
    this.#step(() => this.#letIn());
  }

  /** The link is gone: its clients are held for a while, or end at once, and it is dialled again. */
  lost(loss: LinkLoss): void {
    const { sessions, log, limits } = this.#options;
    sessions.closedFor = this.#draining ? "draining" : "no-manager";
    if (this.#draining || loss.final || limits.holdMs === 0) this.#letGo();
    else if (loss.wasUp) this.#hold();
    this.#linkGone();
    this.#goOn();
    if (this.#draining) return;
    // One who answers in the manager's place is not a manager that is away: it wants somebody to look.
    const level = loss.kind === "gateway-refused" ? "error" : "warn";
    const report = { code: loss.code, wasUp: loss.wasUp, held: sessions.connectedCount };
    log[level](report, `no link to the manager: ${loss.message}`);
    this.#step(() => this.#redialOrEnd(loss));
  }

  /** The link takes no more, or does again. */
  congested(congested: boolean): void {
    this.#options.sessions.setPaused(congested);
    if (!congested) this.#goOn();
  }

  /** Keeps the clients, unread, for as long as a manager may take to come back. */
  #hold(): void {
    const { sessions, limits, clock } = this.#options;
    sessions.hold();
    this.#cancelHold();
    this.#cancelHold = clock.after(limits.holdMs, () => this.#giveUp());
  }

  /** No manager has come back in time. */
  #giveUp(): void {
    const { link, sessions, log } = this.#options;
    const { connectedCount } = sessions;
    if (connectedCount > 0) log.warn({ sessions: connectedCount }, "no manager came back in time");
    this.#letGo();
    // One that is being asked to go on where the last link ended could no longer be taken at its word.
    if (!link.down) link.abort();
  }

  /** Ends every client: nobody waits for it any more. */
  #letGo(): void {
    const { link, sessions } = this.#options;
    this.#cancelHold();
    sessions.detachAll(this.#draining ? "shutdown" : "manager-lost");
    link.forget();
  }

  /**
   * Ends the gateway in good order: no new clients, `drainMs` for those that are there, then the end of
   * them and of the link. A second call changes nothing.
   *
   * @param drainMs overrides the configured time
   * @param code the exit code that it ends with
   */
  drain(reason: string, drainMs = this.#options.limits.drainMs, code: number = ExitCode.ok): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#goOn();
    this.#options.log.info({ reason, drainMs, sessions: this.#options.sessions.liveCount }, "draining");
    this.#step(() => this.#drain(reason, drainMs, code));
  }

  #step(run: () => void | Promise<void>): void {
    this.#mutex.runExclusive(run).catch((error: unknown) => this.#fail(error));
  }

  async #letIn(): Promise<void> {
    const { link, sessions, listeners, log } = this.#options;
    if (!link.up || this.#draining) return;
    await this.#openListeners();
    await this.#rejoin();
    if (!link.up || this.#draining) return;
    const endpoints = listeners.map((listener) => listener.endpoint);
    link.listening(endpoints);
    sessions.closedFor = undefined;
    log.info({ endpoints }, "listening");
    if (!this.#ready) this.#options.ready();
    this.#ready = true;
  }

  /** Announces the sessions that were held to a manager that does not know them, no faster than it takes them. */
  async #rejoin(): Promise<void> {
    const { link, sessions } = this.#options;
    while (sessions.adriftCount > 0 && link.up && !this.#draining) {
      if (link.congested) {
        await this.#relief();
      } else {
        sessions.rejoin(REJOINS_PER_TURN);
        await turn();
      }
    }
  }

  /** Resolves when the link takes more again, or there is nothing to wait for any more. */
  #relief(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#goOn = resolve;
    return promise;
  }

  async #openListeners(): Promise<void> {
    for (const listener of this.#options.listeners) {
      if (this.#open.includes(listener)) continue;
      await listener.open();
      this.#open.push(listener);
    }
  }

  #redialOrEnd(loss: LinkLoss): void | Promise<void> {
    const { link, clock } = this.#options;
    if (loss.final) return this.#stop({ code: ExitCode.rejected, message: loss.message });
    if (this.#draining) return;
    this.#cancelRedial = clock.after(link.nextDelay(), () => {
      this.#step(() => {
        if (!this.#draining) link.dial();
      });
    });
  }

  async #drain(reason: string, drainMs: number, code: number): Promise<void> {
    const { link, sessions, limits, log } = this.#options;
    this.#cancelRedial();
    await this.#closeListeners();
    if (!link.up) this.#letGo();
    sessions.closedFor = "draining";
    if (link.up) link.draining({ reason, drainMs });
    const allGone = () => sessions.table.usedCount === 0;
    await sessions.waitUntil(allGone, drainMs);
    log.info({ sessions: sessions.liveCount }, "ending the sessions that are left");
    sessions.endAll("shutdown");
    await sessions.waitUntil(allGone, limits.shutdownAckMs);
    sessions.cutAll("shutdown");
    await sessions.waitUntil(allGone, limits.shutdownAckMs);
    await this.#stop({ code });
  }

  async #closeListeners(): Promise<void> {
    await Promise.all(this.#open.map((listener) => listener.close()));
    this.#open = [];
  }

  /** Lets go of everything that is left, in order, and ends. */
  async #stop(ending: Ending): Promise<void> {
    const { link, sessions } = this.#options;
    this.#draining = true;
    this.#cancelRedial();
    await this.#closeListeners();
    await this.#finishLink();
    sessions.closedFor = "draining";
    this.#letGo();
    await sessions.waitUntil(() => sessions.connectedCount === 0, this.#options.limits.shutdownAckMs);
    sessions.stop();
    link.abort();
    this.#end(ending);
  }

  async #finishLink(): Promise<void> {
    const { link, clock, limits } = this.#options;
    if (link.down) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#linkGone = resolve;
    const cancel = clock.after(limits.shutdownAckMs, () => link.abort());
    link.finish();
    await promise;
    cancel();
  }

  async #fail(error: unknown): Promise<void> {
    if (error instanceof ListenError) {
      await this.#stop({ code: ExitCode.listen, message: error.message });
    } else {
      this.#options.log.fatal({ err: error }, "a step of the gateway's life failed");
      this.#end({ code: ExitCode.fault, message: (error as Error).message });
    }
  }
}
