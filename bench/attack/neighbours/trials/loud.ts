/**
 * Clients that say as much as they can of what costs a gateway the most for each byte: messages of next to nothing, and
 * pings. Nothing limits them but what a gateway does by itself so that the others have their turns.
 */

import type { Target } from "../../attacker.ts";
import { frame, Opcode, repeat, UPGRADE } from "../../ws-lies.ts";
import type { Figures, ListenerName, Trial } from "../trial.ts";

const ADDRESSES = 100;

interface Loud {
  readonly name: string;
  /** What they do, behind how many they are. */
  readonly does: string;
  readonly listener: ListenerName;
  /** What they say again and again. */
  readonly word: Buffer;
  /** Bytes of what one of them is answered. */
  readonly answerBytes: number;
  readonly hello?: Buffer;
}

const kinds: readonly Loud[] = [
  {
    name: "loud-lines",
    does: "send nothing but line feeds",
    listener: "lines",
    word: Buffer.from("\n"),
    answerBytes: 1,
  },
  {
    name: "loud-zero-lengths",
    does: "send nothing but messages of length 0",
    listener: "lengths",
    word: Buffer.alloc(2),
    answerBytes: 2,
  },
  {
    name: "loud-pings",
    does: "send nothing but empty WebSocket pings",
    listener: "web",
    word: frame({ opcode: Opcode.ping }),
    answerBytes: 2,
    hello: UPGRADE,
  },
  {
    name: "loud-tiny-messages",
    does: "send nothing but WebSocket messages of a byte",
    listener: "web",
    word: frame({ opcode: Opcode.binary, payload: "a" }),
    answerBytes: 3,
    hello: UPGRADE,
  },
];

export const loud: readonly Trial[] = kinds.map(({ name, does, listener, word, answerBytes, hello }) => ({
  name,
  title: (clients) => `${clients} that ${does}`,
  clients: [1, 10, 100],
  assault: (ports, clients) => {
    const floods = { name, port: ports[listener], from: "127.20.0.1", addresses: ADDRESSES };
    const target: Target = { ...floods, tail: repeat(word), ...(hello === undefined ? {} : { hello }) };
    return { clients, rate: 0, targets: [target] };
  },
  says: (figures) => answered(figures, answerBytes),
}));

/** How much of what they said was answered. */
function answered({ assault: { seconds, targets } }: Figures, answerBytes: number): string {
  const bytes = targets.reduce((sum, one) => sum + one.receivedBytes, 0);
  const cut = targets.reduce((sum, one) => sum + one.finishedByPeer + one.resetByPeer, 0);
  return `${Math.round(bytes / answerBytes / seconds / 1000)} thousand/s answered, ${cut} cut`;
}
