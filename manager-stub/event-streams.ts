/** The manager's events as server-sent events, to as many as listen. One that does not read is cut off. */

import type { ServerResponse } from "node:http";
import { type ApiEvents, gatewayView, payloadView, sessionView } from "./api-views.ts";
import type { ManagerServer } from "./manager-server.ts";

/**
 * With more than this waiting for it a listener is cut off. A gateway that goes takes its sessions with it,
 * and all their ends are told at once: there is room for some 50,000.
 */
const MAX_QUEUED_BYTES = 16 * 1024 * 1024;

/** A comment this often keeps idle streams open through whatever stands between. */
const KEEP_ALIVE_MS = 15_000;

export class EventStreams {
  readonly #open = new Set<ServerResponse>();

  constructor(manager: ManagerServer) {
    manager.on("gatewayUp", (gateway) => this.#tell("gatewayUp", () => gatewayView(gateway)));
    manager.on("gatewaySuspect", (gateway) => this.#tell("gatewaySuspect", () => gatewayView(gateway)));
    manager.on("gatewayDraining", (gateway) => this.#tell("gatewayDraining", () => gatewayView(gateway)));
    manager.on("gatewayLost", (gateway, code, message) => {
      this.#tell("gatewayLost", () => ({ ...gatewayView(gateway), code, message }));
    });
    manager.on("gatewayDown", (gateway, code, message) => {
      this.#tell("gatewayDown", () => ({ ...gatewayView(gateway), code, message }));
    });
    manager.on("refused", (code, message) => this.#tell("refused", () => ({ code, message })));
    manager.on("join", (session) => this.#tell("join", () => sessionView(session)));
    manager.on("message", ({ gateway, id }, payload) => {
      this.#tell("message", () => ({ gateway, session: id, ...payloadView(payload) }));
    });
    manager.on("leave", (session, end) => this.#tell("leave", () => ({ ...sessionView(session), end })));
  }

  /** Answers a request with the events from now on, until its end. */
  open(response: ServerResponse): void {
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    response.write(": the events from here on\n\n");
    this.#open.add(response);
    const keepAlive = setInterval(() => response.write(": still here\n\n"), KEEP_ALIVE_MS);
    response.on("close", () => {
      clearInterval(keepAlive);
      this.#open.delete(response);
    });
  }

  #tell<K extends keyof ApiEvents>(event: K, view: () => ApiEvents[K]): void {
    if (this.#open.size === 0) return;
    const text = `event: ${event}\ndata: ${JSON.stringify(view())}\n\n`;
    for (const response of this.#open) {
      response.write(text);
      if (response.writableLength > MAX_QUEUED_BYTES) response.destroy();
    }
  }
}
