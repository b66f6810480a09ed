// Scores on zero-shot tasks: the setup once for all models of a run, and the scores per model.

import { z } from 'zod';

const fileSchema = z.object({ name: z.string(), hash: z.string() });

export const taskSetupSchema = z.object({
  /** The name of the average, such as `atp`; null if tasks were listed. */
  suite: z.string().nullable(),
  /** Few-shot examples before each item, and the seed that draws them. */
  shots: z.number().int(),
  seed: z.number().int(),
  /** The most tokens that the model reads at once. */
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
      /** The source of the examples; null without examples, or if they are other items of the file. */
      examples: fileSchema.nullable(),
      /** Requests that lost tokens to the length: of the context only, and of the continuation. */
      cut: z.object({ context: z.number().int(), continuation: z.number().int() }),
    }),
  ),
});
export type TaskSetup = Readonly<z.infer<typeof taskSetupSchema>>;

/** A value and its standard error, which is null for a single item. */
export const estimateSchema = z.object({ value: z.number(), stderr: z.number().nullable() });
export type Estimate = Readonly<z.infer<typeof estimateSchema>>;

export const taskScoresSchema = z.object({
  /** The suite's unweighted mean of `acc` over tasks; null without a suite. */
  average: estimateSchema.nullable(),
  /** By task: each metric. */
  tasks: z.record(z.string(), z.record(z.string(), estimateSchema)),
});
export type TaskScores = Readonly<z.infer<typeof taskScoresSchema>>;
