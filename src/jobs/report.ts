// report.html anew, from the record of a run.

import { join } from 'node:path';
import { readDocument, requireAbsent, writeFileAtomic } from '../base/index.js';
import { type Manifest, parseManifest } from '../records/index.js';
import { renderReport } from '../report/index.js';

/**
 * Reads `<run>/layerwise.json` and writes the report of it: to `out`, where nothing may be yet, or anew to
 * `<run>/report.html`.
 * @throws OptionError E_OPTION_MANIFEST, E_OPTION_OUT_EXISTS, ResourceError
 */
export async function writeReport(
  run: string,
  out?: string,
): Promise<{ readonly path: string; readonly manifest: Manifest }> {
  const source = join(run, 'layerwise.json');
  if (out !== undefined) await requireAbsent(out);
  const manifest = parseManifest(await readDocument(source), source);
  const path = out ?? join(run, 'report.html');
  await writeFileAtomic(path, renderReport(manifest));
  return { path, manifest };
}
