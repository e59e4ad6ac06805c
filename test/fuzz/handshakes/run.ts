/** `npm run fuzz:handshakes`: fuzzes for as long as is wanted, or does one connection again. Exits with 1 when anything went wrong. */

import { parseArgs } from "node:util";
import { readPaths } from "./fuzzed-gateway.ts";
import { fuzzHandshakes, replay } from "./rounds.ts";
import { FuzzFailure } from "./stage.ts";

const USAGE = `npm run fuzz:handshakes -- [options]

  --connections N   as many connections, a third of them on each read path (30000)
  --seed N          what is drawn at random is drawn from this (each time another)
  --read-path P     on this one alone: polled, shared or ordinary
  --only N          the connection with this number, and no other; needs --read-path and --seed
  --times N         and that so often (1000)
`;

const { values } = parseArgs({
  options: {
    connections: { type: "string", default: "30000" },
    seed: { type: "string", default: `${Math.floor(Math.random() * 2 ** 31)}` },
    "read-path": { type: "string" },
    only: { type: "string" },
    times: { type: "string", default: "1000" },
    help: { type: "boolean", default: false },
  },
});

function whole(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`--${name} must be a whole number, not '${text}'`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function main(): Promise<void> {
  const seed = whole("seed", values.seed);
  const wanted = values["read-path"];
  const chosen = readPaths.filter((readPath) => wanted === undefined || readPath === wanted);
  if (chosen.length === 0) throw new Error(`--read-path must be one of ${readPaths.join(", ")}`);
  if (values.only !== undefined) {
    for (const readPath of chosen) {
      print(await replay({ readPath, seed }, whole("only", values.only), whole("times", values.times)));
    }
    return;
  }
  const connections = whole("connections", values.connections);
  print(`fuzzing with --seed ${seed}`);
  for (const readPath of chosen) {
    const share = Math.ceil(connections / chosen.length);
    const summary = await fuzzHandshakes({ readPath, seed, connections: share, report: print });
    print(JSON.stringify({ readPath, ...summary }));
  }
}

if (values.help) process.stdout.write(USAGE);
else {
  try {
    await main();
  } catch (error) {
    process.exitCode = 1;
    if (!(error instanceof FuzzFailure)) throw error;
    process.stderr.write(`${error.message}\n`);
  }
}
