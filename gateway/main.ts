#!/usr/bin/env node

/** The gateway's process: signals and exit codes, and nothing else. */

import { isatty } from "node:tty";
import { createLog } from "../process/log.ts";
import { tellReady } from "../process/ready.ts";
import { StopRequest } from "../process/stop-request.ts";
import { readCommandLine } from "./cli.ts";
import { ConfigError } from "./config-error.ts";
import { ExitCode } from "./exit-codes.ts";
import { startGateway } from "./gateway.ts";
import { keepHeapFlat } from "./heap.ts";

async function main(): Promise<number> {
  const invocation = readCommandLine(process.argv.slice(2), process.env);
  if (invocation.action === "print") {
    process.stdout.write(invocation.text);
    return ExitCode.ok;
  }
  keepHeapFlat();
  const { config } = invocation;
  const log = createLog(config);
  const stop = new StopRequest();
  // Before there is a gateway, there is nothing to be read again.
  let reload = () => {};
  onHangUp(() => reload());
  const gateway = await startGateway({ config, log: log.logger, ready: tellReady });
  reload = () => gateway.reload();
  stop.handTo((reason) => gateway.drain(reason));
  const { code, message } = await gateway.ended;
  if (message !== undefined) log.logger.fatal({ exitCode: code }, message);
  else log.logger.info("ended");
  await log.end();
  return code;
}

/** SIGHUP asks a service to read its files again; of a terminal that was closed it is the end. */
function onHangUp(reload: () => void): void {
  const fromTerminal = isatty(0);
  process.on("SIGHUP", () => {
    if (fromTerminal && !isatty(0)) process.kill(process.pid, "SIGTERM");
    else reload();
  });
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`sidegate: ${error.message}\nSee --help.\n`);
    process.exit(ExitCode.config);
  },
);
