/** The stand-alone manager: a ManagerServer with a behaviour, its HTTP API, and a log. */

import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Logger } from "pino";
import { bracketed } from "../proto/link-url.ts";
import { type BehaviourName, behaviours } from "./behaviours.ts";
import { UsageError } from "./credentials.ts";
import type { HttpAddress } from "./ctl.ts";
import { createApi } from "./http-api.ts";
import { type ManagerTlsOptions, wantsCertificates } from "./link-server.ts";
import { ListenError } from "./listen.ts";
import { ManagerServer } from "./manager-server.ts";

export interface ServeOptions {
  readonly listen: string;
  readonly http: HttpAddress;
  readonly capacity: number;
  readonly pingMs: number;
  readonly behaviour: BehaviourName;
  readonly secret?: string | Uint8Array;
  readonly tls?: ManagerTlsOptions;
}

export interface RunningManager {
  readonly manager: ManagerServer;
  /** Where gateways dial. */
  readonly link: string;
  /** Where the HTTP API is. */
  readonly http: string;
  close(): Promise<void>;
}

/**
 * Starts a manager.
 *
 * @throws ListenError when an address is taken or can't be bound; UsageError for a certificate that can't be used
 */
export async function serve(options: ServeOptions, log: Logger): Promise<RunningManager> {
  const { capacity, behaviour } = options;
  const manager = makeManager(options);
  behaviours[behaviour](manager);
  logEvents(manager, log);
  const api = createApi(manager, [options.http.host]);
  const link = await manager.listen();
  warnOfStrangers(options, log);
  try {
    const http = await listenHttp(api, options.http);
    log.info({ link, http, behaviour, capacity }, "the manager listens");
    return { manager, link, http, close: () => close(manager, api) };
  } catch (error) {
    await manager.close();
    throw error;
  }
}

function makeManager({ listen, capacity, pingMs, secret, tls }: ServeOptions): ManagerServer {
  const protection = { ...(secret !== undefined && { secret }), ...(tls !== undefined && { tls }) };
  try {
    return new ManagerServer({ listen, capacity, pingMs, ...protection });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new UsageError((error as Error).message, { cause: error });
  }
}

/** TLS by itself tells gateways who the manager is, and the manager nothing of who they are. */
function warnOfStrangers({ secret, tls }: ServeOptions, log: Logger): void {
  if (tls === undefined || secret !== undefined || wantsCertificates(tls)) return;
  log.warn("whoever reaches the link can register as a gateway; give it a secret, or --tls-client-ca");
}

async function listenHttp(api: Server, { host, port }: ServeOptions["http"]): Promise<string> {
  try {
    api.listen(port, host);
    await once(api, "listening");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const hint =
      code === "EADDRINUSE" ? "another process listens there; choose another with --http" : message;
    throw new ListenError(`cannot serve the HTTP API on ${host}:${port}: ${hint}`, { cause: error });
  }
  const bound = api.address() as AddressInfo;
  return `http://${bracketed(bound.address)}:${bound.port}`;
}

async function close(manager: ManagerServer, api: Server): Promise<void> {
  const closed = once(api, "close");
  api.close();
  api.closeAllConnections();
  await Promise.all([manager.close(), closed]);
}

function logEvents(manager: ManagerServer, log: Logger): void {
  manager.on("gatewayUp", ({ id, name, endpoints }) =>
    log.info({ id, gateway: name, endpoints }, "gateway up"),
  );
  manager.on("gatewaySuspect", ({ id, name }) =>
    log.warn({ id, gateway: name }, "gateway suspect: it missed a heartbeat"),
  );
  manager.on("gatewayDraining", ({ id, name }) => log.info({ id, gateway: name }, "gateway draining"));
  manager.on("gatewayLost", ({ id, name }, code, message) =>
    log.warn({ id, gateway: name, code }, `gateway lost, it may come back: ${message}`),
  );
  manager.on("gatewayDown", ({ id, name }, code, message) =>
    log.warn({ id, gateway: name, code }, `gateway down: ${message}`),
  );
  manager.on("refused", (code, message) =>
    log.warn({ code }, `a connection ended before it registered: ${message}`),
  );
  manager.on("join", ({ gateway, id, addr }) => log.debug({ gateway, session: id, addr }, "join"));
  manager.on("leave", ({ gateway, id }, { by, reason }) =>
    log.debug({ gateway, session: id, by, reason }, "leave"),
  );
}
