/** Several messages of each client are under way: what batching is worth, and what bytes cost. */

import { measureCases } from "../measure.ts";
import { bare } from "../peers/bare.ts";
import { direct } from "../peers/direct.ts";
import { haproxy } from "../peers/haproxy.ts";
import { nginx } from "../peers/nginx.ts";
import { throughputColumns } from "../report.ts";
import type { Scenario } from "./scenario.ts";

const CLIENTS = 100;
const SHAPES = [
  { title: "window 16, 64 B", window: 16, size: 64 },
  { title: "window 4, 4 KiB", window: 4, size: 4096 },
];

export const pipelined: Scenario = {
  name: "pipelined",
  title: `pipelined, ${CLIENTS} clients`,
  columns: throughputColumns("messages"),
  measure: (bench) =>
    measureCases(
      bench,
      SHAPES.map(({ title, window, size }) => ({
        title,
        setup: {},
        peers: [...bench.gateways, bare, nginx, haproxy, direct],
        load: { mode: "pingpong", clients: CLIENTS, window, size },
      })),
    ),
};
