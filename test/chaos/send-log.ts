/**
 * What one manager has sent to groups, to users and to all, in order: for those of whom it did not know yet that they were
 * among them.
 */

import { labelOf, partsOf } from "./label.ts";
import type { Names } from "./membership.ts";
import { Kind } from "./record.ts";

export class SendLog {
  readonly #sender: number;
  readonly #labels: number[] = [];
  /** With which of the manager's frames each was sent. */
  readonly #frames: number[] = [];
  /** Where each stands. */
  readonly #places = new Map<number, number>();

  constructor(sender: number) {
    this.#sender = sender;
  }

  get length(): number {
    return this.#labels.length;
  }

  label(kind: number, receiver: number, seq: number): number {
    return labelOf({ sender: this.#sender, kind, receiver, seq });
  }

  /** Gives the label of what is noted. */
  add(kind: number, receiver: number, seq: number, frame: number): number {
    const label = this.label(kind, receiver, seq);
    this.#places.set(label, this.#labels.length);
    this.#labels.push(label);
    this.#frames.push(frame);
    return label;
  }

  /** Whether this stands among the first `length`. */
  isBefore(label: number, length: number): boolean {
    return (this.#places.get(label) ?? length) < length;
  }

  /**
   * What stands among the first `length` and is for all or for one of these names, the latest first.
   *
   * @param frames what was sent with a later one never came
   */
  *before(length: number, names: Names, frames: number): Generator<number> {
    for (let place = length - 1; place >= 0; place--) {
      const label = this.#labels[place] ?? 0;
      if ((this.#frames[place] ?? 0) <= frames && isFor(label, names)) yield label;
    }
  }
}

function isFor(label: number, { groups, user }: Names): boolean {
  const { kind, receiver } = partsOf(label);
  if (kind === Kind.toGroup) return groups.has(receiver);
  return kind === Kind.toAll || receiver === user;
}
