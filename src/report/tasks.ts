// Zero-shot accuracies of several models in one table: a row for each model, a column for each task.

import { escapeHtml, type Html, note, type Row, section, table } from '../page/index.js';
import type { Estimate, Manifest, TaskScores, TaskSetup } from '../records/index.js';
import { formatAccuracy } from '../words/index.js';
import { describePlan, isUniform } from './reading.js';

type ScoredModel = {
  readonly name: Html;
  readonly scores: TaskScores | undefined;
  readonly chosen?: boolean;
};

export function taskTable(setup: TaskSetup, models: readonly ScoredModel[]): Html {
  const { tasks, suite, shots } = setup;
  const rows = models.map(({ name, scores, chosen }): Row => {
    const cells = tasks.map(({ task }) => accuracy(scores?.tasks[task]?.acc));
    return {
      head: name,
      cells: [...cells, ...(suite === null ? [] : [accuracy(scores?.average)])],
      ...(chosen === undefined ? {} : { chosen }),
    };
  });
  const columns = ['', ...tasks.map(({ task }) => escapeHtml(task)), ...(suite === null ? [] : ['average'])];
  const limited = tasks.filter(({ items, all }) => items < all).map(({ task, items }) => `${items} of ${task}`);
  const cut = tasks.filter(({ cut }) => cut.context + cut.continuation > 0);
  const sentences = [
    `Accuracy in percent ± its standard error; higher is better. ${shots === 0 ? 'No examples' : `${shots} examples`} before an item.`,
    suite === null ? '' : ` The average is that of the suite ${escapeHtml(suite)}: acc everywhere.`,
    limited.length > 0 ? ` Only the first items were scored: ${escapeHtml(limited.join(', '))}.` : '',
    cut.length > 0
      ? ` Requests longer than ${setup.length} tokens were cut from the left: ${escapeHtml(cut.map(({ task, cut }) => `${cut.context + cut.continuation} of ${task}`).join(', '))}.`
      : '',
  ];
  return `${table('Accuracy on tasks', columns, rows)}\n${note(sentences.join(''))}`;
}

function accuracy(estimate: Estimate | undefined | null): Html {
  const [value, margin] = formatAccuracy(estimate);
  return margin === '' ? value : `${value} <span class="interval">${margin}</span>`;
}

/** The accuracies of the dense model, uniform and the chosen plan. */
export function taskSection(manifest: Manifest): Html {
  const { tasks, dense, uniform, chosen } = manifest;
  if (!tasks) return '';
  const same = isUniform(manifest);
  const models: ScoredModel[] = [{ name: 'dense', scores: dense.tasks }];
  if (uniform && !same) models.push({ name: 'uniform', scores: uniform.tasks });
  models.push({ name: same ? 'uniform' : escapeHtml(describePlan(manifest)), scores: chosen.tasks, chosen: true });
  return section('tasks', 'Zero-shot tasks', taskTable(tasks, models));
}
