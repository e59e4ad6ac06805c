/**
 * The link to a manager: registers, keeps the heartbeat, and says when it was lost
 * (docs/protocol.md, "Life of a link"). It never dials by itself: who owns it says when, so that dialling
 * can't cross another step of the gateway's life.
 */

import { randomBytes } from "node:crypto";
import { Acknowledger } from "../../link/acknowledger.ts";
import { FramedStream, type OpenStream } from "../../link/framed-stream.ts";
import { NONCE_BYTES, type Secret } from "../../link/secret.ts";
import { tlsFailure } from "../../link/tls.ts";
import type * as body from "../../proto/bodies.ts";
import {
  fromManagerBounds,
  HEADER_BYTES,
  isNumberedFromManager,
  MAX_MAP_BYTES,
  MIN_MAX_FRAME,
  PROTOCOL_VERSION,
  SESSION_BYTES,
} from "../../proto/frame.ts";
import { FrameLog } from "../../proto/frame-log.ts";
import { joinBytes, toManager } from "../../proto/from-gateway.ts";
import { type FromManagerHandler, readFromManager } from "../../proto/from-manager.ts";
import { ProtocolError } from "../../proto/protocol-error.ts";
import type { Cancel, Clock } from "../clock.ts";
import { Backoff, type BackoffLimits } from "./backoff.ts";
import { Crowding } from "./crowding.ts";
import { type Unacknowledged, type Unheard, unacknowledgedIn } from "./unacknowledged.ts";
import { UnheardIndex } from "./unheard.ts";

/**
 * What ended a link: its stream, a rule that the manager broke, or that one side did not take the other for
 * what it should be.
 */
export type LossKind = "lost" | "protocol-error" | "gateway-refused" | "manager-refused";

/** Why a link ended. */
export interface LinkLoss {
  readonly kind: LossKind;
  /** Stable; see docs/errors.md. */
  readonly code: string;
  readonly message: string;
  /** The link had been registered. */
  readonly wasUp: boolean;
  /** Dialling again can't help. */
  readonly final: boolean;
}

/** What a gateway does with what its manager says, once registered. */
export interface ManagerLinkHandler
  extends Pick<FromManagerHandler, "message" | "messageAll" | "drop" | "dropDiscard" | "shutdown" | "admit">,
    Pick<FromManagerHandler, "messageMany" | "messageGroup" | "messageUser">,
    Pick<FromManagerHandler, "bind" | "addToGroup" | "removeFromGroup" | "handoff"> {
  /**
   * The manager has taken the gateway on; `listening` is owed to it.
   *
   * @param unacknowledged when it begins anew: what was told and never acknowledged; undefined when it goes on where the
   *   last link ended
   */
  registered(registered: body.Registered, unacknowledged: Unacknowledged | undefined): void;
  /** Every frame of one read was told; see FramedStreamEvents. */
  readDone(): boolean;
  /** Too much waits for the manager: no client may be read (true), or all may be again (false). */
  congested(congested: boolean): void;
  /** More than `retainBytes` is not acknowledged: nobody may join (true), or all may again (false). */
  behind(behind: boolean): void;
  /** The manager has acknowledged something, or begins anew. */
  acknowledged(): void;
  /** The link is gone. Called once for each `dial`. */
  lost(loss: LinkLoss): void;
}

export interface LinkLimits extends BackoffLimits {
  /** Connecting and registering together. */
  readonly registerTimeoutMs: number;
  readonly linkBufferBytes: number;
  /** With more than this told and not acknowledged no client is read, and none may join. */
  readonly retainBytes: number;
  readonly maxFrame: number;
  readonly maxCapacity: number;
}

export interface ManagerLinkOptions {
  readonly dial: OpenStream;
  readonly identity: () => Pick<body.Register, "name" | "pid" | "endpoints" | "maxGroups">;
  /** What a heartbeat says beside its number and time. */
  readonly vitals: () => Omit<body.Ping, "seq" | "at" | "rttMs">;
  readonly handler: ManagerLinkHandler;
  readonly limits: LinkLimits;
  /** Shared with the manager, which must prove that it has it; without one nothing is proven. */
  readonly secret?: Secret | undefined;
  readonly clock: Clock;
  /** Numbers from 0 up to 1, for the jitter. */
  readonly random: () => number;
}

/** A link that has heard nothing for this many intervals is dead. */
const DEAD_AFTER_INTERVALS = 3;

/** Silence is looked for this many times in an interval. */
const CHECKS_PER_INTERVAL = 4;

/** `Rejected` codes after which dialling again can't help. */
const FINAL_REJECTIONS = ["version", "bad-secret"];

/** `proving`: the manager has proven that it has the secret, and was sent this side's proof. */
type LinkState = "down" | "registering" | "proving" | "up";

type Loss = Omit<LinkLoss, "wasUp">;

export class ManagerLink implements FromManagerHandler {
  readonly #options: ManagerLinkOptions;
  readonly #backoff: Backoff;
  #state: LinkState = "down";
  #stream: FramedStream | undefined;
  #loss: Loss | undefined;
  /** This side's nonce of the present link. */
  #nonce = Buffer.alloc(0);
  /** What was said in this epoch and is not acknowledged. It outlives the link. */
  readonly #log = new FrameLog();
  readonly #acknowledger: Acknowledger;
  readonly #crowding = new Crowding();
  /** For the handoffs of one read. */
  #unheard: UnheardIndex | undefined;
  /** The epoch that can be gone on with. */
  #epoch: Uint8Array | undefined;
  /** The last link was spoiled: its epoch is not to be gone on with. */
  #spoiled = false;
  #streamCongested = false;
  #retentionFull = false;
  #congested = false;
  #cancelTimer: Cancel = () => {};
  /** The largest frame that the manager accepts, bytes of data. */
  #maxFrame = MIN_MAX_FRAME;
  #pingMs = 0;
  #upSince = 0;
  #lastHeardAt = 0;
  #heardBytes = 0;
  #checks = 0;
  #pingSeq = 0;
  #pingSentAt = 0;
  #rttMs: number | undefined;

  constructor(options: ManagerLinkOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.limits, options.random);
    this.#acknowledger = new Acknowledger({
      after: (ms, run) => options.clock.after(ms, run),
      send: (frames) => this.#send((stream) => toManager.ack(stream.batch, frames)),
    });
  }

  /** Whether the manager has taken the gateway on. Only then may anything be sent. */
  get up(): boolean {
    return this.#state === "up";
  }

  /** Whether there is neither a link nor a dial under way. */
  get down(): boolean {
    return this.#state === "down";
  }

  /** The heartbeat's last round trip, milliseconds; undefined before the first. */
  get rttMs(): number | undefined {
    return this.#rttMs;
  }

  /** Bytes that wait to be sent to the manager. */
  get queuedBytes(): number {
    return this.#stream?.queuedBytes ?? 0;
  }

  /** Whether too much waits for the manager; `congested` tells when that changes. */
  get congested(): boolean {
    return this.#congested;
  }

  /** Whether more is under way to the manager than it works off in a few milliseconds; `acknowledged` tells when to look again. */
  get crowded(): boolean {
    const { appended, acknowledged, retainedBytes } = this.#log;
    return this.#crowding.isCrowded(appended - acknowledged, retainedBytes);
  }

  /** The longest payload that the manager accepts in one frame. */
  get maxPayload(): number {
    return this.#maxFrame - SESSION_BYTES;
  }

  /** Milliseconds to wait before the next `dial`. */
  nextDelay(): number {
    return this.#backoff.next();
  }

  /** Connects and registers. `registered` or `lost` tells what came of it. */
  dial(): void {
    const { clock, limits, dial, handler } = this.#options;
    this.#state = "registering";
    this.#loss = undefined;
    this.#rttMs = undefined;
    this.#pingSeq = 0;
    this.#heardBytes = 0;
    this.#cancelTimer = clock.after(limits.registerTimeoutMs, () => {
      this.#fail("register-timeout", `not registered within ${limits.registerTimeoutMs} ms`);
    });
    this.#stream = new FramedStream({
      open: dial,
      bounds: fromManagerBounds,
      congestedBytes: limits.linkBufferBytes,
      events: {
        connected: () => this.#register(),
        frame: (type, bytes, start, end) => {
          readFromManager(this, type, bytes, start, end);
          if (isNumberedFromManager(type)) this.#acknowledger.handled(HEADER_BYTES + end - start);
        },
        readDone: () => {
          this.#unheard = undefined;
          return handler.readDone();
        },
        congested: (congested) => {
          this.#streamCongested = congested;
          this.#weigh();
        },
        closed: (error) => this.#closed(error),
      },
    });
  }

  // What the gateway says.

  join(session: number, join: body.Join): void {
    toManager.join(this.#log, session, join);
    this.#appended();
  }

  disconnected(session: number, end: body.Disconnected): void {
    toManager.disconnected(this.#log, session, end);
    this.#appended();
  }

  /** The payload, `bytes[start..end)`, is copied. One that the manager's `maxFrame` does not hold is cut. */
  clientMessage(session: number, bytes: Buffer, start: number, end: number): void {
    const { maxPayload } = this;
    let from = start;
    do {
      const to = Math.min(end, from + maxPayload);
      toManager.message(this.#log, session, bytes, from, to);
      from = to;
    } while (from < end);
    this.#appended();
  }

  /** The session was not bound to this user, and is bound to nobody. */
  bindRefused(session: number, user: string): void {
    toManager.bindRefused(this.#log, session, user);
    this.#appended();
  }

  /** The session was not handed over, and stays where it is. */
  handoffRefused(session: number, refused: body.HandoffRefused): void {
    toManager.handoffRefused(this.#log, session, refused);
    this.#appended();
  }

  /** Whether the manager accepts a frame that says this. */
  canTell(join: body.Join): boolean {
    return joinBytes(join) <= Math.min(this.#maxFrame, SESSION_BYTES + MAX_MAP_BYTES);
  }

  /** What the client of a session said behind so many frames, without what the manager has acknowledged. */
  unheard(session: number, frames: number): Unheard {
    if (this.#unheard?.covers(frames) !== true) this.#unheard = new UnheardIndex(this.#log, frames);
    return this.#unheard.find(session, frames);
  }

  /** What was told in this epoch and was never acknowledged. */
  unacknowledged(): Unacknowledged {
    return unacknowledgedIn(this.#log);
  }

  /** Nobody waits for the sessions of this epoch any more: there is nothing to go on with. */
  forget(): void {
    this.#epoch = undefined;
    this.#log.reset();
    this.#acknowledger.reset();
    this.#crowding.reset();
    this.#weigh();
    this.#options.handler.acknowledged();
  }

  listening(endpoints: readonly body.Endpoint[]): void {
    this.#send((stream) => {
      toManager.listening(stream.batch, endpoints);
      // It ends the picture of who was there before: who joins now is told behind it.
      stream.sequence();
    });
  }

  draining(draining: body.Draining): void {
    this.#send((stream) => toManager.draining(stream.batch, draining));
  }

  /** Sends what is left, then ends the link; `lost` follows. */
  finish(): void {
    this.#loss ??= { kind: "lost", code: "finished", message: "this side ended the link", final: false };
    this.#stream?.finish();
  }

  /** Ends the link at once; `lost` follows. */
  abort(): void {
    this.#fail("finished", "this side ended the link");
  }

  // What the manager says.

  challenge({ nonce, proof }: body.Challenge): void {
    const { secret } = this.#options;
    this.#expect("registering", "Challenge");
    if (secret === undefined) {
      const message =
        "the manager asks for a secret, and this gateway has none; set SIDEGATE_MANAGER_SECRET or managerSecretFile";
      this.#fail("secret-missing", message, { kind: "manager-refused", final: true });
      return;
    }
    const nonces = { register: this.#nonce, challenge: nonce };
    if (!secret.isProven(proof, "manager", nonces)) {
      const message = "the manager's proof is wrong: its secret is another one, or it is not the manager";
      this.#fail("manager-bad-proof", message, { kind: "gateway-refused" });
      return;
    }
    this.#state = "proving";
    this.#send((stream) => toManager.proof(stream.batch, { proof: secret.prove("gateway", nonces) }));
  }

  registered(registered: body.Registered): void {
    const { clock, limits, handler } = this.#options;
    if (!this.#believes("Registered")) return;
    if (registered.capacity > limits.maxCapacity) {
      const message = `Registered.capacity is ${registered.capacity}; this gateway allows ${limits.maxCapacity}`;
      throw new ProtocolError("bad-body", message);
    }
    const unacknowledged = registered.resumed ? this.#resume(registered) : this.#begin(registered);
    this.#cancelTimer();
    this.#state = "up";
    this.#upSince = clock.now();
    this.#maxFrame = registered.maxFrame;
    if (this.#stream !== undefined) {
      this.#stream.maxFrame = limits.maxFrame;
      this.#stream.numbered = this.#log;
      this.#stream.scheduleFlush();
    }
    this.#startHeartbeat(registered.pingMs);
    handler.registered(registered, unacknowledged);
  }

  /** The manager goes on with the epoch: what it has not got is sent again. */
  #resume({ epoch, received }: body.Registered): undefined {
    if (this.#epoch === undefined || this.#spoiled || !this.#epoch.every((byte, i) => byte === epoch[i])) {
      throw new ProtocolError("bad-body", "Registered.resumed is true, and this epoch was not to be resumed");
    }
    if (!this.#log.rewind(received)) {
      const { acknowledged, everSent } = this.#log;
      const message = `Registered.received is ${received}, which is not from ${acknowledged} to ${everSent}`;
      throw new ProtocolError("bad-ack", message);
    }
    this.#weigh();
  }

  /** The manager begins a new epoch. */
  #begin({ epoch }: body.Registered): Unacknowledged {
    const unacknowledged = this.unacknowledged();
    this.forget();
    this.#spoiled = false;
    this.#epoch = epoch;
    return unacknowledged;
  }

  ack(frames: number): void {
    this.#expect("up", "Ack");
    const { acknowledged, retainedBytes } = this.#log;
    if (!this.#log.acknowledge(frames)) {
      throw new ProtocolError("bad-ack", `an Ack for ${frames} frames, of which ${this.#log.sent} were sent`);
    }
    if (this.#retentionFull) this.#weigh();
    const bytes = retainedBytes - this.#log.retainedBytes;
    if (frames > acknowledged) this.#crowding.acknowledged({ frames: frames - acknowledged, bytes });
    this.#options.handler.acknowledged();
  }

  rejected({ code, message }: body.Rejected): void {
    if (!this.#believes("Rejected")) return;
    this.#fail(`rejected-${code}`, `the manager refused this gateway: ${message}`, {
      kind: "manager-refused",
      final: FINAL_REJECTIONS.includes(code),
    });
  }

  message(session: number, bytes: Buffer, start: number, end: number): void {
    this.#expect("up", "Msg");
    this.#options.handler.message(session, bytes, start, end);
  }

  messageAll(bytes: Buffer, start: number, end: number): void {
    this.#expect("up", "MsgAll");
    this.#options.handler.messageAll(bytes, start, end);
  }

  messageMany(sessions: Uint32Array, bytes: Buffer, start: number, end: number): void {
    this.#expect("up", "MsgMany");
    this.#options.handler.messageMany(sessions, bytes, start, end);
  }

  bind(session: number, user: string): void {
    this.#expect("up", "Bind");
    this.#options.handler.bind(session, user);
  }

  addToGroup(session: number, group: string): void {
    this.#expect("up", "GroupAdd");
    this.#options.handler.addToGroup(session, group);
  }

  removeFromGroup(session: number, group: string): void {
    this.#expect("up", "GroupRemove");
    this.#options.handler.removeFromGroup(session, group);
  }

  messageGroup(group: string, bytes: Buffer, start: number, end: number): void {
    this.#expect("up", "MsgGroup");
    this.#options.handler.messageGroup(group, bytes, start, end);
  }

  messageUser(user: string, bytes: Buffer, start: number, end: number): void {
    this.#expect("up", "MsgUser");
    this.#options.handler.messageUser(user, bytes, start, end);
  }

  drop(session: number, drop: body.Drop): void {
    this.#expect("up", "Drop");
    this.#options.handler.drop(session, drop);
  }

  dropDiscard(session: number, drop: body.Drop): void {
    this.#expect("up", "DropDiscard");
    this.#options.handler.dropDiscard(session, drop);
  }

  admit(session: number): void {
    this.#expect("up", "Admit");
    this.#options.handler.admit(session);
  }

  handoff(session: number, handoff: body.Handoff): void {
    this.#expect("up", "Handoff");
    const { received = 0 } = handoff;
    if (received > this.#log.everSent) {
      const message = `Handoff.received is ${received}, and ${this.#log.everSent} frames were sent`;
      throw new ProtocolError("bad-ack", message);
    }
    this.#options.handler.handoff(session, handoff);
  }

  shutdown(shutdown: body.Shutdown): void {
    this.#expect("up", "Shutdown");
    this.#options.handler.shutdown(shutdown);
  }

  pong(pong: body.Pong): void {
    this.#expect("up", "Pong");
    if (pong.seq !== this.#pingSeq) return;
    this.#rttMs = Math.round((this.#options.clock.now() - this.#pingSentAt) * 1000) / 1000;
  }

  /** Something was appended that the manager has to acknowledge. */
  #appended(): void {
    if (this.#log.retainedBytes > this.#options.limits.retainBytes) this.#weigh();
    if (this.#state === "up") this.#stream?.scheduleFlush();
  }

  /** Finds out whether clients may be read: what the manager does not take, or does not acknowledge, is bounded. */
  #weigh(): void {
    const { handler, limits } = this.#options;
    const bound = this.#retentionFull ? limits.retainBytes / 2 : limits.retainBytes;
    const full = this.#log.retainedBytes > bound;
    const behindBefore = this.#retentionFull;
    this.#retentionFull = full;
    const congestedBefore = this.#congested;
    this.#congested = this.#streamCongested || full;
    if (full !== behindBefore) handler.behind(full);
    if (this.#congested !== congestedBefore) handler.congested(this.#congested);
  }

  #send(append: (stream: FramedStream) => void): void {
    if (this.#stream === undefined) return;
    append(this.#stream);
    this.#stream.scheduleFlush();
  }

  #register(): void {
    const { identity, limits } = this.#options;
    this.#nonce = randomBytes(NONCE_BYTES);
    const register: body.Register = {
      version: PROTOCOL_VERSION,
      ...identity(),
      maxFrame: limits.maxFrame,
      nonce: this.#nonce,
      ...(this.#epoch !== undefined &&
        !this.#spoiled && { resume: { epoch: this.#epoch, received: this.#acknowledger.received } }),
    };
    this.#send((stream) => toManager.register(stream.batch, register));
  }

  #expect(state: LinkState, frame: string): void {
    if (this.#state === state) return;
    throw new ProtocolError("unexpected-frame", `${frame} has no place while the link is ${this.#state}`);
  }

  /**
   * Whether an answer to `Register` is the manager's. With a secret that has to be proven first: else
   * whoever took the manager's place could take this gateway on, or end its process by a final `Rejected`.
   */
  #believes(frame: string): boolean {
    if (this.#options.secret === undefined) {
      this.#expect("registering", frame);
    } else if (this.#state === "registering") {
      const message = `${frame} came without a proof: the manager has no secret, or it is not the manager`;
      this.#fail("manager-unproven", message, { kind: "gateway-refused" });
      return false;
    } else {
      this.#expect("proving", frame);
    }
    return true;
  }

  #startHeartbeat(pingMs: number): void {
    const { clock } = this.#options;
    this.#pingMs = pingMs;
    this.#lastHeardAt = clock.now();
    this.#checks = 0;
    this.#cancelTimer = clock.every(pingMs / CHECKS_PER_INTERVAL, () => this.#check());
  }

  #check(): void {
    const now = this.#options.clock.now();
    const received = this.#stream?.receivedBytes ?? 0;
    if (received !== this.#heardBytes) {
      this.#heardBytes = received;
      this.#lastHeardAt = now;
    }
    if (now - this.#lastHeardAt >= DEAD_AFTER_INTERVALS * this.#pingMs) {
      this.#failIfStillSilent(received);
      return;
    }
    this.#checks++;
    if (this.#checks % CHECKS_PER_INTERVAL === 0) this.#ping(now);
  }

  /** What arrived while this process itself stood still is read first: a pause is not the manager's silence. */
  #failIfStillSilent(receivedBefore: number): void {
    const stream = this.#stream;
    setImmediate(() => {
      if (stream === undefined || stream !== this.#stream || stream.receivedBytes !== receivedBefore) return;
      this.#fail("link-dead", `nothing was heard for ${DEAD_AFTER_INTERVALS} × ${this.#pingMs} ms`);
    });
  }

  #ping(now: number): void {
    const { clock, vitals } = this.#options;
    this.#pingSeq++;
    this.#pingSentAt = now;
    const rtt = this.#rttMs === undefined ? {} : { rttMs: this.#rttMs };
    const ping = { seq: this.#pingSeq, at: clock.wall(), ...vitals(), ...rtt };
    this.#send((stream) => toManager.ping(stream.batch, ping));
  }

  #fail(code: string, message: string, more: Partial<Pick<Loss, "kind" | "final">> = {}): void {
    this.#loss ??= { kind: "lost", code, message, final: false, ...more };
    this.#stream?.destroy();
  }

  #closed(error: Error | undefined): void {
    const { clock, handler } = this.#options;
    const wasUp = this.#state === "up";
    const poisoned = error instanceof ProtocolError;
    const lived = wasUp && clock.now() - this.#upSince >= DEAD_AFTER_INTERVALS * this.#pingMs;
    if (wasUp && (!poisoned || lived)) this.#backoff.reset();
    this.#cancelTimer();
    this.#acknowledger.pause();
    this.#state = "down";
    this.#stream = undefined;
    this.#streamCongested = false;
    this.#spoiled ||= poisoned;
    const loss = this.#loss ?? describeLoss(error);
    handler.lost({ ...loss, wasUp });
    this.#weigh();
  }
}

function describeLoss(error: Error | undefined): Loss {
  const lost = (code: string, message: string, kind: LossKind = "lost") => ({
    kind,
    code,
    message,
    final: false,
  });
  if (error === undefined) return lost("link-closed", "the manager closed the link");
  if (error instanceof ProtocolError) return lost(error.code, error.message, "protocol-error");
  const failure = tlsFailure(error);
  if (failure === "tls-refused") return lost(failure, error.message, "manager-refused");
  if (failure !== undefined) return lost(failure, error.message, "gateway-refused");
  const { code } = error as NodeJS.ErrnoException;
  return lost(code === undefined ? "link-error" : `link-${code}`, error.message);
}
