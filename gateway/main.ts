#!/usr/bin/env node

/** The gateway's process: signals and exit codes, and nothing else. */

import { createLog } from "../process/log.ts";
import { tellReady } from "../process/ready.ts";
import { onHangUp, passOverSignals } from "../process/signals.ts";
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
  passOverSignals(log.logger);
  // Before there is a gateway, there is nothing to be read again.
  let reload = () => {};
  onHangUp({ reload: () => reload(), gone: () => stop.ask("SIGHUP") });
  const gateway = await startGateway({ config, log: log.logger, ready: tellReady });
  reload = () => gateway.reload();
  stop.handTo((reason) => gateway.drain(reason));
  const { code, message } = await gateway.ended;
  if (message !== undefined) log.logger.fatal({ exitCode: code }, message);
  else log.logger.info("ended");
  await log.end();
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
