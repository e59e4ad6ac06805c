/**
 * The map bodies of both directions: the shape of each, and its type (docs/protocol.md, "Gateway to
 * manager" and "Manager to gateway"). Times are milliseconds; `at` counts from 1970.
 */

import { MAX_MAX_FRAME, MIN_MAX_FRAME } from "./frame.ts";
import { MAX_CAPACITY } from "./session-id.ts";
import {
  bin,
  binUpTo,
  count,
  flag,
  integer,
  list,
  oneOf,
  optional,
  quantity,
  record,
  shape,
  text,
} from "./shape.ts";

/** Who ended a session. */
export const endedBy = ["client", "gateway", "manager"] as const;
export type EndedBy = (typeof endedBy)[number];

/** Why a session ended. */
export const endReasons = [
  "client-closed",
  "client-reset",
  "idle",
  "slow-consumer",
  "rate-limited",
  "bad-frame",
  "too-big",
  "dropped",
  "drop-discarded",
  "handoff",
  "shutdown",
  "manager-lost",
  "denied",
  "not-admitted",
  "replaced",
  "error",
] as const;
export type EndReason = (typeof endReasons)[number];

const NAME_LENGTH = 128;
const REASON_LENGTH = 1024;
const NONCE_BYTES = 16;
const PROOF_BYTES = 32;
const EPOCH_BYTES = 16;
const MAX_ENDPOINTS = 256;
/** The longest that a gateway tells of a handshake, characters. */
export const MAX_DETAIL_LENGTH = 255;
export const MAX_PATH_LENGTH = 2048;
export const MAX_QUERY_LENGTH = 4096;
const MAX_HEADERS = 32;
export const MAX_HEADER_LENGTH = 512;
const MAX_COUNTS = 64;
/** The most groups that a session may be in, whatever its gateway allows: so many names fit in its `CLJoin`. */
export const MAX_GROUPS = 256;
/** The longest that an address may be banned at once: a year. */
export const MAX_BAN_MS = 31_536_000_000;

/** The longest blob that a manager can give along with a session, bytes. */
export const MAX_HANDOFF_BYTES = 61_440;
/** The longest name of a manager, UTF-16 code units. */
export const MAX_MANAGER_NAME_LENGTH = 64;

const name = text(NAME_LENGTH);
const managerName = text(MAX_MANAGER_NAME_LENGTH);
const session = integer(1, 2 ** 32 - 1);
const handoffData = binUpTo(MAX_HANDOFF_BYTES);
const port = integer(0, 65535);
const maxFrame = integer(MIN_MAX_FRAME, MAX_MAX_FRAME);
const epoch = bin(EPOCH_BYTES);
const nonce = bin(NONCE_BYTES);
/** An HMAC-SHA256. */
const proofBytes = bin(PROOF_BYTES);

/** A listener, as configured in `Register` and as bound in `Listening` (GWLocalInfo). */
const endpoint = shape({ transport: name, host: text(255), port, name, framing: optional(name) });
export type Endpoint = ReturnType<typeof endpoint>;

/** A client's TLS certificate: its common name, and the SHA-256 of all of it, hexadecimal. */
const certificate = shape({ name: text(MAX_DETAIL_LENGTH), fingerprint: text(64) });

export const join = shape({
  addr: text(255),
  port,
  transport: name,
  listener: name,
  at: quantity,
  framing: optional(name),
  proxy: optional(text(255)),
  sni: optional(text(MAX_DETAIL_LENGTH)),
  alpn: optional(text(MAX_DETAIL_LENGTH)),
  certificate: optional(certificate),
  path: optional(text(MAX_PATH_LENGTH)),
  query: optional(text(MAX_QUERY_LENGTH)),
  subprotocol: optional(text(MAX_DETAIL_LENGTH)),
  headers: optional(record(text(MAX_HEADER_LENGTH), MAX_HEADERS)),
  user: optional(name),
  context: optional(name),
  groups: optional(list(name, MAX_GROUPS)),
  rejoin: optional(flag),
  admitted: optional(flag),
  lostBytes: optional(count),
  from: optional(managerName),
  fromSession: optional(session),
  data: optional(handoffData),
});
export type Join = ReturnType<typeof join>;

export const disconnected = shape({
  reason: oneOf(...endReasons),
  by: oneOf(...endedBy),
  inBytes: count,
  outBytes: count,
  inMsgs: count,
  outMsgs: count,
  unsentBytes: count,
  ms: quantity,
  received: optional(count),
});
export type Disconnected = ReturnType<typeof disconnected>;

const slotCounts = shape({ freed: count, starting: count, inUse: count, stopping: count });
export type SlotCounts = ReturnType<typeof slotCounts>;

export const ping = shape({
  seq: count,
  at: quantity,
  sessions: count,
  capacity: integer(0, MAX_CAPACITY),
  slots: optional(slotCounts),
  joins: optional(count),
  refused: optional(count),
  refusals: optional(record(count, MAX_COUNTS)),
  ends: optional(record(count, MAX_COUNTS)),
  linkEnds: optional(record(count, MAX_COUNTS)),
  counters: optional(record(count, MAX_COUNTS)),
  inBytes: optional(count),
  outBytes: optional(count),
  inMsgs: optional(count),
  outMsgs: optional(count),
  rssBytes: optional(count),
  cpuMs: optional(quantity),
  loopP99Ms: optional(quantity),
  loopMaxMs: optional(quantity),
  rttMs: optional(quantity),
});
export type Ping = ReturnType<typeof ping>;

export const register = shape({
  version: integer(0, 2 ** 32 - 1),
  name,
  pid: integer(0, 2 ** 32 - 1),
  endpoints: list(endpoint, MAX_ENDPOINTS),
  maxFrame,
  nonce,
  maxGroups: optional(integer(1, MAX_GROUPS)),
  resume: optional(shape({ epoch, received: count })),
});
export type Register = ReturnType<typeof register>;

export const proof = shape({ proof: proofBytes });
export type Proof = ReturnType<typeof proof>;

export const listening = shape({ endpoints: list(endpoint, MAX_ENDPOINTS) });
export type Listening = ReturnType<typeof listening>;

export const draining = shape({ reason: text(REASON_LENGTH), drainMs: quantity });
export type Draining = ReturnType<typeof draining>;

export const registered = shape({
  id: integer(1, 2 ** 32 - 1),
  capacity: integer(1, MAX_CAPACITY),
  epoch,
  pingMs: integer(100, 600_000),
  maxFrame,
  resumed: flag,
  received: count,
  admit: optional(flag),
});
export type Registered = ReturnType<typeof registered>;

export const rejected = shape({ code: name, message: text(REASON_LENGTH) });
export type Rejected = ReturnType<typeof rejected>;

export const challenge = shape({ nonce, proof: proofBytes });
export type Challenge = ReturnType<typeof challenge>;

export const drop = shape({
  reason: optional(text(REASON_LENGTH)),
  code: optional(integer(0, 65535)),
  banMs: optional(integer(0, MAX_BAN_MS)),
});
export type Drop = ReturnType<typeof drop>;

export const shutdown = shape({
  reason: optional(text(REASON_LENGTH)),
  drainMs: optional(integer(0, 86_400_000)),
});
export type Shutdown = ReturnType<typeof shutdown>;

export const handoff = shape({
  manager: managerName,
  data: optional(handoffData),
  received: optional(count),
});
export type Handoff = ReturnType<typeof handoff>;

/** Why a session stays where it is. */
export const handoffRefusals = [
  "unknown-manager",
  "same-manager",
  "no-manager",
  "no-slot",
  "not-admitted",
  "too-big",
] as const;
export type HandoffRefusal = (typeof handoffRefusals)[number];

export const handoffRefused = shape({ manager: managerName, code: name, message: text(REASON_LENGTH) });
export type HandoffRefused = ReturnType<typeof handoffRefused>;

export const pong = shape({ seq: count, at: quantity });
export type Pong = ReturnType<typeof pong>;
