/** How what a message costs grows with the number of clients. */

import { measureCases } from "../measure.ts";
import { bare } from "../peers/bare.ts";
import { throughputColumns } from "../report.ts";
import { clientCount, MESSAGE_BYTES, type Scenario } from "./scenario.ts";

export const growth: Scenario = {
  name: "growth",
  title: `ping-pong, ${MESSAGE_BYTES} B, from few clients to many`,
  columns: throughputColumns("messages"),
  measure: (bench) =>
    measureCases(
      bench,
      (bench.options.quick ? [10, 1000, 10_000] : [10, 100, 1000, 3000, 10_000]).map((clients) => ({
        title: clientCount(clients),
        setup: {},
        peers: [...bench.gateways, bare],
        load: { mode: "pingpong", clients, size: MESSAGE_BYTES },
      })),
    ),
};
