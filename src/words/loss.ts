// What a model is scored by, as people read it: perplexity of a text, cross-entropy of the labels of images, both from the same losses.

import { formatPerplexity } from './numbers.js';

type Scores = { readonly loss?: 'cross-entropy' | 'answer' | undefined; readonly perplexity: number };

export type LossWords = {
  /** In the middle of a sentence. */
  readonly name: string;
  readonly title: string;
  /** What two models’ scores make: a ratio of perplexities, or a difference of cross-entropies. */
  readonly compared: 'ratio' | 'difference';
  format(scores: Scores): string;
};

const PERPLEXITY: LossWords = {
  name: 'perplexity',
  title: 'Perplexity',
  compared: 'ratio',
  format: ({ perplexity }) => formatPerplexity(perplexity),
};

const nats = ({ perplexity }: Scores): string => Math.log(perplexity).toFixed(4);

const OTHERS: Readonly<Record<NonNullable<Scores['loss']>, LossWords>> = {
  'cross-entropy': { name: 'cross-entropy', title: 'Cross-entropy', compared: 'difference', format: nats },
  answer: { name: 'nats per token of the answer', title: 'Loss of the answers', compared: 'difference', format: nats },
};

/** A score by its own loss; a dash without one. */
export const formatLoss = (scores: Scores | null | undefined): string =>
  scores ? wordsOfLoss(scores).format(scores) : '–';

/** The words for what was scored. */
export const wordsOfLoss = (scores: Pick<Scores, 'loss'> | null | undefined): LossWords =>
  scores?.loss ? OTHERS[scores.loss] : PERPLEXITY;
