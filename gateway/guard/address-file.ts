/**
 * A list of addresses in a file that is edited while the gateway runs. The file is looked at again and again
 * rather than watched, so that an edit is seen whatever way it is made: in place, by renaming a new file over it,
 * on NFS, through a bind mount. Whatever becomes of the file, the last good list stays.
 */

import { type BigIntStats, readFileSync, statSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import type { Cancel, Clock } from "../clock.ts";
import { appearance } from "../file-watch.ts";
import { AddressSet } from "./address-set.ts";
import { type Network, parseNetwork } from "./network.ts";

/** The most addresses and CIDRs that a file may have. */
export const MAX_ADDRESS_ENTRIES = 200_000;
/** The longest file that is read. */
export const MAX_ADDRESS_FILE_BYTES = 16 * 1024 * 1024;

const LOOK_EVERY_MS = 1000;
/** How a file looks that isn't there, or can't be looked at. */
const GONE = "gone";
/** How none looks. */
const NEVER = "never";

/**
 * Reads the text of a file: an IP address or a CIDR on each line. A `#` begins a comment; blank lines are
 * skipped.
 *
 * @throws Error whose message names the line, says what is wrong with it and what is wanted
 */
export function parseAddressFile(text: string): AddressSet {
  const networks: Network[] = [];
  let line = 0;
  for (const whole of text.split("\n")) {
    line++;
    const comment = whole.indexOf("#");
    // This takes away a carriage return and a byte order mark too.
    const entry = (comment === -1 ? whole : whole.slice(0, comment)).trim();
    if (entry === "") continue;
    if (networks.length === MAX_ADDRESS_ENTRIES) {
      throw new Error(`line ${line}: a file may have ${MAX_ADDRESS_ENTRIES} addresses and no more`);
    }
    try {
      networks.push(parseNetwork(entry));
    } catch (error) {
      throw new Error(`line ${line}: ${(error as Error).message}`, { cause: error });
    }
  }
  return new AddressSet(networks);
}

export interface AddressFileOptions {
  readonly path: string;
  readonly clock: Clock;
  /** There is a new list, by `reload` or because the file was edited. */
  readonly changed: (set: AddressSet) => void;
  /** The file is gone or has an error, and the list stays as it was. Told once for each edit. */
  readonly failed: (error: Error) => void;
}

export class AddressFile {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #changed: (set: AddressSet) => void;
  readonly #failed: (error: Error) => void;
  #current = AddressSet.parse([]);
  /** How the file looked when it was read, well or badly written; NEVER while it can't be. */
  #read = NEVER;
  /** How it looked the last time that it was looked at. */
  #seen = NEVER;
  /** How it looked when it was last read, or told to be unreadable. */
  #told = NEVER;
  #looking = false;
  /** Raised by whatever makes a look that is under way out of date. */
  #epoch = 0;
  #stopWatching: Cancel = () => {};

  constructor({ path, clock, changed, failed }: AddressFileOptions) {
    this.#path = path;
    this.#clock = clock;
    this.#changed = changed;
    this.#failed = failed;
  }

  /** The last good list; empty before `load`. */
  get current(): AddressSet {
    return this.#current;
  }

  /**
   * Reads the file now.
   *
   * @throws Error whose message names the file, and the line if one is bad
   */
  load(): AddressSet {
    this.#epoch++;
    this.#read = NEVER;
    this.#told = GONE;
    this.#current = this.#explained(() => {
      const stats = statSync(this.#path, { bigint: true });
      this.#told = appearance(stats);
      checkReadable(stats);
      const text = readFileSync(this.#path, "utf8");
      this.#read = this.#told;
      return parseAddressFile(text);
    });
    return this.#current;
  }

  /** Reads the file now and tells what came of it. */
  reload(): void {
    try {
      this.load();
    } catch (error) {
      this.#failed(error as Error);
      return;
    }
    this.#changed(this.#current);
  }

  /**
   * Looks at the file every second from now on. A change is read when the file has looked the same twice, so
   * that one which is being written is not read half.
   */
  watch(): void {
    this.#stopWatching();
    this.#stopWatching = this.#clock.every(LOOK_EVERY_MS, () => {
      if (this.#looking) return;
      this.#looking = true;
      void this.#look(this.#epoch).finally(() => {
        this.#looking = false;
      });
    });
  }

  /** Ends the watching; nothing is told afterwards. */
  stop(): void {
    this.#epoch++;
    this.#stopWatching();
  }

  async #look(epoch: number): Promise<void> {
    const stats = await stat(this.#path, { bigint: true }).catch((error: Error) => error);
    if (epoch !== this.#epoch) return;
    const seen = stats instanceof Error ? GONE : appearance(stats);
    const settled = seen === this.#seen;
    this.#seen = seen;
    if (!settled || seen === this.#read) return;
    const text = stats instanceof Error ? stats : await this.#readText(stats);
    if (epoch !== this.#epoch) return;
    const known = seen === this.#told;
    this.#told = seen;
    // What can't be read, for want of a descriptor perhaps, is tried again until it can.
    this.#read = text instanceof Error ? NEVER : seen;
    if (!(text instanceof Error && known)) this.#take(text);
  }

  async #readText(stats: BigIntStats): Promise<string | Error> {
    try {
      checkReadable(stats);
      return await readFile(this.#path, "utf8");
    } catch (error) {
      return error as Error;
    }
  }

  #take(text: string | Error): void {
    try {
      this.#current = this.#explained(() => {
        if (text instanceof Error) throw text;
        return parseAddressFile(text);
      });
    } catch (error) {
      this.#failed(error as Error);
      return;
    }
    this.#changed(this.#current);
  }

  /** What `read` gives; an error is thrown on with the file's name. */
  #explained(read: () => AddressSet): AddressSet {
    try {
      return read();
    } catch (error) {
      throw new Error(`the address file '${this.#path}' can't be used: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
}

/** @throws Error for what must not be read, because it may never end or is too long */
function checkReadable(stats: BigIntStats): void {
  if (!stats.isFile()) throw new Error("it is not an ordinary file");
  if (stats.size > MAX_ADDRESS_FILE_BYTES) {
    throw new Error(`it has ${stats.size} bytes, and ${MAX_ADDRESS_FILE_BYTES} are the most`);
  }
}
