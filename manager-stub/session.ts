/** What a manager knows of one client. */

import type { Join } from "../proto/bodies.ts";

/**
 * A client's session on a gateway. It is the same object in every event that speaks of it. What the client's
 * handshake told, and not every client has, is undefined where there is none.
 */
export interface Session {
  /** The id of the gateway that holds it. */
  readonly gateway: number;
  /** Its id on that gateway; opaque, and not used again while anyone could mistake it. */
  readonly id: number;
  /** Counts the sessions of a manager, in the order in which they joined. */
  readonly serial: number;
  /** The client's address; empty when there is none, as over a Unix socket. */
  readonly addr: string;
  readonly port: number;
  /** What carries it: `tcp`, `tls`, `ws`, `wss` or `unix`. */
  readonly transport: string;
  /** The name of the listener that it came through. */
  readonly listener: string;
  /** What tells its messages apart; `none`: nothing does, and each payload is what was read of it. */
  readonly framing: string;
  /** Milliseconds since 1970, by the gateway's clock. */
  readonly joinedAt: number;
  /** The proxy whose word `addr` is. */
  readonly proxy?: string | undefined;
  /** TLS: the server name that it asked for, and the protocol that was agreed. */
  readonly sni?: string | undefined;
  readonly alpn?: string | undefined;
  /** The client's TLS certificate: its common name, and its SHA-256, hexadecimal. */
  readonly certificate?: Join["certificate"];
  /** WebSocket: the request's path, its query without the `?`, and the subprotocol that was agreed. */
  readonly path?: string | undefined;
  readonly query?: string | undefined;
  readonly subprotocol?: string | undefined;
  /** WebSocket: those of the request's headers that the listener tells, by their names in lower case. */
  readonly headers?: Join["headers"];
  /** Who it is: by its ticket, until it is bound to another user, or to none. It stays when the session has ended. */
  readonly user?: string | undefined;
  /** What its ticket's maker wanted the manager to know. */
  readonly context?: string | undefined;
  /** The groups that it is in. They stay when the session has ended. */
  readonly groups: ReadonlySet<string>;
  /** Whether it was let in; until then nothing that it says is read. */
  readonly admitted: boolean;
  /** Whether it was here before this manager was: it was announced again by a gateway that held it. */
  readonly rejoined: boolean;
  /** Of a session that was announced again: what its client had said that no manager has acknowledged, bytes. */
  readonly lostBytes: number;
  /** Of a session that was another manager's: the name of that one, and the session's id there. */
  readonly from?: { readonly manager: string; readonly session: number } | undefined;
  /** Whether it was dropped, and its end is on the way. It can't be sent to any more. */
  readonly dropped: boolean;
}
