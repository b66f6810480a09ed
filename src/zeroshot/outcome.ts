// A task's items with a model's results on them, and the scores that follow.

import type { Estimate, TaskScores } from '../records/index.js';
import type { Likelihood } from './loglikelihood.js';
import { aggregate, average, pool, scoreItem } from './metrics.js';
import type { LikelihoodRequest } from './requests.js';
import type { Document } from './tasks/load.js';
import type { Suite } from './tasks/registry.js';
import type { Metric, Task } from './tasks/task.js';

export type ScoredItem = {
  readonly document: Document;
  readonly requests: readonly LikelihoodRequest[];
  readonly likelihoods: readonly Likelihood[];
  readonly metrics: Readonly<Partial<Record<Metric, number>>>;
};

/** A part of a task: the whole task, where the harness has one task for it. */
export type Part = {
  readonly name: string;
  readonly items: readonly ScoredItem[];
  /** The number of items, including those that were not scored. */
  readonly all: number;
  readonly metrics: Readonly<Record<string, Estimate>>;
};

export type Outcome = {
  readonly task: Task;
  readonly parts: readonly Part[];
  readonly metrics: Readonly<Record<string, Estimate>>;
};

/** The outcome of the scored `items` out of `all`. */
export function outcomeOf(
  task: Task,
  all: readonly Document[],
  items: readonly { readonly document: Document; readonly requests: readonly LikelihoodRequest[] }[],
  likelihoods: readonly (readonly Likelihood[])[],
): Outcome {
  const byPart = new Map<string, ScoredItem[]>();
  for (const [i, item] of items.entries()) {
    const own = likelihoods[i]!;
    const scored = { ...item, likelihoods: own, metrics: scoreItem(task, item.document.question, own) };
    const { part } = item.document;
    const some = byPart.get(part);
    if (some) some.push(scored);
    else byPart.set(part, [scored]);
  }
  const each = (make: (metric: Metric) => Estimate): Record<string, Estimate> =>
    Object.fromEntries(task.metrics.map((metric) => [metric, make(metric)]));
  const parts = [...byPart].map(([name, some]) => ({
    name,
    items: some,
    all: all.filter(({ part }) => part === name).length,
    metrics: each((metric) =>
      aggregate(
        metric,
        some.map((item) => item.metrics[metric]!),
      ),
    ),
  }));
  const [first, ...others] = parts;
  const metrics =
    others.length === 0
      ? first!.metrics
      : each((metric) => pool(parts.map((part) => ({ estimate: part.metrics[metric]!, items: part.items.length }))));
  return { task, parts, metrics };
}

/** The scores as a record, with the average of `suite` if there is one. */
export function scoresOf(outcomes: readonly Outcome[], suite: Suite | undefined): TaskScores {
  const tasks = Object.fromEntries(outcomes.map(({ task, metrics }) => [task.name, metrics]));
  return { average: suite ? average(suite.tasks.map((name) => tasks[name]!.acc!)) : null, tasks };
}
