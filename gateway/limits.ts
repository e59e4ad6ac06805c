/** From the configuration to what each part takes of it: a limit of 0 is none, a burst of 0 is as the rate. */

import { readFileSync } from "node:fs";
import type { Clock } from "./clock.ts";
import type { Config } from "./config.ts";
import { ConfigError } from "./config-error.ts";
import { maxClientDescriptors } from "./descriptors.ts";
import { Guard, type GuardOptions } from "./guard/guard.ts";
import { readSecret } from "./guard/secret.ts";
import { TicketChecker } from "./guard/ticket-checker.ts";
import type { SessionLimits } from "./slots/sessions.ts";

/**
 * Makes the guard of the configuration.
 *
 * @throws ConfigError when an address file is wrong
 */
export function createGuard(config: Config, hooks: Omit<GuardOptions, "limits">): Guard {
  const { connectionRate, connectionBurst, addressRate, addressBurst } = config;
  const limits = {
    ...config,
    connectionBurst: connectionBurst || connectionRate,
    addressBurst: addressBurst || addressRate,
  };
  try {
    return new Guard({ limits, ...hooks });
  } catch (error) {
    throw new ConfigError((error as Error).message, { cause: error });
  }
}

export function sessionLimits(config: Config): SessionLimits {
  const { messageRate, messageBurst, byteRate, byteBurst } = config;
  return {
    ...config,
    messageBurst: messageBurst || messageRate,
    byteBurst: byteBurst || byteRate,
    maxDescriptors: maxClientDescriptors(),
  };
}

/**
 * What checks tickets, if there is a secret that they are signed with.
 *
 * @throws ConfigError when the secret's file is wrong
 */
export function createTicketChecker(config: Config, clock: Clock): TicketChecker | undefined {
  const { ticketSecret, ticketSecretFile, maxTicketNonces, maxTicketLifeMs } = config;
  const secret = ticketSecret ?? (ticketSecretFile && readSecretFile(ticketSecretFile));
  if (!secret) return undefined;
  return new TicketChecker({
    secrets: [secret],
    clock,
    maxNonces: maxTicketNonces,
    maxLifeMs: maxTicketLifeMs,
  });
}

function readSecretFile(file: string): Uint8Array {
  try {
    return readSecret(readFileSync(file, "utf8"));
  } catch (error) {
    throw new ConfigError(`ticketSecretFile: ${(error as Error).message}`, { cause: error });
  }
}
