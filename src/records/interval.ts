// Tells two models apart by their losses on the same windows. It is in this room because every interval can be computed again
// from a record's losses.

/**
 * The 95 % interval of perplexity(a) / perplexity(b), paired over the windows both were scored on: exp of the mean
 * difference ± 1.96 standard errors. One window, or equal scores, give a point.
 */
export function pairedInterval(a: readonly number[], b: readonly number[]): [low: number, high: number] {
  const n = a.length;
  const differences = a.map((value, i) => value - b[i]!);
  const mean = differences.reduce((x, y) => x + y, 0) / n;
  const variance = n < 2 ? 0 : differences.reduce((sum, d) => sum + (d - mean) ** 2, 0) / (n - 1);
  const margin = 1.96 * Math.sqrt(variance / n);
  return [Math.exp(mean - margin), Math.exp(mean + margin)];
}

/** Whether `interval` (of a ratio, lower is better) tells the two apart. */
export function verdictOf([low, high]: readonly [number, number]): 'better' | 'tie' | 'worse' {
  if (high < 1) return 'better';
  return low > 1 ? 'worse' : 'tie';
}
