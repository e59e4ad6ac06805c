import assert from "node:assert/strict";
import { test } from "node:test";
import { type Course, type Move, playEveryOrder } from "./every-order.ts";

/** Parties that say what they have to say, each to itself, or all where everybody hears it. */
class Talk implements Course<Talk> {
  readonly heard: string[] = [];
  readonly #left: Map<string, string[]>;
  readonly #inOneRoom: boolean;
  readonly #forbidden: string;

  constructor(texts: Readonly<Record<string, readonly string[]>>, inOneRoom: boolean, forbidden = "") {
    this.#left = new Map(Object.entries(texts).map(([party, said]) => [party, [...said]]));
    this.#inOneRoom = inOneRoom;
    this.#forbidden = forbidden;
  }

  moves(): Move<Talk>[] {
    return [...this.#left].flatMap(([speaker, texts]) =>
      texts.map((text) => ({
        party: this.#inOneRoom ? "room" : speaker,
        name: text,
        make: (talk) => talk.#say(speaker, text),
      })),
    );
  }

  check(): void {
    assert.notEqual(this.heard.join(""), this.#forbidden, "that must not be heard");
  }

  end(): void {}

  #say(speaker: string, text: string): void {
    this.heard.push(text);
    this.#left.set(speaker, this.#left.get(speaker)?.filter((one) => one !== text) ?? []);
  }
}

test("every order of one party's moves is played, once each", () => {
  const ends: string[] = [];
  class Noted extends Talk {
    override end(): void {
      ends.push(this.heard.join(""));
    }
  }
  const { orders } = playEveryOrder(() => new Noted({ ann: ["a", "b", "c"] }, false));
  assert.equal(orders, 6);
  assert.deepEqual(ends.toSorted(), ["abc", "acb", "bac", "bca", "cab", "cba"]);
});

test("orders that no party can tell apart are played once", () => {
  const { orders } = playEveryOrder(() => new Talk({ ann: ["a", "b"], bob: ["c", "d"] }, false));
  assert.equal(orders, 4);
});

test("orders that a party can tell apart are all played", () => {
  const { orders } = playEveryOrder(() => new Talk({ ann: ["a", "b"], bob: ["c", "d"] }, true));
  assert.equal(orders, 24);
});

test("what does not hold is found, wherever it is, and told with the order that leads there", () => {
  const begin = () => new Talk({ ann: ["a", "b"], bob: ["c"] }, true, "cba");
  assert.throws(() => playEveryOrder(begin), /must not be heard.*room: c\n *room: b\n *room: a$/s);
});
