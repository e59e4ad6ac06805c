/**
 * What every chaos run stands on: a gateway that reaches its managers, each through a faulty proxy of its own, a crowd of
 * clients, and everything that watches them.
 */

import { join } from "node:path";
import type { TestContext } from "node:test";
import type { Gateway } from "../../gateway/gateway.ts";
import { Random } from "../fuzz/random.ts";
import { type Settings, startTestGateway, temporaryDirectory } from "../helpers/rig.ts";
import { until } from "../helpers/wait.ts";
import { Account } from "./account.ts";
import type { ChaosClient, Farewell } from "./chaos-client.ts";
import { Crowd, type CrowdOptions } from "./crowd.ts";
import type { FaultPlan } from "./fault-plan.ts";
import { Faults } from "./faults.ts";
import { FaultyProxy } from "./faulty-proxy.ts";
import { GatewayTap } from "./gateway-tap.ts";
import { LinkObserver } from "./link-observer.ts";
import { Patience } from "./patience.ts";
import { sumOf } from "./sum-of.ts";

/** The way to one manager. */
export interface StagedLink {
  readonly proxy: FaultyProxy;
  readonly observer: LinkObserver;
}

export interface StageOptions extends Pick<CrowdOptions, "farewells"> {
  readonly seed: number;
  /** How many clients stay to the end of the run. */
  readonly clients: number;
  /** The paths of the managers' sockets; somebody listens there. Several have a name each. */
  readonly managers: readonly { readonly name?: string; readonly target: string }[];
  /** What differs from run to run. */
  readonly settings: Settings;
  /** So many records may be on their way from a client to the manager. */
  readonly window: number;
}

/** A heartbeat that is quick enough to find a stalled link dead. */
export const PING_MS = 100;

const MIB = 1024 * 1024;
/** What one proxy draws at random has nothing to do with what the next one does. */
const SEEDS_APART = 1000;

/** What is not to happen while a run goes on, however slow the machine is. */
const NEVER_MS = 3_600_000;

/** So many are named when something goes wrong. */
const MAX_TOLD = 10;

/** Quick to dial again, slow to give up. */
const SETTINGS: Settings = {
  listen: [
    "tcp://127.0.0.1:0?name=framed&framing=u32be&maxMessageBytes=65536&proxy=v1&trusted=127.0.0.1",
    "tcp://127.0.0.1:0?name=plain&proxy=v1&trusted=127.0.0.1",
  ],
  reconnectMinMs: 1,
  reconnectMaxMs: 5,
  holdMs: NEVER_MS,
  clientBufferBytes: 256 * MIB,
  halfCloseMs: 60,
  ackTimeoutMs: NEVER_MS,
  flushTimeoutMs: NEVER_MS,
};

export class Stage {
  readonly faults: Faults;
  readonly links: readonly StagedLink[];
  readonly gateway: Gateway;
  readonly tap: GatewayTap;
  readonly crowd: Crowd;
  readonly account: Account;
  readonly #options: StageOptions;
  readonly #patience: Patience;
  readonly #began = performance.now();

  private constructor(
    t: TestContext,
    options: StageOptions,
    parts: Pick<Stage, "faults" | "links" | "gateway" | "tap">,
  ) {
    const { seed, clients, window, farewells } = options;
    const { faults, gateway, tap } = parts;
    this.#options = options;
    this.faults = faults;
    this.links = parts.links;
    this.gateway = gateway;
    this.tap = tap;
    const [framed, plain] = gateway.endpoints;
    this.crowd = new Crowd({
      random: new Random(seed + 2),
      faults,
      framedPort: framed?.port ?? 0,
      plainPort: plain?.port ?? 0,
      permanent: clients,
      visitors: Math.ceil(clients / 5),
      mayTalk: ({ id, sent }) => sent - (this.account.heardOf.get(id) ?? 0) < window,
      open: () => gateway.managers.some(({ roster }) => roster.closedFor === undefined),
      farewells,
    });
    t.after(() => this.crowd.close());
    this.account = new Account(this.crowd.clients, tap, faults);
    this.#patience = new Patience(() => {
      const { inMsgs, joins } = gateway.counters;
      const { usedCount } = gateway.sessions.table;
      return `${inMsgs} ${joins} ${usedCount} ${tap.beginnings.size} ${tap.unacknowledged}`;
    });
  }

  /** Starts everything but the manager; the links are good ones at first. */
  static async start(t: TestContext, options: StageOptions): Promise<Stage> {
    const { seed, managers, settings } = options;
    const faults = new Faults();
    const links: StagedLink[] = [];
    const manager: string[] = [];
    for (const [index, { name, target }] of managers.entries()) {
      const observer = new LinkObserver();
      const path = join(temporaryDirectory(t), "proxy.sock");
      const random = new Random(seed + 1 + SEEDS_APART * index);
      const proxy = new FaultyProxy({ path, target, random, observer });
      await proxy.listen();
      t.after(() => proxy.close());
      links.push({ proxy, observer });
      manager.push(name === undefined ? `unix:${path}` : `${name}=unix:${path}`);
    }
    const jitter = new Random(seed + 4);
    const all = { ...SETTINGS, ...settings, manager };
    const gateway = await startTestGateway(t, "", all, { random: () => jitter.next() });
    const tap = new GatewayTap(gateway, faults);
    const listens = () => gateway.managers.every(({ roster }) => roster.closedFor === undefined);
    await until(listens, "the gateway listens");
    return new Stage(t, options, { faults, links, gateway, tap });
  }

  /** From here on links are cut and hindered. */
  disturb(draw?: (random: Random) => FaultPlan): void {
    for (const { proxy } of this.links) proxy.disturb(draw);
  }

  /** From here on every link is a good one. */
  calm(): void {
    for (const { proxy } of this.links) proxy.calm();
  }

  /** How often links were cut. */
  get cuts(): number {
    return this.links.reduce((sum, { proxy }) => sum + proxy.counts.cuts, 0);
  }

  get elapsedMs(): number {
    return performance.now() - this.#began;
  }

  /** Lets the event loop turn, and has `pump` do something each time, until `done`. */
  async until(done: () => boolean, what: string, pump: () => void = () => {}): Promise<void> {
    while (!done()) {
      pump();
      this.faults.assertNone(`seed ${this.#options.seed}`);
      await this.#patience.turn(() => `${what}; ${this.#left()}, seed ${this.#options.seed}`);
    }
  }

  /** Waits until all who stay are let in. */
  async fill(): Promise<void> {
    await this.until(() => this.tap.sessions.size === this.#options.clients, "every client is let in");
  }

  /** Everybody leaves in good order; resolves when nothing is left of anybody. */
  async empty(how: (client: ChaosClient) => Farewell): Promise<void> {
    const { crowd, gateway, tap } = this;
    this.calm();
    for (const { id, closed } of crowd.permanent)
      this.faults.check(!closed, "disconnected", `client ${id} was cut off`);
    crowd.goodbye(how);
    const gone = () => gateway.sessions.table.usedCount === 0 && gateway.sessions.connectedCount === 0;
    const closed = () => crowd.clients.values().every((client) => client.closed);
    await this.until(
      () => gone() && tap.unacknowledged === 0 && gateway.managers.every(({ link }) => link.up) && closed(),
      "all have gone",
    );
  }

  /**
   * Draws up the account.
   *
   * @param variant what differs from seed to seed
   * @param living the managers that have lived to the end
   * @returns the figures
   * @throws Error that tells what went wrong
   */
  finish(variant: object, living: readonly number[]): string {
    const { faults, account, gateway } = this;
    account.finish(living);
    const { protocolErrors, unacknowledged, joins, ends } = gateway.counters;
    faults.check(protocolErrors === 0, "mistold", `${protocolErrors} protocol errors`);
    faults.check(unacknowledged === 0, "mistold", `${unacknowledged} ends were not acknowledged`);
    const cutOff = joins - ends["client-closed"] - ends["client-reset"] - ends.dropped;
    faults.check(cutOff >= 0, "miscounted", `${joins} joins, ended ${JSON.stringify(ends)}`);
    const { freed } = gateway.sessions.slotCounts();
    const { slots, freeList } = gateway.sessions.table;
    faults.check(freed === slots.length, "miscounted", `${freed} of ${slots.length} slots are free`);
    faults.check(new Set(freeList).size === freed, "miscounted", "the free list is not the free slots");
    const { seed } = this.#options;
    const told = [`seed ${seed}, ${(this.elapsedMs / 1000).toFixed(1)} s, ${JSON.stringify(variant)}`]
      .concat(this.#figures())
      .join("\n  ");
    faults.assertNone(told);
    return told;
  }

  /** Who is left, for the message that nothing goes on any more. */
  #left(): string {
    const { slots } = this.gateway.sessions.table;
    const phases = slots
      .filter(({ phase }) => phase !== "freed")
      .map(({ phase, address }) => `${address} ${phase}`);
    const open = this.crowd.clients.values().filter(({ closed }) => !closed);
    const clients = open.map(
      ({ id, leaving, ended }) => `client ${id} ${leaving ?? "stays"}${ended ? ", ended" : ""}`,
    );
    const { unacknowledged } = this.tap;
    return `slots: ${phases.slice(0, MAX_TOLD)}; ${[...clients.take(MAX_TOLD)]}; ${unacknowledged} unacknowledged`;
  }

  #figures(): string[] {
    const { tap, account, crowd, gateway, faults } = this;
    const { links, cuts, stalls, cutsBy, earlyCuts } = sumOf(this.links.map(({ proxy }) => proxy.counts));
    const { joins, rejoins, leaves, fromClients, fromClientsBytes } = account.totals;
    const { toClients, toAll, toGroups, toUsers, toMany, renames, receivedBytes } = account.totals;
    const { handoffs, keeps } = account.totals;
    const { fromGateway, fromManager, registrations } = sumOf(
      this.links.map(({ observer }) => ({ ...observer })),
    );
    const { counters } = gateway;
    const { lost, doubled, reordered, misdelivered } = faults.counts;
    const again = ({ resentFrames, frames, resentBytes }: typeof fromGateway) =>
      `sent again ${resentFrames} of ${frames} frames, ${resentBytes} bytes`;
    return [
      `links ${links}: cut ${cuts} ${JSON.stringify(cutsBy)}, of them ${earlyCuts} at once; stalled ${stalls}; ` +
        `registered ${registrations}, resumed ${tap.resumes}`,
      `links ended at the gateway ${JSON.stringify(counters.linkEnds)}; clients paused ${counters.linkPauses} times`,
      `clients ${crowd.clients.size}: joins ${joins}, rejoins ${rejoins}, leaves ${leaves}, refused ${counters.refused}; ` +
        `handed over ${handoffs}, not handed over ${keeps}, with something said behind ${tap.takenAlong}`,
      `from clients ${fromClients} records, ${fromClientsBytes} bytes; ${again(fromGateway)}`,
      `to clients ${toClients} records, and of those to all ${toAll}, to groups ${toGroups}, to users ${toUsers}, ` +
        `to many ${toMany}; names changed ${renames} times`,
      `to clients ${receivedBytes} bytes; ${again(fromManager)}`,
      `lost ${lost}, doubled ${doubled}, reordered ${reordered}, misdelivered ${misdelivered}, ` +
        `faults in all ${faults.total}`,
    ];
  }
}
