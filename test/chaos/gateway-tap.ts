/**
 * Listens in on what a gateway hands to its link and hears of acknowledgements, and works out from that alone what a new
 * manager must be told: who is there, and how much of what each client said was never acknowledged
 * (docs/protocol.md, "Nothing lost when the link is cut").
 */

import type { Gateway } from "../../gateway/gateway.ts";
import type { ManagerLink } from "../../gateway/links/manager-link.ts";
import type * as body from "../../proto/bodies.ts";
import { managerOf } from "../helpers/rig.ts";
import type { Faults } from "./faults.ts";

/** A session, as the gateway told it first. */
export interface TappedSession {
  readonly id: number;
  readonly join: body.Join;
  /** Bytes that were handed to a link, those of them that a manager acknowledged, and those that none ever will. */
  handed: number;
  acknowledged: number;
  lost: number;
  /** Its end was handed to a link, or nobody is told of it any more. */
  ended: boolean;
  /** It waits to be announced again; when it ends meanwhile, nobody is told. */
  adrift: boolean;
}

/** What held when an epoch began. */
export interface Beginning {
  /** The sessions that are to be announced again, with what was handed of them and lost by then. */
  readonly sessions: ReadonlyMap<number, { readonly handed: number; readonly lost: number }>;
}

interface HandedFrame {
  readonly session: TappedSession;
  readonly bytes: number;
}

/** A queue is shortened when so many of its first are done with. */
const COMPACT_AFTER = 4096;

export class GatewayTap {
  readonly sessions = new Map<number, TappedSession>();
  /** The epochs, by what the manager said its capacity is: each incarnation of a manager says another. */
  readonly beginnings = new Map<number, Beginning>();
  resumes = 0;
  /** How many of the present manager's numbered frames were handled, and of those of each before, by its capacity. */
  #handled = 0;
  readonly #handledOf = new Map<number, number>();
  #capacity = 0;
  readonly #faults: Faults;
  /** Frames of the epoch that are not acknowledged, from `#first` on, and how many were before that. */
  #frames: HandedFrame[] = [];
  #first = 0;
  #acknowledged = 0;

  constructor(gateway: Gateway, faults: Faults) {
    this.#faults = faults;
    const { link } = managerOf(gateway);
    const original = {
      join: link.join.bind(link),
      disconnected: link.disconnected.bind(link),
      clientMessage: link.clientMessage.bind(link),
      ack: link.ack.bind(link),
      registered: link.registered.bind(link),
    };
    link.join = (session, join) => {
      this.#joined(session, join);
      original.join(session, join);
    };
    link.disconnected = (session, end) => {
      this.#disconnected(session, end);
      original.disconnected(session, end);
    };
    link.clientMessage = (session, bytes, start, end) => {
      this.#said(session, end - start, link.maxPayload);
      original.clientMessage(session, bytes, start, end);
    };
    link.ack = (frames) => {
      this.#release(frames);
      original.ack(frames);
    };
    for (const name of numbered) countCalls(link, name, () => this.#handled++);
    link.registered = (registered) => {
      const live = gateway.sessions.table.slots.filter(({ phase }) => MOVES_ON.includes(phase));
      this.#registered(
        registered,
        live.map(({ session }) => session),
      );
      original.registered(registered);
    };
  }

  /** Frames that wait to be acknowledged. */
  get unacknowledged(): number {
    return this.#frames.length - this.#first;
  }

  /** How many numbered frames were handled of the manager that told this capacity; all there are of one that goes on. */
  handledOf(capacity: number): number {
    return this.#handledOf.get(capacity) ?? Number.POSITIVE_INFINITY;
  }

  #joined(id: number, join: body.Join): void {
    const known = this.sessions.get(id);
    this.#faults.check((known !== undefined) === (join.rejoin === true), "mistold", `join of ${id} twice`);
    const session = known ?? { id, join, handed: 0, acknowledged: 0, lost: 0, ended: false, adrift: false };
    this.#faults.check(!session.ended, "mistold", `session ${id} is announced behind its end`);
    const told = join.lostBytes ?? 0;
    this.#faults.check(
      told === session.lost,
      "miscounted",
      `session ${id} has lost ${session.lost}, not ${told}`,
    );
    session.adrift = false;
    this.sessions.set(id, session);
    this.#frames.push({ session, bytes: 0 });
  }

  #said(id: number, length: number, maxPayload: number): void {
    const session = this.#known(id, "a message");
    if (session === undefined) return;
    session.handed += length;
    let left = length;
    do {
      const bytes = Math.min(left, maxPayload);
      this.#frames.push({ session, bytes });
      left -= bytes;
    } while (left > 0);
  }

  #disconnected(id: number, { inBytes }: body.Disconnected): void {
    const session = this.#known(id, "an end");
    if (session === undefined) return;
    const { handed } = session;
    this.#faults.check(
      inBytes === handed,
      "miscounted",
      `session ${id} said ${handed}, not ${inBytes} bytes`,
    );
    session.ended = true;
    this.#frames.push({ session, bytes: 0 });
  }

  #known(id: number, what: string): TappedSession | undefined {
    const session = this.sessions.get(id);
    if (session !== undefined && !session.ended && !session.adrift) return session;
    this.#faults.add("mistold", `${what} of session ${id}, which is not there`);
    return undefined;
  }

  #registered({ resumed, received, capacity }: body.Registered, live: readonly number[]): void {
    if (resumed) {
      this.resumes++;
      this.#release(received);
      return;
    }
    for (const { session, bytes } of this.#frames.slice(this.#first)) session.lost += bytes;
    this.#frames = [];
    this.#first = 0;
    this.#acknowledged = 0;
    const known = live.map((id) => this.sessions.get(id)).filter((session) => session !== undefined);
    const sessions = new Map(known.map(({ id, handed, lost }) => [id, { handed, lost }]));
    this.#faults.check(!this.beginnings.has(capacity), "mistold", "a manager began anew without need");
    this.beginnings.set(capacity, { sessions });
    this.#handledOf.set(this.#capacity, this.#handled);
    this.#capacity = capacity;
    this.#handled = 0;
    for (const session of this.sessions.values()) {
      if (session.ended) continue;
      session.adrift = sessions.has(session.id);
      session.ended = !session.adrift;
    }
  }

  #release(frames: number): void {
    for (; this.#acknowledged < frames; this.#acknowledged++) {
      const frame = this.#frames[this.#first];
      if (frame === undefined) {
        this.#faults.add("miscounted", `${frames} frames are acknowledged, which never were`);
        return;
      }
      frame.session.acknowledged += frame.bytes;
      this.#first++;
    }
    if (this.#first < COMPACT_AFTER) return;
    this.#frames = this.#frames.slice(this.#first);
    this.#first = 0;
  }
}

/** The phases of a slot in which its session goes on, whatever becomes of its manager. */
const MOVES_ON: readonly string[] = ["inUse", "asking", "adrift"];

/** What a manager says in frames that are numbered. */
const numbered = [
  "message",
  "messageAll",
  "messageMany",
  "messageGroup",
  "messageUser",
  "bind",
  "addToGroup",
  "removeFromGroup",
  "drop",
  "dropDiscard",
  "admit",
  "handoff",
] as const satisfies readonly (keyof ManagerLink)[];

function countCalls<Name extends (typeof numbered)[number]>(
  link: ManagerLink,
  name: Name,
  count: () => void,
): void {
  const original: (...args: never[]) => void = link[name];
  Object.defineProperty(link, name, {
    value(this: ManagerLink, ...args: never[]) {
      count();
      original.apply(this, args);
    },
  });
}
