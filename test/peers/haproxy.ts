/** HAProxy in front of a gateway. */

import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { temporaryDirectory } from "../helpers/rig.ts";
import { inheritedPort } from "./inherited-port.ts";
import { PeerProcess } from "./peer-process.ts";

const SERVER = "gateway";

export interface HaproxyOptions {
  readonly mode?: "tcp" | "http";
  /** Where it listens: an address of this machine. */
  readonly host?: string;
  /** Options of its listener, such as `ssl crt server.pem`. */
  readonly bind?: string;
  /** The gateway's port, or its Unix socket's path. */
  readonly to: number | string;
  /** Options of the server line, such as `send-proxy`. */
  readonly server?: string;
  /** More lines of the configuration, for both sides. */
  readonly lines?: readonly string[];
}

export interface Haproxy {
  /** Where it listens. */
  readonly port: number;
  readonly process: PeerProcess;
  /** Waits until it says `value` of its server in a column of `show stat`, such as `status`. */
  untilServer(column: string, value: string): Promise<void>;
}

/** Starts it. It ends with the test. */
export async function startHaproxy(t: TestContext, options: HaproxyOptions): Promise<Haproxy> {
  const { mode = "tcp", host, bind = "", to, server = "", lines = [] } = options;
  const directory = temporaryDirectory(t);
  const { port, descriptor, release } = await inheritedPort(host);
  const stats = join(directory, "stats.sock");
  // No retries: where a gateway closes at once, HAProxy may take it for a failure to connect, and dial again.
  const config = [
    "global",
    `stats socket unix@${stats}`,
    "defaults",
    `mode ${mode}`,
    "timeout connect 10s",
    "timeout client 60s",
    "timeout server 60s",
    "timeout check 10s",
    "retries 0",
    "listen game",
    `bind fd@3 ${bind}`,
    ...lines,
    `server ${SERVER} ${typeof to === "number" ? `127.0.0.1:${to}` : `unix@${to}`} ${server}`,
  ];
  const file = join(directory, "haproxy.cfg");
  writeFileSync(file, `${config.join("\n")}\n`);
  const process = new PeerProcess(t, ["haproxy", "-db", "-f", file], [descriptor]);
  release();
  return {
    port,
    process,
    async untilServer(column, value) {
      let said: string | undefined;
      let asking = false;
      await process.until(() => {
        if (!asking && said !== value) {
          asking = true;
          void serverStat(stats, column).then((now) => {
            said = now;
            asking = false;
          });
        }
        return said === value;
      }, `says ${value} as ${column} of its server`);
    },
  };
}

/** A column of its server's statistics; undefined while it is not up. */
async function serverStat(socket: string, column: string): Promise<string | undefined> {
  const ask = connect(socket);
  ask.end("show stat\n");
  const answer = await text(ask).catch(() => "");
  const [head, ...rows] = answer.split("\n").map((line) => line.split(","));
  const server = rows.find(([, name]) => name === SERVER);
  return server?.[head?.indexOf(column) ?? -1];
}
