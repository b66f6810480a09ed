// Every task, and the papers' averages by name.

import { OptionError } from '../../base/index.js';
import { arcChallenge, arcEasy } from './arc.js';
import { boolq } from './boolq.js';
import { hellaswag } from './hellaswag.js';
import { lambada } from './lambada.js';
import { mmlu } from './mmlu.js';
import { openbookqa } from './openbookqa.js';
import { piqa } from './piqa.js';
import { rte } from './rte.js';
import type { Task } from './task.js';
import { UNLEARNING } from './unlearning.js';
import { winogrande } from './winogrande.js';

export const TASKS: ReadonlyMap<string, Task> = new Map(
  [boolq, piqa, hellaswag, winogrande, arcEasy, arcChallenge, openbookqa, rte, lambada, mmlu, ...UNLEARNING].map(
    (task) => [task.name, task],
  ),
);

/** An average that papers report: the mean of `acc` over these tasks, all with the same weight. */
export type Suite = { readonly name: string; readonly summary: string; readonly tasks: readonly string[] };

const COMMON = ['hellaswag', 'winogrande', 'arc_easy', 'arc_challenge', 'openbookqa'];

/**
 * ATP (arXiv 2502.14770; main.py of its code) has PIQA where Wanda (arXiv 2306.11695), OWL and AlphaPruning have RTE, so
 * the two averages are not comparable. All use acc, even where acc_norm is usual.
 */
export const SUITES: ReadonlyMap<string, Suite> = new Map(
  [
    { name: 'atp', summary: 'the seven of ATP, with PIQA', tasks: ['boolq', 'piqa', ...COMMON] },
    {
      name: 'wanda',
      summary: 'the seven of Wanda, OWL and AlphaPruning, with RTE',
      tasks: ['boolq', 'rte', ...COMMON],
    },
  ].map((suite) => [suite.name, suite]),
);

/** @throws OptionError E_OPTION_TASKS */
export function findTask(name: string): Task {
  const task = TASKS.get(name);
  if (task) return task;
  const known = [...TASKS.keys()];
  throw new OptionError(
    'E_OPTION_TASKS',
    `--tasks: expected names of ${known.join(', ')}, separated by commas, got ${JSON.stringify(name)}.`,
    { option: 'tasks', expected: known, got: name },
  );
}

/** @throws OptionError E_OPTION_SUITE */
export function findSuite(name: string): Suite {
  const suite = SUITES.get(name);
  if (suite) return suite;
  const known = [...SUITES.keys()];
  throw new OptionError(
    'E_OPTION_SUITE',
    `--suite: expected one of ${known.join(', ')}, got ${JSON.stringify(name)}.`,
    { option: 'suite', expected: known, got: name },
  );
}
