/**
 * A manager's side of one link: takes a gateway's registration, with its proof where one is wanted, listens for its
 * heartbeat, and hands what it says to the gateway that it belongs to (docs/protocol.md, "Life of a link").
 */

import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { FramedStream } from "../link/framed-stream.ts";
import { NONCE_BYTES, type Secret } from "../link/secret.ts";
import { tlsFailure } from "../link/tls.ts";
import type * as body from "../proto/bodies.ts";
import { fromGatewayBounds } from "../proto/frame.ts";
import { type FromGatewayHandler, readFromGateway } from "../proto/from-gateway.ts";
import { toGateway } from "../proto/from-manager.ts";
import { ProtocolError } from "../proto/protocol-error.ts";
import { type AttachedLink, type RegisteredGateway, unexpected } from "./registered-gateway.ts";

/** What a manager does with a link. */
export interface GatewayLinkOwner {
  /** Finds the gateway that registers, or takes it on, or refuses it, and attaches the link to it. */
  register(link: GatewayLink, register: body.Register): RegisteredGateway | body.Rejected;
  /** The link is gone, and had no gateway. */
  refused(link: GatewayLink, code: string, message: string): void;
  /** The link is gone. */
  closed(link: GatewayLink): void;
}

export interface GatewayLinkOptions {
  readonly pingMs: number;
  /** With more than this queued for it a gateway is cut off. */
  readonly sendBufferBytes: number;
  readonly registerTimeoutMs: number;
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

export class GatewayLink implements FromGatewayHandler, AttachedLink {
  readonly stream: FramedStream;

  readonly #owner: GatewayLinkOwner;
  readonly #options: GatewayLinkOptions;
  readonly #gone = Promise.withResolvers<void>();
  #gateway: RegisteredGateway | undefined;
  #timer: NodeJS.Timeout;
  #loss: { code: string; message: string } | undefined;
  /** Its gateway has gone on over another link, or was given up: nobody is to be told of its end. */
  #replaced = false;
  /** Until it has proven that it has the secret. */
  #applicant: Applicant | undefined;
  #lastHeardAt = performance.now();
  #heardBytes = 0;

  constructor(socket: Socket, options: GatewayLinkOptions, owner: GatewayLinkOwner) {
    this.#owner = owner;
    this.#options = options;
    this.#timer = setTimeout(
      () => this.fail("register-timeout", "it did not register"),
      options.registerTimeoutMs,
    );
    this.stream = new FramedStream({
      open: (read) => socket.on("data", (bytes: Buffer) => read(bytes, bytes.length)),
      bounds: fromGatewayBounds,
      congestedBytes: options.sendBufferBytes,
      events: {
        connected() {},
        frame: (type, bytes, start, end) => {
          if (this.#gateway?.begins(type) === false) return;
          readFromGateway(this, type, bytes, start, end);
          this.#gateway?.handled(type, end - start);
        },
        // Payloads are their receivers' to keep.
        readDone: () => false,
        congested: (congested) => this.#congested(congested),
        closed: (error) => this.#closed(error),
      },
    });
  }

  finish(): void {
    this.#loss ??= { code: "manager-closed", message: "the manager closed the link" };
    this.stream.finish();
  }

  fail(code: string, message: string): void {
    this.#loss ??= { code, message };
    this.stream.destroy();
  }

  replace(): void {
    this.#gateway = undefined;
    this.#replaced = true;
    this.fail("replaced", "the gateway has registered again");
  }

  /** Sends what is left and ends the link; resolves when it is gone. */
  close(): Promise<void> {
    this.finish();
    return this.#gone.promise;
  }

  /** Ends the link at once. */
  abort(): void {
    this.fail("manager-closed", "the manager closed the link");
  }

  // What the gateway says.

  register(register: body.Register): void {
    const isFirst = this.#gateway === undefined && this.#applicant === undefined && this.#loss === undefined;
    if (!isFirst) throw unexpected("a second Register");
    const { secret } = this.#options;
    if (secret === undefined) this.#answer(register);
    else this.#challenge(secret, register);
  }

  #challenge(secret: Secret, register: body.Register): void {
    const nonce = randomBytes(NONCE_BYTES);
    this.#applicant = { register, nonce };
    const proof = secret.prove("manager", { register: register.nonce, challenge: nonce });
    toGateway.challenge(this.stream.batch, { nonce, proof });
    this.stream.scheduleFlush();
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
    if ("message" in answer && "code" in answer) {
      this.#reject(answer);
      return;
    }
    this.#gateway = answer;
    clearTimeout(this.#timer);
    // The check runs once what has arrived was read, so that a pause of this process is not taken for silence.
    const { pingMs } = this.#options;
    this.#timer = setInterval(() => setImmediate(() => this.#check()), pingMs / CHECKS_PER_INTERVAL);
  }

  ack(frames: number): void {
    this.#registered("Ack").ack(frames);
  }

  listening(listening: body.Listening): void {
    this.#registered("Listening").listening(listening);
  }

  draining(): void {
    this.#registered("Draining").draining();
  }

  ping(ping: body.Ping): void {
    this.#registered("Ping").ping(ping);
  }

  join(id: number, join: body.Join): void {
    this.#registered("CLJoin").join(id, join);
  }

  message(id: number, bytes: Buffer, start: number, end: number): void {
    this.#registered("Msg").message(id, bytes, start, end);
  }

  handoffRefused(id: number, refused: body.HandoffRefused): void {
    this.#registered("HandoffRefused").handoffRefused(id, refused);
  }

  bindRefused(id: number, user: string): void {
    this.#registered("BindRefused").bindRefused(id, user);
  }

  disconnected(id: number, end: body.Disconnected): void {
    this.#registered("CLDisconnected").disconnected(id, end);
  }

  #registered(frame: string): RegisteredGateway {
    if (this.#gateway !== undefined) return this.#gateway;
    throw unexpected(`${frame} before ${this.#applicant === undefined ? "Register" : "Proof"}`);
  }

  #reject(rejected: body.Rejected): void {
    this.#loss = { code: `rejected-${rejected.code}`, message: rejected.message };
    toGateway.rejected(this.stream.batch, rejected);
    this.stream.finish();
  }

  #check(): void {
    const gateway = this.#gateway;
    if (gateway === undefined) return;
    const now = performance.now();
    if (this.stream.receivedBytes !== this.#heardBytes) {
      this.#heardBytes = this.stream.receivedBytes;
      this.#lastHeardAt = now;
    }
    const { pingMs } = this.#options;
    const intervals = (now - this.#lastHeardAt) / pingMs;
    if (intervals >= DEAD_AFTER_INTERVALS) {
      this.fail("link-dead", `nothing was heard for ${DEAD_AFTER_INTERVALS} × ${pingMs} ms`);
    } else if (intervals >= SUSPECT_AFTER_INTERVALS && gateway.health === "up") {
      gateway.setHealth("suspect");
    } else if (intervals < SUSPECT_AFTER_INTERVALS && gateway.health === "suspect") {
      gateway.setHealth("up");
    }
  }

  #congested(congested: boolean): void {
    if (!congested) return;
    this.fail("send-buffer", `more than ${this.#options.sendBufferBytes} bytes are queued for it`);
  }

  #closed(error: Error | undefined): void {
    clearInterval(this.#timer);
    const gateway = this.#gateway;
    this.#gateway = undefined;
    const { code, message } =
      this.#loss ?? describeLoss(error, this.#applicant === undefined ? "" : UNPROVEN);
    this.#owner.closed(this);
    if (gateway !== undefined)
      gateway.detached(code, message, error instanceof ProtocolError || code === "send-buffer");
    else if (!this.#replaced) this.#owner.refused(this, code, message);
    this.#gone.resolve();
  }
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
