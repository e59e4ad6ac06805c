/** A game client, as plain as can be: a socket that remembers what it got. */

import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { readTlsFile } from "./tls-files.ts";
import { next, until } from "./wait.ts";

/** What tests want of a client, whatever it speaks. */
export interface AnyClient {
  /** Everything that was received. */
  readonly received: Buffer;
  readonly receivedBytes: number;
  /** The other side has shut down its sending side. */
  readonly ended: boolean;
  readonly closed: boolean;
  /** Why the connection broke, when it did not end in good order. */
  readonly errorCode: string | undefined;
  /** Whether it may send already. */
  readonly ready: boolean;
  /** The port that it comes from; undefined where it has none. */
  readonly localPort: number | undefined;
  /** Whether something that it sent waits for the other side to read. */
  readonly stuck: boolean;
  send(data: Buffer | string): void;
  pause(): void;
  resume(): void;
  /** Ends the connection in good order. */
  end(): void;
  /** Cuts it off. */
  close(): void;
  /** Cuts it off with a reset, where it can. */
  reset(): void;
  /** Waits until exactly `text` has been received. */
  expect(text: string): Promise<void>;
}

export class TestClient implements AnyClient {
  /** What it sends before it is connected waits. */
  readonly ready = true;
  readonly socket: Socket;
  readonly #parts: Buffer[] = [];
  /** The other side has shut down its sending side. */
  ended = false;
  closed = false;
  /** Why the connection broke, when it did not end in good order. */
  errorCode: string | undefined;

  /** The socket under a TLS socket. */
  readonly #raw: Socket;

  /** @param to a port, a Unix socket's path, or a socket that is being connected, with the one under it */
  constructor(to: number | string | Socket, host = "127.0.0.1", raw?: Socket) {
    if (typeof to === "number") this.socket = connect({ port: to, host, allowHalfOpen: true });
    else if (typeof to === "string") this.socket = connect({ path: to, allowHalfOpen: true });
    else this.socket = to;
    this.#raw = raw ?? this.socket;
    this.socket.on("data", (part: Buffer) => this.#parts.push(part));
    this.socket.on("end", () => {
      this.ended = true;
    });
    this.socket.on("error", (error: NodeJS.ErrnoException) => {
      this.errorCode = error.code;
    });
    this.socket.on("close", () => {
      this.closed = true;
    });
  }

  /** Connects; resolves when the connection is there. */
  static async connect(to: number | string, host?: string): Promise<TestClient> {
    const client = new TestClient(to, host);
    await next(client.socket, "connect");
    return client;
  }

  /** A client that begins to connect over TLS, and trusts the authority of the tests. */
  static overTls(port: number): TestClient {
    const raw = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    const secure = connectTls({ socket: raw, host: "127.0.0.1", ca: readTlsFile("ca.crt") });
    return new TestClient(secure, undefined, raw);
  }

  get localPort(): number | undefined {
    return this.#raw.localPort;
  }

  get stuck(): boolean {
    return this.socket.writableLength > 0;
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  end(): void {
    this.socket.end();
  }

  reset(): void {
    try {
      this.#raw.resetAndDestroy();
    } catch {
      this.socket.destroy();
    }
  }

  get received(): Buffer {
    return Buffer.concat(this.#parts);
  }

  get receivedBytes(): number {
    return this.#parts.reduce((sum, part) => sum + part.length, 0);
  }

  send(data: Buffer | string): void {
    this.socket.write(data);
  }

  /** Waits until exactly `text` has been received. */
  async expect(text: string): Promise<void> {
    await until(() => this.receivedBytes >= Buffer.byteLength(text), `the client has '${text}'`);
    if (this.received.toString() !== text)
      throw new Error(`the client has '${this.received}', not '${text}'`);
  }

  /** Waits for the gateway's end of the stream, or its reset. */
  async untilEnded(): Promise<void> {
    await until(() => this.ended || this.closed, "the client's connection ends");
  }

  close(): void {
    this.socket.destroy();
  }
}
