import assert from "node:assert/strict";
import { isIP, SocketAddress } from "node:net";
import { describe, test } from "node:test";
import fc from "fast-check";
import { canonicalAddress, prefixOf } from "../../gateway/guard/address.ts";

describe("the canonical text", () => {
  const texts: Readonly<Record<string, string>> = {
    "192.0.2.7": "192.0.2.7",
    "0.0.0.0": "0.0.0.0",
    "255.255.255.255": "255.255.255.255",
    "2001:DB8::00Ab": "2001:db8::ab",
    "2001:0db8:0000:0000:0000:0000:0000:0001": "2001:db8::1",
    "::": "::",
    "0:0:0:0:0:0:0:0": "::",
    "::1": "::1",
    "1::": "1::",
    "1:2:3:4:5:6:7::": "1:2:3:4:5:6:7:0",
    "::2:3:4:5:6:7:8": "0:2:3:4:5:6:7:8",
    "1:0:0:4:5:0:0:8": "1::4:5:0:0:8",
    "1:0:0:4:0:0:0:8": "1:0:0:4::8",
    "1:2:3:4:5:6:1.2.3.4": "1:2:3:4:5:6:102:304",
    "64:ff9b::192.0.2.1": "64:ff9b::c000:201",
    "::ffff:1.2.3.4": "1.2.3.4",
    "::FFFF:102:304": "1.2.3.4",
    "0:0:0:0:0:ffff:fffe:0": "255.254.0.0",
    "::ffff:0:102:304": "::ffff:0:102:304",
    "fe80::1%eth0": "fe80::1",
    "::ffff:1.2.3.4%lo": "1.2.3.4",
  };
  for (const [text, canonical] of Object.entries(texts)) {
    test(`of ${text} is ${canonical}`, () => assert.equal(canonicalAddress(text), canonical));
  }

  const wrong = [
    ..."|localhost|1|1.2.3|1.2.3.4.5|1.2.3.256|1.2.3.|.1.2.3|1..2.3|01.2.3.4|1.2.3.4%eth0|1.2.3.-4| 1.2.3.4".split(
      "|",
    ),
    ..."1.2.3.4 |1.2.3.4/32|:|:::|1|1:2:3:4:5:6:7|1:2:3:4:5:6:7:8:9|1::2::3|1:2:3:4:5:6:7:|:1:2:3:4:5:6:7".split(
      "|",
    ),
    ..."1::2:3:4:5:6:7:8|12345::|g::|::1%|::1.2.3|::1.2.3.256|1:2:3:4:5:6:7:1.2.3.4|::1.2.3.4:5|[::1]|::1/64".split(
      "|",
    ),
  ];
  for (const text of wrong) {
    test(`is not there for '${text}'`, () => assert.equal(canonicalAddress(text), undefined));
  }

  test("is Node's own, for any address", () => {
    const zeros = fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, fc.nat(0xffff), fc.constant(0xffff));
    const group = fc.tuple(zeros, fc.boolean()).map(([value, padded]) => {
      return value.toString(16).padStart(padded ? 4 : 1, "0");
    });
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        const text = groups.join(":");
        const node = new SocketAddress({ address: text, family: "ipv6" }).address;
        // Node writes these two kinds with an IPv4 part.
        const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(node)?.[1];
        if (mapped === undefined && node.includes(".")) return;
        assert.equal(canonicalAddress(text), mapped ?? node);
        assert.equal(canonicalAddress(text.toUpperCase()), mapped ?? node);
        assert.equal(canonicalAddress(node), mapped ?? node);
      }),
      { numRuns: 2000 },
    );
  });

  test("is there for just those texts that Node takes for an address", () => {
    const address = fc.oneof(fc.ipV4(), fc.ipV6());
    const edit = fc.record({
      place: fc.nat(40),
      cut: fc.nat(2),
      put: fc.string({ unit: fc.constantFrom(..."0159aF:.::gx "), maxLength: 3 }),
    });
    let taken = 0;
    fc.assert(
      fc.property(address, fc.array(edit, { maxLength: 3 }), (original, edits) => {
        const text = edits.reduce((before, { place, cut, put }) => {
          return before.slice(0, place) + put + before.slice(place + cut);
        }, original);
        const canonical = canonicalAddress(text);
        assert.equal(canonical !== undefined, isIP(text) !== 0, `'${text}'`);
        if (canonical === undefined) return;
        taken++;
        assert.equal(canonicalAddress(canonical), canonical);
      }),
      { numRuns: 5000 },
    );
    assert.ok(taken > 1000 && taken < 4500, `${taken} texts were addresses`);
  });
});

describe("the prefix", () => {
  const prefixes: Readonly<Record<string, string>> = {
    "192.0.2.7": "192.0.2.7",
    "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
    "2001:db8::1": "2001:db8::/64",
    "::1": "::/64",
    "1:2:3:4::": "1:2:3:4::/64",
    "::ffff:1.2.3.4": "1.2.3.4",
    "": "",
  };
  for (const [address, prefix] of Object.entries(prefixes)) {
    test(`of '${address}' is '${prefix}'`, () => assert.equal(prefixOf(address), prefix));
  }
});
