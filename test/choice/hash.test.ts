import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Candidate } from "../../gateway/choice/choice.ts";
import { applicant, choiceOf, managers, nameOf } from "./support.ts";

const CLIENTS = 30_000;

function choose(address: string, open: readonly Candidate[]): string | undefined {
  return nameOf(choiceOf({ managerChoice: "hash" }).choose(applicant({ address }), open));
}

/** How many of the addresses each manager gets. */
function spread(addresses: readonly string[], open: readonly Candidate[]): Record<string, number> {
  const choice = choiceOf({ managerChoice: "hash" });
  const counts: Record<string, number> = {};
  for (const address of addresses) {
    const name = nameOf(choice.choose(applicant({ address }), open)) ?? "";
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

const ipv4 = (index: number) => `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`;
const ipv6 = (index: number) => `2001:db8:${(index >> 4).toString(16)}::${index.toString(16)}`;

describe("the hash of an address", () => {
  test("is the same for one address, each time, in each gateway, and in whatever order the managers are", () => {
    // As another program has them, written in Python.
    for (const [address, name] of [
      ["203.0.113.7", "b"],
      ["203.0.113.8", "c"],
      ["2001:db8::7", "a"],
    ] as const) {
      assert.equal(choose(address, managers("abc")), name, `${address}: another hash moves every client`);
      assert.equal(choose(address, managers("cba")), name);
    }
  });

  for (const [what, addressOf] of [
    ["IPv4", ipv4],
    ["IPv6", ipv6],
  ] as const) {
    for (const names of [
      ["battle", "lobby", "chat"],
      ["game-1", "game-2", "game-3"],
    ]) {
      test(`spreads ${what} addresses over ${names} within 5 %`, () => {
        const open = names.map((name) => ({ name, sessionCount: 0 }));
        const counts = spread(
          Array.from({ length: CLIENTS }, (_, index) => addressOf(index)),
          open,
        );
        for (const name of names) {
          const off = Math.abs((counts[name] ?? 0) / (CLIENTS / names.length) - 1);
          assert.ok(off < 0.05, `${name} has ${counts[name]}`);
        }
      });
    }
  }

  const name = fc.stringMatching(/^[A-Za-z0-9._-]{1,64}$/);
  const open = fc
    .uniqueArray(name, { minLength: 2, maxLength: 8 })
    .map((names) => names.map((one) => ({ name: one, sessionCount: 0 })));
  const address = fc.oneof(fc.ipV4(), fc.ipV6());

  test("moves nobody but its own clients when a manager goes, and brings them back when it comes", () => {
    fc.assert(
      fc.property(
        open,
        fc.array(address, { minLength: 20, maxLength: 60 }),
        fc.nat(),
        (all, clients, which) => {
          const gone = all[which % all.length];
          const left = all.filter((one) => one !== gone);
          for (const client of clients) {
            const [before, after] = [choose(client, all), choose(client, left)];
            if (before === gone?.name) assert.ok(left.some((one) => one.name === after));
            else assert.equal(after, before);
          }
        },
      ),
      { seed: 7312, numRuns: 200 },
    );
  });

  test("moves clients to a manager that comes, and between no others", () => {
    fc.assert(
      fc.property(open, name, fc.array(address, { minLength: 20, maxLength: 60 }), (all, added, clients) => {
        fc.pre(all.every((one) => one.name !== added));
        const more = [{ name: added, sessionCount: 0 }, ...all];
        for (const client of clients) {
          const [before, after] = [choose(client, all), choose(client, more)];
          if (after !== added) assert.equal(after, before);
        }
      }),
      { seed: 7313, numRuns: 200 },
    );
  });

  test("spreads a lost manager's clients over all that are left", () => {
    const open = managers("abcd");
    const lost = Array.from({ length: CLIENTS }, (_, index) => ipv4(index)).filter(
      (client) => choose(client, open) === "d",
    );
    const counts = spread(lost, managers("abc"));
    for (const name of "abc") {
      const off = Math.abs((counts[name] ?? 0) / (lost.length / 3) - 1);
      assert.ok(off < 0.1, `${name} has ${counts[name]} of ${lost.length}`);
    }
  });

  test("has clients without an address take turns", () => {
    const choice = choiceOf({ managerChoice: "hash" });
    const names = Array.from({ length: 4 }, () => nameOf(choice.choose(applicant(), managers("abc"))));
    assert.deepEqual(names, ["a", "b", "c", "a"]);
  });

  test("has nobody to give when none is open", () => {
    assert.equal(choose("203.0.113.7", []), "no-manager");
    assert.equal(choose("", []), "no-manager");
  });
});
