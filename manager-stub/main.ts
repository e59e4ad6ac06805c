#!/usr/bin/env node
/** The manager's process: its command line, signals and exit codes. */

import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { createLog, type LogOptions, logFormats, logLevels } from "../process/log.ts";
import { tellReady } from "../process/ready.ts";
import { onHangUp, passOverSignals } from "../process/signals.ts";
import { StopRequest } from "../process/stop-request.ts";
import { bareHost, parseLinkUrl } from "../proto/link-url.ts";
import { MAX_CAPACITY } from "../proto/session-id.ts";
import { type BehaviourName, behaviourNames } from "./behaviours.ts";
import { type CredentialFlags, readCredentials, UsageError } from "./credentials.ts";
import { CtlError, ctlCommand } from "./ctl.ts";
import { ListenError } from "./listen.ts";
import { ListenOptionsError } from "./protection.ts";
import { type ServeOptions, serve } from "./serve.ts";

const EXIT_FAULT = 1;
const EXIT_USAGE = 2;
const EXIT_LISTEN = 3;

interface Flags extends CredentialFlags {
  readonly listen: string;
  readonly http: ServeOptions["http"];
  readonly capacity: number;
  readonly pingMs: number;
  readonly behaviour: BehaviourName;
  readonly logLevel: LogOptions["logLevel"];
  readonly logFormat: LogOptions["logFormat"];
}

const program = new Command("sidegate-manager")
  .description("A reference manager for sidegate: it drives gateways and answers to an HTTP API.")
  .option(
    "--listen <url>",
    "where gateways dial: unix:/path, tcp://host:port or tls://host:port",
    linkUrl,
    "unix:run/manager.sock",
  )
  .option(
    "--secret-file <file>",
    "the file of the secret that gateways must have too; or set SIDEGATE_MANAGER_SECRET",
  )
  .option("--tls-cert <file>", "for tls://: the certificate to show")
  .option("--tls-key <file>", "for tls://: its key")
  .option("--tls-client-ca <file>", "for tls://: the authority whose certificates gateways must show")
  .addOption(
    new Option("--http <host:port>", "where the HTTP API listens")
      .argParser(hostAndPort)
      .default({ host: "127.0.0.1", port: 7380 }, "127.0.0.1:7380"),
  )
  .option("--capacity <slots>", "how many sessions each gateway may hold", whole(1, MAX_CAPACITY), 10_000)
  .option("--ping-ms <ms>", "the heartbeat's interval", whole(100, 600_000), 5000)
  .addOption(
    new Option("--behaviour <name>", "echo: each message back; chat: to everybody; silent: nothing")
      .choices(behaviourNames)
      .default("echo"),
  )
  .addOption(
    new Option("--log-level <level>", "the least level that is logged").choices(logLevels).default("info"),
  )
  .addOption(
    new Option("--log-format <format>", "for programs or for people").choices(logFormats).default("json"),
  )
  .allowExcessArguments()
  .action((flags: Flags, command: Command) => {
    const [word] = command.args;
    if (word !== undefined) command.error(`error: unknown command '${word}'; there is 'ctl'`);
    return run(flags);
  })
  .addCommand(ctlCommand(print))
  .exitOverride();

async function run({ logLevel, logFormat, ...flags }: Flags): Promise<void> {
  const { warnings, ...credentials } = readCredentials(flags, process.env);
  const log = createLog({ name: "manager", logLevel, logFormat });
  const stop = new StopRequest();
  passOverSignals(log.logger);
  onHangUp({
    reload: () => log.logger.info("a manager has no files that can be read again; SIGHUP changes nothing"),
    gone: () => stop.ask("SIGHUP"),
  });
  for (const warning of warnings) log.logger.warn(warning);
  const { close } = await serve({ ...flags, ...credentials }, log.logger);
  stop.handTo(async () => {
    await close();
    await log.end();
    process.exit(0);
  });
  tellReady();
}

/** Prints. When nobody reads any more, as behind `head`, nothing is left to do. */
function print(text: string): void {
  if (process.stdout.listenerCount("error") === 0) process.stdout.on("error", () => process.exit(0));
  process.stdout.write(text);
}

function linkUrl(value: string): string {
  try {
    parseLinkUrl(value);
    return value;
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

function hostAndPort(value: string): ServeOptions["http"] {
  const [, host, port] = /^(\[[\da-fA-F:.]+\]|[\w.-]+):(\d{1,5})$/.exec(value) ?? [];
  if (host === undefined || Number(port) > 65_535) {
    throw new InvalidArgumentError("It must be host:port.");
  }
  return { host: bareHost(host), port: Number(port) };
}

function whole(min: number, max: number): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (/^\d+$/.test(value) && number >= min && number <= max) return number;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

program.parseAsync().catch((error: unknown) => {
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : EXIT_USAGE);
  const exitCode = exitCodeOf(error);
  if (exitCode === undefined) throw error;
  process.stderr.write(`sidegate-manager: ${(error as Error).message}\n`);
  process.exit(exitCode);
});

/** The exit code of an error that one line explains; undefined for a fault of the program's own. */
function exitCodeOf(error: unknown): number | undefined {
  if (error instanceof UsageError || error instanceof ListenOptionsError) return EXIT_USAGE;
  if (error instanceof ListenError) return EXIT_LISTEN;
  return error instanceof CtlError ? EXIT_FAULT : undefined;
}
