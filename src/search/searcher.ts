// Search by asking and telling. A walk is a generator: it yields what it wants to know and is sent the loss, one question
// after another. A searcher runs a walk again from its start with what it was told, so it can also say what the walk may
// want next, for whoever can try several things at once. The walk itself sees the same losses for any number of slots.

export type Point = Readonly<Record<string, number>>;

/** What a search wants to know: the loss of a point, by the real procedure or by a cheap surrogate that only orders. */
export type Ask = { readonly values: Point; readonly fidelity: 'exact' | 'surrogate' };

/** Yields asks, is sent their losses, returns the best point. It is deterministic. */
export type Walk = Generator<Ask, Point, number>;

export interface Searcher {
  /** What the walk needs next, then what it may need; none once it has ended. */
  ask(atMost: number): readonly Ask[];
  tell(ask: Ask, loss: number): void;
  /** The best point, once the walk has ended. */
  best(): Point | undefined;
}

export const askKey = ({ values, fidelity }: Ask): string => JSON.stringify([fidelity, values]);

/** Guesses are worse or better than all that is known by this much. */
const MARGIN = 1;
/** How many futures are looked at for each ask. */
const FUTURES = 64;

export function createSearcher(start: () => Walk): Searcher {
  const known = new Map<string, number>();
  /** The walk with what is known and `assumed`: its next ask, or its end. */
  const replay = (assumed: ReadonlyMap<string, number>): IteratorResult<Ask, Point> => {
    const walk = start();
    let step = walk.next();
    while (!step.done) {
      const key = askKey(step.value);
      const loss = known.get(key) ?? assumed.get(key);
      if (loss === undefined) return step;
      step = walk.next(loss);
    }
    return step;
  };
  return {
    ask: (atMost) => {
      const asks = new Map<string, Ask>();
      const futures: ReadonlyMap<string, number>[] = [new Map()];
      const losses = [...known.values()];
      const [least, most] = [Math.min(...losses, 0) - MARGIN, Math.max(...losses, 0) + MARGIN];
      for (let i = 0; i < futures.length && i < FUTURES && asks.size < atMost; i++) {
        const step = replay(futures[i]!);
        if (step.done) continue;
        const key = askKey(step.value);
        asks.set(key, step.value);
        for (const guess of [most, least]) futures.push(new Map([...futures[i]!, [key, guess]]));
      }
      return [...asks.values()];
    },
    tell: (ask, loss) => void known.set(askKey(ask), loss),
    best: () => {
      const step = replay(new Map());
      return step.done ? step.value : undefined;
    },
  };
}
