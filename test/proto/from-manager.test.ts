import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type * as body from "../../proto/bodies.ts";
import { FromManager, fromManagerBounds } from "../../proto/frame.ts";
import { FrameBatch } from "../../proto/frame-batch.ts";
import { FrameReader } from "../../proto/frame-reader.ts";
import { type FromManagerHandler, readFromManager, toGateway } from "../../proto/from-manager.ts";
import { anyOf, managerBodies, sample } from "./body-specs.ts";
import { pack } from "./msgpack.ts";
import { anyName, badNames } from "./names.ts";
import { cutAnywhere, frame, hex, refusal, sessionFrame } from "./support.ts";

type Said =
  | { readonly what: "message"; readonly session: number; readonly payload: Buffer }
  | { readonly what: "messageAll"; readonly payload: Buffer }
  | { readonly what: "drop"; readonly session: number; readonly body: body.Drop }
  | { readonly what: "dropDiscard"; readonly session: number; readonly body: body.Drop }
  | { readonly what: "shutdown"; readonly body: body.Shutdown }
  | { readonly what: "registered"; readonly body: body.Registered }
  | { readonly what: "rejected"; readonly body: body.Rejected }
  | { readonly what: "challenge"; readonly body: body.Challenge }
  | { readonly what: "pong"; readonly body: body.Pong }
  | { readonly what: "admit"; readonly session: number }
  | { readonly what: "handoff"; readonly session: number; readonly body: body.Handoff }
  | { readonly what: "ack"; readonly frames: number }
  | { readonly what: "messageMany"; readonly sessions: Uint32Array; readonly payload: Buffer }
  | { readonly what: "messageGroup"; readonly name: string; readonly payload: Buffer }
  | { readonly what: "messageUser"; readonly name: string; readonly payload: Buffer }
  | { readonly what: "bind"; readonly session: number; readonly name: string }
  | { readonly what: "addToGroup"; readonly session: number; readonly name: string }
  | { readonly what: "removeFromGroup"; readonly session: number; readonly name: string };

function say(batch: FrameBatch, said: Said): void {
  if (said.what === "message") toGateway.message(batch, said.session, said.payload);
  else if (said.what === "messageAll") toGateway.messageAll(batch, said.payload);
  else if (said.what === "drop") toGateway.drop(batch, said.session, said.body);
  else if (said.what === "dropDiscard") toGateway.dropDiscard(batch, said.session, said.body);
  else if (said.what === "shutdown") toGateway.shutdown(batch, said.body);
  else if (said.what === "registered") toGateway.registered(batch, said.body);
  else if (said.what === "rejected") toGateway.rejected(batch, said.body);
  else if (said.what === "challenge") toGateway.challenge(batch, said.body);
  else if (said.what === "admit") toGateway.admit(batch, said.session);
  else if (said.what === "handoff") toGateway.handoff(batch, said.session, said.body);
  else if (said.what === "ack") toGateway.ack(batch, said.frames);
  else if (said.what === "messageMany") toGateway.messageMany(batch, said.sessions, said.payload);
  else if (said.what === "messageGroup" || said.what === "messageUser")
    toGateway[said.what](batch, said.name, said.payload);
  else if (said.what === "bind" || said.what === "addToGroup" || said.what === "removeFromGroup")
    toGateway[said.what](batch, said.session, said.name);
  else toGateway.pong(batch, said.body);
}

/** An `Admit` as it is written. */
function admitted(session: number): Buffer[] {
  const batch = new FrameBatch();
  toGateway.admit(batch, session);
  return batch.take();
}

/** A handler that keeps what it hears. */
function listener(heard: Said[]): FromManagerHandler {
  return {
    message(session, bytes, start, end) {
      heard.push({ what: "message", session, payload: Buffer.from(bytes.subarray(start, end)) });
    },
    messageAll(bytes, start, end) {
      heard.push({ what: "messageAll", payload: Buffer.from(bytes.subarray(start, end)) });
    },
    drop: (session, body) => heard.push({ what: "drop", session, body }),
    dropDiscard: (session, body) => heard.push({ what: "dropDiscard", session, body }),
    shutdown: (body) => heard.push({ what: "shutdown", body }),
    registered: (body) => heard.push({ what: "registered", body }),
    rejected: (body) => heard.push({ what: "rejected", body }),
    challenge: (body) => heard.push({ what: "challenge", body }),
    pong: (body) => heard.push({ what: "pong", body }),
    admit: (session) => heard.push({ what: "admit", session }),
    handoff: (session, body) => heard.push({ what: "handoff", session, body }),
    ack: (frames) => heard.push({ what: "ack", frames }),
    messageMany(sessions, bytes, start, end) {
      heard.push({ what: "messageMany", sessions, payload: Buffer.from(bytes.subarray(start, end)) });
    },
    messageGroup(name, bytes, start, end) {
      heard.push({ what: "messageGroup", name, payload: Buffer.from(bytes.subarray(start, end)) });
    },
    messageUser(name, bytes, start, end) {
      heard.push({ what: "messageUser", name, payload: Buffer.from(bytes.subarray(start, end)) });
    },
    bind: (session, name) => heard.push({ what: "bind", session, name }),
    addToGroup: (session, name) => heard.push({ what: "addToGroup", session, name }),
    removeFromGroup: (session, name) => heard.push({ what: "removeFromGroup", session, name }),
  };
}

function hear(...pieces: readonly Buffer[]): Said[] {
  const heard: Said[] = [];
  const handler = listener(heard);
  const reader = new FrameReader(fromManagerBounds, 1024 * 1024, (type, bytes, start, end) =>
    readFromManager(handler, type, bytes, start, end),
  );
  for (const piece of pieces) reader.push(piece);
  return heard;
}

const session = fc.integer({ min: 0, max: 0xffffffff });
const payload = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));

function bodyOf(name: keyof typeof managerBodies): fc.Arbitrary<unknown> {
  return anyOf(managerBodies[name].keys);
}

/** A record like those that a handler makes. */
function record(model: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<unknown> {
  return fc.record(model, { noNullPrototype: true });
}

const anything = fc.oneof(
  record({ what: fc.constant("message"), session, payload }),
  record({ what: fc.constant("messageAll"), payload }),
  record({ what: fc.constant("drop"), session, body: bodyOf("Drop") }),
  record({ what: fc.constant("dropDiscard"), session, body: bodyOf("DropDiscard") }),
  record({ what: fc.constant("shutdown"), body: bodyOf("Shutdown") }),
  record({ what: fc.constant("registered"), body: bodyOf("Registered") }),
  record({ what: fc.constant("rejected"), body: bodyOf("Rejected") }),
  record({ what: fc.constant("challenge"), body: bodyOf("Challenge") }),
  record({ what: fc.constant("pong"), body: bodyOf("Pong") }),
  record({ what: fc.constant("admit"), session }),
  record({ what: fc.constant("handoff"), session, body: bodyOf("Handoff") }),
  record({ what: fc.constant("ack"), frames: fc.maxSafeNat() }),
  record({ what: fc.constant("messageMany"), sessions: fc.uint32Array({ maxLength: 20 }), payload }),
  record({ what: fc.constantFrom("messageGroup", "messageUser"), name: anyName, payload }),
  record({ what: fc.constantFrom("addToGroup", "removeFromGroup"), session, name: anyName }),
  record({ what: fc.constant("bind"), session, name: fc.oneof(anyName, fc.constant("")) }),
) as fc.Arbitrary<Said>;

describe("what a manager says", () => {
  test("is heard as it was said, wherever its bytes are cut", () => {
    const check = (said: readonly Said[], cuts: readonly number[]) => {
      const batch = new FrameBatch(256, 2);
      for (const one of said) say(batch, one);
      assert.deepEqual(hear(...cutAnywhere(Buffer.concat(batch.take()), cuts)), said);
    };
    const cuts = fc.array(fc.nat(), { maxLength: 20 });
    fc.assert(fc.property(fc.array(anything, { maxLength: 20 }), cuts, check), { numRuns: 200 });
  });

  test("a map with nothing in it is left out", () => {
    const batch = new FrameBatch();
    toGateway.drop(batch, 7);
    toGateway.drop(batch, 7, { reason: undefined, code: undefined, banMs: undefined });
    toGateway.dropDiscard(batch, 7, {});
    toGateway.shutdown(batch);
    toGateway.shutdown(batch, { reason: undefined, drainMs: undefined });
    const expected = [
      sessionFrame(FromManager.Drop, 7),
      sessionFrame(FromManager.Drop, 7),
      sessionFrame(FromManager.DropDiscard, 7),
      frame(FromManager.Shutdown),
      frame(FromManager.Shutdown),
    ];
    assert.deepEqual(Buffer.concat(batch.take()), Buffer.concat(expected));
  });

  test("a value that is 0 or empty is not nothing", () => {
    const batch = new FrameBatch();
    toGateway.drop(batch, 7, { code: 0 });
    toGateway.dropDiscard(batch, 7, { banMs: 0 });
    toGateway.shutdown(batch, { reason: "", drainMs: 0 });
    assert.deepEqual(
      Buffer.concat(batch.take()),
      Buffer.concat([
        sessionFrame(FromManager.Drop, 7, pack({ code: 0 })),
        sessionFrame(FromManager.DropDiscard, 7, pack({ banMs: 0 })),
        frame(FromManager.Shutdown, pack({ reason: "", drainMs: 0 })),
      ]),
    );
  });
});

describe("what a gateway hears", () => {
  test("each frame goes to its own handler, with its session", () => {
    const heard = hear(
      sessionFrame(FromManager.Msg, 0xffffffff, hex("00")),
      frame(FromManager.MsgAll),
      sessionFrame(FromManager.Drop, 1),
      sessionFrame(FromManager.DropDiscard, 0xffffffff, pack({ code: 1 })),
      frame(FromManager.Shutdown, pack({ drainMs: 0 })),
      frame(FromManager.Shutdown),
      sessionFrame(FromManager.Admit, 0xffffffff),
    );
    assert.deepEqual(heard, [
      { what: "message", session: 0xffffffff, payload: hex("00") },
      { what: "messageAll", payload: Buffer.alloc(0) },
      { what: "drop", session: 1, body: {} },
      { what: "dropDiscard", session: 0xffffffff, body: { code: 1 } },
      { what: "shutdown", body: { drainMs: 0 } },
      { what: "shutdown", body: {} },
      { what: "admit", session: 0xffffffff },
    ]);
  });

  test("an empty map is as good as none", () => {
    assert.deepEqual(
      hear(sessionFrame(FromManager.Drop, 1, hex("80")), frame(FromManager.Shutdown, hex("80"))),
      [
        { what: "drop", session: 1, body: {} },
        { what: "shutdown", body: {} },
      ],
    );
  });

  test("an Ack is a count of 8 bytes, little-endian", () => {
    assert.deepEqual(hear(frame(FromManager.Ack, hex("0201000000000000"))), [{ what: "ack", frames: 258 }]);
    assert.deepEqual(hear(frame(FromManager.Ack, hex("ffffffffffff1f00"))), [
      { what: "ack", frames: Number.MAX_SAFE_INTEGER },
    ]);
  });

  test("an Ack for more frames than can be is refused", () => {
    for (const count of ["0000000000002000", "ffffffffffffffff"])
      assert.throws(() => hear(frame(FromManager.Ack, hex(count))), refusal("bad-ack"));
  });

  test("an Admit is a session and nothing more", () => {
    assert.deepEqual(Buffer.concat(admitted(0x00300007)), hex("27000000 04000000 07003000"));
    for (const data of ["", "070030", "0700300080"])
      assert.throws(() => hear(frame(FromManager.Admit, hex(data))), refusal("bad-length", /^Admit of /));
  });

  test("a body that is no map is refused", () => {
    for (const type of [FromManager.Drop, FromManager.DropDiscard])
      assert.throws(() => hear(sessionFrame(type, 7, hex("c0"))), refusal("bad-map"));
    for (const name of ["Shutdown", "Registered", "Rejected", "Challenge", "Pong"] as const)
      assert.throws(() => hear(frame(FromManager[name], hex("c0"))), refusal("bad-map"));
  });

  test("a map that is not the frame's own is refused, and names the frame", () => {
    const wrong = pack({ reason: 7, id: 7, code: 7.5, seq: "7" });
    for (const name of ["Drop", "DropDiscard"] as const)
      assert.throws(
        () => hear(sessionFrame(FromManager[name], 7, wrong)),
        refusal("bad-body", RegExp(`^${name}\\.`)),
      );
    for (const name of ["Shutdown", "Registered", "Rejected", "Challenge", "Pong"] as const)
      assert.throws(() => hear(frame(FromManager[name], wrong)), refusal("bad-body", RegExp(`^${name}\\.`)));
  });

  test("a Registered is heard with every key that it has", () => {
    const registered = sample(managerBodies.Registered.keys);
    assert.deepEqual(hear(frame(FromManager.Registered, pack(registered))), [
      { what: "registered", body: registered },
    ]);
  });
});

describe("what is for many", () => {
  const written = (write: (batch: FrameBatch) => void) => {
    const batch = new FrameBatch();
    write(batch);
    return Buffer.concat(batch.take());
  };

  test("is told with their ids and the payload, once", () => {
    const bytes = written((batch) => toGateway.messageMany(batch, [0x00300007, 0xffffffff], hex("6869")));
    assert.deepEqual(bytes, hex("20000000 0e000000 02000000 07003000 ffffffff 6869"));
  });

  test("is told with a name behind its length in bytes", () => {
    assert.deepEqual(
      written((batch) => toGateway.messageGroup(batch, "é", hex("6869"))),
      hex("24000000 05000000 02 c3a9 6869"),
    );
    assert.deepEqual(
      written((batch) => toGateway.messageUser(batch, "ann", Buffer.alloc(0))),
      hex("25000000 04000000 03 616e6e"),
    );
  });

  test("may be for nobody, and may be empty", () => {
    assert.deepEqual(hear(frame(FromManager.MsgMany, hex("00000000"))), [
      { what: "messageMany", sessions: new Uint32Array(0), payload: Buffer.alloc(0) },
    ]);
    assert.deepEqual(hear(frame(FromManager.MsgGroup, hex("01 61"))), [
      { what: "messageGroup", name: "a", payload: Buffer.alloc(0) },
    ]);
  });

  test("for more sessions than there are in it is refused", () => {
    const one = "07003000";
    for (const [count, rest] of [
      ["01000000", ""],
      ["01000000", "070030"],
      ["03000000", one + one],
      ["00000040", one],
      ["ffffffff", one],
    ]) {
      const body = hex(`${count}${rest}`);
      assert.throws(() => hear(frame(FromManager.MsgMany, body)), refusal("bad-body", /^MsgMany /));
    }
    assert.throws(() => hear(frame(FromManager.MsgMany, hex("010000"))), refusal("bad-length"));
  });

  test("has a list of sessions of its own, which outlives the frame's bytes", () => {
    const bytes = frame(FromManager.MsgMany, hex("01000000 07003000"));
    const [heard] = hear(bytes);
    bytes.fill(0xff);
    assert.deepEqual(heard?.what === "messageMany" && [...heard.sessions], [0x00300007]);
  });

  test("with a name that is none is refused", () => {
    for (const type of ["MsgGroup", "MsgUser"] as const) {
      for (const { name, bytes } of badNames) {
        const body = Buffer.concat([Buffer.from([bytes.length]), bytes, hex("00")]);
        const wrong = refusal("bad-body", RegExp(`^${type}'s name`));
        assert.throws(() => hear(frame(FromManager[type], body)), wrong, name);
      }
      for (const body of ["01", "03 6162", "ff 61"])
        assert.throws(
          () => hear(frame(FromManager[type], hex(body))),
          refusal("bad-body", /behind the frame/),
        );
      assert.throws(() => hear(frame(FromManager[type])), refusal("bad-length"));
    }
  });
});

describe("a name", () => {
  test("that is none is refused, of a user as of a group", () => {
    for (const type of ["Bind", "GroupAdd", "GroupRemove"] as const) {
      for (const { name, bytes } of badNames) {
        if (type === "Bind" && bytes.length === 0) continue;
        const wrong = refusal("bad-body", RegExp(`^${type}'s name`));
        assert.throws(() => hear(sessionFrame(FromManager[type], 7, bytes)), wrong, name);
      }
      assert.throws(() => hear(frame(FromManager[type], hex("070030"))), refusal("bad-length"));
    }
  });

  test("of a user may be left out", () => {
    assert.deepEqual(hear(sessionFrame(FromManager.Bind, 7)), [{ what: "bind", session: 7, name: "" }]);
  });

  test("is its bytes: a byte order mark is a part of it", () => {
    const marked = Buffer.from("\ufeffann");
    assert.deepEqual(hear(sessionFrame(FromManager.Bind, 7, marked)), [
      { what: "bind", session: 7, name: "\ufeffann" },
    ]);
  });
});
