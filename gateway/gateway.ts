/** The composition root: the one file that names all the parts of a gateway and joins them. */

import type { Logger } from "pino";
import type { Endpoint } from "../proto/bodies.ts";
import { type Clock, systemClock } from "./clock.ts";
import type { Config } from "./config.ts";
import { readCredentials } from "./credentials.ts";
import type { Ending } from "./exit-codes.ts";
import { watchFiles } from "./file-watch.ts";
import { Lifecycle } from "./lifecycle.ts";
import { createGuard, createTicketChecker, sessionLimits } from "./limits.ts";
import { dialer } from "./links/dial.ts";
import { ManagerLink } from "./links/manager-link.ts";
import { Counters } from "./metrics/counters.ts";
import { ProcessMeter } from "./metrics/process-stats.ts";
import { reportRefusals } from "./refusal-report.ts";
import { ManagerRouter } from "./routers/manager.ts";
import { Sessions } from "./slots/sessions.ts";
import { createListener } from "./transports/create-listener.ts";
import {
  ordinaryReadPath,
  type ReadPath,
  sharedReadPath,
  sharedReadPathWorks,
} from "./transports/read-path.ts";

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
  /** Reads every file that can be read again: address lists and certificates. */
  reload(): void;
}

/**
 * Makes a gateway and starts it.
 *
 * @throws ConfigError for a file of a secret or of a certificate that can't be used
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { config, log, ready = () => {}, clock = systemClock, random = Math.random } = options;
  const { secret, ticketSecret, tls, warnings } = readCredentials(config);
  for (const warning of warnings) log.warn(warning);
  const counters = new Counters();
  const meter = new ProcessMeter();
  const readPath = await chooseReadPath(config.readPath, log);

  const link = new ManagerLink({
    dial: dialer(config.manager[0].address, tls),
    secret,
    identity: () => ({
      name: config.name,
      pid: process.pid,
      endpoints: listeners.map((one) => one.endpoint),
      maxGroups: config.maxGroupsPerSession,
    }),
    vitals: () => vitals(sessions, counters, meter),
    handler: {
      message: (session, bytes, start, end) => sessions.send(session, bytes.subarray(start, end)),
      messageAll: (bytes, start, end) => sessions.sendAll(bytes.subarray(start, end)),
      messageMany: (ids, bytes, start, end) => sessions.sendMany(ids, bytes.subarray(start, end)),
      messageGroup: (group, bytes, start, end) => sessions.sendGroup(group, bytes.subarray(start, end)),
      messageUser: (user, bytes, start, end) => sessions.sendUser(user, bytes.subarray(start, end)),
      bind(session, user) {
        if (!sessions.bind(session, user)) link.bindRefused(session, user);
      },
      addToGroup: (session, group) => sessions.addToGroup(session, group),
      removeFromGroup: (session, group) => sessions.removeFromGroup(session, group),
      drop(session, order) {
        log.debug({ session, ...order }, "dropped by the manager");
        sessions.drop(session, order);
      },
      dropDiscard(session, order) {
        log.debug({ session, ...order }, "dropped and discarded by the manager");
        sessions.dropDiscard(session, order);
      },
      admit: (session) => sessions.admit(session),
      shutdown({ reason = "the manager's Shutdown", drainMs }) {
        lifecycle.drain(reason, drainMs, config.shutdownExitCode);
      },
      registered: (registered, lostBytes) => lifecycle.registered(registered, lostBytes),
      readDone: () => sessions.flush(),
      congested(congested) {
        if (congested) counters.linkPauses++;
        lifecycle.congested(congested);
      },
      behind(behind) {
        sessions.managerBehind = behind;
        if (behind) log.warn("the manager does not acknowledge what it is told; no client is read or let in");
      },
      lost(loss) {
        counters.linkEnded(loss);
        lifecycle.lost(loss);
      },
    },
    limits: config,
    clock,
    random,
  });

  const guard = createGuard(config, {
    clock,
    changed: () => sessions.recheck(),
    failed: (error) =>
      log.error({ err: error }, "an address list was not read again; the last good one goes on"),
  });
  const sessions = new Sessions({
    router: new ManagerRouter(link, clock),
    gate: guard,
    tickets: createTicketChecker(config, ticketSecret, clock),
    limits: sessionLimits(config),
    counters,
    clock,
  });

  const listeners = config.listen.map((address) => {
    const maxMessageBytes = () => Math.min(address.maxMessageBytes, link.maxPayload);
    return createListener(address, { readPath, maxMessageBytes }, (arrival, { origin }) =>
      sessions.accept(arrival, origin),
    );
  });
  const reloadListeners = () => {
    for (const listener of listeners) {
      try {
        listener.reload();
      } catch (error) {
        log.error({ err: error, listener: listener.address.name }, "the certificate was not read again");
      }
    }
  };

  const lifecycle = new Lifecycle({ link, sessions, listeners, limits: config, clock, log, ready });
  const stopReports = reportRefusals(counters, clock, log);
  const stopWatching = watchFiles({
    files: listeners.flatMap((listener) => listener.files),
    clock,
    changed: reloadListeners,
  });
  lifecycle.ended.then(() => {
    meter.stop();
    guard.stop();
    stopReports();
    stopWatching();
  });
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
    reload() {
      guard.reload();
      reloadListeners();
      log.info("the address lists and certificates were read again");
    },
  };
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
    refusals: nonZero(counters.refusals),
    ends: nonZero(counters.ends),
    linkEnds: nonZero(counters.linkEnds),
    counters: nonZero(otherCounts(counters)),
    ...meter.read(),
  };
}

/** What is counted and has no key of its own in a heartbeat. */
function otherCounts(counters: Counters): Record<string, number> {
  const { unsentBytes, staleFrames, unacknowledged, rateLimited, flushTimeouts } = counters;
  const { unknownNames, groupsRefused, bindsRefused } = counters;
  const { linkPauses, linksLost, protocolErrors, managersRefused, rejections } = counters;
  const ofClients = { unsentBytes, staleFrames, unacknowledged, rateLimited, flushTimeouts };
  const ofNames = { unknownNames, groupsRefused, bindsRefused };
  return { ...ofClients, ...ofNames, linkPauses, linksLost, protocolErrors, managersRefused, rejections };
}

function nonZero(counts: Readonly<Partial<Record<string, number>>>): Record<string, number> {
  const entries = Object.entries(counts).flatMap(([name, count = 0]) =>
    count > 0 ? [[name, count] as const] : [],
  );
  return Object.fromEntries(entries);
}
