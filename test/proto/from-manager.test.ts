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
  | { readonly what: "ack"; readonly frames: number };

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
  else if (said.what === "ack") toGateway.ack(batch, said.frames);
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
    ack: (frames) => heard.push({ what: "ack", frames }),
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
  record({ what: fc.constant("ack"), frames: fc.maxSafeNat() }),
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
