/** Clients that do everything right: whatever others do, they are served. */

import { connect, type Socket } from "node:net";
import { connect as tlsConnect } from "node:tls";
import { clientFrame, Opcode } from "../../front/raw-web.ts";
import { readTlsFile } from "../../helpers/tls-files.ts";
import { next } from "../../helpers/wait.ts";
import type { Place } from "./attempt.ts";
import type { FuzzedListener } from "./listeners.ts";
import { message, validScript } from "./scripts.ts";

/** It is tried again so often: a gateway whose manager has just come back may turn somebody away. */
const TRIES = 20;
/** An answer that takes longer does not come. */
const ANSWER_MS = 5000;

/** What a gateway asks an idle WebSocket, and the answer. */
const PING = Buffer.from([0x89, 0]);
const PONG = clientFrame(Opcode.pong, "");

let talked = 0;

export class HonestClient {
  readonly listener: FuzzedListener;
  readonly #raw: Socket;
  readonly #stream: Socket;
  #received = "";
  #changed: () => void = () => {};

  private constructor(listener: FuzzedListener, raw: Socket, stream: Socket) {
    this.listener = listener;
    this.#raw = raw;
    this.#stream = stream;
    stream.on("data", (bytes: Buffer) => {
      if (listener.isWeb && bytes.includes(PING)) stream.write(PONG);
      // What the end of an answer looks like is enough.
      this.#received = (this.#received + bytes.toString("latin1")).slice(-1000);
      this.#changed();
    });
    raw.on("close", () => this.#changed());
  }

  /** A client that has been served. */
  static async served(listener: FuzzedListener, place: Place, from: string): Promise<HonestClient> {
    for (let left = TRIES; ; left--) {
      const client = await HonestClient.#tried(listener, place, from);
      if (client !== undefined) return client;
      if (left === 0) throw new Error(`an honest client of ${listener.name} is not served`);
      await next(AbortSignal.timeout(25), "abort");
    }
  }

  static async #tried(
    listener: FuzzedListener,
    place: Place,
    from: string,
  ): Promise<HonestClient | undefined> {
    const where =
      typeof place === "number" ? { port: place, host: "127.0.0.1", localAddress: from } : { path: place };
    const raw = connect({ ...where, noDelay: true });
    raw.on("error", () => {});
    try {
      await next(raw, "connect");
      const text = `honest ${talked++}`;
      const script = validScript(listener, { text, source: from });
      if (script.open.length > 0) raw.write(script.open);
      if (script.inside === undefined) return await new HonestClient(listener, raw, raw).#until(text);
      const identity = listener.wantsCertificate
        ? { cert: readTlsFile("client.crt"), key: readTlsFile("client.key") }
        : {};
      const secure = tlsConnect({ socket: raw, host: "127.0.0.1", ca: readTlsFile("ca.crt"), ...identity });
      secure.on("error", () => {});
      const client = new HonestClient(listener, raw, secure);
      secure.write(script.inside);
      return await client.#until(text);
    } catch {
      raw.destroy();
      return undefined;
    }
  }

  /** Says something; resolves when it was answered. */
  async talk(): Promise<void> {
    const text = `still here ${talked++}`;
    this.#stream.write(message(this.listener, text));
    await this.#until(text);
  }

  async #until(text: string): Promise<this> {
    const answered = Promise.withResolvers<void>();
    const tooLate = setTimeout(
      () => answered.reject(new Error(`an honest client of ${this.listener.name} is not answered`)),
      ANSWER_MS,
    );
    // The last character is the last to come.
    this.#changed = () => {
      if (this.#received.includes(text)) answered.resolve();
      else if (this.#raw.destroyed)
        answered.reject(new Error(`an honest client of ${this.listener.name} was ended`));
    };
    this.#changed();
    try {
      await answered.promise;
      return this;
    } finally {
      clearTimeout(tooLate);
    }
  }

  close(): void {
    this.#raw.destroy();
  }
}
