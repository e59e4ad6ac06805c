/** A place where clients arrive. */

import type { Endpoint } from "../../proto/bodies.ts";
import type { Arrival } from "./connection.ts";
import type { ListenAddress } from "./listen-address.ts";

/** Takes a client that was accepted; nothing is read of it until it is opened. Must not wait. */
export type AcceptSink = (arrival: Arrival, listener: Listener) => void;

/** What is the same for every client of a listener. */
export interface ListenerTraits {
  readonly transport: string;
  readonly name: string;
  /** What tells messages apart; see docs/protocol.md, "Framing". */
  readonly framing: string;
  readonly ticket: "off" | "first-message" | "query";
  /** A client that says nothing for this long is asked for a sign of life; 0: never. */
  readonly pingMs: number;
  /** The manager that its clients go to, where the listener decides. */
  readonly manager: string | undefined;
}

export interface Listener {
  /** As configured. */
  readonly address: ListenAddress;
  /** As configured, and once open as bound. */
  readonly endpoint: Endpoint;
  /** What a session depends on of it. */
  readonly origin: ListenerTraits;
  /** What `reload` reads. */
  readonly files: readonly string[];
  /**
   * Finds out whether it could be opened, without listening.
   *
   * @throws ListenError when the address can't be bound
   */
  tryOut(): Promise<void>;
  /**
   * Starts accepting.
   *
   * @throws ListenError when the address can't be bound
   */
  open(): Promise<void>;
  /** Stops accepting, having handed on every connection that was waiting. What was accepted lives on. */
  close(): Promise<void>;
  /**
   * Reads its files again, for the clients that come.
   *
   * @throws ConfigError when they are wrong; what was there before goes on
   */
  reload(): void;
}

/** An address could not be bound. The message says which, why, and what can be done. */
export class ListenError extends Error {
  override readonly name = "ListenError";
}
