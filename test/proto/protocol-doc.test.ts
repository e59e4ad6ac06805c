/** What docs/protocol.md shows and lists is what the code does. */

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, test } from "node:test";
import { framingNames } from "../../gateway/framing/framing.ts";
import { refusals } from "../../gateway/guard/refusal.ts";
import { closeCodes, closePayload } from "../../gateway/transports/ws-close.ts";
import type * as body from "../../proto/bodies.ts";
import { endedBy, endReasons, handoffRefusals } from "../../proto/bodies.ts";
import {
  type BodyBounds,
  DEFAULT_MAX_FRAME,
  FromGateway,
  FromManager,
  fromGatewayBounds,
  fromManagerBounds,
  MAX_MAP_BYTES,
  MIN_MAX_FRAME,
} from "../../proto/frame.ts";
import { FrameBatch } from "../../proto/frame-batch.ts";
import { FrameReader } from "../../proto/frame-reader.ts";
import { type FromGatewayHandler, readFromGateway, toManager } from "../../proto/from-gateway.ts";
import { type FromManagerHandler, readFromManager, toGateway } from "../../proto/from-manager.ts";
import { MAX_MAP_DEPTH } from "../../proto/map-body.ts";
import type { ProtocolErrorCode } from "../../proto/protocol-error.ts";
import { allBodies, type BodySpec, type KeySpec } from "./body-specs.ts";
import { codeWords, type Example, examples, section, sections, table } from "./protocol-doc.ts";

/** What an example says: its type, its map if it has one, and its bytes as this codec writes them. */
interface Understood {
  type: number;
  body: object;
  readonly batch: FrameBatch;
}

function understand({ sender, bytes }: Example): Understood {
  const understood: Understood = { type: -1, body: {}, batch: new FrameBatch() };
  const bounds = sender === "gateway" ? fromGatewayBounds : fromManagerBounds;
  let frames = 0;
  const reader = new FrameReader(bounds, DEFAULT_MAX_FRAME, (type, data, start, end) => {
    frames++;
    understood.type = type;
    if (sender === "gateway") readFromGateway(gatewayEcho(understood), type, data, start, end);
    else readFromManager(managerEcho(understood), type, data, start, end);
  });
  reader.push(bytes);
  assert.deepEqual([frames, reader.heldBytes], [1, 0]);
  return understood;
}

/** Says again what it hears from a gateway. */
function gatewayEcho(understood: Understood): FromGatewayHandler {
  const { batch } = understood;
  const keep = <T extends object>(body: T): T => {
    understood.body = body;
    return body;
  };
  return {
    join: (session, join) => toManager.join(batch, session, keep(join)),
    disconnected: (session, end) => toManager.disconnected(batch, session, keep(end)),
    message: (session, bytes, start, end) => toManager.message(batch, session, bytes, start, end),
    ping: (ping) => toManager.ping(batch, keep(ping)),
    register: (register) => toManager.register(batch, keep(register)),
    proof: (proof) => toManager.proof(batch, keep(proof)),
    listening: (listening) => toManager.listening(batch, keep(listening).endpoints),
    draining: (draining) => toManager.draining(batch, keep(draining)),
    ack: (frames) => toManager.ack(batch, frames),
    bindRefused: (session, user) => toManager.bindRefused(batch, session, user),
    handoffRefused: (session, refused) => toManager.handoffRefused(batch, session, keep(refused)),
  };
}

/** Says again what it hears from a manager. */
function managerEcho(understood: Understood): FromManagerHandler {
  const { batch } = understood;
  const keep = <T extends object>(body: T): T => {
    understood.body = body;
    return body;
  };
  return {
    message: (session, bytes, start, end) => toGateway.message(batch, session, bytes.subarray(start, end)),
    messageAll: (bytes, start, end) => toGateway.messageAll(batch, bytes.subarray(start, end)),
    drop: (session, drop) => toGateway.drop(batch, session, keep(drop)),
    dropDiscard: (session, drop) => toGateway.dropDiscard(batch, session, keep(drop)),
    shutdown: (shutdown) => toGateway.shutdown(batch, keep(shutdown)),
    registered: (registered) => toGateway.registered(batch, keep(registered)),
    rejected: (rejected) => toGateway.rejected(batch, keep(rejected)),
    challenge: (challenge) => toGateway.challenge(batch, keep(challenge)),
    pong: (pong) => toGateway.pong(batch, keep(pong)),
    admit: (session) => toGateway.admit(batch, session),
    handoff: (session, handoff) => toGateway.handoff(batch, session, keep(handoff)),
    ack: (frames) => toGateway.ack(batch, frames),
    messageMany: (sessions, bytes, start, end) =>
      toGateway.messageMany(batch, sessions, bytes.subarray(start, end)),
    bind: (session, user) => toGateway.bind(batch, session, user),
    addToGroup: (session, group) => toGateway.addToGroup(batch, session, group),
    removeFromGroup: (session, group) => toGateway.removeFromGroup(batch, session, group),
    messageGroup: (group, bytes, start, end) =>
      toGateway.messageGroup(batch, group, bytes.subarray(start, end)),
    messageUser: (user, bytes, start, end) => toGateway.messageUser(batch, user, bytes.subarray(start, end)),
  };
}

const directions = [
  { sender: "gateway", chapter: "Gateway to manager", types: FromGateway, bounds: fromGatewayBounds },
  { sender: "manager", chapter: "Manager to gateway", types: FromManager, bounds: fromManagerBounds },
] as const;

describe("the frames that the page shows", () => {
  for (const example of examples) {
    const { sender, heading, bytes, comments } = example;
    const words = `a ${sender}'s ${heading}, ${bytes.length} bytes`;

    test(`${words}: read and written again it is the same`, () => {
      assert.equal(Buffer.concat(understand(example).batch.take()).toString("hex"), bytes.toString("hex"));
    });

    test(`${words}: it is what is said beside it`, () => {
      const { type, body } = understand(example);
      const [name] = heading.split(" ");
      assert.equal(comments[0], `type ${type}, ${name}`);
      assert.equal(comments[1], `data_len ${bytes.length - 8}`);
      const entries = comments.filter((comment) => /^"\w+": /.test(comment)).map(parseEntry);
      assert.deepEqual(Object.fromEntries(entries), { ...body });
    });
  }

  for (const { sender, types } of directions) {
    test(`each frame of a ${sender} has an example`, () => {
      const shown = examples
        .filter((example) => example.sender === sender)
        .map((one) => understand(one).type);
      const names = Object.keys(types);
      const missing = names.filter((name) => !shown.includes(types[name as keyof typeof types]));
      assert.deepEqual(missing, []);
      assert.ok(names.length >= 7);
    });
  }
});

function parseEntry(comment: string): [string, unknown] {
  const [, key = "", value = ""] = /^"(\w+)": (.*)$/.exec(comment) ?? [];
  if (value === "bin of 16") return [key, Buffer.from("000102030405060708090a0b0c0d0e0f", "hex")];
  return [key, value.startsWith("0x") ? Buffer.from(value.slice(2), "hex") : JSON.parse(value)];
}

/** The body of the one example of a frame. */
function shown<T>(heading: string): T {
  const example = examples.find((one) => one.heading === heading);
  assert.ok(example !== undefined);
  return understand(example).body as T;
}

test("the proofs that the page shows are those of the secret that it tells", () => {
  const [, secret = ""] = /with the secret `(.*?)`/.exec(section("Proving").text) ?? [];
  const register = shown<body.Register>("Register");
  const challenge = shown<body.Challenge>("Challenge");
  const proof = (who: string) =>
    createHmac("sha256", secret)
      .update(Buffer.concat([Buffer.from(who), register.nonce, challenge.nonce]))
      .digest();
  assert.deepEqual(Buffer.from(challenge.proof), proof("manager"));
  assert.deepEqual(Buffer.from(shown<body.Proof>("Proof").proof), proof("gateway"));
});

function typeTable(chapter: string): readonly (readonly string[])[] {
  return table(section(chapter), "type") ?? [];
}

describe("the tables of frame types", () => {
  const bodies: Readonly<Record<string, Omit<BodyBounds, "name">>> = {
    "`session`, map": { min: 5, max: 4 + MAX_MAP_BYTES },
    "`session`, map or nothing": { min: 4, max: 4 + MAX_MAP_BYTES },
    "`session`": { min: 4, max: 4 },
    "`session`, payload bytes": { min: 4, max: Number.POSITIVE_INFINITY },
    "`session`, name": { min: 4, max: Number.POSITIVE_INFINITY },
    "`session`, name or nothing": { min: 4, max: Number.POSITIVE_INFINITY },
    "u32 count, count × `session`, payload bytes": { min: 4, max: Number.POSITIVE_INFINITY },
    "u8 length, name, payload bytes": { min: 1, max: Number.POSITIVE_INFINITY },
    map: { min: 1, max: MAX_MAP_BYTES },
    "map or nothing": { min: 0, max: MAX_MAP_BYTES },
    "payload bytes": { min: 0, max: Number.POSITIVE_INFINITY },
    u64: { min: 8, max: 8 },
  };

  for (const { sender, chapter, types, bounds } of directions) {
    test(`a ${sender}'s is the code's`, () => {
      const listed = typeTable(chapter).map(([type, name = ""]) => [codeWords(name)[0], Number(type)]);
      assert.deepEqual(Object.fromEntries(listed), types);
    });

    test(`a ${sender}'s says how long the data may be`, () => {
      for (const [type, name = "", data = ""] of typeTable(chapter)) {
        const bound = bounds.get(Number(type));
        assert.deepEqual(bound, { name: codeWords(name)[0], ...bodies[data] });
      }
    });
  }
});

describe("the tables of keys", () => {
  const specs = new Map<string, BodySpec>(allBodies);
  const tables = sections.flatMap((one) => {
    const rows = table(one, "key");
    return rows === undefined ? [] : [{ name: one.heading, rows }];
  });

  test("there is one for each map", () => {
    const names = [...specs.keys()].filter((name) => name !== "DropDiscard").sort();
    assert.deepEqual(tables.map(({ name }) => name).sort(), names);
    assert.match(section("DropDiscard").text, /The same keys as `Drop`/);
  });

  for (const { name, rows } of tables) {
    const keys = specs.get(name)?.keys ?? {};
    const rowOf = new Map(
      rows.flatMap(([cell = "", type = ""]) => codeWords(cell).map((key) => [key, type])),
    );

    test(`${name}'s names each key, and whether it may be missing`, () => {
      const isOptional = (type: string) => /, optional$/.test(type);
      const listed = [...rowOf].map(([key, type]) => [key, isOptional(type)]);
      const known = Object.entries(keys).map(([key, { optional }]) => [key, optional]);
      assert.deepEqual(listed, known);
    });

    test(`${name}'s tells the bounds of each key`, () => {
      for (const [key, type] of rowOf) {
        const spec = keys[key];
        if (spec !== undefined) checkBounds(`${name}.${key}`, spec, type);
      }
    });
  }

  /** The values at the bounds that `type` tells fit, and those just beyond them do not. */
  function checkBounds(path: string, { fits, misfits }: KeySpec, type: string): void {
    const number = (digits: string) =>
      digits.includes("^")
        ? 2 ** Number(digits.slice(2, 4)) - (digits.endsWith("- 1") ? 1 : 0)
        : Number(digits.replaceAll(",", ""));
    const [, length] = /^text\((\d+)\)/.exec(type) ?? [];
    const [, min, max] = /^integer ([\d,]+)\.\.(2\^\d+(?: - 1)?|[\d,]+)/.exec(type) ?? [];
    const [, bytes] = /^bin of (\d+)/.exec(type) ?? [];
    const [, mostBytes] = /^bin of at most ([\d,]+) bytes/.exec(type) ?? [];
    const [, keys] = /^map of at most (\d+) keys to /.exec(type) ?? [];
    const has = (values: readonly unknown[], value: unknown) => values.includes(value);
    const hasKeys = (values: readonly unknown[], count: number) =>
      values.some((value) => value?.constructor === Object && Object.keys(value).length === count);
    if (length !== undefined) {
      assert.ok(has(fits, "x".repeat(Number(length))) && has(misfits, "x".repeat(Number(length) + 1)), path);
    } else if (min !== undefined && max !== undefined) {
      assert.ok(has(fits, number(min)) && has(fits, number(max)), path);
      assert.ok(has(misfits, number(min) - 1) && has(misfits, number(max) + 1), path);
    } else if (type.startsWith("count")) {
      assert.ok(has(fits, 0) && has(fits, 2 ** 53 - 1) && has(misfits, -1) && has(misfits, 2 ** 53), path);
    } else if (type.startsWith("number")) {
      assert.ok(has(fits, 0) && has(fits, 0.25) && has(misfits, -1), path);
    } else if (type.startsWith("boolean")) {
      assert.ok(has(fits, true) && has(fits, false) && has(misfits, 0), path);
    } else if (keys !== undefined) {
      assert.ok(hasKeys(fits, Number(keys)) && hasKeys(misfits, Number(keys) + 1), path);
      const [, most] = / keys to text\((\d+)\)/.exec(type) ?? [];
      const value = most === undefined ? 2 ** 53 : "x".repeat(Number(most) + 1);
      assert.ok(
        misfits.some((misfit) => misfit?.constructor === Object && Object.values(misfit).includes(value)),
        path,
      );
    } else if (mostBytes !== undefined) {
      const hasBytes = (values: readonly unknown[], count: number) =>
        values.some((value) => value instanceof Uint8Array && value.length === count);
      assert.ok(hasBytes(fits, number(mostBytes)) && hasBytes(misfits, number(mostBytes) + 1), path);
    } else if (bytes !== undefined) {
      assert.ok(
        fits.every((fit) => fit instanceof Uint8Array && fit.length === Number(bytes)),
        path,
      );
    } else {
      assert.match(
        type,
        /^(text|integer|map|array of at most 256 (endpoints|text\(128\)))(, optional)?$/,
        path,
      );
    }
  }
});

describe("the other tables and figures", () => {
  test("the error codes are the code's", () => {
    // The type has to be spelled out here; the compiler sees to it that nothing is missing.
    const codes: Record<ProtocolErrorCode, true> = {
      "unknown-type": true,
      "frame-too-big": true,
      "bad-length": true,
      "bad-map": true,
      "bad-body": true,
      "unexpected-frame": true,
      "bad-ack": true,
    };
    const listed = (table(section("Errors"), "code") ?? []).map(([code = ""]) => codeWords(code)[0]);
    assert.deepEqual(listed, Object.keys(codes));
  });

  test("the reasons for which a session ends are the code's", () => {
    const listed = (table(section("CLDisconnected"), "reason") ?? []).flatMap(([reason = ""]) =>
      codeWords(reason),
    );
    assert.deepEqual(listed.sort(), [...endReasons].sort());
  });

  test("the reasons for which a session stays where it is are the code's", () => {
    const rows = table(section("HandoffRefused"), "handoff refusal") ?? [];
    assert.deepEqual(
      rows.map(([code = ""]) => codeWords(code)[0]),
      handoffRefusals,
    );
  });

  test("the close codes are the code's, for each reason", () => {
    const rows = table(section("Close codes"), "code") ?? [];
    const listed = rows.flatMap(([code, reasons = ""]) =>
      codeWords(reasons).map((reason) => [reason, Number(code)]),
    );
    const refused = refusals.map((refusal) => [refusal, closePayload({ reason: refusal }).readUInt16BE()]);
    const passing = refused.filter(([, code]) => code === closePayload({ reason: "no-slot" }).readUInt16BE());
    const expected = { ...closeCodes, ...Object.fromEntries(passing) };
    assert.deepEqual(Object.fromEntries(listed), expected);
    assert.equal(listed.length, Object.keys(expected).length, "each stands there once");
  });

  test("the framings are the code's, and WebSocket's", () => {
    const listed = (table(section("Framing"), "framing") ?? []).flatMap(([framing = ""]) =>
      codeWords(framing),
    );
    assert.deepEqual(listed.sort(), [...framingNames, "websocket"].sort());
  });

  test("the refusals are the code's", () => {
    const listed = (table(section("Refusals"), "refusal") ?? []).flatMap(([refusal = ""]) =>
      codeWords(refusal),
    );
    assert.deepEqual(listed.sort(), [...refusals].sort());
  });

  test("those who may end a session are the code's", () => {
    const row = (table(section("CLDisconnected"), "key") ?? []).find(([key]) => key === "`by`");
    assert.deepEqual(codeWords(row?.[2] ?? ""), endedBy);
  });

  test("the bounds of frames and maps are the code's", () => {
    const figure = (number: number) => number.toLocaleString("en");
    const { text: frames } = section("Frame");
    assert.match(
      frames.replaceAll(/\s+/g, " "),
      RegExp(`at least ${figure(MIN_MAX_FRAME)}; ${figure(DEFAULT_MAX_FRAME)} unless it is set`),
    );
    const maps = section("Maps").text.replaceAll(/\s+/g, " ");
    assert.match(maps, RegExp(`of at most ${figure(MAX_MAP_BYTES)} bytes`));
    assert.match(maps, RegExp(`at most ${MAX_MAP_DEPTH} levels deep`));
  });
});
