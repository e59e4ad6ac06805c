/** What clients said behind a frame of their manager's link, found in the log of it. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { UnheardIndex } from "../../gateway/links/unheard.ts";
import { FrameLog } from "../../proto/frame-log.ts";
import { toManager } from "../../proto/from-gateway.ts";
import { Random } from "../fuzz/random.ts";

const CHUNK_BYTES = 64;

function say(log: FrameLog, session: number, text: string): void {
  const bytes = Buffer.from(text);
  toManager.message(log, session, bytes, 0, bytes.length);
}

function found(index: UnheardIndex, session: number, frames: number): string[] {
  const texts: string[] = [];
  index.find(session, frames).forEach((bytes, start, end) => {
    texts.push(bytes.toString("utf8", start, end));
  });
  return texts;
}

describe("what a client said behind a frame", () => {
  test("is found in order, whoever else has spoken, as if each were looked for alone", () => {
    const random = new Random(11);
    const log = new FrameLog(CHUNK_BYTES);
    const said: { readonly session: number; readonly text: string | undefined }[] = [];
    for (let frame = 1; frame <= 400; frame++) {
      const session = 1 + random.below(5);
      const text = random.chance(0.9) ? `${frame}`.repeat(random.below(12)) : undefined;
      if (text === undefined) toManager.bindRefused(log, session, "ann");
      else say(log, session, text);
      said.push({ session, text });
    }
    log.takeUnsent();
    log.acknowledge(50);
    const index = new UnheardIndex(log, 80);
    for (let frames = 80; frames <= 401; frames += 7) {
      assert.equal(index.covers(frames), true);
      for (let session = 1; session <= 6; session++) {
        const behind = said.slice(frames).filter((one) => one.session === session);
        const texts = behind.flatMap(({ text }) => (text === undefined ? [] : [text]));
        assert.deepEqual(found(index, session, frames), texts, `of ${session} behind ${frames}`);
        assert.equal(index.find(session, frames).received, frames);
      }
    }
    assert.equal(index.covers(79), false);
  });

  test("is found too when it was said since the others were looked for", () => {
    const log = new FrameLog(CHUNK_BYTES);
    for (const text of ["one", "two"]) say(log, 1, text);
    const index = new UnheardIndex(log, 1);
    say(log, 2, "three");
    say(log, 1, "four");
    assert.deepEqual(found(index, 1, 1), ["two", "four"]);
    assert.deepEqual(found(index, 2, 3), []);
    assert.deepEqual(found(index, 2, 1), ["three"]);
    assert.deepEqual(found(index, 1, 4), []);
  });

  test("is nothing that was acknowledged, wherever it begins", () => {
    const log = new FrameLog(CHUNK_BYTES);
    for (const text of ["one", "two", "three"]) say(log, 1, text);
    log.takeUnsent();
    const before = new UnheardIndex(log, 0);
    log.acknowledge(2);
    assert.equal(before.covers(0), false, "its memory may be another's by now");
    const index = new UnheardIndex(log, 0);
    assert.deepEqual(found(index, 1, 0), ["three"]);
    assert.equal(index.find(1, 0).received, 2, "which is told");
    assert.equal(index.covers(0), true);
  });
});
