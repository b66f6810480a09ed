// What a zero-shot task is: where its items come from, how an item’s fields become a question, and which metrics are
// reported. A task is data. The forms are those of lm-evaluation-harness (read at 4e7e0d4, 2026), with their versions;
// `answers` is TOFU’s.

import type { Fields } from './fields.js';

/**
 * choices: one context; each choice, after a space, is a continuation. contexts: each choice is a context; the rest of the
 * sentence, after a space, is the continuation of all. word: one context, one continuation, unchanged. answers: one context; the
 * answer, its paraphrase (where there is one) and wrong answers, after a space, are continuations.
 */
export type Question =
  | { readonly form: 'choices'; readonly text: string; readonly choices: readonly string[]; readonly gold: number }
  | { readonly form: 'contexts'; readonly texts: readonly string[]; readonly rest: string; readonly gold: number }
  | { readonly form: 'word'; readonly text: string; readonly word: string }
  | {
      readonly form: 'answers';
      readonly text: string;
      readonly answer: string;
      readonly paraphrase: string | undefined;
      readonly perturbed: readonly string[];
    };

export type Form = Question['form'];

/**
 * acc: the choice with the largest Σ log p is the right one; for a word, greedy decoding gives it. acc_norm: the same with
 * Σ log p / characters of the choice. perplexity: exp of −mean Σ log p. probability and truth_ratio: TOFU’s, from p^(1 / tokens)
 * (`metrics.ts`); acc goes by that too where answers differ in length.
 */
export type Metric = 'acc' | 'acc_norm' | 'perplexity' | 'probability' | 'truth_ratio';

/** Whether more is better. */
export const isHigherBetter = (metric: Metric): boolean => metric !== 'perplexity' && metric !== 'truth_ratio';

export interface Task {
  readonly name: string;
  readonly summary: string;
  /** The version that lm-evaluation-harness gives this form; 1 where it lacks the task. */
  readonly version: number;
  readonly form: Form;
  readonly metrics: readonly Metric[];
  /** The data set on the Hugging Face Hub and the split that is scored. */
  readonly source: { readonly path: string; readonly name?: string; readonly split: 'test' | 'validation' };
  /** File names without `.jsonl`, `.json` or `.parquet`, in order of preference. */
  readonly files: readonly string[];
  /** The file of few-shot examples, if it exists, and how they are chosen. */
  readonly shots: { readonly files: readonly string[]; readonly order: 'random' | 'first' };
  /** Fields that only the data set’s own items have; a rendered item has none of them. */
  readonly own: readonly string[];
  read(fields: Fields): Question;
  /** The part of the task that an item belongs to, where lm-evaluation-harness has a task for each part. */
  readonly partOf?: (fields: Fields) => string;
  /** The harness’s version of the group of all parts. */
  readonly groupVersion?: number;
  /** The text before the first example, or before the question where there are no examples. */
  readonly introduce?: (part: string) => string;
}

/** Names that a task’s file may have: its own first, then with the split, then other names. */
export const fileNames = (name: string, split: string, ...others: readonly string[]): readonly string[] => [
  name,
  `${name}.${split}`,
  ...others,
];
