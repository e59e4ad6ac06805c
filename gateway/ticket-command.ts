/**
 * `sidegate ticket`: signs one admission ticket, for trying things out and for scripts. The secret comes from
 * the environment or a file, never from a flag, which everybody on the machine could read.
 */

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { Command } from "commander";
import { parseArguments } from "./arguments.ts";
import { systemClock } from "./clock.ts";
import { ConfigError } from "./config-error.ts";
import { canonicalAddress } from "./guard/address.ts";
import { readSecret } from "./guard/secret.ts";
import {
  MANAGER_CLAIM,
  MAX_CLAIM_LENGTH,
  MAX_CONTEXT_LENGTH,
  MAX_MANAGER_LENGTH,
  MAX_USER_BYTES,
  signTicket,
  type Ticket,
  ticketClaims,
} from "./guard/ticket.ts";

const SECRET_VARIABLE = "SIDEGATE_TICKET_SECRET";
const SECRET_FILE_VARIABLE = "SIDEGATE_TICKET_SECRET_FILE";

const DEFAULT_TTL_SECONDS = 60;
const MAX_TTL_SECONDS = 86_400;

interface TicketFlags {
  readonly user?: string;
  readonly ttl: string;
  readonly address?: string;
  readonly nonce?: boolean;
  readonly context?: string;
  readonly manager?: string;
  readonly managerField: string;
  readonly secretFile?: string;
}

/**
 * Runs the command.
 *
 * @param args the arguments behind `ticket`
 * @returns what to print, with its line end: a token, or the help
 * @throws ConfigError for a flag that is unknown or out of its bounds, and without a usable secret
 */
export function runTicketCommand(args: readonly string[], env: NodeJS.ProcessEnv): string {
  const command = buildCommand();
  const help = parseArguments(command, args);
  if (help !== undefined) return help;
  const flags = command.opts<TicketFlags>();
  const ticket = ticketOf(flags);
  return `${sign(ticket, findSecret(flags, env), fieldOf(flags))}\n`;
}

function buildCommand(): Command {
  return new Command("sidegate ticket")
    .description(
      `Prints one admission ticket. The secret stands in ${SECRET_VARIABLE}, or in the file that ` +
        `${SECRET_FILE_VARIABLE} or --secret-file names.`,
    )
    .option("--user <name>", `whom it lets in, 1 to ${MAX_USER_BYTES} bytes`)
    .option("--ttl <seconds>", "how long it is good", String(DEFAULT_TTL_SECONDS))
    .option("--address <ip>", "the only address that it is good from")
    .option("--nonce", "good once, which is the default")
    .option("--no-nonce", "good as often as is wanted until it expires")
    .option("--context <text>", `what the manager is told with it, ${MAX_CONTEXT_LENGTH} characters at most`)
    .option("--manager <name>", `the manager that it lets in to, ${MAX_MANAGER_LENGTH} characters at most`)
    .option("--manager-field <claim>", "the claim that says so, as managerTicketField has it", MANAGER_CLAIM)
    .option("--secret-file <file>", `the file that holds the secret (${SECRET_FILE_VARIABLE})`);
}

function ticketOf({ user, ttl, address, nonce = true, context, manager }: TicketFlags): Ticket {
  if (user === undefined) throw new ConfigError("whom is the ticket for? Name the user with --user");
  checkLength("--user", "bytes", Buffer.byteLength(user), 1, MAX_USER_BYTES);
  if (context !== undefined) checkLength("--context", "characters", context.length, 0, MAX_CONTEXT_LENGTH);
  if (manager !== undefined) checkLength("--manager", "characters", manager.length, 1, MAX_MANAGER_LENGTH);
  if (address !== undefined && canonicalAddress(address) === undefined) {
    throw new ConfigError(`--address must be an IPv4 or IPv6 address, not '${address}'`);
  }
  return {
    user,
    expiresAtMs: systemClock.wall() + 1000 * wholeSeconds(ttl),
    ...(address !== undefined && { address }),
    ...(nonce && { nonce: randomUUID() }),
    ...(context !== undefined && { context }),
    ...(manager !== undefined && { manager }),
  };
}

function fieldOf({ managerField }: TicketFlags): string {
  checkLength("--manager-field", "characters", managerField.length, 1, MAX_CLAIM_LENGTH);
  if (!ticketClaims.includes(managerField)) return managerField;
  throw new ConfigError(`--manager-field must be another claim than ${ticketClaims.join(", ")}`);
}

function checkLength(flag: string, unit: string, length: number, min: number, max: number): void {
  if (length >= min && length <= max) return;
  throw new ConfigError(`${flag} must have ${min} to ${max} ${unit}, and has ${length}`);
}

function wholeSeconds(text: string): number {
  const seconds = Number(text);
  if (/^\d+$/.test(text) && seconds >= 1 && seconds <= MAX_TTL_SECONDS) return seconds;
  throw new ConfigError(`--ttl must be a whole number from 1 to ${MAX_TTL_SECONDS}, not '${text}'`);
}

/** What the flags' own checks let through may still be no text, or too long once it is encoded. */
function sign(ticket: Ticket, secret: Uint8Array, managerField: string): string {
  try {
    return signTicket(ticket, secret, managerField);
  } catch (error) {
    if (error instanceof RangeError) throw new ConfigError(error.message);
    throw error;
  }
}

/** The flag wins over the environment, where only one of the two may be set. */
function findSecret({ secretFile }: TicketFlags, env: NodeJS.ProcessEnv): Uint8Array {
  const { [SECRET_VARIABLE]: secret, [SECRET_FILE_VARIABLE]: file } = env;
  if (secretFile !== undefined) return parseSecret(readSecretFile(secretFile), `in ${secretFile}`);
  if (secret !== undefined && file !== undefined) {
    throw new ConfigError(`${SECRET_VARIABLE} and ${SECRET_FILE_VARIABLE} are both set; keep one of them`);
  }
  if (secret !== undefined) return parseSecret(secret, `in ${SECRET_VARIABLE}`);
  if (file !== undefined) return parseSecret(readSecretFile(file), `in ${file}`);
  throw new ConfigError(`no secret to sign with: set ${SECRET_VARIABLE}, or name a file with --secret-file`);
}

function readSecretFile(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new ConfigError(`cannot read the secret: ${(error as Error).message}`);
  }
}

function parseSecret(text: string, where: string): Uint8Array {
  try {
    return readSecret(text);
  } catch (error) {
    throw new ConfigError(`the secret ${where}: ${(error as Error).message}`);
  }
}
