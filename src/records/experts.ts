// layerwise.json beside a checkpoint from which experts were removed. Like the record of a pruning it holds nothing that depends
// on when, where or how fast the run went, so equal inputs give equal bytes.

import { z } from 'zod';
import { pairSchema, perplexitiesSchema } from './drop.js';
import { fidelitySchema } from './fidelity.js';
import { modelSchema, textSchema } from './manifest.js';
import { parseRecord } from './parse.js';

const blockSchema = z.object({
  block: z.number().int(),
  /** The experts that stay, by their numbers in the source, ascending; in the written checkpoint they are 0, 1, … */
  kept: z.array(z.number().int()),
  /** Of each expert of the source: its score, and the calibration tokens it was given. */
  scores: z.array(z.number()),
  tokens: z.array(z.number().int()),
  /** Of merge: the experts that went, and the ones they are merged into. */
  merged: z.array(z.object({ expert: z.number().int(), into: z.number().int() })).optional(),
});

const expertsRecordSchema = z.object({
  format: z.literal('layerwise-experts'),
  version: z.literal(1),
  tool: z.object({ version: z.string(), device: z.string() }),
  command: z.string(),
  source: modelSchema,
  seed: z.number().int(),
  texts: z.object({
    calibration: textSchema.nullable(),
    validation: textSchema.nullable(),
    test: textSchema.nullable(),
  }),
  method: z.enum(['reap', 'frequency', 'merge']),
  /** Of merge: whether neurons were brought into one order first. */
  align: z.enum(['neurons', 'none']).optional(),
  keep: z.number(),
  perLayer: z.enum(['equal', 'free']),
  /** Of free: how experts were divided over blocks; β of atp. */
  allocation: z
    .object({ policy: z.enum(['uniform', 'atp', 'global']), values: z.record(z.string(), z.number()) })
    .optional(),
  /** Of a search: the values tried, how many experts each block kept, and the validation perplexity. */
  trials: z
    .array(z.object({ beta: z.number(), experts: z.array(z.number().int()), perplexity: z.number() }))
    .optional(),
  /** The blocks that have experts. */
  blocks: z.array(blockSchema),
  experts: pairSchema,
  parameters: pairSchema,
  dense: perplexitiesSchema,
  /** Facts about the written checkpoint. */
  pruned: perplexitiesSchema,
  fidelity: fidelitySchema.optional(),
});
export type ExpertsRecord = Readonly<z.infer<typeof expertsRecordSchema>>;

/** @throws OptionError E_OPTION_RECORD */
export function parseExpertsRecord(text: string, path: string): ExpertsRecord {
  return parseRecord(expertsRecordSchema, text, path, 'E_OPTION_RECORD', 'the record of a removal of experts');
}
