/** nginx in front of a gateway. */

import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { temporaryDirectory } from "../helpers/rig.ts";
import { inheritedPort } from "./inherited-port.ts";
import { PeerProcess, skipWithout } from "./peer-process.ts";

/** Debian's; there it is a package of its own. */
const STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so";

export const skipWithoutNginx = skipWithout("nginx", ["nginx", "-v"]);
export const skipWithoutNginxStream =
  skipWithoutNginx || (existsSync(STREAM_MODULE) ? false : "nginx's stream module is not there");

export interface NginxOptions {
  readonly mode: "stream" | "http";
  /** What stands in its `server` block beside where it listens. */
  readonly lines: readonly string[];
}

/** What it would write elsewhere otherwise. */
const TEMPORARY = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];

/** Starts it; gives the port that it listens on. It ends with the test. */
export async function startNginx(t: TestContext, { mode, lines }: NginxOptions): Promise<number> {
  const directory = temporaryDirectory(t);
  const { port, descriptor, release } = await inheritedPort();
  const config = [
    ...(mode === "stream" ? [`load_module ${STREAM_MODULE};`] : []),
    "daemon off; worker_processes 1; events {}",
    `pid ${directory}/nginx.pid;`,
    `${mode} {`,
    ...(mode === "http" ? ["access_log off;"] : []),
    ...(mode === "http" ? TEMPORARY.map((what) => `${what}_temp_path ${directory}/${what};`) : []),
    `server { listen 127.0.0.1:${port};`,
    ...lines,
    "} }",
  ];
  const file = join(directory, "nginx.conf");
  writeFileSync(file, `${config.join("\n")}\n`);
  const command = ["nginx", "-p", directory, "-e", "stderr", "-c", file];
  // It is told as one nginx tells the next that it has left it its sockets.
  new PeerProcess(t, command, [descriptor], { NGINX: "3;" });
  release();
  return port;
}
