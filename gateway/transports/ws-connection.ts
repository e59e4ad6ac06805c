/**
 * A connection that speaks WebSocket. Plain frames are read where they lie, all others are gathered first, by what is there
 * from the first of those on, and `ws` inflates; what the client is sent comes framed already, from its encoder.
 * A message is what the client sent as one, whatever frames and reads it came in.
 */

import { isUtf8 } from "node:buffer";
import { PerMessageDeflate } from "ws";
import type { Encoder } from "../framing/encoder.ts";
import type { Channel } from "./channel.ts";
import type { Farewell } from "./connection.ts";
import { type StreamClient, StreamConnection } from "./stream-connection.ts";
import { closePayload, faultCode, readClosePayload, type WebSocketFault } from "./ws-close.ts";
import { deflatingEncoders, type EncoderPair, frame, Opcode, plainEncoders } from "./ws-encoder.ts";
import { FrameGathering, type FrameSink } from "./ws-frame-gathering.ts";
import { type PlainFrameSink, readPlainFrames } from "./ws-plain-frames.ts";

export interface WebSocketTraits {
  readonly maxMessageBytes: number;
  /** What messages are sent as; `mirror`: as the client's last one came, binary before that. */
  readonly frames: "binary" | "text" | "mirror";
  /** What was agreed with the client, by `ws`. */
  readonly extensions: Readonly<Record<string, unknown>>;
}

/** With more than this queued for a client its pings are not answered: it does not read. */
const MAX_QUEUED_FOR_PONG_BYTES = 64 * 1024;

const DEFAULT_WINDOW_BITS = 15;
/** What `ws` calls a message that becomes too long when it is inflated. */
const TOO_LONG = "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH";
const NOTHING = Buffer.alloc(0);

type Phase = "open" | "faulted" | "closing";

export class WebSocketConnection extends StreamConnection implements PlainFrameSink, FrameSink {
  readonly #traits: WebSocketTraits;
  readonly #encoders: EncoderPair;
  /** What was agreed on for compressed messages, if anything. */
  readonly #deflate: PerMessageDeflate | undefined;
  #gathering: FrameGathering | undefined;
  #sendText: boolean;
  #phase: Phase = "open";
  /** What the client did wrong. */
  #fault: WebSocketFault | undefined;
  /** What the pong that is owed has to say. */
  #owedPong: Buffer | undefined;

  constructor(channel: Channel, client: StreamClient, traits: WebSocketTraits) {
    super(channel, client);
    this.#traits = traits;
    this.#sendText = traits.frames === "text";
    const deflate = traits.extensions[PerMessageDeflate.extensionName];
    this.#deflate = deflate instanceof PerMessageDeflate ? deflate : undefined;
    this.#encoders = encodersFor(this.#deflate);
  }

  override get encoder(): Encoder {
    return this.#sendText ? this.#encoders.text : this.#encoders.binary;
  }

  override get pendingBytes(): number {
    return this.#gathering?.pendingBytes ?? 0;
  }

  protected override decode(bytes: Buffer, start: number, end: number): number {
    if (this.#phase !== "open") return end;
    const { maxMessageBytes } = this.#traits;
    if (this.#gathering === undefined || this.#gathering.isIdle) {
      const taken = readPlainFrames(bytes, start, end, maxMessageBytes, this);
      if (taken > start) return taken;
    }
    this.#gathering ??= new FrameGathering(maxMessageBytes, this.#deflate !== undefined, this);
    return this.#gathering.take(bytes, start, end);
  }

  protected override decoded(): void {
    this.#answerPings();
  }

  plainMessage(bytes: Buffer, start: number, end: number, isBinary: boolean): boolean {
    if (this.#traits.frames === "mirror") this.#sendText = !isBinary;
    this.sink?.received(bytes, start, end);
    return this.#phase === "open" && this.wantsMore;
  }

  plainControl(bytes: Buffer, start: number, end: number, isPing: boolean): boolean {
    this.sink?.control(end - start);
    if (isPing) this.#pinged(bytes.subarray(start, end));
    return this.#phase === "open" && this.wantsMore;
  }

  messageGathered(message: Buffer, isBinary: boolean, isCompressed: boolean): void {
    if (isCompressed && this.#deflate !== undefined) this.#inflate(this.#deflate, message, isBinary);
    else this.#message(message, isBinary);
  }

  controlGathered(opcode: number, payload: Buffer): void {
    if (opcode === Opcode.close) {
      this.#closed(payload);
      return;
    }
    this.sink?.control(payload.length);
    if (opcode === Opcode.ping) this.#pinged(payload);
  }

  frameFaulted(fault: WebSocketFault): void {
    if (this.#phase !== "open") return;
    this.#phase = "faulted";
    this.#fault = fault;
    this.sink?.faulted(fault === "too-big" ? "too-big" : "bad-frame");
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
      const code = farewell.code ?? (this.#fault && faultCode(this.#fault));
      super.write(frame(Opcode.close, closePayload({ ...farewell, code })));
      this.#phase = "closing";
    }
    super.finish(farewell);
  }

  /** A client that ends its stream without a close frame has gone. */
  protected override peerEnded(): void {
    this.close();
  }

  /** Messages are inflated one at a time, in a thread of their own: what the client says behind it waits. */
  #inflate(deflate: PerMessageDeflate, message: Buffer, isBinary: boolean): void {
    this.block();
    deflate.decompress(message, true, (error, inflated) => {
      if (error) this.frameFaulted(error.code === TOO_LONG ? "too-big" : "bad-frame");
      else if (inflated.length > this.#traits.maxMessageBytes) this.frameFaulted("too-big");
      else this.#message(inflated, isBinary);
      this.unblock();
    });
  }

  #message(message: Buffer, isBinary: boolean): void {
    if (this.#phase !== "open") return;
    if (!isBinary && !isUtf8(message)) {
      this.frameFaulted("bad-text");
      return;
    }
    if (this.#traits.frames === "mirror") this.#sendText = !isBinary;
    this.sink?.received(message, 0, message.length);
  }

  #pinged(payload: Buffer): void {
    this.#owedPong = Buffer.from(payload);
  }

  /** Of several pings that came at once the last one is answered (RFC 6455, section 5.5.3). */
  #answerPings(): void {
    const payload = this.#owedPong;
    if (payload === undefined) return;
    this.#owedPong = undefined;
    if (this.#phase !== "open" || this.queuedBytes > MAX_QUEUED_FOR_PONG_BYTES) return;
    this.write(frame(Opcode.pong, payload));
  }

  /** The client's close frame is answered in kind, and the connection closed at once (RFC 6455, section 5.5.1). */
  #closed(said: Buffer): void {
    const code = readClosePayload(said);
    if (typeof code === "string" && code !== "none") {
      this.frameFaulted(code);
      return;
    }
    if (this.#phase === "closing") return;
    const payload = code === "none" ? NOTHING : closePayload({ reason: "client-closed", code, text: "" });
    super.write(frame(Opcode.close, payload));
    this.#phase = "closing";
    this.finishAndClose();
    this.sink?.left();
  }
}

function encodersFor(deflate: PerMessageDeflate | undefined): EncoderPair {
  if (deflate === undefined) return plainEncoders;
  const bits = deflate.params.server_max_window_bits;
  return deflatingEncoders(typeof bits === "number" ? bits : DEFAULT_WINDOW_BITS);
}
