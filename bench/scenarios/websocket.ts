/** Ping-pong over WebSocket. */

import { measureCases } from "../measure.ts";
import { wsEcho } from "../peers/ws-echo.ts";
import { throughputColumns } from "../report.ts";
import { clientCount, MESSAGE_BYTES, type Scenario } from "./scenario.ts";

export const websocket: Scenario = {
  name: "websocket",
  title: `WebSocket ping-pong, ${MESSAGE_BYTES} B`,
  columns: throughputColumns("messages"),
  measure: (bench) =>
    measureCases(
      bench,
      [100, 1000].map((clients) => ({
        title: clientCount(clients),
        setup: { scheme: "ws" },
        peers: [...bench.gateways, wsEcho],
        load: { mode: "pingpong", clients, size: MESSAGE_BYTES },
      })),
    ),
};
