// The ℓ1 ball. The nearest point of it by sorting (Duchi, Shalev-Shwartz, Singer, Chandra 2008): all sizes shrink by one
// threshold θ, and what is smaller becomes 0.

/** Moves `x` in place to the nearest point with Σ |x| ≤ radius; ∞ leaves it where it is. */
export function projectL1(x: Float32Array, radius: number): void {
  if (!(radius >= 0)) throw new RangeError(`The radius of an l1 ball: expected 0 or more, got ${radius}.`);
  if (radius === 0) {
    x.fill(0);
    return;
  }
  const sizes = Float64Array.from(x, Math.abs);
  if (sizes.reduce((sum, size) => sum + size, 0) <= radius) return;
  sizes.sort();
  // θ from the largest j sizes: for all of them to stay above 0, the smallest has to be above it.
  let [sum, threshold] = [0, 0];
  for (let j = 1; j <= sizes.length; j++) {
    const size = sizes[sizes.length - j]!;
    sum += size;
    if (size * j <= sum - radius) break;
    threshold = (sum - radius) / j;
  }
  for (const [i, value] of x.entries()) x[i] = Math.sign(value) * Math.max(0, Math.abs(value) - threshold);
}
