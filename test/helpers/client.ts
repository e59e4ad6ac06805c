/** A game client, as plain as can be: a TCP socket that remembers what it got. */

import { connect, type Socket } from "node:net";
import { next, until } from "./wait.ts";

export class TestClient {
  readonly socket: Socket;
  readonly #parts: Buffer[] = [];
  /** The other side has shut down its sending side. */
  ended = false;
  closed = false;
  /** Why the connection broke, when it did not end in good order. */
  errorCode: string | undefined;

  constructor(port: number, host = "127.0.0.1") {
    this.socket = connect({ port, host, allowHalfOpen: true });
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
  static async connect(port: number, host?: string): Promise<TestClient> {
    const client = new TestClient(port, host);
    await next(client.socket, "connect");
    return client;
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
