// How well models answer questions about images, as people read it in a terminal and as JSON.

import type { EvaluateResult } from '../api/index.js';
import type { ManifestText } from '../records/index.js';
import { formatPercent, formatPerplexity } from '../words/index.js';
import { crossEntropyOf } from './accuracy.js';
import { formatTable } from './format.js';

type Scores = NonNullable<EvaluateResult['questions']>['model'];

/** A line per model. */
export function answerTable(
  { windows, dialogue }: ManifestText,
  models: readonly (readonly [label: string, scores: Scores | undefined])[],
): string[] {
  const scored = models.flatMap(([label, scores]) => (scores ? [[label, scores] as const] : []));
  const asked = scored[0]![1].choices;
  const chosen = asked ? [`choices (${asked.questions})`] : [];
  const wrote = scored[0]![1].written;
  const written = wrote ? ['written right', ...(wrote.vqa ? [`VQA (${wrote.vqa.questions})`] : [])] : [];
  const head = [`${windows} questions`, 'nats', 'perplexity', 'tokens right', 'answers right', ...chosen, ...written];
  const lines = scored.map(([label, { evaluation, tokenAccuracy, exactMatch, choices, written }]) => [
    label,
    crossEntropyOf(evaluation).toFixed(4),
    formatPerplexity(evaluation.perplexity),
    formatPercent(tokenAccuracy),
    formatPercent(exactMatch),
    ...(choices ? [formatPercent(choices.accuracy)] : []),
    ...(written ? [formatPercent(written.exact), ...(written.vqa ? [formatPercent(written.vqa.accuracy)] : [])] : []),
  ]);
  const share = formatPercent(dialogue!.imageShare);
  return [
    formatTable([head, ...lines]),
    '',
    `Scored are ${dialogue!.answers} tokens of answers; ${share} of all tokens are rows of ${dialogue!.images} images.`,
  ];
}

/** The same for --json. */
export const answersJson = ({ evaluation, tokenAccuracy, exactMatch, choices, written }: Scores) => ({
  questions: evaluation.windows,
  answerNll: crossEntropyOf(evaluation),
  perplexity: evaluation.perplexity,
  tokens: evaluation.tokens,
  tokenAccuracy,
  exactMatch,
  ...(choices ? { choices } : {}),
  ...(written ? { written } : {}),
});
