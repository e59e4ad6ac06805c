/** sidegate itself, of this checkout or another one, with the manager in C behind it. */

import { join } from "node:path";
import type { Bench } from "../bench.ts";
import type { Program } from "../processes.ts";
import { certificate } from "./certificate.ts";
import { startManaged } from "./managed.ts";
import { gatewayCore, type Peer, type Setup, Unavailable } from "./peer.ts";

/** The exit code for a configuration that is not taken: this version has no such listener. */
const EXIT_CONFIG = 2;

function listenUrls(bench: Bench, { scheme, listeners, processes }: Setup, port: number): string[] {
  return Array.from({ length: listeners }, (_, i) => {
    const url = new URL(`${scheme}://127.0.0.1:${port}`);
    url.searchParams.set("name", String(i));
    if (processes > 1) url.searchParams.set("reusePort", "true");
    if (scheme === "tls") {
      const { cert, key } = certificate(bench);
      url.searchParams.set("cert", cert);
      url.searchParams.set("key", key);
    }
    return url.href;
  });
}

/** A gateway is to be what its flags say, whatever this shell has set. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("SIDEGATE_")));
}

const ROOT = join(import.meta.dirname, "../..");

/** The gateway of this checkout, made to keep nothing that could be said again. */
export const keepsNothing = sidegate("keeps nothing", ROOT, [
  "--import",
  join(import.meta.dirname, "keeps-nothing.ts"),
]);

/**
 * @param root the checkout
 * @param nodeArguments what Node.js itself is told
 */
export function sidegate(name: string, root: string, nodeArguments: readonly string[] = []): Peer {
  return {
    name,
    descriptorsPerClient: 1,
    async start(bench, setup) {
      const gateways: Program[] = [];
      try {
        return await startManaged(bench, setup, (index, socket, port) => {
          const args = ["--name", `gateway-${index}`, "--manager", `unix:${socket}`, "--log-level", "warn"];
          args.push(...listenUrls(bench, setup, port).flatMap((url) => ["--listen", url]));
          args.push("--drain-ms", "0", ...(setup.endAtOnce ? ["--half-close-ms", "0"] : []));
          const command = [process.execPath, ...nodeArguments, join(root, "gateway/main.ts"), ...args];
          const core = gatewayCore(bench, index);
          const options = { cwd: root, env: cleanEnvironment() };
          const gateway = bench.processes.start("the gateway", core, command, options);
          gateways.push(gateway);
          return gateway;
        });
      } catch (error) {
        const refused = gateways.find((gateway) => !gateway.running);
        if (refused === undefined || (await refused.ended) !== EXIT_CONFIG) throw error;
        const [reason = ""] = refused.complaint.split("\n");
        throw new Unavailable(reason.replaceAll(encodeURIComponent(bench.directory), "…"));
      }
    },
  };
}
