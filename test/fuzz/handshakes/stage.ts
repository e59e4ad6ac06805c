/** A gateway with its manager, and nobody else: what one life of the fuzzed gateway takes place on. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { FuzzedGateway, type ReadPathName } from "./fuzzed-gateway.ts";
import type { Account } from "./gateway-program.ts";
import { HonestClient } from "./honest.ts";
import { listeners } from "./listeners.ts";
import { type Mood, Whims } from "./whims.ts";

export interface StageOptions {
  readonly readPath: ReadPathName;
  readonly seed: number;
  /** The gateway may have so many open files; as many as this process unless it is set. */
  readonly maxFiles?: number | undefined;
}

/** So long the gateway has to be rid of everybody: its deadlines are far shorter. */
const SETTLE_MS = 20_000;
const LOOK_AGAIN_MS = 10;

const served = listeners.filter(({ isBarred }) => !isBarred);

/** What went wrong, as somebody has to be told. */
export class FuzzFailure extends Error {
  override readonly name = "FuzzFailure";
}

export class Stage {
  readonly gateway: FuzzedGateway;
  readonly whims: Whims;
  readonly #directory: string;
  /** Open files of the gateway while nobody is there. */
  #ownDescriptors = Number.POSITIVE_INFINITY;

  private constructor({ readPath, seed, maxFiles }: StageOptions) {
    this.#directory = mkdtempSync(join(tmpdir(), "sidegate-fuzz-"));
    const link = `unix:${join(this.#directory, "manager.sock")}`;
    this.whims = new Whims(link, seed);
    this.gateway = new FuzzedGateway({ readPath, link, directory: this.#directory, maxFiles });
  }

  /** A gateway that is up, with a manager in this mood. */
  static async open(options: StageOptions, mood: Mood = "calm"): Promise<Stage> {
    const stage = new Stage(options);
    try {
      await stage.inMood(mood);
      const account = await stage.gateway.account();
      stage.#ownDescriptors = account?.descriptors ?? 0;
      return stage;
    } catch (error) {
      await stage.close();
      throw error;
    }
  }

  /** The manager is in this mood, and the gateway is up with it. */
  async inMood(mood: Mood): Promise<void> {
    if (this.whims.mood !== mood) await this.whims.start(mood);
    const up = await Promise.race([this.whims.gatewayUp(), this.gateway.exited]);
    if (up === undefined) throw this.#died();
    this.gateway.bound(up.endpoints);
  }

  /** One honest client for each listener, all of them served. */
  welcome(): Promise<HonestClient[]> {
    return Promise.all(
      served.map((listener, nth) =>
        HonestClient.served(listener, this.gateway.placeOf(listener), `127.0.2.${nth + 1}`),
      ),
    );
  }

  /** Waits until the gateway holds nothing of anybody. */
  async settle(collected = false): Promise<Account> {
    const end = performance.now() + SETTLE_MS;
    for (;;) {
      const account = await this.gateway.account(collected);
      if (account === undefined) throw this.#died();
      if (this.#isEmpty(account)) return account;
      if (performance.now() > end) {
        const { connected, taken, slots, counted, addresses, descriptors } = account;
        const held = JSON.stringify({ connected, taken, slots, counted, addresses, descriptors });
        throw new FuzzFailure(
          `everybody has gone, and the gateway still holds ${held} (${this.#ownDescriptors} files are its own)`,
        );
      }
      await sleep(LOOK_AGAIN_MS);
    }
  }

  /** The gateway lives, and has nothing to complain of. */
  check(): void {
    if (this.gateway.exit !== undefined) throw this.#died();
    this.#checkSilence();
  }

  /** The gateway has ended, in good order. */
  async untilDrained(): Promise<void> {
    const ended = await Promise.race([
      this.gateway.exited.then(() => true),
      sleep(SETTLE_MS, false, { ref: false }),
    ]);
    if (!ended) throw new FuzzFailure("the gateway was asked to end, and does not");
    if (this.gateway.exit !== 0) throw this.#died();
    this.#checkSilence();
  }

  async close(): Promise<void> {
    await this.gateway.close();
    await this.whims.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #isEmpty({ connected, taken, counted, addresses, descriptors }: Account): boolean {
    return connected + taken + counted + addresses === 0 && descriptors <= this.#ownDescriptors;
  }

  /** Not a warning of Node's, and no error in the log. */
  #checkSilence(): void {
    const said = [this.gateway.stderr, ...this.gateway.errors].filter((text) => text !== "").join("\n");
    if (said !== "") throw new FuzzFailure(`the gateway has said: ${said}`);
  }

  #died(): FuzzFailure {
    return new FuzzFailure(`the gateway has ended (${this.gateway.exit}): ${this.gateway.stderr}`);
  }
}
