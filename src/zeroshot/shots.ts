// Chooses few-shot examples. From a file of examples: k of them, drawn with the seed separately for each item, or the first
// k of the item’s part. Without such a file they are drawn from the scored items, never the item itself. The harness draws
// with Python’s generator, so at the same seed its examples differ from ours.

import { createRng, OptionError } from '../base/index.js';
import type { Document } from './tasks/load.js';
import type { Task } from './tasks/task.js';

/** The examples of each of `items`. `pool` is undefined where they are drawn from `all`. @throws OptionError E_OPTION_FEWSHOT */
export function chooseShots(
  task: Task,
  items: readonly Document[],
  all: readonly Document[],
  pool: readonly Document[] | undefined,
  { shots, seed }: { readonly shots: number; readonly seed: number },
): readonly (readonly Document[])[] {
  if (shots === 0) return items.map(() => []);
  const rng = createRng(seed);
  const byPart = new Map<string, Document[]>();
  for (const one of pool ?? all) {
    const some = byPart.get(one.part);
    if (some) some.push(one);
    else byPart.set(one.part, [one]);
  }
  return items.map((item) => {
    const others = (byPart.get(item.part) ?? []).filter((other) => other !== item);
    if (others.length < shots) refuse(task, item.part, shots, others.length);
    if (item.rendered || others.some(({ rendered }) => rendered)) refuseRendered(task);
    if (pool && task.shots.order === 'first') return others.slice(0, shots);
    // The first k places of a shuffle.
    for (let i = 0; i < shots; i++) {
      const j = i + rng.below(others.length - i);
      [others[i], others[j]] = [others[j]!, others[i]!];
    }
    return others.slice(0, shots);
  });
}

function refuse(task: Task, part: string, shots: number, there: number): never {
  const files = task.shots.files.map((name) => `${name}.jsonl`).join(' or ');
  const more = files === '' ? '' : `, or a file ${files} with more`;
  throw new OptionError(
    'E_OPTION_FEWSHOT',
    `--fewshot: expected at most ${there} (the examples there are for ${part}), got ${shots}. Use fewer${more}.`,
    { option: 'fewshot', task: task.name, got: shots, limit: there },
  );
}

function refuseRendered(task: Task): never {
  throw new OptionError(
    'E_OPTION_FEWSHOT',
    `--fewshot: the items of ${task.name} are rendered already (field "ctx"), so examples cannot be made of them. Use the data set's own fields (docs/reference/tasks.md), or no --fewshot.`,
    { option: 'fewshot', task: task.name },
  );
}
