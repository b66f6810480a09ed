// report.html anew, from the record of a run.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError, writeFileAtomic } from '../base/index.js';
import { type Manifest, parseManifest } from '../records/index.js';
import { renderReport } from '../report/index.js';

/** Reads `<run>/layerwise.json` and writes the report of it, by default to `<run>/report.html`. @throws OptionError E_OPTION_MANIFEST, ResourceError */
export async function writeReport(
  run: string,
  out?: string,
): Promise<{ readonly path: string; readonly manifest: Manifest }> {
  const source = join(run, 'layerwise.json');
  const text = await readFile(source, 'utf8').catch((error) => {
    throw fileError(error, source);
  });
  const manifest = parseManifest(text, source);
  const path = out ?? join(run, 'report.html');
  await writeFileAtomic(path, renderReport(manifest));
  return { path, manifest };
}
