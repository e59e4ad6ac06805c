/** How long an answer takes when the gateway is not full: messages are sent at a fixed rate, in an open loop. */

import { type Case, measureCase } from "../measure.ts";
import { bare } from "../peers/bare.ts";
import { haproxy } from "../peers/haproxy.ts";
import { nginx } from "../peers/nginx.ts";
import { latencyColumns } from "../report.ts";
import { MESSAGE_BYTES, type Scenario } from "./scenario.ts";

const CLIENTS = 1000;

export const latency: Scenario = {
  name: "latency",
  title: `latency at half load, ${CLIENTS} clients, ${MESSAGE_BYTES} B`,
  columns: latencyColumns,
  async measure(bench) {
    const peers = [...bench.gateways, bare, nginx, haproxy];
    const common = { setup: {}, peers };
    const shape = { clients: CLIENTS, size: MESSAGE_BYTES };
    const closed = await measureCase(bench, {
      ...common,
      title: "closed loop, for the rate",
      load: { mode: "pingpong", ...shape },
    });
    const rates = new Map(closed.results.map(({ peer, median }) => [peer, median.perSecond]));
    const slowest = Math.min(...rates.values());
    const open = (title: string, rate: (own: number) => number): Case => ({
      ...common,
      title,
      load: ({ name }) => {
        const own = rates.get(name);
        return own === undefined ? undefined : { mode: "open", ...shape, rate: rate(own) };
      },
    });
    return [
      closed,
      await measureCase(
        bench,
        open("half of its own rate", (own) => own / 2),
      ),
      await measureCase(
        bench,
        open("half of the slowest's rate", () => slowest / 2),
      ),
    ];
  },
};
