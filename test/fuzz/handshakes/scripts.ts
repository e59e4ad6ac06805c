/** What a client says that does everything right, for each listener. */

import { signTicket } from "../../../gateway/guard/ticket.ts";
import { clientFrame, Opcode, upgradeRequest } from "../../front/raw-web.ts";
import type { FuzzedListener } from "./listeners.ts";

/** What a client says, from its first byte on. */
export interface Script {
  /** In the open. */
  readonly open: Buffer;
  /** Over TLS, which begins behind that; undefined where none is spoken. */
  readonly inside: Buffer | undefined;
  /** Of all these bytes the first so many are its handshake. */
  readonly handshakeBytes: number;
}

/** Who says it. */
export interface Speaker {
  readonly text: string;
  /** Whom a proxy speaks for. */
  readonly source: string;
  /** Headers that its request has beside those that it needs. */
  readonly headers?: Readonly<Record<string, string>>;
}

export const TICKET_SECRET = "what the fuzzed gateway's tickets are signed with";

const TICKET_LIFE_MS = 30 * 60_000;
const NOTHING = Buffer.alloc(0);

let token = { text: "", until: 0 };

/** A ticket that is good for a while. Signing one for each would cost more than all the rest. */
export function ticket(): string {
  const now = Date.now();
  if (now < token.until) return token.text;
  const expiresAtMs = Math.ceil((now + TICKET_LIFE_MS) / 1000) * 1000;
  const text = signTicket({ user: "ann", expiresAtMs }, Buffer.from(TICKET_SECRET));
  token = { text, until: now + TICKET_LIFE_MS / 2 };
  return text;
}

/** Everything that a client of this listener says when all is well: its handshake, and one message. */
export function validScript(listener: FuzzedListener, speaker: Speaker): Script {
  const header = proxyHeader(listener.proxy, speaker.source);
  const request = listener.isWeb
    ? Buffer.from(webRequest(listener, speaker.source, speaker.headers))
    : NOTHING;
  const shown = listener.ticket === "first-message" ? message(listener, ticket()) : NOTHING;
  const said = Buffer.concat([request, shown, message(listener, speaker.text)]);
  const handshakeBytes = header.length + request.length + shown.length;
  if (listener.isSecure) return { open: header, inside: said, handshakeBytes };
  return { open: Buffer.concat([header, said]), inside: undefined, handshakeBytes };
}

export function proxyHeader(version: FuzzedListener["proxy"], source: string): Buffer {
  if (version === undefined) return NOTHING;
  if (version === "v1") return Buffer.from(`PROXY TCP4 ${source} 198.51.100.1 5000 443\r\n`);
  const header = Buffer.from("0d0a0d0a000d0a515549540a2111000c", "hex");
  const addresses = [...source.split(".").map(Number), 198, 51, 100, 1, 0x13, 0x88, 1, 187];
  return Buffer.concat([header, Buffer.from(addresses)]);
}

/** What the listener's clients ask for. */
export function webRequest(
  { name, ticket: wanted }: FuzzedListener,
  source: string,
  headers: Readonly<Record<string, string>> = {},
): string {
  const path = name === "ws-path" ? "/play" : "/";
  return upgradeRequest(wanted === "query" ? `${path}?ticket=${ticket()}` : path, {
    Origin: name === "ws-path" ? "https://game.example" : undefined,
    "X-Forwarded-For": name === "ws-forwarded" ? source : undefined,
    "Sec-WebSocket-Extensions": name === "ws" ? "permessage-deflate" : undefined,
    "Sec-WebSocket-Protocol": name === "ws-path" ? "game" : undefined,
    ...headers,
  });
}

/** One message, as the listener's clients frame it. */
export function message({ isWeb, framing }: FuzzedListener, text: string): Buffer {
  if (isWeb) return clientFrame(Opcode.text, text);
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(framing === "u32be" ? 4 : 2);
  switch (framing) {
    case "none":
      return bytes;
    case "line":
      return Buffer.from(`${text}\n`);
    case "u16be":
      length.writeUInt16BE(bytes.length);
      break;
    case "u16le":
      length.writeUInt16LE(bytes.length);
      break;
    case "u32be":
      length.writeUInt32BE(bytes.length);
      break;
  }
  return Buffer.concat([length, bytes]);
}
