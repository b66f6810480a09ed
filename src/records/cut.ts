// layerwise.json beside a checkpoint that was cut to other widths. Like the record of a pruning it holds nothing that depends on
// when, where or how fast the run went, so equal inputs give equal bytes.

import { z } from 'zod';
import { perplexitiesSchema } from './drop.js';
import { evaluationSchema, lossSchema, sharesSchema, trialSchema } from './evaluation.js';
import { fidelitySchema } from './fidelity.js';
import { gainsSchema } from './gains.js';
import { modelSchema, textSchema } from './manifest.js';
import { parseRecord } from './parse.js';

/** Query heads, key-value heads, and the width of the MLP or of every expert. */
const widthsSchema = z.tuple([z.number().int(), z.number().int(), z.number().int()]);

const scoredSchema = z.object({ validation: evaluationSchema.nullable(), test: evaluationSchema.nullable() });

const cutRecordSchema = z.object({
  format: z.literal('layerwise-cut'),
  version: z.literal(1),
  tool: z.object({ version: z.string(), device: z.string() }),
  /** The command that repeats the run, without machine-dependent options. */
  command: z.string(),
  source: modelSchema.extend({ trunk: z.string().optional() }),
  seed: z.number().int(),
  texts: z.object({
    calibration: textSchema,
    validation: textSchema.nullable(),
    test: textSchema.nullable(),
  }),
  units: z.enum(['mlp', 'heads', 'all']),
  equal: z.boolean(),
  multiple: z.number().int(),
  /** Blocks that kept their widths; absent where none was spared. */
  spare: z.array(z.number().int()).optional(),
  importance: z.string(),
  repair: z.string(),
  allocation: z.string(),
  /** Of the allocation. */
  hyperparameters: z.record(z.string(), z.number()),
  /** How far what was cut follows the dense stream; absent where it keeps its own output. */
  target: sharesSchema.optional(),
  /**
   * All parameters of the checkpoint, tied ones once. `target` is what was asked for; `after` is counted from the files written, and
   * differs from it by half of `step` at most, the parameters of the smallest step, unless a bound was met.
   */
  parameters: z.object({
    before: z.number().int(),
    target: z.number(),
    after: z.number().int(),
    step: z.number().int(),
  }),
  /** By block. */
  widths: z.object({ before: z.array(widthsSchema), after: z.array(widthsSchema) }),
  /** Relative error of each block's output on validation text; empty without. */
  errors: z.array(z.number()),
  /** What is scored where that is not the next token of a text; a perplexity is exp of the mean loss either way. */
  loss: lossSchema.optional(),
  dense: perplexitiesSchema,
  /** Of the same number of parameters, the same share from every block; null where that is the chosen model. */
  uniform: perplexitiesSchema.nullable(),
  /** Facts about the written checkpoint. */
  cut: perplexitiesSchema,
  /** Of a model of images: the cross-entropy and the place of each image’s label, from which accuracies follow. */
  images: z.object({ dense: scoredSchema, cut: scoredSchema }).optional(),
  trials: z.array(trialSchema),
  gains: gainsSchema.optional(),
  /** How far it is from the dense model on the test text, else on the validation text. */
  fidelity: fidelitySchema.optional(),
  /** What loads the written checkpoint. */
  loads: z.array(z.string()),
});
export type CutRecord = Readonly<z.infer<typeof cutRecordSchema>>;

/** @throws OptionError E_OPTION_RECORD */
export function parseCutRecord(text: string, path: string): CutRecord {
  return parseRecord(cutRecordSchema, text, path, 'E_OPTION_RECORD', 'the record of a cut');
}
