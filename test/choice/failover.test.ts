import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type ManagerChoiceName, managerChoices } from "../../gateway/choice/choice.ts";
import { Failover } from "../../gateway/choice/failover.ts";
import { applicant, choiceOf, managers, nameOf } from "./support.ts";

const crowded = [
  { name: "a", sessionCount: 9 },
  { name: "b", sessionCount: 2 },
  { name: "c", sessionCount: 9 },
];

describe("another manager for a session whose own is lost", () => {
  const chosen = (name: ManagerChoiceName, times: number, shown = {}) => {
    const failover = new Failover(name);
    return Array.from({ length: times }, () =>
      nameOf(failover.chooseAnother(applicant(shown), crowded)),
    ).join("");
  };

  test("is the next in turn, where managers take turns", () => {
    assert.equal(chosen("round-robin", 4), "abca");
  });

  test("is the one with the fewest sessions, where those count", () => {
    assert.equal(chosen("least-sessions", 3), "bbb");
  });

  test("is the one that the address is hashed to, as it is for a client that comes new", () => {
    const choice = choiceOf({ managerChoice: "hash" });
    for (let last = 0; last < 50; last++) {
      const shown = { address: `203.0.113.${last}` };
      assert.equal(chosen("hash", 1, shown), nameOf(choice.choose(applicant(shown), crowded)));
    }
    assert.equal(chosen("hash", 3), "abc");
  });

  for (const name of ["listener", "ticket", "first-message"] as const) {
    test(`is the one with the fewest sessions, whatever the ${name} had named`, () => {
      const shown = { listenerManager: "a", ticketManager: "nobody", opening: Buffer.from("x") };
      assert.equal(chosen(name, 3, shown), "bbb");
      assert.equal(chosen(name, 3), "bbb");
    });
  }

  test("is none when none is left", () => {
    for (const name of managerChoices) {
      const failover = new Failover(name);
      assert.equal(failover.chooseAnother(applicant({ address: "203.0.113.7" }), managers("")), undefined);
    }
  });
});
