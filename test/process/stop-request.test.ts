import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { requests, warnings } from "../../process/signals.ts";
import { StopRequest } from "../../process/stop-request.ts";
import { FakeProcess } from "./support.ts";

/** A process whose stop request has been handed to somebody who writes down why it came. */
function listening(connected?: boolean) {
  const fake = new FakeProcess(connected);
  const request = new StopRequest(fake);
  const reasons: string[] = [];
  request.handTo((reason) => reasons.push(reason));
  return { fake, request, reasons };
}

describe("a request to stop", () => {
  for (const signal of [...Object.keys(requests), ...warnings]) {
    test(`is ${signal}`, () => {
      const { fake, reasons } = listening();
      fake.send(signal);
      assert.deepEqual([reasons, fake.exits], [[signal], []]);
    });
  }

  test("that comes before there is anything to stop is not lost", () => {
    const fake = new FakeProcess();
    const request = new StopRequest(fake);
    fake.send("SIGTERM");
    const reasons: string[] = [];
    request.handTo((reason) => reasons.push(reason));
    assert.deepEqual(reasons, ["SIGTERM"]);
  });

  test("is the end of the process manager, also before anybody listens", () => {
    const { fake, reasons } = listening(true);
    assert.deepEqual(reasons, []);
    fake.send("disconnect");
    assert.deepEqual(reasons, ["the process manager is gone"]);
    assert.deepEqual(listening(false).reasons, ["the process manager is gone"]);
  });

  test("is one however often it comes within 300 ms, as a Ctrl-C does behind npm", () => {
    for (const again of Object.keys(requests)) {
      const { fake, reasons } = listening();
      fake.send("SIGINT", again);
      fake.ms += 300;
      fake.send(again);
      assert.deepEqual([reasons, fake.exits], [["SIGINT"], []], again);
    }
  });

  test("that comes again later ends the process at once, with the signal's code", () => {
    for (const [signal, code] of [
      ["SIGINT", 130],
      ["SIGQUIT", 131],
      ["SIGTERM", 143],
    ] as const) {
      const { fake, reasons } = listening();
      fake.send("SIGTERM");
      fake.ms += 301;
      fake.send(signal);
      assert.deepEqual([reasons, fake.exits], [["SIGTERM"], [code]]);
    }
  });

  test("that comes again may be somebody else's to hurry", () => {
    const fake = new FakeProcess();
    const heard: string[] = [];
    new StopRequest(fake).handTo(
      (reason) => heard.push(reason),
      (signal) => heard.push(`${signal} again`),
    );
    fake.send("SIGTERM");
    fake.ms += 301;
    fake.send("SIGINT");
    assert.deepEqual([heard, fake.exits], [["SIGTERM", "SIGINT again"], []]);
  });

  test("is hurried by no warning, which the system may give every second", () => {
    const { fake, reasons } = listening();
    for (const warning of [...warnings, ...warnings]) {
      fake.send(warning);
      fake.ms += 1000;
    }
    // The first one who asks is the first one.
    fake.send("SIGTERM");
    assert.deepEqual([reasons, fake.exits], [["SIGALRM"], []]);
  });

  test("is hurried by no end of the process manager", () => {
    const { fake, reasons } = listening(true);
    fake.send("SIGTERM");
    fake.ms += 1000;
    fake.send("disconnect");
    assert.deepEqual([reasons, fake.exits], [["SIGTERM"], []]);
  });
});
