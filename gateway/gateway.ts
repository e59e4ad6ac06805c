/** The composition root: the one file that names all the parts of a gateway and joins them. */

import type { Logger } from "pino";
import type { Endpoint } from "../proto/bodies.ts";
import { type Clock, systemClock } from "./clock.ts";
import type { Config } from "./config.ts";
import { readCredentials } from "./credentials.ts";
import type { Ending } from "./exit-codes.ts";
import { Lifecycle } from "./lifecycle.ts";
import { dialer } from "./links/dial.ts";
import { type LinkLoss, ManagerLink } from "./links/manager-link.ts";
import { type Counters, newCounters } from "./metrics/counters.ts";
import { ProcessMeter } from "./metrics/process-stats.ts";
import { ManagerRouter } from "./routers/manager.ts";
import { Sessions } from "./slots/sessions.ts";
import {
  ordinaryReadPath,
  type ReadPath,
  sharedReadPath,
  sharedReadPathWorks,
} from "./transports/read-path.ts";
import { TcpListener } from "./transports/tcp.ts";

export interface GatewayOptions {
  readonly config: Config;
  readonly log: Logger;
  /** Called once, when clients are let in for the first time. */
  readonly ready?: () => void;
  readonly clock?: Clock;
  /** Numbers from 0 up to 1, for the jitter of dialling. */
  readonly random?: () => number;
}

export interface Gateway {
  /** Resolves when the gateway has ended. */
  readonly ended: Promise<Ending>;
  readonly sessions: Sessions;
  readonly counters: Counters;
  readonly link: ManagerLink;
  /** Where it listens: as configured, and once it is registered as bound. */
  readonly endpoints: readonly Endpoint[];
  /** Ends the gateway in good order; see Lifecycle. */
  drain(reason: string): void;
}

/**
 * Makes a gateway and starts it.
 *
 * @throws ConfigError for a file of a secret or of a certificate that can't be used
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { config, log, ready = () => {}, clock = systemClock, random = Math.random } = options;
  const { secret, tls, warnings } = readCredentials(config);
  for (const warning of warnings) log.warn(warning);
  const counters = newCounters();
  const meter = new ProcessMeter();
  const readPath = await chooseReadPath(config.readPath, log);

  const link = new ManagerLink({
    dial: dialer(config.manager, tls),
    secret,
    identity: () => ({
      name: config.name,
      pid: process.pid,
      endpoints: listeners.map((one) => one.endpoint),
    }),
    vitals: () => vitals(sessions, counters, meter),
    handler: {
      message: (session, bytes, start, end) => sessions.send(session, bytes.subarray(start, end)),
      messageAll: (bytes, start, end) => sessions.sendAll(bytes.subarray(start, end)),
      drop(session, { reason }) {
        log.debug({ session, reason }, "dropped by the manager");
        sessions.drop(session);
      },
      dropDiscard(session, { reason }) {
        log.debug({ session, reason }, "dropped and discarded by the manager");
        sessions.dropDiscard(session);
      },
      shutdown({ reason = "the manager's Shutdown", drainMs }) {
        lifecycle.drain(reason, drainMs, config.shutdownExitCode);
      },
      registered: (registered) => lifecycle.registered(registered),
      readDone: () => sessions.flush(),
      congested: (congested) => sessions.setPaused(congested),
      lost(loss) {
        countLoss(counters, loss);
        lifecycle.lost(loss);
      },
    },
    limits: config,
    clock,
    random,
  });

  const sessions = new Sessions({ router: new ManagerRouter(link, clock), limits: config, counters, clock });

  const listeners = config.listen.map((address) => {
    const failed = (error: Error) => {
      counters.acceptErrors++;
      log.error({ err: error, listener: address.name }, "the system refused an accept");
    };
    return new TcpListener(address, readPath, (conn, from) => sessions.accept(conn, from.endpoint), failed);
  });

  const lifecycle = new Lifecycle({ link, sessions, listeners, limits: config, clock, log, ready });
  lifecycle.ended.then(() => meter.stop());
  lifecycle.start();
  return {
    ended: lifecycle.ended,
    sessions,
    counters,
    link,
    get endpoints() {
      return listeners.map((listener) => listener.endpoint);
    },
    drain: (reason) => lifecycle.drain(reason),
  };
}

function countLoss(counters: Counters, { wasUp, kind }: LinkLoss): void {
  if (wasUp) counters.linksLost++;
  if (kind === "protocol-error") counters.protocolErrors++;
  else if (kind === "gateway-refused") counters.managersRefused++;
  else if (kind === "manager-refused") counters.rejections++;
}

async function chooseReadPath(wanted: Config["readPath"], log: Logger): Promise<ReadPath> {
  if (wanted === "ordinary") return ordinaryReadPath;
  if (wanted === "shared" || (await sharedReadPathWorks())) return sharedReadPath();
  log.warn("this runtime has no shared read path; clients are read the ordinary way");
  return ordinaryReadPath;
}

function vitals(sessions: Sessions, counters: Counters, meter: ProcessMeter) {
  const { joins, refused, inBytes, outBytes, inMsgs, outMsgs } = counters;
  return {
    sessions: sessions.liveCount,
    capacity: sessions.table.capacity,
    slots: sessions.slotCounts(),
    joins,
    refused,
    inBytes,
    outBytes,
    inMsgs,
    outMsgs,
    ...meter.read(),
  };
}
