import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { slotEffects, slotEvents, stateOf, transitions } from "../../gateway/slots/states.ts";

const phases = Object.keys(transitions) as (keyof typeof transitions)[];

/** Every transition of the table. */
const moves = phases.flatMap((from) =>
  slotEvents.flatMap((event) => {
    const decision = transitions[from][event];
    return typeof decision === "string" ? [] : [{ from, event, ...decision }];
  }),
);

describe("the slot's state table", () => {
  test("decides every event in every phase", () => {
    assert.deepEqual(phases, Object.keys(stateOf));
    for (const phase of phases) assert.deepEqual(Object.keys(transitions[phase]), [...slotEvents], phase);
  });

  test("reaches every phase from a freed slot", () => {
    const reached = new Set<string>(["freed"]);
    for (let before = 0; before !== reached.size; ) {
      before = reached.size;
      for (const { from, to } of moves) if (reached.has(from)) reached.add(to);
    }
    assert.deepEqual([...reached].sort(), [...phases].sort());
  });

  test("gives every phase a way back to freed", () => {
    const returning = new Set<string>(["freed"]);
    for (let before = 0; before !== returning.size; ) {
      before = returning.size;
      for (const { from, to } of moves) if (returning.has(to)) returning.add(from);
    }
    assert.deepEqual([...returning].sort(), [...phases].sort());
  });

  test("frees a slot exactly when it becomes freed", () => {
    for (const { from, event, to, effects } of moves) {
      assert.equal(effects.includes("free"), to === "freed", `${from} on ${event}`);
    }
  });

  test("announces a session exactly when its checks are passed, or to another manager", () => {
    for (const { from, event, to, effects } of moves) {
      const passed = (from === "starting" || from === "adrift") && (to === "inUse" || to === "asking");
      assert.equal(effects.includes("announce"), passed, `${from} on ${event}`);
    }
  });

  test("lets a session in exactly when it comes into use", () => {
    for (const { from, event, to, effects } of moves) {
      assert.equal(effects.includes("enter"), to === "inUse" && from !== "inUse", `${from} on ${event}`);
    }
  });

  test("tells the end of a session only when its connection is gone, and only of one that was announced", () => {
    const telling = moves.filter(({ effects }) => effects.includes("tell"));
    assert.deepEqual(telling.map(({ from, event }) => `${from} ${event}`).sort(), [
      "asking gone",
      "cutting gone",
      "ending gone",
      "flushing gone",
      "inUse gone",
    ]);
  });

  test("never lets a slot go back: within a use, states only follow Freed, Starting, InUse, Stopping", () => {
    const order = ["freed", "starting", "inUse", "stopping"];
    for (const { from, to, event } of moves) {
      // Another manager may want to be asked anew.
      if (from === "adrift" && event === "ask") continue;
      const ahead = order.indexOf(stateOf[to]) >= order.indexOf(stateOf[from]);
      assert.ok(ahead || to === "freed", `${from} on ${event} goes back to ${to}`);
    }
  });

  test("uses every effect that there is", () => {
    const used = new Set(moves.flatMap(({ effects }) => effects));
    assert.deepEqual([...used].sort(), [...slotEffects].sort());
  });
});
