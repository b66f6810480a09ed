// The calibration text behind a checkpoint, from the record beside it, so that what is made of the checkpoint can name it too.

import { z } from 'zod';
import { type ManifestText, textSchema } from './manifest.js';

const recordSchema = z.object({
  // Every record of a checkpoint that was made with calibration text names it here.
  format: z.string().startsWith('layerwise-'),
  texts: z.object({ calibration: textSchema.nullable() }),
});

/** The calibration text that a layerwise.json names; undefined if it names none, or is no record. */
export function readCalibration(text: string): ManifestText | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return recordSchema.safeParse(value).data?.texts.calibration ?? undefined;
}
