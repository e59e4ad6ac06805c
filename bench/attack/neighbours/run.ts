/** One trial with so many clients, from the start of its gateway to its end, and what is to be thought of it. */

import { setTimeout } from "node:timers/promises";
import type { AssaultResult, Attacker } from "../attacker.ts";
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
/** What takes so many times as much memory as it may is called off, before it takes all of this machine's. */
const CALLED_OFF_TIMES = 10;
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
      ...complaintsOfMemory(trial, figures),
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
  const emptyBefore = (await stage.known()).empty;
  const rssBeforeMiB = rssMiB(pid);
  const memory = new RssPeak(pid);
  const cpuBefore = cpuMs(pid);
  const begunAt = performance.now();
  const program = attacker.start(trial.assault(stage.ports, clients), seconds, stage.attackerNiceness);
  memory.callOff(rssBeforeMiB + CALLED_OFF_TIMES * mayGrow(trial, clients), () => program.nudge());
  const assault = await program.next<AssaultResult>();
  const endedAt = performance.now();
  const cpuPercent = ((cpuMs(pid) - cpuBefore) / (endedAt - begunAt)) * 100;
  const during = await stage.noticed();
  const emptyAfter = (await stage.known()).empty;
  const held: Held[] = [];
  for (const afterMs of trial.heldAfterMs ?? []) {
    await setTimeout(Math.max(0, endedAt + afterMs - performance.now()));
    const { open } = await stage.known();
    held.push({ afterMs: performance.now() - endedAt, sessions: Math.max(0, open - HONEST) });
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
    empty: emptyAfter - emptyBefore,
    held,
    vitals,
  };
}

/** What honest clients may not have to put up with. */
function complaintsOfHonest({ quiet, during, vitals }: Figures): string[] {
  const may = Math.max(MAY_NOTICE_MS, MAY_NOTICE_TIMES * quiet.lines.p99Ms);
  const found: string[] = [];
  if (during.lines.p99Ms > may)
    found.push(`p99 ${during.lines.p99Ms.toFixed(1)} ms, and may be ${may.toFixed(1)} ms`);
  if (during.lost > 0) found.push(`${during.lost} honest clients lost their connection`);
  if (Object.keys(vitals?.linkEnds ?? {}).length > 0) found.push("the link to the manager was lost");
  if (during.wrong > 0) found.push("honest clients heard what they had not said");
  if (during.missed > 0) found.push(`${during.missed} newcomers were not served`);
  return found;
}

function complaintsOfMemory(trial: Trial, { clients, rssBeforeMiB, rssPeakMiB }: Figures): string[] {
  const grown = rssPeakMiB - rssBeforeMiB;
  const may = mayGrow(trial, clients);
  return grown > may ? [`memory grew by ${grown.toFixed(0)} MiB of ${may} that it may`] : [];
}

function mayGrow({ mayGrowMiB }: Trial, clients: number): number {
  return mayGrowMiB?.(clients) ?? Number.POSITIVE_INFINITY;
}

/** Looks again and again how much memory a process has. */
class RssPeak {
  readonly #timer: NodeJS.Timeout;
  #peakMiB = 0;
  #mostMiB = Number.POSITIVE_INFINITY;
  #over: (() => void) | undefined;

  constructor(pid: number) {
    const look = () => {
      this.#peakMiB = Math.max(this.#peakMiB, rssMiB(pid));
      if (this.#peakMiB <= this.#mostMiB) return;
      this.#over?.();
      this.#over = undefined;
    };
    look();
    this.#timer = setInterval(look, SAMPLE_MS);
  }

  /** Once it has more than `mostMiB`, `over` is called. */
  callOff(mostMiB: number, over: () => void): void {
    this.#mostMiB = mostMiB;
    this.#over = over;
  }

  /** Looks no more, and gives the most that it had, MiB. */
  stop(): number {
    clearInterval(this.#timer);
    return this.#peakMiB;
  }
}
