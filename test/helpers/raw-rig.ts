/** A gateway that is registered and listens, and its manager, which a test speaks for. */

import type { TestContext } from "node:test";
import type { Gateway, GatewayOptions } from "../../gateway/gateway.ts";
import type * as body from "../../proto/bodies.ts";
import { TestClient } from "./client.ts";
import { type RawLink, type RawManager, startRawManager } from "./raw-manager.ts";
import { type Settings, startTestGateway } from "./rig.ts";

export interface RawRigOptions {
  readonly settings?: Settings;
  /** What the manager says when it takes the gateway on. */
  readonly registration?: Partial<body.Registered>;
  readonly extra?: Partial<GatewayOptions>;
}

export interface RawRig {
  readonly gateway: Gateway;
  readonly raw: RawManager;
  readonly link: RawLink;
  /** The port of the first listener. */
  readonly port: number;
  /** A client that is connected there. It is closed with the test. */
  client(): Promise<TestClient>;
}

export async function startRawRig(t: TestContext, options: RawRigOptions = {}): Promise<RawRig> {
  const { settings = {}, registration = {}, extra = {} } = options;
  const raw = await startRawManager(t);
  const gateway = await startTestGateway(t, raw.link, settings, extra);
  const link = await raw.nextLink();
  link.register(registration);
  const listening = await link.wait("listening");
  const port = listening.body.endpoints[0]?.port ?? 0;
  const client = async () => {
    const one = await TestClient.connect(port);
    t.after(() => one.close());
    return one;
  };
  return { gateway, raw, link, port, client };
}
