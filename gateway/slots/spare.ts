/**
 * The spare place beside the slots, for a client that finds none. It is refused politely: it gets an end of
 * the stream rather than a reset, and what it sends meanwhile is read and thrown away. While the place is
 * taken, further ones are closed at once.
 */

import type { Clock } from "../clock.ts";
import type { Refusal } from "../guard/refusal.ts";
import type { Arrival, ConnectionSink, Endable } from "../transports/connection.ts";

/** How long a refused client has to take note. */
const POLITE_MS = 1000;

export class SparePlace {
  readonly #clock: Clock;
  #taken = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Ends a client that was never opened. */
  refuse(arrival: Arrival, refusal: Refusal): void {
    if (this.#taken) {
      arrival.close();
      return;
    }
    this.#taken = true;
    let client: Endable = arrival;
    const cancel = this.#clock.after(POLITE_MS, () => client.close());
    arrival.open({
      ...deaf,
      established(connection) {
        client = connection;
        connection.finish({ reason: refusal });
      },
      closed: () => {
        cancel();
        this.#taken = false;
      },
    });
  }
}

/** Lets everything happen, and hears nothing. */
const deaf: ConnectionSink = {
  identified: () => undefined,
  presented: () => undefined,
  failed() {},
  established() {},
  received() {},
  control() {},
  faulted() {},
  leaving() {},
  finished() {},
  left() {},
  closed() {},
};
