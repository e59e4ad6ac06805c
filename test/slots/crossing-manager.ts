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
  | {
      readonly kind: "end";
      readonly session: number;
      readonly cause: EndCause;
      /** What the client said behind so many of the frames is another manager's. */
      readonly received: number | undefined;
    }
  | { readonly kind: "refused"; readonly session: number };

/** A frame of its own. */
export interface Said {
  readonly word: Word;
  readonly session: number;
  readonly text: string;
  /** How many frames it had taken by then; where it is a handoff. */
  readonly received?: number;
}

export type Choice = "hear" | Pick<Said, "word" | "session">;

interface Known {
  readonly heard: string[];
  /** What came while it is being handed over, with the number of each frame. */
  held: { readonly number: number; readonly text: string }[];
  /** How many handoffs are not answered, and how many frames it had taken at the first of them. */
  handoffs: number;
  received: number;
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
  #frames = 0;

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
    this.#frames++;
    const { session } = told;
    if (told.kind === "join") {
      assert.ok(!this.#known.has(session), `${this.name} was told twice that ${session} joined`);
      this.#known.set(session, {
        heard: [],
        held: [],
        handoffs: 0,
        received: 0,
        asks: told.asks,
        dropped: false,
        ended: false,
      });
      return;
    }
    const known = this.#known.get(session);
    assert.ok(known !== undefined, `${this.name} was told of ${session}, which has not joined`);
    assert.ok(!known.ended, `${this.name} was told of ${session} after its end`);
    if (told.kind === "message") known.held.push({ number: this.#frames, text: told.text });
    if (told.kind === "refused") known.handoffs--;
    if (told.kind === "end") this.#ended(session, known, told.cause, told.received);
    else if (known.handoffs === 0) release(known);
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

  #ended(session: number, known: Known, { reason }: EndCause, received: number | undefined): void {
    known.ended = true;
    release(known, received);
    if (known.dropped || reason === "handoff") return;
    this.toRead.push({ word: "drop", session, text: "" });
  }

  #say({ word, session }: Exclude<Choice, "hear">): void {
    this.#left.splice(this.#left.indexOf(word), 1);
    const known = this.#known.get(session);
    const said = { word, session, text: `${this.name}${++this.#texts};` };
    if (known === undefined || !word.startsWith("handoff")) {
      this.toRead.push(said);
    } else {
      if (known.handoffs++ === 0) known.received = this.#frames;
      this.toRead.push({ ...said, received: known.received });
    }
    if (known === undefined) return;
    if (word === "drop" || word === "discard") known.dropped = true;
    if (word === "admit") known.asks = false;
  }
}

/** Takes what was held, as far as it is its own. */
function release(known: Known, received = Number.POSITIVE_INFINITY): void {
  for (const { number, text } of known.held) if (number <= received) known.heard.push(text);
  known.held = [];
}
