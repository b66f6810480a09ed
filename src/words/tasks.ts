// Scores on tasks as people read them. Accuracies and probabilities are in percent; a ratio and a perplexity are not.

import { formatAccuracy, formatPerplexity } from './numbers.js';

type Estimate = { readonly value: number; readonly stderr: number | null };
type Scores = { readonly tasks: Readonly<Record<string, Readonly<Record<string, Estimate>>>> };
type Setup = { readonly tasks: readonly { readonly task: string; readonly items: number }[] };

export const METRICS = ['acc', 'acc_norm', 'perplexity', 'probability', 'truth_ratio'] as const;
type Metric = (typeof METRICS)[number];

const isShare = (metric: Metric): boolean => metric !== 'perplexity' && metric !== 'truth_ratio';

/** `acc %`, `perplexity`. */
export const nameMetric = (metric: Metric): string => (isShare(metric) ? `${metric} %` : metric);

/** The value, and its standard error where the metric is not a perplexity. */
export function formatMetric(metric: Metric, estimate: Estimate | undefined): string {
  if (metric === 'perplexity') return formatPerplexity(estimate?.value);
  if (isShare(metric) || !estimate) return formatAccuracy(estimate).join(' ').trimEnd();
  const { value, stderr } = estimate;
  return stderr === null ? value.toFixed(3) : `${value.toFixed(3)} ± ${stderr.toFixed(3)}`;
}

type Part = {
  readonly part: string;
  readonly items: number;
  readonly dense: Estimate;
  readonly suppressed: Estimate;
};

/** Accuracies on parts of tasks before and after. The first row is the heading. */
export const partsTable = (parts: readonly Part[]): readonly (readonly string[])[] => [
  ['acc %', 'before', 'suppressed', 'items'],
  ...parts.map(({ part, items, dense, suppressed }) => [
    part,
    formatAccuracy(dense).join(' '),
    formatAccuracy(suppressed).join(' '),
    String(items),
  ]),
];

/** One model before and after: a row for each task and metric, with the number of items. The first row is the heading. */
export function changeTable(setup: Setup, before: Scores, after: Scores): readonly (readonly string[])[] {
  const rows = setup.tasks.flatMap(({ task, items }) =>
    METRICS.filter((metric) => before.tasks[task]?.[metric]).map((metric) => [
      `${task}, ${nameMetric(metric)}`,
      formatMetric(metric, before.tasks[task]?.[metric]),
      formatMetric(metric, after.tasks[task]?.[metric]),
      String(items),
    ]),
  );
  return [['', 'before', 'suppressed', 'items'], ...rows];
}
