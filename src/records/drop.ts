// layerwise.json beside a checkpoint from which whole blocks were removed. Like the record of a pruning it holds nothing
// that depends on when, where or how fast the run went, so equal inputs give equal bytes.

import { z } from 'zod';
import { sharesSchema } from './evaluation.js';
import { fidelitySchema } from './fidelity.js';
import { textSchema } from './manifest.js';
import { parseRecord } from './parse.js';

/** A number of the source, and of the written checkpoint. */
export const pairSchema = z.object({ before: z.number().int(), after: z.number().int() });

/** Perplexities; null without the text. */
export const perplexitiesSchema = z.object({ validation: z.number().nullable(), test: z.number().nullable() });

const dropRecordSchema = z.object({
  format: z.literal('layerwise-drop'),
  version: z.literal(1),
  tool: z.object({ version: z.string(), device: z.string() }),
  /** The source's folder, or its name and commit on the Hub; the SHA-256 of each of its files that matter. */
  source: z.object({ name: z.string(), commit: z.string().optional(), hashes: z.record(z.string(), z.string()) }),
  seed: z.number().int(),
  texts: z.object({
    calibration: textSchema.nullable(),
    validation: textSchema.nullable(),
    test: textSchema.nullable(),
  }),
  method: z.string(),
  /** The removed blocks, by their numbers in the source, ascending. */
  removed: z.array(z.number().int()),
  /**
   * The score of each block of the source; null if it has none. shortgpt: its influence. angular: the distance across the run
   * that begins with it. perplexity, repaired: validation perplexity without it, in the round that removed it or, if it
   * stayed, in the last round.
   */
  scores: z.array(z.number().nullable()),
  blocks: pairSchema,
  parameters: pairSchema,
  dense: perplexitiesSchema,
  /** Facts about the written checkpoint. */
  dropped: perplexitiesSchema,
  /** Of a removal that was repaired; `dropped` is then of the repaired checkpoint. */
  repair: z
    .object({
      /** `own` only with `merge`: merged blocks are fitted to what their blocks give side by side. */
      method: z.enum(['linear', 'stream', 'own']),
      /** Whether the blocks of a seam were merged. */
      merge: z.literal(true).optional(),
      /** How far later blocks follow the dense stream. */
      shares: sharesSchema.optional(),
      /** Before the repair. */
      unrepaired: perplexitiesSchema,
      /**
       * The blocks that took over what others did, by their numbers in the source, ascending; the removed blocks each stands in
       * for; and the tensors that changed, by their names in the written checkpoint.
       */
      seams: z.array(
        z.object({ block: z.number().int(), gap: z.array(z.number().int()), tensors: z.array(z.string()) }),
      ),
      /** The other blocks that follow the dense stream. */
      followed: z.array(z.object({ block: z.number().int(), tensors: z.array(z.string()) })).optional(),
    })
    .optional(),
  /** How far it is from the dense model on the test text, else on the validation text; absent in older records. */
  fidelity: fidelitySchema.optional(),
});
export type DropRecord = Readonly<z.infer<typeof dropRecordSchema>>;

/** @throws OptionError E_OPTION_RECORD */
export function parseDropRecord(text: string, path: string): DropRecord {
  return parseRecord(dropRecordSchema, text, path, 'E_OPTION_RECORD', 'the record of a removal of blocks');
}
