/**
 * The map bodies once more, as docs/protocol.md has them, written beside the code and not out of it: for each
 * key some values that fit, at its bounds, and some that do not, just beyond them and of every other type.
 */

import fc from "fast-check";
import * as bodies from "../../proto/bodies.ts";
import type { Field } from "../../proto/shape.ts";
import { float64, type Packable, Raw } from "./msgpack.ts";

export interface KeySpec {
  readonly optional: boolean;
  /** The first is the ordinary one. */
  readonly fits: readonly Packable[];
  readonly misfits: readonly Packable[];
  /** Any value that fits and that the codec itself writes. */
  readonly any: fc.Arbitrary<unknown>;
}

export interface BodySpec {
  readonly read: Field<unknown>;
  readonly keys: Readonly<Record<string, KeySpec>>;
}

const NAN = Number.NaN;
const INFINITE = Number.POSITIVE_INFINITY;
const bin16 = Buffer.from("000102030405060708090a0b0c0d0e0f", "hex");
const bin32 = Buffer.from("647eb59a55b2975ddbdb349683ad5ec4f00a0a8a513a697cd7911e1a8f174bbd", "hex");
const noNumbers: readonly Packable[] = [null, true, "7", "", bin16, [], [7], {}];

function integer(min: number, max: number): KeySpec {
  const fits = [min, max, new Raw(float64(min)), new Raw(float64(max))];
  const misfits = [min - 1, max + 1, min + 0.5, NAN, INFINITE, -INFINITE, ...noNumbers];
  return {
    optional: false,
    fits,
    misfits,
    any: fc.oneof(fc.integer({ min, max }), fc.constantFrom(min, max)),
  };
}

const count = integer(0, Number.MAX_SAFE_INTEGER);

const number: KeySpec = {
  optional: false,
  fits: [0, 0.25, 1_767_225_600_000, 1e300],
  misfits: [-1, -0.001, NAN, INFINITE, -INFINITE, ...noNumbers],
  any: fc.oneof(fc.maxSafeNat(), fc.double({ min: 0, noNaN: true, noDefaultInfinity: true })),
};

function text(maxLength: number): KeySpec {
  const fits = ["a", "", "x".repeat(maxLength), "é".repeat(maxLength), "\u0000"];
  const misfits = ["x".repeat(maxLength + 1), null, false, 7, NAN, bin16, [], ["a"], {}];
  const ordinary = fc.string({ maxLength: Math.min(maxLength, 40) });
  const any = fc.oneof(
    ordinary,
    fc.nat(maxLength).map((length) => "é".repeat(length)),
  );
  return { optional: false, fits, misfits, any };
}

function oneOf(...values: readonly string[]): KeySpec {
  const misfits = ["", "nobody", `${values[0]} `, null, 0, true, bin16, [], {}];
  return { optional: false, fits: values, misfits, any: fc.constantFrom(...values) };
}

const boolean: KeySpec = {
  optional: false,
  fits: [false, true],
  misfits: [null, 0, 1, "true", bin16, [], {}],
  any: fc.boolean(),
};

function bin(length: 16 | 32): KeySpec {
  const misfits = [Buffer.alloc(0), Buffer.alloc(length - 1), Buffer.alloc(length + 1), null, 7, true];
  return {
    optional: false,
    fits: [length === 16 ? bin16 : bin32, Buffer.alloc(length, 0xff)],
    misfits: [...misfits, "x".repeat(length), Array<number>(length).fill(1), {}],
    any: fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => Buffer.from(bytes)),
  };
}

/** What a manager gives along with a session: not empty of necessity, and not too long. */
const handoffData = optional({
  optional: false,
  fits: [bin16, Buffer.alloc(0), Buffer.alloc(61_440, 7)],
  misfits: [Buffer.alloc(61_441), null, 7, true, "x", [1], {}],
  any: fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
});

/** A map within a map. */
function map(keys: Readonly<Record<string, KeySpec>>): KeySpec {
  return {
    optional: false,
    fits: [sample(keys), { ...sample(keys), later: [null] }],
    misfits: [null, 7, true, "map", bin16, [], [sample(keys)], ...spoiled(keys)],
    any: anyOf(keys),
  };
}

function list(item: KeySpec, maxLength: number): KeySpec {
  const [one = null] = item.fits;
  const inItem = item.misfits.map((misfit) => [one, misfit]);
  const misfits = [null, 7, true, "list", bin16, {}, Array<Packable>(maxLength + 1).fill(one), ...inItem];
  return {
    optional: false,
    fits: [[one], [], Array<Packable>(maxLength).fill(one)],
    misfits,
    any: fc.array(item.any, { maxLength: 5 }),
  };
}

/** A map of at most `maxSize` keys, whatever they are called. */
function record(item: KeySpec, maxSize: number): KeySpec {
  const [one = null] = item.fits;
  const sized = (size: number) => Object.fromEntries(Array.from({ length: size }, (_, i) => [`k${i}`, one]));
  const inItem = item.misfits.map((misfit) => ({ a: one, b: misfit }));
  return {
    optional: false,
    fits: [{ a: one }, {}, sized(maxSize), { "": one, toString: one, ["é".repeat(300)]: one }],
    misfits: [null, 7, true, "map", bin16, [], [{ a: one }], sized(maxSize + 1), ...inItem],
    any: fc.dictionary(fc.string({ maxLength: 20 }), item.any, { maxKeys: 5, noNullPrototype: true }),
  };
}

/** Nil is no misfit: it stands for a key that is missing. */
function optional(key: KeySpec): KeySpec {
  return { ...key, optional: true, misfits: key.misfits.filter((misfit) => misfit !== null) };
}

/** A body with every key. */
export function sample(keys: BodySpec["keys"]): { readonly [key: string]: Packable } {
  return Object.fromEntries(Object.entries(keys).map(([name, { fits }]) => [name, fits[0] ?? null]));
}

/** Any body that fits, with and without its optional keys. */
export function anyOf(keys: BodySpec["keys"]): fc.Arbitrary<unknown> {
  const requiredKeys = Object.keys(keys).filter((name) => !keys[name]?.optional);
  const anyByKey = Object.fromEntries(Object.entries(keys).map(([name, { any }]) => [name, any]));
  return fc.record(anyByKey, { requiredKeys, noNullPrototype: true });
}

/** Every body that lacks one key which it must have, or has one that does not fit. */
export function spoiled(keys: BodySpec["keys"]): { readonly [key: string]: Packable }[] {
  return Object.entries(keys).flatMap(([name, { optional, misfits }]) => {
    const { [name]: _, ...without } = sample(keys);
    const mistyped = misfits.map((misfit) => ({ ...without, [name]: misfit }));
    return optional ? mistyped : [without, ...mistyped];
  });
}

const endpoint = map({
  transport: text(128),
  host: text(255),
  port: integer(0, 65535),
  name: text(128),
  framing: optional(text(128)),
});
const u32 = integer(0, 4_294_967_295);
const maxFrame = integer(65_536, 268_435_456);

/** The maps that a gateway sends, by the frame's name. */
export const gatewayBodies = {
  CLJoin: {
    read: bodies.join,
    keys: {
      addr: text(255),
      port: integer(0, 65535),
      transport: text(128),
      listener: text(128),
      at: number,
      framing: optional(text(128)),
      proxy: optional(text(255)),
      sni: optional(text(255)),
      alpn: optional(text(255)),
      certificate: optional(map({ name: text(255), fingerprint: text(64) })),
      path: optional(text(2048)),
      query: optional(text(4096)),
      subprotocol: optional(text(255)),
      headers: optional(record(text(512), 32)),
      user: optional(text(128)),
      context: optional(text(128)),
      rejoin: optional(boolean),
      admitted: optional(boolean),
      lostBytes: optional(count),
      groups: optional(list(text(128), 256)),
      from: optional(text(64)),
      fromSession: optional(integer(1, 2 ** 32 - 1)),
      data: handoffData,
    },
  },
  CLDisconnected: {
    read: bodies.disconnected,
    keys: {
      reason: oneOf(
        "client-closed",
        "client-reset",
        "slow-consumer",
        "dropped",
        "drop-discarded",
        "shutdown",
        "manager-lost",
        "error",
        "idle",
        "rate-limited",
        "bad-frame",
        "too-big",
        "denied",
        "not-admitted",
        "replaced",
        "handoff",
      ),
      by: oneOf("client", "gateway", "manager"),
      inBytes: count,
      outBytes: count,
      inMsgs: count,
      outMsgs: count,
      unsentBytes: count,
      ms: number,
      received: optional(count),
    },
  },
  Ping: {
    read: bodies.ping,
    keys: {
      seq: count,
      at: number,
      sessions: count,
      capacity: integer(0, 1_048_576),
      slots: optional(map({ freed: count, starting: count, inUse: count, stopping: count })),
      joins: optional(count),
      refused: optional(count),
      refusals: optional(record(count, 64)),
      ends: optional(record(count, 64)),
      linkEnds: optional(record(count, 64)),
      counters: optional(record(count, 64)),
      inBytes: optional(count),
      outBytes: optional(count),
      inMsgs: optional(count),
      outMsgs: optional(count),
      rssBytes: optional(count),
      cpuMs: optional(number),
      loopP99Ms: optional(number),
      loopMaxMs: optional(number),
      rttMs: optional(number),
    },
  },
  Register: {
    read: bodies.register,
    keys: {
      version: u32,
      name: text(128),
      pid: u32,
      endpoints: list(endpoint, 256),
      maxFrame,
      nonce: bin(16),
      maxGroups: optional(integer(1, 256)),
      resume: optional(map({ epoch: bin(16), received: count })),
    },
  },
  Proof: { read: bodies.proof, keys: { proof: bin(32) } },
  Listening: { read: bodies.listening, keys: { endpoints: list(endpoint, 256) } },
  Draining: { read: bodies.draining, keys: { reason: text(1024), drainMs: number } },
  HandoffRefused: {
    read: bodies.handoffRefused,
    keys: { manager: text(64), code: text(128), message: text(1024) },
  },
} as const satisfies Record<string, BodySpec>;

const dropKeys = {
  reason: optional(text(1024)),
  code: optional(integer(0, 65535)),
  banMs: optional(integer(0, 31_536_000_000)),
};

/** The maps that a manager sends, by the frame's name. */
export const managerBodies = {
  Drop: { read: bodies.drop, keys: dropKeys },
  DropDiscard: { read: bodies.drop, keys: dropKeys },
  Shutdown: {
    read: bodies.shutdown,
    keys: { reason: optional(text(1024)), drainMs: optional(integer(0, 86_400_000)) },
  },
  Registered: {
    read: bodies.registered,
    keys: {
      id: integer(1, 4_294_967_295),
      capacity: integer(1, 1_048_576),
      epoch: bin(16),
      pingMs: integer(100, 600_000),
      maxFrame,
      resumed: boolean,
      received: count,
      admit: optional(boolean),
    },
  },
  Rejected: { read: bodies.rejected, keys: { code: text(128), message: text(1024) } },
  Challenge: { read: bodies.challenge, keys: { nonce: bin(16), proof: bin(32) } },
  Pong: { read: bodies.pong, keys: { seq: count, at: number } },
  Handoff: {
    read: bodies.handoff,
    keys: { manager: text(64), data: handoffData, received: optional(count) },
  },
} as const satisfies Record<string, BodySpec>;

/** All of them as one list of a name and a spec. */
export const allBodies: readonly (readonly [string, BodySpec])[] = [
  ...Object.entries(gatewayBodies),
  ...Object.entries(managerBodies),
];
