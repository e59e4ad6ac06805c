/** A guard does what a naive model does, which keeps everything in lists and counts it each time. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Guard, type GuardLimits } from "../../gateway/guard/guard.ts";
import type { Refusal } from "../../gateway/guard/refusal.ts";
import { FakeClock } from "../helpers/fake-clock.ts";

const RUNS = 1500;

/** Every address, with what counts as one place with it. */
const PLACES: Readonly<Record<string, string>> = {
  "": "",
  "192.0.2.1": "a",
  "192.0.2.2": "b",
  "198.51.100.1": "c",
  "2001:db8::1": "d",
  "2001:db8::2": "d",
  "2001:db8:0:1::1": "e",
};
const ADDRESSES = Object.keys(PLACES);

/** Steps of the clock and times of tokens are binary fractions, so that the model is exact. */
const STEP_MS = 125;

class Bucket {
  readonly #rate: number;
  readonly #burst: number;
  #tokens: number;
  #at = 0;

  constructor(rate: number, burst: number) {
    this.#rate = rate;
    this.#burst = Math.max(1, burst);
    this.#tokens = this.#burst;
  }

  take(now: number): boolean {
    if (this.#rate === 0) return true;
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) / 1000) * this.#rate);
    this.#at = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}

class Model {
  now = 0;
  readonly open: string[] = [];
  readonly #limits: GuardLimits;
  readonly #bans: { readonly place: string; readonly until: number }[] = [];
  readonly #buckets = new Map<string, Bucket>();
  readonly #all: Bucket;

  constructor(limits: GuardLimits) {
    this.#limits = limits;
    this.#all = new Bucket(limits.connectionRate, limits.connectionBurst);
  }

  tolerates(address: string): Refusal | undefined {
    const { allow, deny } = this.#limits;
    if (address === "") return undefined;
    if (deny.includes(address)) return "denied";
    if (allow.length > 0 && !allow.includes(address)) return "not-allowed";
    const banned = this.#bans.some(({ place, until }) => place === PLACES[address] && until > this.now);
    return banned ? "banned" : undefined;
  }

  enter(address: string): Refusal | undefined {
    const refusal = this.tolerates(address) ?? this.#crowded(address) ?? this.#hurried(address);
    if (refusal === undefined) this.open.push(address);
    return refusal;
  }

  ban(address: string, ms: number): void {
    if (address !== "") this.#bans.push({ place: PLACES[address] ?? "", until: this.now + ms });
  }

  #crowded(address: string): Refusal | undefined {
    const { maxConnections, maxConnectionsPerAddress, maxConnectionsPerPrefix } = this.#limits;
    const full = (most: number, same: (other: string) => boolean) =>
      most > 0 && this.open.filter(same).length >= most;
    if (full(maxConnections, () => true)) return "too-many-connections";
    if (address === "") return undefined;
    if (full(maxConnectionsPerAddress, (other) => other === address)) return "too-many-from-address";
    const inPrefix = (other: string) => address.includes(":") && PLACES[other] === PLACES[address];
    return full(maxConnectionsPerPrefix, inPrefix) ? "too-many-from-prefix" : undefined;
  }

  #hurried(address: string): Refusal | undefined {
    const place = PLACES[address] ?? "";
    const { addressRate, addressBurst } = this.#limits;
    const own = this.#buckets.get(place) ?? new Bucket(addressRate, addressBurst);
    this.#buckets.set(place, own);
    if (address !== "" && !own.take(this.now)) return "address-rate";
    return this.#all.take(this.now) ? undefined : "connection-rate";
  }
}

const some = (most: number) => fc.oneof(fc.constant(0), fc.integer({ min: 1, max: most }));
const rate = fc.constantFrom(0, 0.5, 1, 4);
const list = fc.oneof(fc.constant([]), fc.subarray(ADDRESSES.slice(1)));
const limits: fc.Arbitrary<GuardLimits> = fc.record({
  allow: fc.oneof(fc.constant([]), fc.constant([]), list),
  deny: fc.oneof(fc.constant([]), fc.subarray(ADDRESSES.slice(1), { maxLength: 2 })),
  allowFile: fc.constant(undefined),
  denyFile: fc.constant(undefined),
  maxConnections: some(8),
  maxConnectionsPerAddress: some(3),
  maxConnectionsPerPrefix: some(4),
  connectionRate: rate,
  connectionBurst: fc.nat(6),
  addressRate: rate,
  addressBurst: fc.nat(4),
});
const who = fc.constantFrom(...ADDRESSES);
const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant("enter" as const), who }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("leave" as const), which: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("ban" as const), who, steps: fc.nat(12) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("wait" as const), steps: fc.nat(8) }) },
  ),
  { maxLength: 80 },
);

test("a guard lets in and turns away whom the model does, and for the same reason", () => {
  const answers = new Map<string, number>();
  fc.assert(
    fc.property(limits, steps, (given, played) => {
      const clock = new FakeClock();
      const guard = new Guard({ limits: given, clock, changed() {}, failed: assert.fail });
      const model = new Model(given);
      for (const step of played) {
        if (step.do === "enter") {
          const expected = model.enter(step.who);
          answers.set(expected ?? "let in", (answers.get(expected ?? "let in") ?? 0) + 1);
          assert.equal(guard.enter(step.who), expected);
        } else if (step.do === "leave") {
          const [leaving] = model.open.splice(step.which % (model.open.length || 1), 1);
          if (leaving !== undefined) guard.leave(leaving);
        } else if (step.do === "ban") {
          model.ban(step.who, step.steps * STEP_MS);
          guard.ban(step.who, step.steps * STEP_MS);
        } else {
          clock.advance(step.steps * STEP_MS);
          model.now = clock.now();
        }
        for (const address of ADDRESSES) assert.equal(guard.tolerates(address), model.tolerates(address));
      }
      for (const address of model.open) guard.leave(address);
      guard.stop();
    }),
    { numRuns: RUNS },
  );
  // Every answer has come up, so that the runs were about something.
  assert.deepEqual([...answers.keys()].sort(), [
    "address-rate",
    "banned",
    "connection-rate",
    "denied",
    "let in",
    "not-allowed",
    "too-many-connections",
    "too-many-from-address",
    "too-many-from-prefix",
  ]);
});
