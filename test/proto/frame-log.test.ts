import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { FrameLog } from "../../proto/frame-log.ts";
import { frame, sessionFrame } from "./support.ts";

/** A frame whose body tells its number. */
function numbered(number: number, length = 4): Buffer {
  const body = Buffer.alloc(Math.max(4, length), number % 256);
  body.writeUInt32LE(number);
  return frame(2, body);
}

function append(log: FrameLog, from: number, to: number, length = 4): void {
  for (let number = from; number <= to; number++) log.frame(2, numbered(number, length).subarray(8));
}

function numbers(from: number, to: number, length = 4): Buffer {
  return Buffer.concat(Array.from({ length: to - from + 1 }, (_, i) => numbered(from + i, length)));
}

function take(log: FrameLog): Buffer {
  return Buffer.concat(log.takeUnsent());
}

describe("numbered frames", () => {
  test("are taken once, in order, as they were appended", () => {
    const log = new FrameLog(64);
    append(log, 1, 10);
    assert.deepEqual(take(log), numbers(1, 10));
    log.sessionFrame(0, 7, Buffer.from("abc"), 1, 3);
    assert.deepEqual(take(log), sessionFrame(0, 7, Buffer.from("bc")));
    assert.deepEqual(take(log), Buffer.alloc(0));
    assert.equal(log.appended, 11);
  });

  test("are sent again from the first that was not handled, to the last byte", () => {
    const log = new FrameLog(64);
    append(log, 1, 20);
    take(log);
    append(log, 21, 25);
    for (const handled of [0, 3, 4, 5, 12, 25]) {
      assert.equal(log.rewind(handled), true);
      assert.deepEqual(take(log), numbers(handled + 1, 25), `behind ${handled}`);
    }
  });

  test("can't be sent again once they were acknowledged, and not before they were appended", () => {
    const log = new FrameLog(64);
    append(log, 1, 9);
    take(log);
    assert.equal(log.acknowledge(6), true);
    assert.equal(log.rewind(5), false);
    assert.equal(log.rewind(10), false);
    assert.equal(log.rewind(6), true);
    assert.deepEqual(take(log), numbers(7, 9));
  });

  test("can't be said to be handled before they were sent", () => {
    const log = new FrameLog(64);
    append(log, 1, 5);
    take(log);
    append(log, 6, 7);
    assert.equal(log.rewind(6), false);
    assert.equal(log.rewind(5), true);
    assert.deepEqual(take(log), numbers(6, 7));
  });

  test("can be said to be handled once they were sent, though the last link has sent none of them again", () => {
    const log = new FrameLog(64);
    append(log, 1, 5);
    take(log);
    assert.equal(log.rewind(2), true);
    assert.equal(log.acknowledge(4), false, "on this link they were not sent yet");
    assert.equal(log.rewind(4), true);
    assert.equal(log.rewind(6), false);
    assert.deepEqual(take(log), numbers(5, 5));
  });

  test("can't be acknowledged before they were sent; fewer than before change nothing", () => {
    const log = new FrameLog(64);
    append(log, 1, 5);
    assert.equal(log.acknowledge(1), false);
    take(log);
    append(log, 6, 6);
    assert.equal(log.acknowledge(6), false);
    assert.equal(log.acknowledge(5), true);
    assert.equal(log.acknowledge(2), true);
    assert.equal(log.acknowledged, 5);
    take(log);
    append(log, 7, 8);
    assert.equal(log.acknowledge(6), true, "others wait in the same chunk");
    assert.equal(log.acknowledge(7), false);
  });

  test("are let go of once acknowledged, so that memory stays what is under way", () => {
    const log = new FrameLog(1024, 4);
    for (let round = 0; round < 2000; round++) {
      append(log, round * 10 + 1, round * 10 + 10, 100);
      take(log);
      log.acknowledge(round * 10 + 5);
      assert.ok(log.retainedBytes <= 5 * 112 + 2 * 1024, `${log.retainedBytes}`);
    }
    log.acknowledge(20_000);
    assert.equal(log.retainedBytes, 0);
  });

  test("that are not acknowledged can be looked through", () => {
    const log = new FrameLog(64);
    append(log, 1, 12);
    take(log);
    log.acknowledge(5);
    const seen: number[] = [];
    log.forEachUnacknowledged((type, bytes, start, end) => {
      assert.deepEqual([type, end - start], [2, 4]);
      seen.push(bytes.readUInt32LE(start));
    });
    assert.deepEqual(seen, [6, 7, 8, 9, 10, 11, 12]);
  });

  test("can be looked through from any of them on that is not acknowledged", () => {
    const log = new FrameLog(64);
    append(log, 1, 12);
    take(log);
    log.acknowledge(5);
    const behind = (frames: number) => {
      const seen: number[] = [];
      log.forEachBehind(frames, (_type, bytes, start) => seen.push(bytes.readUInt32LE(start)));
      return seen;
    };
    for (let frames = 5; frames <= 13; frames++)
      assert.deepEqual(behind(frames), [6, 7, 8, 9, 10, 11, 12].slice(frames - 5));
    assert.deepEqual(behind(0), behind(5));
  });

  test("are forgotten when a new epoch begins", () => {
    const log = new FrameLog(64);
    append(log, 1, 12);
    log.reset();
    assert.deepEqual([log.appended, log.retainedBytes, log.unsentBytes], [0, 0, 0]);
    append(log, 1, 2);
    assert.deepEqual(take(log), numbers(1, 2));
  });

  test("whatever is appended, sent, acknowledged and cut off, nothing is lost, doubled or changed", () => {
    const step = fc.oneof(
      fc.record({ what: fc.constant("append" as const), amount: fc.integer({ min: 1, max: 9 }) }),
      fc.record({ what: fc.constant("send" as const), amount: fc.nat(100) }),
      fc.record({ what: fc.constant("ack" as const), amount: fc.nat(100) }),
      fc.record({ what: fc.constant("cut" as const), amount: fc.nat(100) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), fc.integer({ min: 4, max: 90 }), (steps, length) => {
        const log = new FrameLog(128, 2);
        let appended = 0;
        /** What the other side has handled of the epoch, and what is on its way to it. */
        let handled = 0;
        let wire = Buffer.alloc(0);
        const frameBytes = numbered(1, length).length;
        for (const { what, amount } of steps) {
          if (what === "append") {
            append(log, appended + 1, appended + amount, length);
            appended += amount;
          } else if (what === "send") {
            wire = Buffer.concat([wire, take(log)]);
            const whole = Math.min(amount, Math.floor(wire.length / frameBytes));
            assert.deepEqual(
              wire.subarray(0, whole * frameBytes),
              numbers(handled + 1, handled + whole, length),
            );
            handled += whole;
            wire = wire.subarray(whole * frameBytes);
          } else if (what === "ack") {
            assert.equal(log.acknowledge(Math.max(0, handled - (amount % 3))), true);
          } else {
            wire = Buffer.alloc(0);
            assert.equal(log.rewind(handled), true);
          }
        }
        wire = Buffer.concat([wire, take(log)]);
        assert.deepEqual(wire, numbers(handled + 1, appended, length));
      }),
    );
  });
});
