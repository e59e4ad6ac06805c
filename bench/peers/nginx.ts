/** nginx as a relay of TCP streams: one worker, no log. */

import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gatewayCore, type Peer, Unavailable } from "./peer.ts";
import { findProgram } from "./programs.ts";
import { type Route, startRelay } from "./relay.ts";

/** Where Debian's package puts the part that is not compiled in. */
const STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so";
/** Connections of a worker: two for each client. */
const WORKER_CONNECTIONS = 30_000;

function configuration(directory: string, descriptors: number, routes: readonly Route[]): string {
  const servers = routes.map(
    ({ port, echoPort }) => `
  server {
    listen 127.0.0.1:${port} backlog=4096;
    proxy_pass 127.0.0.1:${echoPort};
  }`,
  );
  return `load_module ${STREAM_MODULE};
daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile ${Math.min(descriptors, 2 * WORKER_CONNECTIONS)};
pid ${directory}/nginx.pid;
error_log ${directory}/error.log crit;
events {
  worker_connections ${WORKER_CONNECTIONS};
  use epoll;
}
stream {
  access_log off;
  tcp_nodelay on;
  proxy_buffer_size 16k;
  proxy_connect_timeout 10s;
  proxy_timeout 1h;
${servers.join("\n")}
}
`;
}

/** The master listens before it has made its worker. */
function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
    .trim()
    .split(" ")
    .filter(Boolean)
    .map(Number);
}

export const nginx: Peer = {
  name: "nginx stream",
  descriptorsPerClient: 2,
  async start(bench, setup) {
    const program = findProgram("nginx");
    if (!existsSync(STREAM_MODULE))
      throw new Unavailable("its stream module is not installed (libnginx-mod-stream)");
    if (setup.scheme !== "tcp") throw new Unavailable("it is measured with plain TCP only");
    return startRelay(bench, setup, (routes) => {
      const directory = mkdtempSync(join(bench.directory, "nginx-"));
      const file = join(directory, "nginx.conf");
      writeFileSync(file, configuration(directory, bench.descriptors, routes));
      const command = [program, "-p", directory, "-c", file, "-e", join(directory, "error.log")];
      const master = bench.processes.start("nginx", gatewayCore(bench, 0), command);
      return {
        program: master,
        workers: () => {
          const workers = childrenOf(master.pid);
          for (const worker of workers) bench.processes.alsoOurs(worker, master);
          return workers;
        },
      };
    });
  },
};
