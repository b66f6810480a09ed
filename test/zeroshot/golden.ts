// What scripts/golden/zeroshot.py made: requests of made-up items, scored by transformers on the checkpoint of demo/model.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TASKS } from '../../src/zeroshot/index.js';

export type GoldenRequest = {
  readonly context: string;
  readonly continuation: string;
  readonly context_tokens: number;
  readonly continuation_tokens: number;
  readonly logprob: number;
  readonly greedy: boolean;
};
export type GoldenItem = { readonly gold: number; readonly requests: readonly GoldenRequest[] };

type Demo = {
  readonly length: number;
  readonly tasks: Readonly<
    Record<
      string,
      { readonly metrics: Readonly<Record<string, readonly [number, number]>>; readonly items: readonly GoldenItem[] }
    >
  >;
  readonly 'mmlu 2 shots': readonly GoldenItem[];
};

/** The tasks of lm-evaluation-harness. */
export const HARNESS_TASKS = [...TASKS.values()].filter(({ form }) => form !== 'answers').map(({ name }) => name);
/** The tasks that have golden items: of those of one form, which differ in the file’s name alone, two. */
export const GOLDEN_TASKS = [...HARNESS_TASKS, 'tofu_forget01', 'tofu_world_facts'];

const golden = fileURLToPath(new URL('../golden/zeroshot/', import.meta.url));
export const items = join(golden, 'items');
export const goldenDemo = async (): Promise<Demo> => JSON.parse(await readFile(join(golden, 'demo.json'), 'utf8'));
/** By task, of each of its first items: the right choice, the log-probabilities. */
export const goldenNovels = async (): Promise<
  Readonly<Record<string, readonly { readonly gold: number; readonly logprobs: readonly number[] }[]>>
> => JSON.parse(await readFile(join(golden, 'novels-2m.json'), 'utf8'));
