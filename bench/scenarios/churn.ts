/** Clients that come, say a word, hear it, and go. */

import { measureCases } from "../measure.ts";
import { bare } from "../peers/bare.ts";
import { direct } from "../peers/direct.ts";
import { haproxy } from "../peers/haproxy.ts";
import { throughputColumns } from "../report.ts";
import { MESSAGE_BYTES, type Scenario } from "./scenario.ts";

/** Clients that are there at a time. */
const VISITORS = 100;
/** So many that the load does not run out of ports of its own, which stay taken for a while. */
const LISTENERS = 8;
const CAPACITY = 10_000;

export const churn: Scenario = {
  name: "churn",
  title: `joins and leaves, ${VISITORS} clients at a time`,
  columns: throughputColumns("visits"),
  measure: (bench) =>
    measureCases(bench, [
      {
        title: "join, a word, leave",
        setup: { listeners: LISTENERS, capacity: CAPACITY, endAtOnce: true },
        peers: [...bench.gateways, bare, haproxy, direct],
        load: { mode: "churn", clients: VISITORS, size: MESSAGE_BYTES },
      },
    ]),
};
