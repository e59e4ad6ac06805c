/** The manager of the gateway that is fuzzed. It echoes, and in some moods drops, floods and keeps waiting whom it likes. */

import { once } from "node:events";
import { type Gateway, ManagerServer, type Session } from "../../../manager-stub/index.ts";
import { Random } from "../random.ts";

/** What it does beside echoing: nothing; it drops and floods; or it has to admit clients, and does not admit all. */
export type Mood = "calm" | "dropping" | "admitting";

export const CAPACITY = 600;

const FLOOD = Buffer.alloc(300_000, "a flood ");
const PING_MS = 1000;

export class Whims {
  /** Undefined before it has been started. */
  mood: Mood | undefined;
  readonly link: string;
  readonly #random: Random;
  #server: ManagerServer | undefined;

  constructor(link: string, seed: number) {
    this.link = link;
    this.#random = new Random(seed);
  }

  /** Starts, or starts again, in a mood. */
  async start(mood: Mood): Promise<void> {
    await this.stop();
    this.mood = mood;
    const admit = mood === "admitting";
    const server = new ManagerServer({ listen: this.link, capacity: CAPACITY, pingMs: PING_MS, admit });
    server.on("join", (session) => this.#joined(server, session));
    server.on("message", (session, payload) => this.#said(server, session, payload));
    this.#server = server;
    await server.listen();
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    await server?.close();
  }

  /** A gateway that is up. */
  async gatewayUp(): Promise<Gateway> {
    const server = this.#server;
    if (server === undefined) throw new Error("the manager is not there");
    const there = server.gateways.find(({ health }) => health === "up");
    if (there !== undefined) return there;
    const [gateway] = (await once(server, "gatewayUp")) as [Gateway];
    return gateway;
  }

  #joined(server: ManagerServer, session: Session): void {
    const random = this.#random;
    if (this.mood === "calm") return;
    const kind = random.below(20);
    if (this.mood === "admitting") {
      if (kind < 13) server.admit(session);
      else if (kind < 15) setImmediate(() => server.admit(session));
      else if (kind < 19) this.#drop(server, session);
      return;
    }
    if (kind < 2) server.send(session, FLOOD.subarray(0, 60_000));
    if (kind < 1) server.send(session, FLOOD);
    if (kind < 4) this.#drop(server, session);
  }

  #said(server: ManagerServer, session: Session, payload: Buffer): void {
    server.send(session, payload);
    if (this.mood === "dropping" && this.#random.chance(0.2)) this.#drop(server, session);
  }

  #drop(server: ManagerServer, session: Session): void {
    const random = this.#random;
    const discard = random.chance(0.5);
    const banMs = random.chance(0.05) ? 20 : undefined;
    server.drop(session, { discard, reason: "on a whim", code: random.pick([undefined, 4000]), banMs });
  }
}
