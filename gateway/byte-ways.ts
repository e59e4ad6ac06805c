/** How clients' bytes are moved: what was asked for, or the best that can be had here. Which it is stands in the log. */

import type { Logger } from "pino";
import type { Config } from "./config.ts";
import { ConfigError } from "./config-error.ts";
import { Poller } from "./transports/poller.ts";
import { ordinaryReadPath, sharedReadPath, sharedReadPathWorks } from "./transports/read-path.ts";
import type { ByteWays } from "./transports/streams.ts";

const ADVICE = "`npm run build:poller` compiles it, on Linux and with a C compiler";

/**
 * @param load gives the poller, or throws why there is none
 * @throws ConfigError when there is to be a poller and is none
 */
export async function chooseWays(
  wanted: Config["readPath"],
  log: Pick<Logger, "info" | "warn">,
  load = () => Poller.load(),
): Promise<ByteWays> {
  const looksForPoller = wanted === "auto" || wanted === "polled";
  const poller = looksForPoller ? findPoller(wanted === "polled", log, load) : undefined;
  const isShared = wanted === "shared" || (wanted !== "ordinary" && (await sharedReadPathWorks()));
  if (!isShared && wanted !== "ordinary") log.warn("this runtime has no shared read path");
  const readPath = poller !== undefined ? "polled" : isShared ? "shared" : "ordinary";
  log.info({ readPath }, "how clients are read");
  return { readPath: isShared ? sharedReadPath() : ordinaryReadPath, poller };
}

function findPoller(isWanted: boolean, log: Pick<Logger, "info">, load: () => Poller): Poller | undefined {
  try {
    return load();
  } catch (error) {
    const { message } = error as Error;
    if (isWanted) throw new ConfigError(`readPath is polled, and there is no poller (${message}); ${ADVICE}`);
    log.info({ reason: message }, `there is no poller, without which reading clients is slower; ${ADVICE}`);
    return undefined;
  }
}
