/** A WebSocket client by hand: requests as they are given, and frames of any kind. */

import { connect } from "node:net";
import type { TestContext } from "node:test";
import { TestClient } from "../helpers/client.ts";
import { until } from "../helpers/wait.ts";

export const Opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface Frame {
  readonly fin: boolean;
  readonly compressed: boolean;
  readonly opcode: number;
  readonly payload: Buffer;
}

export interface FrameOptions {
  readonly fin?: boolean;
  readonly compressed?: boolean;
  readonly masked?: boolean;
}

/** A request for a WebSocket, with other headers where they are given; undefined leaves one out. */
export function upgradeRequest(path = "/", headers: Record<string, string | undefined> = {}): string {
  const all: Record<string, string | undefined> = {
    Host: "game.example",
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
    ...headers,
  };
  const lines = Object.entries(all).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}`],
  );
  return `GET ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`;
}

/** The bytes of a client's frame. */
export function clientFrame(opcode: number, data: Buffer | string, options: FrameOptions = {}): Buffer {
  const { fin = true, compressed = false, masked = true } = options;
  const payload = Buffer.from(data as string);
  const header = [(fin ? 0x80 : 0) | (compressed ? 0x40 : 0) | opcode];
  const mask = masked ? 0x80 : 0;
  if (payload.length < 126) header.push(mask | payload.length);
  else if (payload.length < 65_536) header.push(mask | 126, payload.length >> 8, payload.length & 0xff);
  else header.push(mask | 127, 0, 0, 0, 0, ...lengthOf(payload));
  const key = Buffer.from([1, 2, 3, 4]);
  if (!masked) return Buffer.concat([Buffer.from(header), payload]);
  for (let i = 0; i < payload.length; i++) payload[i] = (payload[i] ?? 0) ^ (key[i % 4] ?? 0);
  return Buffer.concat([Buffer.from(header), key, payload]);
}

function lengthOf(payload: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(payload.length);
  return length;
}

export class RawWeb {
  readonly client: TestClient;

  constructor(client: TestClient) {
    this.client = client;
  }

  /** Connects and sends `request` and whatever follows. The client is closed with the test. */
  static start(t: TestContext, to: number | string, request: Buffer | string, host = "127.0.0.1"): RawWeb {
    const socket =
      typeof to === "number"
        ? connect({ port: to, host: "127.0.0.1", localAddress: host, allowHalfOpen: true })
        : connect({ path: to, allowHalfOpen: true });
    const web = new RawWeb(new TestClient(socket));
    t.after(() => web.client.close());
    web.client.send(request);
    return web;
  }

  /** Connects, and waits until the gateway has agreed. */
  static async open(t: TestContext, to: number | string, request = upgradeRequest()): Promise<RawWeb> {
    const web = RawWeb.start(t, to, request);
    if ((await web.status()) !== 101) throw new Error(`refused: ${web.head}`);
    return web;
  }

  /** The answer's head, as far as it has come. */
  get head(): string {
    return this.client.received.toString("latin1").split("\r\n\r\n")[0] ?? "";
  }

  /** What follows the head. */
  get body(): Buffer {
    const end = this.client.received.indexOf("\r\n\r\n");
    return end === -1 ? Buffer.alloc(0) : this.client.received.subarray(end + 4);
  }

  /** Waits for the answer; 0 when the connection ends without one. */
  async status(): Promise<number> {
    await until(
      () => this.client.received.includes("\r\n\r\n") || this.client.ended || this.client.closed,
      "the request is answered",
    );
    return Number(/^HTTP\/1\.1 (\d{3}) /.exec(this.head)?.[1] ?? 0);
  }

  /** A header of the answer. */
  header(name: string): string | undefined {
    return new RegExp(`^${name}: (.*)$`, "im").exec(this.head)?.[1];
  }

  send(opcode: number, payload: Buffer | string, options?: FrameOptions): void {
    this.client.send(clientFrame(opcode, payload, options));
  }

  /** The frames that have come whole. */
  get frames(): Frame[] {
    const bytes = this.body;
    const frames: Frame[] = [];
    for (let offset = 0; offset + 2 <= bytes.length; ) {
      const [first = 0, second = 0] = bytes.subarray(offset, offset + 2);
      const short = second & 0x7f;
      const extended = short === 126 ? 2 : short === 127 ? 8 : 0;
      const start = offset + 2 + extended;
      if (start > bytes.length) break;
      const length =
        extended === 0 ? short : bytes.readUIntBE(start - Math.min(extended, 6), Math.min(extended, 6));
      if (start + length > bytes.length) break;
      frames.push({
        fin: (first & 0x80) !== 0,
        compressed: (first & 0x40) !== 0,
        opcode: first & 0x0f,
        payload: bytes.subarray(start, start + length),
      });
      offset = start + length;
    }
    return frames;
  }

  /** Waits for the `nth` frame, counted from 1. */
  async frame(nth: number): Promise<Frame> {
    await until(() => this.frames.length >= nth || this.client.ended, `frame ${nth} has come`);
    const frame = this.frames[nth - 1];
    if (frame === undefined) throw new Error(`the stream ended before frame ${nth}`);
    return frame;
  }

  /** Waits for the gateway's close frame and the end of its stream: code and text, `0` for a frame without. */
  async closed(): Promise<[number, string]> {
    await this.client.untilEnded();
    const last = this.frames.at(-1);
    if (last?.opcode !== Opcode.close) throw new Error("it ended without a close frame");
    const { payload } = last;
    return payload.length === 0 ? [0, ""] : [payload.readUInt16BE(), payload.toString("utf8", 2)];
  }
}
