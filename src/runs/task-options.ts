// The options for zero-shot tasks.

import { OptionError } from '../base/index.js';
import { findSuite, findTask, type Suite, type Task } from '../zeroshot/index.js';
import { conflict, oneOf, wholeNumber } from './checks.js';
import type { CommandLine } from './command-line.js';
import { DEFAULTS } from './defaults.js';

export type TaskOptions = {
  /** Folder with the tasks' items: one file of JSON lines, a JSON array or Parquet per task (docs/reference/tasks.md). */
  readonly data?: string;
  /** Names of tasks, such as `hellaswag`. */
  readonly tasks?: readonly string[];
  /** The task average of a paper instead of `tasks`: `atp` or `wanda`. */
  readonly suite?: string;
  /** Score only this many items of each task, from the first on (MMLU: of each subject). Defaults to all. */
  readonly limit?: number;
  /** Examples before each item. Defaults to 0. */
  readonly fewshot?: number;
  /**
   * `tokenizer`: requests begin with the special tokens that the tokenizer adds to every text, as in lm-evaluation-harness.
   * `none`: without them, as in the papers' fork of it. Defaults to `none` for a suite, else to `tokenizer`.
   */
  readonly specialTokens?: string;
};

export type TaskSettings = {
  readonly data: string;
  readonly tasks: readonly Task[];
  readonly suite: Suite | undefined;
  readonly limit: number | undefined;
  readonly shots: number;
  readonly specialTokens: boolean;
};

/** Undefined without tasks. @throws OptionError E_OPTION_TASKS, E_OPTION_SUITE, E_OPTION_DATA, … */
export function normaliseTasks(options: TaskOptions): TaskSettings | undefined {
  const { data, tasks, suite: asked, limit, fewshot } = options;
  if (tasks === undefined && asked === undefined) {
    const idle = (['data', 'limit', 'fewshot', 'specialTokens'] as const).find((name) => options[name] !== undefined);
    if (idle === undefined) return undefined;
    throw new OptionError(
      'E_OPTION_TASKS',
      `--${FLAGS[idle]} only applies together with --tasks or --suite; neither was given.`,
      { option: 'tasks' },
    );
  }
  if (tasks !== undefined && asked !== undefined) conflict('tasks', 'suite', 'a suite names its tasks itself');
  if (data === undefined) {
    throw new OptionError(
      'E_OPTION_DATA',
      '--data: expected the folder that holds the items of the tasks (docs/reference/tasks.md); it was not given.',
      { option: 'data' },
    );
  }
  const suite = asked === undefined ? undefined : findSuite(asked);
  const names = [...new Set(suite?.tasks ?? tasks)];
  if (names.length === 0) findTask('');
  const special = oneOf('special-tokens', options.specialTokens ?? (suite ? 'none' : 'tokenizer'), SPECIAL_TOKENS);
  return {
    data,
    tasks: names.map(findTask),
    suite,
    limit: limit === undefined ? undefined : wholeNumber('limit', limit, 1, 1e9),
    shots: wholeNumber('fewshot', fewshot ?? DEFAULTS.fewshot, 0, 1000),
    specialTokens: special === 'tokenizer',
  };
}

/** Adds the options of tasks to the command that repeats a run. */
export function addTasks(tasks: TaskSettings | undefined, add: CommandLine['add']): void {
  if (!tasks) return;
  if (tasks.suite) add('suite', tasks.suite.name);
  else add('tasks', tasks.tasks.map(({ name }) => name).join());
  add('data', tasks.data);
  add('limit', tasks.limit);
  add('fewshot', tasks.shots === DEFAULTS.fewshot ? undefined : tasks.shots);
  add('special-tokens', tasks.specialTokens ? 'tokenizer' : 'none');
}

export const SPECIAL_TOKENS = ['tokenizer', 'none'] as const;
const FLAGS = { data: 'data', limit: 'limit', fewshot: 'fewshot', specialTokens: 'special-tokens' } as const;
