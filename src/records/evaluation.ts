// A model's scores on a text, and the trials of a search. Negative log-likelihoods are in nats per token, one mean per window,
// so that every interval can be computed again from the record.

import { z } from 'zod';

/** What is scored: the next token of a text where nothing is said, the label of an image, the answer about an image. */
export const lossSchema = z.enum(['cross-entropy', 'answer']);
export type LossName = z.infer<typeof lossSchema>;

export const evaluationSchema = z.object({
  loss: lossSchema.optional(),
  /** exp of the mean of the windows' mean negative log-likelihoods. */
  perplexity: z.number(),
  /** Number of windows, and of tokens predicted in them: all but the first of each window, which is BOS or of the text. */
  windows: z.number().int(),
  tokens: z.number().int(),
  /** Mean negative log-likelihood of each window, nats per token. */
  nll: z.array(z.number()),
  /**
   * Of images: how many classes the model puts before each one's label. A window is an image then, `nll` the cross-entropy of its label,
   * and `perplexity` exp of the mean of these.
   */
  ranks: z.array(z.number().int()).optional(),
});
export type Evaluation = Readonly<z.infer<typeof evaluationSchema>>;

/** α and γ of a stream target (docs/lab/theory.md). */
export const sharesSchema = z.object({ alpha: z.number(), gamma: z.number() });

export const trialSchema = z.object({
  /** ATP's common difference β; null for a plan without one. */
  beta: z.number().nullable(),
  /** All of the policy's hyperparameters, by name. */
  hyperparameters: z.record(z.string(), z.number()).default({}),
  /** How far its treated linears follow the dense stream; absent where each keeps its own output. */
  target: sharesSchema.optional(),
  /** Sparsity of each block. */
  rates: z.array(z.number()),
  /** true: the real sequential procedure on all validation windows. false: a surrogate (masks from dense statistics). */
  exact: z.boolean(),
  validation: evaluationSchema,
  /** Scores on a sample of the calibration windows; only where both texts judge. */
  calibration: evaluationSchema.optional(),
  /** KL(dense ‖ trial) of each validation window, nats per token; only where it judged. */
  divergence: z.array(z.number()).optional(),
  /** Paired 95 % interval of perplexity(trial) / perplexity(uniform) over the same windows; [1, 1] for uniform. */
  interval: z.tuple([z.number(), z.number()]),
  /** Relative reconstruction error ‖X − X̃‖_F / ‖X‖_F of each block's output; empty for a surrogate. */
  errors: z.array(z.number()),
});
export type Trial = Readonly<z.infer<typeof trialSchema>>;
