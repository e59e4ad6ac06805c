#!/usr/bin/env node
/** The gateway's process: signals and exit codes, and nothing else. */

import { readCommandLine } from "./cli.ts";
import { ConfigError } from "./config.ts";
import { ExitCode } from "./exit-codes.ts";
import { startGateway } from "./gateway.ts";
import { keepHeapFlat } from "./heap.ts";
import { createLog } from "./log.ts";

/** What the exit code of a process that a signal ended begins at. */
const SIGNAL_BASE = 128;
const SIGNALS = { SIGINT: 2, SIGTERM: 15 } as const;

async function main(): Promise<number> {
  const invocation = readCommandLine(process.argv.slice(2), process.env);
  if (invocation.action === "print") {
    process.stdout.write(invocation.text);
    return ExitCode.ok;
  }
  keepHeapFlat();
  const { config } = invocation;
  const log = createLog(config);
  const gateway = await startGateway({ config, log, ready: () => process.send?.("ready") });
  let asked = false;
  for (const [signal, number] of Object.entries(SIGNALS)) {
    process.on(signal, () => {
      if (asked) process.exit(SIGNAL_BASE + number);
      asked = true;
      gateway.drain(signal);
    });
  }
  process.on("disconnect", () => gateway.drain("the process manager is gone"));
  const { code, message } = await gateway.ended;
  if (message !== undefined) log.fatal({ exitCode: code }, message);
  else log.info("ended");
  return code;
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`sidegate: ${error.message}\nSee --help.\n`);
    process.exit(ExitCode.config);
  },
);
