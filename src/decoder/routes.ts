// Which experts the tokens of a pass go to. The rule is the engine's (model/routing.ts): a token goes to the k experts that
// the router's softmax gives most to, of equal ones to the lower, and what each of them makes of it counts for its share, of
// these k or of all E. Their rows lie one expert after the other, an expert's tokens in their order: M·k rows for M tokens,
// however they are spread. A few numbers a token, so every thread finds them all instead of waiting for another.

import type { Mixture } from './program.js';

export type Routes = {
  /** k. */
  readonly perToken: number;
  /** Where each expert's rows begin, and where the last one's end: [E + 1]. */
  readonly starts: Int32Array;
  /** The token of each row, [M·k]. */
  readonly tokens: Int32Array;
  /** Of each token, from the most probable of its experts on, [M, k]: the row it has there, and what that one counts for. */
  readonly rows: Int32Array;
  readonly shares: Float32Array;
};

/** Room for the routes of up to `tokens` tokens. */
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

/** Finds the routes of as many tokens as there are rows of `logits`, each of E numbers. */
export function findRoutes(logits: readonly Float32Array[], { normalised }: Mixture, routes: Routes): void {
  const { perToken: k, starts, tokens, rows, shares } = routes;
  starts.fill(0);
  for (const [token, own] of logits.entries()) {
    // The expert for now; the row once it is known how many come before.
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

/** The indices of the largest numbers, as many as `chosen` holds, in falling order; some are chosen whatever the numbers. */
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

/** The softmax of the chosen, or their part in that of all. */
function writeShares(logits: Float32Array, chosen: Int32Array, normalised: boolean, shares: Float32Array): void {
  const largest = logits[chosen[0]!]!;
  let total = 0;
  if (normalised) for (const expert of chosen) total += Math.exp(logits[expert]! - largest);
  else for (const logit of logits) total += Math.exp(logit - largest);
  for (const [rank, expert] of chosen.entries()) shares[rank] = Math.exp(logits[expert]! - largest) / total;
}
