// What OWL, DLP and DSA share: the more a block matters, the denser it is, in a band 2λ wide around the target.
//   d_i = 2λ·(m_i − min m)/(max m − min m),   s_i = S − d_i + mean d.
// m_i = importance of block i, S = target. The width of the s_i is 2λ exactly; they need not be symmetric about S, and one
// extreme block dictates the profile. The published code divides by zero where all m_i are equal: here that is uniform.

/** Raw sparsities, mean S, from importances. */
export function shiftByImportance(importance: readonly number[], lambda: number, target: number): number[] {
  const scaled = scaleToUnit(importance);
  const mean = scaled.reduce((a, b) => a + b, 0) / scaled.length;
  return scaled.map((m) => target - 2 * lambda * (m - mean));
}

/** (m − min)/(max − min); where all are equal, one half of each. */
export function scaleToUnit(values: readonly number[]): number[] {
  const low = Math.min(...values);
  const width = Math.max(...values) - low;
  return values.map((value) => (width > 0 ? (value - low) / width : 0.5));
}
