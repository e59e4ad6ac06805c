/** A manager whose gateway has sessions already: where most tests of sessions begin. */

import type { TestContext } from "node:test";
import type { ManagerServer, ManagerServerOptions, Session } from "../../manager-stub/index.ts";
import { startManager } from "../helpers/rig.ts";
import { RawGateway } from "./raw-gateway.ts";
import { recordEvents } from "./recorded.ts";

/** A manager and a gateway, id 1, that has these sessions; `told` is what the manager tells from then on. */
export async function startJoined(
  t: TestContext,
  options: ManagerServerOptions = {},
  ...joined: readonly number[]
) {
  const { manager, link } = await startManager(t, options);
  const gateway = await RawGateway.registered(t, link);
  gateway.join(...joined);
  await gateway.sync();
  return { manager, link, gateway, told: recordEvents(manager) };
}

/** A session of gateway 1 that must be there. */
export function at(manager: ManagerServer, id: number): Session {
  const found = manager.session({ gateway: 1, id });
  if (found === undefined) throw new Error(`there is no session ${id}`);
  return found;
}
