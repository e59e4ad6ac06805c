/**
 * `npm run bench`: gateways, and what does the same work, measured side by side (docs/performance.md). Whatever
 * the end is, nothing that was started goes on, and nothing is left in the temporary directory.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Bench } from "./bench.ts";
import { build } from "./build.ts";
import { describeMachine, takeCores, takeDescriptors } from "./machine.ts";
import { type Options, readOptions, USAGE } from "./options.ts";
import { sidegate } from "./peers/sidegate.ts";
import { Processes } from "./processes.ts";
import { formatTable, formatWarnings, type ScenarioResult, writeReport } from "./report.ts";
import { scenarios } from "./scenarios/index.ts";
import type { Scenario } from "./scenarios/scenario.ts";

const ROOT = join(import.meta.dirname, "..");
const USAGE_EXIT_CODE = 2;

/** The scenarios that are wanted. */
function choose({ only }: Options): readonly Scenario[] {
  const unknown = only?.find((name) => !scenarios.some((scenario) => scenario.name === name));
  if (unknown !== undefined)
    throw new Error(`--only: '${unknown}' is none of ${scenarios.map(({ name }) => name).join(", ")}`);
  return scenarios.filter(({ name }) => only?.includes(name) ?? true);
}

function progressLine(): (text: string) => void {
  if (!process.stderr.isTTY) return () => {};
  return (text) => process.stderr.write(`\r\x1b[K${text}`);
}

function prepare(options: Options): Bench {
  const processes = new Processes();
  const directory = mkdtempSync(join(tmpdir(), "sidegate-bench-"));
  process.on("exit", () => {
    processes.killAll();
    rmSync(directory, { recursive: true, force: true });
  });
  let stopping = false;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, async () => {
      // A terminal and npm both pass on one Ctrl-C.
      if (stopping) return;
      stopping = true;
      await processes.stopAll();
      process.exit(128 + constants.signals[signal]);
    });
  }
  const { against } = options;
  return {
    options,
    processes,
    directory,
    programs: build(directory),
    cores: takeCores(),
    descriptors: takeDescriptors(),
    gateways: [
      sidegate("sidegate", ROOT),
      ...(against === undefined ? [] : [sidegate("sidegate, the other", resolve(against))]),
    ],
    progress: progressLine(),
  };
}

/** @returns the exit code */
async function measure(options: Options): Promise<number> {
  const wanted = choose(options);
  const bench = prepare(options);
  const machine = describeMachine(ROOT, bench.cores);
  const begun = performance.now();
  const { polled, modified } = machine;
  const commit = `${machine.commit}${modified ? ", modified" : ""}${polled ? "" : ", without the poller"}`;
  console.log(`${machine.cpu}, Linux ${machine.kernel}, Node.js ${machine.node}, sidegate ${commit}`);
  console.log(
    `gateway on core ${bench.cores.gateway.at(-1)}, load and back end on core ${bench.cores.load};`,
  );
  console.log(
    `${options.rounds} rounds of ${options.seconds} s, ${options.warmUpSeconds} s to warm up before each`,
  );
  const results: ScenarioResult[] = [];
  for (const { name, title, columns, measure: run } of wanted) {
    const cases = await run(bench);
    bench.progress("");
    console.log(`\n${title} (${name})\n${formatTable(cases, columns)}`);
    results.push({ name, title, cases });
  }
  const cases = results.flatMap((result) => result.cases);
  const warnings = formatWarnings(cases);
  if (warnings !== "") console.log(`\n${warnings}`);
  const { rounds, seconds, warmUpSeconds, quick } = options;
  writeReport(options.json, {
    at: new Date().toISOString(),
    machine,
    options: { rounds, seconds, warmUpSeconds, quick },
    scenarios: results,
  });
  const minutes = ((performance.now() - begun) / 60_000).toFixed(1);
  console.log(`\n${minutes} minutes; kept in ${options.json}`);
  return cases.some(({ failed }) => failed.length > 0) ? 1 : 0;
}

async function main(): Promise<number> {
  let read: ReturnType<typeof readOptions>;
  try {
    read = readOptions(process.argv.slice(2));
    choose(read.options);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${USAGE}`);
    return USAGE_EXIT_CODE;
  }
  if (read.wanted === "help") process.stdout.write(USAGE);
  if (read.wanted === "list")
    for (const { name, title } of scenarios) console.log(`${name.padEnd(10)}  ${title}`);
  if (read.wanted !== "measure") return 0;
  try {
    return await measure(read.options);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    return 1;
  }
}

process.exitCode = await main();
