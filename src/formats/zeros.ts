// Zeros before and after a change of format: whether a pruned model is still sparse there.

/** Zeros of the source's linears; zeros of what was written; and how many of the source's are still zeros. */
export type ZeroCounts = { readonly before: number; readonly after: number; readonly kept: number };

/** Adds the zeros of W and those that `isZero` says of what was written for it. */
export function countZeros(
  counts: { before: number; after: number; kept: number },
  W: Float32Array,
  isZero: (i: number) => boolean,
): void {
  for (let i = 0; i < W.length; i++) {
    const [was, is] = [W[i] === 0, isZero(i)];
    if (was) counts.before++;
    if (is) counts.after++;
    if (was && is) counts.kept++;
  }
}
