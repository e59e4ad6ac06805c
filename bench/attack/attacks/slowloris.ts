/**
 * Clients that take their time: a byte now and then of a message, of a request, of a frame. Those that have not
 * shaken hands have the handshake's time, those that have not said anything yet the first message's, and the
 * others the least rate of a message.
 */

import { type Attack, GARBAGE_MIB, mebibytes } from "../attack.ts";
import type { Target } from "../attacker.ts";
import { makeMessage, withLength } from "../message.ts";
import { frame, longerThanSent, Opcode, UPGRADE } from "../ws-lies.ts";

const CLIENTS = 2000;
/** They all come within some seconds, and those that are cut come again. */
const RATE = 450;
const ADDRESSES = 100;
const EVERY_MS = 500;
/** Room for what a client has under way: its HTTP parser, its WebSocket. */
const CLIENT_BYTES = 32_768;
const LONG = 60_000;

const message = makeMessage(0, 0);
const longPrefix = Buffer.from([LONG >> 8, LONG & 0xff]);
const byte = Buffer.from("a");

const dripping: readonly Pick<Target, "name" | "hello" | "tail">[] = [
  { name: "framed:first-message", hello: longPrefix, tail: byte },
  { name: "framed:later-message", hello: Buffer.concat([withLength(message), longPrefix]), tail: byte },
  {
    name: "web:request",
    hello: UPGRADE.subarray(0, 1),
    tail: Buffer.concat([UPGRADE.subarray(1, -2), byte]),
  },
  {
    name: "web:frame",
    hello: Buffer.concat([UPGRADE, frame({ opcode: Opcode.binary, payload: message }), longerThanSent]),
    tail: byte,
  },
];

export const slowloris: Attack = {
  name: "slowloris",
  title: `${CLIENTS} slow clients, a byte each ${EVERY_MS} ms`,
  assault: (ports) => ({
    clients: CLIENTS,
    rate: RATE,
    targets: dripping.map((one) => ({
      ...one,
      port: one.name.startsWith("web") ? ports.web : ports.framed,
      from: "127.9.0.1",
      addresses: ADDRESSES,
      everyMs: EVERY_MS,
    })),
  }),
  mayGrowMiB: GARBAGE_MIB + mebibytes(CLIENTS, CLIENT_BYTES),
  meets: ["handshake-timeout", "idle"],
};
