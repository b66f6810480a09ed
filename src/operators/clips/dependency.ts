// How much one layer's values say about the next one's (Q-VLM, eqs. 4–5). A value is spread softly over the levels of a grid,
//   P(x = l_m) = softmax_m(−(x − l_m)² / Δ),   Δ = the step between levels,
// and the joint distribution of two tensors of one shape is the mean over elements of P(x)⊗P(y). Entropies are in nats. The
// spread itself has entropy, so H(Y | X) is above 0 even where y is a function of x.

import { type AsymmetricGrid, levelsOf } from './asymmetric.js';

export type Entropies = {
  /** H(X), H(Y). */
  readonly x: number;
  readonly y: number;
  /** H(Y | X): the dependency D of the paper. */
  readonly given: number;
};

/** P(x = l_m) for every level. */
export function softAssign(x: number, levels: readonly number[], step: number): Float64Array {
  const P = Float64Array.from(levels, (level) => -((x - level) ** 2) / step);
  const most = P.reduce((a, b) => Math.max(a, b));
  let sum = 0;
  for (let m = 0; m < P.length; m++) sum += P[m] = Math.exp(P[m]! - most);
  for (let m = 0; m < P.length; m++) P[m]! /= sum;
  return P;
}

/** −Σ p ln p. */
export const entropyOf = (P: Iterable<number>): number => {
  let sum = 0;
  for (const p of P) if (p > 0) sum -= p * Math.log(p);
  return sum;
};

/** The entropies of two tensors, element by element, each on its own grid. */
export function entropiesOf(
  x: ArrayLike<number>,
  y: ArrayLike<number>,
  grids: { readonly x: AsymmetricGrid; readonly y: AsymmetricGrid },
): Entropies {
  const [xs, ys] = [levelsOf(grids.x), levelsOf(grids.y)];
  const [px, py] = [new Float64Array(xs.length), new Float64Array(ys.length)];
  const joint = new Float64Array(xs.length * ys.length);
  for (let i = 0; i < x.length; i++) {
    const [P, Q] = [softAssign(x[i]!, xs, 1 / grids.x.scale), softAssign(y[i]!, ys, 1 / grids.y.scale)];
    for (let m = 0; m < P.length; m++) {
      const p = P[m]! / x.length;
      px[m]! += p;
      for (let n = 0; n < Q.length; n++) joint[m * Q.length + n]! += p * Q[n]!;
    }
    for (let n = 0; n < Q.length; n++) py[n]! += Q[n]! / x.length;
  }
  const hx = entropyOf(px);
  return { x: hx, y: entropyOf(py), given: entropyOf(joint) - hx };
}
