import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type ForwardedKind, forwardedClient } from "../../gateway/transports/forwarded.ts";

const EDGE = "10.0.0.1";
const isTrusted = (address: string) => address.startsWith("10.") || address === "fd00::1";

function client(kind: ForwardedKind, header: string | undefined, peer = EDGE): string {
  const found = forwardedClient(kind, header, peer, isTrusted);
  assert.ok("address" in found, JSON.stringify(found));
  return found.address;
}

function fault(kind: ForwardedKind, header: string | undefined, peer = EDGE): string {
  const found = forwardedClient(kind, header, peer, isTrusted);
  assert.ok("fault" in found, JSON.stringify(found));
  return found.fault;
}

/** The same hops in both headers. */
const kinds = [
  ["x-forwarded-for", (...hops: string[]) => hops.join(", ")],
  ["forwarded", (...hops: string[]) => hops.map((hop) => `for="${hop}"`).join(", ")],
] as const;

for (const [kind, join] of kinds) {
  describe(`the client behind proxies that write ${kind}`, () => {
    test("is the peer, when that is no trusted proxy, whatever the header says", () => {
      for (const header of [undefined, join("1.1.1.1"), "!", ""]) {
        assert.equal(client(kind, header, "203.0.113.7"), "203.0.113.7");
      }
      assert.equal(client(kind, join("1.1.1.1"), "::ffff:203.0.113.7"), "203.0.113.7");
    });

    test("is the rightmost hop that is not trusted", () => {
      assert.equal(client(kind, join("203.0.113.7")), "203.0.113.7");
      assert.equal(client(kind, join("203.0.113.7", "10.0.0.2", "10.0.0.3")), "203.0.113.7");
      assert.equal(client(kind, join("1.1.1.1", "10.0.0.9", "203.0.113.7", "10.0.0.2")), "203.0.113.7");
    });

    test("is the leftmost hop, when all are trusted, and the peer, when there is none", () => {
      assert.equal(client(kind, join("10.0.0.3", "10.0.0.2")), "10.0.0.3");
      for (const nobody of [undefined, "", " , ,"]) assert.equal(client(kind, nobody), EDGE);
    });

    test("is told in canonical form, and trust is asked for in it too", () => {
      assert.equal(client(kind, join("[2001:DB8:0:0::7]")), "2001:db8::7");
      assert.equal(client(kind, join("[::ffff:203.0.113.7]")), "203.0.113.7");
      assert.equal(client(kind, join("203.0.113.7", "[::ffff:10.0.0.2]", "[FD00:0::1]")), "203.0.113.7");
      assert.equal(client(kind, join("203.0.113.7"), "::ffff:10.0.0.1"), "203.0.113.7");
    });

    test("may come with a port, which is not told", () => {
      for (const port of ["80", "0", "65535", "_hidden"]) {
        assert.equal(client(kind, join(`203.0.113.7:${port}`, "10.0.0.2:1")), "203.0.113.7");
        assert.equal(client(kind, join(`[2001:db8::7]:${port}`)), "2001:db8::7");
      }
    });

    test("can't be told, when the hop that counts is no address", () => {
      for (const hop of [
        "unknown",
        "_hidden",
        "_hidden:80",
        "example.com",
        "203.0.113",
        "203.0.113.256",
        "203.0.113.7:",
        "203.0.113.7:123456",
        "203.0.113.7:x",
        "203.0.113.7 10.0.0.1",
        "203.0.113.7:80:80",
        "[2001:db8::7",
        "[2001:db8::7]80",
        "[203.0.113.7]",
        "[fe80::1%eth0]",
        "[]",
        "[:]",
      ]) {
        assert.match(fault(kind, join(hop)), /no address/, hop);
        assert.match(fault(kind, join("203.0.113.7", hop, "10.0.0.2")), /no address/, hop);
        assert.equal(client(kind, join(hop, "203.0.113.7", "10.0.0.2")), "203.0.113.7", hop);
      }
    });

    test("can't be told without the peer's address, or behind more than 32 hops", () => {
      assert.notEqual(fault(kind, join("203.0.113.7"), ""), "");
      const hops = Array.from({ length: 32 }, () => "10.0.0.2");
      assert.equal(client(kind, join(...hops)), "10.0.0.2");
      assert.match(fault(kind, join("203.0.113.7", ...hops)), /too many/);
    });

    test("does not depend on empty elements, which are nothing", () => {
      assert.equal(client(kind, `, ${join("203.0.113.7")} , ,${join("10.0.0.2")},`), "203.0.113.7");
    });

    test("nothing is thrown, whatever the header, and the client is an address", () => {
      const piece = fc.constantFrom(
        ...["for=", "FOR=", "by=", '"', "\\", ",", ";", " ", "=", "[", "]", "[::1]", ":80", "10.0.0.2"],
        ...["203.0.113.7", "unknown", "_x", "é", "\t"],
      );
      const header = fc.array(piece, { maxLength: 20 }).map((pieces) => pieces.join(""));
      const check = (text: string) => {
        const found = forwardedClient(kind, text, EDGE, isTrusted);
        if ("address" in found) assert.match(found.address, /^[\da-f.:]+$/);
        else assert.match(found.fault, /^[a-z ]+$/);
      };
      fc.assert(fc.property(header, check), { seed: 7307, numRuns: 2000 });
    });
  });
}

describe("X-Forwarded-For", () => {
  test("has IPv6 also without brackets, then without a port", () => {
    assert.equal(client("x-forwarded-for", "2001:db8:0::7,fd00::1"), "2001:db8::7");
    assert.equal(client("x-forwarded-for", "::1"), "::1");
  });

  test("may have quotes around a hop", () => {
    assert.equal(client("x-forwarded-for", '"[2001:db8::7]:80"'), "2001:db8::7");
    assert.notEqual(fault("x-forwarded-for", '"203.0.113.7'), "");
  });
});

describe("Forwarded", () => {
  test("tells more than one thing of a hop, names in any case, values quoted or not", () => {
    const header =
      'For="[2001:db8::7]:4711";proto=https;by=10.0.0.1 , for=10.0.0.2; host="a, for=1.1.1.1;\\""';
    assert.equal(client("forwarded", header), "2001:db8::7");
    assert.equal(client("forwarded", "proto=https;FOR=203.0.113.7;;"), "203.0.113.7");
    assert.equal(client("forwarded", 'for="203.0\\.113.7"'), "203.0.113.7");
    assert.equal(client("forwarded", "for=203.0.113.7:80, for=[fd00::1]:80"), "203.0.113.7");
  });

  test("that does not say whom a trusted proxy asked for is a fault", () => {
    assert.match(fault("forwarded", "for=203.0.113.7, proto=https"), /no address/);
    assert.match(fault("forwarded", "for=, for=10.0.0.2"), /no address/);
    assert.equal(client("forwarded", "proto=https, for=203.0.113.7"), "203.0.113.7");
  });

  test("wants brackets around IPv6", () => {
    assert.match(fault("forwarded", 'for="2001:db8::7"'), /no address/);
  });

  for (const header of [
    "203.0.113.7",
    "for",
    "for=203.0.113.7 proto=http",
    'for="203.0.113.7',
    'for="203.0.113.7"x',
    'for=203.0.113.7"x"',
    "for=203.0.113.7;for=203.0.113.8",
    "for =203.0.113.7",
    'for="203.0.113.7\\',
    "=203.0.113.7",
  ]) {
    test(`is malformed as ${header}`, () => assert.match(fault("forwarded", header), /malformed/));
  }

  test("is not taken in by a quotation that a client leaves open", () => {
    const appended = ['for=198.51.100.9;host="play.example"', 'for="[2001:db8::9]:1";by="[fd00::1]"'];
    for (const own of ['for=1.1.1.1;x="', 'for="1.1.1.1', 'for=1.1.1.1;x="\\', 'for="1.1.1.1\\"']) {
      for (const proxy of appended) assert.match(fault("forwarded", `${own}, ${proxy}`), /malformed/);
    }
  });
});
