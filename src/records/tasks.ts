// What a model scored on zero-shot tasks: once for all models of a run what was asked (the setup), and per model the scores.

import { z } from 'zod';

const fileSchema = z.object({ name: z.string(), hash: z.string() });

export const taskSetupSchema = z.object({
  /** The average by name, such as `atp`; null where tasks were listed. */
  suite: z.string().nullable(),
  /** Few-shot examples before each item, and the seed that draws them. */
  shots: z.number().int(),
  seed: z.number().int(),
  /** Most tokens the model reads at once. */
  length: z.number().int(),
  /** Whether the tokenizer adds its special tokens to every request. */
  specialTokens: z.boolean(),
  tasks: z.array(
    z.object({
      task: z.string(),
      /** lm-evaluation-harness's version of the form. */
      version: z.number(),
      /** Items scored, and items in the file. */
      items: z.number().int(),
      all: z.number().int(),
      file: fileSchema,
      /** Where the examples came from; null without examples, or where they are other items of the file. */
      examples: fileSchema.nullable(),
      /** Requests that lost tokens to the length: of the context only, and of the continuation. */
      cut: z.object({ context: z.number().int(), continuation: z.number().int() }),
    }),
  ),
});
export type TaskSetup = Readonly<z.infer<typeof taskSetupSchema>>;

/** A value and its standard error; null where a single item gives none. */
const estimateSchema = z.object({ value: z.number(), stderr: z.number().nullable() });
export type Estimate = Readonly<z.infer<typeof estimateSchema>>;

export const taskScoresSchema = z.object({
  /** The suite's average of `acc`, each task counting alike; null without a suite. */
  average: estimateSchema.nullable(),
  /** By task: each metric. */
  tasks: z.record(z.string(), z.record(z.string(), estimateSchema)),
});
export type TaskScores = Readonly<z.infer<typeof taskScoresSchema>>;
