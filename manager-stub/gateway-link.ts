/**
 * A manager's side of the link to one gateway: takes its registration, answers its heartbeat, and keeps the
 * picture of its sessions (docs/protocol.md, "Life of a link" and "Life of a session").
 */

import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { FramedStream } from "../link/framed-stream.ts";
import { NONCE_BYTES, type Secret } from "../link/secret.ts";
import { tlsFailure } from "../link/tls.ts";
import type * as body from "../proto/bodies.ts";
import { fromGatewayBounds, MIN_MAX_FRAME, SESSION_BYTES } from "../proto/frame.ts";
import { type FromGatewayHandler, readFromGateway } from "../proto/from-gateway.ts";
import { toGateway } from "../proto/from-manager.ts";
import { ProtocolError } from "../proto/protocol-error.ts";
import { generationOf } from "../proto/session-id.ts";
import type { Session } from "./session.ts";

/**
 * `registering` until the gateway listens; `suspect` after one missed heartbeat; `down` after three, or when
 * its link is gone.
 */
export type GatewayHealth = "registering" | "up" | "suspect" | "down";

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

/** What a manager does with what a gateway says. */
export interface GatewayLinkOwner {
  /** Gives a gateway that registers its id and capacity, or refuses it. */
  register(
    link: GatewayLink,
    register: body.Register,
  ): { readonly id: number; readonly capacity: number } | body.Rejected;
  /** The number of the next session that joins. */
  nextSerial(): number;
  healthChanged(link: GatewayLink): void;
  /** The gateway has said that it ends. */
  drains(link: GatewayLink): void;
  joined(session: Session): void;
  message(session: Session, payload: Buffer): void;
  left(session: Session, end: SessionEnd): void;
  /** The link is gone; every session of it was told to have left. */
  gone(link: GatewayLink, code: string, message: string): void;
}

export interface GatewayLinkOptions {
  readonly pingMs: number;
  readonly maxFrame: number;
  /** With more than this queued for it a gateway is cut off. */
  readonly sendBufferBytes: number;
  readonly registerTimeoutMs: number;
  /** Clients are let in one by one, by `admit`. */
  readonly admit: boolean;
  /** Shared with the gateway, which must prove that it has it; without one nothing is proven. */
  readonly secret?: Secret | undefined;
}

/** A gateway that was asked for its proof. */
interface Applicant {
  readonly register: body.Register;
  readonly nonce: Buffer;
}

/** Silence for this many intervals makes a gateway suspect: the next heartbeat is half an interval late. */
const SUSPECT_AFTER_INTERVALS = 1.5;
const DEAD_AFTER_INTERVALS = 3;
const CHECKS_PER_INTERVAL = 4;
const EPOCH_BYTES = 16;

interface LiveSession extends Session {
  admitted: boolean;
  dropped: boolean;
}

export class GatewayLink implements FromGatewayHandler, Gateway {
  id = 0;
  name = "";
  pid = 0;
  capacity = 0;
  health: GatewayHealth = "registering";
  ending = false;
  endpoints: readonly body.Endpoint[] = [];
  registeredAt = 0;
  vitals: body.Ping | undefined;

  readonly #owner: GatewayLinkOwner;
  readonly #options: GatewayLinkOptions;
  readonly #stream: FramedStream;
  readonly #sessions = new Map<number, LiveSession>();
  readonly #gone = Promise.withResolvers<void>();
  #timer: NodeJS.Timeout;
  #loss: { code: string; message: string } | undefined;
  /** Until it has proven that it has the secret. */
  #applicant: Applicant | undefined;
  /** The largest frame that the gateway accepts, bytes of data. */
  #maxFrame = MIN_MAX_FRAME;
  #lastHeardAt = performance.now();
  #heardBytes = 0;

  constructor(socket: Socket, options: GatewayLinkOptions, owner: GatewayLinkOwner) {
    this.#owner = owner;
    this.#options = options;
    this.#timer = setTimeout(
      () => this.#fail("register-timeout", "it did not register"),
      options.registerTimeoutMs,
    );
    this.#stream = new FramedStream({
      open: (read) => socket.on("data", (bytes: Buffer) => read(bytes, bytes.length)),
      bounds: fromGatewayBounds,
      congestedBytes: options.sendBufferBytes,
      events: {
        connected() {},
        frame: (type, bytes, start, end) => readFromGateway(this, type, bytes, start, end),
        readDone: () => true,
        congested: (congested) => this.#congested(congested),
        closed: (error) => this.#closed(error),
      },
    });
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** The sessions of this gateway, oldest first. */
  get sessions(): IterableIterator<Session> {
    return this.#sessions.values();
  }

  find(session: number): Session | undefined {
    return this.#sessions.get(session);
  }

  // What the manager says.

  /**
   * @returns whether the session is there to be sent to
   * @throws RangeError for a message that does not fit in one frame, where it can't be cut
   */
  send(session: number, payload: Buffer): boolean {
    const live = this.#sessions.get(session);
    if (live?.dropped !== false) return false;
    const maxBytes = this.#maxFrame - SESSION_BYTES;
    if (isFramed(live)) this.#checkFits(payload, maxBytes);
    for (const part of cut(payload, maxBytes)) toGateway.message(this.#stream.batch, session, part);
    this.#stream.scheduleFlush();
    return true;
  }

  /** @throws RangeError for a message that `sendAll` could not send: one too long that can't be cut */
  checkAll(payload: Buffer): void {
    if (this.endpoints.some(isFramed)) this.#checkFits(payload, this.#maxFrame);
  }

  /** Sends to every session that the gateway has in use. The payload must have passed `checkAll`. */
  sendAll(payload: Buffer): void {
    for (const part of cut(payload, this.#maxFrame)) toGateway.messageAll(this.#stream.batch, part);
    this.#stream.scheduleFlush();
  }

  /** @returns whether the session was there to be dropped */
  drop(session: number, discard: boolean, drop: body.Drop): boolean {
    const live = this.#sessions.get(session);
    if (live === undefined || (live.dropped && !discard)) return false;
    live.dropped = true;
    if (discard) toGateway.dropDiscard(this.#stream.batch, session, drop);
    else toGateway.drop(this.#stream.batch, session, drop);
    this.#stream.scheduleFlush();
    return true;
  }

  /** @returns whether the session was waiting to be let in */
  admit(session: number): boolean {
    const live = this.#sessions.get(session);
    if (live === undefined || live.dropped || live.admitted) return false;
    live.admitted = true;
    toGateway.admit(this.#stream.batch, session);
    this.#stream.scheduleFlush();
    return true;
  }

  shutdown(shutdown: body.Shutdown): void {
    toGateway.shutdown(this.#stream.batch, shutdown);
    this.#stream.scheduleFlush();
  }

  /** Sends what is left and ends the link; resolves when it is gone, and was told to be. */
  close(): Promise<void> {
    this.#loss ??= { code: "manager-closed", message: "the manager closed the link" };
    this.#stream.finish();
    return this.#gone.promise;
  }

  /** Ends the link at once. */
  abort(): void {
    this.#fail("manager-closed", "the manager closed the link");
  }

  // What the gateway says.

  register(register: body.Register): void {
    const isFirst = this.id === 0 && this.#applicant === undefined && this.#loss === undefined;
    if (!isFirst) throw unexpected("a second Register");
    const { secret } = this.#options;
    if (secret === undefined) this.#answer(register);
    else this.#challenge(secret, register);
  }

  #challenge(secret: Secret, register: body.Register): void {
    const nonce = randomBytes(NONCE_BYTES);
    this.#applicant = { register, nonce };
    const proof = secret.prove("manager", { register: register.nonce, challenge: nonce });
    toGateway.challenge(this.#stream.batch, { nonce, proof });
    this.#stream.scheduleFlush();
  }

  proof({ proof }: body.Proof): void {
    const { secret } = this.#options;
    const applicant = this.#applicant;
    if (secret === undefined || applicant === undefined) throw unexpected("a Proof that was not asked for");
    this.#applicant = undefined;
    const { register, nonce } = applicant;
    if (secret.isProven(proof, "gateway", { register: register.nonce, challenge: nonce }))
      this.#answer(register);
    else this.#reject({ code: "bad-secret", message: "the proof is wrong: the secrets differ" });
  }

  #answer(register: body.Register): void {
    const answer = this.#owner.register(this, register);
    if ("message" in answer) this.#reject(answer);
    else this.#takeOn(register, answer);
  }

  #takeOn(
    register: body.Register,
    { id, capacity }: { readonly id: number; readonly capacity: number },
  ): void {
    const { pingMs, maxFrame, admit } = this.#options;
    this.id = id;
    this.name = register.name;
    this.pid = register.pid;
    this.#maxFrame = register.maxFrame;
    this.capacity = capacity;
    this.endpoints = register.endpoints;
    this.registeredAt = Date.now();
    this.#stream.maxFrame = maxFrame;
    clearTimeout(this.#timer);
    // The check runs once what has arrived was read, so that a pause of this process is not taken for silence.
    this.#timer = setInterval(() => setImmediate(() => this.#check()), pingMs / CHECKS_PER_INTERVAL);
    const epoch = randomBytes(EPOCH_BYTES);
    const registered = { id, capacity, epoch, pingMs, maxFrame, resumed: false, received: 0 };
    toGateway.registered(this.#stream.batch, { ...registered, admit: admit || undefined });
    this.#stream.scheduleFlush();
  }

  listening({ endpoints }: body.Listening): void {
    this.#expectRegistered("Listening");
    this.endpoints = endpoints;
    this.#setHealth("up");
  }

  draining(): void {
    this.#expectRegistered("Draining");
    this.ending = true;
    this.#owner.drains(this);
  }

  ping(ping: body.Ping): void {
    this.#expectRegistered("Ping");
    this.vitals = ping;
    toGateway.pong(this.#stream.batch, { seq: ping.seq, at: ping.at });
    this.#stream.scheduleFlush();
  }

  join(id: number, { at, framing = UNFRAMED, ...join }: body.Join): void {
    this.#expectRegistered("CLJoin");
    if (generationOf(id) === 0) throw unexpected(`CLJoin for ${id}, which is never a session,`);
    if (this.#sessions.has(id)) throw unexpected(`a second CLJoin for session ${id}`);
    if (this.#sessions.size >= this.capacity)
      throw unexpected(`CLJoin beyond the capacity of ${this.capacity}`);
    const serial = this.#owner.nextSerial();
    const session = {
      gateway: this.id,
      id,
      serial,
      ...join,
      framing,
      joinedAt: at,
      admitted: !this.#options.admit,
      dropped: false,
    };
    this.#sessions.set(id, session);
    this.#owner.joined(session);
  }

  message(id: number, bytes: Buffer, start: number, end: number): void {
    const session = this.#known(id, "Msg");
    if (!session.admitted) throw unexpected(`Msg for session ${id}, which was not admitted,`);
    this.#owner.message(session, bytes.subarray(start, end));
  }

  disconnected(id: number, end: body.Disconnected): void {
    const session = this.#known(id, "CLDisconnected");
    this.#sessions.delete(id);
    if (!session.dropped) {
      // The acknowledgement: the gateway may use the slot again.
      toGateway.drop(this.#stream.batch, id);
      this.#stream.scheduleFlush();
      session.dropped = true;
    }
    this.#owner.left(session, end);
  }

  #known(id: number, frame: string): LiveSession {
    const session = this.#sessions.get(id);
    if (session === undefined) throw unexpected(`${frame} for session ${id}, which has not joined,`);
    return session;
  }

  #checkFits(payload: Buffer, maxBytes: number): void {
    if (payload.length <= maxBytes) return;
    throw new RangeError(
      `a message of ${payload.length} bytes is over the ${maxBytes} that gateway '${this.name}' takes in one frame, ` +
        "and where messages are framed none can be cut",
    );
  }

  #expectRegistered(frame: string): void {
    if (this.id !== 0) return;
    throw unexpected(`${frame} before ${this.#applicant === undefined ? "Register" : "Proof"}`);
  }

  #reject(rejected: body.Rejected): void {
    this.#loss = { code: `rejected-${rejected.code}`, message: rejected.message };
    toGateway.rejected(this.#stream.batch, rejected);
    this.#stream.finish();
  }

  #check(): void {
    const now = performance.now();
    if (this.#stream.receivedBytes !== this.#heardBytes) {
      this.#heardBytes = this.#stream.receivedBytes;
      this.#lastHeardAt = now;
    }
    const intervals = (now - this.#lastHeardAt) / this.#options.pingMs;
    if (intervals >= DEAD_AFTER_INTERVALS) {
      this.#fail("link-dead", `nothing was heard for ${DEAD_AFTER_INTERVALS} × ${this.#options.pingMs} ms`);
    } else if (intervals >= SUSPECT_AFTER_INTERVALS && this.health === "up") {
      this.#setHealth("suspect");
    } else if (intervals < SUSPECT_AFTER_INTERVALS && this.health === "suspect") {
      this.#setHealth("up");
    }
  }

  #setHealth(health: GatewayHealth): void {
    if (this.health === health) return;
    this.health = health;
    this.#owner.healthChanged(this);
  }

  #congested(congested: boolean): void {
    if (!congested) return;
    this.#fail("send-buffer", `more than ${this.#options.sendBufferBytes} bytes are queued for it`);
  }

  #fail(code: string, message: string): void {
    this.#loss ??= { code, message };
    this.#stream.destroy();
  }

  #closed(error: Error | undefined): void {
    clearInterval(this.#timer);
    const loss = this.#loss ?? describeLoss(error, this.#applicant === undefined ? "" : UNPROVEN);
    for (const session of [...this.#sessions.values()]) {
      this.#sessions.delete(session.id);
      session.dropped = true;
      this.#owner.left(session, lostWithLink(session));
    }
    this.health = "down";
    this.#owner.gone(this, loss.code, loss.message);
    this.#gone.resolve();
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

function unexpected(what: string): ProtocolError {
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

const UNPROVEN = ", instead of proving that it has the secret: it may have none, or another";

/** @param circumstance what is put behind the message of a stream's end */
function describeLoss(error: Error | undefined, circumstance: string): { code: string; message: string } {
  if (error === undefined)
    return { code: "link-closed", message: `the gateway closed the link${circumstance}` };
  if (error instanceof ProtocolError) return error;
  const failure = tlsFailure(error);
  if (failure !== undefined) return { code: failure, message: error.message };
  const { code } = error as NodeJS.ErrnoException;
  const message = `${error.message}${circumstance}`;
  return { code: code === undefined ? "link-error" : `link-${code}`, message };
}
