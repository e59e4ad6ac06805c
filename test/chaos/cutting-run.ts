/**
 * A chaos run in which one manager lives all the time and the link to it does not: cut, stalled and delayed at any byte,
 * while clients talk, come and go. Nothing may be lost, doubled, reordered or misdelivered.
 */

import type { TestContext } from "node:test";
import type { ManagerServer } from "../../manager-stub/index.ts";
import { Random } from "../fuzz/random.ts";
import { startManager } from "../helpers/rig.ts";
import { farewells } from "./chaos-client.ts";
import { ChaosManager } from "./chaos-manager.ts";
import type { Faults } from "./faults.ts";
import { capacityOf } from "./incarnation.ts";
import { PING_MS, Stage } from "./stage.ts";

export interface CuttingOptions {
  readonly seed: number;
  /** How many cuts there are at least, and how many clients that stay. */
  readonly cuts: number;
  readonly clients: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;
/** So many records may be on their way each way between a client and the manager. */
const WINDOW = 16;

/** @returns what was seen, in words */
export async function runCutting(t: TestContext, { seed, cuts, clients }: CuttingOptions): Promise<string> {
  // Seeds that follow each other have other limits each, all together in all ways.
  const variant = {
    retainBytes: seed % 2 === 0 ? MIB : 32 * MIB,
    maxFrame: (seed >> 1) % 2 === 0 ? 64 * KIB : MIB,
    admit: (seed >> 2) % 2 === 0,
    linkBufferBytes: (seed >> 3) % 2 === 0 ? 64 * KIB : 4 * MIB,
  };
  const { admit, ...settings } = variant;
  const { manager, link } = await startManager(t, {
    capacity: capacityOf(1),
    pingMs: PING_MS,
    sendBufferBytes: 1024 * MIB,
    maxFrame: variant.maxFrame,
    admit,
  });
  const target = link.replace("unix:", "");
  const stage = await Stage.start(t, {
    seed,
    clients,
    target,
    settings,
    window: WINDOW,
    farewells: () => farewells,
  });
  const { proxy, crowd, account, faults } = stage;
  const endings = watchEndings(manager, faults);
  const logic = new ChaosManager({
    server: manager,
    incarnation: 1,
    random: new Random(seed + 3),
    journal: account.incarnation(1),
    window: WINDOW,
    maxBodyBytes: Number.POSITIVE_INFINITY,
  });
  await stage.fill();
  proxy.disturb();
  await stage.until(
    () => proxy.counts.cuts >= cuts,
    "the links were cut often enough",
    () => {
      crowd.pump();
      logic.pump(1 + clients / 20);
    },
  );
  await stage.empty(({ id }) => (id % 4 === 0 ? "half-close" : "bye"));
  faults.check(manager.sessions().next().done === true, "mistold", "the manager has sessions left");
  const { joins, leaves } = account.totals;
  const { counters } = stage.gateway;
  const told = `${counters.joins} joins told, ${joins} heard, ${leaves} leaves`;
  faults.check(joins === leaves && joins === counters.joins, "mistold", told);
  faults.check(counters.rejoins === 0, "mistold", `${counters.rejoins} rejoins`);
  return `${stage.finish(variant)}\n  links ended at the manager ${JSON.stringify(endings)}`;
}

/** Counts how links end at the manager, none of which may be the gateway's end. */
function watchEndings(manager: ManagerServer, faults: Faults): Record<string, number> {
  const endings: Record<string, number> = {};
  const note = (code: string) => {
    endings[code] = (endings[code] ?? 0) + 1;
  };
  manager.on("gatewayLost", (_gateway, code) => note(code));
  manager.on("refused", (code) => note(`refused ${code}`));
  manager.on("gatewayDown", ({ ending }, code, message) => {
    if (!ending) faults.add("mistold", `the gateway was given up: ${code} ${message}`);
  });
  return endings;
}
