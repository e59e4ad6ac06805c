/**
 * Counts the numbered frames that were handled, and says when to acknowledge them: after so many bytes, or frames, or so
 * long after the first that was not acknowledged (docs/protocol.md, "Nothing lost when the link is cut").
 */

/** A numbered frame may wait so long for its acknowledgement, and so many of them, or bytes of them. */
export const ACK_AFTER_MS = 100;
export const ACK_AFTER_BYTES = 64 * 1024;
export const ACK_AFTER_FRAMES = 1024;

export interface AcknowledgerOptions {
  /** Sends an `Ack` for so many frames. */
  readonly send: (frames: number) => void;
  /** Calls `run` once, in `ms` milliseconds. Returns what cancels it. */
  readonly after: (ms: number, run: () => void) => () => void;
}

export class Acknowledger {
  readonly #options: AcknowledgerOptions;
  #received = 0;
  /** Bytes and frames handled since the last acknowledgement. */
  #bytes = 0;
  #frames = 0;
  #cancel: (() => void) | undefined;

  constructor(options: AcknowledgerOptions) {
    this.#options = options;
  }

  /** How many numbered frames of the epoch were handled. */
  get received(): number {
    return this.#received;
  }

  /** One more was handled whole. */
  handled(bytes: number): void {
    this.#received++;
    this.#bytes += bytes;
    this.#frames++;
    if (this.#bytes >= ACK_AFTER_BYTES || this.#frames >= ACK_AFTER_FRAMES) this.acknowledge();
    else this.#cancel ??= this.#options.after(ACK_AFTER_MS, () => this.acknowledge());
  }

  /** Acknowledges what was handled, without waiting for more. */
  acknowledge(): void {
    this.pause();
    this.#options.send(this.#received);
  }

  /** The link is gone: what was handled is told at the next registration. */
  pause(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#bytes = 0;
    this.#frames = 0;
  }

  /** A new epoch begins. */
  reset(): void {
    this.pause();
    this.#received = 0;
  }
}
