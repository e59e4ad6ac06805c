import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Bans } from "../../gateway/guard/bans.ts";
import { FakeClock } from "../helpers/fake-clock.ts";

function setUp(maxBans = 100) {
  const clock = new FakeClock();
  return { clock, bans: new Bans(clock, maxBans) };
}

/** Who of the addresses is banned. */
function banned(bans: Bans, addresses: readonly string[]): readonly string[] {
  return addresses.filter((address) => bans.has(address));
}

describe("a ban", () => {
  test("holds for its time and no longer", () => {
    const { clock, bans } = setUp();
    bans.ban("192.0.2.1", 1000);
    assert.deepEqual([bans.has("192.0.2.1"), bans.has("192.0.2.2"), bans.has("")], [true, false, false]);
    clock.advance(999);
    assert.equal(bans.has("192.0.2.1"), true);
    clock.advance(1);
    assert.equal(bans.has("192.0.2.1"), false);
    assert.equal(bans.size, 0);
  });

  test("holds for the whole /64 of an IPv6 address", () => {
    const { bans } = setUp();
    bans.ban("2001:db8::1", 1000);
    assert.deepEqual([bans.has("2001:db8::2"), bans.has("2001:db8:0:1::1")], [true, false]);
    bans.ban("2001:db8::3", 1000);
    assert.equal(bans.size, 1);
  });

  test("can be lengthened and not shortened", () => {
    const { clock, bans } = setUp();
    bans.ban("192.0.2.1", 1000);
    bans.ban("192.0.2.1", 3000);
    bans.ban("192.0.2.1", 500);
    assert.equal(bans.size, 1);
    clock.advance(2999);
    assert.equal(bans.has("192.0.2.1"), true);
    clock.advance(1);
    assert.equal(bans.has("192.0.2.1"), false);
  });
});

describe("at the bound", () => {
  const addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"];
  const [first = "", second = "", third = "", fourth = ""] = addresses;

  test("the ban that ends soonest makes place", () => {
    const { bans } = setUp(3);
    bans.ban(first, 3000);
    bans.ban(second, 1000);
    bans.ban(third, 2000);
    bans.ban(fourth, 1500);
    assert.deepEqual(banned(bans, addresses), [first, third, fourth]);
  });

  test("a ban that was lengthened counts by its new end", () => {
    const { bans } = setUp(2);
    bans.ban(first, 1000);
    bans.ban(second, 2000);
    bans.ban(first, 3000);
    bans.ban(third, 2500);
    assert.deepEqual(banned(bans, addresses), [first, third]);
  });

  test("a new ban that would end soonest is not taken on", () => {
    const { bans } = setUp(2);
    bans.ban(first, 2000);
    bans.ban(second, 3000);
    bans.ban(third, 1000);
    assert.deepEqual(banned(bans, addresses), [first, second]);
  });

  test("one that has ended makes place before any that holds", () => {
    const { clock, bans } = setUp(2);
    bans.ban(first, 100);
    bans.ban(second, 5000);
    clock.advance(100);
    bans.ban(third, 10);
    assert.deepEqual(banned(bans, addresses), [second, third]);
  });
});

test("bans are those of a plain list, whatever is banned when", () => {
  const addresses = Array.from({ length: 12 }, (_, i) => `192.0.2.${i}`);
  // Each end is another, so that it is always clear which ban makes place.
  const step = fc.record({
    who: fc.constantFrom(...addresses),
    ms: fc.integer({ min: 1, max: 50 }),
    wait: fc.nat(9),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.integer({ min: 1, max: 8 }), (steps, maxBans) => {
      const { clock, bans } = setUp(maxBans);
      let list: { who: string; endsAt: number }[] = [];
      for (const [i, { who, ms, wait }] of steps.entries()) {
        const length = ms + i / 1000;
        bans.ban(who, length);
        const present = list.find((one) => one.who === who);
        if (present !== undefined) present.endsAt = Math.max(present.endsAt, clock.now() + length);
        else list.push({ who, endsAt: clock.now() + length });
        list = list.sort((a, b) => b.endsAt - a.endsAt).slice(0, maxBans);
        clock.advance(wait);
        list = list.filter((one) => one.endsAt > clock.now());
        const expected = addresses.filter((address) => list.some((one) => one.who === address));
        assert.deepEqual(banned(bans, addresses), expected);
        assert.equal(bans.size, list.length);
      }
    }),
    { numRuns: 500 },
  );
});

test("a flood of bans stays within the bound, and one that is lengthened stays through it", () => {
  const { clock, bans } = setUp(1000);
  for (let i = 0; i < 100_000; i++) {
    bans.ban(`10.${i >>> 16}.${(i >>> 8) & 255}.${i & 255}`, 60_000 + i);
    bans.ban("192.0.2.1", 300_000 + i);
  }
  assert.equal(bans.size, 1000);
  assert.ok(bans.has("192.0.2.1"));
  assert.ok(bans.has("10.1.134.159"));
  assert.ok(!bans.has("10.0.0.0"));
  clock.advance(500_000);
  assert.equal(bans.size, 0);
});
