import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pino } from "pino";
import { Counters } from "../../gateway/metrics/counters.ts";
import { reportRefusals } from "../../gateway/refusal-report.ts";
import { FakeClock } from "../helpers/fake-clock.ts";

const REPORT_MS = 10_000;

function reporting() {
  const lines: Record<string, unknown>[] = [];
  const clock = new FakeClock();
  const counters = new Counters();
  const log = pino({ level: "info", base: null }, { write: (line: string) => lines.push(JSON.parse(line)) });
  const stop = reportRefusals(counters, clock, log);
  return { lines, clock, counters, stop };
}

describe("the log", () => {
  test("says how many clients were turned away, and why, in a line now and then", () => {
    const { lines, clock, counters } = reporting();
    for (let client = 0; client < 1000; client++) counters.refuse("denied");
    counters.refuse("bad-ticket");
    clock.advance(REPORT_MS);
    assert.equal(lines.length, 1);
    assert.partialDeepStrictEqual(lines[0], {
      msg: "clients were turned away",
      refusals: { denied: 1000, "bad-ticket": 1 },
    });
  });

  test("counts from line to line, and says nothing when there is nothing to say", () => {
    const { lines, clock, counters } = reporting();
    clock.advance(10 * REPORT_MS);
    assert.deepEqual(lines, []);
    counters.refuse("denied");
    clock.advance(REPORT_MS);
    counters.refuse("denied");
    counters.refuse("denied");
    clock.advance(3 * REPORT_MS);
    assert.deepEqual(
      lines.map(({ refusals }) => refusals),
      [{ denied: 1 }, { denied: 2 }],
    );
  });

  test("says what to raise when it was for want of file descriptors", () => {
    const { lines, clock, counters } = reporting();
    counters.refuse("descriptors");
    clock.advance(REPORT_MS);
    const advice =
      /^out of file descriptors: this process may open \d+; raise it \(ulimit -n, LimitNOFILE\)$/;
    assert.match(String(lines.at(-1)?.msg), advice);
    assert.equal(lines.length, 2);
  });

  test("says nothing more once that was ended", () => {
    const { lines, clock, counters, stop } = reporting();
    stop();
    counters.refuse("denied");
    clock.advance(REPORT_MS);
    assert.deepEqual([lines, clock.timerCount], [[], 0]);
  });
});
