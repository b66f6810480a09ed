// A table of sensitivities: for each unit of a model the treatments it may get, what each costs, and the damage that it does
// alone, KL(dense ‖ dense with only this unit treated so) in nats per token. Measured once, allocated from many times: any
// budget of the same cost is a choice of one item for each unit (plan/mixed.ts). Anyone can write one by hand.

import { z } from 'zod';
import { parseRecord, validateRecord } from './parse.js';
import { treatmentSchema } from './plan.js';

const itemSchema = z.strictObject({
  /** null: the unit stays as it is. */
  treatment: treatmentSchema.nullable(),
  cost: z.number().min(0),
  /** Sampling and rounding may make a small one negative. */
  damage: z.number(),
});

const unitSchema = z.strictObject({
  block: z.number().int().min(0),
  items: z.array(itemSchema).min(1),
});

const tableSchema = z
  .strictObject({
    format: z.literal('layerwise-sensitivities'),
    version: z.literal(1),
    tool: z.strictObject({ version: z.string(), device: z.string() }).optional(),
    /** Digest of the checkpoint's hashes, and the number of its blocks. */
    model: z.string().min(1),
    blocks: z.number().int().min(1),
    /** Digests of the records of the texts: what treatments were calibrated on, and what damage was measured on. */
    texts: z.strictObject({ calibration: z.string().optional(), measured: z.string() }),
    damage: z.literal('kl'),
    cost: z.enum(['bytes', 'nanoseconds', 'bits', 'parameters']),
    /** By the unit's name, in the model's order. */
    units: z.record(z.string(), unitSchema),
  })
  .superRefine(({ blocks, units }, context) => {
    for (const [id, { block }] of Object.entries(units)) {
      if (block < blocks) continue;
      const message = `expected a block below ${blocks}, got ${block}`;
      context.addIssue({ code: 'custom', path: ['units', id, 'block'], message });
    }
    if (Object.keys(units).length > 0) return;
    context.addIssue({ code: 'custom', path: ['units'], message: 'expected at least one unit' });
  });

export type SensitivityItem = Readonly<z.infer<typeof itemSchema>>;
export type SensitivityTable = Readonly<z.infer<typeof tableSchema>>;

/** Reads a table. @throws OptionError E_OPTION_SENSITIVITIES with the place and what was expected. */
export function parseSensitivityTable(text: string, path: string): SensitivityTable {
  return parseRecord(tableSchema, text, path, 'E_OPTION_SENSITIVITIES', 'a table of sensitivities');
}

/** Checks a table that is already an object. @throws OptionError E_OPTION_SENSITIVITIES with the place and what was expected. */
export function validateSensitivityTable(value: unknown, path: string): SensitivityTable {
  return validateRecord(tableSchema, value, path, 'E_OPTION_SENSITIVITIES', 'a table of sensitivities');
}
