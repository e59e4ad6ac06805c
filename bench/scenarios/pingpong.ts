/** Each client says a word, hears it, and says the next one. */

import { measureCases } from "../measure.ts";
import { bare } from "../peers/bare.ts";
import { direct } from "../peers/direct.ts";
import { haproxy } from "../peers/haproxy.ts";
import { nginx } from "../peers/nginx.ts";
import { throughputColumns } from "../report.ts";
import { clientCount, MESSAGE_BYTES, type Scenario } from "./scenario.ts";

export const pingpong: Scenario = {
  name: "pingpong",
  title: `ping-pong, ${MESSAGE_BYTES} B`,
  columns: throughputColumns("messages"),
  measure: (bench) =>
    measureCases(
      bench,
      (bench.options.quick ? [100, 1000] : [100, 1000, 5000]).map((clients) => ({
        title: clientCount(clients),
        setup: {},
        peers: [...bench.gateways, bare, nginx, haproxy, direct],
        load: { mode: "pingpong", clients, size: MESSAGE_BYTES },
      })),
    ),
};
