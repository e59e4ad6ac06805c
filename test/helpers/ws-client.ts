/** A game client that speaks WebSocket, by the client of `ws`. */

import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { type ClientOptions, WebSocket } from "ws";
import type { AnyClient } from "./client.ts";
import { readTlsFile } from "./tls-files.ts";
import { until } from "./wait.ts";

/** What is sent is cut into messages of at most this. */
const MESSAGE_BYTES = 32 * 1024;

export class WebSocketClient implements AnyClient {
  readonly socket: WebSocket;
  #raw: Socket | undefined;
  readonly messages: Buffer[] = [];
  /** Of each message, whether it came as binary. */
  readonly binary: boolean[] = [];
  closed = false;
  closeCode: number | undefined;
  closeReason = "";
  errorCode: string | undefined;
  /** The status that the upgrade was refused with. */
  status: number | undefined;
  pings = 0;
  pongs = 0;

  constructor(url: string, protocols: string | string[] = [], options: ClientOptions = {}) {
    const plain = { perMessageDeflate: false, createConnection: () => this.#dial(url), ...options };
    this.socket = new WebSocket(url, protocols, plain as ClientOptions);
    this.socket.on("message", (data: Buffer, isBinary) => {
      this.messages.push(data);
      this.binary.push(isBinary);
    });
    this.socket.on("ping", () => this.pings++);
    this.socket.on("pong", () => this.pongs++);
    this.socket.on("error", (error: NodeJS.ErrnoException) => {
      this.errorCode = error.code ?? error.message;
    });
    this.socket.on("unexpected-response", (request, response) => {
      this.status = response.statusCode;
      this.closed = true;
      request.destroy();
    });
    this.socket.on("close", (code, reason) => {
      this.closed = true;
      this.closeCode = code;
      this.closeReason = reason.toString();
    });
  }

  static async connect(
    url: string,
    protocols?: string | string[],
    options?: ClientOptions,
  ): Promise<WebSocketClient> {
    const client = new WebSocketClient(url, protocols, options);
    await until(() => client.ready || client.closed, "the WebSocket is open");
    if (client.closed) throw new Error(`refused: ${client.status ?? client.errorCode}`);
    return client;
  }

  /** Connects by itself, to know the socket under TLS. */
  #dial(url: string): Socket {
    const { hostname: host, port, protocol } = new URL(url);
    this.#raw = connect({ host, port: Number(port) });
    return protocol === "wss:"
      ? connectTls({ socket: this.#raw, host, ca: readTlsFile("ca.crt") })
      : this.#raw;
  }

  get ready(): boolean {
    return this.socket.readyState === WebSocket.OPEN;
  }

  get received(): Buffer {
    return Buffer.concat(this.messages);
  }

  get receivedBytes(): number {
    return this.messages.reduce((sum, message) => sum + message.length, 0);
  }

  get ended(): boolean {
    return this.closed;
  }

  get localPort(): number | undefined {
    return this.#raw?.localPort;
  }

  get stuck(): boolean {
    return this.socket.bufferedAmount > 0;
  }

  send(data: Buffer | string): void {
    const bytes = Buffer.from(data as string);
    for (let from = 0; from < bytes.length || from === 0; from += MESSAGE_BYTES) {
      this.socket.send(bytes.subarray(from, from + MESSAGE_BYTES));
    }
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  end(): void {
    this.socket.close();
  }

  close(): void {
    this.socket.terminate();
  }

  reset(): void {
    this.#raw?.resetAndDestroy();
  }

  async expect(text: string): Promise<void> {
    await until(() => this.receivedBytes >= Buffer.byteLength(text), `the client has '${text}'`);
    if (this.received.toString() !== text)
      throw new Error(`the client has '${this.received}', not '${text}'`);
  }
}
