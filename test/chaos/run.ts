/** `npm run chaos`: cuts and kills for as long as is wanted. Prints what was seen; exits with 1 when anything went wrong. */

import { test } from "node:test";
import { parseArgs } from "node:util";
import { runCutting } from "./cutting-run.ts";
import { runKilling } from "./killing-run.ts";

const USAGE = `npm run chaos -- [options]

  --seed N      what is drawn at random is drawn from this (each time another)
  --cuts N      cut the links of two managers that live so often (10000; 0: not at all)
  --seconds N   kill managers for so long (60; 0: not at all)
  --clients N   clients that stay to the end; a fifth as many come and go (200)
`;

/** The links of one seed are cut so often; then the next seed is tried, whose settings are others. */
const CUTS_OF_ONE_SEED = 2500;
/** A manager is killed every few seconds. */
const RECORDS_BETWEEN = 6000;

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: `${Math.floor(Math.random() * 2 ** 31)}` },
    cuts: { type: "string", default: "10000" },
    seconds: { type: "string", default: "60" },
    clients: { type: "string", default: "200" },
    help: { type: "boolean", default: false },
  },
});

if (values.help) {
  process.stdout.write(USAGE);
} else {
  const seed = whole("seed", values.seed);
  const cuts = whole("cuts", values.cuts);
  const seconds = whole("seconds", values.seconds);
  const clients = Math.max(1, whole("clients", values.clients));
  process.stdout.write(`chaos with --seed ${seed}\n`);
  for (let done = 0, of = seed; done < cuts; done += CUTS_OF_ONE_SEED, of++) {
    const some = Math.min(CUTS_OF_ONE_SEED, cuts - done);
    test(`${some} cuts, seed ${of}`, async (t) => {
      process.stdout.write(`${await runCutting(t, { seed: of, cuts: some, clients })}\n`);
    });
  }
  if (seconds > 0) {
    test(`kills for ${seconds} s, seed ${seed}`, async (t) => {
      const options = { seed, kills: 1, seconds, clients, recordsBetween: RECORDS_BETWEEN };
      process.stdout.write(`${await runKilling(t, options)}\n`);
    });
  }
}

function whole(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`--${name} must be a whole number, not '${text}'`);
}
