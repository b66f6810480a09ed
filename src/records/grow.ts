// layerwise.json beside a checkpoint that got new blocks. Like the record of a pruning it holds nothing that depends on when,
// where or how fast the run went, so equal inputs give equal bytes.

import { z } from 'zod';
import { pairSchema, perplexitiesSchema } from './drop.js';
import { fidelitySchema } from './fidelity.js';
import { textSchema } from './manifest.js';
import { parseRecord } from './parse.js';

const growRecordSchema = z.object({
  format: z.literal('layerwise-grow'),
  version: z.literal(1),
  tool: z.object({ version: z.string(), device: z.string() }),
  /** The source's folder, or its name and commit on the Hub; the SHA-256 of each of its files that matter. */
  source: z.object({ name: z.string(), commit: z.string().optional(), hashes: z.record(z.string(), z.string()) }),
  seed: z.number().int(),
  texts: z.object({ validation: textSchema.nullable(), test: textSchema.nullable() }),
  method: z.string(),
  /** The new blocks, by their numbers in the deeper model, ascending. */
  grown: z.array(z.number().int()),
  /** The blocks of the source that each of them is made of: one, or the two beside it. */
  of: z.array(z.array(z.number().int())),
  blocks: pairSchema,
  parameters: pairSchema,
  /**
   * lesa: of each kind of linear (its name within a block), how far predictions are from held-out blocks, relative; and the mean
   * of the neighbours and a copy of the one before. Of no block at all it is 1. `norm` is ‖Ŵ‖ / ‖W‖ of lesa's.
   */
  heldOut: z
    .array(
      z.object({
        name: z.string(),
        lesa: z.number(),
        average: z.number(),
        copy: z.number(),
        norm: z.number(),
        damping: z.number(),
        triples: z.number().int(),
      }),
    )
    .optional(),
  dense: perplexitiesSchema,
  /** Facts about the written checkpoint. */
  deeper: perplexitiesSchema,
  fidelity: fidelitySchema.optional(),
});
export type GrowRecord = Readonly<z.infer<typeof growRecordSchema>>;

/** @throws OptionError E_OPTION_RECORD */
export function parseGrowRecord(text: string, path: string): GrowRecord {
  return parseRecord(growRecordSchema, text, path, 'E_OPTION_RECORD', 'the record of a growth');
}
