// Perplexity by the protocol of the papers (Wanda, ATP): tokenise the whole text once, cut it into non-overlapping
// windows, drop the tail, do not score the first token of a window, and take exp of the mean of the windows' means.
// This is not lm-eval's word perplexity. Where windows begin with BOS, that is the unscored token: as many tokens are predicted
// in a window, but the first of the text has BOS before it, so only results with the same start of windows are comparable.

import type { Evaluation } from '../records/index.js';
import type { Scoring } from '../stream/index.js';

/**
 * An evaluation from the mean negative log-likelihood of each sample, of which some rows are scored: in nats per token for a window
 * of T tokens, of which T − 1 are, or the cross-entropy of an image's label. Of answers of several lengths `rows` is the mean.
 */
export function summarise(nll: readonly number[], { rows, loss }: Scoring): Evaluation {
  const perplexity = Math.exp(nll.reduce((a, b) => a + b, 0) / nll.length);
  return {
    ...(loss ? { loss } : {}),
    perplexity,
    windows: nll.length,
    tokens: Math.round(nll.length * rows),
    nll: [...nll],
  };
}
