/** What the HTTP API shows of gateways and sessions: the JSON that scripts rely on (docs/manager.md). */

import type { Gateway, SessionEnd } from "./registered-gateway.ts";
import type { Session } from "./session.ts";

export interface GatewayView {
  readonly id: number;
  readonly name: string;
  readonly pid: number;
  readonly health: Gateway["health"];
  readonly draining: boolean;
  readonly sessions: number;
  readonly capacity: number;
  readonly endpoints: Gateway["endpoints"];
  readonly registeredAt: string;
  /** The last heartbeat as it came; null before the first. */
  readonly vitals: Gateway["vitals"] | null;
}

export interface SessionView {
  readonly gateway: number;
  readonly session: number;
  readonly addr: string;
  readonly port: number;
  readonly transport: string;
  readonly listener: string;
  /** As its ticket says; null without one. */
  readonly user: string | null;
  /** The manager that had it before, and its number there; null where none had. */
  readonly from: NonNullable<Session["from"]> | null;
  readonly joinedAt: string;
}

export function gatewayView(gateway: Gateway): GatewayView {
  const { id, name, pid, health, ending, sessionCount, capacity, endpoints, registeredAt, vitals } = gateway;
  return {
    id,
    name,
    pid,
    health,
    draining: ending,
    sessions: sessionCount,
    capacity,
    endpoints,
    registeredAt: new Date(registeredAt).toISOString(),
    vitals: vitals ?? null,
  };
}

export function sessionView({
  gateway,
  id,
  addr,
  port,
  transport,
  listener,
  user,
  from,
  joinedAt,
}: Session): SessionView {
  return {
    gateway,
    session: id,
    addr,
    port,
    transport,
    listener,
    user: user ?? null,
    from: from ?? null,
    joinedAt: new Date(joinedAt).toISOString(),
  };
}

/** What `GET /api/events` tells, by the event's name. */
export interface ApiEvents {
  gatewayUp: GatewayView;
  gatewaySuspect: GatewayView;
  gatewayDraining: GatewayView;
  gatewayLost: GatewayView & { readonly code: string; readonly message: string };
  gatewayDown: GatewayView & { readonly code: string; readonly message: string };
  refused: { readonly code: string; readonly message: string };
  join: SessionView;
  message: { readonly gateway: number; readonly session: number } & PayloadView;
  leave: SessionView & { readonly end: SessionEnd };
}

/** A payload: as text when it is UTF-8, as base64 when not. */
export type PayloadView = { readonly text: string } | { readonly base64: string };

export function payloadView(payload: Buffer): PayloadView {
  const text = payload.toString("utf8");
  return Buffer.from(text, "utf8").equals(payload) ? { text } : { base64: payload.toString("base64") };
}
