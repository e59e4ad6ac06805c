/** Numbered frames and others on one stream: which leaves first, and what becomes of what was cut off. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import { FramedStream } from "../../link/framed-stream.ts";
import { FromManager, fromManagerBounds } from "../../proto/frame.ts";
import { FrameLog } from "../../proto/frame-log.ts";
import { frame } from "../proto/support.ts";
import { FakeStream } from "./fake-stream.ts";
import { doStep, type StreamStep, streamSteps } from "./stream-steps.ts";

const KIB = 1024;
const { MsgAll, Pong } = FromManager;

function open(log: FrameLog | undefined, stream = new FakeStream()) {
  const congested: boolean[] = [];
  const framed = new FramedStream({
    open: stream.open,
    bounds: fromManagerBounds,
    congestedBytes: 200 * KIB,
    events: {
      connected() {},
      frame() {},
      readDone: () => true,
      congested: (is) => congested.push(is),
      closed() {},
    },
  });
  framed.numbered = log;
  return { stream, framed, congested };
}

/** A numbered frame that tells its number. */
function append(log: FrameLog, number: number, length = 4): Buffer {
  const body = Buffer.alloc(length, number % 256);
  body.writeUInt32LE(number);
  log.frame(MsgAll, body);
  return frame(MsgAll, body);
}

/** A frame that is not. */
function say(framed: FramedStream, mark: number): Buffer {
  const body = Buffer.from([mark]);
  framed.batch.frame(Pong, body);
  return frame(Pong, body);
}

describe("numbered frames", () => {
  test("leave in one write with the others of their turn, before them", async () => {
    const log = new FrameLog();
    const { stream, framed } = open(log);
    const other = say(framed, 1);
    const numbered = [append(log, 1), append(log, 2)];
    framed.scheduleFlush();
    await turn();
    assert.deepEqual(stream.writes, [Buffer.concat([...numbered, other])]);
  });

  test("leave behind what was put before them in sequence, and in front of nothing of it", async () => {
    const log = new FrameLog();
    const { stream, framed } = open(log);
    const sent = [append(log, 1), say(framed, 1)];
    framed.sequence();
    sent.push(append(log, 2), say(framed, 2));
    framed.sequence();
    sent.push(append(log, 3));
    assert.equal(framed.queuedBytes, Buffer.concat(sent).length, "all of it waits");
    framed.scheduleFlush();
    await turn();
    assert.deepEqual(stream.writes, [Buffer.concat(sent)]);
    assert.equal(framed.queuedBytes, 0);
  });

  test("that were there before the stream leave once they join it, after what came first", async () => {
    const log = new FrameLog();
    const waiting = append(log, 1);
    const { stream, framed } = open(undefined);
    const first = say(framed, 1);
    framed.sequence();
    framed.numbered = log;
    framed.scheduleFlush();
    await turn();
    assert.deepEqual(stream.writes, [Buffer.concat([first, waiting])]);
  });

  test("wait where they are while the stream takes nothing, and then leave in one write", async () => {
    const log = new FrameLog();
    const { stream, framed } = open(log);
    stream.holding = true;
    const first = append(log, 1);
    framed.flush();
    const rest: Buffer[] = [];
    for (let number = 2; number < 9; number++) {
      rest.push(append(log, number));
      framed.flush();
    }
    assert.equal(log.sent, 1, "the others were not taken");
    assert.equal(framed.queuedBytes, Buffer.concat([first, ...rest]).length);
    stream.takeHeld();
    stream.takeHeld();
    assert.deepEqual(stream.writes, [first, Buffer.concat(rest)]);
  });

  test("congest the stream like any other, until it has taken them", () => {
    const log = new FrameLog();
    const { stream, framed, congested } = open(log);
    stream.holding = true;
    append(log, 1);
    framed.flush();
    append(log, 2, 201 * KIB);
    framed.scheduleFlush();
    framed.flush();
    assert.deepEqual(congested, [true]);
    stream.release();
    assert.deepEqual(congested, [true, false]);
  });

  test("leave before the turn ends once they are 256 KiB", () => {
    const log = new FrameLog();
    const { stream, framed } = open(log);
    const sent = [append(log, 1, 128 * KIB), append(log, 2, 128 * KIB)];
    framed.scheduleFlush();
    assert.deepEqual(stream.writes, [Buffer.concat(sent)]);
  });

  test("that are appended to a stream that is gone stay for the next one", async () => {
    const log = new FrameLog();
    const { framed } = open(log);
    framed.destroy();
    await turn();
    const sent = append(log, 1);
    say(framed, 1);
    framed.flush();
    const next = open(log);
    next.framed.flush();
    assert.deepEqual(next.stream.writes, [sent]);
  });

  test("arrive each once and in order, wherever streams are cut and whatever the other side has handled", async () => {
    const step = fc.oneof(
      fc.record({ append: fc.integer({ min: 4, max: 90 * KIB }) }),
      fc.constantFrom("say", "sequence", "turn", ...streamSteps),
      fc.record({ cut: fc.nat() }),
    );
    type Step = { append: number } | { cut: number } | "say" | "sequence" | "turn" | StreamStep;
    const check = async (steps: readonly Step[]) => {
      const log = new FrameLog();
      let { stream, framed } = open(log);
      const sent: Buffer[] = [];
      const others: Buffer[] = [];
      let handled = 0;
      /** What arrived over a stream: whole frames, of which the numbered ones must be those that come next. */
      const arrive = (bytes: Buffer) => {
        let at = 0;
        while (at + 8 <= bytes.length) {
          const end = at + 8 + bytes.readUInt32LE(at + 4);
          if (end > bytes.length) break;
          const one = bytes.subarray(at, end);
          if (bytes.readUInt32LE(at) === MsgAll) assert.ok(one.equals(sent[handled++] ?? Buffer.alloc(0)));
          else assert.deepEqual(one, others.shift());
          at = end;
        }
      };
      for (const [mark, one] of steps.entries()) {
        if (typeof one !== "string") {
          if ("append" in one) {
            sent.push(append(log, sent.length, one.append));
            continue;
          }
          const written = Buffer.concat([stream.written, ...stream.held]);
          arrive(written.subarray(0, one.cut % (written.length + 1)));
          others.length = 0;
          framed.destroy();
          assert.equal(log.rewind(handled), true);
          ({ stream, framed } = open(log));
        } else if (one === "say") others.push(say(framed, mark % 256));
        else if (one === "sequence") framed.sequence();
        else if (one === "turn") await turn();
        else doStep(one, framed, stream);
      }
      stream.release();
      framed.flush();
      arrive(stream.written);
      assert.equal(handled, sent.length);
      assert.equal(others.length, 0);
    };
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40 }), check), { numRuns: 100 });
  });
});
