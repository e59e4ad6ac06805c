import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { applicant, choiceOf, managers, nameOf } from "./support.ts";

for (const [managerChoice, shown] of [
  ["listener", "listenerManager"],
  ["ticket", "ticketManager"],
] as const) {
  describe(`the choice by ${managerChoice}`, () => {
    const choose = (name: string | undefined, open: string) =>
      nameOf(choiceOf({ managerChoice }).choose(applicant({ [shown]: name }), managers(open)));

    test("is the manager that is named", () => {
      for (const name of ["a", "b", "c"]) assert.equal(choose(name, "abc"), name);
    });

    test("is none where one is named that there isn't, or none", () => {
      for (const name of ["d", "", "A", "a ", "constructor", undefined]) {
        assert.equal(choose(name, "abc"), "unknown-manager");
        assert.equal(choose(name, ""), "unknown-manager");
      }
    });

    test("is no other manager when the one that is named takes nobody", () => {
      assert.equal(choose("b", "ac"), "no-manager");
      assert.equal(choose("b", ""), "no-manager");
    });

    test("takes what is named elsewhere for nothing", () => {
      const elsewhere = { listenerManager: "a", ticketManager: "a", [shown]: undefined };
      const choice = choiceOf({ managerChoice });
      assert.equal(choice.choose(applicant(elsewhere), managers("abc")), "unknown-manager");
    });
  });
}
