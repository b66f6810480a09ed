// layerwise.json beside a checkpoint that was healed: trained after something was taken from it. Like the record of a pruning
// it holds nothing that depends on when, where or how fast the run went, so equal inputs give equal bytes.

import { z } from 'zod';
import { fidelitySchema } from './fidelity.js';
import { modelSchema, textSchema } from './manifest.js';
import { parseRecord } from './parse.js';

const scored = z.object({ step: z.number().int(), loss: z.number() });

export const curveSchema = z.object({
  /** Steps planned, and taken. */
  steps: z.number().int(),
  taken: z.number().int(),
  /** The mean training loss between scorings; the validation loss, the start first. */
  training: z.array(scored),
  validation: z.array(scored),
  best: scored,
  ended: z.enum(['done', 'early', 'diverged']),
});

/** Perplexity and comparison with the dense model, by text; null without the text. */
const scoresSchema = z.object({
  perplexity: z.object({ validation: z.number(), test: z.number().nullable() }),
  fidelity: z.object({ validation: fidelitySchema, test: fidelitySchema.nullable() }).nullable(),
});

const healRecordSchema = z.object({
  format: z.literal('layerwise-heal'),
  version: z.literal(1),
  tool: z.object({ version: z.string(), device: z.string() }),
  /** The command that repeats the run, without machine-dependent options. */
  command: z.string(),
  source: modelSchema,
  dense: modelSchema.omit({ family: true }),
  seed: z.number().int(),
  texts: z.object({ training: textSchema, validation: textSchema, test: textSchema.nullable() }),
  /** What was trained: `kept`, `lora`, `norms`, `new`, or `blocks 20..23`; whether as an adapter beside the weights. */
  train: z.string(),
  adapter: z.boolean(),
  /** Tensors that were trained, and numbers of the optimiser. */
  trained: z.object({ tensors: z.number().int(), numbers: z.number().int() }),
  rate: z.number(),
  /** Tokens that each stage was to read, and tokens of a step, about. */
  tokens: z.number().int(),
  batch: z.number().int(),
  /** Training against the dense stream, half by half; null where it was not asked for. */
  stream: z
    .array(curveSchema.extend({ block: z.number().int(), half: z.enum(['attention', 'mlp', 'block']) }))
    .nullable(),
  /** Training of the whole model; null where it was not asked for. */
  whole: curveSchema.extend({ loss: z.enum(['kl', 'nll']) }).nullable(),
  /** Zeros among the prunable weights, counted in the files; of an adapter, in those that it is loaded beside. */
  zeros: z.object({ weights: z.number().int(), before: z.number().int(), after: z.number().int() }),
  scores: z.object({ dense: scoresSchema, start: scoresSchema, healed: scoresSchema }),
});
export type HealRecord = Readonly<z.infer<typeof healRecordSchema>>;

/** @throws OptionError E_OPTION_RECORD */
export function parseHealRecord(text: string, path: string): HealRecord {
  return parseRecord(healRecordSchema, text, path, 'E_OPTION_RECORD', 'the record of a healing');
}
