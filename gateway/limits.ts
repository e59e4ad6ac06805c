/** From the configuration to what each part takes of it: a limit of 0 is none, a burst of 0 is as the rate. */

import type { Clock } from "./clock.ts";
import type { Config } from "./config.ts";
import { ConfigError } from "./config-error.ts";
import { maxClientDescriptors } from "./descriptors.ts";
import { Guard, type GuardOptions } from "./guard/guard.ts";
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

/** What checks tickets, if there is a secret that they are signed with. */
export function createTicketChecker(
  { maxTicketNonces, maxTicketLifeMs, managerChoice, managerTicketField }: Config,
  secret: Uint8Array | undefined,
  clock: Clock,
): TicketChecker | undefined {
  if (secret === undefined) return undefined;
  return new TicketChecker({
    secrets: [secret],
    clock,
    maxNonces: maxTicketNonces,
    maxLifeMs: maxTicketLifeMs,
    ...(managerChoice === "ticket" && { managerField: managerTicketField }),
  });
}
