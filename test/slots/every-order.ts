/**
 * Every order in which several parties can do what they may do, enumerated. A party sees the sequence of its own moves and
 * nothing else: what it hears of another comes to it in a move. So two orders that are the same to each party lead to the
 * same, and one of them is played for all.
 */

export interface Move<World> {
  /** Who makes it. */
  readonly party: string;
  /** Tells it from the others that its party could make instead. */
  readonly name: string;
  /** Makes it, in any world that has come to the same. */
  make(world: World): void;
}

/** One course of things, from the beginning on. What comes of a move must follow from the moves before it. */
export interface Course<World> {
  /**
   * What can come next; nothing when it is over. Where the moves of one party can't be changed by the others, nor theirs by
   * them before they see them, these may be given alone: the orders with others in between are the same to all.
   */
  moves(): readonly Move<World>[];
  /** What must hold after each move. @throws AssertionError */
  check(): void;
  /** What must hold when it is over. @throws AssertionError */
  end(): void;
}

export interface Tally {
  /** The orders that some party can tell from each other one. */
  readonly orders: number;
  /** The moves that were tried, each after all that can have been seen before it. */
  readonly moves: number;
}

/** Plays every order. */
export function playEveryOrder<World extends Course<World>>(begin: () => World): Tally {
  const sights = new Sights();
  const played = new Set<string>();
  let orders = 0;
  /** @param world has come to where `made` leads, and is used up */
  const goOn = (world: World, made: readonly Move<World>[], seen: Sight): void => {
    const moves = world.moves();
    if (moves.length === 0) {
      telling(made, () => world.end());
      orders++;
      return;
    }
    let here: World | undefined = world;
    for (const move of moves) {
      const nextSeen = sights.after(seen, move);
      const key = [...nextSeen.values()].sort().join();
      if (played.has(key)) continue;
      played.add(key);
      const next = [...made, move];
      const then = here ?? replay(begin, made);
      here = undefined;
      telling(next, () => {
        move.make(then);
        then.check();
      });
      goOn(then, next, nextSeen);
    }
  };
  goOn(begin(), [], new Map());
  return { orders, moves: played.size };
}

/** By party, a number for the sequence of moves that it has seen. */
type Sight = ReadonlyMap<string, number>;

class Sights {
  readonly #numbers = new Map<string, number>();

  after(seen: Sight, { party, name }: { readonly party: string; readonly name: string }): Sight {
    const longer = `${party} ${seen.get(party) ?? ""} ${name}`;
    const number = this.#numbers.get(longer) ?? this.#numbers.size + 1;
    this.#numbers.set(longer, number);
    return new Map(seen).set(party, number);
  }
}

function replay<World>(begin: () => World, made: readonly Move<World>[]): World {
  const world = begin();
  for (const move of made) move.make(world);
  return world;
}

/** Has a failure say which order it was found in. */
function telling<World>(made: readonly Move<World>[], run: () => void): void {
  try {
    run();
  } catch (error) {
    const order = made.map(({ party, name }) => `${party}: ${name}`).join("\n  ");
    throw new Error(`${(error as Error).message}\nin this order:\n  ${order}`, { cause: error });
  }
}
