import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  bin,
  count,
  type Field,
  flag,
  integer,
  list,
  oneOf,
  optional,
  quantity,
  record,
  shape,
  text,
} from "../../proto/shape.ts";
import { hex, refusal } from "./support.ts";

/** Every kind of value that a decoded map can hold. */
const kinds: Readonly<Record<string, unknown>> = {
  nil: null,
  "a boolean": true,
  "a number": 7,
  "a string": "seven",
  "a bin": hex("0707"),
  "an array": ["seven"],
  "a map": new Map([["a", 7]]),
  nothing: undefined,
};

function accepts<T>(field: Field<T>, ...values: readonly T[]): void {
  for (const value of values) assert.deepEqual(field(value, "X"), value);
}

function refuses(field: Field<unknown>, message: RegExp, ...values: readonly unknown[]): void {
  for (const value of values) assert.throws(() => field(value, "X"), refusal("bad-body", message));
}

/** The field takes no kind of value but `kind`. */
function refusesOthersThan(kind: string, field: Field<unknown>, wanted: string): void {
  for (const [other, value] of Object.entries(kinds)) {
    if (other !== kind) refuses(field, RegExp(`^X must be ${wanted}; it is `), value);
  }
}

describe("the kinds of fields", () => {
  test("an integer is a whole number within its bounds, however it was encoded", () => {
    const field = integer(-5, 10);
    accepts(field, -5, 0, 10, 7.0);
    refuses(
      field,
      /^X must be a whole number from -5 to 10; it is (-6|11|0\.5|NaN|-?Infinity)$/,
      -6,
      11,
      0.5,
    );
    refuses(field, /it is (NaN|-?Infinity)$/, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY);
    refusesOthersThan("a number", field, "a whole number from -5 to 10");
  });

  test("a count goes from 0 to 2^53 - 1", () => {
    accepts(count, 0, 1, 2 ** 53 - 1);
    refuses(count, /^X must be a whole number from 0 to 9007199254740991; it is /, -1, 2 ** 53, 1.5, 7n);
  });

  test("a quantity is a finite number that is not negative", () => {
    accepts(quantity, 0, 0.001, 1e300, Number.MAX_SAFE_INTEGER);
    refuses(quantity, /^X must be a number that is not negative; it is /, -1, -0.001, Number.NaN);
    refuses(quantity, /it is -?Infinity$/, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY);
    refusesOthersThan("a number", quantity, "a number that is not negative");
  });

  test("a text is a string that is not too long", () => {
    accepts(text(3), "", "a", "abc", "äöü");
    refuses(text(3), /^X must be a string of at most 3 characters; it is a string of 4 characters$/, "abcd");
    refuses(text(3), /it is a string of 4 characters$/, "\u{1f600}\u{1f600}");
    refusesOthersThan("a string", text(9), "a string of at most 9 characters");
  });

  test("a flag is true or false", () => {
    accepts(flag, true, false);
    refusesOthersThan("a boolean", flag, "true or false");
  });

  test("a bin has exactly its length", () => {
    accepts<Uint8Array>(bin(2), hex("0102"), Buffer.alloc(2));
    refuses(bin(2), /^X must be a bin of 2 bytes; it is a bin of (1|3) bytes$/, hex("01"), hex("010203"));
    refusesOthersThan("a bin", bin(2), "a bin of 2 bytes");
  });

  test("one of some words is one of them to the letter", () => {
    accepts(oneOf("up", "down"), "up", "down");
    refuses(
      oneOf("up", "down"),
      /^X must be one of up, down; it is a string of /,
      "",
      "Up",
      "up ",
      "toString",
    );
    refusesOthersThan("a string", oneOf("up", "down"), "one of up, down");
  });

  test("a list has at most so many values, and each fits", () => {
    const field = list(integer(0, 9), 3);
    accepts(field, [], [1], [1, 2, 3]);
    refuses(field, /^X must be an array of at most 3 values; it is an array of 4$/, [1, 2, 3, 4]);
    refuses(field, /^X\[1\] must be a whole number from 0 to 9; it is 10$/, [1, 10]);
    refuses(field, /^X\[0\] must be a whole number from 0 to 9; it is nil$/, [null]);
    refusesOthersThan("an array", list(text(9), 3), "an array of at most 3 values");
  });

  test("a list that is too long is refused before its values are looked at", () => {
    refuses(list(integer(0, 9), 3), /it is an array of 4$/, ["a", "b", "c", "d"]);
  });

  test("a record has at most so many keys, whatever they are called, and each value fits", () => {
    const field = record(integer(0, 9), 3);
    const read = (entries: Record<string, unknown>) => field(new Map(Object.entries(entries)), "X");
    for (const entries of [{}, { a: 1 }, { a: 1, "": 2, "b c": 3 }]) assert.deepEqual(read(entries), entries);
    refuses(field, /^X must be a map of at most 3 keys; it is a map$/, new Map(Object.entries("abcd")));
    assert.throws(() => read({ a: 1, b: 10 }), refusal("bad-body", /^X\.b must be a whole .*; it is 10$/));
    assert.throws(() => read({ a: null }), refusal("bad-body", /^X\.a must be a whole .*; it is nil$/));
    refusesOthersThan("a map", record(text(9), 3), "a map of at most 3 keys");
    refuses(field, /^X must be a map/, { a: 1 });
  });

  test("a record's keys are its own, also those that objects have by themselves", () => {
    const entries = new Map(["__proto__", "constructor", "toString"].map((key) => [key, 7]));
    const read = record(count, 3)(entries, "X");
    assert.deepEqual(Object.entries(read), [...entries]);
    assert.equal(Object.getPrototypeOf(read), Object.prototype);
    assert.equal(record(count, 3)(new Map(), "X").constructor, Object);
  });

  test("a record that is too large is refused before its values are looked at", () => {
    refuses(record(integer(0, 9), 1), /a map of at most 1 keys; it is a map$/, new Map(Object.entries("ab")));
  });
});

describe("shapes", () => {
  const point = shape({ x: count, y: count, name: optional(text(5)) });

  test("a map with the keys becomes an object with them", () => {
    assert.deepEqual(
      point(
        new Map([
          ["y", 2],
          ["x", 1],
        ]),
        "P",
      ),
      { x: 1, y: 2 },
    );
    const named = new Map<string, unknown>([
      ["x", 1],
      ["y", 2],
      ["name", "here"],
    ]);
    assert.deepEqual(point(named, "P"), { x: 1, y: 2, name: "here" });
  });

  test("keys that it does not know are ignored", () => {
    const more = new Map<string, unknown>([
      ["x", 1],
      ["y", 2],
      ["z", null],
      ["__proto__", 3],
      ["toString", 4],
    ]);
    const shaped = point(more, "P");
    assert.deepEqual(shaped, { x: 1, y: 2 });
    assert.equal(Object.getPrototypeOf(shaped), Object.prototype);
  });

  test("a missing key is named, and that it is missing", () => {
    assert.throws(
      () => point(new Map([["x", 1]]), "P"),
      refusal("bad-body", /^P\.y must be .*; it is missing$/),
    );
  });

  test("a key that an object has by itself is missing all the same", () => {
    const inherited = shape({ constructor: text(5) });
    assert.throws(() => inherited(new Map(), "P"), refusal("bad-body", /^P\.constructor .* it is missing$/));
  });

  test("an optional key may be missing, or nil, which is the same, but not be of another type", () => {
    const withName = (name: unknown) =>
      point(
        new Map<string, unknown>([
          ["x", 1],
          ["y", 2],
          ["name", name],
        ]),
        "P",
      );
    assert.equal(
      "name" in
        point(
          new Map([
            ["x", 1],
            ["y", 2],
          ]),
          "P",
        ),
      false,
    );
    assert.deepEqual(withName(null), { x: 1, y: 2 });
    assert.throws(() => withName(7), refusal("bad-body", /^P\.name must be .*; it is 7$/));
  });

  test("what is not a map is refused", () => {
    for (const [kind, value] of Object.entries(kinds)) {
      if (kind !== "a map")
        assert.throws(() => point(value, "P"), refusal("bad-body", /^P must be a map; it is /));
    }
    assert.throws(() => point({ x: 1, y: 2 }, "P"), refusal("bad-body", /^P must be a map/));
  });

  test("a message names the whole path", () => {
    const track = shape({ legs: list(shape({ from: point }), 4) });
    const leg = (x: unknown) =>
      new Map([
        [
          "from",
          new Map([
            ["x", x],
            ["y", 0],
          ]),
        ],
      ]);
    const tracked = (...legs: unknown[]) => track(new Map([["legs", legs]]), "Track");
    assert.deepEqual(tracked(leg(1)), { legs: [{ from: { x: 1, y: 0 } }] });
    assert.throws(
      () => tracked(leg(1), leg("1")),
      refusal("bad-body", /^Track\.legs\[1\]\.from\.x must be .*; it is a string of 1 characters$/),
    );
    assert.throws(
      () => tracked(leg(1), new Map()),
      refusal("bad-body", /^Track\.legs\[1\]\.from must be a map; it is missing$/),
    );
  });

  test("a message says what kind of value was there, and not the value of a string", () => {
    const field = shape({ v: integer(1, 2) });
    const kindsTold = {
      nil: /nil$/,
      true: /true$/,
      map: /a map$/,
      bin: /a bin of 2 bytes$/,
      array: /an array of 1$/,
    };
    const values: Record<keyof typeof kindsTold, unknown> = {
      nil: null,
      true: true,
      map: new Map(),
      bin: hex("0102"),
      array: ["secret"],
    };
    for (const [kind, told] of Object.entries(kindsTold)) {
      const value = values[kind as keyof typeof kindsTold];
      assert.throws(() => field(new Map([["v", value]]), "F"), refusal("bad-body", told));
    }
    const hides = (error: unknown) => !(error as Error).message.includes("secret");
    assert.throws(() => field(new Map([["v", "secret"]]), "F"), hides);
  });
});
