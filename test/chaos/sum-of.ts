/** Adds up counts of the same shape, number by number, whatever lies within. */

interface Counts {
  readonly [name: string]: number | Counts;
}

/** @param all at least one; what is private in them is left out */
export function sumOf<T extends object>(all: readonly T[]): T {
  return all.reduce((sum, one) => sumOfTwo(sum as Counts, one as Counts) as T);
}

function sumOfTwo(left: Counts, right: Counts): Counts {
  return Object.fromEntries(
    Object.entries(left).map(([name, value]) => {
      const other = right[name];
      if (typeof value === "number" && typeof other === "number") return [name, value + other];
      return [name, sumOfTwo(value as Counts, other as Counts)];
    }),
  );
}
