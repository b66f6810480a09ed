// Writes a folder in the format of lm-evaluation-harness, for its tools: results_<time>.json and a samples_<task>_<time>.jsonl
// for each task. The tools take a file's age from its name, so the names contain the time; the contents do not depend on it.
// The folder appears whole or not at all.

import { mkdir, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileError, VERSION, writeFileAtomic } from '../base/index.js';
import { type HarnessRun, harnessResults, harnessSamples } from '../zeroshot/index.js';

/** Writes to `out`, which must not exist. @throws ResourceError E_RESOURCE_… */
export async function writeHarness(out: string, run: Omit<HarnessRun, 'version'>): Promise<void> {
  const time = new Date().toISOString().replace('Z', '').replaceAll(':', '-');
  const partial = `${resolve(out)}.${process.pid}.tmp`;
  try {
    await mkdir(partial);
    for (const [part, lines] of harnessSamples(run.outcomes)) {
      await writeFileAtomic(join(partial, `samples_${part}_${time}.jsonl`), lines);
    }
    const results = harnessResults({ ...run, version: VERSION });
    await writeFileAtomic(join(partial, `results_${time}.json`), `${JSON.stringify(results, null, 2)}\n`);
    await rename(partial, resolve(out));
  } catch (error) {
    await rm(partial, { recursive: true, force: true }).catch(() => {});
    throw fileError(error, out);
  }
}
