/** What a client costs that says a word, and then nothing more. */

import { measureCases } from "../measure.ts";
import { bare } from "../peers/bare.ts";
import { nginx } from "../peers/nginx.ts";
import { memoryColumns } from "../report.ts";
import { MESSAGE_BYTES, type Scenario } from "./scenario.ts";

const CLIENTS = 10_000;
/** Descriptors that a process needs beside those of its clients. */
const SPARE = 400;

export const idle: Scenario = {
  name: "idle",
  title: "idle clients",
  columns: memoryColumns,
  measure: (bench) =>
    measureCases(bench, [
      {
        title: "resident memory",
        setup: { capacity: CLIENTS },
        peers: [...bench.gateways, bare, nginx],
        // A peer that needs more descriptors than it can have gets as many clients as fit: each costs the same.
        load: ({ descriptorsPerClient }) => {
          const fitting = Math.floor((bench.descriptors - SPARE) / descriptorsPerClient);
          return { mode: "idle", clients: Math.min(CLIENTS, fitting), size: MESSAGE_BYTES };
        },
        fresh: true,
      },
    ]),
};
