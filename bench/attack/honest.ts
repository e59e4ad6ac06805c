/**
 * Honest clients: spread over all listeners, each from an address that it shares with few others, in ping-pong at
 * the pace of a game. Each waits for its echo before it says more, and checks what it hears.
 */

import { createHistogram, type RecordableHistogram } from "node:perf_hooks";
import { setTimeout } from "node:timers/promises";
import { dial, type Wire } from "./dial.ts";
import { isBroadcast, makeMessage } from "./message.ts";
import { type ListenerName, listenerNames, type Ports } from "./profile.ts";

/** Round trips, milliseconds. */
export interface RoundTrips {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** What honest clients have lost. */
export interface Losses {
  /** Echoes and broadcasts that did not come, or came wrong. */
  readonly messages: number;
  readonly connections: number;
  /** How connections ended that should not have, with how many did. */
  readonly why: Readonly<Record<string, number>>;
}

/** A client says something this often. */
const PACE_MS = 100;
/** Clients have their turns spread over so many steps. */
const STEPS = 20;
/** So many of them are connecting at the same time, at the most. */
const CONNECTING = 25;
const CONNECT_TIMEOUT_MS = 10_000;
const CLIENTS_PER_ADDRESS = 5;
/** What has not come after this long is lost. */
const LOST_AFTER_MS = 15_000;
const LOOK_MS = 20;

/** The address of the client with this number, in a range of its own. */
function addressOf(client: number): string {
  const place = Math.floor(client / CLIENTS_PER_ADDRESS);
  return `127.1.${place >> 8}.${place & 0xff}`;
}

export class HonestClients {
  readonly #ports: Ports;
  readonly #clients: HonestClient[];
  readonly #roundTrips: RecordableHistogram = createHistogram();
  readonly #why: Record<string, number> = {};
  #wrong = 0;
  #lostConnections = 0;
  #broadcastsDue = 0;
  #pacer: NodeJS.Timeout | undefined;
  #step = 0;

  constructor(ports: Ports, count: number) {
    this.#ports = ports;
    this.#clients = Array.from({ length: count }, (_, i) => this.#makeClient(i));
  }

  /**
   * Connects those who are not, and lets all of them talk. No broadcast may be under way.
   *
   * @throws Error when one is not let in
   */
  async connect(): Promise<void> {
    const absent = this.#clients.filter((client) => !client.connected);
    for (let i = 0; i < absent.length; i += CONNECTING)
      await Promise.all(absent.slice(i, i + CONNECTING).map((client) => client.connect()));
    this.#broadcastsDue = 0;
    for (const client of this.#clients) client.broadcasts = 0;
    this.#pacer ??= setInterval(() => this.#talk(), PACE_MS / STEPS);
  }

  /** Forgets what was measured and lost so far. */
  reset(): void {
    this.#roundTrips.reset();
    for (const why of Object.keys(this.#why)) delete this.#why[why];
    this.#wrong = 0;
    this.#lostConnections = 0;
  }

  /** Each of them is to hear one more broadcast. */
  expectBroadcast(): void {
    this.#broadcastsDue++;
  }

  get roundTrips(): RoundTrips {
    const { count, max } = this.#roundTrips;
    const ms = (us: number) => (count === 0 ? Number.NaN : us / 1000);
    const at = (percent: number) => ms(this.#roundTrips.percentile(percent));
    return { count, p50Ms: at(50), p99Ms: at(99), maxMs: ms(max) };
  }

  /** Waits for what is still under way, and says what did not come. */
  async settle(): Promise<Losses> {
    const late = () => this.#clients.filter((client) => client.owed(this.#broadcastsDue) > 0);
    const deadline = performance.now() + LOST_AFTER_MS;
    clearInterval(this.#pacer);
    while (late().length > 0 && performance.now() < deadline) await setTimeout(LOOK_MS);
    this.#pacer = setInterval(() => this.#talk(), PACE_MS / STEPS);
    const owed = this.#clients.reduce((sum, client) => sum + client.owed(this.#broadcastsDue), 0);
    return { messages: this.#wrong + owed, connections: this.#lostConnections, why: { ...this.#why } };
  }

  close(): void {
    clearInterval(this.#pacer);
    for (const client of this.#clients) client.close();
  }

  /** Lets those talk whose turn it is. */
  #talk(): void {
    this.#step = (this.#step + 1) % STEPS;
    for (let i = this.#step; i < this.#clients.length; i += STEPS) this.#clients[i]?.talk();
  }

  #makeClient(number: number): HonestClient {
    const listener = listenerNames[number % listenerNames.length] ?? "stream";
    return new HonestClient(number, listener, this.#ports[listener], {
      answered: (ms) => this.#roundTrips.record(Math.max(1, Math.round(ms * 1000))),
      wrong: () => this.#wrong++,
      lost: (why) => {
        this.#lostConnections++;
        const named = `${listener}: ${why}`;
        this.#why[named] = (this.#why[named] ?? 0) + 1;
      },
    });
  }
}

interface HonestEvents {
  readonly answered: (ms: number) => void;
  readonly wrong: () => void;
  readonly lost: (why: string) => void;
}

class HonestClient {
  /** Broadcasts that it has heard. */
  broadcasts = 0;
  connected = false;
  readonly #number: number;
  readonly #listener: ListenerName;
  readonly #port: number;
  readonly #events: HonestEvents;
  #wire: Wire | undefined;
  #said = 0;
  #saidAt = 0;
  /** What it waits to hear again. */
  #awaited: Buffer | undefined;
  #leaving = false;

  constructor(number: number, listener: ListenerName, port: number, events: HonestEvents) {
    this.#number = number;
    this.#listener = listener;
    this.#port = port;
    this.#events = events;
  }

  connect(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = globalThis.setTimeout(() => {
      reject(new Error(`an honest client was not let in (${this.#listener}): timeout`));
      this.#wire?.close();
    }, CONNECT_TIMEOUT_MS);
    this.#awaited = undefined;
    this.#wire = dial(this.#listener, this.#port, addressOf(this.#number), {
      opened: () => {
        clearTimeout(timer);
        this.connected = true;
        resolve();
      },
      message: (message) => this.#heard(message),
      closed: (why) => {
        clearTimeout(timer);
        if (this.connected && !this.#leaving) this.#events.lost(why);
        this.connected = false;
        reject(new Error(`an honest client was not let in (${this.#listener}): ${why}`));
      },
    });
    return promise;
  }

  talk(): void {
    if (!this.connected || this.#awaited !== undefined) return;
    this.#awaited = makeMessage(this.#number, ++this.#said);
    this.#saidAt = performance.now();
    this.#wire?.send(this.#awaited);
  }

  /** How many messages it has not heard that it should have. */
  owed(broadcasts: number): number {
    return (this.#awaited === undefined ? 0 : 1) + Math.max(0, broadcasts - this.broadcasts);
  }

  close(): void {
    this.#leaving = true;
    this.#wire?.close();
  }

  #heard(message: Buffer): void {
    if (isBroadcast(message)) {
      this.broadcasts++;
    } else if (this.#awaited?.equals(message)) {
      this.#awaited = undefined;
      this.#events.answered(performance.now() - this.#saidAt);
    } else {
      this.#events.wrong();
    }
  }
}
