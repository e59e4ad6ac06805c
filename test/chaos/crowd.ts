/** The clients of a chaos run: some stay to its end, others come and go all the time. */

import type { Random } from "../fuzz/random.ts";
import { ChaosClient, type Farewell } from "./chaos-client.ts";
import type { Faults } from "./faults.ts";

export interface CrowdOptions {
  readonly random: Random;
  readonly faults: Faults;
  /** The ports of the listeners whose clients say how long each message is, and of those who do not. */
  readonly framedPort: number;
  readonly plainPort: number;
  readonly permanent: number;
  /** How many visitors there are at once at most. */
  readonly visitors: number;
  /** Whether a client may say more: no more is to be on its way than can be taken. */
  readonly mayTalk: (client: ChaosClient) => boolean;
  /** Whether the gateway lets anybody in at the moment; some come all the same. */
  readonly open: () => boolean;
  /** How a visitor may leave. */
  readonly farewells: (framed: boolean) => readonly Farewell[];
}

/** A third of the clients have no framing. */
const PLAIN_SHARE = 1 / 3;
/** A visitor says so many records at most. */
const MAX_VISIT = 60;
const RECORDS_FOR_EACH_VISIT = 15;
/** So many of those come who find nobody to let them in. */
const IN_VAIN_SHARE = 0.2;
/** Bodies: mostly small, some large, few very large; a framed message has to fit in one frame of 64 KiB. */
const SMALL_BYTES = 300;
const LARGE_BYTES = 8 * 1024;
const HUGE_FRAMED_BYTES = 60 * 1024;
const HUGE_BYTES = 150 * 1024;

/** How large a body is to be. */
export function bodyBytes(random: Random, framed: boolean): number {
  const draw = random.below(1000);
  if (draw < 2) return random.below(framed ? HUGE_FRAMED_BYTES : HUGE_BYTES);
  return random.below(draw < 40 ? LARGE_BYTES : SMALL_BYTES);
}

export class Crowd {
  /** Everybody who ever was there, by number. */
  readonly clients = new Map<number, ChaosClient>();
  readonly permanent: ChaosClient[] = [];
  #visitors: { readonly client: ChaosClient; left: number }[] = [];
  readonly #options: CrowdOptions;
  #said = 0;
  #visits = 0;

  constructor(options: CrowdOptions) {
    this.#options = options;
    for (let i = 0; i < options.permanent; i++) this.permanent.push(this.#enter(true));
  }

  /** Has some of them say something, some leave and some come. */
  pump(): void {
    const { random, visitors, farewells, open } = this.#options;
    for (let i = 0; i < 1 + this.permanent.length / 20; i++) this.#say(random.pick(this.permanent));
    this.#visitors = this.#visitors.filter(({ client }) => !client.closed && client.leaving === undefined);
    if (this.#visitors.length < visitors && this.#said > this.#visits * RECORDS_FOR_EACH_VISIT) {
      this.#visits++;
      if (open() || random.chance(IN_VAIN_SHARE))
        this.#visitors.push({ client: this.#enter(false), left: random.below(MAX_VISIT) });
    }
    if (this.#visitors.length === 0) return;
    const visitor = random.pick(this.#visitors);
    if (visitor.left-- > 0) this.#say(visitor.client);
    else visitor.client.leave(random.pick(farewells(visitor.client.framed)));
  }

  /** All who are left go. */
  goodbye(how: (client: ChaosClient) => Farewell): void {
    for (const client of this.clients.values()) client.leave(how(client));
  }

  /** Cuts off whoever is left. */
  close(): void {
    for (const client of this.clients.values()) client.destroy();
  }

  #say(client: ChaosClient): void {
    const { random, mayTalk } = this.#options;
    for (let n = random.below(3); n >= 0 && client.talks && mayTalk(client); n--) {
      client.say(bodyBytes(random, client.framed));
      this.#said++;
    }
  }

  #enter(permanent: boolean): ChaosClient {
    const { random, framedPort, plainPort, faults } = this.#options;
    const framed = !random.chance(PLAIN_SHARE);
    const id = this.clients.size + 1;
    const client = new ChaosClient(id, framed ? framedPort : plainPort, framed, permanent, faults);
    this.clients.set(id, client);
    return client;
  }
}
