/**
 * A manager as docs/protocol.md wants it, and no more: it knows what its wire told it, acknowledges what it has to, and may
 * say its few words to any session that it takes for live, whatever it has said before.
 */

import assert from "node:assert/strict";
import type { EndCause } from "../../gateway/slots/slot.ts";

/** A word that a manager may say once. */
export type Word = "send" | "drop" | "discard" | "admit" | `handoff to ${string}`;

/** A frame for it. */
export type Told =
  | { readonly kind: "join"; readonly session: number; readonly asks: boolean }
  | { readonly kind: "message"; readonly session: number; readonly text: string }
  | { readonly kind: "end"; readonly session: number; readonly cause: EndCause }
  | { readonly kind: "refused"; readonly session: number };

/** A frame of its own. */
export interface Said {
  readonly word: Word;
  readonly session: number;
  readonly text: string;
}

export type Choice = "hear" | Pick<Said, "word" | "session">;

interface Known {
  readonly heard: string[];
  asks: boolean;
  dropped: boolean;
  ended: boolean;
}

export class CrossingManager {
  readonly name: string;
  /** What it was told and has not heard yet, and what it has said that is not read yet. */
  readonly toHear: Told[] = [];
  readonly toRead: Said[] = [];
  readonly #left: Word[];
  readonly #known = new Map<number, Known>();
  #texts = 0;

  /** @param words each may be said once */
  constructor(name: string, words: readonly Word[]) {
    this.name = name;
    this.#left = [...words];
  }

  /** What it can do: hear what it was told next, or say one of its words, if it has any left. */
  choices(): Choice[] {
    const choices: Choice[] = this.toHear.length > 0 ? ["hear"] : [];
    for (const word of new Set(this.#left)) {
      for (const [session, { ended, asks }] of this.#known) {
        if (!ended && (word !== "admit" || asks)) choices.push({ word, session });
      }
    }
    return choices;
  }

  choose(choice: Choice): void {
    if (choice === "hear") this.hear();
    else this.#say(choice);
  }

  hear(): void {
    const told = this.toHear.shift();
    assert.ok(told !== undefined);
    const { session } = told;
    if (told.kind === "join") {
      assert.ok(!this.#known.has(session), `${this.name} was told twice that ${session} joined`);
      this.#known.set(session, { heard: [], asks: told.asks, dropped: false, ended: false });
      return;
    }
    const known = this.#known.get(session);
    assert.ok(known !== undefined, `${this.name} was told of ${session}, which has not joined`);
    assert.ok(!known.ended, `${this.name} was told of ${session} after its end`);
    if (told.kind === "message") known.heard.push(told.text);
    if (told.kind === "end") this.#ended(session, known, told.cause);
  }

  /** What the client of a session has said to it. */
  heardFrom(session: number): readonly string[] {
    return this.#known.get(session)?.heard ?? [];
  }

  /** Nothing is on the wires, and every session that joined has ended. */
  checkDone(): void {
    assert.deepEqual([this.toHear, this.toRead], [[], []]);
    for (const [session, { ended }] of this.#known)
      assert.ok(ended, `${this.name} was not told the end of ${session}`);
  }

  #ended(session: number, known: Known, { reason }: EndCause): void {
    known.ended = true;
    if (known.dropped || reason === "handoff") return;
    this.toRead.push({ word: "drop", session, text: "" });
  }

  #say({ word, session }: Exclude<Choice, "hear">): void {
    this.#left.splice(this.#left.indexOf(word), 1);
    this.toRead.push({ word, session, text: `${this.name}${++this.#texts};` });
    const known = this.#known.get(session);
    if (known === undefined) return;
    if (word === "drop" || word === "discard") known.dropped = true;
    if (word === "admit") known.asks = false;
  }
}
