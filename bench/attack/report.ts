/** The outcomes as Markdown: what honest clients noticed, and what it took of the gateway. */

import type { Attack } from "./attack.ts";
import type { AssaultResult, TargetResult } from "./attacker.ts";
import type { Moved } from "./gateway.ts";
import { isGood, type Outcome } from "./outcome.ts";
import { table, trips, whole } from "./table.ts";

/** Two tables. */
export function tables(outcomes: readonly Outcome[]): string {
  const honest = outcomes.map(({ title, before, during, losses, newcomers }) => [
    title,
    trips(before),
    trips(during),
    `${losses.messages}, ${losses.connections}`,
    `${newcomers.served} of ${newcomers.tried}`,
  ]);
  const gateway = outcomes.map(({ name, cost }) => [
    name,
    `${whole(cost.rssBeforeMiB)} → ${whole(cost.rssPeakMiB)} → ${whole(cost.rssAfterMiB)}`,
    whole(cost.socketsPeakMiB),
    `${whole(cost.cpuPercent)} %`,
    `${whole(cost.loopMaxMs)} ms`,
    moved(cost.refusals),
    moved(cost.ends),
  ]);
  const trip = "p50 / p99 / max ms";
  return [
    table(
      ["attack", `${trip} before`, `${trip} during`, "messages, connections lost", "newcomers served"],
      honest,
    ),
    "",
    table(
      ["attack", "RSS MiB before → peak → after", "sockets MiB", "CPU", "loop max", "refusals", "ends"],
      gateway,
    ),
  ].join("\n");
}

/** What the attacker achieved, in one line. */
export function achieved(attack: Attack, result: AssaultResult): string {
  const sum = (of: (target: TargetResult) => number) =>
    result.targets.reduce((total, target) => total + of(target), 0);
  const started = sum((one) => one.started);
  const cut = sum((one) => one.finishedByPeer + one.resetByPeer);
  const parts = [
    `${whole(started / result.seconds)} connections/s (${started}, ${result.openMost} at once at the most)`,
    `${cut} cut by the gateway (${sum((one) => one.resetByPeer)} by a reset)`,
    `${sum((one) => one.left)} given up by the attacker`,
    `${sum((one) => one.failed)} failed`,
  ];
  return [...parts, ...(attack.achieved === undefined ? [] : [attack.achieved(result)])].join("; ");
}

/** Whether it went well, in one line. */
export function verdictLine({
  name,
  verdict,
  losses,
  cost,
  mayGrowMiB,
  during,
  ownPauseMs,
}: Outcome): string {
  const grown = whole(cost.rssPeakMiB - cost.rssBeforeMiB);
  const ways = Object.entries(losses.why).map(([how, count]) => `${count} × ${how}`);
  const why = [...cost.linkLosses.map((loss) => `the link was lost: ${loss}`), ...ways];
  const lost = verdict.lostNothing
    ? "honest clients lost nothing"
    : `honest clients lost ${losses.messages} messages and ${losses.connections} connections (${why.join(", ")})`;
  const memory = `memory ${verdict.memoryBounded ? "bounded" : "NOT BOUNDED"}: grew by ${grown} MiB of ${mayGrowMiB} that it may`;
  const missed = verdict.missed.length === 0 ? [] : [`did not meet ${verdict.missed.join(", ")}`];
  const trip = `${during.count} round trips, own longest pause ${whole(ownPauseMs)} ms`;
  return `${isGood(verdict) ? "ok" : "NOT OK"} ${name}: ${[lost, memory, trip, ...missed].join("; ")}`;
}

function moved(counts: Moved): string {
  const parts = Object.entries(counts).map(([name, count]) => `${name} ${count}`);
  return parts.length === 0 ? "none" : parts.join(", ");
}
