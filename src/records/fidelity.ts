// How far a model's predictions are from those of the dense model it was made from, on the windows of one text. Kept per
// window, so that every mean and interval can be computed again from the record.

import { z } from 'zod';

/** Greedy texts of the dense model, and how long the edited model writes the same. */
const greedySchema = z.object({
  /** Tokens of each prompt, and tokens written after it. */
  prompt: z.number().int(),
  tokens: z.number().int(),
  /** Tokens before the first difference, of each text; `tokens` where there is none. */
  same: z.array(z.number().int()),
  /** The text that parts first; null where none does, or where no texts are kept. */
  worst: z
    .object({
      prompt: z.string(),
      /** What both models write, and how each goes on from the first difference. */
      same: z.string(),
      dense: z.string(),
      edited: z.string(),
    })
    .nullable(),
});
export type GreedyDivergence = Readonly<z.infer<typeof greedySchema>>;

export const fidelitySchema = z.object({
  /** The text that was compared on. */
  text: z.enum(['validation', 'test']),
  /** Number of windows, and of tokens compared in them: those that perplexity scores. */
  windows: z.number().int(),
  tokens: z.number().int(),
  /** Mean KL(dense ‖ edited) of the next token's distribution in each window, nats per token. */
  divergence: z.array(z.number()),
  /** The 99.9th percentile of the divergence over all tokens: the least value that no more than 1 in 1,000 exceeds. */
  tail: z.number(),
  /** Share of each window's tokens for which both models find the same token likeliest. */
  agreement: z.array(z.number()),
  /** null where no greedy text was compared. */
  greedy: greedySchema.nullable(),
});
export type Fidelity = Readonly<z.infer<typeof fidelitySchema>>;

type MeanEstimate = { readonly mean: number; readonly interval: readonly [low: number, high: number] };

/**
 * The mean over windows and its 95 % interval: ± 1.96 standard errors. One window gives a point. The two models see the
 * same windows, so this interval is paired.
 */
function meanOf(windows: readonly number[]): MeanEstimate {
  const n = windows.length;
  const mean = windows.reduce((a, b) => a + b, 0) / n;
  const variance = n < 2 ? 0 : windows.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  const margin = 1.96 * Math.sqrt(variance / n);
  return { mean, interval: [mean - margin, mean + margin] };
}

/** A comparison in numbers: means with 95 % intervals. */
export type FidelityNumbers = {
  readonly divergence: MeanEstimate;
  readonly tail: number;
  readonly agreement: MeanEstimate;
  /** Mean tokens before the first difference; texts without one count with all of theirs. */
  readonly same: number | null;
};

export const readFidelity = ({ divergence, tail, agreement, greedy }: Fidelity): FidelityNumbers => ({
  divergence: meanOf(divergence),
  tail,
  agreement: meanOf(agreement),
  same: greedy && meanOf(greedy.same).mean,
});
