/** What went wrong in a chaos run, counted by kind, with the first few told in full. */

export const faultKinds = [
  /** A record, or bytes, that never came. */
  "lost",
  /** Came twice. */
  "doubled",
  /** Came behind one that was sent later. */
  "reordered",
  /** Came to somebody else. */
  "misdelivered",
  /** Did not come as it was sent. */
  "harmed",
  /** A client was cut off that should not have been. */
  "disconnected",
  /** A join, leave or rejoin that should not be, or is missing, or says something wrong. */
  "mistold",
  /** A number that does not come out. */
  "miscounted",
] as const;

export type FaultKind = (typeof faultKinds)[number];

const MAX_TOLD = 40;

export class Faults {
  readonly counts = Object.fromEntries(faultKinds.map((kind) => [kind, 0])) as Record<FaultKind, number>;
  readonly told: string[] = [];

  add(kind: FaultKind, what: string, times = 1): void {
    this.counts[kind] += times;
    if (this.told.length < MAX_TOLD) this.told.push(`${kind}: ${what}`);
  }

  /** Notes a fault unless `holds`. */
  check(holds: boolean, kind: FaultKind, what: string): void {
    if (!holds) this.add(kind, what);
  }

  get total(): number {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0);
  }

  /** @throws Error that tells the first faults */
  assertNone(how: string): void {
    if (this.total === 0) return;
    throw new Error(
      `${this.total} faults (${how}): ${JSON.stringify(this.counts)}\n  ${this.told.join("\n  ")}`,
    );
  }
}
