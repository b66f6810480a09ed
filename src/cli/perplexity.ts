// Perplexities as people read them in a terminal.

import { formatPerplexity } from '../words/index.js';
import { formatTable } from './format.js';

type Perplexities = { readonly validation: number | null; readonly test: number | null };

/** A line per model, the dense one first, and an empty line; empty where no text was scored. */
export function perplexityTable(models: readonly (readonly [label: string, scores: Perplexities])[]): string[] {
  const { validation, test } = models[0]![1];
  if (validation === null && test === null) return [];
  const rows = models.map(([label, scores]) => [
    label,
    formatPerplexity(scores.validation),
    formatPerplexity(scores.test),
  ]);
  return [formatTable([['perplexity', 'validation', 'test'], ...rows]), ''];
}
