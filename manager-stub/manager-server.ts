/**
 * The manager's end of the links, as a class for a logic server to build on: gateways register with it, and
 * it says who joined, what they said and who left; it sends, broadcasts, drops and shuts down.
 */

import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { Secret } from "../link/secret.ts";
import type * as body from "../proto/bodies.ts";
import { MAX_BAN_MS, MAX_HANDOFF_BYTES, MAX_MANAGER_NAME_LENGTH } from "../proto/bodies.ts";
import { DEFAULT_MAX_FRAME, MAX_MAX_FRAME, MIN_MAX_FRAME, PROTOCOL_VERSION } from "../proto/frame.ts";
import { formatLinkUrl, parseLinkUrl } from "../proto/link-url.ts";
import { MAX_NAME_BYTES } from "../proto/names.ts";
import { MAX_CAPACITY } from "../proto/session-id.ts";
import { GatewayLink, type GatewayLinkOptions, type GatewayLinkOwner } from "./gateway-link.ts";
import { noSession } from "./handoff.ts";
import { checkTls, createLinkServer, type LinkServer, type ManagerTlsOptions } from "./link-server.ts";
import { listenAt } from "./listen.ts";
import { checkProtection } from "./protection.ts";
import { type Gateway, type GatewayOwner, RegisteredGateway, type SessionEnd } from "./registered-gateway.ts";
import type { Session } from "./session.ts";

export interface ManagerServerOptions {
  /** Where gateways dial: `unix:/path`, `tcp://host:port` or `tls://host:port`. Default `unix:run/manager.sock`. */
  readonly listen?: string;
  /** How many sessions each gateway may hold: 1..2^20, default 10,000. A function decides for each by name. */
  readonly capacity?: number | ((gatewayName: string) => number);
  /** The heartbeat's interval, milliseconds: 100..600,000, default 5000. */
  readonly pingMs?: number;
  /** The largest frame that is accepted from a gateway, bytes: 64 KiB..256 MiB, default 1 MiB. */
  readonly maxFrame?: number;
  /**
   * With more than this queued for it, or sent and not acknowledged, a gateway is cut off, bytes: 1 MiB at least,
   * default 64 MiB. What is sent to one without a link waits here too.
   */
  readonly sendBufferBytes?: number;
  /** How long a connection may take to register, milliseconds; default 15,000. */
  readonly registerTimeoutMs?: number;
  /**
   * How long a gateway whose link is lost may take to come back, milliseconds; default 30,000. Meanwhile nothing of it is
   * lost: what is sent to it waits. 0: it is given up at once.
   */
  readonly resumeMs?: number;
  /** Clients that join wait to be let in, each with `admit`; default false: all are in at once. */
  readonly admit?: boolean;
  /** A gateway must prove that it has this secret too, at least 16 bytes. Default: none, and nothing is proven. */
  readonly secret?: string | Uint8Array;
  /** For `tls://`: the manager's certificate, and what it wants of gateways. */
  readonly tls?: ManagerTlsOptions;
}

export interface ManagerServerEvents {
  /** A gateway listens, or is heard again after it was suspect or lost. */
  gatewayUp: [gateway: Gateway];
  /** A gateway missed one heartbeat. */
  gatewaySuspect: [gateway: Gateway];
  /** A gateway has said that it ends; its sessions go on for a while. */
  gatewayDraining: [gateway: Gateway];
  /** A gateway's link is gone. Its sessions go on, and it may come back: then it is up again, or down. */
  gatewayLost: [gateway: Gateway, code: string, message: string];
  /** A gateway is given up, and with it its sessions, each of which was told to have left. */
  gatewayDown: [gateway: Gateway, code: string, message: string];
  /**
   * A client has joined, or comes from another manager. `data` is what that one says of it, the receiver's to keep: the
   * session does not keep it.
   */
  join: [session: Session, data?: Buffer | undefined];
  /** The payload is the receiver's to keep. */
  message: [session: Session, payload: Buffer];
  /**
   * A gateway that lets a user in once did not bind a session to it (`bind`), because the user has another session: this
   * one is bound to nobody.
   */
  bindRefused: [session: Session, user: string];
  /** Once for each join, last. */
  leave: [session: Session, end: SessionEnd];
  /** A connection ended before it had registered. */
  refused: [code: string, message: string];
}

export interface DropOptions {
  /** Reset the client at once and discard what is queued for it, instead of sending that first. */
  readonly discard?: boolean | undefined;
  /** For the gateway's log, and for a WebSocket's close frame; cut off after 1024 characters. */
  readonly reason?: string | undefined;
  /** A WebSocket's close code, 0..65,535; one that may not be said is the reason's own. */
  readonly code?: number | undefined;
  /** The client's address is not let in again by its gateway for so long, milliseconds: up to a year. */
  readonly banMs?: number | undefined;
}

export interface ShutdownOptions {
  /** For the gateway's log; cut off after 1024 characters. */
  readonly reason?: string | undefined;
  /** How long its sessions may go on, milliseconds: 0..86,400,000; the gateway's own setting by default. */
  readonly drainMs?: number | undefined;
}

const DEFAULT_LISTEN = "unix:run/manager.sock";
const DEFAULT_CAPACITY = 10_000;
const DEFAULT_PING_MS = 5000;
/** A gateway acknowledges 256 KiB at once: under a few of them one that is well would be cut off. */
const MIN_SEND_BUFFER_BYTES = 1024 * 1024;
const DEFAULT_SEND_BUFFER_BYTES = 64 * 1024 * 1024;
const DEFAULT_REGISTER_TIMEOUT_MS = 15_000;
const DEFAULT_RESUME_MS = 30_000;

const MAX_REASON_CHARACTERS = 1024;
const MAX_CODE = 65_535;
const MAX_DRAIN_MS = 86_400_000;
/** A timer that is set for longer goes off at once. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** Which session, and where: what `send` and `drop` need. A Session is one. */
export type SessionRef = Pick<Session, "gateway" | "id">;

export class ManagerServer extends EventEmitter<ManagerServerEvents> {
  readonly #options: Required<Omit<ManagerServerOptions, "secret" | "tls">>;
  readonly #secret: Secret | undefined;
  readonly #hasTls: boolean;
  readonly #server: LinkServer;
  /** Every open connection, registered or not. */
  readonly #links = new Set<GatewayLink>();
  readonly #byId = new Map<number, RegisteredGateway>();
  #removeFile = () => {};
  #lastId = 0;
  #lastSerial = 0;

  /** @throws RangeError for an option out of its bounds */
  constructor(options: ManagerServerOptions = {}) {
    super();
    this.#options = {
      listen: options.listen ?? DEFAULT_LISTEN,
      capacity: options.capacity ?? DEFAULT_CAPACITY,
      pingMs: options.pingMs ?? DEFAULT_PING_MS,
      maxFrame: options.maxFrame ?? DEFAULT_MAX_FRAME,
      sendBufferBytes: options.sendBufferBytes ?? DEFAULT_SEND_BUFFER_BYTES,
      registerTimeoutMs: options.registerTimeoutMs ?? DEFAULT_REGISTER_TIMEOUT_MS,
      resumeMs: options.resumeMs ?? DEFAULT_RESUME_MS,
      admit: options.admit ?? false,
    };
    const { capacity, pingMs, maxFrame, sendBufferBytes, registerTimeoutMs, resumeMs } = this.#options;
    if (typeof capacity === "number") checkRange("capacity", capacity, 1, MAX_CAPACITY);
    checkRange("pingMs", pingMs, 100, 600_000);
    checkRange("maxFrame", maxFrame, MIN_MAX_FRAME, MAX_MAX_FRAME);
    checkRange("sendBufferBytes", sendBufferBytes, MIN_SEND_BUFFER_BYTES, Number.MAX_SAFE_INTEGER);
    checkRange("registerTimeoutMs", registerTimeoutMs, 1, MAX_TIMEOUT_MS);
    checkRange("resumeMs", resumeMs, 0, MAX_TIMEOUT_MS);
    this.#secret = options.secret === undefined ? undefined : new Secret(options.secret);
    this.#hasTls = options.tls !== undefined;
    if (options.tls !== undefined) checkTls(options.tls);
    this.#server = createLinkServer({
      tls: options.tls,
      registerTimeoutMs,
      accepted: (socket, waitedMs) => this.#accept(socket, waitedMs),
      refused: (code, message) => this.emit("refused", code, message),
    });
  }

  /**
   * Starts to listen for gateways.
   *
   * @returns the address that gateways dial
   * @throws ListenOptionsError, a ListenError, for an address beyond loopback with neither a secret nor TLS, and
   *   for TLS without a certificate; ListenError when the address is taken or can't be bound; Error when it is
   *   not an address
   */
  async listen(): Promise<string> {
    const address = parseLinkUrl(this.#options.listen);
    checkProtection(address, { secret: this.#secret !== undefined, tls: this.#hasTls });
    const listening = await listenAt(this.#server.server, address);
    this.#removeFile = listening.removeFile;
    return formatLinkUrl(listening.address);
  }

  /** The gateways that are registered, oldest first. */
  get gateways(): readonly Gateway[] {
    return [...this.#byId.values()];
  }

  gateway(id: number): Gateway | undefined {
    return this.#byId.get(id);
  }

  /** The sessions of one gateway, or of all, in the order in which they joined. */
  *sessions(gateway?: number): Generator<Session> {
    const links = gateway === undefined ? this.#byId.values() : [this.#byId.get(gateway)];
    for (const link of links) if (link !== undefined) yield* link.sessions;
  }

  session(ref: SessionRef): Session | undefined {
    return this.#byId.get(ref.gateway)?.find(ref.id);
  }

  /**
   * Sends to one client. What the gateway does not take in one frame is sent in several, unless the client's
   * messages are framed: then the payload is one message.
   *
   * @returns false when the session is gone or dropped; true means sent towards it, not received by it
   * @throws RangeError for a message that is framed and does not fit in one frame
   */
  send(ref: SessionRef, payload: Uint8Array | string): boolean {
    return this.#byId.get(ref.gateway)?.send(ref.id, toBuffer(payload)) ?? false;
  }

  /**
   * Sends to every client of one gateway, or of all, that was let in.
   *
   * @throws RangeError for a message that does not fit in one frame of a gateway that has a listener with a
   *   framing; then it was sent to nobody
   */
  broadcast(payload: Uint8Array | string, gateway?: number): void {
    const bytes = toBuffer(payload);
    const gateways = this.#someOf(gateway, () => true);
    for (const one of gateways) one.checkAll(bytes);
    for (const one of gateways) one.sendAll(bytes);
  }

  /**
   * Sends to each of many clients: each gateway is told the payload once, whatever their number. What a gateway does not
   * take in one frame is sent in several, unless one of its clients has a framing: then the payload is one message.
   *
   * @param refs one that stands there twice gets it twice
   * @returns how many it was sent towards: those that are neither gone nor dropped
   * @throws RangeError for a message that is framed and does not fit in one frame; then it was sent to nobody
   */
  sendMany(refs: Iterable<SessionRef>, payload: Uint8Array | string): number {
    const bytes = toBuffer(payload);
    const byGateway = new Map<RegisteredGateway, number[]>();
    for (const { gateway, id } of refs) {
      const found = this.#byId.get(gateway);
      if (found === undefined || !found.reaches(id)) continue;
      const ids = byGateway.get(found);
      if (ids === undefined) byGateway.set(found, [id]);
      else ids.push(id);
    }
    for (const [one, ids] of byGateway) one.checkMany(ids, bytes);
    let count = 0;
    for (const [one, ids] of byGateway) {
      one.sendMany(ids, bytes);
      count += ids.length;
    }
    return count;
  }

  /**
   * Sends to every client of a group, on one gateway or on all, that was let in.
   *
   * @returns how many it was sent towards
   * @throws RangeError for a name that can't be one, and for a message that does not fit in one frame of a gateway that
   *   has some of them, and a listener with a framing; then it was sent to nobody
   */
  sendToGroup(group: string, payload: Uint8Array | string, gateway?: number): number {
    const name = checkName("a group's name", group);
    const bytes = toBuffer(payload);
    const targets = this.#someOf(gateway, (one) => one.groupCount(name) > 0);
    for (const one of targets) one.checkNamed(name, bytes);
    const count = targets.reduce((sum, one) => sum + one.groupCount(name), 0);
    for (const one of targets) one.sendToGroup(name, bytes);
    return count;
  }

  /**
   * Sends to every client of a user, on one gateway or on all, that was let in.
   *
   * @returns how many it was sent towards
   * @throws RangeError as `sendToGroup`
   */
  sendToUser(user: string, payload: Uint8Array | string, gateway?: number): number {
    const name = checkName("a user's name", user);
    const bytes = toBuffer(payload);
    const targets = this.#someOf(gateway, (one) => one.userCount(name) > 0);
    for (const one of targets) one.checkNamed(name, bytes);
    const count = targets.reduce((sum, one) => sum + one.userCount(name), 0);
    for (const one of targets) one.sendToUser(name, bytes);
    return count;
  }

  /**
   * Binds a session to a user, and to no other any more. What becomes of another session of the user on the same gateway is
   * the gateway's policy: it may leave as `replaced`, or this one may be told as `bindRefused`.
   *
   * @returns false when the session is gone, dropped, or bound to that user already
   * @throws RangeError for a name that is empty, or has more than 128 bytes of UTF-8
   */
  bind(ref: SessionRef, user: string): boolean {
    const name = checkName("a user's name", user);
    return this.#byId.get(ref.gateway)?.bind(ref.id, name) ?? false;
  }

  /** @returns false when the session is gone, dropped, or bound to nobody */
  unbind(ref: SessionRef): boolean {
    return this.#byId.get(ref.gateway)?.bind(ref.id, "") ?? false;
  }

  /**
   * Puts a session into a group, which is there as long as somebody is in it.
   *
   * @returns false when the session is gone, dropped, in the group already, or in as many as its gateway allows
   * @throws RangeError for a name that is empty, or has more than 128 bytes of UTF-8
   */
  addToGroup(ref: SessionRef, group: string): boolean {
    const name = checkName("a group's name", group);
    return this.#byId.get(ref.gateway)?.addToGroup(ref.id, name) ?? false;
  }

  /**
   * Takes a session out of a group.
   *
   * @returns false when the session is gone, dropped, or not in the group
   * @throws RangeError for a name that is empty, or has more than 128 bytes of UTF-8
   */
  removeFromGroup(ref: SessionRef, group: string): boolean {
    const name = checkName("a group's name", group);
    return this.#byId.get(ref.gateway)?.removeFromGroup(ref.id, name) ?? false;
  }

  /**
   * Lets a client in, where that was asked for (option `admit`).
   *
   * @returns false when the session is gone, dropped, or let in already
   */
  admit(ref: SessionRef): boolean {
    return this.#byId.get(ref.gateway)?.admit(ref.id) ?? false;
  }

  /**
   * Ends a session. What was sent to it before still arrives, unless it is discarded; `leave` follows.
   *
   * @returns false when the session is gone, or dropped already; a drop may still become a discarding one
   * @throws RangeError for a code or a time out of its bounds
   */
  drop(ref: SessionRef, { discard = false, reason, code, banMs }: DropOptions = {}): boolean {
    if (code !== undefined) checkRange("code", code, 0, MAX_CODE);
    if (banMs !== undefined) checkRange("banMs", banMs, 0, MAX_BAN_MS);
    const drop = { reason: reason?.slice(0, MAX_REASON_CHARACTERS), code, banMs };
    return this.#byId.get(ref.gateway)?.drop(ref.id, discard, drop) ?? false;
  }

  /**
   * Gives a session to another manager of its gateway; its client does not notice. Until that is done, or refused, the
   * session can neither be sent to nor dropped, and what it still says is told as ever.
   *
   * @param manager the name that the gateway knows the other one by
   * @param data what that one is told with the session's `join`, 61,440 bytes at most; text goes as UTF-8
   * @returns when the session has left, with the reason `handoff`
   * @throws HandoffError when it has not: it stays and all is as before, unless the code is `session-ended`,
   *   `gateway-lost` or `no-session`; RangeError for a name or `data` that is too long, TypeError for neither text nor bytes
   */
  async handoff(ref: SessionRef, manager: string, data?: Uint8Array | string): Promise<void> {
    const name = wellFormed("a manager's name", manager);
    checkRange("the length of a manager's name", name.length, 1, MAX_MANAGER_NAME_LENGTH);
    const bytes = data === undefined ? undefined : toBuffer(data);
    if (bytes !== undefined) checkRange("the length of data", bytes.length, 0, MAX_HANDOFF_BYTES);
    const gateway = this.#byId.get(ref.gateway);
    if (gateway === undefined) throw noSession();
    await gateway.handOff(ref.id, { manager: name, data: bytes });
  }

  /**
   * Ends a gateway in good order.
   *
   * @returns false when there is no such gateway
   * @throws RangeError for a time out of its bounds
   */
  shutdown(gateway: number, { reason, drainMs }: ShutdownOptions = {}): boolean {
    if (drainMs !== undefined) checkRange("drainMs", drainMs, 0, MAX_DRAIN_MS);
    const found = this.#byId.get(gateway);
    found?.shutdown({ reason: reason?.slice(0, MAX_REASON_CHARACTERS), drainMs });
    return found !== undefined;
  }

  /**
   * Stops listening and ends every link, each of which is told as a `gatewayDown` before this resolves. The
   * gateways dial again until a manager answers.
   */
  async close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#removeFile();
    this.#server.server.close(() => resolve());
    this.#server.abort();
    const cutOff = setTimeout(() => {
      for (const link of this.#links) link.abort();
    }, CLOSE_MS);
    const gateways = [...this.#byId.values()].map((gateway) => gateway.close());
    const links = [...this.#links].map((link) => link.close());
    await Promise.all([promise, ...gateways, ...links]);
    clearTimeout(cutOff);
  }

  /** One gateway, or all, if they are as wanted. */
  #someOf(gateway: number | undefined, wanted: (one: RegisteredGateway) => boolean): RegisteredGateway[] {
    return [...this.#byId.values()].filter(
      (one) => (gateway === undefined || one.id === gateway) && wanted(one),
    );
  }

  #accept(socket: Socket, waitedMs: number): void {
    const link: GatewayLink = new GatewayLink(socket, this.#linkOptions(waitedMs), this.#linkOwner);
    this.#links.add(link);
  }

  #linkOptions(waitedMs: number): GatewayLinkOptions {
    const { pingMs, sendBufferBytes } = this.#options;
    const registerTimeoutMs = Math.max(1, this.#options.registerTimeoutMs - waitedMs);
    return { pingMs, sendBufferBytes, registerTimeoutMs, secret: this.#secret };
  }

  readonly #linkOwner: GatewayLinkOwner = {
    register: (link, register) => this.#register(link, register),
    refused: (_link, code, message) => this.emit("refused", code, message),
    closed: (link) => this.#links.delete(link),
  };

  readonly #gatewayOwner: GatewayOwner = {
    nextSerial: () => ++this.#lastSerial,
    healthChanged: (gateway) => {
      if (gateway.health === "up") this.emit("gatewayUp", gateway);
      else this.emit("gatewaySuspect", gateway);
    },
    drains: (gateway) => this.emit("gatewayDraining", gateway),
    joined: (session, data) => this.emit("join", session, data),
    message: (session, payload) => this.emit("message", session, payload),
    bindRefused: (session, user) => this.emit("bindRefused", session, user),
    left: (session, end) => this.emit("leave", session, end),
    lost: (gateway, code, message) => this.emit("gatewayLost", gateway, code, message),
    gone: (gateway, code, message) => {
      this.#byId.delete(gateway.id);
      this.emit("gatewayDown", gateway, code, message);
    },
  };

  #register(link: GatewayLink, register: body.Register): RegisteredGateway | body.Rejected {
    if (register.version !== PROTOCOL_VERSION) {
      const message = `this manager speaks version ${PROTOCOL_VERSION}, not ${register.version}`;
      return { code: "version", message };
    }
    return this.#resume(link, register) ?? this.#takeOn(link, register);
  }

  /** Goes on with a gateway that knows its epoch, whatever has become of its old link. */
  #resume(link: GatewayLink, register: body.Register): RegisteredGateway | undefined {
    const { resume } = register;
    if (resume === undefined) return undefined;
    const known = [...this.#byId.values()].find(({ epoch }) => epoch.equals(resume.epoch));
    known?.resume(link, register, resume.received);
    return known;
  }

  #takeOn(link: GatewayLink, register: body.Register): RegisteredGateway | body.Rejected {
    const { name } = register;
    const others = [...this.#byId.values()].filter((other) => other.name === name && !other.ending);
    if (others.some(({ connected }) => connected)) {
      return { code: "name-taken", message: `a gateway named '${name}' is registered already` };
    }
    for (const other of others) other.giveUp("replaced", "a gateway of its name has registered anew");
    const { pingMs, maxFrame, sendBufferBytes, resumeMs, admit } = this.#options;
    const id = ++this.#lastId;
    const gateway = new RegisteredGateway(
      register,
      { id, capacity: this.#capacityOf(name) },
      { pingMs, maxFrame, sendBufferBytes, resumeMs, admit },
      this.#gatewayOwner,
    );
    this.#byId.set(id, gateway);
    gateway.begin(link);
    return gateway;
  }

  #capacityOf(name: string): number {
    const { capacity } = this.#options;
    if (typeof capacity === "number") return capacity;
    const decided = capacity(name);
    checkRange(`the capacity of '${name}'`, decided, 1, MAX_CAPACITY);
    return decided;
  }
}

/** How long the links have to take what is left when a manager closes. */
const CLOSE_MS = 1000;

// Who writes a manager without a compiler learns of a wrong type here, rather than by what it does to a link.

/** @throws TypeError for what is neither text nor bytes */
function toBuffer(payload: Uint8Array | string): Buffer {
  if (typeof payload === "string") return Buffer.from(payload);
  if (!(payload instanceof Uint8Array))
    throw new TypeError(`a payload must be text or bytes, not ${typeof payload}`);
  return Buffer.isBuffer(payload)
    ? payload
    : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
}

/** A name as it is on the link, where half a character is none. */
function checkName(what: string, name: string): string {
  const text = wellFormed(what, name);
  const length = Buffer.byteLength(text);
  if (length >= 1 && length <= MAX_NAME_BYTES) return text;
  throw new RangeError(`${what} must have 1 to ${MAX_NAME_BYTES} bytes of UTF-8, not ${length}`);
}

/** @throws TypeError for what is no text */
function wellFormed(what: string, value: string): string {
  if (typeof value === "string") return value.toWellFormed();
  throw new TypeError(`${what} must be text, not ${typeof value}`);
}

function checkRange(name: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new RangeError(`${name} must be a whole number from ${min} to ${max}, not ${value}`);
}
