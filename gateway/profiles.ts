/** Defaults that go together: what one setting, `profile`, turns on, and every other setting can change. */

import type { SettingName } from "./settings.ts";

/** No limits on how many come, how often, and how much they say: that depends on the game. */
const none = {} as const;

/** For a gateway that the internet can reach (docs/operations.md, "On the open internet"). */
const internet = {
  maxConnectionsPerAddress: 64,
  addressRate: 10,
  addressBurst: 40,
  connectionRate: 500,
  connectionBurst: 1000,
  handshakeTimeoutMs: 5000,
  firstMessageTimeoutMs: 5000,
  idleTimeoutMs: 60_000,
  minMessageRate: 64,
  messageGraceMs: 5000,
  messageRate: 100,
  messageBurst: 200,
  byteRate: 65_536,
  byteBurst: 131_072,
  clientBufferBytes: 262_144,
} as const satisfies Partial<Record<SettingName, unknown>>;

export const profiles = { none, internet } as const satisfies Readonly<
  Record<string, Partial<Record<SettingName, unknown>>>
>;
