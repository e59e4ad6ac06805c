/** One trial with so many clients, from the start of its gateway to its end, and what is to be thought of it. */

import { setTimeout } from "node:timers/promises";
import type { Attacker } from "../attacker.ts";
import { cpuMs, rssMiB } from "../kernel.ts";
import { HONEST, Stage, type Troupe } from "./stage.ts";
import type { Figures, Held, Trial } from "./trial.ts";

export interface TrialOutcome {
  readonly name: string;
  readonly title: string;
  readonly figures: Figures;
  /** What it says of itself; empty: nothing. */
  readonly says: string;
  /** What is wrong; empty: nothing. */
  readonly complaints: readonly string[];
}

/** How long it is quiet before an attack, at the most. */
const QUIET_SECONDS = 5;
/** A gateway has just started, and runs slowly at first. */
const WARM_MS = 2000;
/** How much of an attack honest clients may notice: so many times what is usual, or so much. */
const MAY_NOTICE_TIMES = 4;
const MAY_NOTICE_MS = 25;
const SAMPLE_MS = 50;

/**
 * Carries a trial out.
 *
 * @param seconds how long the attack goes on
 */
export async function carryOutTrial(
  trial: Trial,
  clients: number,
  seconds: number,
  attacker: Attacker,
  troupe: Troupe,
): Promise<TrialOutcome> {
  const stage = await Stage.start(troupe, trial.settings ?? {});
  const figures = await attack(trial, clients, seconds, attacker, stage);
  await stage.stop();
  return {
    name: trial.name,
    title: trial.title(clients),
    figures,
    says: trial.says?.(figures) ?? "",
    complaints: [
      ...complaintsOfHonest(figures),
      ...memory(trial, figures),
      ...(trial.complaints?.(figures) ?? []),
    ],
  };
}

async function attack(
  trial: Trial,
  clients: number,
  seconds: number,
  attacker: Attacker,
  stage: Stage,
): Promise<Figures> {
  const { pid } = stage.gateway;
  await setTimeout(WARM_MS);
  await stage.noticed();
  await setTimeout(Math.min(seconds, QUIET_SECONDS) * 1000);
  const quiet = await stage.noticed();
  const toldBefore = (await stage.known()).messages;
  const rssBeforeMiB = rssMiB(pid);
  const memory = new RssPeak(pid);
  const cpuBefore = cpuMs(pid);
  const begunAt = performance.now();
  const assault = await attacker.run(trial.assault(stage.ports, clients), seconds);
  const endedAt = performance.now();
  const cpuPercent = ((cpuMs(pid) - cpuBefore) / (endedAt - begunAt)) * 100;
  const during = await stage.noticed();
  const toldAfter = (await stage.known()).messages;
  const held: Held[] = [];
  for (const afterMs of trial.slotsAfterMs ?? []) {
    await setTimeout(endedAt + afterMs - performance.now());
    held.push({ afterMs, slots: heldSlots((await stage.known()).vitals) });
  }
  const { vitals } = await stage.knownNext();
  const rssPeakMiB = memory.stop();
  return {
    clients,
    assault,
    quiet,
    during,
    cpuPercent,
    rssBeforeMiB,
    rssPeakMiB,
    told: toldAfter - toldBefore - (during.lines.count - during.waiting) - during.served,
    held,
    vitals,
  };
}

/** Slots that are taken beside those of the honest clients. */
function heldSlots(vitals: Figures["vitals"]): number {
  const { starting = 0, inUse = 0, stopping = 0 } = vitals?.slots ?? {};
  return Math.max(0, starting + inUse + stopping - HONEST);
}

/** What honest clients may not have to put up with. */
function complaintsOfHonest({ quiet, during }: Figures): string[] {
  const may = Math.max(MAY_NOTICE_MS, MAY_NOTICE_TIMES * quiet.lines.p99Ms);
  const found: string[] = [];
  if (during.lines.p99Ms > may)
    found.push(`p99 ${during.lines.p99Ms.toFixed(1)} ms, and may be ${may.toFixed(1)} ms`);
  if (during.lost > 0) found.push(`${during.lost} honest clients lost their connection`);
  if (during.wrong > 0) found.push("honest clients heard what they had not said");
  if (during.missed > 0) found.push(`${during.missed} newcomers were not served`);
  return found;
}

function memory({ mayGrowMiB }: Trial, { clients, rssBeforeMiB, rssPeakMiB }: Figures): string[] {
  const grown = rssPeakMiB - rssBeforeMiB;
  const may = mayGrowMiB?.(clients) ?? Number.POSITIVE_INFINITY;
  return grown > may ? [`memory grew by ${grown.toFixed(0)} MiB of ${may} that it may`] : [];
}

/** Looks again and again how much memory a process has. */
class RssPeak {
  readonly #timer: NodeJS.Timeout;
  #peakMiB = 0;

  constructor(pid: number) {
    const look = () => {
      this.#peakMiB = Math.max(this.#peakMiB, rssMiB(pid));
    };
    look();
    this.#timer = setInterval(look, SAMPLE_MS);
  }

  /** Looks no more, and gives the most that it had, MiB. */
  stop(): number {
    clearInterval(this.#timer);
    return this.#peakMiB;
  }
}
