/** Several gateway processes that share a port. */

import { measureCases } from "../measure.ts";
import { bare } from "../peers/bare.ts";
import { throughputColumns } from "../report.ts";
import { MESSAGE_BYTES, type Scenario } from "./scenario.ts";

const CLIENTS = 1000;

export const processes: Scenario = {
  name: "processes",
  title: `several gateways on one port, ${CLIENTS} clients, ${MESSAGE_BYTES} B`,
  columns: throughputColumns("messages"),
  measure: (bench) =>
    measureCases(
      bench,
      (bench.options.quick ? [1, 2] : [1, 2, 4]).map((count) => ({
        title: `${count} of them on ${Math.min(count, bench.cores.gateway.length)} core(s)`,
        setup: { processes: count },
        peers: [...bench.gateways, bare],
        load: { mode: "pingpong", clients: CLIENTS, size: MESSAGE_BYTES },
      })),
    ),
};
