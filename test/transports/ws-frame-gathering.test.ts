import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import * as ws from "ws";
import {
  type FrameFault,
  FrameGathering,
  type FrameSink,
} from "../../gateway/transports/ws-frame-gathering.ts";
import { clientFrame, Opcode } from "../front/raw-web.ts";

const MAX_MESSAGE = 1000;
const MIB = 1024 * 1024;

/** Writes down what it hears. */
class Heard implements FrameSink {
  readonly list: string[] = [];
  readonly messages: Buffer[] = [];
  fault: FrameFault | undefined;

  messageGathered(bytes: Buffer, isBinary: boolean, isCompressed: boolean): void {
    this.messages.push(bytes);
    this.list.push(
      `${isCompressed ? "compressed " : ""}${isBinary ? "binary" : "text"} ${bytes.toString("latin1")}`,
    );
  }

  controlGathered(opcode: number, payload: Buffer): void {
    this.list.push(`${opcode} ${payload.toString("latin1")}`);
  }

  frameFaulted(fault: FrameFault): void {
    this.fault = fault;
    this.list.push(fault);
  }
}

/** Gives pieces as a connection does: a frame at a time, in memory that is used again, and nothing behind a fault. */
function gather(pieces: readonly Buffer[], heard = new Heard(), gathering = gatheringFor(heard)): Heard {
  for (const piece of pieces) {
    const shared = Buffer.from(piece);
    let at = 0;
    while (at < shared.length && heard.fault === undefined) at = gathering.take(shared, at, shared.length);
    shared.fill("!");
  }
  return heard;
}

function gatheringFor(sink: FrameSink, inflates = false, maxMessageBytes = MAX_MESSAGE): FrameGathering {
  return new FrameGathering(maxMessageBytes, inflates, sink);
}

/** `bytes` cut behind each of `cuts`, which may be in any order. */
function cutAt(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const sorted = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return sorted.slice(1).map((end, index) => bytes.subarray(sorted[index], end));
}

function byteByByte(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (byte) => Buffer.of(byte));
}

describe("gathered frames", () => {
  const conversation = Buffer.concat([
    clientFrame(Opcode.text, "whole"),
    clientFrame(Opcode.binary, "in ", { fin: false }),
    clientFrame(Opcode.ping, "?"),
    clientFrame(Opcode.continuation, "", { fin: false }),
    clientFrame(Opcode.continuation, "pieces"),
    clientFrame(Opcode.pong, ""),
    clientFrame(Opcode.binary, "x".repeat(300)),
    clientFrame(Opcode.binary, ""),
    clientFrame(Opcode.close, "\x03\xe8bye"),
  ]);
  const said = [
    "text whole",
    "9 ?",
    "binary in pieces",
    "10 ",
    `binary ${"x".repeat(300)}`,
    "binary ",
    `8 ${Buffer.from("\x03\xe8bye").toString("latin1")}`,
  ];

  it("are the same wherever they are cut", () => {
    assert.deepEqual(gather([conversation]).list, said);
    assert.deepEqual(gather(byteByByte(conversation)).list, said);
    for (let cut = 0; cut <= conversation.length; cut++)
      assert.deepEqual(gather(cutAt(conversation, [cut])).list, said);
  });

  it("are taken one at a time", () => {
    const heard = new Heard();
    const gathering = gatheringFor(heard);
    const frames = [
      clientFrame(Opcode.binary, "one"),
      clientFrame(Opcode.ping, ""),
      clientFrame(Opcode.text, "two"),
    ];
    const bytes = Buffer.concat(frames);
    let at = 0;
    for (const [index, { length }] of frames.entries()) {
      assert.equal(gathering.take(bytes, at, bytes.length), at + length);
      at += length;
      assert.equal(heard.list.length, index + 1);
      assert.ok(gathering.isIdle);
    }
  });

  it("are pending as long as they, or their message, are not whole", () => {
    const heard = new Heard();
    const gathering = gatheringFor(heard);
    const pending = [];
    for (const piece of byteByByte(clientFrame(Opcode.text, "ab", { fin: false }))) {
      gather([piece], heard, gathering);
      pending.push(gathering.pendingBytes);
    }
    gather([clientFrame(Opcode.ping, "not of the message")], heard, gathering);
    assert.deepEqual(
      [...pending, gathering.pendingBytes, gathering.isIdle],
      [1, 2, 3, 4, 5, 6, 7, 8, 8, false],
    );
    gather([clientFrame(Opcode.continuation, "")], heard, gathering);
    assert.deepEqual([gathering.pendingBytes, gathering.isIdle], [0, true]);
  });

  it("may be compressed where that was agreed", () => {
    const pieces = [
      clientFrame(Opcode.text, "a", { compressed: true, fin: false }),
      clientFrame(Opcode.continuation, "b"),
      clientFrame(Opcode.binary, "c"),
    ];
    const heard = new Heard();
    gather(pieces, heard, gatheringFor(heard, true));
    assert.deepEqual(heard.list, ["compressed text ab", "binary c"]);
    assert.deepEqual(gather(pieces).list, ["bad-frame"]);
  });

  const faulty: [string, FrameFault, Buffer[]][] = [
    ["is not masked", "bad-frame", [clientFrame(Opcode.binary, "x", { masked: false })]],
    ["has a reserved bit", "bad-frame", [Buffer.from("a281", "hex")]],
    ["has a reserved opcode", "bad-frame", [clientFrame(3, "x")]],
    ["has a reserved control opcode", "bad-frame", [clientFrame(11, "x")]],
    ["goes on with no message", "bad-frame", [clientFrame(Opcode.continuation, "x")]],
    [
      "begins a message in the midst of another",
      "bad-frame",
      [clientFrame(Opcode.text, "x", { fin: false }), clientFrame(Opcode.text, "y")],
    ],
    ["is a control frame in pieces", "bad-frame", [clientFrame(Opcode.ping, "x", { fin: false })]],
    ["is a control frame that is too long", "bad-frame", [clientFrame(Opcode.ping, "x".repeat(126))]],
    ["is a compressed control frame", "bad-frame", [clientFrame(Opcode.ping, "x", { compressed: true })]],
    [
      "announces too much",
      "too-big",
      [clientFrame(Opcode.binary, "x".repeat(MAX_MESSAGE + 1)).subarray(0, 4)],
    ],
    ["announces far too much", "too-big", [Buffer.from("82ffffffffffffffffff", "hex")]],
    [
      "is too much together with those before it",
      "too-big",
      [
        clientFrame(Opcode.binary, "x".repeat(MAX_MESSAGE), { fin: false }),
        clientFrame(Opcode.continuation, "y").subarray(0, 2),
      ],
    ],
    [
      "is one of too many in a message",
      "too-many-frames",
      [
        clientFrame(Opcode.binary, "", { fin: false }),
        ...Array.from({ length: 1024 }, () => clientFrame(Opcode.continuation, "", { fin: false })),
      ],
    ],
  ];
  for (const [what, fault, pieces] of faulty) {
    it(`are read no further than one that ${what}`, () => {
      assert.equal(gather(pieces).list.join(), fault, "as soon as it shows");
      const behind = clientFrame(Opcode.binary, "behind");
      assert.equal(gather([...pieces, behind]).list.join(), fault);
      assert.equal(gather(byteByByte(Buffer.concat([...pieces, behind]))).list.join(), fault);
    });
  }

  it("may be as many and as long together as a message may", () => {
    const most = [
      clientFrame(Opcode.binary, "x".repeat(MAX_MESSAGE), { fin: false }),
      ...Array.from({ length: 1022 }, () => clientFrame(Opcode.continuation, "", { fin: false })),
      clientFrame(Opcode.continuation, ""),
    ];
    assert.deepEqual(gather(most).list, [`binary ${"x".repeat(MAX_MESSAGE)}`]);
  });

  it("are what the receiver of ws takes them for", async () => {
    const frames = fc.array(
      fc.record({
        opcode: fc.constantFrom(0, 0, 0, 1, 2, 2, 9, 10, 3, 11),
        fin: fc.boolean(),
        masked: fc.integer({ min: 0, max: 30 }).map((n) => n > 0),
        compressed: fc.integer({ min: 0, max: 30 }).map((n) => n === 0),
        payload: fc.oneof(
          fc.string({ maxLength: 5 }),
          fc.integer({ min: 0, max: 700 }).map((n) => "y".repeat(n)),
        ),
      }),
      { maxLength: 8 },
    );
    await fc.assert(
      fc.asyncProperty(frames, fc.array(fc.nat(5000), { maxLength: 6 }), async (given, cuts) => {
        const bytes = Buffer.concat(
          given.map(({ opcode, payload, ...how }) => clientFrame(opcode, payload, how)),
        );
        assert.deepEqual(gather(cutAt(bytes, cuts)).list, await byWs(bytes));
      }),
      { numRuns: 2000 },
    );
  });
});

/** What `ws` makes of a client's bytes, put as `Heard` puts it. */
async function byWs(bytes: Buffer): Promise<string[]> {
  const list: string[] = [];
  const { Receiver } = ws as unknown as { Receiver: new (options: object) => NodeJS.WritableStream };
  const receiver = new Receiver({ isServer: true, maxPayload: MAX_MESSAGE, maxFragments: 1024 });
  receiver.on("message", (message: Buffer, isBinary: boolean) =>
    list.push(`${isBinary ? "binary" : "text"} ${message.toString("latin1")}`),
  );
  receiver.on("ping", (payload: Buffer) => list.push(`9 ${payload.toString("latin1")}`));
  receiver.on("pong", (payload: Buffer) => list.push(`10 ${payload.toString("latin1")}`));
  receiver.on("error", ({ code }: NodeJS.ErrnoException) =>
    list.push(code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH" ? "too-big" : "bad-frame"),
  );
  receiver.write(bytes);
  await setImmediate();
  return list;
}

describe("the memory of a WebSocket's message that is not whole", () => {
  const arrayBuffers = () => process.memoryUsage().arrayBuffers;
  /** A message of so many bytes, dripped a byte at a time, which does not end. */
  const drips: Record<string, (bytes: number) => Buffer[]> = {
    "in one frame": (bytes) => byteByByte(clientFrame(Opcode.binary, "x".repeat(bytes + 1)).subarray(0, -1)),
    compressed: (bytes) =>
      byteByByte(clientFrame(Opcode.binary, "x".repeat(bytes + 1), { compressed: true }).subarray(0, -1)),
    "in frames of a byte": (bytes) => [
      clientFrame(Opcode.binary, "x", { fin: false }),
      ...Array.from({ length: bytes - 1 }, () => clientFrame(Opcode.continuation, "x", { fin: false })),
    ],
  };
  for (const [how, drip] of Object.entries(drips)) {
    it(`is at most twice what came of it, ${how}`, () => {
      const bytes = 1000;
      const pieces = drip(bytes);
      const before = arrayBuffers();
      const gatherings = Array.from({ length: 100 }, () => gatheringFor(new Heard(), true));
      // Each piece by each client in turn, so that what one takes of Node's pool would lie between the others'.
      for (const piece of pieces) for (const gathering of gatherings) gathering.take(piece, 0, piece.length);
      const each = (arrayBuffers() - before) / gatherings.length;
      assert.ok(each < 2 * bytes + 200, `${each} bytes`);
      assert.ok(gatherings.every(({ pendingBytes }) => pendingBytes > bytes));
    });
  }

  it("follows what came, not what was announced", () => {
    const announced = clientFrame(Opcode.binary, Buffer.alloc(MIB)).subarray(0, 15);
    const before = arrayBuffers();
    const gatherings = Array.from({ length: 1000 }, () => gatheringFor(new Heard(), false, MIB));
    for (const gathering of gatherings) gathering.take(announced, 0, announced.length);
    assert.ok(arrayBuffers() - before < MIB, `${arrayBuffers() - before} bytes`);
  });

  it("is the message's own once it is whole, and no part of Node's pool", () => {
    const heard = gather(byteByByte(clientFrame(Opcode.binary, "x".repeat(700))));
    assert.deepEqual(
      heard.messages.map(({ buffer }) => buffer.byteLength),
      [700],
    );
  });
});
