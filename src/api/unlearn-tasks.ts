// Zero-shot tasks before and after an unlearning: the average of each, and the parts of those that have parts (MMLU’s subjects),
// so that a reader sees which subjects the model knew at all.

import type { Model } from '../model/index.js';
import type { UnlearnRecord } from '../records/index.js';
import { type PreparedTasks, scoreTasks } from '../runs/index.js';
import { type Outcome, scoresOf } from '../zeroshot/index.js';
import type { LeakContext } from './unlearn-leaks.js';

type TaskRecord = NonNullable<UnlearnRecord['tasks']>;
type Scored = Pick<TaskRecord, 'dense'> & {
  readonly parts: readonly Pick<TaskRecord['parts'][number], 'part' | 'items' | 'chance' | 'dense'>[];
};

/** Scores both models; undefined without tasks. Each is a step of the run. */
export async function scoreUnlearnTasks(
  { engine, dense, model, workspace, settings }: LeakContext,
  tasks: PreparedTasks | undefined,
): Promise<TaskRecord | undefined> {
  if (!tasks) return undefined;
  const score = (name: string, of: Model): Promise<Scored> =>
    workspace.step(`tasks-${name}`, async () => {
      const outcomes = await scoreTasks(engine, of, undefined, tasks, `tasks: ${name}`, settings.onProgress);
      return { dense: scoresOf(outcomes, tasks.settings.suite), parts: outcomes.flatMap(partsOf) };
    });
  const before = await score('dense', dense);
  const after = await score('suppressed', model);
  const parts = before.parts.map((part, i) => ({ ...part, suppressed: after.parts[i]!.dense }));
  return { setup: tasks.setup, dense: before.dense, suppressed: after.dense, parts };
}

/** The parts of a task, with the accuracy of guessing. */
function partsOf({ task, parts }: Outcome): Scored['parts'] {
  if (!task.partOf) return [];
  return parts.map(({ name, items, metrics }) => ({
    part: name,
    items: items.length,
    chance: items.reduce((sum, { requests }) => sum + 1 / requests.length, 0) / items.length,
    dense: metrics.acc!,
  }));
}
