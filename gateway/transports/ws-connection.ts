/**
 * A connection that speaks WebSocket. Plain frames are read where they lie, all others by `ws`, whose receiver is there
 * from the first of those on; what the client is sent comes framed already, from its encoder.
 * A message is what the client sent as one, whatever frames and reads it came in.
 */

import { PerMessageDeflate, Receiver } from "ws";
import type { Encoder } from "../framing/encoder.ts";
import type { Channel } from "./channel.ts";
import type { Farewell } from "./connection.ts";
import { type StreamClient, StreamConnection } from "./stream-connection.ts";
import { closePayload, faultCode } from "./ws-close.ts";
import { deflatingEncoders, type EncoderPair, frame, Opcode, plainEncoders } from "./ws-encoder.ts";
import { FrameEnd } from "./ws-frame-end.ts";
import { type PlainFrameSink, readPlainFrames } from "./ws-plain-frames.ts";

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

export class WebSocketConnection extends StreamConnection implements PlainFrameSink {
  readonly #traits: WebSocketTraits;
  readonly #encoders: EncoderPair;
  #receiver: Receiver | undefined;
  readonly #frameEnd = new FrameEnd();
  #sendText: boolean;
  #phase: Phase = "open";
  /** The close code of what the client did wrong. */
  #faultCode: number | undefined;
  /** Raw bytes of a message that is not whole yet. */
  #pendingBytes = 0;
  /** What the pong that is owed has to say. */
  #owedPong: Buffer | undefined;

  constructor(channel: Channel, client: StreamClient, traits: WebSocketTraits) {
    super(channel, client);
    this.#traits = traits;
    this.#sendText = traits.frames === "text";
    this.#encoders = encodersFor(traits.extensions);
  }

  override get encoder(): Encoder {
    return this.#sendText ? this.#encoders.text : this.#encoders.binary;
  }

  override get pendingBytes(): number {
    return this.#pendingBytes;
  }

  protected override decode(bytes: Buffer, start: number, end: number): number {
    if (this.#phase !== "open") return end;
    if (isBetweenMessages(this.#receiver) && !this.#frameEnd.isInFrame) {
      const taken = readPlainFrames(bytes, start, end, this.#traits.maxMessageBytes, this);
      if (taken > start) return taken;
      this.#pendingBytes = 0;
    }
    // A frame at a time: what a message leads to may have the next one wait.
    const frameEnd = this.#frameEnd.find(bytes, start, end);
    this.#pendingBytes += frameEnd - start;
    this.#receiver ??= this.#createReceiver();
    // The receiver keeps what it is given until a message is whole, and the memory here is used again.
    this.#receiver.write(Buffer.from(bytes.subarray(start, frameEnd)), this.#worked);
    if (this.#isInflating) this.block();
    return frameEnd;
  }

  protected override decoded(): void {
    this.#answerPings();
  }

  get #isInflating(): boolean {
    return this.#phase === "open" && this.#receiver !== undefined && this.#receiver.writableLength > 0;
  }

  /** The receiver has worked off what it was given, which may have taken it a while. */
  readonly #worked = (): void => {
    if (this.#isInflating) return;
    this.#answerPings();
    this.unblock();
  };

  plainMessage(bytes: Buffer, start: number, end: number, isBinary: boolean): boolean {
    if (this.#traits.frames === "mirror") this.#sendText = !isBinary;
    this.sink?.received(bytes, start, end);
    return this.#phase === "open" && this.wantsMore;
  }

  plainControl(bytes: Buffer, start: number, end: number, isPing: boolean): boolean {
    if (isPing) this.#pinged(bytes.subarray(start, end));
    else this.#controlled(end - start);
    return this.#phase === "open" && this.wantsMore;
  }

  override write(bytes: Buffer): boolean {
    if (this.#phase !== "closing") return super.write(bytes);
    this.discardedBytes += bytes.length;
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

  /** A client that ends its stream without a close frame has gone; what it said before may yet have to be inflated. */
  protected override peerEnded(): void {
    if (this.#receiver === undefined) this.close();
    else this.#receiver.end(() => this.close());
  }

  #createReceiver(): Receiver {
    const { maxMessageBytes, extensions } = this.#traits;
    return new Receiver({
      isServer: true,
      maxPayload: maxMessageBytes,
      maxFragments: MAX_FRAGMENTS,
      maxBufferedChunks: MIN_CHUNKS + Math.ceil(maxMessageBytes / CHUNK_BYTES),
      extensions,
    })
      .on("message", (message: Buffer, isBinary: boolean) => this.#message(message, isBinary))
      .on("ping", (payload: Buffer) => this.#pinged(payload))
      .on("pong", (payload: Buffer) => this.#controlled(payload.length))
      .on("conclude", (code: number) => this.#concluded(code))
      .on("error", (error: NodeJS.ErrnoException) => this.#faulted(error));
  }

  #message(message: Buffer, isBinary: boolean): void {
    if (this.#phase !== "open") return;
    this.#pendingBytes = 0;
    if (this.#traits.frames === "mirror") this.#sendText = !isBinary;
    this.sink?.received(message, 0, message.length);
  }

  #pinged(payload: Buffer): void {
    if (this.#phase !== "open") return;
    this.#owedPong = Buffer.from(payload);
    this.#controlled(payload.length);
  }

  /** Of several pings that came at once the last one is answered (RFC 6455, section 5.5.3). */
  #answerPings(): void {
    const payload = this.#owedPong;
    if (payload === undefined) return;
    this.#owedPong = undefined;
    if (this.#phase !== "open" || this.queuedBytes > MAX_QUEUED_FOR_PONG_BYTES) return;
    this.write(frame(Opcode.pong, payload));
  }

  /** A control frame may stand in the middle of a message, and is no part of it. */
  #controlled(payloadBytes: number): void {
    this.#pendingBytes = Math.max(0, this.#pendingBytes - CONTROL_HEADER_BYTES - payloadBytes);
    this.sink?.control(payloadBytes);
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

/** Whether a receiver has nothing of a message that is not whole, and nothing to work off. */
function isBetweenMessages(receiver: Receiver | undefined): boolean {
  if (receiver === undefined) return true;
  const { _state, _bufferedBytes, _fragmented, writableLength } = receiver;
  return _state === 0 && _bufferedBytes === 0 && _fragmented === 0 && writableLength === 0;
}

function encodersFor(extensions: WebSocketTraits["extensions"]): EncoderPair {
  const deflate = extensions[PerMessageDeflate.extensionName];
  if (!(deflate instanceof PerMessageDeflate)) return plainEncoders;
  const bits = deflate.params.server_max_window_bits;
  return deflatingEncoders(typeof bits === "number" ? bits : DEFAULT_WINDOW_BITS);
}
