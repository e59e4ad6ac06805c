import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type BodyBounds,
  checkHeader,
  FromGateway,
  FromManager,
  fromGatewayBounds,
  fromManagerBounds,
} from "../../proto/frame.ts";
import { refusal } from "./support.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

const directions: readonly [string, ReadonlyMap<number, BodyBounds>, Readonly<Record<string, number>>][] = [
  ["gateway", fromGatewayBounds, FromGateway],
  ["manager", fromManagerBounds, FromManager],
];

for (const [sender, bounds, types] of directions) {
  describe(`headers of a ${sender}'s frames`, () => {
    test("each type has bounds, under its own name, and no other has", () => {
      const named = [...bounds].map(([type, { name }]) => [name, type]);
      assert.deepEqual(Object.fromEntries(named), types);
    });

    test("a body is taken from its least length to its most, and not beyond either", () => {
      for (const [type, { name, min, max }] of bounds) {
        const most = Math.min(max, MIB);
        checkHeader(bounds, type, min, MIB);
        checkHeader(bounds, type, most, MIB);
        const beyond = min === max ? "bad-length" : "frame-too-big";
        assert.throws(() => checkHeader(bounds, type, most + 1, MIB), refusal(beyond, new RegExp(name)));
        if (min > 0)
          assert.throws(
            () => checkHeader(bounds, type, min - 1, MIB),
            refusal("bad-length", new RegExp(name)),
          );
      }
    });

    test("a type that is not in the table is refused, whatever its length", () => {
      for (const type of [5, 15, 21, 31, 40, 255, 256, 0x10000, 0xffffffff]) {
        assert.equal(bounds.has(type), false);
        for (const length of [0, 8, 0xffffffff])
          assert.throws(
            () => checkHeader(bounds, type, length, MIB),
            refusal("unknown-type", RegExp(`${type}`)),
          );
      }
    });

    test("maxFrame bounds a map, too, when it is the smaller", () => {
      assert.throws(() => checkHeader(bounds, 16, 101, 100), refusal("frame-too-big", /of 101 .* of 100$/));
    });
  });
}

describe("the least and the most of a body", () => {
  test("a map has 1 to 65,536 bytes behind its session", () => {
    assert.deepEqual(fromGatewayBounds.get(FromGateway.Register), {
      name: "Register",
      min: 1,
      max: 64 * KIB,
    });
    assert.deepEqual(fromGatewayBounds.get(FromGateway.CLJoin), {
      name: "CLJoin",
      min: 5,
      max: 64 * KIB + 4,
    });
  });

  test("a map that may be left out may have no bytes", () => {
    assert.deepEqual(fromManagerBounds.get(FromManager.Drop), { name: "Drop", min: 4, max: 64 * KIB + 4 });
    assert.deepEqual(fromManagerBounds.get(FromManager.Shutdown), {
      name: "Shutdown",
      min: 0,
      max: 64 * KIB,
    });
  });

  test("an Admit is its session", () => {
    assert.deepEqual(fromManagerBounds.get(FromManager.Admit), { name: "Admit", min: 4, max: 4 });
  });

  test("a payload may be empty, and is bounded by maxFrame alone", () => {
    assert.deepEqual(fromGatewayBounds.get(FromGateway.Msg), { name: "Msg", min: 4, max: Infinity });
    assert.deepEqual(fromManagerBounds.get(FromManager.MsgAll), { name: "MsgAll", min: 0, max: Infinity });
  });
});
