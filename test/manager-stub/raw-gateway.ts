/**
 * A gateway by hand: a socket that says to a manager exactly what a test tells it to, in whatever order, and
 * keeps every frame that comes back as it was on the wire.
 */

import { EventEmitter } from "node:events";
import { connect, type Socket } from "node:net";
import type { TestContext } from "node:test";
import { type ConnectionOptions, connect as tlsConnect } from "node:tls";
import * as body from "../../proto/bodies.ts";
import {
  DEFAULT_MAX_FRAME,
  FromManager,
  fromManagerBounds,
  PROTOCOL_VERSION,
  readCount,
  SESSION_BYTES,
} from "../../proto/frame.ts";
import { FrameBatch } from "../../proto/frame-batch.ts";
import { FrameReader } from "../../proto/frame-reader.ts";
import { toManager } from "../../proto/from-gateway.ts";
import { parseLinkUrl } from "../../proto/link-url.ts";
import { decodeMap } from "../../proto/map-body.ts";
import { sessionId } from "../../proto/session-id.ts";
import { next } from "../helpers/wait.ts";

/** A frame that the manager sent: its name, the session if it bears one, and its body if there is one. */
export type Told = readonly [name: string, ...parts: readonly unknown[]];

/** A session of the slot `slot`, in its first use. */
export function session(slot: number): number {
  return sessionId(1, slot);
}

export const REGISTER: body.Register = {
  version: PROTOCOL_VERSION,
  name: "gateway-1",
  pid: 4242,
  endpoints: [{ transport: "tcp", host: "127.0.0.1", port: 0, name: "game" }],
  maxFrame: DEFAULT_MAX_FRAME,
  nonce: Buffer.alloc(16, 7),
};

export const ENDPOINTS: readonly body.Endpoint[] = [
  { transport: "tcp", host: "127.0.0.1", port: 7300, name: "game" },
];

export const JOIN: body.Join = {
  addr: "203.0.113.9",
  port: 50_514,
  transport: "tcp",
  listener: "game",
  at: 1_767_225_600_000,
};

export const LEFT: body.Disconnected = {
  reason: "client-closed",
  by: "client",
  inBytes: 6,
  outBytes: 7,
  inMsgs: 1,
  outMsgs: 2,
  unsentBytes: 0,
  ms: 1500,
};

export class RawGateway {
  readonly socket: Socket;
  closed = false;
  /** How many frames the manager has acknowledged. It does so when it likes: no test waits for it by chance. */
  acknowledged = 0;
  /** How many frames each Handoff says that the manager had read. */
  readonly readAtHandoff: (number | undefined)[] = [];
  readonly #batch = new FrameBatch();
  /** Emits `news` when something was told, or the link was closed. */
  readonly #news = new EventEmitter();
  #told: Told[] = [];
  #pings = 0;

  /** @param tls how to dial an address of TLS; no other needs it */
  constructor(link: string, tls: ConnectionOptions = {}) {
    const address = parseLinkUrl(link);
    if (address.kind === "unix") this.socket = connect(address.path);
    else if (address.kind === "tcp") this.socket = connect(address.port, address.host);
    else this.socket = tlsConnect(address.port, address.host, tls);
    const reader = new FrameReader(fromManagerBounds, DEFAULT_MAX_FRAME, (type, bytes, start, end) => {
      if (type === FromManager.Handoff)
        this.readAtHandoff.push(
          body.handoff(decodeMap(bytes, start + SESSION_BYTES, end), "Handoff").received,
        );
      if (type === FromManager.Ack) this.acknowledged = readCount(bytes, start);
      else this.#told.push(describe(type, bytes.subarray(start, end)));
    });
    this.socket.on("data", (bytes: Buffer) => {
      reader.push(bytes);
      this.#news.emit("news");
    });
    this.socket.on("error", () => {});
    this.socket.on("close", () => {
      this.closed = true;
      this.#news.emit("news");
    });
  }

  /** Connects, and says nothing. It is closed with the test. */
  static async connect(t: TestContext, link: string, tls?: ConnectionOptions): Promise<RawGateway> {
    const gateway = new RawGateway(link, tls);
    t.after(() => gateway.close());
    await next(gateway.socket, link.startsWith("tls:") ? "secureConnect" : "connect");
    return gateway;
  }

  /** Connects and registers. */
  static async registered(
    t: TestContext,
    link: string,
    register: Partial<body.Register> = {},
    tls?: ConnectionOptions,
  ): Promise<RawGateway> {
    const gateway = await RawGateway.connect(t, link, tls);
    await gateway.register(register);
    return gateway;
  }

  /** Sends frames in one write. */
  send(append: (batch: FrameBatch) => void): void {
    append(this.#batch);
    for (const chunk of this.#batch.take()) this.socket.write(chunk);
  }

  /** Registers, and gives the answer, which must be the first thing that is heard. */
  async register(register: Partial<body.Register> = {}): Promise<body.Registered> {
    const [name, answer] = await this.askToRegister(register);
    if (name !== "Registered") throw new Error(`Register was answered with ${name}`);
    return answer as body.Registered;
  }

  /** Sends a Register, and gives whatever is answered. */
  async askToRegister(register: Partial<body.Register> = {}): Promise<Told> {
    return this.#ask((batch) => toManager.register(batch, { ...REGISTER, ...register }));
  }

  /** Sends a Proof, and gives whatever is answered. */
  prove(proof: Uint8Array): Promise<Told> {
    return this.#ask((batch) => toManager.proof(batch, { proof }));
  }

  async #ask(append: (batch: FrameBatch) => void): Promise<Told> {
    this.send(append);
    await this.#until(() => this.closed || this.#told.length > 0);
    return this.#told.shift() ?? ["nothing"];
  }

  listening(): void {
    this.send((batch) => toManager.listening(batch, ENDPOINTS));
  }

  /** Tells of clients that have joined, and that nothing more is known of. */
  join(...sessions: readonly number[]): void {
    this.send((batch) => {
      for (const one of sessions) toManager.join(batch, one, JOIN);
    });
  }

  message(id: number, payload: string | Buffer): void {
    const bytes = Buffer.from(payload);
    this.send((batch) => toManager.message(batch, id, bytes, 0, bytes.length));
  }

  disconnected(id: number, end: Partial<body.Disconnected> = {}): void {
    this.send((batch) => toManager.disconnected(batch, id, { ...LEFT, ...end }));
  }

  /** Does not hand a session over. */
  refuseHandoff(id: number, code = "no-slot", manager = "battle"): void {
    const refused = { manager, code, message: `refused as ${code}` };
    this.send((batch) => toManager.handoffRefused(batch, id, refused));
  }

  /**
   * A session is another manager's.
   *
   * @param received and so is what its client said behind so many frames
   */
  handedOver(id: number, received?: number): void {
    this.disconnected(id, { by: "manager", reason: "handoff", received });
  }

  ping(ping: Partial<body.Ping> = {}): void {
    this.send((batch) => toManager.ping(batch, { seq: 1, at: 2, sessions: 0, capacity: 10, ...ping }));
  }

  /**
   * Waits until the manager has read everything that was sent, and everything that it sent has been read: a
   * heartbeat's way there and back.
   *
   * @returns the frames that were told since the last time, without the heartbeat's own
   */
  async sync(): Promise<readonly Told[]> {
    const seq = 1_000_000 + this.#pings++;
    this.ping({ seq });
    const isAnswer = ([name, pong]: Told) => name === "Pong" && (pong as body.Pong).seq === seq;
    await this.#until(() => this.closed || this.#told.some(isAnswer));
    if (this.closed) throw new Error("the manager has closed the link");
    const told = this.#told.filter((one) => !isAnswer(one));
    this.#told = [];
    return told;
  }

  /** The frames that were told before the link's end, which is waited for. */
  async untilClosed(): Promise<readonly Told[]> {
    await this.#until(() => this.closed);
    return this.#told;
  }

  close(): void {
    this.socket.destroy();
  }

  /** Waits for news until `condition` holds. A test that stops the clock may wait like this. */
  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) await next(this.#news, "news");
  }
}

const names = new Map<number, string>(Object.entries(FromManager).map(([name, type]) => [type, name]));

function describe(type: number, data: Buffer): Told {
  const name = names.get(type) ?? `type ${type}`;
  const map = (from: number) => decodeMap(data, from, data.length);
  switch (type) {
    case FromManager.Msg:
      return [name, data.readUInt32LE(), data.toString("utf8", SESSION_BYTES)];
    case FromManager.MsgAll:
      return [name, data.toString()];
    case FromManager.MsgMany: {
      const count = data.readUInt32LE();
      const ids = Array.from({ length: count }, (_, i) => data.readUInt32LE(4 + 4 * i));
      return [name, ids, data.toString("utf8", 4 + 4 * count)];
    }
    case FromManager.Bind:
    case FromManager.GroupAdd:
    case FromManager.GroupRemove:
      return [name, data.readUInt32LE(), data.toString("utf8", SESSION_BYTES)];
    case FromManager.MsgGroup:
    case FromManager.MsgUser: {
      const at = 1 + data.readUInt8();
      return [name, data.toString("utf8", 1, at), data.toString("utf8", at)];
    }
    case FromManager.Drop:
    case FromManager.DropDiscard: {
      const id = data.readUInt32LE();
      return data.length === SESSION_BYTES ? [name, id] : [name, id, body.drop(map(SESSION_BYTES), name)];
    }
    case FromManager.Handoff: {
      const { manager, data: blob } = body.handoff(map(SESSION_BYTES), name);
      return [
        name,
        data.readUInt32LE(),
        manager,
        ...(blob === undefined ? [] : [Buffer.from(blob).toString()]),
      ];
    }
    case FromManager.Admit:
      return [name, data.readUInt32LE()];
    case FromManager.Shutdown:
      return data.length === 0 ? [name] : [name, body.shutdown(map(0), name)];
    case FromManager.Registered:
      return [name, body.registered(map(0), name)];
    case FromManager.Rejected:
      return [name, body.rejected(map(0), name)];
    case FromManager.Challenge:
      return [name, body.challenge(map(0), name)];
    case FromManager.Pong:
      return [name, body.pong(map(0), name)];
    default:
      return [name, data];
  }
}
