/**
 * Clients that drip a WebSocket message a byte at a time, beside some whose messages come in halves: what is kept of a byte
 * must not keep the memory that others' bytes were kept in, nor cost many times its own size.
 */

import { GARBAGE_MIB, mebibytes } from "../../attack.ts";
import type { Target } from "../../attacker.ts";
import { frame, Opcode, UPGRADE } from "../../ws-lies.ts";
import type { Trial } from "../trial.ts";

/** As long as a message may be. */
const MESSAGE_BYTES = 65_536;
/** Slowly enough that a message is under way all the time. */
const EVERY_MS = 25;
const BESIDE = 4;
const BESIDE_BYTES = 44_000;
const BESIDE_EVERY_MS = 4;
/** What a message that is gathered may take, and what belongs to its client. */
const CLIENT_BYTES = 2 * MESSAGE_BYTES;

const begun = frame({ opcode: Opcode.binary, payload: "a", announced: BigInt(MESSAGE_BYTES) });
const beside = frame({ opcode: Opcode.binary, payload: Buffer.alloc(BESIDE_BYTES, "a") });

export const drippingWebSockets: Trial = {
  name: "dripping-websockets",
  title: (clients) =>
    `${clients} that drip a WebSocket message, a byte each ${EVERY_MS} ms, beside ${BESIDE} that talk`,
  clients: [20, 200],
  assault: ({ web }, clients) => {
    const from = { port: web, from: "127.23.0.1", addresses: 100 };
    const drips = {
      name: "drips",
      hello: Buffer.concat([UPGRADE, begun]),
      tail: Buffer.from("a"),
      everyMs: EVERY_MS,
      ...from,
    };
    const talks = {
      name: "talks",
      hello: UPGRADE,
      tail: beside,
      dripBytes: Math.ceil(beside.length / 2),
      everyMs: BESIDE_EVERY_MS,
      ...from,
    };
    const targets: Target[] = [
      ...Array.from({ length: BESIDE }, () => talks),
      ...Array.from({ length: clients }, () => drips),
    ];
    return { clients: targets.length, rate: 0, targets };
  },
  mayGrowMiB: (clients) => GARBAGE_MIB + mebibytes(clients, CLIENT_BYTES),
};
