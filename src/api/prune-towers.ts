// Prunes both trunks of a model that answers questions about images: the vision trunk, then the language trunk of the checkpoint that
// this wrote, so the second run sees the images as the first left them. Both runs are in the workspace of the whole.

import { access, copyFile, mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { OptionError, readDocument, UnsupportedError, writeFileAtomic } from '../base/index.js';
import type { Model } from '../model/index.js';
import { type Manifest, parseManifest } from '../records/index.js';
import {
  checkAgainstModel,
  checkOut,
  checkOutside,
  checkSpace,
  commandOf,
  conflict,
  isOnlyToBeCleared,
  normalisePrune,
  openRun,
  openSource,
  type PruneOptions,
  type PruneSettings,
  prepareSamples,
  realNumber,
  refuseMissing,
  type TowerSparsity,
  withSampleCount,
} from '../runs/index.js';
import { type EditResult, editCheckpoint, readResult } from './edit.js';
import { drawReport } from './report.js';

const RECORD = 'layerwise.json';
const REPORT = 'report.html';
/** Those of the first run, in the output. */
const FIRST = { record: 'layerwise-vision.json', report: 'report-vision.html' } as const;

/** @throws OptionError E_OPTION_TOWER_SPARSITY, E_OPTION_SPARSITY, E_OPTION_CONFLICT */
function ratesOf({ towerSparsity, sparsity, scope, plan, pack }: PruneOptions): TowerSparsity {
  if (scope !== 'all') conflict('tower-sparsity', 'scope', 'it is for --scope all');
  if (plan !== undefined) conflict('plan', 'scope', 'a plan is for one trunk');
  if (pack !== undefined) conflict('pack', 'scope', 'a .lw file has one trunk. Use layerwise pack on the output');
  if (towerSparsity === undefined) {
    if (sparsity === undefined) refuseMissing('tower-sparsity', 'vision=S,language=S, or --sparsity for both');
    return { vision: sparsity!, language: sparsity! };
  }
  if (sparsity !== undefined) conflict('sparsity', 'tower-sparsity', 'both say how sparse the trunks are');
  const other = Object.keys(towerSparsity).find((name) => name !== 'vision' && name !== 'language');
  const { vision, language } = towerSparsity;
  if (other !== undefined || vision === undefined || language === undefined) {
    throw new OptionError(
      'E_OPTION_TOWER_SPARSITY',
      `--tower-sparsity: expected vision=S,language=S, got ${Object.keys(towerSparsity).join() || 'none'}. Use --scope vision or --scope language for one of them.`,
      { option: 'tower-sparsity', got: towerSparsity },
    );
  }
  for (const rate of [vision, language]) realNumber('tower-sparsity', rate, 0, 1);
  return { vision, language };
}

/** @throws as `prune`; UnsupportedError E_UNSUPPORTED_SCOPE */
export async function pruneTowers(options: PruneOptions): Promise<EditResult> {
  const started = performance.now();
  const towers = ratesOf(options);
  const { towerSparsity: _, push: __, private: ___, ...rest } = options;
  const settingsOf = (trunk: 'vision' | 'language'): PruneSettings =>
    normalisePrune({ ...rest, scope: trunk, sparsity: towers[trunk] });
  const [vision, language] = [settingsOf('vision'), settingsOf('language')];
  const { out, resume, onProgress, checkpoint } = vision;
  const done = resume && (await isOnlyToBeCleared(out));
  if (!done) await checkOut(out, resume);
  const model = await openSource(checkpoint, onProgress, { images: true, trunk: 'vision' });
  requireBoth(model);
  const settings = withSampleCount(vision, model);
  checkAgainstModel(settings, model);
  if (!done) await checkOutside(out, model.checkpoint.dir);
  if (!resume) await checkSpace(out, 6 * model.bytes);
  const texts = await prepareSamples(settings, model);
  const whole = { ...settings, scope: undefined, sparsity: undefined, towers };
  const { workspace } = await openRun('prune', whole, model, texts);
  try {
    if (done) {
      await workspace.clear();
      return await readResult(out, join(out, RECORD), started);
    }
    const dirs = { vision: workspace.at('vision'), language: workspace.at('language'), final: workspace.at('final') };
    if (!(await isThere(dirs.final))) {
      onProgress({ kind: 'note', text: `The vision trunk first, at ${towers.vision}.` });
      await runIn(dirs.vision, vision);
      onProgress({ kind: 'note', text: `Then the language trunk, at ${towers.language}.` });
      await runIn(dirs.language, { ...language, checkpoint: dirs.vision });
      await joinRecords(dirs.vision, dirs.language, towers, commandOf(whole));
      await rename(dirs.language, dirs.final);
    }
    await workspace.finish();
  } finally {
    await workspace.close();
  }
  return await readResult(out, join(out, RECORD), started);
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** @throws UnsupportedError E_UNSUPPORTED_SCOPE */
function requireBoth({ trunks, config }: Model): void {
  if (trunks.includes('language')) return;
  throw new UnsupportedError(
    'E_UNSUPPORTED_SCOPE',
    `--scope all is for models that answer questions about images; this one has a ${config.family} and ${trunks.filter((one) => one !== 'vision').join()}. Use --scope vision.`,
    { scope: 'all', trunks },
  );
}

/** Runs into `dir`, unless an earlier attempt has done so. */
async function runIn(dir: string, settings: PruneSettings): Promise<void> {
  if ((await isThere(dir)) && !(await isThere(`${dir}.partial`))) return;
  await mkdir(join(dir, '..'), { recursive: true });
  await editCheckpoint({ ...settings, out: dir, resume: true });
}

/** Makes the record of the second run that of both. */
async function joinRecords(first: string, second: string, rates: TowerSparsity, command: string): Promise<void> {
  const read = async (dir: string): Promise<Manifest> =>
    parseManifest(await readDocument(join(dir, RECORD)), join(dir, RECORD));
  const [vision, language] = [await read(first), await read(second)];
  const { name, commit, hashes } = vision.source;
  const { commit: _, ...source } = language.source;
  const shareOf = ({ sparsity: { realised } }: Manifest) => realised;
  const manifest: Manifest = {
    ...language,
    command,
    source: { ...source, name, ...(commit === undefined ? {} : { commit }), hashes },
    towers: [
      { trunk: 'vision', target: rates.vision, realised: shareOf(vision), record: FIRST.record },
      { trunk: 'language', target: rates.language, realised: shareOf(language), record: RECORD },
    ],
  };
  await copyFile(join(first, RECORD), join(second, FIRST.record));
  await copyFile(join(first, REPORT), join(second, FIRST.report));
  await writeFileAtomic(join(second, REPORT), await drawReport(manifest));
  await writeFileAtomic(join(second, RECORD), `${JSON.stringify(manifest, null, 2)}\n`);
}
