/**
 * A chaos run in which two managers live all the time and the links to them do not: cut, stalled and delayed at any byte,
 * while clients talk, come and go, and are handed from one manager to the other. Nothing may be lost, doubled, reordered or
 * misdelivered.
 */

import type { TestContext } from "node:test";
import type { ManagerServer } from "../../manager-stub/index.ts";
import { Random } from "../fuzz/random.ts";
import { startManager } from "../helpers/rig.ts";
import { capacityOf } from "./account-parts.ts";
import { farewells } from "./chaos-client.ts";
import { ChaosManager } from "./chaos-manager.ts";
import type { Faults } from "./faults.ts";
import { PING_MS, Stage } from "./stage.ts";

export interface CuttingOptions {
  readonly seed: number;
  /** How many cuts there are at least, and how many clients that stay. */
  readonly cuts: number;
  readonly clients: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;
/** The managers, as the gateway knows them. */
const NAMES = ["a", "b"] as const;
/** What one manager draws at random has nothing to do with what the other does. */
const SEEDS_APART = 1000;
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
    readPath: ["auto", "shared", "ordinary"][(seed >> 4) % 3],
  };
  const { admit, ...settings } = variant;
  const managers: ManagerServer[] = [];
  const targets: { readonly name: string; readonly target: string }[] = [];
  for (const [index, name] of NAMES.entries()) {
    const { manager, link } = await startManager(t, {
      capacity: capacityOf(index + 1),
      pingMs: PING_MS,
      sendBufferBytes: 1024 * MIB,
      maxFrame: variant.maxFrame,
      admit,
    });
    managers.push(manager);
    targets.push({ name, target: link.replace("unix:", "") });
  }
  const stage = await Stage.start(t, {
    seed,
    clients,
    managers: targets,
    settings: { ...settings, managerChoice: "round-robin" },
    window: WINDOW,
    farewells: () => farewells,
  });
  const { crowd, account, faults } = stage;
  const endings: Record<string, number> = {};
  for (const manager of managers) watchEndings(manager, faults, endings);
  const logics = managers.map((server, index) => {
    const incarnation = index + 1;
    return new ChaosManager({
      server,
      incarnation,
      random: new Random(seed + 3 + SEEDS_APART * index),
      journal: account.incarnation(incarnation),
      window: WINDOW,
      maxBodyBytes: Number.POSITIVE_INFINITY,
      handsTo: NAMES[1 - index],
      skipBytes: (session) => account.skipBytes(incarnation, session),
    });
  });
  await stage.fill();
  stage.disturb();
  await stage.until(
    () => stage.cuts >= cuts,
    "the links were cut often enough",
    () => {
      crowd.pump();
      for (const logic of logics) logic.pump(1 + clients / 20 / logics.length);
    },
  );
  await stage.empty(({ id }) => (id % 4 === 0 ? "half-close" : "bye"));
  for (const manager of managers)
    faults.check(manager.sessions().next().done === true, "mistold", "a manager has sessions left");
  checkCounts(stage);
  const told = stage.finish(
    variant,
    managers.map((_manager, index) => index + 1),
  );
  return `${told}\n  links ended at the managers ${JSON.stringify(endings)}`;
}

/** What the gateway has counted is what the managers have heard. */
function checkCounts({ account, gateway, tap, faults }: Stage): void {
  const { joins, leaves, handoffs, arrivals, keeps } = account.totals;
  const { counters } = gateway;
  const told = `${counters.joins} joins told, ${joins} heard, ${arrivals} others, ${leaves} leaves`;
  faults.check(joins + arrivals === leaves && joins === counters.joins, "mistold", told);
  faults.check(counters.rejoins === 0, "mistold", `${counters.rejoins} rejoins`);
  const isDone = [handoffs, arrivals, counters.handoffs].every((count) => count === tap.handoffs);
  const done = `${tap.handoffs} handoffs: told ${handoffs} and ${arrivals}, counted ${counters.handoffs}`;
  faults.check(isDone, "mistold", done);
  const refused = `${counters.handoffsRefused} handoffs refused, ${keeps} heard of`;
  faults.check(counters.handoffsRefused === keeps, "mistold", refused);
}

/** Counts how links end at a manager, none of which may be the gateway's end. */
function watchEndings(manager: ManagerServer, faults: Faults, endings: Record<string, number>): void {
  const note = (code: string) => {
    endings[code] = (endings[code] ?? 0) + 1;
  };
  manager.on("gatewayLost", (_gateway, code) => note(code));
  manager.on("refused", (code) => note(`refused ${code}`));
  manager.on("gatewayDown", ({ ending }, code, message) => {
    if (!ending) faults.add("mistold", `the gateway was given up: ${code} ${message}`);
  });
}
