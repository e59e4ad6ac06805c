/** Parts of `ws` that it exports and its published types leave out. */

import type { Writable } from "node:stream";

declare module "ws" {
  /** Options of a receiver. */
  interface ReceiverOptions {
    readonly isServer?: boolean;
    readonly maxPayload?: number;
    readonly maxBufferedChunks?: number;
    readonly maxFragments?: number;
    readonly extensions?: Readonly<Record<string, unknown>>;
  }

  /** Reads frames: bytes in, and `message`, `ping`, `pong`, `conclude` and `error` out. */
  export class Receiver extends Writable {
    constructor(options: ReceiverOptions);
    /** 0: it waits for a frame to begin. */
    readonly _state: number;
    readonly _bufferedBytes: number;
    /** The kind of message that more fragments are to follow of; 0: none. */
    readonly _fragmented: number;
  }

  export class PerMessageDeflate {
    static readonly extensionName: string;
    /** What was agreed with the client. */
    readonly params: { readonly server_max_window_bits?: number | true };
  }
}
