/** What a client costs that says a word, and then nothing more. */

import type { LoadOptions } from "../load.ts";
import { measureCases } from "../measure.ts";
import { bare } from "../peers/bare.ts";
import { nginx } from "../peers/nginx.ts";
import type { Peer } from "../peers/peer.ts";
import { wsEcho } from "../peers/ws-echo.ts";
import { memoryColumns } from "../report.ts";
import { MESSAGE_BYTES, type Scenario } from "./scenario.ts";

const CLIENTS = 10_000;
/** Descriptors that a process needs beside those of its clients. */
const SPARE = 400;

/** A peer that needs more descriptors than it can have gets as many clients as fit: each costs the same. */
function load(descriptors: number): (peer: Peer) => LoadOptions {
  return ({ descriptorsPerClient }) => {
    const fitting = Math.floor((descriptors - SPARE) / descriptorsPerClient);
    return { mode: "idle", clients: Math.min(CLIENTS, fitting), size: MESSAGE_BYTES };
  };
}

export const idle: Scenario = {
  name: "idle",
  title: "idle clients",
  columns: memoryColumns,
  measure: (bench) =>
    measureCases(bench, [
      {
        title: "over TCP",
        setup: { capacity: CLIENTS },
        peers: [...bench.gateways, bare, nginx],
        load: load(bench.descriptors),
        fresh: true,
      },
      {
        title: "over WebSocket",
        setup: { capacity: CLIENTS, scheme: "ws" },
        peers: [...bench.gateways, wsEcho],
        load: load(bench.descriptors),
        fresh: true,
      },
    ]),
};
