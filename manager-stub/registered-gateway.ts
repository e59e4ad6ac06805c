/**
 * A gateway that a manager has taken on, and the picture of its sessions. It outlives its link: when the wire is cut, what
 * was said both ways is kept for a while, and a new link goes on where the old one ended (docs/protocol.md, "Nothing lost
 * when the link is cut").
 */

import { randomBytes } from "node:crypto";
import { Acknowledger } from "../link/acknowledger.ts";
import type { FramedStream } from "../link/framed-stream.ts";
import type * as body from "../proto/bodies.ts";
import { MAX_GROUPS } from "../proto/bodies.ts";
import {
  COUNT_BYTES,
  HEADER_BYTES,
  isNumberedFromGateway,
  NAME_LENGTH_BYTES,
  SESSION_BYTES,
} from "../proto/frame.ts";
import { FrameLog } from "../proto/frame-log.ts";
import { toGateway } from "../proto/from-manager.ts";
import { ProtocolError } from "../proto/protocol-error.ts";
import { generationOf, MAX_CAPACITY } from "../proto/session-id.ts";
import { HandoffError, Handoffs, noSession } from "./handoff.ts";
import type { HeldMessages } from "./held-messages.ts";
import type { Session } from "./session.ts";
import { Tally } from "./tally.ts";

/**
 * `registering` until the gateway listens; `suspect` after one missed heartbeat; `lost` while it has no link and may come
 * back; `down` when it is given up.
 */
export type GatewayHealth = "registering" | "up" | "suspect" | "lost" | "down";

/** How a session ended, as its gateway told it. */
export type SessionEnd = body.Disconnected;

/** A gateway, as its manager sees it. */
export interface Gateway {
  /** Unique as long as the manager runs. */
  readonly id: number;
  readonly name: string;
  readonly pid: number;
  readonly capacity: number;
  readonly health: GatewayHealth;
  /** It has said that it ends. */
  readonly ending: boolean;
  /** Where it listens, as it said last. */
  readonly endpoints: readonly body.Endpoint[];
  /** How many sessions it holds. */
  readonly sessionCount: number;
  /** Milliseconds since 1970. */
  readonly registeredAt: number;
  /** What its last heartbeat said; undefined before the first. */
  readonly vitals: body.Ping | undefined;
}

/** What a manager does with what its gateways say. */
export interface GatewayOwner {
  /** The number of the next session that joins. */
  nextSerial(): number;
  healthChanged(gateway: RegisteredGateway): void;
  /** The gateway has said that it ends. */
  drains(gateway: RegisteredGateway): void;
  /** @param data what the manager that had it before says of it; the receiver's to keep */
  joined(session: Session, data: Buffer | undefined): void;
  message(session: Session, payload: Buffer): void;
  /** The session was not bound to this user, who has another one; it is bound to nobody. */
  bindRefused(session: Session, user: string): void;
  left(session: Session, end: SessionEnd): void;
  /** Its link is gone, and it may come back. */
  lost(gateway: RegisteredGateway, code: string, message: string): void;
  /** It is given up; every session of it was told to have left. */
  gone(gateway: RegisteredGateway, code: string, message: string): void;
}

export interface GatewayOptions {
  readonly pingMs: number;
  /** The largest frame that is accepted of it, bytes of data. */
  readonly maxFrame: number;
  /** With more than this queued for it, or sent and not acknowledged, a gateway is given up. */
  readonly sendBufferBytes: number;
  /** How long a gateway without a link may take to come back; 0: it is given up at once. */
  readonly resumeMs: number;
  /** Clients are let in one by one, by `admit`. */
  readonly admit: boolean;
}

/** The link of a gateway, as far as the gateway uses it. */
export interface AttachedLink {
  readonly stream: FramedStream;
  /** Sends what is left and ends the link; `detached` follows. */
  finish(): void;
  /** Ends the link at once; `detached` follows. */
  fail(code: string, message: string): void;
  /** Ends the link at once, and nothing follows: another has taken its place. */
  replace(): void;
}

const EPOCH_BYTES = 16;

interface LiveSession extends Session {
  user?: string | undefined;
  readonly groups: Set<string>;
  admitted: boolean;
  dropped: boolean;
}

export class RegisteredGateway implements Gateway {
  readonly id: number;
  readonly name: string;
  pid: number;
  capacity: number;
  health: GatewayHealth = "registering";
  ending = false;
  endpoints: readonly body.Endpoint[];
  readonly registeredAt = Date.now();
  vitals: body.Ping | undefined;
  readonly epoch = randomBytes(EPOCH_BYTES);

  readonly #owner: GatewayOwner;
  readonly #options: GatewayOptions;
  readonly #sessions = new Map<number, LiveSession>();
  /** Of the sessions that messages to a name go to: how many each user has, and each group. */
  readonly #users = new Tally();
  readonly #groups = new Tally();
  readonly #handoffs = new Handoffs();
  /** What was said to it and is not acknowledged. */
  readonly #log = new FrameLog();
  readonly #acknowledger: Acknowledger;
  /** A numbered frame is being handled. */
  #handling = false;
  /** So many frames come that were handled before the link was cut, and had to be asked for once more. */
  #passOver = 0;
  /** More was handled than the gateway was told, since a session is being handed over. */
  #owesAck = false;
  /** What is told of a session that was held: the session, and the number of the frame that told it first. */
  #telling: { readonly session: number; readonly number: number } | undefined;
  readonly #gone = Promise.withResolvers<void>();
  #link: AttachedLink | undefined;
  /** The largest frame that the gateway accepts, bytes of data. */
  #maxFrame: number;
  /** The most groups that it puts a session into. */
  #maxGroups: number;
  #givingUp: NodeJS.Timeout | undefined;
  #closing = false;

  constructor(
    register: body.Register,
    { id, capacity }: { readonly id: number; readonly capacity: number },
    options: GatewayOptions,
    owner: GatewayOwner,
  ) {
    this.id = id;
    this.name = register.name;
    this.pid = register.pid;
    this.capacity = capacity;
    this.endpoints = register.endpoints;
    this.#maxFrame = register.maxFrame;
    this.#maxGroups = register.maxGroups ?? MAX_GROUPS;
    this.#options = options;
    this.#owner = owner;
    this.#acknowledger = new Acknowledger({
      after(ms, run) {
        const timer = setTimeout(run, ms);
        return () => clearTimeout(timer);
      },
      send: (frames) => {
        const received = this.#received;
        this.#owesAck = received < frames;
        this.#control((stream) => toGateway.ack(stream.batch, received));
      },
    });
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** Whether it has a link. */
  get connected(): boolean {
    return this.#link !== undefined;
  }

  /** The sessions of this gateway, oldest first. */
  get sessions(): IterableIterator<Session> {
    return this.#sessions.values();
  }

  find(session: number): Session | undefined {
    return this.#sessions.get(session);
  }

  // How links come and go.

  /** Begins on its first link. */
  begin(link: AttachedLink): void {
    this.#attach(link, false);
  }

  /**
   * Goes on over another link.
   *
   * @param received how many frames of the epoch the gateway has handled
   * @throws ProtocolError `bad-ack` when what it lacks is not here any more, or was never sent
   */
  resume(link: AttachedLink, register: body.Register, received: number): void {
    const { acknowledged, everSent } = this.#log;
    const message = `Register.resume.received is ${received}, which is not from ${acknowledged} to ${everSent}`;
    // It was held up on its way and overtaken: the gateway has another link by now, or is about to have one.
    if (received < acknowledged) throw new ProtocolError("bad-ack", message);
    this.#link?.replace();
    this.#link = undefined;
    this.#acknowledger.pause();
    if (!this.#log.rewind(received)) {
      this.giveUp("bad-ack", message);
      throw new ProtocolError("bad-ack", message);
    }
    clearTimeout(this.#givingUp);
    this.pid = register.pid;
    this.#maxFrame = register.maxFrame;
    this.#maxGroups = register.maxGroups ?? MAX_GROUPS;
    this.#attach(link, true);
  }

  /** Its link is gone. */
  detached(code: string, message: string, spoiled: boolean): void {
    this.#link = undefined;
    this.#acknowledger.pause();
    const { resumeMs } = this.#options;
    if (spoiled || this.ending || this.#closing || resumeMs === 0) {
      this.giveUp(code, message);
      return;
    }
    this.health = "lost";
    this.#owner.lost(this, code, message);
    this.#givingUp = setTimeout(() => this.giveUp(code, message), resumeMs);
  }

  /** Takes every session of it for gone. */
  giveUp(code: string, message: string): void {
    if (this.health === "down") return;
    clearTimeout(this.#givingUp);
    this.#link?.replace();
    this.#link = undefined;
    this.#acknowledger.pause();
    for (const session of [...this.#sessions.values()]) {
      this.#sessions.delete(session.id);
      this.#uncount(session);
      this.#handoffs.failed(session.id, "gateway-lost", `the gateway was given up: ${message}`);
      session.dropped = true;
      this.#owner.left(session, lostWithLink(session));
    }
    this.#log.reset();
    this.health = "down";
    this.#owner.gone(this, code, message);
    this.#gone.resolve();
  }

  /** Sends what is left and ends the link; resolves when it is gone, and was told to be. */
  close(): Promise<void> {
    this.#closing = true;
    if (this.#link === undefined) this.giveUp("manager-closed", "the manager closed the link");
    else this.#link.finish();
    return this.#gone.promise;
  }

  #attach(link: AttachedLink, resumed: boolean): void {
    const { pingMs, maxFrame, admit } = this.#options;
    const { id, capacity, epoch } = this;
    this.#link = link;
    link.stream.maxFrame = maxFrame;
    const received = this.#received;
    this.#passOver = this.#acknowledger.received - received;
    const registered = { id, capacity, epoch, pingMs, maxFrame, resumed, received };
    toGateway.registered(link.stream.batch, { ...registered, admit: admit || undefined });
    // It is the first to leave: what was said before the cut follows.
    link.stream.sequence();
    link.stream.numbered = this.#log;
    link.stream.scheduleFlush();
  }

  // What the manager says.

  /**
   * @returns whether the session is there to be sent to
   * @throws RangeError for a message that does not fit in one frame, where it can't be cut
   */
  send(session: number, payload: Buffer): boolean {
    const live = this.#reachable(session);
    if (live === undefined) return false;
    const maxBytes = this.#maxFrame - SESSION_BYTES;
    if (isFramed(live)) this.#checkFits(payload, maxBytes);
    for (const part of cut(payload, maxBytes)) toGateway.message(this.#log, session, part);
    this.#appended();
    return true;
  }

  /** @throws RangeError for a message that `sendAll` could not send: one too long that can't be cut */
  checkAll(payload: Buffer): void {
    if (this.endpoints.some(isFramed)) this.#checkFits(payload, this.#maxFrame);
  }

  /** Sends to every session that the gateway has in use. The payload must have passed `checkAll`. */
  sendAll(payload: Buffer): void {
    for (const part of cut(payload, this.#maxFrame)) toGateway.messageAll(this.#log, part);
    this.#appended();
  }

  /** Whether the session is there to be sent to. */
  reaches(session: number): boolean {
    return this.#reachable(session) !== undefined;
  }

  /** @throws RangeError for a message that `sendMany` could not send: one too long for one that can't be cut */
  checkMany(sessions: readonly number[], payload: Buffer): void {
    const maxBytes = this.#maxFrame - COUNT_BYTES - SESSION_BYTES;
    if (payload.length > maxBytes && this.#anyFramed(sessions)) this.#checkFits(payload, maxBytes);
  }

  /** Sends to each of these sessions, which must be there. The payload must have passed `checkMany`. */
  sendMany(sessions: readonly number[], payload: Buffer): void {
    const roomBytes = this.#maxFrame - COUNT_BYTES;
    const perFrame = this.#sessionsPerFrame(sessions, payload, roomBytes);
    const parts = cut(payload, roomBytes - SESSION_BYTES * perFrame);
    for (let from = 0; from < sessions.length; from += perFrame) {
      const some = sessions.slice(from, from + perFrame);
      for (const part of parts) toGateway.messageMany(this.#log, some, part);
    }
    this.#appended();
  }

  /** How many sessions are of this user, and a message to the user goes to. */
  userCount(user: string): number {
    return this.#users.count(user);
  }

  /** How many sessions are in this group, and a message to the group goes to. */
  groupCount(group: string): number {
    return this.#groups.count(group);
  }

  /** @throws RangeError for a message that `sendToGroup` or `sendToUser` could not send: one too long that can't be cut */
  checkNamed(name: string, payload: Buffer): void {
    if (this.endpoints.some(isFramed)) this.#checkFits(payload, this.#maxNamedPayload(name));
  }

  /** Sends to every session in use of a group. The payload must have passed `checkNamed`. */
  sendToGroup(group: string, payload: Buffer): void {
    for (const part of cut(payload, this.#maxNamedPayload(group)))
      toGateway.messageGroup(this.#log, group, part);
    this.#appended();
  }

  /** Sends to every session in use of a user. The payload must have passed `checkNamed`. */
  sendToUser(user: string, payload: Buffer): void {
    for (const part of cut(payload, this.#maxNamedPayload(user)))
      toGateway.messageUser(this.#log, user, part);
    this.#appended();
  }

  /**
   * @param user empty: nobody
   * @returns whether the session is there to be bound, and was not before
   */
  bind(session: number, user: string): boolean {
    const live = this.#reachable(session);
    if (live === undefined || (live.user ?? "") === user) return false;
    this.#setUser(live, user === "" ? undefined : user);
    toGateway.bind(this.#log, session, user);
    this.#appended();
    return true;
  }

  /** @returns whether the session is there, was not in the group, and may be in another one */
  addToGroup(session: number, group: string): boolean {
    const live = this.#reachable(session);
    if (live === undefined || live.groups.has(group) || live.groups.size >= this.#maxGroups) return false;
    live.groups.add(group);
    if (this.#isCounted(live)) this.#groups.add(group);
    toGateway.addToGroup(this.#log, session, group);
    this.#appended();
    return true;
  }

  /** @returns whether the session is there, and was in the group */
  removeFromGroup(session: number, group: string): boolean {
    const live = this.#reachable(session);
    if (live === undefined || !live.groups.delete(group)) return false;
    if (this.#isCounted(live)) this.#groups.remove(group);
    toGateway.removeFromGroup(this.#log, session, group);
    this.#appended();
    return true;
  }

  /** @returns whether the session was there to be dropped */
  drop(session: number, discard: boolean, drop: body.Drop): boolean {
    const live = this.#sessions.get(session);
    if (live === undefined || this.#handoffs.has(session) || (live.dropped && !discard)) return false;
    this.#uncount(live);
    live.dropped = true;
    if (discard) toGateway.dropDiscard(this.#log, session, drop);
    else toGateway.drop(this.#log, session, drop);
    this.#appended();
    return true;
  }

  /** @returns whether the session was waiting to be let in */
  admit(session: number): boolean {
    const live = this.#reachable(session);
    if (live === undefined || live.admitted) return false;
    live.admitted = true;
    this.#count(live);
    toGateway.admit(this.#log, session);
    this.#appended();
    return true;
  }

  /**
   * Gives a session to another manager of the gateway.
   *
   * @returns when it has gone
   * @throws HandoffError when it stays, or has ended
   */
  async handOff(session: number, handoff: Pick<body.Handoff, "manager" | "data">): Promise<void> {
    if (this.#handoffs.has(session))
      throw new HandoffError("under-way", "the session is being handed over already");
    const live = this.#reachable(session);
    if (live === undefined) throw noSession();
    // Messages to a name that are behind the Handoff do not reach it.
    this.#uncount(live);
    const received = this.#telling?.session === session ? this.#telling.number : this.#taken;
    const done = this.#handoffs.begin(session, received);
    toGateway.handoff(this.#log, session, { ...handoff, received });
    this.#appended();
    await done;
  }

  shutdown(shutdown: body.Shutdown): void {
    toGateway.shutdown(this.#log, shutdown);
    this.#appended();
  }

  // What the gateway says.

  /**
   * A frame is about to be handled.
   *
   * @returns false for one that was handled already, on a link before
   */
  begins(type: number): boolean {
    if (!isNumberedFromGateway(type)) return true;
    if (this.#passOver > 0) {
      this.#passOver--;
      return false;
    }
    this.#handling = true;
    return true;
  }

  /** A frame was handled whole. */
  handled(type: number, bodyBytes: number): void {
    if (!isNumberedFromGateway(type)) return;
    this.#handling = false;
    this.#acknowledger.handled(HEADER_BYTES + bodyBytes);
    // The gateway has waited for it long enough.
    if (this.#owesAck && this.#received === this.#acknowledger.received) this.#acknowledger.acknowledge();
  }

  /** How many frames of the epoch were handled, or begun to be. */
  get #taken(): number {
    return this.#acknowledger.received + (this.#handling ? 1 : 0);
  }

  /**
   * How many frames the gateway is told to have been handled. What a client said behind a Handoff is another manager's or
   * this one's, which is not known yet: so the gateway has to keep it.
   */
  get #received(): number {
    return Math.min(this.#acknowledger.received, this.#handoffs.received);
  }

  ack(frames: number): void {
    if (this.#log.acknowledge(frames)) return;
    throw new ProtocolError("bad-ack", `an Ack for ${frames} frames, of which ${this.#log.sent} were sent`);
  }

  listening({ endpoints }: body.Listening): void {
    this.endpoints = endpoints;
    this.setHealth("up");
  }

  draining(): void {
    this.ending = true;
    this.#owner.drains(this);
  }

  ping(ping: body.Ping): void {
    this.vitals = ping;
    this.#control((stream) => toGateway.pong(stream.batch, { seq: ping.seq, at: ping.at }));
  }

  join(
    id: number,
    {
      at,
      framing = UNFRAMED,
      groups = [],
      rejoin = false,
      admitted = false,
      lostBytes = 0,
      from: manager,
      fromSession,
      data,
      ...join
    }: body.Join,
  ): void {
    if (generationOf(id) === 0) throw unexpected(`CLJoin for ${id}, which is never a session,`);
    if (this.#sessions.has(id)) throw unexpected(`a second CLJoin for session ${id}`);
    // One that is announced again may have been let in under another capacity.
    const capacity = rejoin ? MAX_CAPACITY : this.capacity;
    if (this.#sessions.size >= capacity) throw unexpected(`CLJoin beyond the capacity of ${capacity}`);
    const serial = this.#owner.nextSerial();
    const session = {
      gateway: this.id,
      id,
      serial,
      ...join,
      framing,
      groups: new Set(groups),
      joinedAt: at,
      rejoined: rejoin,
      lostBytes,
      ...(manager !== undefined && fromSession !== undefined && { from: { manager, session: fromSession } }),
      admitted: admitted || !this.#options.admit,
      dropped: false,
    };
    this.#sessions.set(id, session);
    this.#count(session);
    // The bytes lie in the link's own buffer, which is used again.
    this.#owner.joined(session, data === undefined ? undefined : Buffer.from(data));
  }

  message(id: number, bytes: Buffer, start: number, end: number): void {
    const session = this.#known(id, "Msg");
    if (!session.admitted) throw unexpected(`Msg for session ${id}, which was not admitted,`);
    if (this.#handoffs.hold(id, this.#taken, bytes, start, end)) this.#checkHeld();
    else this.#owner.message(session, bytes.subarray(start, end));
  }

  /** What is held is bounded by what the gateway keeps until it is acknowledged; it is not taken at its word. */
  #checkHeld(): void {
    const { sendBufferBytes } = this.#options;
    if (this.#handoffs.heldBytes <= sendBufferBytes) return;
    this.#link?.fail(
      "send-buffer",
      `more than ${sendBufferBytes} bytes of sessions that it is to hand over are held`,
    );
  }

  /** A session stays: tells what was held of it. Whoever is told so may hand it over once more. */
  #giveBack(session: LiveSession, held: HeldMessages): void {
    for (let one = held.shift(); one !== undefined; one = held.shift()) {
      const { number, payload } = one;
      if (this.#handoffs.hold(session.id, number, payload)) continue;
      this.#telling = { session: session.id, number };
      this.#owner.message(session, payload);
    }
    this.#telling = undefined;
  }

  /** A session leaves: tells what was held of it and came of the gateway's first `received` frames. No other manager gets it. */
  #tellRest(session: LiveSession, received: number): void {
    const held = this.#handoffs.heldOf(session.id);
    for (let one = held.shift(); one !== undefined && one.number <= received; one = held.shift())
      this.#owner.message(session, one.payload);
  }

  /** Each answers one Handoff, and comes before the session's end: nothing can cross it. */
  handoffRefused(id: number, { code, message }: body.HandoffRefused): void {
    const session = this.#known(id, "HandoffRefused");
    if (!this.#handoffs.has(id))
      throw unexpected(`HandoffRefused for session ${id}, which was not to be handed over,`);
    const held = this.#handoffs.heldOf(id);
    this.#handoffs.failed(id, code, message);
    this.#count(session);
    this.#giveBack(session, held);
  }

  bindRefused(id: number, user: string): void {
    const session = this.#known(id, "BindRefused");
    if (session.user === user) {
      this.#setUser(session, undefined);
      // It may be that the user was taken then, and the session was bound to it since: both sides must have it alike.
      if (!session.dropped) {
        toGateway.bind(this.#log, id, "");
        this.#appended();
      }
    }
    this.#owner.bindRefused(session, user);
  }

  disconnected(id: number, end: body.Disconnected): void {
    const session = this.#known(id, "CLDisconnected");
    this.#tellRest(
      session,
      (end.reason === "handoff" ? end.received : undefined) ?? Number.POSITIVE_INFINITY,
    );
    this.#sessions.delete(id);
    this.#uncount(session);
    if (end.reason === "handoff") {
      this.#handoffs.done(id);
    } else {
      this.#handoffs.failed(id, "session-ended", `the session has ended: ${end.reason}`);
      if (!session.dropped) this.#acknowledge(id);
    }
    session.dropped = true;
    this.#owner.left(session, end);
  }

  /** The session's end is known: the gateway may use the slot again. A Handoff that it crossed is no acknowledgement. */
  #acknowledge(id: number): void {
    toGateway.drop(this.#log, id);
    this.#appended();
  }

  setHealth(health: GatewayHealth): void {
    if (this.health === health) return;
    this.health = health;
    this.#owner.healthChanged(this);
  }

  /** Something was appended that the gateway has to acknowledge. */
  #appended(): void {
    const { sendBufferBytes } = this.#options;
    if (this.#log.retainedBytes > sendBufferBytes) {
      const message = `more than ${sendBufferBytes} bytes are queued for it`;
      // Nobody will get it, and whoever goes on sending in this turn must not pile up more.
      this.#log.reset();
      if (this.#link === undefined) this.giveUp("send-buffer", message);
      else this.#link.fail("send-buffer", message);
      return;
    }
    this.#link?.stream.scheduleFlush();
  }

  #control(append: (stream: FramedStream) => void): void {
    if (this.#link === undefined) return;
    append(this.#link.stream);
    this.#link.stream.scheduleFlush();
  }

  #known(id: number, frame: string): LiveSession {
    const session = this.#sessions.get(id);
    if (session === undefined) throw unexpected(`${frame} for session ${id}, which has not joined,`);
    return session;
  }

  /** A session that can be sent to: neither dropped nor about to be another manager's. */
  #reachable(id: number): LiveSession | undefined {
    const session = this.#sessions.get(id);
    return session?.dropped === false && !this.#handoffs.has(id) ? session : undefined;
  }

  #anyFramed(sessions: readonly number[]): boolean {
    return sessions.some((id) => isFramed(this.#sessions.get(id) ?? {}));
  }

  /** For how many sessions one frame is: for all of them, where there is room; else half of it is theirs, if need be. */
  #sessionsPerFrame(sessions: readonly number[], payload: Buffer, roomBytes: number): number {
    const leftBytes = roomBytes - payload.length;
    if (leftBytes >= SESSION_BYTES * sessions.length) return sessions.length;
    if (leftBytes >= SESSION_BYTES && this.#anyFramed(sessions)) return Math.floor(leftBytes / SESSION_BYTES);
    return Math.min(sessions.length, Math.floor(roomBytes / 2 / SESSION_BYTES));
  }

  #maxNamedPayload(name: string): number {
    return this.#maxFrame - NAME_LENGTH_BYTES - Buffer.byteLength(name);
  }

  #setUser(session: LiveSession, user: string | undefined): void {
    const counted = this.#isCounted(session);
    if (counted && session.user !== undefined) this.#users.remove(session.user);
    session.user = user;
    if (counted && user !== undefined) this.#users.add(user);
  }

  /** A session is one that messages to its names go to, if it is. */
  #count(session: LiveSession): void {
    if (!this.#isCounted(session)) return;
    if (session.user !== undefined) this.#users.add(session.user);
    for (const group of session.groups) this.#groups.add(group);
  }

  /** It is no more. */
  #uncount(session: LiveSession): void {
    if (!this.#isCounted(session)) return;
    if (session.user !== undefined) this.#users.remove(session.user);
    for (const group of session.groups) this.#groups.remove(group);
  }

  /** Whether messages to a user or a group go to it. */
  #isCounted({ id, admitted, dropped }: LiveSession): boolean {
    return admitted && !dropped && !this.#handoffs.has(id);
  }

  #checkFits(payload: Buffer, maxBytes: number): void {
    if (payload.length <= maxBytes) return;
    throw new RangeError(
      `a message of ${payload.length} bytes is over the ${maxBytes} that gateway '${this.name}' takes in one frame, ` +
        "and where messages are framed none can be cut",
    );
  }
}

/** What tells no messages apart. */
const UNFRAMED = "none";

/** Whether each payload there is one whole message. */
function isFramed({ framing = UNFRAMED }: { readonly framing?: string | undefined }): boolean {
  return framing !== UNFRAMED;
}

/** A payload in parts of at most `maxBytes`; mostly it is one. */
function cut(payload: Buffer, maxBytes: number): Buffer[] {
  const parts = [payload.subarray(0, maxBytes)];
  for (let from = maxBytes; from < payload.length; from += maxBytes)
    parts.push(payload.subarray(from, from + maxBytes));
  return parts;
}

export function unexpected(what: string): ProtocolError {
  return new ProtocolError("unexpected-frame", `${what} has no place here`);
}

/** What is known of a session whose gateway took the rest with it. */
function lostWithLink(session: Session): SessionEnd {
  const ms = Math.max(0, Date.now() - session.joinedAt);
  return {
    reason: "manager-lost",
    by: "gateway",
    inBytes: 0,
    outBytes: 0,
    inMsgs: 0,
    outMsgs: 0,
    unsentBytes: 0,
    ms,
  };
}
