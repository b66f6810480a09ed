// Zero-shot scores as people read them in a terminal.

import type { Estimate, TaskScores, TaskSetup } from '../records/index.js';
import { formatAccuracy, formatMetric, METRICS, nameMetric } from '../words/index.js';
import { formatTable } from './format.js';

const accuracy = (estimate: Estimate | undefined | null): string => formatAccuracy(estimate).join(' ').trimEnd();

/** One model: a line per task, and the average of a suite. */
export function taskTable(setup: TaskSetup, { tasks, average }: TaskScores): string {
  const metrics = METRICS.filter((metric) => Object.values(tasks).some((scores) => scores[metric]));
  const rows = setup.tasks.map(({ task, items, all }) => [
    task,
    ...metrics.map((metric) => formatMetric(metric, tasks[task]?.[metric])),
    items === all ? String(items) : `${items} of ${all}`,
  ]);
  if (average) rows.push([`average (${setup.suite})`, accuracy(average), ...metrics.slice(1).map(() => ''), '']);
  const shots = setup.shots > 0 ? `${setup.shots}-shot` : 'zero-shot';
  return formatTable([[shots, ...metrics.map(nameMetric), 'items'], ...rows]);
}

type Model = readonly [label: string, row: { readonly tasks?: TaskScores | undefined }];

/** Several models: a line per model with its accuracy on each task, and the average of a suite. */
export function modelTable({ tasks, suite }: TaskSetup, models: readonly Model[]): string {
  const average = suite === null ? [] : [`average (${suite})`];
  const head = ['acc %', ...tasks.map(({ task }) => task), ...average];
  const rows = models.map(([label, { tasks: scores }]) => [
    label,
    ...tasks.map(({ task }) => accuracy(scores?.tasks[task]?.acc)),
    ...average.map(() => accuracy(scores?.average)),
  ]);
  return formatTable([head, ...rows]);
}

/** Notes about requests that were too long for the model. */
export function describeCuts({ tasks, length }: TaskSetup): string[] {
  return tasks
    .filter(({ cut }) => cut.context + cut.continuation > 0)
    .map(({ task, cut }) => {
      const lost = cut.continuation > 0 ? `, ${cut.continuation} of them from the choice itself` : '';
      return `${task}: ${cut.context + cut.continuation} of the requests are longer than ${length} tokens, cut from the left${lost}.`;
    });
}
