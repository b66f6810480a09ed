// What a zero-shot task is: where its items come from, how an item's own fields become a question, and what is reported.
// A task is data; the forms are those of lm-evaluation-harness (read at 4e7e0d4, 2026), its versions named with them.

import type { Fields } from './fields.js';

/**
 * choices: one context, and each choice, after a space, is a continuation. contexts: each choice is a context, and the rest
 * of the sentence, after a space, is the continuation of all. word: one context, one continuation, as it stands.
 */
export type Question =
  | { readonly form: 'choices'; readonly text: string; readonly choices: readonly string[]; readonly gold: number }
  | { readonly form: 'contexts'; readonly texts: readonly string[]; readonly rest: string; readonly gold: number }
  | { readonly form: 'word'; readonly text: string; readonly word: string };

export type Form = Question['form'];

/**
 * acc: the choice of the largest Σ log p is the right one; for a word, it is what greedy decoding gives. acc_norm: the same
 * with Σ log p / characters of the choice. perplexity: exp of −mean Σ log p.
 */
export type Metric = 'acc' | 'acc_norm' | 'perplexity';

export interface Task {
  readonly name: string;
  readonly summary: string;
  /** The version that lm-evaluation-harness gives this form. */
  readonly version: number;
  readonly form: Form;
  readonly metrics: readonly Metric[];
  /** The data set on the Hugging Face Hub and the split that is scored. */
  readonly source: { readonly path: string; readonly name?: string; readonly split: 'test' | 'validation' };
  /** File names without `.jsonl`, `.json` or `.parquet`, in the order in which they are looked for. */
  readonly files: readonly string[];
  /** Where few-shot examples come from if the file is there, and how they are taken. */
  readonly shots: { readonly files: readonly string[]; readonly order: 'random' | 'first' };
  /** Fields of the data set that an item rendered already does not have: by them the two are told apart. */
  readonly own: readonly string[];
  read(fields: Fields): Question;
  /** The part of the task that an item belongs to, where lm-evaluation-harness has a task for each part. */
  readonly partOf?: (fields: Fields) => string;
  /** The harness's version of the group that the parts make. */
  readonly groupVersion?: number;
  /** What stands before the first example, or before the question where there is none. */
  readonly introduce?: (part: string) => string;
}

/** The names under which a task's file may lie: its own first, then with the split, then what else it is called. */
export const fileNames = (name: string, split: string, ...others: readonly string[]): readonly string[] => [
  name,
  `${name}.${split}`,
  ...others,
];
