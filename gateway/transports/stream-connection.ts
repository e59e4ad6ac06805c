/**
 * A connection whose client is a stream of bytes: raw, or cut into messages by a framing. When it is read, and what
 * becomes of what was read and can't be received yet, is decided here; the bytes come and go by its channel.
 */

import type { Encoder } from "../framing/encoder.ts";
import type { Framing, MessageDecoder, MessageSink } from "../framing/framing.ts";
import type { Channel, ChannelSink } from "./channel.ts";
import type { Arrival, Connection, ConnectionSink, Farewell } from "./connection.ts";
import { type ClientDetails, NO_DETAILS } from "./details.ts";
import { PendingInput } from "./pending-input.ts";

/**
 * A client that is paused and watched is read on until so much of it waits: its end may stand behind that, and not every
 * channel tells of an end that it does not read.
 */
export const MAX_WATCHED_BYTES = 64 * 1024;

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

/** `open`: all is read. `paused`: its owner takes nothing. `watched`: likewise, and its end is looked out for. */
type Reading = "open" | "paused" | "watched";

/** What has come of the channel behind what is pending. */
type Behind = "nothing" | "finished" | "gone";

export class StreamConnection implements Arrival, Connection, ChannelSink {
  // What each message touches stands together, as in a slot.

  protected sink: ConnectionSink | undefined;
  readonly #channel: Channel;
  readonly #framed: Framed | undefined;
  #reading: Reading = "open";
  /** This side has ended it: what the client still says is not received. */
  protected ended = false;

  readonly address: string;
  readonly port: number;
  readonly details: ClientDetails;

  #faulted = false;
  /** What was received has to be worked off first. */
  #blocked = false;
  /** Messages are being looked for: what resumes the connection meanwhile changes whether that goes on. */
  #decoding = false;
  /** What was read and is not yet received. */
  #pending: PendingInput | undefined;
  #behind: Behind = "nothing";
  /** Why the channel is gone. */
  #error: NodeJS.ErrnoException | undefined;
  /** Bytes that came too late to be sent. */
  protected discardedBytes = 0;
  readonly #deliver: MessageSink | undefined;

  /** @param channel nothing was read of it yet */
  constructor(channel: Channel, { address, port, details, early }: StreamClient, framed?: Framed) {
    this.address = address;
    this.port = port;
    this.details = details ?? NO_DETAILS;
    this.#framed = framed;
    if (framed !== undefined) this.#deliver = (bytes, start, end) => this.#message(bytes, start, end);
    if (early !== undefined && early.length > 0) this.#pending = new PendingInput(early, 0, early.length);
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
    return this.#channel.queuedBytes + this.discardedBytes;
  }

  get pendingBytes(): number {
    return this.#framed?.decoder.pendingBytes ?? 0;
  }

  open(sink: ConnectionSink): void {
    this.sink = sink;
    sink.established(this);
    if (this.#reading === "open") this.#read();
  }

  // For the channel.

  received(bytes: Buffer, start: number, end: number): void {
    if (this.#pending !== undefined || !this.wantsMore) {
      this.#keep(bytes, start, end);
      return;
    }
    const taken = this.#decode(bytes, start, end);
    if (taken < end) this.#keep(bytes, taken, end);
  }

  peerFinished(): void {
    if (this.#isWorkedOff) this.peerEnded();
    else this.#isBehind("finished");
  }

  peerFinishing(): void {
    if (!this.ended) this.sink?.leaving(false);
  }

  gone(error: NodeJS.ErrnoException | undefined): void {
    this.#error = error;
    if (this.#isWorkedOff) this.#leave();
    else this.#isBehind("gone");
  }

  // For its owner.

  write(bytes: Buffer): boolean {
    if (this.#behind !== "gone") return this.#channel.write(bytes);
    this.discardedBytes += bytes.length;
    return true;
  }

  ping(): void {}

  pause(watched = false): void {
    this.#reading = watched ? "watched" : "paused";
    const needsReading = watched && !this.#channel.tellsOfEnds && !this.#hasEnoughPending;
    if (needsReading && !this.#blocked) this.#channel.resume();
    else this.#channel.pause();
  }

  resume(): void {
    this.#reading = "open";
    this.#read();
  }

  lookForEnd(): void {
    if (this.#reading !== "open" && this.#behind !== "gone") this.#channel.lookForEnd();
  }

  finish(_farewell: Farewell): void {
    this.#end();
    this.#channel.finish();
  }

  reset(): void {
    this.#end();
    this.#channel.reset();
  }

  close(): void {
    this.#end();
    this.#channel.close();
  }

  // For those who read messages.

  /** Everything that the client sent was received, and nothing more comes. */
  protected peerEnded(): void {
    if (this.#channel.halfCloses) this.sink?.finished();
    else this.sink?.left();
  }

  /** Sends what is queued, then closes, without waiting for the client. */
  protected finishAndClose(): void {
    this.#end();
    this.#channel.finish(true);
  }

  /** Whether a message would be received now. */
  protected get wantsMore(): boolean {
    return this.#reading === "open" && !this.#blocked && !this.ended;
  }

  /**
   * Looks for messages in `bytes[start..end)`, which are valid during the call, for as long as more are wanted.
   *
   * @returns the offset behind what was taken
   */
  protected decode(bytes: Buffer, start: number, end: number): number {
    if (this.#framed === undefined || this.#deliver === undefined) {
      this.sink?.received(bytes, start, end);
      return end;
    }
    if (this.#faulted) return end;
    const taken = this.#framed.decoder.push(bytes, start, end, this.#deliver);
    if (typeof taken === "number") return taken;
    this.#faulted = true;
    if (!this.ended) this.sink?.faulted(taken);
    return end;
  }

  /** What was read, or may be received now, has been looked at. */
  protected decoded(): void {}

  /** Receives nothing, whatever the owner says, until `unblock`. */
  protected block(): void {
    this.#blocked = true;
    this.#channel.pause();
  }

  protected unblock(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    // Its end was not looked out for meanwhile.
    if (this.#reading === "watched") this.pause(true);
    else this.#read();
  }

  #message(bytes: Buffer, start: number, end: number): boolean {
    this.sink?.received(bytes, start, end);
    return this.wantsMore;
  }

  #decode(bytes: Buffer, start: number, end: number): number {
    this.#decoding = true;
    let at = start;
    // Who was paused and resumed by what it said is gone on with here.
    while (at < end && this.wantsMore) at = this.decode(bytes, at, end);
    this.#decoding = false;
    this.decoded();
    return at;
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    if (this.ended) return;
    if (this.#pending === undefined) this.#pending = new PendingInput(bytes, start, end);
    else this.#pending.append(bytes, start, end);
    if (this.#hasEnoughPending) this.#channel.pause();
  }

  get #hasEnoughPending(): boolean {
    return this.#pending !== undefined && this.#pending.length >= MAX_WATCHED_BYTES;
  }

  /** Whether nothing that was read is yet to be received. */
  get #isWorkedOff(): boolean {
    return this.ended || (this.#pending === undefined && !this.#blocked);
  }

  #isBehind(behind: Behind): void {
    this.#behind = behind;
    this.sink?.leaving(behind === "gone");
  }

  /** Receives what was kept, as far as it is wanted. */
  #workOff(): void {
    const pending = this.#pending;
    if (pending === undefined) return;
    if (!this.ended) pending.start = this.#decode(pending.bytes, pending.start, pending.end);
    if (this.ended || pending.length === 0) this.#pending = undefined;
  }

  /** Goes on reading, unless somebody is against it. */
  #read(): void {
    if (!this.#decoding) this.#workOff();
    if (this.#reading !== "open" || (this.#blocked && !this.ended)) return;
    if (this.#isWorkedOff) this.#takeWhatIsBehind();
    this.#channel.resume();
  }

  #takeWhatIsBehind(): void {
    const behind = this.#behind;
    // It stays gone: it can't be written to any more.
    if (behind === "gone") process.nextTick(() => this.#leave());
    if (behind !== "finished") return;
    this.#behind = "nothing";
    this.peerEnded();
  }

  #end(): void {
    this.ended = true;
    if (this.#behind === "gone") process.nextTick(() => this.#leave());
  }

  /** It is told once: what is still being worked off is nobody's any more, and its sink may serve another client soon. */
  #leave(): void {
    const { sink } = this;
    this.sink = undefined;
    this.#pending = undefined;
    sink?.closed(this.#error);
  }
}
