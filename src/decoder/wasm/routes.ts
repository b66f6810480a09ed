// Which experts the tokens of a pass go to, by the engine's rule (model/routing.ts). A token goes to the k experts with
// the highest softmax values in the router; ties go to the lower index. Each expert's output is weighted by its share,
// of these k or of all E. Rows are sorted by expert, an expert's tokens in their order: M·k rows for M tokens. These
// are a few numbers per token, so every thread computes all of them instead of waiting for another.

import type { Mixture } from '../program.js';

export type Routes = {
  /** k. */
  readonly perToken: number;
  /** Where each expert's rows begin, and where the last one's end: [E + 1]. */
  readonly starts: Int32Array;
  /** The token of each row, [M·k]. */
  readonly tokens: Int32Array;
  /**
   * For each token and each of its experts, from the most probable on, [M, k]: its row there, and that expert's share.
   */
  readonly rows: Int32Array;
  readonly shares: Float32Array;
};

/** Memory for the routes of up to `tokens` tokens. */
export function makeRoutes(tokens: number, { experts, perToken }: Mixture): Routes {
  const count = tokens * perToken;
  return {
    perToken,
    starts: new Int32Array(experts + 1),
    tokens: new Int32Array(count),
    rows: new Int32Array(count),
    shares: new Float32Array(count),
  };
}

/** Finds the routes of the tokens, one per row of `logits`, each of E numbers. */
export function findRoutes(logits: readonly Float32Array[], { normalised }: Mixture, routes: Routes): void {
  const { perToken: k, starts, tokens, rows, shares } = routes;
  starts.fill(0);
  for (const [token, own] of logits.entries()) {
    // First the expert; later replaced by the row, once the number of rows before it is known.
    const chosen = rows.subarray(token * k, (token + 1) * k);
    chooseLargest(own, chosen);
    for (const expert of chosen) starts[expert + 1]!++;
    writeShares(own, chosen, normalised, shares.subarray(token * k, (token + 1) * k));
  }
  for (let expert = 1; expert < starts.length; expert++) starts[expert]! += starts[expert - 1]!;
  const next = starts.slice();
  for (let i = 0; i < logits.length * k; i++) {
    const row = next[rows[i]!]!++;
    tokens[row] = Math.floor(i / k);
    rows[i] = row;
  }
}

/**
 * The indices of the largest numbers, as many as `chosen` holds, in descending order. Always fills `chosen`, even for
 * NaN.
 */
function chooseLargest(numbers: Float32Array, chosen: Int32Array): void {
  for (let rank = 0; rank < chosen.length; rank++) {
    let best = -1;
    for (let i = 0; i < numbers.length; i++) {
      if (best >= 0 && !(numbers[i]! > numbers[best]!)) continue;
      if (!chosen.subarray(0, rank).includes(i)) best = i;
    }
    chosen[rank] = best;
  }
}

/** The softmax over the chosen experts, or their part of the softmax over all. */
function writeShares(logits: Float32Array, chosen: Int32Array, normalised: boolean, shares: Float32Array): void {
  const largest = logits[chosen[0]!]!;
  let total = 0;
  if (normalised) for (const expert of chosen) total += Math.exp(logits[expert]! - largest);
  else for (const logit of logits) total += Math.exp(logit - largest);
  for (const [rank, expert] of chosen.entries()) shares[rank] = Math.exp(logits[expert]! - largest) / total;
}
