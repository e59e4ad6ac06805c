/**
 * The steps of one manager's life, as its gateway sees it: dialled, registered, lost and held, given up, dialled again.
 * Each runs under one lock, so that a shutdown never meets a dial that is under way.
 */

import { setImmediate as turn } from "node:timers/promises";
import { Mutex } from "async-mutex";
import type { Logger } from "pino";
import type { Endpoint, Registered } from "../proto/bodies.ts";
import type { Cancel, Clock } from "./clock.ts";
import type { LinkLoss, ManagerLink } from "./links/manager-link.ts";
import type { Unacknowledged } from "./links/unacknowledged.ts";
import type { Roster } from "./slots/roster.ts";

export interface ManagerLifeLimits {
  /** How long clients are held while there is no link; 0: not at all. */
  readonly holdMs: number;
  /** Clients that are held no longer go to another manager, as far as there is one that takes them. */
  readonly failover: boolean;
  /** How long the manager has to take what is left, at the end. */
  readonly shutdownAckMs: number;
}

/** What a manager's life needs of its gateway's. */
export interface ManagerHost {
  /** The gateway is about to end. */
  readonly draining: boolean;
  /**
   * Opens the listeners that are not open yet.
   *
   * @throws ListenError when one can't be bound
   */
  openListeners(): Promise<readonly Endpoint[]>;
  /** There are more slots than before, or may be. */
  resized(): void;
  /** Clients of this manager's are let in. */
  ready(): void;
  /**
   * Dialling this manager again can't help.
   *
   * @returns whether the gateway ends for it
   */
  hopeless(loss: LinkLoss): boolean;
  /** The manager's sessions, which wait to be announced, wait for others; those that nobody takes still wait. */
  failOver(lost: Roster): void;
  /** What clients said, bytes, that this manager has not acknowledged and nobody is told again. */
  lost(bytes: number): void;
  /** A step has failed. */
  failed(error: unknown): void;
}

export interface ManagerLifeOptions {
  readonly link: ManagerLink;
  readonly roster: Roster;
  readonly host: ManagerHost;
  readonly limits: ManagerLifeLimits;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Sessions announced again in one turn of the event loop. */
const REJOINS_PER_TURN = 500;

export class ManagerLife {
  /** Dialling again can't help, as it was seen last. */
  hopeless = false;

  readonly #options: ManagerLifeOptions;
  readonly #mutex = new Mutex();
  #cancelRedial: Cancel = () => {};
  #cancelHold: Cancel = () => {};
  #ended = false;
  #linkGone: () => void = () => {};
  /** Goes on with what waits for the link to take more. */
  #goOn: () => void = () => {};

  constructor(options: ManagerLifeOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.roster.name;
  }

  get link(): ManagerLink {
    return this.#options.link;
  }

  get roster(): Roster {
    return this.#options.roster;
  }

  /** Dials the manager, unless the gateway is about to end. */
  dial(): void {
    this.#step(() => {
      if (!this.#options.host.draining) this.#options.link.dial();
    });
  }

  /** The manager has taken the gateway on. */
  registered(registered: Registered, unacknowledged: Unacknowledged | undefined): void {
    const { roster, log, host } = this.#options;
    const { id, capacity, resumed } = registered;
    this.hopeless = false;
    this.#cancelHold();
    log.info({ id, capacity, resumed, held: roster.sessionCount }, "registered with the manager");
    roster.resize(capacity);
    host.resized();
    roster.admission = registered.admit === true;
    if (unacknowledged !== undefined) {
      host.lost(sum(unacknowledged.lostBytes));
      roster.orphan(unacknowledged);
    }
    roster.release();
    this.#step(() => this.#letIn());
  }

  /** The link is gone: its clients are held for a while, or end at once, and it is dialled again. */
  lost(loss: LinkLoss): void {
    const { roster, log, limits, host } = this.#options;
    roster.closedFor = "no-manager";
    this.hopeless = loss.final;
    const ends = loss.final && host.hopeless(loss);
    if (host.draining || ends || limits.holdMs === 0) this.#giveUp();
    else if (loss.wasUp) this.#hold();
    this.#linkGone();
    this.#goOn();
    if (host.draining) return;
    // One who answers in the manager's place is not a manager that is away: it wants somebody to look.
    const level = loss.kind === "gateway-refused" ? "error" : "warn";
    const report = { code: loss.code, wasUp: loss.wasUp, held: roster.sessionCount };
    log[level](report, `no link to the manager: ${loss.message}`);
    this.#step(() => this.#redial());
  }

  /** The link takes no more, or does again. */
  congested(congested: boolean): void {
    this.#options.roster.setPaused(congested);
    if (!congested) this.#goOn();
  }

  /** Sessions wait to be announced, which were another manager's. */
  takeOver(): void {
    this.#step(() => this.#announce());
  }

  /** The gateway is about to end: nothing is dialled any more, and nobody is announced. Resolves when no step runs. */
  async quiet(): Promise<void> {
    this.#goOn();
    this.#cancelRedial();
    await this.#mutex.runExclusive(() => {});
    this.#cancelRedial();
    if (!this.#options.link.up) this.#giveUp();
  }

  /** Sends what is left and ends the link. */
  async finish(): Promise<void> {
    const { link, clock, limits } = this.#options;
    this.#cancelRedial();
    if (link.down) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#linkGone = resolve;
    const cancel = clock.after(limits.shutdownAckMs, () => link.abort());
    link.finish();
    await promise;
    cancel();
  }

  /** Ends every client that is still there; nothing happens after it. */
  end(): void {
    this.#giveUp();
    this.#ended = true;
    this.#options.link.abort();
  }

  /** Keeps the clients, unread, for as long as the manager may take to come back. */
  #hold(): void {
    const { roster, limits, clock } = this.#options;
    roster.hold();
    this.#cancelHold();
    this.#cancelHold = clock.after(limits.holdMs, () => this.#abandon());
  }

  /** The manager has not come back in time. */
  #abandon(): void {
    const { link, roster, log } = this.#options;
    const { sessionCount } = roster;
    if (sessionCount > 0) log.warn({ sessions: sessionCount }, "the manager has not come back in time");
    this.#giveUp();
    // One that is being asked to go on where the last link ended could no longer be taken at its word.
    if (!link.down) link.abort();
  }

  /** Nobody waits for the manager any more: its clients go to another, or end. */
  #giveUp(): void {
    const { link, roster, host, limits } = this.#options;
    this.#cancelHold();
    if (!host.draining) {
      const unacknowledged = link.unacknowledged();
      host.lost(sum(unacknowledged.lostBytes));
      if (limits.failover) {
        roster.orphan(unacknowledged);
        host.failOver(roster);
      }
    }
    roster.detach(host.draining ? "shutdown" : "manager-lost");
    link.forget();
  }

  #step(run: () => void | Promise<void>): void {
    this.#mutex.runExclusive(run).catch((error: unknown) => this.#options.host.failed(error));
  }

  async #letIn(): Promise<void> {
    const { link, roster, host, log } = this.#options;
    if (!link.up || host.draining) return;
    const endpoints = await host.openListeners();
    await this.#announce();
    if (!link.up || host.draining) return;
    link.listening(endpoints);
    roster.closedFor = undefined;
    log.info({ endpoints }, "listening");
    host.ready();
  }

  /** Announces the sessions that wait for it to a manager that does not know them, no faster than it takes them. */
  async #announce(): Promise<void> {
    const { link, roster, host } = this.#options;
    while (roster.adriftCount > 0 && link.up && !host.draining) {
      if (link.congested) {
        await this.#relief();
      } else {
        roster.rejoin(REJOINS_PER_TURN);
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

  #redial(): void {
    const { link, clock, host } = this.#options;
    if (host.draining || this.#ended) return;
    this.#cancelRedial = clock.after(link.nextDelay(), () => this.dial());
  }
}

function sum(bytes: ReadonlyMap<number, number>): number {
  return bytes.values().reduce((total, one) => total + one, 0);
}
