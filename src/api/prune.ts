// The main job: from a checkpoint, a target and texts to a sparse checkpoint with its layerwise.json and report.html, then
// packed and uploaded if asked.

import { resolve } from 'node:path';
import { OptionError, silent } from '../base/index.js';
import { checkPush, type PushResult } from '../hub/index.js';
import { openModel } from '../model/index.js';
import { checkOutPath, normalisePrune, type PruneOptions, type PruneSettings, pushTarget } from '../runs/index.js';
import { type EditResult, editCheckpoint } from './edit.js';
import { checkPacking, normalisePacking, type PackingSettings, type PackResult, packModel } from './pack.js';
import { pruneTowers } from './prune-towers.js';
import { pushFinished } from './push.js';

export type PruneResult = EditResult & {
  /** The packed file; null without `pack`. */
  readonly packed: PackResult | null;
  /** The upload; null without `push`. */
  readonly pushed: PushResult | null;
};

/**
 * Prunes a checkpoint and, with `pack`, packs the result. Everything is checked before a weight is read. The output
 * directory appears whole or not at all, and the packed file after it. `resume` continues an interrupted run. The upload
 * comes last; if it fails, the output stays.
 * @throws OptionError, CheckpointError, UnsupportedError, ResourceError, NumericError, RemoteError, each with a stable `code`
 */
export async function prune(options: PruneOptions): Promise<PruneResult> {
  if (options.scope === 'all' || options.towerSparsity !== undefined || options.towerBudget !== undefined) {
    const target = pushTarget(options);
    if (target) await checkPush(target);
    const both = { ...(await pruneTowers(options)), packed: null };
    if (!target) return { ...both, pushed: null };
    const { out, onProgress = silent } = options;
    return { ...both, pushed: await pushFinished({ ...target, run: out, onProgress }) };
  }
  const settings = normalisePrune(options);
  const packing = options.pack && normalisePacking(options.pack);
  const { push, out, onProgress } = settings;
  if (push) await checkPush(push);
  const result = await pruneAndPack(settings, packing);
  return push ? { ...result, pushed: await pushFinished({ ...push, run: out, onProgress }) } : result;
}

async function pruneAndPack(settings: PruneSettings, packing: PackingSettings | undefined): Promise<PruneResult> {
  if (!packing) return { ...(await editCheckpoint(settings)), packed: null, pushed: null };
  const result = await editCheckpoint(settings, {
    checkBefore: async () => {
      refuseSamePlace(packing.out, settings.out);
      await checkOutPath(packing.out, 'pack');
    },
    check: (model) => checkPacking(model, packing, 'pack'),
  });
  settings.onProgress({ kind: 'note', text: `The checkpoint is complete in ${settings.out}.` });
  const packed = await packModel(await openModel(settings.out), packing, settings.onProgress);
  return { ...result, packed, pushed: null };
}

function refuseSamePlace(pack: string, out: string): void {
  if (![resolve(out), `${resolve(out)}.partial`].includes(resolve(pack))) return;
  const message = `--pack: ${pack} is where --out writes; choose another path, such as ${out}.lw.`;
  throw new OptionError('E_OPTION_PACK', message, { option: 'pack', got: pack });
}
