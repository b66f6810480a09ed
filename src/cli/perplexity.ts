// Perplexities, or other losses, as people read them in a terminal.

import type { LossName } from '../records/index.js';
import { formatLoss, wordsOfLoss } from '../words/index.js';
import { formatTable } from './format.js';

type Perplexities = { readonly validation: number | null; readonly test: number | null };

type Line = readonly [label: string, scores: Perplexities];

/**
 * A line per model, the dense one first, and an empty line; empty where nothing was scored. `loss` is what the perplexities are exp
 * of, where that is not the loss of a text.
 */
export function lossTable(models: readonly Line[], loss?: LossName): string[] {
  const { validation, test } = models[0]![1];
  if (validation === null && test === null) return [];
  const words = wordsOfLoss({ loss });
  const format = (perplexity: number | null): string => formatLoss(perplexity === null ? null : { loss, perplexity });
  const rows = models.map(([label, scores]) => [label, format(scores.validation), format(scores.test)]);
  return [formatTable([[words.name, 'validation', 'test'], ...rows]), ''];
}
