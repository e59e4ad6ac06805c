import assert from "node:assert/strict";
import { constants } from "node:os";
import { test } from "node:test";
import { meaningless, passOverSignals, requests, warnings } from "../../process/signals.ts";
import { FakeProcess } from "./support.ts";

test("every signal that would end a process from outside has a meaning", () => {
  const ownFaults = ["SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGIOT", "SIGSEGV", "SIGSYS", "SIGTRAP"];
  const cannotBeHeard = ["SIGKILL", "SIGSTOP"];
  const endNothing = ["SIGCHLD", "SIGCONT", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGWINCH"];
  const ofNode = ["SIGPIPE", "SIGXFSZ", "SIGPROF"];
  // SIGPOLL is another name of SIGIO's; SIGHUP is onHangUp's.
  const others = ["SIGHUP", "SIGPOLL", ...ownFaults, ...cannotBeHeard, ...endNothing, ...ofNode];
  const known: readonly string[] = [...Object.keys(requests), ...warnings, ...meaningless, ...others];
  const unknown = Object.keys(constants.signals).filter((signal) => !known.includes(signal));
  assert.deepEqual(unknown, []);
});

test("a signal without a meaning is logged, and that is all", () => {
  const fake = new FakeProcess();
  const lines: unknown[] = [];
  passOverSignals({ info: (line: unknown) => void lines.push(line) }, fake.source);
  fake.send(...meaningless);
  assert.deepEqual(
    lines,
    meaningless.map((signal) => ({ signal })),
  );
});
