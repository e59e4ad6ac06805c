/**
 * A connection whose client is a stream of bytes: raw, or cut into messages by a framing. When it is read, and what
 * becomes of what was read and can't be taken yet, is decided here; the bytes come and go by its channel.
 */

import type { Encoder } from "../framing/encoder.ts";
import type { Framing, MessageDecoder, MessageSink } from "../framing/framing.ts";
import type { Channel, ChannelSink } from "./channel.ts";
import type { Arrival, Connection, ConnectionSink, Farewell } from "./connection.ts";
import { type ClientDetails, NO_DETAILS } from "./details.ts";

const NOTHING = Buffer.alloc(0);

/** More than one read brings. Infinity would cost each connection a number of its own on the heap. */
const WHOLE = 2 ** 30;

/** What is known of a client once its handshake is through. */
export interface StreamClient {
  readonly address: string;
  readonly port: number;
  readonly details?: ClientDetails;
  /** What was read behind the handshake. */
  readonly early?: Buffer;
}

/** How its bytes are messages. */
export interface Framed {
  readonly encoder: Encoder;
  readonly decoder: MessageDecoder;
}

/**
 * What a connection needs of a framing.
 *
 * @param maxMessageBytes the longest message that is taken from the client
 */
export function framedBy(framing: Framing, maxMessageBytes: number): Framed | undefined {
  const decoder = framing.decoder(maxMessageBytes);
  return decoder && { encoder: framing, decoder };
}

export class StreamConnection implements Arrival, Connection, ChannelSink {
  // What each message touches stands together, as in a slot.

  protected sink: ConnectionSink | undefined;
  readonly #channel: Channel;
  readonly #framed: Framed | undefined;
  #paused = false;
  /** This side has ended it: what the client still says is not received. */
  protected ended = false;

  readonly address: string;
  readonly port: number;
  readonly details: ClientDetails;

  #faulted = false;
  /** What was received has to be worked off first. */
  #blocked = false;
  /** What was read and is not yet received. */
  #early: Buffer | undefined;
  /** And behind it the client has shut down its sending side. */
  #finishedBehind = false;
  #sipBytes = WHOLE;
  readonly #deliver: MessageSink | undefined;

  /** @param channel nothing was read of it yet */
  constructor(channel: Channel, { address, port, details, early }: StreamClient, framed?: Framed) {
    this.address = address;
    this.port = port;
    this.details = details ?? NO_DETAILS;
    this.#framed = framed;
    if (framed !== undefined) this.#deliver = (bytes, start, end) => this.#message(bytes, start, end);
    if (early !== undefined && early.length > 0) this.#early = early;
    this.#channel = channel;
    channel.sink = this;
  }

  get descriptor(): number | undefined {
    return this.#channel.descriptor;
  }

  get encoder(): Encoder | undefined {
    return this.#framed?.encoder;
  }

  get queuedBytes(): number {
    return this.#channel.queuedBytes;
  }

  get unsentBytes(): number {
    return this.#channel.queuedBytes;
  }

  get pendingBytes(): number {
    return this.#framed?.decoder.pendingBytes ?? 0;
  }

  open(sink: ConnectionSink): void {
    this.sink = sink;
    sink.established(this);
    if (!this.#paused) this.#read();
  }

  // For the channel.

  received(bytes: Buffer, start: number, end: number): void {
    if (this.#framed !== undefined) this.inSips(bytes, start, end);
    else if (!this.#paused) this.sink?.received(bytes, start, end);
    else if (!this.ended) this.#keep(bytes.subarray(start, end));
  }

  peerFinished(): void {
    const isWorkedOff = this.#early === undefined && (!this.#blocked || this.ended);
    if (isWorkedOff) this.peerEnded();
    else this.#finishedBehind = true;
  }

  gone(error: NodeJS.ErrnoException | undefined): void {
    // What was read in the same moment as the end of all can't wait any more.
    while (this.#early !== undefined && !this.ended) {
      this.#paused = false;
      this.#receiveEarly();
    }
    const { sink } = this;
    // What is still being worked off is nobody's any more: its sink may serve another client soon.
    this.sink = undefined;
    sink?.closed(error);
  }

  // For its owner.

  write(bytes: Buffer): boolean {
    return this.#channel.write(bytes);
  }

  ping(): void {}

  sip(bytes: number): void {
    this.#sipBytes = bytes;
  }

  pause(): void {
    this.#paused = true;
    this.#channel.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#read();
  }

  finish(_farewell: Farewell): void {
    this.ended = true;
    this.#channel.finish();
  }

  reset(): void {
    this.ended = true;
    this.#channel.reset();
  }

  close(): void {
    this.ended = true;
    this.#channel.close();
  }

  // For those who read messages.

  /** Everything that the client sent was received, and nothing more comes. */
  protected peerEnded(): void {
    this.sink?.finished();
  }

  /** Looks for messages in `bytes[0..length)`, which are valid during the call. */
  protected decode(bytes: Buffer, length: number): void {
    if (this.#framed === undefined || this.#deliver === undefined || this.#faulted || this.ended) return;
    const fault = this.#framed.decoder.push(bytes, length, this.#deliver);
    if (fault === undefined || this.ended) return;
    this.#faulted = true;
    this.sink?.faulted(fault);
  }

  /** Has what was read decoded, a sip at a time. Once this side pauses, the rest waits until it is read on. */
  protected inSips(bytes: Buffer, start: number, end: number): void {
    let from = start;
    while (from < end && !this.#paused) {
      const to = Math.min(end, from + this.#sipBytes);
      this.decode(from === 0 ? bytes : bytes.subarray(from, to), to - from);
      from = to;
    }
    if (from < end && !this.ended) this.#keep(bytes.subarray(from, end));
  }

  /** Stops reading, whatever the owner says, until `unblock`. */
  protected block(): void {
    this.#blocked = true;
    this.#channel.pause();
  }

  protected unblock(): void {
    this.#blocked = false;
    this.#read();
  }

  #message(bytes: Buffer, start: number, end: number): boolean {
    this.sink?.received(bytes, start, end);
    return !this.ended;
  }

  #receiveEarly(): void {
    const early = this.#early;
    if (early === undefined) return;
    this.#early = undefined;
    this.received(early, 0, early.length);
  }

  #keep(rest: Buffer): void {
    const { length } = this.#early ?? NOTHING;
    this.#early = Buffer.concat([this.#early ?? NOTHING, rest], length + rest.length);
  }

  /** Goes on reading, unless somebody is against it. */
  #read(): void {
    if (!this.#paused) this.#receiveEarly();
    if (this.#paused || (this.#blocked && !this.ended)) return;
    if (this.#finishedBehind && this.#early === undefined) {
      this.#finishedBehind = false;
      this.peerEnded();
    }
    this.#channel.resume();
  }
}
