/** HAProxy as a relay of TCP streams, or terminating TLS: one thread, no log. */

import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { certificate } from "./certificate.ts";
import { gatewayCore, type Peer, Unavailable } from "./peer.ts";
import { findProgram } from "./programs.ts";
import { type Route, startRelay } from "./relay.ts";

/** Connections beyond the clients, and descriptors that have nothing to do with any. */
const SPARE = 100;

/** HAProxy does not start when it can't have two descriptors for each connection. */
function connectionsFor(capacity: number, descriptors: number): number {
  return Math.min(capacity + SPARE, Math.floor(descriptors / 2) - SPARE);
}

function configuration(connections: number, tls: string | undefined, routes: readonly Route[]): string {
  const bind = tls === undefined ? "" : ` ssl crt ${tls}`;
  const listens = routes.map(
    ({ port, echoPort }, i) => `
listen game${i}
  bind 127.0.0.1:${port} backlog 4096${bind}
  server echo 127.0.0.1:${echoPort}`,
  );
  return `global
  nbthread 1
  maxconn ${connections}

defaults
  mode tcp
  maxconn ${connections}
  timeout connect 10s
  timeout client 1h
  timeout server 1h
${listens.join("\n")}
`;
}

export const haproxy: Peer = {
  name: "HAProxy",
  descriptorsPerClient: 2,
  async start(bench, setup) {
    const program = findProgram("haproxy");
    if (setup.scheme === "ws") throw new Unavailable("it is measured with TCP and TLS only");
    const tls = setup.scheme === "tls" ? certificate(bench).both : undefined;
    return startRelay(bench, setup, (routes) => {
      const file = join(mkdtempSync(join(bench.directory, "haproxy-")), "haproxy.cfg");
      writeFileSync(file, configuration(connectionsFor(setup.capacity, bench.descriptors), tls, routes));
      const process = bench.processes.start("HAProxy", gatewayCore(bench, 0), [program, "-db", "-f", file]);
      return { program: process, workers: () => [process.pid] };
    });
  },
};
