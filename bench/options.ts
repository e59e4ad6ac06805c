/** The command line of the measurements. */

import { parseArgs } from "node:util";

export interface Options {
  /** Names of the scenarios to measure; undefined: all. */
  readonly only: readonly string[] | undefined;
  /** Parts of the names of those that are measured beside sidegate; undefined: all. */
  readonly peers: readonly string[] | undefined;
  /** How often each figure is taken. */
  readonly rounds: number;
  /** How long each takes, and how long it warms up before. */
  readonly seconds: number;
  readonly warmUpSeconds: number;
  /** Fewer sizes, for a first impression. */
  readonly quick: boolean;
  /** Where the figures are kept. */
  readonly json: string;
  /** Another checkout whose gateway is measured beside this one's. */
  readonly against: string | undefined;
}

export const USAGE = `npm run bench -- [options]

  --only a,b       measure these scenarios only
  --peers a,b      beside sidegate only these, by a part of their names; '--peers=' alone: none
  --rounds N       how often each figure is taken (3; quick: 1)
  --seconds N      how long each takes (2; quick: 0.5)
  --warm-up N      seconds before it (0.8; quick: 0.4)
  --quick          fewer sizes and short rounds: a first impression
  --json FILE      where the figures are kept (run/bench.json)
  --against DIR    measure the gateway of another checkout beside this one's
  --list           list the scenarios
`;

/** What is wanted instead of a measurement. */
export type Wanted = "help" | "list" | "measure";

/**
 * Reads the arguments.
 *
 * @throws Error that says which is wrong
 */
export function readOptions(args: readonly string[]): { wanted: Wanted; options: Options } {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string" },
      peers: { type: "string" },
      rounds: { type: "string" },
      seconds: { type: "string" },
      "warm-up": { type: "string" },
      quick: { type: "boolean", default: false },
      json: { type: "string", default: "run/bench.json" },
      against: { type: "string" },
      list: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const { quick } = values;
  const rounds = positive("rounds", values.rounds, quick ? 1 : 3);
  if (!Number.isInteger(rounds)) throw new Error(`--rounds must be a whole number, not ${rounds}`);
  return {
    wanted: values.help ? "help" : values.list ? "list" : "measure",
    options: {
      only: values.only?.split(","),
      peers: values.peers?.split(",").filter((part) => part !== ""),
      rounds,
      seconds: positive("seconds", values.seconds, quick ? 0.5 : 2),
      warmUpSeconds: positive("warm-up", values["warm-up"], quick ? 0.4 : 0.8),
      quick,
      json: values.json,
      against: values.against,
    },
  };
}

function positive(name: string, text: string | undefined, fallback: number): number {
  const value = text === undefined ? fallback : Number(text);
  if (!(value > 0)) throw new Error(`--${name} must be a number above 0, not '${text}'`);
  return value;
}
