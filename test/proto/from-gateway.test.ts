import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type * as body from "../../proto/bodies.ts";
import { FromGateway, fromGatewayBounds } from "../../proto/frame.ts";
import { FrameBatch } from "../../proto/frame-batch.ts";
import { FrameReader } from "../../proto/frame-reader.ts";
import { type FromGatewayHandler, readFromGateway, toManager } from "../../proto/from-gateway.ts";
import { anyOf, gatewayBodies, sample } from "./body-specs.ts";
import { pack } from "./msgpack.ts";
import { anyName, badNames } from "./names.ts";
import { cutAnywhere, frame, hex, refusal, sessionFrame } from "./support.ts";

type Said =
  | { readonly what: "join"; readonly session: number; readonly body: body.Join }
  | { readonly what: "disconnected"; readonly session: number; readonly body: body.Disconnected }
  | { readonly what: "message"; readonly session: number; readonly payload: Buffer }
  | { readonly what: "ping"; readonly body: body.Ping }
  | { readonly what: "register"; readonly body: body.Register }
  | { readonly what: "proof"; readonly body: body.Proof }
  | { readonly what: "listening"; readonly body: body.Listening }
  | { readonly what: "draining"; readonly body: body.Draining }
  | { readonly what: "ack"; readonly frames: number }
  | { readonly what: "bindRefused"; readonly session: number; readonly user: string }
  | { readonly what: "handoffRefused"; readonly session: number; readonly body: body.HandoffRefused };

function say(batch: FrameBatch, said: Said): void {
  if (said.what === "message") toManager.message(batch, said.session, said.payload, 0, said.payload.length);
  else if (said.what === "join") toManager.join(batch, said.session, said.body);
  else if (said.what === "disconnected") toManager.disconnected(batch, said.session, said.body);
  else if (said.what === "ping") toManager.ping(batch, said.body);
  else if (said.what === "register") toManager.register(batch, said.body);
  else if (said.what === "proof") toManager.proof(batch, said.body);
  else if (said.what === "listening") toManager.listening(batch, said.body.endpoints);
  else if (said.what === "ack") toManager.ack(batch, said.frames);
  else if (said.what === "bindRefused") toManager.bindRefused(batch, said.session, said.user);
  else if (said.what === "handoffRefused") toManager.handoffRefused(batch, said.session, said.body);
  else toManager.draining(batch, said.body);
}

/** A handler that keeps what it hears. */
function listener(heard: Said[]): FromGatewayHandler {
  return {
    join: (session, body) => heard.push({ what: "join", session, body }),
    disconnected: (session, body) => heard.push({ what: "disconnected", session, body }),
    message(session, bytes, start, end) {
      heard.push({ what: "message", session, payload: Buffer.from(bytes.subarray(start, end)) });
    },
    ping: (body) => heard.push({ what: "ping", body }),
    register: (body) => heard.push({ what: "register", body }),
    proof: (body) => heard.push({ what: "proof", body }),
    listening: (body) => heard.push({ what: "listening", body }),
    draining: (body) => heard.push({ what: "draining", body }),
    ack: (frames) => heard.push({ what: "ack", frames }),
    bindRefused: (session, user) => heard.push({ what: "bindRefused", session, user }),
    handoffRefused: (session, body) => heard.push({ what: "handoffRefused", session, body }),
  };
}

function hear(...pieces: readonly Buffer[]): Said[] {
  const heard: Said[] = [];
  const handler = listener(heard);
  const reader = new FrameReader(fromGatewayBounds, 1024 * 1024, (type, bytes, start, end) =>
    readFromGateway(handler, type, bytes, start, end),
  );
  for (const piece of pieces) reader.push(piece);
  return heard;
}

const session = fc.integer({ min: 0, max: 0xffffffff });
const payload = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));

function bodyOf(name: keyof typeof gatewayBodies): fc.Arbitrary<unknown> {
  return anyOf(gatewayBodies[name].keys);
}

/** A record like those that a handler makes. */
function record(model: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<unknown> {
  return fc.record(model, { noNullPrototype: true });
}

const anything = fc.oneof(
  record({ what: fc.constant("join"), session, body: bodyOf("CLJoin") }),
  record({ what: fc.constant("disconnected"), session, body: bodyOf("CLDisconnected") }),
  record({ what: fc.constant("message"), session, payload }),
  record({ what: fc.constant("ping"), body: bodyOf("Ping") }),
  record({ what: fc.constant("register"), body: bodyOf("Register") }),
  record({ what: fc.constant("proof"), body: bodyOf("Proof") }),
  record({ what: fc.constant("listening"), body: bodyOf("Listening") }),
  record({ what: fc.constant("draining"), body: bodyOf("Draining") }),
  record({ what: fc.constant("ack"), frames: fc.maxSafeNat() }),
  record({ what: fc.constant("bindRefused"), session, user: anyName }),
  record({ what: fc.constant("handoffRefused"), session, body: bodyOf("HandoffRefused") }),
) as fc.Arbitrary<Said>;

describe("what a gateway says", () => {
  test("is heard as it was said, wherever its bytes are cut", () => {
    const check = (said: readonly Said[], cuts: readonly number[]) => {
      const batch = new FrameBatch(256, 2);
      for (const one of said) say(batch, one);
      assert.deepEqual(hear(...cutAnywhere(Buffer.concat(batch.take()), cuts)), said);
    };
    const cuts = fc.array(fc.nat(), { maxLength: 20 });
    fc.assert(fc.property(fc.array(anything, { maxLength: 20 }), cuts, check), { numRuns: 200 });
  });

  test("a payload may be part of a buffer", () => {
    const batch = new FrameBatch();
    toManager.message(batch, 0x00300007, hex("00112233"), 1, 3);
    toManager.message(batch, 0x00300007, hex("00112233"), 2, 2);
    assert.deepEqual(
      Buffer.concat(batch.take()),
      Buffer.concat([
        sessionFrame(FromGateway.Msg, 0x00300007, hex("1122")),
        sessionFrame(FromGateway.Msg, 0x00300007),
      ]),
    );
  });
});

describe("what a manager hears", () => {
  test("each frame goes to its own handler, with its session", () => {
    const [joined, ended] = [sample(gatewayBodies.CLJoin.keys), sample(gatewayBodies.CLDisconnected.keys)];
    const heard = hear(
      sessionFrame(FromGateway.CLJoin, 0xffffffff, pack(joined)),
      sessionFrame(FromGateway.Msg, 0xffffffff, hex("00")),
      sessionFrame(FromGateway.CLDisconnected, 0xffffffff, pack(ended)),
    );
    assert.deepEqual(heard, [
      { what: "join", session: 0xffffffff, body: joined },
      { what: "message", session: 0xffffffff, payload: hex("00") },
      { what: "disconnected", session: 0xffffffff, body: ended },
    ]);
  });

  test("an Ack is a count of 8 bytes, little-endian", () => {
    assert.deepEqual(hear(frame(FromGateway.Ack, hex("0201000000000000"))), [{ what: "ack", frames: 258 }]);
    assert.deepEqual(hear(frame(FromGateway.Ack, hex("ffffffffffff1f00"))), [
      { what: "ack", frames: Number.MAX_SAFE_INTEGER },
    ]);
  });

  test("an Ack for more frames than can be is refused", () => {
    for (const count of ["0000000000002000", "ffffffffffffffff"])
      assert.throws(() => hear(frame(FromGateway.Ack, hex(count))), refusal("bad-ack"));
  });

  test("a body that is no map, or not the frame's own, is refused and tells no handler", () => {
    for (const [name, type] of Object.entries(FromGateway)) {
      if (name === "Msg" || name === "Ack" || name === "BindRefused") continue;
      const send =
        name.startsWith("CL") || name === "HandoffRefused"
          ? sessionFrame.bind(undefined, type, 7)
          : frame.bind(undefined, type);
      assert.throws(() => hear(send(hex("c0"))), refusal("bad-map"));
      assert.throws(() => hear(send(hex("80"))), refusal("bad-body", RegExp(`^${name}\\.`)));
    }
  });

  test("a BindRefused without a name that is one is refused", () => {
    for (const { name, bytes } of badNames)
      assert.throws(() => hear(sessionFrame(FromGateway.BindRefused, 7, bytes)), refusal("bad-body"), name);
    assert.throws(() => hear(frame(FromGateway.BindRefused, hex("070000"))), refusal("bad-length"));
  });
});
