/** The composition root: the one file that names all the parts of a gateway and joins them. */

import type { Logger } from "pino";
import type { Endpoint } from "../proto/bodies.ts";
import { chooseWays } from "./byte-ways.ts";
import { createChoice } from "./choice/create-choice.ts";
import { Failover } from "./choice/failover.ts";
import { type Clock, systemClock } from "./clock.ts";
import type { Config } from "./config.ts";
import { type Credentials, readCredentials } from "./credentials.ts";
import type { Ending } from "./exit-codes.ts";
import { watchFiles } from "./file-watch.ts";
import { Lifecycle } from "./lifecycle.ts";
import { createGuard, createTicketChecker, sessionLimits } from "./limits.ts";
import { dialer } from "./links/dial.ts";
import type { ManagerAddress } from "./links/manager-address.ts";
import { ManagerLink, type ManagerLinkHandler } from "./links/manager-link.ts";
import { ManagerLife } from "./manager-life.ts";
import { Counters } from "./metrics/counters.ts";
import { ProcessMeter } from "./metrics/process-stats.ts";
import { reportRefusals } from "./refusal-report.ts";
import { sessionCommands } from "./routers/commands.ts";
import { ManagerRouter } from "./routers/manager.ts";
import type { Roster } from "./slots/roster.ts";
import { Sessions } from "./slots/sessions.ts";
import { createListener } from "./transports/create-listener.ts";
import type { Listener } from "./transports/listener.ts";

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
  /** Its managers, in configured order. */
  readonly managers: readonly ManagerLife[];
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
 * @throws ConfigError for a file of a secret or of a certificate that can't be used, and for a read path that can't be had
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { config, log, ready = () => {}, clock = systemClock, random = Math.random } = options;
  const { secret, ticketSecret, tls, warnings } = readCredentials(config);
  for (const warning of warnings) log.warn(warning);
  const counters = new Counters();
  const ways = await chooseWays(config.readPath, log);

  const guard = createGuard(config, {
    clock,
    changed: () => sessions.recheck(),
    failed: (error) =>
      log.error({ err: error }, "an address list was not read again; the last good one goes on"),
  });
  const sessions = new Sessions({
    choice: createChoice(config),
    failover: new Failover(config.managerChoice),
    gate: guard,
    tickets: createTicketChecker(config, ticketSecret, clock),
    limits: sessionLimits(config),
    counters,
    clock,
  });

  const lives: ManagerLife[] = [];
  const listeners = config.listen.map((address) => {
    // It is not known yet which manager a message is for, while its length is.
    const maxMessageBytes = () =>
      Math.min(address.maxMessageBytes, ...lives.map(({ link }) => link.maxPayload));
    return createListener(address, { ...ways, maxMessageBytes }, (arrival, { origin }) =>
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

  const lifecycle = new Lifecycle({ sessions, counters, listeners, limits: config, log, ready });
  const shared = { config, sessions, counters, listeners, lifecycle, clock, random, secret, tls };
  const managers = config.manager.map((address) => createManager(address, shared, log));
  lives.push(...managers.map(({ life }) => life));
  const stopReports = reportRefusals(counters, clock, log);
  const stopWatching = watchFiles({
    files: listeners.flatMap((listener) => listener.files),
    clock,
    changed: reloadListeners,
  });
  lifecycle.ended.then(() => {
    for (const { meter } of managers) meter.stop();
    guard.stop();
    stopReports();
    stopWatching();
  });
  lifecycle.start(lives);
  return {
    ended: lifecycle.ended,
    sessions,
    counters,
    managers: lives,
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

/** What the parts of all managers share. */
interface Shared extends Pick<Credentials, "secret" | "tls"> {
  readonly config: Config;
  readonly sessions: Sessions;
  readonly counters: Counters;
  readonly listeners: readonly Listener[];
  readonly lifecycle: Lifecycle;
  readonly clock: Clock;
  readonly random: () => number;
}

/** Joins the parts of one manager: its link, its sessions, and its life. */
function createManager({ name, address }: ManagerAddress, shared: Shared, gatewayLog: Logger) {
  const { config, sessions, counters, lifecycle, clock, random, secret } = shared;
  const log = config.manager.length > 1 ? gatewayLog.child({ manager: name }) : gatewayLog;
  const meter = new ProcessMeter();
  const tls = address.kind === "tls" ? shared.tls : undefined;
  const link: ManagerLink = new ManagerLink({
    dial: dialer(address, tls),
    secret,
    identity: () => ({
      name: config.name,
      pid: process.pid,
      endpoints: shared.listeners.map((one) => one.endpoint),
      maxGroups: config.maxGroupsPerSession,
    }),
    vitals: () => vitals(roster, sessions, counters, meter),
    // The roster tells its sessions by the link, and the link is told what the roster is to do.
    get handler() {
      return handler;
    },
    limits: config,
    clock,
    random,
  });
  const roster = sessions.addManager(name, new ManagerRouter(link, clock));
  const life = new ManagerLife({ link, roster, host: lifecycle, limits: config, clock, log });
  const handler: ManagerLinkHandler = {
    ...sessionCommands(roster, link, counters, log),
    shutdown({ reason = "the manager's Shutdown", drainMs }) {
      lifecycle.drain(reason, drainMs, config.shutdownExitCode);
    },
    registered: (registered, unacknowledged) => life.registered(registered, unacknowledged),
    readDone: () => sessions.flush(),
    congested(congested) {
      if (congested) counters.linkPauses++;
      life.congested(congested);
    },
    behind(behind) {
      roster.behind = behind;
      if (behind) log.warn("the manager does not acknowledge what it is told; no client is read or let in");
    },
    acknowledged: () => roster.acknowledged(),
    lost(loss) {
      counters.linkEnded(loss);
      life.lost(loss);
    },
  };
  return { life, meter };
}

function vitals(roster: Roster, sessions: Sessions, counters: Counters, meter: ProcessMeter) {
  const { joins, refused, inBytes, outBytes, inMsgs, outMsgs } = counters;
  return {
    sessions: roster.liveCount,
    capacity: roster.capacity,
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
  const { handoffs, handoffsRefused, failovers, lostBytes } = counters;
  const ofNames = { unknownNames, groupsRefused, bindsRefused };
  const ofMoves = { handoffs, handoffsRefused, failovers, lostBytes };
  return {
    ...ofClients,
    ...ofNames,
    ...ofMoves,
    linkPauses,
    linksLost,
    protocolErrors,
    managersRefused,
    rejections,
  };
}

function nonZero(counts: Readonly<Partial<Record<string, number>>>): Record<string, number> {
  const entries = Object.entries(counts).flatMap(([name, count = 0]) =>
    count > 0 ? [[name, count] as const] : [],
  );
  return Object.fromEntries(entries);
}
