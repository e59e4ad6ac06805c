import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Candidate } from "../../gateway/choice/choice.ts";
import { applicant, choiceOf, managers, nameOf } from "./support.ts";

describe("round-robin", () => {
  const start = () => {
    const choice = choiceOf({ managerChoice: "round-robin" });
    return (open: string, times: number) =>
      Array.from({ length: times }, () => nameOf(choice.choose(applicant(), managers(open)))).join("");
  };

  test("gives every manager its turn, in the order in which they are configured", () => {
    assert.equal(start()("abc", 7), "abcabca");
  });

  test("passes over one that is closed, and goes on evenly when it is back", () => {
    const choose = start();
    assert.equal(choose("abc", 2), "ab");
    assert.equal(choose("ab", 4), "abab");
    assert.equal(choose("abc", 4), "cabc");
  });

  test("stays even among those that are always there, however another one comes and goes", () => {
    const choose = start();
    const chosen = Array.from({ length: 300 }, (_, i) => choose(i % 2 === 0 ? "abc" : "ac", 1)).join("");
    const times = (name: string) => chosen.split(name).length - 1;
    assert.ok(Math.abs(times("a") - times("c")) <= 1, `${times("a")} and ${times("c")}`);
  });

  test("has nobody to give when none is open", () => {
    assert.equal(choiceOf({ managerChoice: "round-robin" }).choose(applicant(), []), "no-manager");
  });
});

describe("least-sessions", () => {
  const choice = () => choiceOf({ managerChoice: "least-sessions" });
  const withSessions = (...counts: readonly number[]): Candidate[] =>
    managers("abc").map(({ name }, i) => ({ name, sessionCount: counts[i] ?? 0 }));

  test("chooses the manager that has the fewest", () => {
    assert.equal(nameOf(choice().choose(applicant(), withSessions(3, 1, 2))), "b");
    assert.equal(nameOf(choice().choose(applicant(), withSessions(2, 2, 1))), "c");
  });

  test("lets those that have as few take turns", () => {
    const among = choice();
    const names = Array.from({ length: 5 }, () =>
      nameOf(among.choose(applicant(), withSessions(1, 1, 2))),
    ).join("");
    assert.equal(names, "ababa");
  });

  test("fills them evenly, when each choice counts", () => {
    const counts = [5, 0, 2];
    const filling = choice();
    for (let i = 0; i < 20; i++) {
      const chosen = filling.choose(applicant(), withSessions(...counts));
      const at = "abc".indexOf(nameOf(chosen) ?? "");
      counts[at] = (counts[at] ?? 0) + 1;
    }
    assert.deepEqual(counts, [9, 9, 9]);
  });

  test("has nobody to give when none is open", () => {
    assert.equal(choice().choose(applicant(), []), "no-manager");
  });
});

test("only first-message waits for what the client says first", () => {
  for (const managerChoice of ["round-robin", "least-sessions", "hash", "listener", "ticket"] as const) {
    assert.equal(choiceOf({ managerChoice }).needsOpening, false);
  }
  assert.equal(choiceOf({ managerChoice: "first-message" }).needsOpening, true);
});
