import assert from "node:assert/strict";
import { BlockList } from "node:net";
import { describe, test } from "node:test";
import fc from "fast-check";
import { AddressSet } from "../../gateway/guard/address-set.ts";

describe("a set of addresses", () => {
  test("has what its addresses and CIDRs name, and their neighbours not", () => {
    const set = AddressSet.parse(["192.0.2.7", "10.1.0.0/16", "2001:db8::/32", "fe80::1"]);
    const inside = ["192.0.2.7", "10.1.0.0", "10.1.255.255", "2001:db8::", "2001:db8:ffff::1", "fe80::1"];
    const outside = [
      "192.0.2.6",
      "192.0.2.8",
      "10.0.255.255",
      "10.2.0.0",
      "2001:db9::",
      "2001:db7::1",
      "fe80::2",
    ];
    for (const address of inside) assert.ok(set.has(address), address);
    for (const address of outside) assert.ok(!set.has(address), address);
    assert.equal(set.size, 4);
  });

  test("takes v4-mapped addresses and blocks for the IPv4 ones", () => {
    const set = AddressSet.parse(["::ffff:10.0.0.0/104", "::ffff:c000:0207"]);
    assert.ok(set.has("10.9.8.7"));
    assert.ok(set.has("::ffff:10.9.8.7"));
    assert.ok(set.has("192.0.2.7"));
    assert.ok(!set.has("11.0.0.0"));
  });

  test("can have everybody of one family", () => {
    const v4 = AddressSet.parse(["0.0.0.0/0"]);
    const v6 = AddressSet.parse(["::/0"]);
    assert.deepEqual([v4.has("1.2.3.4"), v4.has("255.255.255.255"), v4.has("::1")], [true, true, false]);
    assert.deepEqual([v6.has("1.2.3.4"), v6.has("::ffff:1.2.3.4"), v6.has("::1")], [false, false, true]);
  });

  test("does not mind bits behind a prefix, nested blocks and repetitions", () => {
    const set = AddressSet.parse(["10.0.0.77/24", "10.0.0.0/8", "10.0.0.77/24", "10.200.0.0/16"]);
    for (const address of ["10.0.0.1", "10.0.1.0", "10.255.255.255"]) assert.ok(set.has(address), address);
    assert.ok(!set.has("11.0.0.0"));
    assert.equal(set.size, 4);
  });

  test("can have the lowest address and the highest", () => {
    const set = AddressSet.parse([
      "::",
      "0.0.0.0",
      "255.255.255.255",
      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ]);
    for (const address of ["::", "0.0.0.0", "255.255.255.255"]) assert.ok(set.has(address), address);
    assert.ok(set.has("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
    assert.deepEqual([set.has("::1"), set.has("0.0.0.1"), set.has("ffff::")], [false, false, false]);
  });

  test("has nothing that is no address", () => {
    const set = AddressSet.parse(["0.0.0.0/0", "::/0"]);
    assert.deepEqual([set.has(""), set.has("localhost"), set.has("0.0.0.0/0")], [false, false, false]);
    assert.equal(AddressSet.parse([]).has("1.2.3.4"), false);
  });

  const wrong = [
    ..."|host|1.2.3|1.2.3.4/33|1.2.3.4/|1.2.3.4/08|1.2.3.4/-1|1.2.3.4/255.255.255.0|::/129|::1/64/64".split(
      "|",
    ),
    ..."::ffff:1.2.3.0/24|1.2.3.4-1.2.3.9|/8".split("|"),
  ];
  for (const entry of wrong) {
    test(`refuses '${entry}' by name, and says what is wanted`, () => {
      const message = (error: Error) =>
        error.message.includes(`'${entry}'`) && /CIDR such as/.test(error.message);
      assert.throws(() => AddressSet.parse(["1.2.3.4", entry]), message);
    });
  }

  test("does not quote a bad entry of any length", () => {
    assert.throws(
      () => AddressSet.parse(["x".repeat(10_000)]),
      (error: Error) => error.message.length < 300,
    );
  });

  test("has just what Node's BlockList has", () => {
    // Few bits vary, so that blocks nest and addresses hit.
    const byte = fc.constantFrom(0, 1, 128, 255);
    const v4 = fc.tuple(byte, byte, byte).map((bytes) => `10.${bytes.join(".")}`);
    const group = fc.constantFrom("0", "1", "8000", "ffff");
    const v6 = fc.tuple(group, group, group).map(([a, b, c]) => `2001:${a}:0:${b}:0:0:0:${c}`);
    const block = (address: fc.Arbitrary<string>, most: number) =>
      fc.tuple(address, fc.oneof(fc.integer({ min: most / 2, max: most }), fc.nat(most)));
    const blocks = fc.array(fc.oneof(block(v4, 32), block(v6, 128)), { maxLength: 12 });
    let hits = 0;
    fc.assert(
      fc.property(blocks, fc.array(fc.oneof(v4, v6), { minLength: 20, maxLength: 20 }), (entries, asked) => {
        const lists = { ipv4: new BlockList(), ipv6: new BlockList() };
        for (const [address, length] of entries) {
          const family = address.includes(":") ? "ipv6" : "ipv4";
          lists[family].addSubnet(address, length, family);
        }
        const set = AddressSet.parse(entries.map(([address, length]) => `${address}/${length}`));
        for (const address of asked) {
          const family = address.includes(":") ? "ipv6" : "ipv4";
          const expected = lists[family].check(address, family);
          if (expected) hits++;
          assert.equal(set.has(address), expected, address);
        }
      }),
      { numRuns: 1000 },
    );
    assert.ok(hits > 1000 && hits < 19_000, `${hits} of 20000 were in the set`);
  });
});
