import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { AddressRates } from "../../gateway/guard/address-rates.ts";

const FLOOD = 1_000_000;

/** How many of `count` tries at one moment pass. */
function passing(rates: AddressRates, address: string, now: number, count: number): number {
  let passed = 0;
  for (let i = 0; i < count; i++) if (rates.take(address, now)) passed++;
  return passed;
}

/** One of many IPv4 addresses. */
function stranger(i: number): string {
  return `${11 + (i >>> 16)}.${(i >>> 8) & 255}.${i & 255}.9`;
}

/** Bytes that the process holds when all garbage is gone. */
function heldBytes(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

describe("the rate of an address", () => {
  test("is its burst at once and then what comes in, for each on its own", () => {
    const rates = new AddressRates({ ratePerSecond: 4, burst: 3, entries: 64 });
    assert.equal(passing(rates, "192.0.2.1", 5000, 10), 3);
    assert.equal(passing(rates, "192.0.2.2", 5000, 10), 3);
    assert.equal(passing(rates, "192.0.2.1", 5249, 10), 0);
    assert.equal(passing(rates, "192.0.2.1", 5250, 10), 1);
    assert.equal(passing(rates, "192.0.2.1", 1_000_000, 10), 3);
  });

  test("is exact also where a token's time is no round number", () => {
    for (let burst = 1; burst <= 60; burst++) {
      const rates = new AddressRates({ ratePerSecond: 7, burst, entries: 64 });
      assert.equal(passing(rates, "192.0.2.1", 987_654.321, 100), burst);
    }
  });

  test("is one for all of an IPv6 /64", () => {
    const rates = new AddressRates({ ratePerSecond: 1, burst: 2, entries: 64 });
    const taken = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1"].map((one) =>
      rates.take(one, 0),
    );
    assert.deepEqual(taken, [true, true, false, true]);
  });

  test("is not that of an IPv6 /64 of which only one half is the same", () => {
    // One set for all of them.
    const rates = new AddressRates({ ratePerSecond: 1, burst: 1, entries: 8 });
    const taken = ["2001:db8:0:1::", "2001:db9:0:1::", "2001:db8:0:2::"].map((one) => rates.take(one, 0));
    assert.deepEqual(taken, [true, true, true]);
  });

  test("is not that of an IPv6 address whose prefix has the same bits", () => {
    const rates = new AddressRates({ ratePerSecond: 1, burst: 1, entries: 64 });
    assert.deepEqual([rates.take("1.2.3.4", 0), rates.take("0:0:102:304::", 0)], [true, true]);
    assert.deepEqual([rates.take("0:0:ffff:1::", 0), rates.take("::1", 0)], [true, true]);
  });
});

describe("a flood of addresses", () => {
  test("takes no memory, lets rare ones in, and does not free the one that comes often", () => {
    const rates = new AddressRates({ ratePerSecond: 10, burst: 20, entries: 4096 });
    let [often, rare, strangers] = [0, 0, 0];
    const before = heldBytes();
    for (let i = 0; i < FLOOD; i++) {
      // All of it takes a second.
      const now = i / 1000;
      if (rates.take(stranger(i), now)) strangers++;
      if (i % 100 === 0 && rates.take("192.0.2.1", now)) often++;
      if (i % 100_000 === 0 && rates.take("198.51.100.1", now)) rare++;
    }
    const grown = heldBytes() - before;
    assert.ok(grown < 4 * 1024 * 1024, `${grown} bytes`);
    assert.equal(strangers, FLOOD);
    assert.equal(rare, 10);
    assert.ok(often >= 20 && often <= 30, `${often} of 10000 passed`);
    assert.ok(rates.take("203.0.113.1", 1000));
  });

  test("is spread by all bits of an IPv6 /64, wherever they differ", () => {
    for (const nth of [
      (i: number) => `2001:${i.toString(16)}::`,
      (i: number) => `2001:db8:0:${i.toString(16)}::`,
    ]) {
      const rates = new AddressRates({ ratePerSecond: 1, burst: 1, entries: 65_536 });
      const addresses = Array.from({ length: 100 }, (_, i) => nth(0x1000 + i));
      for (const address of addresses) rates.take(address, 0);
      assert.equal(addresses.filter((address) => rates.take(address, 0)).length, 0, "nobody is forgotten");
    }
  });

  test("can't be aimed: addresses meet in other places every time", () => {
    const strangers = Array.from({ length: 12 }, (_, i) => stranger(i));
    const forgotten = Array.from({ length: 400 }, () => {
      // Two sets of eight: who is in the more crowded one may be forgotten.
      const rates = new AddressRates({ ratePerSecond: 1, burst: 1, entries: 16 });
      rates.take("192.0.2.1", 0);
      for (const [i, one] of strangers.entries()) rates.take(one, i + 1);
      return rates.take("192.0.2.1", 20);
    });
    const times = forgotten.filter(Boolean).length;
    assert.ok(times > 0 && times < 400, `${times} of 400`);
  });
});
