// The accuracies of the dense model, uniform and the chosen plan on zero-shot tasks.

import type { Manifest } from '../../records/index.js';
import { escapeHtml, type Html, section } from '../html.js';
import { describePlan, isUniform } from '../reading.js';
import { type ScoredModel, taskTable } from '../tasks.js';

export function taskSection(manifest: Manifest): Html {
  const { tasks, dense, uniform, chosen } = manifest;
  if (!tasks) return '';
  const same = isUniform(manifest);
  const models: ScoredModel[] = [{ name: 'dense', scores: dense.tasks }];
  if (uniform && !same) models.push({ name: 'uniform', scores: uniform.tasks });
  models.push({ name: same ? 'uniform' : escapeHtml(describePlan(manifest)), scores: chosen.tasks, chosen: true });
  return section('tasks', 'Zero-shot tasks', taskTable(tasks, models));
}
