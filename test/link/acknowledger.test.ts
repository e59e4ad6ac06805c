import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ACK_AFTER_BYTES, ACK_AFTER_FRAMES, ACK_AFTER_MS, Acknowledger } from "../../link/acknowledger.ts";
import { FakeClock } from "../helpers/fake-clock.ts";

function setUp() {
  const clock = new FakeClock();
  const sent: number[] = [];
  const acknowledger = new Acknowledger({
    send: (frames) => sent.push(frames),
    after: (ms, run) => clock.after(ms, run),
  });
  return { clock, sent, acknowledger };
}

describe("what was handled", () => {
  test("is acknowledged 100 ms after the first of it, all at once", () => {
    const { clock, sent, acknowledger } = setUp();
    acknowledger.handled(10);
    clock.advance(60);
    acknowledger.handled(10);
    clock.advance(ACK_AFTER_MS - 61);
    assert.deepEqual(sent, []);
    clock.advance(1);
    assert.deepEqual(sent, [2]);
    clock.advance(10 * ACK_AFTER_MS);
    assert.deepEqual(sent, [2], "and not again");
  });

  test("is acknowledged again when there is more, counted from the first frame of the epoch", () => {
    const { clock, sent, acknowledger } = setUp();
    for (const frames of [1, 2, 3]) {
      acknowledger.handled(10);
      clock.advance(ACK_AFTER_MS);
      assert.equal(sent.at(-1), frames);
    }
    assert.equal(acknowledger.received, 3);
  });

  test("is acknowledged at once when it is 64 KiB, and those bytes are not counted again", () => {
    const { clock, sent, acknowledger } = setUp();
    acknowledger.handled(ACK_AFTER_BYTES - 1);
    assert.deepEqual(sent, []);
    acknowledger.handled(1);
    assert.deepEqual(sent, [2]);
    assert.equal(clock.timerCount, 0, "the timer of the first is not needed any more");
    acknowledger.handled(ACK_AFTER_BYTES - 1);
    assert.deepEqual(sent, [2]);
    acknowledger.handled(ACK_AFTER_BYTES);
    assert.deepEqual(sent, [2, 4]);
  });

  test("is acknowledged at once when it is 1,024 frames, however small, and those are not counted again", () => {
    const { clock, sent, acknowledger } = setUp();
    for (let frames = 0; frames < 2 * ACK_AFTER_FRAMES + 1; frames++) acknowledger.handled(12);
    assert.deepEqual(sent, [1024, 2048]);
    assert.equal(clock.timerCount, 1, "the last one waits for others");
  });

  test("is acknowledged at once when one frame alone is as much", () => {
    const { clock, sent, acknowledger } = setUp();
    acknowledger.handled(ACK_AFTER_BYTES);
    assert.deepEqual(sent, [1]);
    assert.equal(clock.timerCount, 0);
  });
});

describe("a link that is gone", () => {
  test("is not acknowledged to, and what was handled stays known", () => {
    const { clock, sent, acknowledger } = setUp();
    acknowledger.handled(ACK_AFTER_BYTES - 1);
    acknowledger.pause();
    clock.advance(10 * ACK_AFTER_MS);
    assert.deepEqual([sent, acknowledger.received], [[], 1]);
    acknowledger.handled(1);
    assert.deepEqual(sent, [], "its bytes are told at registration");
    clock.advance(ACK_AFTER_MS);
    assert.deepEqual(sent, [2]);
  });

  test("that nobody goes on with leaves nothing", () => {
    const { clock, sent, acknowledger } = setUp();
    acknowledger.handled(10);
    acknowledger.reset();
    assert.deepEqual([acknowledger.received, clock.timerCount], [0, 0]);
    acknowledger.handled(10);
    clock.advance(ACK_AFTER_MS);
    assert.deepEqual(sent, [1]);
  });
});
