// Accuracies on images, from the places of their labels (evaluation.ts). It is in this room because all of it can be computed again from
// a record.

export type Share = { readonly mean: number; readonly interval: readonly [low: number, high: number] };

/** The share of images whose label is among the first `within` classes, with Wilson's 95 % interval. */
export function accuracyWithin(ranks: readonly number[], within: number): Share {
  const n = ranks.length;
  const p = ranks.filter((rank) => rank < within).length / n;
  const z = 1.96;
  const scale = 1 + z ** 2 / n;
  const centre = (p + z ** 2 / (2 * n)) / scale;
  const margin = (z / scale) * Math.sqrt((p * (1 - p)) / n + z ** 2 / (4 * n ** 2));
  return { mean: p, interval: [Math.max(0, centre - margin), Math.min(1, centre + margin)] };
}

/**
 * Top-1 of one model minus that of another on the same images, with the 95 % interval of the paired difference: with b and c the
 * images that only the first or only the second gets right, its standard error is √(b + c − (b − c)²/n)/n (McNemar).
 */
export function accuracyGain(ranks: readonly number[], other: readonly number[]): Share {
  const n = ranks.length;
  let [b, c] = [0, 0];
  for (let i = 0; i < n; i++) {
    if (ranks[i] === 0 && other[i] !== 0) b++;
    if (ranks[i] !== 0 && other[i] === 0) c++;
  }
  const mean = (b - c) / n;
  const margin = (1.96 * Math.sqrt(Math.max(0, b + c - (b - c) ** 2 / n))) / n;
  return { mean, interval: [mean - margin, mean + margin] };
}

/** The classes by how many of their images a model gets right, and the other model got, largest loss first. */
export function lossesByClass(
  labels: readonly number[],
  ranks: readonly number[],
  dense: readonly number[],
): readonly { readonly label: number; readonly images: number; readonly right: number; readonly before: number }[] {
  const classes = new Map<number, { label: number; images: number; right: number; before: number }>();
  for (const [i, label] of labels.entries()) {
    const one = classes.get(label) ?? { label, images: 0, right: 0, before: 0 };
    classes.set(label, one);
    one.images++;
    if (ranks[i] === 0) one.right++;
    if (dense[i] === 0) one.before++;
  }
  return [...classes.values()].sort((a, b) => a.right - a.before - (b.right - b.before) || a.label - b.label);
}
