/** The listeners of the gateway that is fuzzed: every transport, with what can stand in front of it and inside of it. */

import { TLS_PARAMETERS, tlsFile } from "../../helpers/tls-files.ts";

/** What a client's first bytes have to be. */
export interface FuzzedListener {
  readonly name: string;
  /** As `--listen` takes it; of a Unix socket the path comes later. */
  readonly url: string;
  readonly proxy: "v1" | "v2" | undefined;
  readonly isSecure: boolean;
  /** A client has to show a certificate. */
  readonly wantsCertificate: boolean;
  readonly isWeb: boolean;
  readonly isUnix: boolean;
  readonly framing: "none" | "u16be" | "u16le" | "u32be" | "line";
  readonly ticket: "query" | "first-message" | undefined;
  /** Nobody who comes may speak for a client, so that nobody is served. */
  readonly isBarred: boolean;
}

const LOOPBACK = "127.0.0.0/8";

type Traits = Partial<Omit<FuzzedListener, "name" | "url">>;

function listener(name: string, transport: string, parameters: string, traits: Traits = {}): FuzzedListener {
  const isUnix = transport === "unix";
  const isSecure = transport === "tls" || transport === "wss";
  const isWeb = transport === "ws" || transport === "wss";
  const { proxy, framing = "none", ticket, isBarred = false, wantsCertificate = false } = traits;
  const options = [
    `name=${name}`,
    parameters,
    isSecure ? TLS_PARAMETERS : "",
    framing === "none" ? "" : `framing=${framing}`,
    proxy === undefined || parameters.includes("proxy=") ? "" : `proxy=${proxy}`,
    proxy === undefined || parameters.includes("trusted=") ? "" : `trusted=${LOOPBACK}`,
    ticket === undefined ? "" : `ticket=${ticket}`,
    wantsCertificate ? `clientCertificate=require&clientCa=${tlsFile("ca.crt")}` : "",
  ];
  const place = isUnix ? "unix:%s" : `${transport}://127.0.0.1:0`;
  const url = `${place}?${options.filter((option) => option !== "").join("&")}`;
  return { name, url, proxy, isSecure, wantsCertificate, isWeb, isUnix, framing, ticket, isBarred };
}

export const listeners: readonly FuzzedListener[] = [
  listener("tcp", "tcp", ""),
  listener("tcp-u16", "tcp", "", { framing: "u16be" }),
  listener("tcp-u32", "tcp", "maxMessageBytes=1000", { framing: "u32be" }),
  listener("tcp-line", "tcp", "", { framing: "line" }),
  listener("tcp-ticket", "tcp", "", { framing: "line", ticket: "first-message" }),
  listener("tcp-v1", "tcp", "", { proxy: "v1" }),
  listener("tcp-v2", "tcp", "", { proxy: "v2", framing: "u16le" }),
  listener("tcp-any", "tcp", "proxy=any", { proxy: "v2", framing: "line", ticket: "first-message" }),
  listener("tcp-barred", "tcp", "trusted=192.0.2.1", { proxy: "v1", isBarred: true }),
  listener("unix", "unix", ""),
  listener("unix-any", "unix", "proxy=any", { proxy: "v1", framing: "u16be" }),
  listener("ws", "ws", "deflate=true&frames=mirror&headers=user-agent,cookie"),
  listener("ws-path", "ws", "path=/play&origins=https://game.example&subprotocols=chat,game"),
  listener("ws-v2", "ws", "", { proxy: "v2" }),
  listener("ws-forwarded", "ws", `forwarded=x-forwarded-for&trusted=${LOOPBACK}`),
  listener("ws-query", "ws", "", { ticket: "query" }),
  listener("ws-ticket", "ws", "pingMs=1000", { ticket: "first-message" }),
  listener("tls", "tls", "", { framing: "line" }),
  listener("tls-certificate", "tls", "", { framing: "u16be", wantsCertificate: true }),
  listener("tls-v2", "tls", "", { proxy: "v2" }),
  listener("wss", "wss", "deflate=true"),
  listener("wss-v1", "wss", "", { proxy: "v1" }),
];

/** Nobody may come from here, or be said to. */
export const DENIED = ["127.0.0.66", "192.0.2.66"] as const;

/** From one address so many may be there at once. */
export const MAX_PER_ADDRESS = 20;

/** The settings of the gateway: every deadline is short, so that silence ends soon. */
export const SETTINGS: readonly string[] = [
  ["--name", "fuzzed"],
  ["--log-level", "warn"],
  ...DENIED.map((address) => ["--deny", address]),
  ["--max-connections-per-address", `${MAX_PER_ADDRESS}`],
  ["--handshake-timeout-ms", "400"],
  ["--admit-timeout-ms", "300"],
  ["--first-message-timeout-ms", "400"],
  ["--message-grace-ms", "1000"],
  ["--half-close-ms", "50"],
  ["--flush-timeout-ms", "300"],
  ["--ack-timeout-ms", "1000"],
  ["--hold-ms", "5000"],
  ["--reconnect-min-ms", "5"],
  ["--reconnect-max-ms", "50"],
  ["--drain-ms", "200"],
  ["--shutdown-ack-ms", "500"],
].flat();
