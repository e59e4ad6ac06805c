/**
 * Every setting of a gateway, in one table: its type and bounds, its default, and what it is for. Flags,
 * environment variables, the file's keys, the help and the frozen configuration all come from here
 * (docs/configuration.md).
 */

import { hostname } from "node:os";
import { z } from "zod";
import { Secret } from "../link/secret.ts";
import { logFormats, logLevels } from "../process/log.ts";
import { MAX_GROUPS } from "../proto/bodies.ts";
import { DEFAULT_MAX_FRAME, MAX_MAX_FRAME, MIN_MAX_FRAME } from "../proto/frame.ts";
import { parseLinkUrl } from "../proto/link-url.ts";
import { MAX_CAPACITY } from "../proto/session-id.ts";
import { managerChoices } from "./choice/choice.ts";
import { parsePrefixes } from "./choice/prefix.ts";
import { AddressSet } from "./guard/address-set.ts";
import { readSecret } from "./guard/secret.ts";
import { MANAGER_CLAIM, MAX_CLAIM_LENGTH, ticketClaims } from "./guard/ticket.ts";
import { parseManagers } from "./links/manager-address.ts";
import { flag, HOUR_MS, KIB, listOf, MIB, oneOf, parsed, parsedFrom, text, whole } from "./schema.ts";
import { parseListenAddress } from "./transports/listen-address.ts";
import { settlePorts } from "./transports/shared-ports.ts";

export interface Setting<T> {
  /** Reads a value from a flag, the environment or the file. */
  readonly schema: z.ZodType<T>;
  /** As it would stand in the file; undefined: none. */
  readonly fallback: unknown;
  /** What the help shows for the value. */
  readonly placeholder: string;
  readonly description: string;
  readonly repeatable: boolean;
  /** Comes from the environment alone, and is never shown. */
  readonly secret: boolean;
}

function setting<T>(
  schema: z.ZodType<T>,
  fallback: unknown,
  placeholder: string,
  description: string,
): Setting<T> {
  return { schema, fallback, placeholder, description, repeatable: Array.isArray(fallback), secret: false };
}

function secret<T>(schema: z.ZodType<T>, description: string): Setting<T> {
  return { ...setting(schema, undefined, "secret", description), secret: true };
}

/** A limit, of which 0 mostly says that there is none. */
const count = whole(0, 2 ** 31 - 1);

const file = text(1, 4096).optional();

const listenAddress = parsedFrom(
  z.union(
    [z.string(), z.record(z.string(), z.unknown())],
    "must be a URL, or an object with a 'url' and options",
  ),
  parseListenAddress,
);

/** Addresses and CIDRs, which are kept as they were given. */
const cidrList = listOf(text(1, 64), 0).superRefine((entries, context) => {
  try {
    AddressSet.parse(entries);
  } catch (error) {
    context.addIssue({ code: "custom", message: (error as Error).message });
  }
});

export const settings = {
  name: setting(
    z.string("must be text").min(1, "must not be empty").max(128, "must have at most 128 characters"),
    `${hostname()}-${process.pid}`.slice(-128),
    "name",
    "the name that the manager knows this gateway by; no two may share one",
  ),
  manager: setting(
    parsedFrom(listOf(z.string("must be text")), parseManagers),
    ["unix:run/manager.sock"],
    "url",
    "the manager to dial: unix:/path, tcp://host:port or tls://host:port; several with a name each, battle=tcp://host:port, may be given",
  ),
  managerSecret: secret(
    parsed((value) => new Secret(value)).optional(),
    "the secret shared with the manager",
  ),
  managerSecretFile: setting(
    file,
    undefined,
    "file",
    "the file of the secret shared with the manager; or set SIDEGATE_MANAGER_SECRET",
  ),
  managerCa: setting(
    file,
    undefined,
    "file",
    "for tls://: the authority that has signed the manager's certificate (default: those of the system)",
  ),
  managerCert: setting(
    file,
    undefined,
    "file",
    "for tls://: this gateway's certificate, where the manager wants one",
  ),
  managerKey: setting(file, undefined, "file", "for tls://: the key of that certificate"),
  managerServername: setting(
    z
      .string("must be text")
      .regex(/^(?![\d.]+$)[\w-]+(\.[\w-]+)*$/, "must be a host's name, and no IP address")
      .optional(),
    undefined,
    "name",
    "for tls://: the name that the manager's certificate must bear, if not the one that is dialled",
  ),
  managerChoice: setting(
    oneOf(managerChoices),
    "round-robin",
    "way",
    `which of several managers a client goes to: ${managerChoices.join(", ")}`,
  ),
  managerTicketField: setting(
    text(1, MAX_CLAIM_LENGTH).refine((name) => !ticketClaims.includes(name), {
      error: `must be another claim than ${ticketClaims.join(", ")}`,
    }),
    MANAGER_CLAIM,
    "claim",
    "for the choice by ticket: the claim that names the manager",
  ),
  managerPrefixes: setting(
    parsedFrom(listOf(z.string("must be text"), 0), parsePrefixes),
    [],
    "prefix=manager",
    "for the choice by first-message: what it begins with, as text or as 0x and hexadecimal digits; empty: anything else",
  ),
  failover: setting(
    flag(),
    false,
    "boolean",
    "whether the sessions of a manager that has not come back within holdMs go to another one, or end",
  ),
  listen: setting(
    parsedFrom(listOf(listenAddress), settlePorts),
    ["tcp://127.0.0.1:7300"],
    "url",
    "where clients arrive: tcp://, tls://, ws://, wss://host:port or unix:/path, with options; may be given more than once",
  ),
  admin: setting(
    parsed(parseLinkUrl).optional(),
    undefined,
    "url",
    "reserved for the operators' interface; not served by this version",
  ),
  logLevel: setting(
    oneOf(logLevels),
    "info",
    "level",
    `the least level that is logged: ${logLevels.join(", ")}`,
  ),
  logFormat: setting(oneOf(logFormats), "json", "format", "json, or pretty for people"),
  readPath: setting(
    oneOf(["auto", "polled", "shared", "ordinary"] as const),
    "auto",
    "path",
    "how clients are read: polled (past Node), shared (one buffer for all), ordinary, or auto (the first that can be had)",
  ),
  maxCapacity: setting(
    whole(1, MAX_CAPACITY),
    131_072,
    "slots",
    "the largest capacity that is accepted from a manager",
  ),
  maxFrame: setting(
    whole(MIN_MAX_FRAME, MAX_MAX_FRAME),
    DEFAULT_MAX_FRAME,
    "bytes",
    "the largest frame that is accepted from a manager",
  ),
  clientBufferBytes: setting(
    whole(4 * KIB, 1024 * MIB),
    MIB,
    "bytes",
    "with more than this queued for it a client is closed as slow-consumer",
  ),
  linkBufferBytes: setting(
    whole(64 * KIB, 1024 * MIB),
    4 * MIB,
    "bytes",
    "with more than this queued for the manager no client is read",
  ),
  allow: setting(cidrList, [], "cidr", "addresses that are let in; with none, all are"),
  allowFile: setting(
    file,
    undefined,
    "file",
    "a file of such addresses, one a line; read again when it changes",
  ),
  deny: setting(cidrList, [], "cidr", "addresses that are not let in"),
  denyFile: setting(
    file,
    undefined,
    "file",
    "a file of such addresses, one a line; read again when it changes",
  ),
  profile: setting(
    oneOf(["none", "internet"] as const),
    "none",
    "profile",
    "defaults that go together: internet sets sensible limits for a gateway that the internet can reach",
  ),
  maxConnections: setting(
    count,
    0,
    "n",
    "clients at once, handshakes included; 0: as many as there are slots",
  ),
  maxConnectionsPerAddress: setting(count, 0, "n", "clients at once from one address; 0: no limit"),
  maxConnectionsPerPrefix: setting(count, 0, "n", "clients at once from one IPv6 /64; 0: no limit"),
  connectionRate: setting(count, 0, "per-s", "new clients a second; 0: no limit"),
  connectionBurst: setting(count, 0, "n", "new clients at once, where their rate is limited; 0: as the rate"),
  addressRate: setting(count, 0, "per-s", "new clients a second from one address, or IPv6 /64; 0: no limit"),
  addressBurst: setting(
    count,
    0,
    "n",
    "new clients at once from one address, where that rate is limited; 0: as the rate",
  ),
  handshakeTimeoutMs: setting(
    whole(1, HOUR_MS),
    10_000,
    "ms",
    "how long a client has to shake hands (PROXY header, TLS, upgrade) and to show its ticket",
  ),
  admitTimeoutMs: setting(
    whole(1, HOUR_MS),
    10_000,
    "ms",
    "how long a manager that wants to be asked has to admit a client",
  ),
  firstMessageTimeoutMs: setting(
    whole(0, HOUR_MS),
    0,
    "ms",
    "a client whose first message takes longer is closed as idle; 0: never",
  ),
  idleTimeoutMs: setting(
    whole(0, 24 * HOUR_MS),
    0,
    "ms",
    "a client that says nothing for this long is closed as idle; 0: never",
  ),
  minMessageRate: setting(
    count,
    16,
    "bytes-per-s",
    "a message under way that grows more slowly ends its client as idle; 0: as slowly as it likes",
  ),
  messageGraceMs: setting(whole(1000, HOUR_MS), 10_000, "ms", "over how long that is measured"),
  messageRate: setting(count, 0, "per-s", "messages a second from one client; 0: no limit"),
  messageBurst: setting(count, 0, "n", "messages at once, where their rate is limited; 0: as the rate"),
  byteRate: setting(count, 0, "per-s", "bytes a second from one client; 0: no limit"),
  byteBurst: setting(count, 0, "bytes", "bytes at once, where their rate is limited; 0: as the rate"),
  ratePolicy: setting(
    oneOf(["pause", "close"] as const),
    "pause",
    "policy",
    "what becomes of a client that says more: pause (it is not read for a while) or close (rate-limited)",
  ),
  userPolicy: setting(
    oneOf(["allow", "kick-old", "refuse-new"] as const),
    "allow",
    "policy",
    "what becomes of a user's second session: allow it, kick-old (the first one ends) or refuse-new",
  ),
  maxGroupsPerSession: setting(
    whole(1, MAX_GROUPS),
    64,
    "groups",
    "the most groups that a manager can put a session into",
  ),
  ticketSecret: secret(parsed(readSecret).optional(), "what tickets are signed with"),
  ticketSecretFile: setting(
    file,
    undefined,
    "file",
    "the file of what tickets are signed with; or SIDEGATE_TICKET_SECRET",
  ),
  maxTicketLifeMs: setting(
    whole(1000, 24 * HOUR_MS),
    HOUR_MS,
    "ms",
    "the longest that a ticket may still be valid for; those with a nonce are remembered as long",
  ),
  maxTicketNonces: setting(
    whole(1, 16_777_216),
    1_048_576,
    "n",
    "tickets with a nonce that are remembered at most",
  ),
  retainBytes: setting(
    whole(MIB, 1024 * MIB),
    32 * MIB,
    "bytes",
    "with more than this told to the manager and not acknowledged no client is read or let in",
  ),
  holdMs: setting(
    whole(0, HOUR_MS),
    30_000,
    "ms",
    "how long clients are held, unread, while there is no link to the manager; 0: not at all",
  ),
  registerTimeoutMs: setting(
    whole(100, HOUR_MS),
    15_000,
    "ms",
    "the time to connect to a manager and register",
  ),
  reconnectMinMs: setting(
    whole(1, HOUR_MS),
    100,
    "ms",
    "the wait before the first new dial after a lost link",
  ),
  reconnectMaxMs: setting(whole(1, HOUR_MS), 5000, "ms", "the longest wait between dials"),
  halfCloseMs: setting(
    whole(0, HOUR_MS),
    1000,
    "ms",
    "how long a client that has shut down its sending side is still sent to",
  ),
  flushTimeoutMs: setting(
    whole(1, HOUR_MS),
    5000,
    "ms",
    "how long a session that ends has to take what is queued",
  ),
  ackTimeoutMs: setting(
    whole(1, HOUR_MS),
    10_000,
    "ms",
    "how long the manager has to acknowledge a disconnect",
  ),
  drainMs: setting(
    whole(0, 24 * HOUR_MS),
    10_000,
    "ms",
    "how long sessions go on once the gateway is to stop",
  ),
  shutdownAckMs: setting(
    whole(1, HOUR_MS),
    1000,
    "ms",
    "how long the manager has to acknowledge the sessions that a stop has ended",
  ),
  shutdownExitCode: setting(
    whole(0, 255),
    0,
    "code",
    "the exit code after a manager's Shutdown, for process managers that take a kill for an exit with 0",
  ),
} as const;

export type SettingName = keyof typeof settings;

export const settingNames = Object.keys(settings) as SettingName[];
