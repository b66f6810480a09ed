// How well models do on images, as people read it in a terminal and as JSON.

import { accuracyGain, accuracyWithin, type Evaluation } from '../records/index.js';
import { formatGain, formatShare } from '../words/index.js';
import { formatTable } from './format.js';

type Row = readonly [label: string, evaluation: Evaluation | null | undefined];

/** The mean cross-entropy, in nats. */
export const crossEntropyOf = ({ nll }: Evaluation): number => nll.reduce((a, b) => a + b, 0) / nll.length;

/** A line per model that was scored on images, the first the one that others are compared with; empty where none was. */
export function accuracyTable(title: string, rows: readonly Row[]): string[] {
  const scored = rows.flatMap(([label, evaluation]) =>
    evaluation?.ranks ? [{ label, evaluation, ranks: evaluation.ranks }] : [],
  );
  const first = scored[0];
  if (!first) return [];
  const head = [
    title,
    'cross-entropy',
    'top-1 (95 %)',
    'top-5',
    ...(scored.length > 1 ? [`top-1 to ${first.label}`] : []),
  ];
  const lines = scored.map(({ label, evaluation, ranks }) => [
    label,
    crossEntropyOf(evaluation).toFixed(4),
    formatShare(accuracyWithin(ranks, 1)),
    formatShare(accuracyWithin(ranks, 5)).split(' (')[0]!,
    ...(scored.length > 1 ? [ranks === first.ranks ? '–' : formatGain(accuracyGain(ranks, first.ranks))] : []),
  ]);
  return [formatTable([head, ...lines]), ''];
}

/** The same for --json; nothing for a model of texts. */
export function accuracyJson(evaluation: Evaluation | null | undefined): { readonly [name: string]: unknown } {
  if (!evaluation?.ranks) return {};
  const [one, five] = [accuracyWithin(evaluation.ranks, 1), accuracyWithin(evaluation.ranks, 5)];
  return {
    images: evaluation.windows,
    crossEntropy: crossEntropyOf(evaluation),
    top1: one.mean,
    top1Interval: one.interval,
    top5: five.mean,
    top5Interval: five.interval,
  };
}
