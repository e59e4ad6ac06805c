/**
 * What the clients of a manager said behind a given frame of its link. With a handoff it goes to the manager that gets the
 * session (docs/protocol.md, "Handed to another manager"). A log is looked through once for all that are handed over in one
 * read, so that a thousand handoffs do not look a thousand times at what everybody has said.
 */

import { FromGateway, HEADER_BYTES, SESSION_BYTES } from "../../proto/frame.ts";
import type { FrameLog } from "../../proto/frame-log.ts";
import type { SaidVisitor, Unheard } from "./unacknowledged.ts";

/** There is no next one. */
const NONE = 0;

export class UnheardIndex {
  readonly #log: FrameLog;
  /** Frames of the epoch before those that are indexed, and how many were acknowledged then. */
  readonly #before: number;
  readonly #acknowledged: number;
  /** By a frame's place among the indexed ones, from 1 on: where its data begins, and the next that is of the same session. */
  readonly #starts: Uint32Array;
  readonly #next: Uint32Array;
  /** By session, its first. */
  readonly #first = new Map<number, number>();
  /** Each piece of memory, and the place of the last frame in it. */
  readonly #pieces: { readonly bytes: Buffer; last: number }[] = [];

  /** Indexes the frames of `log` behind the first `frames` of the epoch that are not acknowledged. */
  constructor(log: FrameLog, frames: number) {
    this.#log = log;
    this.#acknowledged = log.acknowledged;
    this.#before = Math.max(frames, log.acknowledged);
    const count = Math.max(0, log.appended - this.#before);
    this.#starts = new Uint32Array(count + 1);
    this.#next = new Uint32Array(count + 1);
    this.#build();
  }

  /** Whether it finds all that is in the log behind so many frames. */
  covers(frames: number): boolean {
    return (
      this.#acknowledged === this.#log.acknowledged && Math.max(frames, this.#acknowledged) >= this.#before
    );
  }

  /** What the client of a session said behind so many frames. */
  find(session: number, frames: number): Unheard {
    const received = Math.max(frames, this.#log.acknowledged);
    return { received, forEach: (visit) => this.#forEach(session, received, visit) };
  }

  #build(): void {
    const last = new Map<number, number>();
    let place = 0;
    this.#log.forEachBehind(this.#before, (type, bytes, start) => {
      place++;
      const piece = this.#pieces.at(-1);
      if (piece?.bytes === bytes) piece.last = place;
      else this.#pieces.push({ bytes, last: place });
      if (type !== FromGateway.Msg) return;
      const session = bytes.readUInt32LE(start);
      const previous = last.get(session);
      if (previous === undefined) this.#first.set(session, place);
      else this.#next[previous] = place;
      last.set(session, place);
      this.#starts[place] = start;
    });
  }

  #forEach(session: number, frames: number, visit: SaidVisitor): void {
    let piece = 0;
    let place = this.#first.get(session) ?? NONE;
    for (; place !== NONE; place = this.#next[place] ?? NONE) {
      if (this.#before + place <= frames) continue;
      while ((this.#pieces[piece]?.last ?? place) < place) piece++;
      const bytes = this.#pieces[piece]?.bytes;
      const start = this.#starts[place] ?? 0;
      if (bytes !== undefined) visit(bytes, start + SESSION_BYTES, start + dataBytes(bytes, start));
    }
    // What was said since the index was made.
    const indexed = this.#before + this.#starts.length - 1;
    this.#log.forEachBehind(Math.max(indexed, frames), (type, bytes, start, end) => {
      if (type === FromGateway.Msg && bytes.readUInt32LE(start) === session)
        visit(bytes, start + SESSION_BYTES, end);
    });
  }
}

/** The length of the frame whose data begins at `start`. */
function dataBytes(bytes: Buffer, start: number): number {
  return bytes.readUInt32LE(start - HEADER_BYTES / 2);
}
