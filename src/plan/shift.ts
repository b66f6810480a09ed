// The formula that OWL, DLP and DSA have in common: more important blocks are denser, in a band 2λ wide.
//   d_i = 2λ·(m_i − min m)/(max m − min m),   s_i = S − d_i + mean d.
// m_i = importance of block i, S = target. The s_i span exactly 2λ. They need not be symmetric about S, and one extreme
// block determines the whole profile. The published code divides by zero if all m_i are equal; ours gives uniform.

/** Raw sparsities with mean S, from importances. */
export function shiftByImportance(importance: readonly number[], lambda: number, target: number): number[] {
  const scaled = scaleToUnit(importance);
  const mean = scaled.reduce((a, b) => a + b, 0) / scaled.length;
  return scaled.map((m) => target - 2 * lambda * (m - mean));
}

/** (m − min)/(max − min); 0.5 for all if all are equal. */
export function scaleToUnit(values: readonly number[]): number[] {
  const low = Math.min(...values);
  const width = Math.max(...values) - low;
  return values.map((value) => (width > 0 ? (value - low) / width : 0.5));
}
