// workers.json beside a record: who did what of a run that was handed out.

import { join } from 'node:path';
import { readDocument, writeFileAtomic } from '../base/index.js';
import { statIfThere } from '../checkpoint/index.js';
import { parseWorkersRecord, type WorkersRecord } from '../records/index.js';
import type { Tally } from '../runs/index.js';

const NAME = 'workers.json';

/** Writes it into the finished directory. */
export async function writeWorkers(final: string, workers: Tally): Promise<WorkersRecord> {
  const record: WorkersRecord = {
    format: 'layerwise-workers',
    version: 1,
    workers: workers.map((one) => ({ ...one })),
  };
  await writeFileAtomic(join(final, NAME), `${JSON.stringify(record, null, 2)}\n`);
  return record;
}

/** Reads that of a finished run; undefined where there is none. @throws OptionError E_OPTION_MANIFEST, ResourceError */
export async function readWorkers(run: string): Promise<WorkersRecord | undefined> {
  const path = join(run, NAME);
  return (await statIfThere(path)) ? parseWorkersRecord(await readDocument(path), path) : undefined;
}
