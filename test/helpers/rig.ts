/**
 * A whole gateway with its manager, in this process and over real sockets, on ports and paths of their own.
 * Everything ends with the test.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { pino } from "pino";
import { resolveConfig } from "../../gateway/config.ts";
import { type Gateway, type GatewayOptions, startGateway } from "../../gateway/gateway.ts";
import type { ManagerLife } from "../../gateway/manager-life.ts";
import type { SettingName } from "../../gateway/settings.ts";
import {
  type Gateway as GatewayView,
  ManagerServer,
  type ManagerServerOptions,
} from "../../manager-stub/index.ts";
import { TestClient } from "./client.ts";
import { next } from "./wait.ts";

/** A directory of the test's own. */
export function temporaryDirectory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "sidegate-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A path for a Unix socket of the test's own. */
export function socketPath(t: TestContext): string {
  return join(temporaryDirectory(t), "manager.sock");
}

export type Settings = Partial<Record<SettingName, unknown>>;

/** A manager that listens. */
export async function startManager(
  t: TestContext,
  options: ManagerServerOptions = {},
): Promise<{ manager: ManagerServer; link: string }> {
  const manager = new ManagerServer({ listen: `unix:${socketPath(t)}`, ...options });
  const link = await manager.listen();
  t.after(() => manager.close());
  return { manager, link };
}

/** A gateway that dials `link`, on a client port of its own. It is ended, clients and all, with the test. */
export async function startTestGateway(
  t: TestContext,
  link: string,
  settings: Settings = {},
  extra: Partial<GatewayOptions> = {},
): Promise<Gateway> {
  const values = { manager: link, listen: ["tcp://127.0.0.1:0"], reconnectMinMs: 5, drainMs: 0, ...settings };
  const { config } = resolveConfig([{ values, describe: () => "from the test" }]);
  const gateway = await startGateway({ config, log: pino({ level: "silent" }), ...extra });
  t.after(async () => {
    gateway.drain("the test ends");
    await gateway.ended;
  });
  return gateway;
}

/** What a gateway has of its manager; of the first one, where there are several and none is named. */
export function managerOf(gateway: Gateway, name?: string): ManagerLife {
  const manager = gateway.managers.find((one) => name === undefined || one.name === name);
  if (manager === undefined) throw new Error(`the gateway has no manager '${name}'`);
  return manager;
}

export interface Rig {
  readonly manager: ManagerServer;
  readonly gateway: Gateway;
  /** The gateway as its manager sees it. */
  readonly view: GatewayView;
  /** The port that clients connect to. */
  readonly port: number;
  readonly link: string;
  /** A client that is connected. It is closed with the test. */
  client(): Promise<TestClient>;
}

/** A manager and a gateway that is up. */
export async function startRig(
  t: TestContext,
  { settings = {}, manager: options = {} }: { settings?: Settings; manager?: ManagerServerOptions } = {},
): Promise<Rig> {
  const { manager, link } = await startManager(t, options);
  const up = next<[GatewayView]>(manager, "gatewayUp");
  const gateway = await startTestGateway(t, link, settings);
  const [view] = await up;
  const port = view.endpoints[0]?.port ?? 0;
  return {
    manager,
    gateway,
    view,
    port,
    link,
    async client() {
      const client = await TestClient.connect(port);
      t.after(() => client.close());
      return client;
    },
  };
}
