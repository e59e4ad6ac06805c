/**
 * A connection that speaks WebSocket: `ws` reads its frames; what it is sent comes framed already, from its encoder.
 * A message is what the client sent as one, whatever frames and reads it came in.
 */

import type { Socket } from "node:net";
import { PerMessageDeflate, Receiver } from "ws";
import type { Encoder } from "../framing/encoder.ts";
import type { Farewell } from "./connection.ts";
import type { ReadPath } from "./read-path.ts";
import { type Handshaken, SocketConnection } from "./socket-connection.ts";
import { closePayload, faultCode } from "./ws-close.ts";
import { deflatingEncoders, type EncoderPair, frame, Opcode, plainEncoders } from "./ws-encoder.ts";

export interface WebSocketTraits {
  readonly maxMessageBytes: number;
  /** What messages are sent as; `mirror`: as the client's last one came, binary before that. */
  readonly frames: "binary" | "text" | "mirror";
  /** What was agreed with the client, by `ws`. */
  readonly extensions: Readonly<Record<string, unknown>>;
}

/** A message may come in so many frames. */
const MAX_FRAGMENTS = 1024;

/** And in so many reads, beside one for each of so many bytes. */
const MIN_CHUNKS = 1024;
const CHUNK_BYTES = 256;

/** With more than this queued for a client its pings are not answered: it does not read. */
const MAX_QUEUED_FOR_PONG_BYTES = 64 * 1024;

/** What stands before the payload of a client's control frame: two bytes, and its mask. */
const CONTROL_HEADER_BYTES = 6;

const DEFAULT_WINDOW_BITS = 15;
const TOO_BIG = 1009;
const NOTHING = Buffer.alloc(0);

type Phase = "open" | "faulted" | "closing";

export class WebSocketConnection extends SocketConnection {
  readonly #receiver: Receiver;
  readonly #encoders: EncoderPair;
  readonly #frames: WebSocketTraits["frames"];
  #sendText: boolean;
  #phase: Phase = "open";
  /** The close code of what the client did wrong. */
  #faultCode: number | undefined;
  /** Raw bytes of a message that is not whole yet. */
  #pendingBytes = 0;
  /** Bytes that came too late to be sent. */
  #discardedBytes = 0;

  constructor(socket: Socket, readPath: ReadPath, handshaken: Handshaken, traits: WebSocketTraits) {
    super(socket, readPath, handshaken);
    const { maxMessageBytes, frames, extensions } = traits;
    this.#frames = frames;
    this.#sendText = frames === "text";
    this.#encoders = encodersFor(extensions);
    this.#receiver = new Receiver({
      isServer: true,
      maxPayload: maxMessageBytes,
      maxFragments: MAX_FRAGMENTS,
      maxBufferedChunks: MIN_CHUNKS + Math.ceil(maxMessageBytes / CHUNK_BYTES),
      extensions,
    });
    this.#receiver
      .on("message", (message: Buffer, isBinary: boolean) => this.#message(message, isBinary))
      .on("ping", (payload: Buffer) => this.#pinged(payload))
      .on("pong", (payload: Buffer) => this.#controlled(payload))
      .on("conclude", (code: number) => this.#concluded(code))
      .on("error", (error: NodeJS.ErrnoException) => this.#faulted(error))
      .on("drain", () => this.unblock());
  }

  override get encoder(): Encoder {
    return this.#sendText ? this.#encoders.text : this.#encoders.binary;
  }

  override get unsentBytes(): number {
    return super.unsentBytes + this.#discardedBytes;
  }

  override get pendingBytes(): number {
    return this.#pendingBytes;
  }

  override received(bytes: Buffer, length: number): void {
    this.inSips(bytes, length);
  }

  protected override decode(bytes: Buffer, length: number): void {
    if (this.#phase !== "open") return;
    this.#pendingBytes += length;
    // The receiver keeps what it is given until a message is whole, and the memory here is used again.
    const taken = this.#receiver.write(Buffer.from(bytes.subarray(0, length)));
    // While it inflates, what follows waits in it: no more than it wants.
    if (!taken && this.#phase === "open") this.block();
  }

  override write(bytes: Buffer): boolean {
    if (this.#phase !== "closing") return super.write(bytes);
    this.#discardedBytes += bytes.length;
    return true;
  }

  override ping(): void {
    this.write(frame(Opcode.ping, NOTHING));
  }

  override finish(farewell: Farewell): void {
    if (this.#phase !== "closing") {
      const code = farewell.code ?? this.#faultCode;
      super.write(frame(Opcode.close, closePayload({ ...farewell, code })));
      this.#phase = "closing";
    }
    super.finish(farewell);
  }

  /** A client that ends its stream without a close frame has gone. */
  override peerFinished(): void {
    this.close();
  }

  #message(message: Buffer, isBinary: boolean): void {
    if (this.#phase !== "open") return;
    this.#pendingBytes = 0;
    if (this.#frames === "mirror") this.#sendText = !isBinary;
    this.sink?.received(message, 0, message.length);
  }

  #pinged(payload: Buffer): void {
    if (this.#phase !== "open") return;
    this.#controlled(payload);
    if (this.queuedBytes <= MAX_QUEUED_FOR_PONG_BYTES) this.write(frame(Opcode.pong, Buffer.from(payload)));
  }

  /** A control frame may stand in the middle of a message, and is no part of it. */
  #controlled(payload: Buffer): void {
    this.#pendingBytes = Math.max(0, this.#pendingBytes - CONTROL_HEADER_BYTES - payload.length);
    this.sink?.control(payload.length);
  }

  /** The client's close frame: it is answered in kind, and the client waits for the end of the stream. */
  #concluded(code: number): void {
    if (this.#phase === "closing") return;
    const noCode = code === 1005;
    const payload = noCode ? NOTHING : closePayload({ reason: "client-closed", code, text: "" });
    super.write(frame(Opcode.close, payload));
    this.#phase = "closing";
    super.finish({ reason: "client-closed" });
    this.sink?.finished();
  }

  #faulted({ code }: NodeJS.ErrnoException): void {
    if (this.#phase !== "open") return;
    this.#phase = "faulted";
    this.#faultCode = faultCode(code);
    this.sink?.faulted(this.#faultCode === TOO_BIG ? "too-big" : "bad-frame");
  }
}

function encodersFor(extensions: WebSocketTraits["extensions"]): EncoderPair {
  const deflate = extensions[PerMessageDeflate.extensionName];
  if (!(deflate instanceof PerMessageDeflate)) return plainEncoders;
  const bits = deflate.params.server_max_window_bits;
  return deflatingEncoders(typeof bits === "number" ? bits : DEFAULT_WINDOW_BITS);
}
