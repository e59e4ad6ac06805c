import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DEFAULT_MAX_FRAME, FromGateway, MAX_MAP_BYTES, MIN_MAX_FRAME } from "../../proto/frame.ts";
import type { FrameBatch } from "../../proto/frame-batch.ts";
import { toManager } from "../../proto/from-gateway.ts";
import { encodeMap, type MapValue } from "../../proto/map-body.ts";
import type { ProtocolErrorCode } from "../../proto/protocol-error.ts";
import { startManager } from "../helpers/rig.ts";
import { next } from "../helpers/wait.ts";
import { startJoined } from "./joined.ts";
import { JOIN, LEFT, RawGateway, REGISTER, session } from "./raw-gateway.ts";
import { recordEvents } from "./recorded.ts";

interface Violation {
  readonly what: string;
  readonly code: ProtocolErrorCode;
  readonly message: RegExp;
  readonly say: (batch: FrameBatch) => void;
}

type AnyMap = Readonly<Record<string, MapValue | undefined>>;

/** The header of a frame whose body never comes. */
function header(type: number, length: number): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(type);
  header.writeUInt32LE(length, 4);
  return header;
}

const joined = session(0);
const never = session(1);
const payload = Buffer.from("hello");
const message = (id: number) => (batch: FrameBatch) => toManager.message(batch, id, payload, 0, 5);
const map = (type: number, body: AnyMap) => (batch: FrameBatch) => batch.frame(type, encodeMap(body));
const sessionMap = (type: number, id: number, body: AnyMap) => (batch: FrameBatch) =>
  batch.sessionFrame(type, id, encodeMap(body));
const bytes =
  (type: number, ...body: number[]) =>
  (batch: FrameBatch) =>
    batch.frame(type, Buffer.from(body));
const PING = { seq: 1, at: 2, sessions: 0, capacity: 10 };

const beforeRegistration: readonly Violation[] = [
  {
    what: "a Msg",
    code: "unexpected-frame",
    message: /^Msg before Register/,
    say: message(joined),
  },
  {
    what: "a CLJoin",
    code: "unexpected-frame",
    message: /^CLJoin before Register/,
    say: (batch) => toManager.join(batch, joined, JOIN),
  },
  {
    what: "a CLDisconnected",
    code: "unexpected-frame",
    message: /^CLDisconnected before Register/,
    say: (batch) => toManager.disconnected(batch, joined, LEFT),
  },
  {
    what: "an Ack",
    code: "unexpected-frame",
    message: /^Ack before Register/,
    say: (batch) => toManager.ack(batch, 0),
  },
  {
    what: "a Ping",
    code: "unexpected-frame",
    message: /^Ping before Register/,
    say: (batch) => toManager.ping(batch, PING),
  },
  {
    what: "a Listening",
    code: "unexpected-frame",
    message: /^Listening before Register/,
    say: (batch) => toManager.listening(batch, []),
  },
  {
    what: "a Draining",
    code: "unexpected-frame",
    message: /^Draining before Register/,
    say: (batch) => toManager.draining(batch, { reason: "", drainMs: 0 }),
  },
  {
    what: "a Register without a name",
    code: "bad-body",
    message: /^Register\.name must be a string of at most 128 characters; it is missing/,
    say: map(FromGateway.Register, { ...REGISTER, endpoints: [], name: undefined }),
  },
  {
    what: "a Register whose maxFrame is too small",
    code: "bad-body",
    message: /^Register\.maxFrame must be a whole number/,
    say: (batch) => toManager.register(batch, { ...REGISTER, maxFrame: MIN_MAX_FRAME - 1 }),
  },
  {
    what: "what is not the protocol at all",
    code: "unknown-type",
    message: /^frame type 542393671 /,
    say: (batch) => batch.frame(Buffer.from("GET ").readUInt32LE(), Buffer.from("/ HTTP/1.1\r\n\r\n")),
  },
];

const onceRegistered: readonly Violation[] = [
  {
    what: "a second Register",
    code: "unexpected-frame",
    message: /^a second Register has no place here/,
    say: (batch) => toManager.register(batch, REGISTER),
  },
  {
    what: "a CLJoin of generation 0",
    code: "unexpected-frame",
    message: /^CLJoin for 5, which is never a session, has no place here/,
    say: (batch) => toManager.join(batch, 5, JOIN),
  },
  {
    what: "a second CLJoin for a session",
    code: "unexpected-frame",
    message: new RegExp(`^a second CLJoin for session ${joined} has`),
    say: (batch) => toManager.join(batch, joined, JOIN),
  },
  {
    what: "a CLJoin beyond the capacity",
    code: "unexpected-frame",
    message: /^CLJoin beyond the capacity of 2 has/,
    say: (batch) => {
      toManager.join(batch, session(7), JOIN);
      toManager.join(batch, session(8), JOIN);
    },
  },
  {
    what: "a Msg for a session that never joined",
    code: "unexpected-frame",
    message: new RegExp(`^Msg for session ${never}, which has not joined,`),
    say: message(never),
  },
  {
    what: "a Msg for a session that has left",
    code: "unexpected-frame",
    message: new RegExp(`^Msg for session ${joined}, which has not joined,`),
    say: (batch) => {
      toManager.disconnected(batch, joined, LEFT);
      message(joined)(batch);
    },
  },
  {
    what: "a CLDisconnected for a session that never joined",
    code: "unexpected-frame",
    message: new RegExp(`^CLDisconnected for session ${never}, which has not joined,`),
    say: (batch) => toManager.disconnected(batch, never, LEFT),
  },
  {
    what: "a second CLDisconnected",
    code: "unexpected-frame",
    message: new RegExp(`^CLDisconnected for session ${joined}, which has not joined,`),
    say: (batch) => {
      toManager.disconnected(batch, joined, LEFT);
      toManager.disconnected(batch, joined, LEFT);
    },
  },
  {
    what: "a Proof, which was not asked for",
    code: "unexpected-frame",
    message: /^a Proof that was not asked for has no place here/,
    say: (batch) => toManager.proof(batch, { proof: Buffer.alloc(32) }),
  },
  {
    what: "a body that is not a map",
    code: "bad-map",
    message: /^a body is not a map/,
    say: bytes(FromGateway.Ping, 0xc0),
  },
  {
    what: "a map that ends too early",
    code: "bad-map",
    message: /^a map ends before it is complete/,
    say: bytes(FromGateway.Ping, 0x81, 0xa3, 0x73),
  },
  {
    what: "a map with something behind it",
    code: "bad-map",
    message: /^1 bytes follow the map/,
    say: bytes(FromGateway.Ping, 0x80, 0x00),
  },
  {
    what: "a map that holds an extension",
    code: "bad-map",
    message: /^a map holds 0xd4/,
    say: bytes(FromGateway.Ping, 0x81, 0xa1, 0x61, 0xd4, 0x01, 0x00),
  },
  {
    what: "a heartbeat without its number",
    code: "bad-body",
    message: /^Ping\.seq must be/,
    say: map(FromGateway.Ping, { ...PING, seq: undefined }),
  },
  {
    what: "a port out of its range",
    code: "bad-body",
    message: /^CLJoin\.port must be a whole number from 0 to 65535; it is 65536/,
    say: sessionMap(FromGateway.CLJoin, never, { ...JOIN, port: 65_536 }),
  },
  {
    what: "an end for a reason that there is not",
    code: "bad-body",
    message: /^CLDisconnected\.reason must be one of/,
    say: sessionMap(FromGateway.CLDisconnected, joined, { ...LEFT, reason: "bored" }),
  },
  {
    what: "a type of the other direction",
    code: "unknown-type",
    message: /^frame type 4 /,
    say: bytes(4, 0),
  },
  {
    what: "a Msg that is too short for its session",
    code: "bad-length",
    message: /^Msg of 3 bytes is under its least length of 4/,
    say: bytes(FromGateway.Msg, 1, 2, 3),
  },
  {
    what: "a map that is too long",
    code: "frame-too-big",
    message: /^Ping of 65537 bytes is over the limit of 65536/,
    say: (batch) => batch.frame(FromGateway.Ping, Buffer.alloc(MAX_MAP_BYTES + 1)),
  },
  {
    what: "an Ack that is not 8 bytes",
    code: "bad-length",
    message: /^Ack of 9 bytes must have 8/,
    say: (batch) => batch.frame(FromGateway.Ack, Buffer.alloc(9)),
  },
  {
    what: "an Ack for what was never sent",
    code: "bad-ack",
    message: /^an Ack for 1 frames, of which 0 were sent/,
    say: (batch) => toManager.ack(batch, 1),
  },
];

describe("before a gateway has registered", () => {
  for (const { what, code, message: expected, say } of beforeRegistration) {
    test(`${what} closes the connection: ${code}`, async (t) => {
      const { manager, link } = await startManager(t);
      const refused = next<[string, string]>(manager, "refused");
      const gateway = await RawGateway.connect(t, link);
      gateway.send(say);
      const [told, why] = await refused;
      assert.equal(told, code);
      assert.match(why, expected);
      assert.deepEqual(await gateway.untilClosed(), [], "without another frame");
      assert.deepEqual(manager.gateways, []);
    });
  }

  test("a frame may have 64 KiB and no more, whatever the manager allows later", async (t) => {
    const { manager, link } = await startManager(t);
    const refused = next<[string, string]>(manager, "refused");
    const gateway = await RawGateway.connect(t, link);
    gateway.socket.write(header(FromGateway.Msg, MIN_MAX_FRAME + 1));
    assert.deepEqual(await refused, ["frame-too-big", "Msg of 65537 bytes is over the limit of 65536"]);
  });
});

describe("once a gateway has registered", () => {
  for (const { what, code, message: expected, say } of onceRegistered) {
    test(`${what} costs it its link: ${code}`, async (t) => {
      const { manager, gateway, told } = await startJoined(t, { capacity: 2 }, joined);
      const down = next<[unknown, string, string]>(manager, "gatewayDown");
      gateway.send(say);
      const [, toldCode, why] = await down;
      assert.equal(toldCode, code);
      assert.match(why, expected);
      assert.equal(told.filter((line) => line.startsWith(`leave 1/${joined}`)).length, 1);
      assert.deepEqual(await gateway.untilClosed(), [], "without another frame");
      assert.deepEqual(manager.gateways, []);
    });
  }

  test("nothing that follows the error is told, also when it came with it", async (t) => {
    const { manager, gateway, told } = await startJoined(t, {}, joined);
    const down = next(manager, "gatewayDown");
    gateway.send((batch) => {
      message(joined)(batch);
      message(never)(batch);
      message(joined)(batch);
    });
    await down;
    assert.deepEqual(told, [
      `message 1/${joined}: hello`,
      `leave 1/${joined}: gateway manager-lost`,
      "down gateway-1: unexpected-frame",
    ]);
  });

  test("an Ack for what was acknowledged before is ignored", async (t) => {
    const { manager, gateway } = await startJoined(t);
    manager.broadcast("one");
    manager.broadcast("two");
    await gateway.sync();
    for (const frames of [2, 1, 0]) gateway.send((batch) => toManager.ack(batch, frames));
    assert.deepEqual(await gateway.sync(), []);
  });

  test("keys that are not known yet are ignored", async (t) => {
    const { gateway, told } = await startJoined(t);
    gateway.send(sessionMap(FromGateway.CLJoin, joined, { ...JOIN, country: { code: "SE" } }));
    assert.deepEqual(await gateway.sync(), []);
    assert.deepEqual(told, [`join 1/${joined}`]);
  });

  for (const maxFrame of [MIN_MAX_FRAME, DEFAULT_MAX_FRAME]) {
    test(`a frame may have the ${maxFrame} bytes that the manager allows, and no more`, async (t) => {
      const { manager, gateway } = await startJoined(t, { maxFrame }, joined);
      const lengths: number[] = [];
      manager.on("message", (_session, { length }) => lengths.push(length));
      gateway.message(joined, Buffer.alloc(maxFrame - 4));
      await gateway.sync();
      assert.deepEqual(lengths, [maxFrame - 4]);
      const down = next<[unknown, string]>(manager, "gatewayDown");
      gateway.socket.write(header(FromGateway.Msg, maxFrame + 1));
      assert.equal((await down)[1], "frame-too-big", "which is known from the header");
    });
  }

  test("other gateways go on", async (t) => {
    const { manager, link, gateway } = await startJoined(t, {}, joined);
    const other = await RawGateway.registered(t, link, { name: "gateway-2" });
    const down = next(manager, "gatewayDown");
    gateway.send(message(never));
    await down;
    const told = recordEvents(manager);
    other.join(joined);
    assert.deepEqual(await other.sync(), []);
    assert.deepEqual(told, [`join 2/${joined}`]);
  });
});
