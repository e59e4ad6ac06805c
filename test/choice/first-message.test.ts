import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type ManagerPrefix, parsePrefix, parsePrefixes } from "../../gateway/choice/prefix.ts";
import { applicant, choiceOf, managers, nameOf } from "./support.ts";

type Opening = Buffer | string | undefined;

function chooserOf(...lines: readonly string[]) {
  const managerPrefixes = lines.map(parsePrefix);
  const choice = choiceOf({ managerChoice: "first-message", managerPrefixes });
  return (said: Opening, openingWhole = true, open = "abc") => {
    const opening = typeof said === "string" ? Buffer.from(said) : said;
    return nameOf(choice.choose(applicant({ opening, openingWhole }), managers(open)));
  };
}

describe("the choice by the first message", () => {
  test("is the manager whose prefix the message begins with", () => {
    const choose = chooserOf("BATTLE=a", "LOBBY=b");
    assert.equal(choose("BATTLE 7"), "a");
    assert.equal(choose("LOBBY"), "b");
    assert.equal(choose("LOBBY", false), "b", "nothing that comes can change that");
  });

  test("is the one with the longest prefix, in whatever order they are given", () => {
    for (const lines of [
      ["GET=a", "GET /chat=b", "=c"],
      ["=c", "GET /chat=b", "GET=a"],
    ]) {
      const choose = chooserOf(...lines);
      assert.deepEqual(
        ["GET /chat/7", "GET /", "POST"].map((said) => choose(said)),
        ["b", "a", "c"],
      );
    }
  });

  test("is not made while more of the message could make a longer prefix of it", () => {
    const choose = chooserOf("GET=a", "GET /chat=b");
    for (const said of [undefined, "", "G", "GET", "GET /cha"]) {
      assert.equal(choose(said, false), "undecided", String(said));
    }
    assert.equal(choose("GET /chat", false), "b");
    assert.equal(choose("GET /chess", false), "a");
  });

  test("is made with what there is when no more of it comes", () => {
    const choose = chooserOf("GET=a", "GET /chat=b");
    assert.equal(choose("GET /cha"), "a");
    assert.equal(choose("GE"), "unknown-manager");
    assert.equal(choose(""), "unknown-manager");
    assert.equal(choose(undefined), "unknown-manager");
  });

  test("is none as soon as nothing can be made of it", () => {
    const choose = chooserOf("GET=a", "PUT=b");
    assert.equal(choose("X", false), "unknown-manager");
    assert.equal(choose("PX", false), "unknown-manager");
  });

  test("is the manager for everything else where there is one, an empty message too", () => {
    const choose = chooserOf("GET=a", "=c");
    assert.equal(choose(""), "c");
    assert.equal(choose("X", false), "c");
    assert.equal(choose("GE"), "c");
    assert.equal(choose("GE", false), "undecided");
    assert.equal(choose("", false), "undecided");
    assert.equal(chooserOf("=c")("", false), "c", "which needs nothing said");
  });

  test("is none, and nobody else, while the manager of the prefix takes nobody", () => {
    const choose = chooserOf("GET=a", "=c");
    assert.equal(choose("GET", true, "bc"), "no-manager");
    assert.equal(choose("GET", true, ""), "no-manager");
    assert.equal(choose("GE", false, ""), "undecided");
  });

  test("may go by any bytes", () => {
    const choose = chooserOf("0x0001ff=a", "0x00=b");
    assert.equal(choose(Buffer.from([0, 1, 255, 3])), "a");
    assert.equal(choose(Buffer.from([0, 1])), "b");
    assert.equal(choose(Buffer.from([0, 1]), false), "undecided");
  });

  test("comes to the same however the message is cut, and never later than at the longest prefix", () => {
    const bytes = fc.uint8Array({ max: 2, maxLength: 6 }).map((part) => Buffer.from(part));
    const table = fc
      .uniqueArray(bytes, { minLength: 1, maxLength: 8, selector: (prefix) => prefix.toString("hex") })
      .map((prefixes) => prefixes.map((prefix, i): ManagerPrefix => ({ prefix, manager: `m${i}` })));
    fc.assert(
      fc.property(table, bytes, (managerPrefixes, message) => {
        const manager = managerPrefixes.map((one) => ({ name: one.manager, sessionCount: 0 }));
        const choice = choiceOf({ managerChoice: "first-message", manager, managerPrefixes });
        const matches = managerPrefixes.filter(({ prefix }) =>
          message.subarray(0, prefix.length).equals(prefix),
        );
        const longest = matches.sort((a, b) => b.prefix.length - a.prefix.length)[0];
        const expected = longest?.manager ?? "unknown-manager";
        for (let length = 0; length <= message.length; length++) {
          const opening = message.subarray(0, length);
          const whole = nameOf(choice.choose(applicant({ opening, openingWhole: true }), manager));
          const early = nameOf(choice.choose(applicant({ opening }), manager));
          if (early !== "undecided") assert.equal(early, expected);
          else assert.ok(managerPrefixes.some(({ prefix }) => prefix.length > length));
          if (length === message.length) assert.equal(whole, expected);
        }
      }),
      { seed: 7314, numRuns: 1000 },
    );
  });
});

describe("a line of the prefix table", () => {
  for (const [line, prefix, manager] of [
    ["BATTLE=a", "BATTLE", "a"],
    ["é=a", "é", "a"],
    ["a=b=c", "a=b", "c"],
    ["=lobby", "", "lobby"],
    ["0x47455420=a", "GET ", "a"],
    ["0X4a=a", "J", "a"],
    [`${"x".repeat(64)}=a`, "x".repeat(64), "a"],
    ["A=", "A", ""],
  ] as const) {
    test(`is read from '${line}'`, () => {
      assert.deepEqual(parsePrefix(line), { prefix: Buffer.from(prefix), manager });
    });
  }

  for (const [line, message] of [
    ["BATTLE", "'BATTLE' is not a prefix of a manager; use prefix=manager"],
    ["", "'' is not a prefix of a manager; use prefix=manager"],
    ["0x=a", "'0x' is not a prefix; 0x must have hexadecimal digits behind it, two for each byte"],
    ["0x123=a", "'0x123' is not a prefix; 0x must have hexadecimal digits behind it, two for each byte"],
    ["0xyz=a", "'0xyz' is not a prefix; 0x must have hexadecimal digits behind it, two for each byte"],
    [`${"é".repeat(33)}=a`, `'${"é".repeat(33)}=a' has a prefix of 66 bytes; 64 are the most`],
  ] as const) {
    test(`can't be read from '${line}'`, () => {
      assert.throws(() => parsePrefix(line), { message });
    });
  }

  test("stands in the table once, however it is written", () => {
    assert.deepEqual(
      parsePrefixes(["GET=a", "get=a", "=c"]).map(({ prefix }) => prefix.toString()),
      ["GET", "get", ""],
    );
    for (const [line, other] of [
      ["GET=a", "GET=b"],
      ["GET=a", "0x474554=a"],
      ["=a", "=b"],
    ] as const) {
      assert.throws(() => parsePrefixes([line, "x=c", other]), {
        message: `'${other}' has the prefix of another entry; give each prefix once`,
      });
    }
  });
});
