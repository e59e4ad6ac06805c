/** Ping-pong over TLS, that ends at the gateway. */

import { measureCases } from "../measure.ts";
import { haproxy } from "../peers/haproxy.ts";
import { throughputColumns } from "../report.ts";
import { clientCount, MESSAGE_BYTES, type Scenario } from "./scenario.ts";

export const tls: Scenario = {
  name: "tls",
  title: `TLS 1.3 ping-pong, ${MESSAGE_BYTES} B`,
  columns: throughputColumns("messages"),
  measure: (bench) =>
    measureCases(
      bench,
      (bench.options.quick ? [100] : [100, 1000]).map((clients) => ({
        title: clientCount(clients),
        setup: { scheme: "tls" },
        peers: [...bench.gateways, haproxy],
        load: { mode: "pingpong", clients, size: MESSAGE_BYTES },
      })),
    ),
};
