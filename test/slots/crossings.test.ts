/**
 * Whatever crosses on the wires between a gateway and its managers, in every order in which it can: each case gives all parties
 * a few things to do, and all orders of them are played. What must hold in each stands in crossing-world.ts.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Cast, CrossingWorld } from "./crossing-world.ts";
import { playEveryOrder } from "./every-order.ts";

interface Case extends Cast {
  readonly name: string;
  /** There are at least so many orders; with fewer of them something is not tried any more. */
  readonly orders: number;
}

const cases: readonly Case[] = [
  {
    name: "a drop meets a client that closes",
    words: { a: ["send", "drop", "send"], b: [] },
    clients: [["says", "says", "closes"]],
    orders: 1_274,
  },
  {
    name: "a drop meets a client that shuts down its sending side, and deadlines",
    words: { a: ["send", "drop"], b: [] },
    clients: [["says", "halfCloses", "resets"]],
    gateway: ["waits", "waits"],
    orders: 5_539,
  },
  {
    name: "a discard and a drop meet, and a client that closes",
    words: { a: ["send", "discard", "drop"], b: [] },
    clients: [["says", "closes"]],
    gateway: ["waits"],
    orders: 3_294,
  },
  {
    name: "a handoff meets a client that closes",
    words: { a: ["send", "handoff to b"], b: ["send", "drop"] },
    clients: [["says", "says", "closes"]],
    orders: 7_249,
  },
  {
    name: "a handoff meets a client that shuts down its sending side, and deadlines",
    words: { a: ["send", "handoff to b"], b: ["send"] },
    clients: [["says", "halfCloses"]],
    gateway: ["waits", "waits"],
    orders: 8_288,
  },
  {
    name: "a handoff meets drops and discards of both managers",
    words: { a: ["handoff to b", "drop", "send"], b: ["discard", "drop"] },
    clients: [["says", "closes"]],
    orders: 10_749,
  },
  {
    name: "a handoff meets the handoff back",
    words: { a: ["send", "handoff to b", "drop"], b: ["handoff to a"] },
    clients: [["says", "closes"]],
    orders: 3_118,
  },
  {
    name: "a client talks on behind a handoff, which is refused for a while",
    words: { a: ["handoff to b", "handoff to b"], b: [] },
    clients: [["says", "says", "says"]],
    gateway: ["closes b", "opens b"],
    orders: 1,
  },
  {
    name: "a client talks on behind handoffs to and fro",
    words: { a: ["handoff to b", "handoff to b"], b: ["handoff to a"] },
    clients: [["says", "says", "says"]],
    orders: 1,
  },
  {
    name: "a session is handed on and on, and what was said to it before is still on its way",
    words: { a: ["handoff to b", "handoff to b"], b: ["handoff to a", "drop"] },
    clients: [["says", "closes"]],
    orders: 1_328,
  },
  {
    name: "a manager hands one session over twice",
    words: { a: ["handoff to b", "handoff to c", "send"], b: ["send"], c: ["send"] },
    clients: [["says", "closes"]],
    orders: 4_660,
  },
  {
    name: "a handoff to a manager that is full meets whoever makes room there",
    words: { a: ["handoff to b", "handoff to b"], b: ["drop"] },
    clients: [["says"], ["closes"]],
    slots: 2,
    capacities: { b: 1 },
    orders: 9_159,
  },
  {
    name: "a handoff to a manager that nobody knows, or to oneself, changes nothing",
    words: { a: ["handoff to nobody", "handoff to a", "send"], b: [] },
    clients: [["says", "closes"]],
    orders: 1_784,
  },
  {
    name: "a handoff meets the closing of the manager that it is to",
    words: { a: ["handoff to b", "drop"], b: ["send"] },
    clients: [["says", "closes"]],
    gateway: ["closes b", "opens b"],
    orders: 9_126,
  },
  {
    name: "the gateway ends its sessions while they are dropped and handed over",
    words: { a: ["handoff to b", "drop"], b: ["drop", "send"] },
    clients: [["says", "closes"]],
    gateway: ["ends"],
    orders: 5_331,
  },
  {
    name: "the gateway cuts its sessions while they are dropped and handed over",
    words: { a: ["handoff to b", "drop"], b: ["drop"] },
    clients: [["says"]],
    gateway: ["cuts", "waits"],
    orders: 2_898,
  },
  {
    name: "the next client takes the slot while frames for the one before are on their way",
    words: { a: ["send", "drop", "discard"], b: [] },
    clients: [["closes"], ["says"]],
    orders: 2_143,
  },
  {
    name: "the next client takes the slot of one that was handed over",
    words: { a: ["handoff to b", "send", "drop"], b: ["drop"] },
    clients: [["closes"], ["says"]],
    orders: 4_352,
  },
  {
    name: "the next client takes the slot of one whose end nobody acknowledged in time",
    words: { a: ["handoff to b", "drop"], b: [] },
    clients: [["closes"], ["says"]],
    gateway: ["waits"],
    acknowledgedInTime: true,
    orders: 1_125,
  },
  {
    name: "two clients are handed over past each other",
    words: { a: ["handoff to b", "handoff to b"], b: ["drop"] },
    clients: [["says"], ["closes"]],
    slots: 2,
    orders: 10_997,
  },
  {
    name: "an admission meets drops, and a client that closes",
    words: { a: ["admit", "send", "drop", "discard"], b: [] },
    clients: [["says", "halfCloses", "closes"]],
    asking: ["a"],
    orders: 4_605,
  },
  {
    name: "an admission meets its deadline, and the end of the gateway",
    words: { a: ["admit", "drop"], b: [] },
    clients: [["says", "closes"]],
    gateway: ["waits", "ends"],
    asking: ["a"],
    orders: 921,
  },
  {
    name: "an admission meets a handoff, which is refused before it",
    words: { a: ["admit", "handoff to b", "handoff to b", "send"], b: ["drop"] },
    clients: [["says", "closes"]],
    asking: ["a"],
    orders: 6_475,
  },
  {
    name: "a handoff to a manager that wants to be asked is not asked about",
    words: { a: ["handoff to b", "drop"], b: ["send", "admit", "handoff to a"] },
    clients: [["says", "says", "closes"]],
    asking: ["b"],
    orders: 9_771,
  },
];

describe("in every order of what crosses on the wires", () => {
  for (const { name, orders, ...cast } of cases) {
    test(name, (t) => {
      const tally = playEveryOrder(() => new CrossingWorld(cast));
      t.diagnostic(`${tally.orders} orders, ${tally.moves} moves`);
      assert.ok(tally.orders >= orders, `there were only ${tally.orders} orders`);
    });
  }
});
