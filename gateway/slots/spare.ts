/**
 * The spare place beside the slots, for a client that finds none. It is refused politely: it gets an end of
 * the stream rather than a reset, and what it sends meanwhile is read and thrown away. While the place is
 * taken, further ones are closed at once.
 */

import type { Clock } from "../clock.ts";
import type { Connection, ConnectionSink } from "../transports/connection.ts";

/** How long a refused client has to take note. */
const POLITE_MS = 1000;

export class SparePlace {
  readonly #clock: Clock;
  #taken = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Ends a connection that was never opened. */
  refuse(connection: Connection): void {
    if (this.#taken) {
      connection.open(deaf);
      connection.close();
      return;
    }
    this.#taken = true;
    const cancel = this.#clock.after(POLITE_MS, () => connection.close());
    connection.open({
      ...deaf,
      closed: () => {
        cancel();
        this.#taken = false;
      },
    });
    connection.finish();
  }
}

const deaf: ConnectionSink = {
  received() {},
  finished() {},
  closed() {},
};
