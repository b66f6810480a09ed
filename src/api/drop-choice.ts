// Which blocks `drop` removes, by each of its methods. Nothing is written: the methods read the checkpoint's blocks in place, and
// `repaired` holds the few blocks that a trial changes in memory.

import { withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { summarise } from '../evaluate/index.js';
import type { Model } from '../model/index.js';
import { memoryShelf, type RepairWay, repairSeams, scoreKept } from '../pipeline/index.js';
import { dropDeepest, dropLeast, dropRun, seamsOf } from '../plan/index.js';
import { scoreRemovals, startAngles, startInfluence, visitResiduals } from '../profile/index.js';
import type { DropRecord } from '../records/index.js';
import type { PreparedTexts, Workspace } from '../runs/index.js';
import { removeGreedily } from '../search/index.js';
import { embedSamples, scoringOf, type VisitResidual } from '../stream/index.js';
import type { Windows } from '../text/index.js';
import type { DropSettings } from './drop-settings.js';

export type Choice = Pick<DropRecord, 'removed' | 'scores'>;

/** The removed blocks, and the score of each block. */
export async function chooseBlocks(
  settings: DropSettings,
  model: Model,
  texts: PreparedTexts<Windows>,
  engine: Engine,
  workspace: Workspace,
): Promise<Choice> {
  const { method, blocks: n, onProgress } = settings;
  const { blocks: L, hidden } = model.config;
  const none = (count: number): null[] => Array.from({ length: count }, () => null);
  const visitCalibration = (stage: string, visit: VisitResidual): Promise<void> =>
    withResources(async (own) => {
      onProgress({ kind: 'stage', stage, total: L });
      const text = await embedSamples(own, engine, model, texts.calibration!.content);
      await visitResiduals(engine, model, text, visit, onProgress);
    });
  switch (method.name) {
    case 'deepest':
      return { removed: dropDeepest(L, n), scores: none(L) };
    case 'shortgpt': {
      const influence = await workspace.step('influence', async () => {
        const sums = startInfluence(L, hidden);
        await visitCalibration('measuring influence', sums.add);
        return sums.result();
      });
      return { removed: dropLeast(influence, n), scores: influence };
    }
    case 'angular': {
      const distances = await workspace.step('distances', async () => {
        const angles = startAngles(L, hidden, texts.calibration!.content);
        await visitCalibration('measuring angles', angles.add);
        return angles.across(n);
      });
      return { removed: dropRun(distances, n), scores: [...distances, ...none(n - 1)] };
    }
    case 'perplexity': {
      const { order, scores } = await removeGreedily(L, n, (left, round) =>
        workspace.step(`round-${round}`, () =>
          withResources(async (own) => {
            onProgress({ kind: 'stage', stage: `choosing block ${round + 1} of ${n}`, total: left.length });
            const text = await embedSamples(own, engine, model, texts.validation!.content);
            const nll = await scoreRemovals(engine, model, left, text, onProgress);
            return nll.map((windows) => summarise(windows, scoringOf(text.content)).perplexity);
          }),
        ),
      );
      return { removed: [...order].sort((a, b) => a - b), scores: [...scores] };
    }
    case 'repaired': {
      const { order, scores } = await removeGreedily(L, n, (left, round) =>
        workspace.step(`round-${round}`, () => scoreRepaired(settings, model, texts, engine, workspace, left, round)),
      );
      return { removed: [...order].sort((a, b) => a - b), scores: [...scores] };
    }
    default:
      return method.name satisfies never;
  }
}

/** Validation perplexity without each of the blocks `left` and all that went before, after the fits at the seams. */
async function scoreRepaired(
  settings: DropSettings,
  model: Model,
  texts: PreparedTexts<Windows>,
  engine: Engine,
  workspace: Workspace,
  left: readonly number[],
  round: number,
): Promise<number[]> {
  const { blocks: n, onProgress } = settings;
  // The blocks behind follow the stream once the choice is made: that costs several times the fits at the seams.
  const way: RepairWay = { ...settings.way!, fit: true, follow: undefined };
  onProgress({ kind: 'stage', stage: `choosing block ${round + 1} of ${n}`, total: left.length });
  return await withResources(async (own) => {
    const calibration = await embedSamples(own, engine, model, texts.calibration!.content);
    const validation = await embedSamples(own, engine, model, texts.validation!.content);
    const perplexities: number[] = [];
    for (const block of left) {
      const kept = left.filter((one) => one !== block);
      const removed = new Set(
        Array.from({ length: model.config.blocks }, (_, i) => i).filter((i) => !kept.includes(i)),
      );
      const seams = seamsOf(model.config.blocks, removed);
      const shelf = memoryShelf(model, workspace.at('trial'));
      await repairSeams({ engine, model, seams, way, text: calibration, shelf, onProgress: () => {} });
      const nll = await scoreKept(engine, model, removed, validation, shelf);
      perplexities.push(summarise(nll, scoringOf(validation.content)).perplexity);
      onProgress({ kind: 'advance', detail: `without block ${block}` });
    }
    return perplexities;
  });
}
