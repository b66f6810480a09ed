// A covering array: of the legal cells of a table as few as hold every pair of values that any legal cell holds. Faults come
// from one value or from two that meet, seldom from three, so it finds nearly what the whole table finds.

/** Every pair of values of different axes, by name. */
export const pairsOf = (values: readonly string[]): readonly string[] =>
  values.flatMap((a, i) => values.slice(i + 1).map((b, j) => JSON.stringify([i, a, i + 1 + j, b])));

/**
 * Cells that together hold every pair which `cells` hold: always the next that adds most, of equals the first, so equal
 * tables give equal arrays. `valuesOf` gives a cell's value on each axis, in one order for all.
 */
export function coverPairs<T>(cells: readonly T[], valuesOf: (cell: T) => readonly string[]): readonly T[] {
  const pairs = cells.map((cell) => pairsOf(valuesOf(cell)));
  const open = new Set(pairs.flat());
  const chosen: T[] = [];
  while (open.size > 0) {
    const gains = pairs.map((each) => each.filter((pair) => open.has(pair)).length);
    const best = gains.indexOf(Math.max(...gains));
    chosen.push(cells[best]!);
    for (const pair of pairs[best]!) open.delete(pair);
  }
  return chosen;
}
