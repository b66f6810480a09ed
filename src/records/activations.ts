// layerwise.json beside a checkpoint whose activations are to be quantised too (`quantise --method qvlm`). The weights in the
// checkpoint are rounded already; how the inputs of linears are, is here alone. Other programs do not read it: to them the
// checkpoint is one with rounded weights. Like the record of a pruning it holds nothing that depends on when, where or how fast
// the run went.

import { z } from 'zod';
import { evaluationSchema } from './evaluation.js';
import { modelSchema, textSchema } from './manifest.js';
import { parseRecord } from './parse.js';

const rangeSchema = z.object({ low: z.number(), high: z.number() });

/** Linears of a block that read one value. */
const layerSchema = z.object({
  block: z.number().int(),
  /** The site they read; `experts_in` and `experts_out` stand for the sites of all experts. */
  name: z.string(),
  /** p of the range of each site; with `range: 'token'` there is no range here, because each token has its own. */
  clip: z.number(),
  sites: z.record(z.string(), rangeSchema.nullable()),
});

/** Layers [from, to) that were searched together. */
const stretchSchema = z.object({
  from: z.number().int(),
  to: z.number().int(),
  clips: z.array(z.number()),
  /** ‖residual − dense residual‖² after the last layer: without clips, with greedy ones, with the joint ones. */
  loss: z.object({ plain: z.number(), greedy: z.number(), joint: z.number() }),
  /** Whether the joint clips are the chosen ones; the model's loss on validation text with them, null where nothing differs. */
  kept: z.boolean(),
  validation: z.number().nullable(),
});

const scoresSchema = z.object({ validation: evaluationSchema, test: evaluationSchema.nullable() });

const activationsRecordSchema = z.object({
  format: z.literal('layerwise-activations'),
  version: z.literal(1),
  tool: z.object({ version: z.string(), engine: z.string(), device: z.string() }),
  command: z.string(),
  source: modelSchema,
  seed: z.number().int(),
  texts: z.object({ calibration: textSchema, validation: textSchema, test: textSchema.nullable() }),
  method: z.literal('qvlm'),
  bits: z.object({ weights: z.number().int(), activations: z.number().int() }),
  range: z.enum(['token', 'tensor']),
  grid: z.array(z.number()),
  dependency: z.enum(['entropy', 'measured', 'fixed']),
  /** h₀, and D of each pair of neighbouring layers; null with `fixed`. */
  threshold: z.number().nullable(),
  dependencies: z.array(z.number()).nullable(),
  layers: z.array(layerSchema),
  stretches: z.array(stretchSchema),
  /** Where decisions began; and whether all joint clips together were better than what the decisions one by one led to. */
  base: z.enum(['minmax', 'greedy']),
  together: z.boolean(),
  /** weights: only they are rounded. minmax: no clips. chosen: what the layers have. */
  scores: z.object({
    dense: scoresSchema,
    weights: scoresSchema,
    minmax: scoresSchema,
    greedy: scoresSchema,
    joint: scoresSchema,
    chosen: scoresSchema,
  }),
});
export type ActivationsRecord = Readonly<z.infer<typeof activationsRecordSchema>>;

/** @throws OptionError E_OPTION_RECORD */
export const parseActivationsRecord = (text: string, path: string): ActivationsRecord =>
  parseRecord(activationsRecordSchema, text, path, 'E_OPTION_RECORD', 'the record of quantised activations');

/** Whether a layerwise.json says that activations are to be quantised. */
export function saysActivations(text: string): boolean {
  try {
    return (JSON.parse(text) as { format?: unknown } | null)?.format === 'layerwise-activations';
  } catch {
    return false;
  }
}
