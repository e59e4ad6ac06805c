/**
 * What every trial says of itself; the trials are in trials/. A trial has a gateway of its own, with default settings
 * except for those that it is about, on which honest clients say lines while others hurt it as they can.
 */

import type { Ping } from "../../../proto/bodies.ts";
import type { Assault, AssaultResult } from "../attacker.ts";
import type { RoundTrips } from "../honest.ts";

/** The listeners of each gateway by name. */
export const LISTENERS = {
  lines: "tcp://127.0.0.1:0?name=lines&framing=line",
  lengths: "tcp://127.0.0.1:0?name=lengths&framing=u16be",
  web: "ws://127.0.0.1:0?name=web",
} as const;

export type ListenerName = keyof typeof LISTENERS;
export const listenerNames = Object.keys(LISTENERS) as ListenerName[];

/** The ports of the listeners. */
export type Ports = Readonly<Record<ListenerName, number>>;

export interface Trial {
  /** For `--only`. */
  readonly name: string;
  /** What so many clients do, in a few words. */
  readonly title: (clients: number) => string;
  /** With how many clients it is run; `--clients` says otherwise. */
  readonly clients: readonly number[];
  /** Settings that are not the defaults, by flag. */
  readonly settings?: Readonly<Record<string, number>>;
  readonly assault: (ports: Ports, clients: number) => Assault;
  /** So long after the attack the sessions are counted, milliseconds, in this order; default: not at all. */
  readonly heldAfterMs?: readonly number[];
  /** By how much the gateway's memory may grow, MiB; with much more the attack is called off. Default: as it likes. */
  readonly mayGrowMiB?: (clients: number) => number;
  /** What is to be said of it beside what honest clients noticed. */
  readonly says?: (figures: Figures) => string;
  /** What is wrong with it, beside what honest clients noticed. */
  readonly complaints?: (figures: Figures) => readonly string[];
}

/** What the honest clients noticed since the last figures. */
export interface Noticed {
  /** From when a line was due until it was heard. */
  readonly lines: RoundTrips;
  /** From when a newcomer dialled until it heard its line; for who was not served, until it was cut or gave up. */
  readonly joins: RoundTrips;
  /** Lines that are due and not heard yet. */
  readonly waiting: number;
  /** Pieces of lines that nobody has said. */
  readonly wrong: number;
  /** Connections. */
  readonly lost: number;
  /** Newcomers. */
  readonly served: number;
  /** Newcomers that were cut or gave up. */
  readonly missed: number;
  /** The longest pause of the honest clients' own process, which their times have in them. */
  readonly pauseMs: number;
}

/** Sessions that have not ended, as the manager is told, without those of the honest clients. */
export interface Held {
  /** How long after the attack, milliseconds. */
  readonly afterMs: number;
  readonly sessions: number;
}

/** What a trial has shown. */
export interface Figures {
  readonly clients: number;
  readonly assault: AssaultResult;
  readonly quiet: Noticed;
  readonly during: Noticed;
  /** Processor time of the gateway while the attack was on, percent of a core. */
  readonly cpuPercent: number;
  readonly rssBeforeMiB: number;
  readonly rssPeakMiB: number;
  /** Empty messages that the manager was told, which the honest clients never say. */
  readonly empty: number;
  readonly held: readonly Held[];
  /** The gateway's last heartbeat. */
  readonly vitals: Ping | undefined;
}
