/** The transport contract, on all transports and every read path. */

import { join } from "node:path";
import type { TestContext } from "node:test";
import { createListener } from "../../gateway/transports/create-listener.ts";
import { parseListenAddress } from "../../gateway/transports/listen-address.ts";
import type { AcceptSink } from "../../gateway/transports/listener.ts";
import { ordinaryReadPath, sharedReadPath } from "../../gateway/transports/read-path.ts";
import { describeTransport, type TransportUnderTest } from "../contracts/transport.ts";
import { TestClient } from "../helpers/client.ts";
import { poller, whyNoPoller } from "../helpers/poller.ts";
import { temporaryDirectory } from "../helpers/rig.ts";
import { TLS_PARAMETERS } from "../helpers/tls-files.ts";
import { WebSocketClient } from "../helpers/ws-client.ts";

interface Row extends Pick<TransportUnderTest, "connect" | "has"> {
  readonly name: string;
  readonly url: (t: TestContext) => string;
}

/** The tests write in pieces of this size; over TLS those that wait are written as one. */
const PIECE = 64 * 1024;
const JOINED = 1024 * 1024 + PIECE;

const OVER_TCP = { addresses: true, resets: true, visibleResets: true };
const WEB = { addresses: true, shutDown: "closed", resets: true, visibleResets: false } as const;

const transports: readonly Row[] = [
  {
    name: "tcp",
    url: () => "tcp://127.0.0.1:0",
    connect: ({ endpoint }) => new TestClient(endpoint.port),
    has: { ...OVER_TCP, shutDown: "finished", unsentWithin: PIECE },
  },
  {
    name: "tls",
    url: () => `tls://127.0.0.1:0?${TLS_PARAMETERS}`,
    connect: ({ endpoint }) => TestClient.overTls(endpoint.port),
    has: { ...OVER_TCP, shutDown: "left", unsentWithin: JOINED },
  },
  {
    name: "unix",
    url: (t) => `unix:${join(temporaryDirectory(t), "game.sock")}`,
    connect: ({ endpoint }) => new TestClient(endpoint.host),
    has: {
      addresses: false,
      shutDown: "finished",
      resets: false,
      visibleResets: false,
      unsentWithin: PIECE,
    },
  },
  {
    name: "ws",
    url: () => "ws://127.0.0.1:0",
    connect: ({ endpoint }) => new WebSocketClient(`ws://127.0.0.1:${endpoint.port}/`),
    has: { ...WEB, unsentWithin: PIECE },
  },
  {
    name: "wss",
    url: () => `wss://127.0.0.1:0?${TLS_PARAMETERS}`,
    connect: ({ endpoint }) => new WebSocketClient(`wss://127.0.0.1:${endpoint.port}/`),
    has: { ...WEB, unsentWithin: JOINED },
  },
];

for (const { name, url, connect, has } of transports) {
  for (const [pathName, ways] of [
    ["polled", { readPath: ordinaryReadPath, poller: poller }],
    ["shared", { readPath: sharedReadPath() }],
    ["ordinary", { readPath: ordinaryReadPath }],
  ] as const) {
    describeTransport({
      name: `${name}, ${pathName} read path`,
      skip: pathName === "polled" ? whyNoPoller : undefined,
      listener: (t: TestContext, accept: AcceptSink) =>
        createListener(parseListenAddress(url(t)), { ...ways, maxMessageBytes: () => 64 * 1024 }, accept),
      connect,
      has,
    });
  }
}
