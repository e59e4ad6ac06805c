/**
 * Honest clients that come while an attack is on: each connects from an address of its own, says a word, hears it, and
 * goes. Not all may be let in: a limit on all arrivals can't tell them from attackers. How many are is what they
 * tell.
 */

import { dial } from "./dial.ts";
import { makeMessage } from "./message.ts";

export interface NewcomerFigures {
  readonly tried: number;
  readonly served: number;
}

const RATE = 10;
/** One that has heard nothing after this long was not served. */
const TIMEOUT_MS = 5000;
const ADDRESSES = 4096;
/** The numbers of their messages are nobody else's. */
const FIRST_NUMBER = 1_000_000;

export class Newcomers {
  readonly #port: number;
  readonly #open = new Set<Promise<boolean>>();
  #timer: NodeJS.Timeout | undefined;
  #tried = 0;
  #served = 0;
  #count = 0;

  constructor(port: number) {
    this.#port = port;
  }

  /** Begins to count anew. */
  start(): void {
    this.#tried = 0;
    this.#served = 0;
    this.#timer = setInterval(() => this.#come(), 1000 / RATE);
  }

  /** Lets nobody come any more, and waits for those who did. */
  async stop(): Promise<NewcomerFigures> {
    clearInterval(this.#timer);
    await Promise.all(this.#open);
    return { tried: this.#tried, served: this.#served };
  }

  async #come(): Promise<void> {
    this.#tried++;
    const visit = this.#visit(this.#count++);
    this.#open.add(visit);
    if (await visit) this.#served++;
    this.#open.delete(visit);
  }

  #visit(count: number): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const place = count % ADDRESSES;
    const word = makeMessage(FIRST_NUMBER + count, 1);
    const wire = dial("stream", this.#port, `127.2.${place >> 8}.${place & 0xff}`, {
      opened: () => wire.send(word),
      message(message) {
        if (!message.equals(word)) return;
        resolve(true);
        wire.close();
      },
      closed: () => resolve(false),
    });
    const timer = setTimeout(() => wire.close(), TIMEOUT_MS);
    return promise.finally(() => clearTimeout(timer));
  }
}
