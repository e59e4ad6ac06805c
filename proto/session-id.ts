/**
 * A session's id on the link: `generation << 20 | slot`, a u32 (docs/protocol.md, "Session ids").
 * The slot says where the session lives; the generation tells two users of the same slot apart, so a
 * frame that was meant for an earlier one finds nobody.
 */

export const SLOT_BITS = 20;
export const MAX_CAPACITY = 2 ** SLOT_BITS;
export const MAX_GENERATION = 4095;

const SLOT_MASK = MAX_CAPACITY - 1;

/** The id of the `generation`-th use (1..4095) of slot `slot` (0..2^20-1). Never 0. */
export function sessionId(generation: number, slot: number): number {
  return ((generation << SLOT_BITS) | slot) >>> 0;
}

/** The slot that an id names, whether or not that slot exists. */
export function slotOf(session: number): number {
  return session & SLOT_MASK;
}

/** The generation in an id; 0 in an id that no gateway hands out. */
export function generationOf(session: number): number {
  return session >>> SLOT_BITS;
}

/** The generation of a slot's next use: 1..4095, round and round. */
export function nextGeneration(generation: number): number {
  return generation >= MAX_GENERATION ? 1 : generation + 1;
}
