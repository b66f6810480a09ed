// Walks a search to its end, as a run does, with any number of slots: only what the walk needs next is told.

import { type Ask, askKey, createSearcher, type Point, type Walk } from '../../src/search/index.js';

export type Walked = {
  readonly best: Point;
  /** What the walk used, in its order. */
  readonly asked: readonly Ask[];
  /** The exact losses among them. */
  readonly losses: readonly number[];
  /** All that was ever asked for, also in vain. */
  readonly tried: readonly Ask[];
};

export function walkThrough(start: () => Walk, loss: (ask: Ask) => number, slots = 1): Walked {
  const searcher = createSearcher(start);
  const [asked, losses] = [[] as Ask[], [] as number[]];
  const tried = new Map<string, Ask>();
  for (;;) {
    const asks = searcher.ask(slots);
    const [next] = asks;
    if (!next) break;
    if (asks.length > slots) throw new Error(`${asks.length} asks for ${slots} slots.`);
    for (const ask of asks) tried.set(askKey(ask), ask);
    const found = loss(next);
    asked.push(next);
    if (next.fidelity === 'exact') losses.push(found);
    searcher.tell(next, found);
  }
  return { best: searcher.best()!, asked, losses, tried: [...tried.values()] };
}
