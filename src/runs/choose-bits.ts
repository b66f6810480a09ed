// Chooses bits by ATP's progression: β is given, or found by exact trials on validation text as in prune. The flat line, β = 0, is
// the baseline and a candidate.

import type { Model } from '../model/index.js';
import { GRID_BITS } from '../operators/index.js';
import { allocateProgression, blockWeights, checkBitsBeta, distinctBetas, type Values } from '../plan/index.js';
import { createSearcher, walkDescent } from '../search/index.js';
import type { Candidate } from './candidate.js';
import { type Choice, type ChoosingContext, chooseShares } from './choose.js';
import { factsOf } from './facts.js';
import type { PruneSettings } from './settings.js';
import { createLedger, noteTrial } from './trial-ledger.js';

const METHOD =
  'Bits fall with depth by a common difference β. Of the β that come to different whole bits, exact trials on all validation windows walk downhill from a third of the way to the largest until both neighbours are worse. The flat line is a candidate. The test text plays no part.';

/** @throws OptionError E_OPTION_BETA where the given β is too large for the model */
export async function checkProgression({ progression }: PruneSettings, model: Model): Promise<void> {
  if (progression?.beta === undefined) return;
  checkBitsBeta(progression.beta, progression.bits, model.config.blocks, GRID_BITS);
}

export async function chooseBits(settings: PruneSettings, model: Model, context: ChoosingContext): Promise<Choice> {
  const { executor, requestOf, scoring } = context;
  const { onProgress, target } = settings;
  const { bits, group, beta } = settings.progression!;
  const facts = factsOf(model);
  const at = ({ beta = 0 }: Values): Candidate => ({
    plan: allocateProgression(facts, bits, beta, GRID_BITS, group),
    values: { beta },
  });
  const ledger = createLedger({ executor, requestOf, facts, scoring, onProgress });
  const follow = await chooseShares(settings, at({ beta: beta ?? 0 }), undefined, ledger, scoring);
  const following = (candidate: Candidate): Candidate => (follow ? { ...candidate, target: follow } : candidate);
  const evaluated = scoring !== undefined || settings.test !== undefined || settings.tasks !== undefined;
  const flat = evaluated ? await ledger.run(following(at({}))) : undefined;
  if (beta !== undefined) {
    const entry = await ledger.run(following(at({ beta })));
    const isUniform = entry.digest === flat?.digest;
    return { ...entry, uniform: flat, isUniform, entries: [], judged: [], method: undefined };
  }
  noteTrial(flat!, onProgress);
  const betas = distinctBetas(blockWeights(facts), bits, GRID_BITS, target.kind === 'stream');
  const flatAt = betas.indexOf(0);
  const third = betas[flatAt + Math.ceil((betas.length - 1 - flatAt) / 3)]!;
  const starts = [{ beta: 0 }, { beta: third }];
  // The flat line is no trial.
  const maxTrials = Math.max(2, settings.maxTrials) + 1;
  const best = await ledger.search(
    createSearcher(() => walkDescent({ axes: { beta: betas }, starts, maxTrials })),
    (values) => following(at(values)),
    [flat!.digest],
  );
  const isUniform = best.digest === flat!.digest;
  return { ...best, uniform: flat, isUniform, entries: ledger.entries, judged: [], method: METHOD };
}
