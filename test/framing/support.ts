/** What the framings' tests share: a client that decodes, and every framing there is. */

import { type Framing, framing, framingNames, type MessageDecoder } from "../../gateway/framing/framing.ts";

export interface Received {
  readonly messages: Buffer[];
  fault: string | undefined;
}

/** Every framing that has a decoder, also those whose length counts itself. */
export const framings: readonly { readonly title: string; readonly framing: Framing }[] = [
  ...framingNames.filter((name) => name !== "none").map((name) => ({ title: name, framing: framing(name) })),
  ...(["u16be", "u16le", "u32be", "u32le"] as const).map((name) => ({
    title: `${name}, counting itself`,
    framing: framing(name, true),
  })),
];

/** A decoder of a framing that has one. */
export function decoderOf(one: Framing, maxMessageBytes = 1024): MessageDecoder {
  const decoder = one.decoder(maxMessageBytes);
  if (decoder === undefined) throw new Error(`${one.name} has no decoder`);
  return decoder;
}

/**
 * Reads `pieces` as a gateway does: through one buffer that is used again, and overwritten at once after
 * each read. The messages are copied when they come.
 */
export function receive(
  decoder: MessageDecoder,
  pieces: readonly Buffer[],
  goesOn: (message: Buffer) => boolean = () => true,
): Received {
  const received: Received = { messages: [], fault: undefined };
  const shared = Buffer.alloc(Math.max(1, ...pieces.map((piece) => piece.length)) + 8, 0x0a);
  for (const piece of pieces) {
    piece.copy(shared);
    const taken = decoder.push(shared, 0, piece.length, (bytes, start, end) => {
      const message = Buffer.from(bytes.subarray(start, end));
      received.messages.push(message);
      return goesOn(message);
    });
    shared.fill(0x0a);
    if (typeof taken === "number") continue;
    received.fault = taken;
    break;
  }
  return received;
}
