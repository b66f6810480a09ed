// Perplexity by the papers' protocol (Wanda, ATP): the whole text tokenised once, non-overlapping windows, the tail
// dropped, the first token of a window unscored, exp of the mean of the windows' means. Not lm-eval's word perplexity.

import type { Evaluation } from '../records/index.js';

/** An evaluation from the mean negative log-likelihood (nats per token) of each window of `length` tokens. */
export function summarise(nll: readonly number[], length: number): Evaluation {
  const perplexity = Math.exp(nll.reduce((a, b) => a + b, 0) / nll.length);
  return { perplexity, windows: nll.length, tokens: nll.length * (length - 1), nll: [...nll] };
}
