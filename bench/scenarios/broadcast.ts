/** The manager sends to everybody, as fast as everybody takes it. */

import { measureCases } from "../measure.ts";
import { bare } from "../peers/bare.ts";
import { throughputColumns } from "../report.ts";
import { clientCount, type Scenario } from "./scenario.ts";

/** Broadcasts under way. */
const WINDOW = 2;
const CLIENTS = [1000, 10_000];
const SIZES = [
  { name: "64 B", size: 64 },
  { name: "1 KiB", size: 1024 },
];

export const broadcast: Scenario = {
  name: "broadcast",
  title: `broadcast, ${WINDOW} under way`,
  columns: throughputColumns("deliveries"),
  measure: (bench) =>
    measureCases(
      bench,
      CLIENTS.flatMap((clients) =>
        SIZES.map(({ name, size }) => ({
          title: `${name} to ${clientCount(clients)}`,
          setup: { behaviour: "broadcast" as const },
          peers: [...bench.gateways, bare],
          load: { mode: "broadcast" as const, clients, size, window: WINDOW },
        })),
      ),
    ),
};
