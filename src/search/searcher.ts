// Search by ask and tell. A walk is a generator: it yields an ask and receives the loss, one at a time. A searcher takes
// its walk as far as losses are known. It also replays walks from the start with assumed losses, and so predicts later asks,
// for callers that run several trials at once. The walk itself sees the same losses for any number of slots.

export type Point = Readonly<Record<string, number>>;

/** A question: the loss of a point, by the real procedure or by a cheap surrogate that only orders points. */
export type Ask = {
  readonly values: Point;
  readonly fidelity: 'exact' | 'surrogate';
  /** Of a surrogate: the most windows to use. Defaults to all that surrogates have. */
  readonly windows?: number;
};

/** Yields asks, receives their losses, returns the best point. Deterministic. */
export type Walk = Generator<Ask, Point, number>;

export interface Searcher {
  /** The next ask of the walk, then asks that may follow. Empty once the walk has ended. */
  ask(atMost: number): readonly Ask[];
  tell(ask: Ask, loss: number): void;
  /** The best point, once the walk has ended. */
  best(): Point | undefined;
}

export const askKey = ({ values, fidelity, windows }: Ask): string =>
  JSON.stringify([fidelity, windows ?? null, values]);

/** A guess is this much worse or better than all known losses. */
const MARGIN = 1;
/** How many possible continuations to replay per call of `ask`. */
const FUTURES = 64;

export function createSearcher(start: () => Walk): Searcher {
  const known = new Map<string, number>();
  const walk = start();
  let now = walk.next();
  /** Takes the walk as far as losses are known. */
  const advance = (): IteratorResult<Ask, Point> => {
    while (!now.done) {
      const loss = known.get(askKey(now.value));
      if (loss === undefined) break;
      now = walk.next(loss);
    }
    return now;
  };
  /** Replays a walk with known and assumed losses: its next ask, or its end. */
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
        const step = i === 0 ? advance() : replay(futures[i]!);
        if (step.done) continue;
        const key = askKey(step.value);
        asks.set(key, step.value);
        for (const guess of [most, least]) futures.push(new Map([...futures[i]!, [key, guess]]));
      }
      return [...asks.values()];
    },
    tell: (ask, loss) => void known.set(askKey(ask), loss),
    best: () => {
      const step = advance();
      return step.done ? step.value : undefined;
    },
  };
}
