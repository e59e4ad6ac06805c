/** What a logic server imports. */

export { HandoffError, type HandoffErrorCode } from "./handoff.ts";
export type { ManagerTlsOptions } from "./link-server.ts";
export { ListenError } from "./listen.ts";
export {
  type DropOptions,
  ManagerServer,
  type ManagerServerEvents,
  type ManagerServerOptions,
  type SessionRef,
  type ShutdownOptions,
} from "./manager-server.ts";
export { ListenOptionsError } from "./protection.ts";
export type { Gateway, GatewayHealth, SessionEnd } from "./registered-gateway.ts";
export type { Session } from "./session.ts";
