/**
 * Listens in on what a gateway hands to the link of one manager, and hears of acknowledgements: so it is known what of it a
 * manager has never acknowledged, and how far the gateway has followed what that manager said.
 */

import type { ManagerLink } from "../../gateway/links/manager-link.ts";
import type { ManagerLife } from "../../gateway/manager-life.ts";
import type * as body from "../../proto/bodies.ts";
import type { Faults } from "./faults.ts";

/** What bytes are told as acknowledged or lost of. */
export interface Tally {
  acknowledged: number;
  lost: number;
}

/** Whoever knows the sessions. What has a tally is followed until it is acknowledged. */
export interface LinkListener {
  joined(link: LinkTap, session: number, join: body.Join): Tally | undefined;
  said(link: LinkTap, session: number, bytes: number): Tally | undefined;
  disconnected(link: LinkTap, session: number, end: body.Disconnected): Tally | undefined;
  /** A new epoch begins; what was not acknowledged is counted as lost. */
  began(link: LinkTap): void;
}

interface HandedFrame {
  /** Whose it is; nobody's any more once it is another manager's. */
  tally: Tally;
  readonly bytes: number;
}

/** A queue is shortened when so many of its first are done with. */
const COMPACT_AFTER = 4096;

export class LinkTap {
  /** The manager's name. */
  readonly name: string;
  resumes = 0;
  /** The epoch, by what the manager said its capacity is: each incarnation of a manager says another. */
  capacity = 0;
  /** How many numbered frames of the epoch the gateway has handled. */
  handled = 0;
  /** How many there were of the epochs before, by capacity. */
  readonly handledOf = new Map<number, number>();
  readonly #link: ManagerLink;
  readonly #listener: LinkListener;
  readonly #faults: Faults;
  /** Frames of the epoch that are not acknowledged, from `#first` on, and how many were before that. */
  #frames: HandedFrame[] = [];
  #first = 0;
  #acknowledged = 0;

  constructor({ name, link }: ManagerLife, listener: LinkListener, faults: Faults) {
    this.name = name;
    this.#link = link;
    this.#listener = listener;
    this.#faults = faults;
    before(link, "join", (session, join) => this.#push(listener.joined(this, session, join), 0));
    before(link, "disconnected", (session, end) => this.#push(listener.disconnected(this, session, end), 0));
    before(link, "clientMessage", (session, _bytes, start, end) => this.#said(session, end - start));
    before(link, "bindRefused", () => this.#push(NOBODY, 0));
    before(link, "handoffRefused", () => this.#push(NOBODY, 0));
    before(link, "ack", (frames) => this.#release(frames));
    before(link, "registered", (registered) => this.#registered(registered));
    for (const name of numbered) before(link, name, () => this.handled++);
  }

  /** Frames that wait to be acknowledged. */
  get unacknowledged(): number {
    return this.#frames.length - this.#first;
  }

  /**
   * What is behind so many frames is another manager's.
   *
   * @returns how much that was of this one, bytes
   */
  takeBack(tally: Tally, frames: number): number {
    let taken = 0;
    for (const frame of this.#frames.slice(this.#first + Math.max(0, frames - this.#acknowledged))) {
      if (frame.tally !== tally) continue;
      frame.tally = NOBODY;
      taken += frame.bytes;
    }
    return taken;
  }

  #said(session: number, length: number): void {
    // While there is no link no client is read.
    this.#faults.check(this.#link.up, "miscounted", `session ${session} was read while there was no link`);
    const tally = this.#listener.said(this, session, length);
    let left = length;
    do {
      const bytes = Math.min(left, this.#link.maxPayload);
      this.#push(tally, bytes);
      left -= bytes;
    } while (left > 0);
  }

  #push(tally: Tally | undefined, bytes: number): void {
    if (tally !== undefined) this.#frames.push({ tally, bytes });
  }

  #registered({ resumed, received, capacity }: body.Registered): void {
    if (resumed) {
      this.resumes++;
      this.#release(received);
      return;
    }
    for (const { tally, bytes } of this.#frames.slice(this.#first)) tally.lost += bytes;
    this.#frames = [];
    this.#first = 0;
    this.#acknowledged = 0;
    this.handledOf.set(this.capacity, this.handled);
    this.capacity = capacity;
    this.handled = 0;
    this.#listener.began(this);
  }

  #release(frames: number): void {
    for (; this.#acknowledged < frames; this.#acknowledged++) {
      const frame = this.#frames[this.#first];
      if (frame === undefined) {
        this.#faults.add("miscounted", `${frames} frames are acknowledged, which never were`);
        return;
      }
      frame.tally.acknowledged += frame.bytes;
      this.#first++;
    }
    if (this.#first < COMPACT_AFTER) return;
    this.#frames = this.#frames.slice(this.#first);
    this.#first = 0;
  }
}

/** Of frames that carry nothing of a client's. */
const NOBODY: Tally = { acknowledged: 0, lost: 0 };

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

/** The methods of a link. */
type Method = {
  [Name in keyof ManagerLink]: ManagerLink[Name] extends (...args: never[]) => unknown ? Name : never;
}[keyof ManagerLink];

/** Has `tell` hear of each call of a link's method before the method does. */
function before<Name extends Method>(
  link: ManagerLink,
  name: Name,
  tell: (...args: Parameters<ManagerLink[Name]>) => void,
): void {
  const original = link[name] as (...args: Parameters<ManagerLink[Name]>) => unknown;
  Object.defineProperty(link, name, {
    configurable: true,
    value(this: ManagerLink, ...args: Parameters<ManagerLink[Name]>) {
      tell(...args);
      return original.apply(this, args);
    },
  });
}
