// compare.json: many plans for one checkpoint, on equal terms. Like layerwise.json it holds nothing that depends on when
// or how fast the run went.

import { z } from 'zod';
import { evaluationSchema, sharesSchema } from './evaluation.js';
import { fidelitySchema } from './fidelity.js';
import { gainsSchema } from './gains.js';
import { modelSchema, textSchema } from './manifest.js';
import { taskScoresSchema, taskSetupSchema } from './tasks.js';

const interval = z.tuple([z.number(), z.number()]);

const comparisonRowSchema = z.object({
  allocation: z.string(),
  criterion: z.string(),
  pattern: z.string(),
  target: sharesSchema.optional(),
  hyperparameters: z.record(z.string(), z.number()),
  /** Sparsity of each block. */
  rates: z.array(z.number()),
  /** Zeros counted from the pruned blocks, over all prunable weights. */
  sparsity: z.object({ target: z.number(), realised: z.number() }),
  validation: evaluationSchema,
  test: evaluationSchema.nullable(),
  /** Absent without tasks. */
  tasks: taskScoresSchema.optional(),
  /** How far it is from the dense model on the test text, else on the validation text; absent in older records. */
  fidelity: fidelitySchema.optional(),
  /** Relative reconstruction error of each block's output. */
  errors: z.array(z.number()),
  /** Paired 95 % interval of the perplexity ratio to uniform, and to atp, at the same target; on the test text if given. */
  versusUniform: interval.nullable(),
  versusAtp: interval.nullable(),
  /** Gains over uniform on validation and on calibration text; absent without both, and for uniform. */
  gains: gainsSchema.optional(),
  /** Exact trials besides uniform, and the whole cost of the search in that unit. */
  trials: z.number().int(),
  equivalents: z.number(),
});

export const comparisonSchema = z.object({
  format: z.literal('layerwise-comparison'),
  version: z.literal(1),
  tool: z.object({ version: z.string(), engine: z.string(), device: z.string() }),
  source: modelSchema,
  texts: z.object({ calibration: textSchema.nullable(), validation: textSchema, test: textSchema.nullable() }),
  /** The zero-shot tasks; absent without tasks. */
  tasks: taskSetupSchema.optional(),
  seed: z.number().int(),
  /** How the gradients were had that policies allocate by: `exact`. Absent: estimated, or none were needed. */
  gradient: z.literal('exact').optional(),
  /** `loss`: in Gram matrices a token counts by the loss's gradient. Absent: all tokens alike. */
  hessian: z.literal('loss').optional(),
  /** `dense`: calibration statistics were taken behind the dense blocks. Absent: behind the treated ones. */
  calibrationPrefix: z.literal('dense').optional(),
  dense: z.object({
    validation: evaluationSchema,
    test: evaluationSchema.nullable(),
    tasks: taskScoresSchema.optional(),
  }),
  rows: z.array(comparisonRowSchema),
});

export type Comparison = Readonly<z.infer<typeof comparisonSchema>>;
export type ComparisonRow = Readonly<z.infer<typeof comparisonRowSchema>>;
