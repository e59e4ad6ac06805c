/** A manager that does what a test says and nothing by itself: frames in, frames out. */

import { randomBytes } from "node:crypto";
import { createServer, type Socket } from "node:net";
import type { TestContext } from "node:test";
import type * as body from "../../proto/bodies.ts";
import { fromGatewayBounds, HEADER_BYTES, isNumberedFromGateway } from "../../proto/frame.ts";
import { FrameBatch } from "../../proto/frame-batch.ts";
import { FrameReader } from "../../proto/frame-reader.ts";
import { type FromGatewayHandler, readFromGateway } from "../../proto/from-gateway.ts";
import { toGateway } from "../../proto/from-manager.ts";
import type { FakeClock } from "./fake-clock.ts";
import { socketPath } from "./rig.ts";
import { next, until } from "./wait.ts";

/** How far the clock is let run at a time: not far, since it still runs while the gateway is dialling already. */
const REDIAL_STEP_MS = 10;

/** A frame as it came; payloads are copies. */
export type Heard =
  | { readonly type: "register"; readonly body: body.Register }
  | { readonly type: "proof"; readonly body: body.Proof }
  | { readonly type: "listening"; readonly body: body.Listening }
  | { readonly type: "ping"; readonly body: body.Ping }
  | { readonly type: "draining"; readonly body: body.Draining }
  | { readonly type: "join"; readonly session: number; readonly body: body.Join }
  | { readonly type: "ack"; readonly frames: number }
  | { readonly type: "disconnected"; readonly session: number; readonly body: body.Disconnected }
  | { readonly type: "message"; readonly session: number; readonly payload: Buffer }
  | { readonly type: "bindRefused"; readonly session: number; readonly user: string }
  | { readonly type: "handoffRefused"; readonly session: number; readonly body: body.HandoffRefused };

export type HeardOf<K extends Heard["type"]> = Extract<Heard, { type: K }>;

/** One link, from the manager's end. */
export class RawLink {
  readonly socket: Socket;
  readonly heard: Heard[] = [];
  closed = false;
  /** How many numbered frames came over this link. */
  numbered = 0;
  /** Acknowledges whatever comes, which it else leaves to the test. */
  acknowledging = false;
  /** The numbered frames that came, byte by byte, if they are kept. */
  readonly frames: Buffer[] = [];
  keepsFrames = false;
  readonly #batch = new FrameBatch();

  constructor(socket: Socket) {
    this.socket = socket;
    const handler = recorder(this.heard);
    const reader = new FrameReader(fromGatewayBounds, 2 ** 20, (type, bytes, start, end) => {
      readFromGateway(handler, type, bytes, start, end);
      if (!isNumberedFromGateway(type)) return;
      this.numbered++;
      if (this.keepsFrames)
        this.frames.push(Buffer.concat([header(type, end - start), bytes.subarray(start, end)]));
    });
    socket.on("data", (bytes: Buffer) => {
      reader.push(bytes);
      if (this.acknowledging) this.acknowledge(this.numbered);
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.closed = true;
    });
  }

  /** The frames of a type that came, in order. */
  all<K extends Heard["type"]>(type: K): HeardOf<K>[] {
    return this.heard.filter((one): one is HeardOf<K> => one.type === type);
  }

  /** Waits for the `nth` frame of a type, counted from 1. */
  async wait<K extends Heard["type"]>(type: K, nth = 1): Promise<HeardOf<K>> {
    await until(() => this.all(type).length >= nth, `the manager hears ${type} for the ${nth}. time`);
    const frame = this.all(type)[nth - 1];
    if (frame === undefined) throw new Error("unreachable");
    return frame;
  }

  async untilClosed(): Promise<void> {
    await until(() => this.closed, "the link is closed");
  }

  /** Sends what `write` appends. */
  say(write: (batch: FrameBatch) => void): void {
    write(this.#batch);
    for (const chunk of this.#batch.take()) this.socket.write(chunk);
  }

  /** Says that so many numbered frames of the epoch were handled. */
  acknowledge(frames: number): void {
    this.say((batch) => toGateway.ack(batch, frames));
  }

  /** Takes the gateway on. */
  register(registered: Partial<body.Registered> = {}): void {
    const epoch = randomBytes(16);
    const given = {
      id: 1,
      capacity: 100,
      epoch,
      pingMs: 60_000,
      maxFrame: 2 ** 20,
      resumed: false,
      received: 0,
    };
    this.say((batch) => toGateway.registered(batch, { ...given, ...registered }));
  }
}

function header(type: number, bodyBytes: number): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.writeUInt32LE(type);
  bytes.writeUInt32LE(bodyBytes, 4);
  return bytes;
}

/** Notes everything that comes. */
function recorder(heard: Heard[]): FromGatewayHandler {
  return {
    register: (body) => heard.push({ type: "register", body }),
    proof: (body) => heard.push({ type: "proof", body }),
    listening: (body) => heard.push({ type: "listening", body }),
    ping: (body) => heard.push({ type: "ping", body }),
    draining: (body) => heard.push({ type: "draining", body }),
    ack: (frames) => heard.push({ type: "ack", frames }),
    join: (session, body) => heard.push({ type: "join", session, body }),
    disconnected: (session, body) => heard.push({ type: "disconnected", session, body }),
    bindRefused: (session, user) => heard.push({ type: "bindRefused", session, user }),
    handoffRefused: (session, body) => heard.push({ type: "handoffRefused", session, body }),
    message(session, bytes, start, end) {
      heard.push({ type: "message", session, payload: Buffer.from(bytes.subarray(start, end)) });
    },
  };
}

export interface RawManager {
  /** Where gateways dial. */
  readonly link: string;
  /** The next link that is dialled, with its `Register` heard. */
  nextLink(): Promise<RawLink>;
  /** Stops listening and cuts every link. */
  close(): Promise<void>;
}

/** A manager that listens. It ends with the test. */
export async function startRawManager(t: TestContext, path = socketPath(t)): Promise<RawManager> {
  const links: RawLink[] = [];
  let taken = 0;
  const server = createServer((socket) => links.push(new RawLink(socket)));
  server.listen(path);
  await next(server, "listening");
  const close = async () => {
    if (!server.listening) return;
    const closed = next(server, "close");
    server.close();
    for (const link of links) link.socket.destroy();
    await closed;
  };
  t.after(close);
  return {
    link: `unix:${path}`,
    async nextLink() {
      const index = taken++;
      await until(() => links.length > index, "a gateway dials");
      const link = links[index];
      if (link === undefined) throw new Error("unreachable");
      await link.wait("register");
      return link;
    },
    close,
  };
}

/** The next link, once the gateway's clock was let run to its redial. */
export async function redialled(raw: RawManager, clock: FakeClock): Promise<RawLink> {
  const dialled = raw.nextLink();
  let there = false;
  dialled.then(() => {
    there = true;
  });
  await until(() => {
    if (!there) clock.advance(REDIAL_STEP_MS);
    return there;
  }, "the gateway dials again");
  return dialled;
}
