/** What it costs that nothing is lost when the link is cut: beside a gateway that keeps nothing to say again. */

import { measureCases } from "../measure.ts";
import { keepsNothing } from "../peers/sidegate.ts";
import { throughputColumns } from "../report.ts";
import { clientCount, MESSAGE_BYTES, type Scenario } from "./scenario.ts";

export const replay: Scenario = {
  name: "replay",
  title: `ping-pong, ${MESSAGE_BYTES} B, with what is said kept until it is acknowledged, and without`,
  columns: throughputColumns("messages"),
  measure: (bench) =>
    measureCases(
      bench,
      [100, 1000].map((clients) => ({
        title: clientCount(clients),
        setup: {},
        peers: [keepsNothing, ...bench.gateways],
        load: { mode: "pingpong", clients, size: MESSAGE_BYTES },
      })),
    ),
};
