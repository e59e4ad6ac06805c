import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import { FramedStream, type FramedStreamEvents } from "../../link/framed-stream.ts";
import { FromManager, fromManagerBounds, MIN_MAX_FRAME } from "../../proto/frame.ts";
import { ProtocolError } from "../../proto/protocol-error.ts";
import { until } from "../helpers/wait.ts";
import { frame, header, hex } from "../proto/support.ts";
import { FakeStream } from "./fake-stream.ts";
import { doStep, type StreamStep, streamSteps } from "./stream-steps.ts";

const KIB = 1024;
const { MsgAll } = FromManager;

interface Rig {
  readonly stream: FakeStream;
  readonly framed: FramedStream;
  /** Everything that was told, in order. */
  readonly told: unknown[];
  /** Appends a frame with `length` bytes of `mark`, and has it flushed; gives its bytes. */
  send(length: number, mark?: number): Buffer;
}

function rig(
  events: Partial<FramedStreamEvents> = {},
  congestedBytes = 1000 * KIB,
  stream = new FakeStream(),
): Rig {
  const told: unknown[] = [];
  const framed = new FramedStream({
    open: stream.open,
    bounds: fromManagerBounds,
    congestedBytes,
    events: {
      connected: () => told.push("connected"),
      frame: (_type, bytes, start, end) => told.push(bytes.toString("hex", start, end)),
      readDone: () => true,
      congested: (congested) => told.push({ congested }),
      closed: (error) => told.push({ closed: error }),
      ...events,
    },
  });
  return {
    stream,
    framed,
    told,
    send(length, mark = 7) {
      const body = Buffer.alloc(length, mark);
      framed.batch.frame(MsgAll, body);
      framed.scheduleFlush();
      return frame(MsgAll, body);
    },
  };
}

function untilClosed(told: readonly unknown[]): Promise<void> {
  const isClosed = (one: unknown) => typeof one === "object" && one !== null && "closed" in one;
  return until(() => told.some(isClosed), "the stream is told to be closed");
}

describe("frames that are sent", () => {
  test("in one turn leave in one write at its end", async () => {
    const { stream, send } = rig();
    const sent = [send(10, 1), send(20, 2), send(0), send(30, 3)];
    assert.equal(stream.writes.length, 0);
    await turn();
    assert.deepEqual(stream.writes, [Buffer.concat(sent)]);
  });

  test("in one turn leave in one write also when they take several chunks", async () => {
    const { stream, send } = rig();
    const sent = [send(60 * KIB, 1), send(60 * KIB, 2), send(100 * KIB, 3)];
    await turn();
    assert.deepEqual(stream.writes, [Buffer.concat(sent)]);
  });

  test("in another turn leave in another write", async () => {
    const { stream, send } = rig();
    const first = send(10, 1);
    await turn();
    const second = send(10, 2);
    await turn();
    await turn();
    assert.deepEqual(stream.writes, [first, second]);
  });

  test("leave before the turn ends once they are 256 KiB", async () => {
    const { stream, send } = rig();
    const sent = [send(128 * KIB, 1), send(128 * KIB, 2)];
    assert.deepEqual(stream.writes, [Buffer.concat(sent)]);
    const last = send(5, 3);
    assert.equal(stream.writes.length, 1);
    await turn();
    assert.deepEqual(stream.writes[1], last);
    assert.equal(stream.writes.length, 2);
  });

  test("leave at once when they are flushed", async () => {
    const { stream, framed, send } = rig();
    const sent = send(10);
    framed.flush();
    assert.deepEqual(stream.writes, [sent]);
    framed.flush();
    await turn();
    assert.equal(stream.writes.length, 1);
  });
});

describe("a stream that does not take what it is given", () => {
  test("is given nothing more until it has, then the rest in one write", async () => {
    const { stream, send } = rig();
    stream.holding = true;
    const first = send(10, 1);
    await turn();
    const rest: Buffer[] = [];
    for (let mark = 2; mark < 10; mark++) {
      rest.push(send(10, mark));
      await turn();
    }
    assert.equal(stream.writes.length, 0);
    assert.equal(Buffer.concat(stream.held).length, first.length);
    stream.takeHeld();
    stream.takeHeld();
    assert.deepEqual(stream.writes, [first, Buffer.concat(rest)]);
  });

  test("pins no more memory than what waits for it", async () => {
    const { stream, framed, send } = rig();
    stream.holding = true;
    send(10);
    await turn();
    const before = process.memoryUsage().arrayBuffers;
    for (let count = 0; count < 1000; count++) {
      send(100);
      framed.flush();
    }
    assert.equal(framed.queuedBytes, 18 + 1000 * 108);
    assert.ok(process.memoryUsage().arrayBuffers - before < 1000 * KIB);
    stream.takeHeld();
    assert.ok(stream.held.length <= 2);
  });

  test("still sees what it was given, however late it looks", async () => {
    const { stream, send } = rig();
    stream.holding = true;
    const sent: Buffer[] = [];
    for (let round = 0; round < 30; round++) {
      for (let count = 0; count < 5; count++) sent.push(send(20 * KIB + round, 1 + 5 * round + count));
      await turn();
      if (round % 4 === 3) stream.takeHeld();
    }
    while (stream.held.length > 0) stream.takeHeld();
    assert.deepEqual(stream.written, Buffer.concat(sent));
  });

  test("gets each byte once and in order, whatever the order of sending, flushing and taking", async () => {
    const step = fc.oneof(
      fc.record({ send: fc.nat({ max: 90 * KIB }) }),
      fc.constantFrom("turn", ...streamSteps),
    );
    const check = async (steps: readonly ({ send: number } | "turn" | StreamStep)[]) => {
      const { stream, framed, send } = rig();
      const sent: Buffer[] = [];
      for (const [mark, one] of steps.entries()) {
        if (typeof one === "object") sent.push(send(one.send, mark % 256));
        else if (one === "turn") await turn();
        else doStep(one, framed, stream);
      }
      stream.release();
      await turn();
      assert.ok(stream.written.equals(Buffer.concat(sent)));
      assert.equal(framed.queuedBytes, 0);
    };
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40 }), check), { numRuns: 60 });
  });
});

test("a stream that was slow once does not bring later frames forward", async () => {
  const { stream, framed, send } = rig();
  stream.holding = true;
  send(10);
  await turn();
  send(10);
  framed.flush();
  stream.release();
  const before = stream.writes.length;
  const sent = [send(10, 1)];
  framed.flush();
  const rest = [send(10, 2)];
  // The end of the first write is told only now.
  await new Promise<void>((resolve) => process.nextTick(resolve));
  rest.push(send(10, 3));
  await turn();
  assert.deepEqual(stream.writes.slice(before), [Buffer.concat(sent), Buffer.concat(rest)]);
});

describe("chunks", () => {
  /** Sends a frame in each of five turns; tells how many buffers the stream was given. */
  async function buffersUsed(holding: boolean): Promise<number> {
    const { stream, send } = rig();
    const buffers = new Set<ArrayBufferLike>();
    stream.holding = true;
    for (let count = 0; count < 5; count++) {
      send(10);
      await turn();
      for (const chunk of stream.held) buffers.add(chunk.buffer);
      if (!holding) stream.takeHeld();
    }
    return buffers.size;
  }

  test("are written again once the stream has taken them", async () => {
    assert.equal(await buffersUsed(false), 2);
  });

  test("are not written again before", async () => {
    assert.equal(await buffersUsed(true), 1);
  });
});

describe("congestion", () => {
  test("is told once when more than congestedBytes wait, and once when none do", async () => {
    const { stream, send, told } = rig({}, 1000);
    stream.holding = true;
    send(992);
    await turn();
    assert.deepEqual(told, []);
    send(1);
    await turn();
    assert.deepEqual(told, [{ congested: true }]);
    send(5000);
    await turn();
    stream.takeHeld();
    assert.deepEqual(told, [{ congested: true }]);
    stream.takeHeld();
    assert.deepEqual(told, [{ congested: true }, { congested: false }]);
  });

  test("is told again the next time", async () => {
    const { stream, send, told } = rig({}, 100);
    for (let count = 0; count < 3; count++) {
      stream.holding = true;
      send(200);
      await turn();
      stream.takeHeld();
    }
    assert.deepEqual(
      told,
      Array(3)
        .fill([{ congested: true }, { congested: false }])
        .flat(),
    );
  });

  test("is not told of a stream that takes everything at once, however much it is", async () => {
    const { send, told } = rig({}, 10);
    send(500 * KIB);
    await turn();
    assert.deepEqual(told, []);
  });

  test("is seen in the middle of a busy turn", () => {
    const { stream, send, told } = rig({}, 600 * KIB);
    stream.holding = true;
    for (let count = 0; count < 7; count++) send(100 * KIB);
    assert.deepEqual(told, [{ congested: true }]);
  });

  test("may end the stream", async () => {
    const tooMuch = new Error("too much");
    const made: Rig = rig({ congested: () => made.framed.destroy(tooMuch) }, 100);
    made.stream.holding = true;
    made.send(200);
    await untilClosed(made.told);
    assert.deepEqual(made.told, [{ closed: tooMuch }]);
  });

  test("is not told of a stream that is gone", async () => {
    const { stream, framed, send, told } = rig({}, 100);
    stream.holding = true;
    send(10);
    framed.flush();
    send(200);
    framed.destroy();
    framed.flush();
    stream.takeHeld();
    await untilClosed(told);
    send(200);
    await turn();
    assert.deepEqual(told, [{ closed: undefined }]);
    assert.equal(framed.batch.byteLength, 0);
  });
});

describe("finishing", () => {
  test("sends what was appended, then ends the stream", async () => {
    const { stream, framed, send, told } = rig();
    const sent = send(10);
    framed.finish();
    assert.deepEqual([stream.writes, stream.writableEnded], [[sent], true]);
    await untilClosed(told);
    assert.deepEqual(told, [{ closed: undefined }]);
  });

  test("waits for a stream that is slow to take it", async () => {
    const { stream, framed, send, told } = rig();
    stream.holding = true;
    const first = send(10, 1);
    await turn();
    const second = send(10, 2);
    framed.finish();
    await turn();
    assert.deepEqual([told, stream.destroyed], [[], false]);
    stream.takeHeld();
    await turn();
    assert.deepEqual([told, stream.destroyed], [[], false]);
    stream.takeHeld();
    await untilClosed(told);
    assert.deepEqual(stream.writes, [first, second]);
  });

  test("with nothing to send ends the stream, too", async () => {
    const { stream, framed, told } = rig();
    framed.finish();
    await untilClosed(told);
    assert.deepEqual([stream.writes, told], [[], [{ closed: undefined }]]);
  });

  test("sends nothing that comes later, and that is no error", async () => {
    const { stream, framed, send, told } = rig();
    stream.holding = true;
    const sent = send(10);
    framed.finish();
    send(10);
    framed.flush();
    await turn();
    framed.finish();
    stream.takeHeld();
    await untilClosed(told);
    assert.deepEqual([stream.writes, told], [[sent], [{ closed: undefined }]]);
  });

  test("goes on reading until the stream is closed", async () => {
    const { stream, framed, send, told } = rig();
    stream.holding = true;
    send(10);
    framed.finish();
    stream.feed(frame(MsgAll, hex("01")));
    assert.deepEqual(told, ["01"]);
    framed.destroy();
    await untilClosed(told);
  });
});

describe("the end of a stream", () => {
  test("by destroy comes at once, with its error, and what was appended is not sent", async () => {
    const { stream, framed, send, told } = rig();
    send(10);
    const error = new Error("enough");
    framed.destroy(error);
    assert.equal(stream.destroyed, true);
    await untilClosed(told);
    await turn();
    assert.deepEqual([stream.writes, told], [[], [{ closed: error }]]);
  });

  test("is told once, with the first error, however often it is brought about", async () => {
    const { stream, framed, told } = rig();
    const first = new Error("first");
    framed.destroy(first);
    framed.destroy(new Error("second"));
    stream.destroy(new Error("third"));
    stream.emit("close");
    framed.finish();
    await untilClosed(told);
    stream.emit("close");
    await turn();
    assert.deepEqual(told, [{ closed: first }]);
  });

  test("by the stream's own error is told with it", async () => {
    const { stream, told } = rig();
    const reset = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" });
    stream.destroy(reset);
    await untilClosed(told);
    assert.deepEqual(told, [{ closed: reset }]);
  });

  test("by the peer is told without an error, also when there was more to send", async () => {
    const { stream, send, told } = rig();
    stream.holding = true;
    const sent = send(10);
    await turn();
    stream.feed(frame(MsgAll, hex("01")));
    stream.feedEnd();
    await until(() => stream.writableEnded, "this side is ended, too");
    send(10);
    await turn();
    stream.takeHeld();
    await untilClosed(told);
    assert.deepEqual([stream.writes, told], [[sent], ["01", { closed: undefined }]]);
  });

  test("by the peer in the middle of a frame hands that one on to nobody", async () => {
    const { stream, told } = rig();
    stream.feed(frame(MsgAll, hex("0102")).subarray(0, 9));
    stream.feedEnd();
    await untilClosed(told);
    assert.deepEqual(told, [{ closed: undefined }]);
  });

  test("keeps later input from everybody", async () => {
    const { stream, framed, told } = rig();
    framed.destroy();
    stream.feed(frame(MsgAll, hex("01")));
    await untilClosed(told);
    stream.feed(frame(MsgAll, hex("01")));
    assert.deepEqual(told, [{ closed: undefined }]);
  });
});

describe("frames that are read", () => {
  test("are handed on, counted in bytes, and followed by readDone, whose answer goes back", () => {
    let reusable = true;
    const made: Rig = rig({
      readDone() {
        made.told.push("done");
        return reusable;
      },
    });
    const { stream, framed, told } = made;
    const bytes = Buffer.concat([frame(MsgAll, hex("01")), frame(MsgAll, hex("02"))]);
    assert.equal(stream.feed(bytes), true);
    reusable = false;
    assert.equal(stream.feed(bytes.subarray(0, 4)), false);
    assert.deepEqual(told, ["01", "02", "done", "done"]);
    assert.equal(framed.receivedBytes, bytes.length + 4);
  });

  test("are read only as far as the reader says", () => {
    const { stream, framed, told } = rig();
    const bytes = frame(MsgAll, hex("01"));
    stream.feed(Buffer.concat([bytes, bytes]), bytes.length);
    assert.deepEqual([told, framed.receivedBytes], [["01"], bytes.length]);
  });

  test("may be as long as maxFrame, which is the least one until it is set", () => {
    const { stream, framed, told } = rig({
      frame: (_type, _bytes, start, end) => told.push(end - start),
    });
    stream.feed(frame(MsgAll, Buffer.alloc(MIN_MAX_FRAME)));
    framed.maxFrame = MIN_MAX_FRAME + 1;
    stream.feed(frame(MsgAll, Buffer.alloc(MIN_MAX_FRAME + 1)));
    assert.deepEqual(told, [MIN_MAX_FRAME, MIN_MAX_FRAME + 1]);
  });

  test("and are longer than maxFrame end the stream", async () => {
    for (const raisedBytes of [0, 1]) {
      const { stream, framed, told } = rig();
      if (raisedBytes > 0) framed.maxFrame = MIN_MAX_FRAME + raisedBytes;
      stream.feed(header(MsgAll, MIN_MAX_FRAME + raisedBytes + 1));
      await untilClosed(told);
      const [{ closed }] = told as [{ closed: ProtocolError }];
      assert.equal(closed.code, "frame-too-big");
    }
  });

  test("and break a rule end the stream with that error; those before are handed on, none after", async () => {
    const { stream, told } = rig();
    stream.feed(Buffer.concat([frame(MsgAll, hex("01")), header(99, 0), frame(MsgAll, hex("02"))]));
    stream.feed(frame(MsgAll, hex("03")));
    await untilClosed(told);
    const [one, { closed }] = told as [string, { closed: ProtocolError }];
    assert.deepEqual([one, closed.code, told.length], ["01", "unknown-type", 2]);
  });

  test("end the stream with the protocol error of who takes them, and readDone still follows", async () => {
    const error = new ProtocolError("bad-body", "the sink's");
    const made: Rig = rig({
      frame() {
        throw error;
      },
      readDone: () => made.told.push("done") > 0,
    });
    made.stream.feed(Buffer.concat([frame(MsgAll), frame(MsgAll)]));
    assert.equal(made.stream.destroyed, true);
    await untilClosed(made.told);
    assert.deepEqual(made.told, ["done", { closed: error }]);
  });

  test("let any other error of who takes them through, and end the link: it would be deaf from here on", () => {
    const made = rig({
      frame() {
        throw new TypeError("a fault of our own");
      },
    });
    assert.throws(() => made.stream.feed(frame(MsgAll)), /^TypeError: a fault of our own$/);
    assert.equal(made.stream.destroyed, true);
  });

  test("are kept back once the stream was destroyed in their middle", async () => {
    const made: Rig = rig({
      frame(_type, bytes, start, end) {
        made.told.push(bytes.toString("hex", start, end));
        made.framed.destroy();
      },
    });
    made.stream.feed(Buffer.concat([frame(MsgAll, hex("01")), frame(MsgAll, hex("02"))]));
    await untilClosed(made.told);
    assert.deepEqual(made.told, ["01", { closed: undefined }]);
  });
});

test("a stream over TLS is told to be connected only once who answers has shown who it is", () => {
  const encrypted = Object.assign(new FakeStream(), { encrypted: true });
  const { told } = rig({}, undefined, encrypted);
  encrypted.emit("connect");
  assert.deepEqual(told, []);
  encrypted.emit("secureConnect");
  assert.deepEqual(told, ["connected"]);
});

test("that the stream is connected is told when it says so", () => {
  const { stream, told } = rig();
  assert.deepEqual(told, []);
  stream.emit("connect");
  assert.deepEqual(told, ["connected"]);
});

test("what waits to be sent is counted, whether the stream has it or not", async () => {
  const { stream, framed, send } = rig();
  stream.holding = true;
  send(10);
  assert.equal(framed.queuedBytes, 18);
  await turn();
  assert.equal(framed.queuedBytes, 18);
  send(10);
  assert.equal(framed.queuedBytes, 36);
  stream.release();
  await turn();
  assert.equal(framed.queuedBytes, 0);
});
