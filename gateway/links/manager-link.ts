/**
 * The link to a manager: registers, keeps the heartbeat, and says when it was lost
 * (docs/protocol.md, "Life of a link"). It never dials by itself: who owns it says when, so that dialling
 * can't cross another step of the gateway's life.
 */

import { randomBytes } from "node:crypto";
import { FramedStream, type OpenStream } from "../../link/framed-stream.ts";
import type * as body from "../../proto/bodies.ts";
import { fromManagerBounds, MIN_MAX_FRAME, PROTOCOL_VERSION, SESSION_BYTES } from "../../proto/frame.ts";
import { toManager } from "../../proto/from-gateway.ts";
import { type FromManagerHandler, readFromManager } from "../../proto/from-manager.ts";
import { ProtocolError } from "../../proto/protocol-error.ts";
import type { Cancel, Clock } from "../clock.ts";
import { Backoff, type BackoffLimits } from "./backoff.ts";

/** Why a link ended. */
export interface LinkLoss {
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
  extends Pick<FromManagerHandler, "message" | "messageAll" | "drop" | "dropDiscard" | "shutdown" | "admit"> {
  /** The manager has taken the gateway on; `listening` is owed to it. */
  registered(registered: body.Registered): void;
  /** Every frame of one read was told; see FramedStreamEvents. */
  readDone(): boolean;
  congested(congested: boolean): void;
  /** The link is gone. Called once for each `dial`. */
  lost(loss: LinkLoss): void;
}

export interface LinkLimits extends BackoffLimits {
  /** Connecting and registering together. */
  readonly registerTimeoutMs: number;
  readonly linkBufferBytes: number;
  readonly maxFrame: number;
  readonly maxCapacity: number;
}

export interface ManagerLinkOptions {
  readonly dial: OpenStream;
  readonly identity: () => Pick<body.Register, "name" | "pid" | "endpoints">;
  /** What a heartbeat says beside its number and time. */
  readonly vitals: () => Omit<body.Ping, "seq" | "at" | "rttMs">;
  readonly handler: ManagerLinkHandler;
  readonly limits: LinkLimits;
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

type LinkState = "down" | "registering" | "up";

export class ManagerLink implements FromManagerHandler {
  readonly #options: ManagerLinkOptions;
  readonly #backoff: Backoff;
  #state: LinkState = "down";
  #stream: FramedStream | undefined;
  #loss: Pick<LinkLoss, "code" | "message" | "final"> | undefined;
  #cancelTimer: Cancel = () => {};
  /** The longest payload of a `Msg` that the manager accepts. */
  #maxPayload = MIN_MAX_FRAME - SESSION_BYTES;
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

  /** The longest payload that the manager accepts in one frame. */
  get maxPayload(): number {
    return this.#maxPayload;
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
        frame: (type, bytes, start, end) => readFromManager(this, type, bytes, start, end),
        readDone: () => handler.readDone(),
        congested: (congested) => handler.congested(congested),
        closed: (error) => this.#closed(error),
      },
    });
  }

  // What the gateway says.

  join(session: number, join: body.Join): void {
    this.#send((stream) => toManager.join(stream.batch, session, join));
  }

  disconnected(session: number, end: body.Disconnected): void {
    this.#send((stream) => toManager.disconnected(stream.batch, session, end));
  }

  /** The payload, `bytes[start..end)`, is copied. One that the manager's `maxFrame` does not hold is cut. */
  clientMessage(session: number, bytes: Buffer, start: number, end: number): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    let from = start;
    do {
      const to = Math.min(end, from + this.#maxPayload);
      toManager.message(stream.batch, session, bytes, from, to);
      from = to;
    } while (from < end);
    stream.scheduleFlush();
  }

  listening(endpoints: readonly body.Endpoint[]): void {
    this.#send((stream) => toManager.listening(stream.batch, endpoints));
  }

  draining(draining: body.Draining): void {
    this.#send((stream) => toManager.draining(stream.batch, draining));
  }

  /** Sends what is left, then ends the link; `lost` follows. */
  finish(): void {
    this.#loss ??= { code: "finished", message: "this side ended the link", final: false };
    this.#stream?.finish();
  }

  /** Ends the link at once; `lost` follows. */
  abort(): void {
    this.#fail("finished", "this side ended the link");
  }

  // What the manager says.

  registered(registered: body.Registered): void {
    const { clock, limits, handler } = this.#options;
    this.#expect("registering", "Registered");
    if (registered.capacity > limits.maxCapacity) {
      const message = `Registered.capacity is ${registered.capacity}; this gateway allows ${limits.maxCapacity}`;
      throw new ProtocolError("bad-body", message);
    }
    if (registered.resumed) {
      throw new ProtocolError("bad-body", "Registered.resumed is true, and nothing was to be resumed");
    }
    this.#cancelTimer();
    this.#state = "up";
    this.#upSince = clock.now();
    this.#maxPayload = registered.maxFrame - SESSION_BYTES;
    if (this.#stream !== undefined) this.#stream.maxFrame = limits.maxFrame;
    this.#startHeartbeat(registered.pingMs);
    handler.registered(registered);
  }

  rejected({ code, message }: body.Rejected): void {
    this.#expect("registering", "Rejected");
    this.#fail(
      `rejected-${code}`,
      `the manager refused this gateway: ${message}`,
      FINAL_REJECTIONS.includes(code),
    );
  }

  message(session: number, bytes: Buffer, start: number, end: number): void {
    this.#expect("up", "Msg");
    this.#options.handler.message(session, bytes, start, end);
  }

  messageAll(bytes: Buffer, start: number, end: number): void {
    this.#expect("up", "MsgAll");
    this.#options.handler.messageAll(bytes, start, end);
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

  shutdown(shutdown: body.Shutdown): void {
    this.#expect("up", "Shutdown");
    this.#options.handler.shutdown(shutdown);
  }

  pong(pong: body.Pong): void {
    this.#expect("up", "Pong");
    if (pong.seq !== this.#pingSeq) return;
    this.#rttMs = Math.round((this.#options.clock.now() - this.#pingSentAt) * 1000) / 1000;
  }

  #send(append: (stream: FramedStream) => void): void {
    if (this.#stream === undefined) return;
    append(this.#stream);
    this.#stream.scheduleFlush();
  }

  #register(): void {
    const { identity, limits } = this.#options;
    const register: body.Register = {
      version: PROTOCOL_VERSION,
      ...identity(),
      maxFrame: limits.maxFrame,
      nonce: randomBytes(16),
    };
    this.#send((stream) => toManager.register(stream.batch, register));
  }

  #expect(state: LinkState, frame: string): void {
    if (this.#state === state) return;
    throw new ProtocolError("unexpected-frame", `${frame} has no place while the link is ${this.#state}`);
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

  #fail(code: string, message: string, final = false): void {
    this.#loss ??= { code, message, final };
    this.#stream?.destroy();
  }

  #closed(error: Error | undefined): void {
    const { clock, handler } = this.#options;
    const wasUp = this.#state === "up";
    const poisoned = error instanceof ProtocolError;
    const lived = wasUp && clock.now() - this.#upSince >= DEAD_AFTER_INTERVALS * this.#pingMs;
    if (wasUp && (!poisoned || lived)) this.#backoff.reset();
    this.#cancelTimer();
    this.#state = "down";
    this.#stream = undefined;
    const loss = this.#loss ?? describeLoss(error);
    handler.lost({ ...loss, wasUp });
  }
}

function describeLoss(error: Error | undefined): Pick<LinkLoss, "code" | "message" | "final"> {
  if (error instanceof ProtocolError) return { code: error.code, message: error.message, final: false };
  if (error === undefined)
    return { code: "link-closed", message: "the manager closed the link", final: false };
  const { code } = error as NodeJS.ErrnoException;
  return { code: code === undefined ? "link-error" : `link-${code}`, message: error.message, final: false };
}
