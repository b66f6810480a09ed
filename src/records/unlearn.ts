// layerwise.json beside a checkpoint in which a text's knowledge was suppressed. Like the record of a pruning it holds nothing that
// depends on when, where or how fast the run went, so equal inputs give equal bytes.

import { z } from 'zod';
import { curveSchema } from './heal.js';
import { modelSchema, textSchema } from './manifest.js';
import { parseRecord } from './parse.js';
import { estimateSchema, taskScoresSchema, taskSetupSchema } from './tasks.js';

/** Next-token loss in nats, and the share of tokens that the model finds likeliest. */
const choicesSchema = z.object({ nll: z.number(), accuracy: z.number(), tokens: z.number().int() });
const pairSchema = z.object({ forget: choicesSchema, retain: choicesSchema });

const trialSchema = z.object({
  layer: z.number().int(),
  /** null for rmu. */
  beta: z.number().nullable(),
  /** c, the length of the goal; and the mean length of the residual there on the forget text. */
  coefficient: z.number(),
  length: z.number(),
  /** Validation losses, nats per token. */
  forget: z.number(),
  retain: z.number(),
  /** The loss of steering on validation text at the start, and of the state that was kept. */
  start: z.number(),
  kept: z.number(),
});

const unlearnRecordSchema = z.object({
  format: z.literal('layerwise-unlearn'),
  version: z.literal(1),
  tool: z.object({ version: z.string(), device: z.string() }),
  command: z.string(),
  source: modelSchema,
  seed: z.number().int(),
  texts: z.object({ forget: textSchema, retain: textSchema }),
  /** Windows that were trained on, chose, and were scored. */
  windows: z.object({
    forget: z.object({ training: z.number().int(), validation: z.number().int(), heldOut: z.number().int() }),
    retain: z.object({ training: z.number().int(), validation: z.number().int(), heldOut: z.number().int() }),
  }),
  method: z.enum(['adaptive-rmu', 'rmu']),
  direction: z.enum(['gaussian', 'official']),
  alpha: z.number(),
  steps: z.number().int(),
  rate: z.number(),
  batch: z.number().int(),
  /** How much the loss on the retain text was allowed to rise, and whether the chosen trial kept to it. */
  tolerance: z.number(),
  within: z.boolean(),
  /** Validation losses of the dense model, and every trial in its order. */
  before: z.object({ forget: z.number(), retain: z.number() }),
  trials: z.array(trialSchema),
  chosen: z.object({ layer: z.number().int(), beta: z.number().nullable(), coefficient: z.number() }),
  /** The tensors that changed. */
  tensors: z.array(z.string()),
  curve: curveSchema,
  /** On held-out windows. */
  dense: pairSchema,
  suppressed: pairSchema,
  /** Zero-shot tasks before and after; absent where none were asked for. */
  tasks: z
    .object({
      setup: taskSetupSchema,
      dense: taskScoresSchema,
      suppressed: taskScoresSchema,
      /** The parts of a task, such as MMLU’s subjects: acc, and what guessing gives. */
      parts: z.array(
        z.object({
          part: z.string(),
          items: z.number().int(),
          chance: z.number(),
          dense: estimateSchema,
          suppressed: estimateSchema,
        }),
      ),
    })
    .optional(),
  /** What brings it back: scores on held-out windows, and the shares of what was lost on the forget text that come back. */
  leaks: z.array(
    z.object({
      name: z.enum(['relearn', 'ablate', 'int4']),
      scores: pairSchema,
      /** (suppressed − this) / (suppressed − dense), of the loss and of the accuracy; null where nothing was lost. */
      back: z.object({ nll: z.number().nullable(), accuracy: z.number().nullable() }),
    }),
  ),
});
export type UnlearnRecord = Readonly<z.infer<typeof unlearnRecordSchema>>;
export type UnlearnTrial = Readonly<z.infer<typeof trialSchema>>;

/** The parts of tasks whose accuracy before lies above guessing by two standard errors or more. */
export const knownParts = (parts: NonNullable<UnlearnRecord['tasks']>['parts']): typeof parts =>
  parts.filter(({ dense: { value, stderr }, chance }) => stderr !== null && value - 2 * stderr > chance);

/** @throws OptionError E_OPTION_RECORD */
export function parseUnlearnRecord(text: string, path: string): UnlearnRecord {
  return parseRecord(unlearnRecordSchema, text, path, 'E_OPTION_RECORD', 'the record of an unlearning');
}
