/** Why a client is not read at the moment. It is read if and only if none of these holds it. */
export const Hold = {
  /** It waits to be admitted, or to be announced to a manager. */
  admission: 1,
  /** It has used up what it may say. */
  throttle: 2,
  /** It has said its share of this turn, and others come first. */
  turn: 4,
  /** The link to its manager does not drain, or there is none. */
  link: 8,
} as const;

export type HoldReason = (typeof Hold)[keyof typeof Hold];
