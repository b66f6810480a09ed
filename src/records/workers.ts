// workers.json: who did the trials of a run that was handed out. It lies beside the record, which does not depend on it.

import { z } from 'zod';
import { parseRecord } from './parse.js';

const workersSchema = z.strictObject({
  format: z.literal('layerwise-workers'),
  version: z.literal(1),
  workers: z
    .array(z.strictObject({ worker: z.string(), letters: z.int().min(0), seconds: z.number().min(0) }))
    .max(100_000),
});

export type WorkersRecord = Readonly<z.infer<typeof workersSchema>>;

/** Reads workers.json. @throws OptionError E_OPTION_MANIFEST */
export const parseWorkersRecord = (text: string, path: string): WorkersRecord =>
  parseRecord(workersSchema, text, path, 'E_OPTION_MANIFEST', 'a record of workers');
