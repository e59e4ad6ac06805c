/** A place where clients arrive. */

import type { Endpoint } from "../../proto/bodies.ts";
import type { Connection } from "./connection.ts";

/** Takes a connection that was accepted; it reads nothing until it is opened. Must not wait. */
export type AcceptSink = (connection: Connection, listener: Listener) => void;

export interface Listener {
  /** As configured, and once open as bound. */
  readonly endpoint: Endpoint;
  /**
   * Starts accepting.
   *
   * @throws ListenError when the address can't be bound
   */
  open(): Promise<void>;
  /** Stops accepting, having handed on every connection that was waiting. What was accepted lives on. */
  close(): Promise<void>;
}

/** An address could not be bound. The message says which, why, and what can be done. */
export class ListenError extends Error {
  override readonly name = "ListenError";
}
