/**
 * The frames that are not read where they lie: cut by a read, fragments of a message, compressed, or against the rules
 * (RFC 6455, section 5). A message is gathered in one memory of its own size, unmasked, however many frames and reads it comes
 * in, so that what a client has under way takes what it has sent: a buffer for each piece would take a hundred times that.
 */

import { Gathering } from "../framing/gathering.ts";
import { Opcode } from "./ws-encoder.ts";

/** What was wrong with a frame. */
export type FrameFault = "bad-frame" | "too-big" | "too-many-frames";

/** Hears what was gathered: `bytes[0..length)`, unmasked, whose memory is its own from then on. */
export interface FrameSink {
  /** A message, whole, inflated or not. */
  messageGathered(bytes: Buffer, isBinary: boolean, isCompressed: boolean): void;
  /** A control frame. */
  controlGathered(opcode: number, payload: Buffer): void;
  /** A frame breaks the rules, and nothing behind it is read. */
  frameFaulted(fault: FrameFault): void;
}

/** A message may come in so many frames. */
const MAX_FRAGMENTS = 1024;

const FIN = 0x80;
const RSV1 = 0x40;
const RSV = 0x70;
const OPCODE = 0x0f;
const MASKED = 0x80;
const LENGTH_BITS = 0x7f;
/** In place of a length: two, or eight, bytes of length follow. */
const LENGTH_16 = 126;
const LENGTH_64 = 127;
const MASK_BYTES = 4;
const MAX_CONTROL_BYTES = 125;
const NO_PAYLOAD = Buffer.alloc(0);

export class FrameGathering {
  readonly #maxMessageBytes: number;
  readonly #inflates: boolean;
  readonly #sink: FrameSink;

  // The frame under way.

  /** Bytes of its header that have come, and how many it has in all as far as that is known. */
  #headerBytes = 0;
  #headerLength = 2;
  #first = 0;
  #payloadBytes = 0;
  readonly #mask = new Uint8Array(MASK_BYTES);
  /** Of its payload, once the header is whole. */
  #come = 0;
  #control: Gathering | undefined;

  // The message under way.

  #message: Gathering | undefined;
  /** The first byte of the first of its frames; 0: there is none. */
  #begun = 0;
  #frames = 0;
  /** What its frames before this one came to, headers included. */
  #wholeFrameBytes = 0;

  /**
   * @param maxMessageBytes the longest message that is taken, also while it is compressed
   * @param inflates whether a message may be compressed
   */
  constructor(maxMessageBytes: number, inflates: boolean, sink: FrameSink) {
    this.#maxMessageBytes = maxMessageBytes;
    this.#inflates = inflates;
    this.#sink = sink;
  }

  /** Bytes that have come of a message, or a frame, that is not whole yet. */
  get pendingBytes(): number {
    return this.#wholeFrameBytes + this.#headerBytes + this.#come;
  }

  /** Whether neither a frame nor a message is under way. */
  get isIdle(): boolean {
    return this.#headerBytes === 0 && this.#begun === 0;
  }

  /**
   * Takes `bytes[start..end)`, as far as the end of the frame that is under way or begins there: what that leads to may have
   * what follows wait.
   *
   * @returns the offset behind what was taken
   */
  take(bytes: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end && this.#headerBytes < this.#headerLength) {
      const fault = this.#takeHeader(bytes[at++] ?? 0);
      if (fault === undefined) continue;
      this.#sink.frameFaulted(fault);
      return end;
    }
    if (this.#headerBytes < this.#headerLength) return end;
    const to = Math.min(end, at + this.#payloadBytes - this.#come);
    if (to > at) this.#takePayload(bytes, at, to);
    if (this.#come === this.#payloadBytes) this.#frameEnds();
    return to;
  }

  #takeHeader(byte: number): FrameFault | undefined {
    const place = this.#headerBytes++;
    const lengthEnd = this.#headerLength - MASK_BYTES;
    if (place === 0) {
      this.#first = byte;
    } else if (place === 1) {
      if (!this.#isInOrder(byte)) return "bad-frame";
      const length = byte & LENGTH_BITS;
      const more = length === LENGTH_16 ? 2 : length === LENGTH_64 ? 8 : 0;
      this.#payloadBytes = more === 0 ? length : 0;
      this.#headerLength = 2 + more + MASK_BYTES;
    } else if (place < lengthEnd) {
      this.#payloadBytes = this.#payloadBytes * 256 + byte;
    } else {
      this.#mask[place - lengthEnd] = byte;
    }
    // Before its mask has come: what is too much is not waited for.
    return this.#headerBytes === this.#headerLength - MASK_BYTES ? this.#announced() : undefined;
  }

  /** Whether a frame that begins so may stand here. */
  #isInOrder(second: number): boolean {
    const opcode = this.#first & OPCODE;
    const rsv = this.#first & RSV;
    if (second < MASKED) return false;
    if (opcode >= Opcode.close) {
      const isKnown = opcode <= Opcode.pong;
      return isKnown && rsv === 0 && this.#first >= FIN && (second & LENGTH_BITS) <= MAX_CONTROL_BYTES;
    }
    if (opcode === Opcode.continuation) return rsv === 0 && this.#begun !== 0;
    return opcode <= Opcode.binary && this.#begun === 0 && (rsv === 0 || (rsv === RSV1 && this.#inflates));
  }

  /** The length of a frame is known. */
  #announced(): FrameFault | undefined {
    if (this.#isControl) return undefined;
    if (this.#payloadBytes + (this.#message?.length ?? 0) > this.#maxMessageBytes) return "too-big";
    if (this.#begun === 0) this.#begun = this.#first;
    this.#frames++;
    return this.#frames > MAX_FRAGMENTS ? "too-many-frames" : undefined;
  }

  get #isControl(): boolean {
    return (this.#first & OPCODE) >= Opcode.close;
  }

  #takePayload(bytes: Buffer, start: number, end: number): void {
    const gathering = this.#gathering(end - start);
    const from = gathering.length;
    gathering.append(bytes, start, end, this.#limit);
    unmask(gathering.bytes, from, gathering.length, this.#mask, this.#come);
    this.#come += end - start;
  }

  #gathering(wanted: number): Gathering {
    if (this.#isControl) {
      this.#control ??= new Gathering(wanted, this.#limit);
      return this.#control;
    }
    this.#message ??= new Gathering(wanted, this.#limit);
    return this.#message;
  }

  /** No more than this comes into what is being gathered, as far as that is known. */
  get #limit(): number {
    if (this.#isControl) return this.#payloadBytes;
    const isLast = this.#first >= FIN;
    return isLast ? (this.#message?.length ?? 0) + this.#payloadBytes - this.#come : this.#maxMessageBytes;
  }

  #frameEnds(): void {
    const frameBytes = this.#headerLength + this.#payloadBytes;
    this.#headerBytes = 0;
    this.#headerLength = 2;
    this.#come = 0;
    if (this.#isControl) {
      const payload = gathered(this.#control);
      this.#control = undefined;
      this.#sink.controlGathered(this.#first & OPCODE, payload);
    } else if (this.#first < FIN) {
      this.#wholeFrameBytes += frameBytes;
    } else {
      this.#messageEnds();
    }
  }

  #messageEnds(): void {
    const message = gathered(this.#message);
    const begun = this.#begun;
    this.#message = undefined;
    this.#begun = 0;
    this.#frames = 0;
    this.#wholeFrameBytes = 0;
    this.#sink.messageGathered(message, (begun & OPCODE) === Opcode.binary, (begun & RSV1) !== 0);
  }
}

function gathered(gathering: Gathering | undefined): Buffer {
  return gathering === undefined ? NO_PAYLOAD : gathering.bytes.subarray(0, gathering.length);
}

/** @param passed bytes of the same payload before these */
function unmask(bytes: Buffer, start: number, end: number, mask: Uint8Array, passed: number): void {
  const turn = passed - start;
  for (let i = start; i < end; i++) bytes[i] = (bytes[i] ?? 0) ^ (mask[(turn + i) & 3] ?? 0);
}
