// Prunes both trunks of a model that answers questions about images: the vision trunk, then the language trunk of the checkpoint that
// this wrote, so the second run sees the images as the first left them. Both runs are in the workspace of the whole. With one budget
// together, the plans of both are made on the dense model beforehand.

import { access, copyFile, mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { OptionError, readDocument, UnsupportedError, writeFileAtomic } from '../base/index.js';
import { type Model, openTrunk } from '../model/index.js';
import { type Manifest, type Plan, parseManifest } from '../records/index.js';
import {
  checkAgainstModel,
  checkOut,
  checkOutside,
  checkSpace,
  commandOf,
  conflict,
  isOnlyToBeCleared,
  normalisePrune,
  oneOf,
  openRun,
  openSource,
  type PruneOptions,
  type PruneSettings,
  prepareSamples,
  realNumber,
  refuseMissing,
  TOWER_BUDGETS,
  type TowerSparsity,
  withSampleCount,
} from '../runs/index.js';
import { type EditResult, editCheckpoint, readResult } from './edit.js';
import { allocateJointly, checkJoint } from './joint-budget.js';
import { drawReport } from './report.js';

const RECORD = 'layerwise.json';
const REPORT = 'report.html';
/** Those of the first run, in the output. */
const FIRST = { record: 'layerwise-vision.json', report: 'report-vision.html' } as const;

/** @throws OptionError E_OPTION_TOWER_SPARSITY, E_OPTION_SPARSITY, E_OPTION_CONFLICT */
function ratesOf({ towerSparsity, towerBudget, sparsity, scope, plan, pack }: PruneOptions): TowerSparsity {
  const given = towerSparsity === undefined ? 'tower-budget' : 'tower-sparsity';
  if (scope !== 'all') conflict(given, 'scope', 'it is for --scope all');
  if (plan !== undefined) conflict('plan', 'scope', 'a plan is for one trunk');
  if (pack !== undefined) conflict('pack', 'scope', 'a .lw file has one trunk. Use layerwise pack on the output');
  if (towerSparsity === undefined) {
    if (sparsity === undefined) refuseMissing('tower-sparsity', 'vision=S,language=S, or --sparsity for both');
    return { vision: sparsity!, language: sparsity! };
  }
  if (towerBudget === 'joint') conflict('tower-sparsity', 'tower-budget', 'joint is one sparsity for both: --sparsity');
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
  const joint = oneOf('tower-budget', options.towerBudget ?? 'each', TOWER_BUDGETS) === 'joint';
  const towers = ratesOf(options);
  const { towerSparsity: _, towerBudget: __, push: ___, private: ____, ...rest } = options;
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
  const trunks = joint ? { vision: model, language: await openTrunk(model.checkpoint, 'language') } : undefined;
  if (trunks) checkJoint(settings, trunks);
  if (!done) await checkOutside(out, model.checkpoint.dir);
  if (!resume) await checkSpace(out, 6 * model.bytes);
  const texts = await prepareSamples(settings, model);
  const whole = joint
    ? { ...settings, scope: undefined, towerBudget: 'joint' as const }
    : { ...settings, scope: undefined, sparsity: undefined, towers };
  const { workspace } = await openRun('prune', whole, model, texts);
  try {
    if (done) {
      await workspace.clear();
      return await readResult(out, join(out, RECORD), started);
    }
    const dirs = { vision: workspace.at('vision'), language: workspace.at('language'), final: workspace.at('final') };
    if (!(await isThere(dirs.final))) {
      const plans = trunks && (await allocateJointly(settings, trunks, texts, workspace));
      const rates = plans ? { vision: plans.vision.budget!.target!, language: plans.language.budget!.target! } : towers;
      const [first, second] = plans
        ? [withPlan(rest, 'vision', plans.vision), withPlan(rest, 'language', plans.language)]
        : [vision, language];
      onProgress({ kind: 'note', text: `The vision trunk first, at ${roundRate(rates.vision)}.` });
      await runIn(dirs.vision, first);
      onProgress({ kind: 'note', text: `Then the language trunk, at ${roundRate(rates.language)}.` });
      await runIn(dirs.language, { ...second, checkpoint: dirs.vision });
      await joinRecords(dirs.vision, dirs.language, rates, joint ? settings.sparsity : undefined, commandOf(whole));
      await rename(dirs.language, dirs.final);
    }
    await workspace.finish();
  } finally {
    await workspace.close();
  }
  return await readResult(out, join(out, RECORD), started);
}

/** A note's rate: a joint budget gives a trunk any number. */
const roundRate = (rate: number): number => Number(rate.toFixed(4));

/** The settings of a run that replays a plan: what made it is said already. */
function withPlan(
  { sparsity: _, allocation: __, beta: ___, hyperparameters: ____, gradient: _____, ...rest }: PruneOptions,
  trunk: 'vision' | 'language',
  plan: Plan,
): PruneSettings {
  return normalisePrune({ ...rest, scope: trunk, plan });
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
async function joinRecords(
  first: string,
  second: string,
  rates: TowerSparsity,
  joint: number | undefined,
  command: string,
): Promise<void> {
  const read = async (dir: string): Promise<Manifest> =>
    parseManifest(await readDocument(join(dir, RECORD)), join(dir, RECORD));
  const [vision, language] = [await read(first), await read(second)];
  const { name, commit, hashes } = vision.source;
  const { commit: _, ...source } = language.source;
  const shareOf = ({ sparsity: { realised } }: Manifest) => realised;
  const both = vision.source.prunable + language.source.prunable;
  const zeros = [vision, language].reduce((sum, one) => sum + one.source.prunable * shareOf(one), 0);
  const manifest: Manifest = {
    ...language,
    command,
    source: { ...source, name, ...(commit === undefined ? {} : { commit }), hashes },
    towers: [
      { trunk: 'vision', target: rates.vision, realised: shareOf(vision), record: FIRST.record },
      { trunk: 'language', target: rates.language, realised: shareOf(language), record: RECORD },
    ],
    ...(joint === undefined ? {} : { joint: { target: joint, realised: zeros / both } }),
  };
  await copyFile(join(first, RECORD), join(second, FIRST.record));
  await copyFile(join(first, REPORT), join(second, FIRST.report));
  await writeFileAtomic(join(second, REPORT), await drawReport(manifest));
  await writeFileAtomic(join(second, RECORD), `${JSON.stringify(manifest, null, 2)}\n`);
}
