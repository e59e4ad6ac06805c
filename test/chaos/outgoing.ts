/**
 * What one manager has noted of what it did, or was about to: to whom it has sent what, and who was called what, frame by
 * frame. So it is known what each client was to get of it, as far as the gateway has followed.
 */

import type { Session, SessionEnd } from "../../manager-stub/index.ts";
import type { AccountParts } from "./account-parts.ts";
import {
  Membership,
  type Names,
  NO_NAMES,
  namesOf,
  tellNames,
  withGroup,
  withoutGroup,
  withUser,
} from "./membership.ts";
import { Kind } from "./record.ts";
import { SendLog } from "./send-log.ts";
import type { Tenure } from "./tenure.ts";

/** A session as it is sent to. */
interface Recipient {
  /** What it was to get, by label, and with which of the manager's frames. */
  readonly expected: number[];
  readonly frames: number[];
  /** What was in the log of what goes to names when it joined. */
  readonly logged: number;
  /** What it was called, from which frame on; from its join on, first. */
  readonly names: { readonly frame: number; readonly names: Names }[];
  dropped: boolean;
  /** While it is being handed over: what it is to get if it stays. */
  pending: number[] | undefined;
  gone: boolean;
}

type OutgoingParts = Pick<AccountParts, "faults" | "totals" | "names" | "handedData">;

export class Outgoing {
  readonly #number: number;
  readonly #parts: OutgoingParts;
  readonly #handled: () => number;
  /** How many frames it has sent that are numbered, or was about to. */
  #frames = 0;
  readonly #log: SendLog;
  readonly #recipients = new Map<number, Recipient>();
  readonly #membership = new Membership();
  /** Those who are let in and neither dropped nor gone, by session. */
  readonly #present = new Map<number, Recipient>();

  /** @param handled up to which of its frames the gateway has handled them */
  constructor(number: number, parts: OutgoingParts, handled: () => number) {
    this.#number = number;
    this.#parts = parts;
    this.#handled = handled;
    this.#log = new SendLog(number);
  }

  /** A session has joined, called as the manager before has called it; one that is new is called nothing. */
  protected enter(session: Session): void {
    const { names, faults } = this.#parts;
    const { id, rejoined, from, admitted } = session;
    const before = rejoined || from !== undefined ? names.get(from?.session ?? id) : undefined;
    const was = tellNames(before?.() ?? NO_NAMES);
    const is = tellNames(namesOf(session));
    faults.check(was === is, "mistold", `session ${id} was ${was} and is announced as ${is}`);
    const state = { dropped: false, pending: undefined, gone: false };
    const recipient = { expected: [], frames: [], logged: this.#log.length, names: [], ...state };
    this.#recipients.set(id, recipient);
    this.#rename(id, recipient, namesOf(session));
    names.set(id, () => this.#namesAfter(recipient));
    if (admitted) this.#present.set(id, recipient);
  }

  /** A session has ended, or has gone to another manager. */
  protected leave(id: number, { reason }: SessionEnd): void {
    const { faults, totals, handedData } = this.#parts;
    const recipient = this.#recipient(id, "an end");
    if (recipient === undefined) return;
    if (reason === "handoff") {
      totals.handoffs++;
      faults.check(recipient.pending !== undefined, "mistold", `session ${id} was not to be handed over`);
    } else {
      // It is acknowledged, unless it was asked for.
      if (!recipient.dropped) this.#frames++;
      // Who was to be handed over and was not has got the first of this, until it left.
      for (const label of recipient.pending ?? []) this.#expect(recipient, label);
      handedData.delete(id);
    }
    recipient.gone = true;
    this.#forget(id);
  }

  sends(id: number, seq: number): void {
    const recipient = this.#recipient(id, "a record");
    this.#frames++;
    if (recipient !== undefined) this.#expect(recipient, this.#log.label(Kind.toClient, 0, seq));
  }

  sendsAll(seq: number): void {
    this.#sendsNamed(Kind.toAll, 0, seq, this.#present.keys());
  }

  sendsGroup(group: number, seq: number): void {
    this.#sendsNamed(Kind.toGroup, group, seq, this.#membership.group(group));
  }

  sendsUser(user: number, seq: number): void {
    this.#sendsNamed(Kind.toUser, user, seq, this.#membership.user(user));
  }

  sendsMany(sessions: readonly number[], seq: number): void {
    this.#frames++;
    const label = this.#log.label(Kind.toMany, 0, seq);
    for (const id of sessions) {
      const recipient = this.#recipient(id, "a record to many");
      if (recipient !== undefined) this.#expect(recipient, label);
    }
  }

  adds(id: number, group: number): void {
    this.#renames(id, withGroup(this.#membership.of(id), group));
  }

  removes(id: number, group: number): void {
    this.#renames(id, withoutGroup(this.#membership.of(id), group));
  }

  binds(id: number, user: number): void {
    this.#renames(id, withUser(this.#membership.of(id), user));
  }

  admits(id: number): void {
    const recipient = this.#recipient(id, "an admission");
    this.#frames++;
    if (recipient !== undefined) this.#present.set(id, recipient);
  }

  drops(id: number): void {
    const recipient = this.#recipient(id, "a drop");
    this.#frames++;
    if (recipient !== undefined) recipient.dropped = true;
    this.#forget(id);
  }

  handsOver(id: number, data: Buffer): void {
    const recipient = this.#recipient(id, "a handoff");
    this.#frames++;
    this.#parts.handedData.set(id, data);
    if (recipient !== undefined) recipient.pending = [];
  }

  keeps(id: number): void {
    this.#parts.totals.keeps++;
    this.#parts.handedData.delete(id);
    const recipient = this.#recipients.get(id);
    if (recipient === undefined || recipient.gone) return;
    for (const label of recipient.pending ?? []) this.#expect(recipient, label);
    recipient.pending = undefined;
  }

  /**
   * What a session was to be sent, as far as the gateway was told so.
   *
   * @param names what it was called when it was announced to a manager that was gone before it knew of it
   */
  tenure(session: number, names: Names): Tenure {
    const recipient = this.#recipients.get(session);
    const handled = this.#handled();
    const start = recipient?.logged ?? this.#log.length;
    const known = recipient?.names[0]?.names ?? names;
    const { expected = [], frames = [] } = recipient ?? {};
    return {
      sender: this.#number,
      expected: expected.filter((_label, index) => (frames[index] ?? 0) <= handled),
      isEarlier: (label) => this.#log.isBefore(label, start),
      earlier: () => this.#log.before(start, known, handled),
    };
  }

  /** What a session was called at the end, as far as the gateway was told; undefined for one that never joined. */
  namesAfter(session: number): Names | undefined {
    const recipient = this.#recipients.get(session);
    return recipient && this.#namesAfter(recipient);
  }

  /** The gateway can't have handled more than was sent. */
  protected checkHandled(): void {
    const handled = this.#handled();
    const told = `${handled} frames of manager ${this.#number} were handled, and ${this.#frames} sent`;
    this.#parts.faults.check(handled <= this.#frames, "doubled", told);
  }

  #namesAfter({ names }: Recipient): Names {
    const handled = this.#handled();
    return names.findLast(({ frame }) => frame <= handled)?.names ?? NO_NAMES;
  }

  #sendsNamed(kind: number, name: number, seq: number, sessions: Iterable<number>): void {
    this.#frames++;
    const label = this.#log.add(kind, name, seq, this.#frames);
    for (const id of sessions) {
      const recipient = this.#present.get(id);
      if (recipient?.pending !== undefined) recipient.pending.push(label);
      else if (recipient !== undefined) this.#expect(recipient, label);
    }
  }

  #expect({ expected, frames }: Recipient, label: number): void {
    expected.push(label);
    frames.push(this.#frames);
  }

  #renames(id: number, names: Names): void {
    const recipient = this.#recipient(id, "a name");
    this.#frames++;
    this.#parts.totals.renames++;
    if (recipient !== undefined) this.#rename(id, recipient, names);
  }

  #rename(id: number, recipient: Recipient, names: Names): void {
    this.#membership.set(id, names);
    recipient.names.push({ frame: this.#frames, names });
  }

  #forget(id: number): void {
    this.#present.delete(id);
    this.#membership.forget(id);
  }

  #recipient(id: number, what: string): Recipient | undefined {
    const recipient = this.#recipients.get(id);
    if (recipient?.gone === false) return recipient;
    this.#parts.faults.add("mistold", `${what} of session ${id}, which is not there`);
    return undefined;
  }
}
