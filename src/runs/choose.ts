// How the plan is chosen: given, fixed by its hyperparameters, searched on validation text, or found as its policy judges.

import { InternalError, withResources } from '../base/index.js';
import type { Model } from '../model/index.js';

import { allocate, completeValues, findPolicy, type ModelFacts, maxBeta, type Values } from '../plan/index.js';
import type { Measured } from '../records/index.js';
import { searchBeta, searchGrid } from '../search/index.js';
import { sampleText, type Text } from '../stream/index.js';
import { ALIGNMENT_WINDOWS } from './cost.js';
import { factsOf, type PruneSettings } from './settings.js';
import { type Book, createBook, type Entry } from './trial-ledger.js';
import { type Candidate, candidateOf, type TimedTrial, type Trials } from './trials.js';

export type Choice = {
  readonly candidate: Candidate;
  readonly trial: TimedTrial;
  /** The uniform baseline; undefined where nothing is evaluated. */
  readonly uniform: Entry | undefined;
  readonly entries: readonly Entry[];
  /** What was tried by misalignment, not by loss. */
  readonly judged: readonly Judged[];
  readonly method: string | undefined;
};

export type Judged = { readonly hyperparameters: Values; readonly misalignment: number };

export async function choosePlan(
  settings: PruneSettings,
  model: Model,
  trials: Trials,
  target: number,
  { calibration, validation }: { readonly calibration: Text | undefined; readonly validation: Text | undefined },
  measured: Partial<Measured>,
): Promise<Choice> {
  const { policy, budget } = settings;
  const facts = factsOf(model);
  const uniformRates = allocate(findPolicy('uniform'), { target, facts, budget });
  const uniformly = candidateOf(facts, 'uniform', {}, uniformRates);
  const candidateAt = (values: Values): Candidate => {
    const complete = completeValues(policy, values, target, facts);
    const rates = allocate(policy, { target, facts, budget, measured, values: complete });
    // A policy may come to uniform, as ATP does at β = 0; that is one trial, not two.
    const same = [...rates].every(([name, rate]) => rate === uniformRates.get(name));
    return same ? { ...uniformly, values: complete } : candidateOf(facts, policy.name, complete, rates);
  };

  if (!settings.searches) {
    const tried = policy.candidates?.(target).map((values) => ({ ...values, ...settings.values })) ?? [];
    const text = calibration ?? validation;
    const judged = settings.aligns && text ? await judge(model, trials, tried.map(candidateAt), text) : [];
    const values = leastMisaligned(judged)?.hyperparameters ?? settings.values;
    const candidate = settings.plan ? planCandidate(facts, settings.plan) : candidateAt(values);
    const evaluated = validation !== undefined || settings.test !== undefined || settings.tasks !== undefined;
    const uniform = evaluated ? await trials.exact(uniformly, undefined) : undefined;
    const trial =
      candidate.key === uniformly.key && uniform ? uniform : await trials.exact(candidate, uniform?.validation.nll);
    return {
      candidate,
      trial,
      uniform: uniform && { candidate: uniformly, trial: uniform },
      entries: [],
      judged,
      method: settings.aligns ? ALIGNMENT_METHOD : undefined,
    };
  }

  if (!validation) throw new InternalError('E_INTERNAL_SEARCH', 'A search was begun without validation text.');
  return await withResources(async (own) => {
    const book = await createBook(own, settings, model, trials, validation, candidateAt);
    const method = await search(settings, book, target, facts);
    return {
      ...book.best(),
      uniform: book.first(),
      entries: book.entries,
      judged: [],
      method,
    };
  });
}

/** Fills the book; returns how, in a sentence or two. The first trial of either search is uniform. */
async function search(settings: PruneSettings, book: Book, target: number, facts: ModelFacts): Promise<string> {
  const { policy, maxTrials } = settings;
  if (policy.grid) {
    await searchGrid({ ...policy.grid, maxTrials, exact: book.exact, surrogate: book.surrogate });
    return GRID_METHOD;
  }
  await searchBeta({
    high: maxBeta(target, facts.blocks),
    maxTrials,
    exact: (beta) => book.exact({ beta }),
    surrogate: (beta) => book.surrogate({ beta }),
  });
  return LINE_METHOD;
}

/** The misalignment of each candidate. */
function judge(model: Model, trials: Trials, candidates: readonly Candidate[], text: Text): Promise<readonly Judged[]> {
  return withResources(async (own) => {
    const sample = await sampleText(own, model, text, ALIGNMENT_WINDOWS);
    const judged: Judged[] = [];
    for (const candidate of candidates) {
      judged.push({
        hyperparameters: { ...candidate.values },
        misalignment: await trials.misalignment(candidate, sample.text),
      });
    }
    return judged;
  });
}

const leastMisaligned = (judged: readonly Judged[]): Judged | undefined =>
  judged.reduce<Judged | undefined>((a, b) => (a && a.misalignment <= b.misalignment ? a : b), undefined);

const ALIGNMENT_METHOD =
  'Each of the published values prunes the model on 8 windows of calibration text; the one whose pruned blocks read inputs most like the dense blocks’ is taken. No loss plays a part, and uniform is not a candidate.';

const LINE_METHOD =
  'The published grid, scaled to the legal range of β, is ordered by a surrogate (masks from dense statistics, few windows); exact trials on all validation windows walk downhill from its best point until both neighbours are worse, and a parabola refines between grid points. β = 0 is a candidate. The test text plays no part.';

const GRID_METHOD =
  'All points of the grid are ordered by a surrogate (masks from dense statistics, few windows); the best of them and the best plain line are tried exactly on all validation windows, then the neighbours of the best point known, most promising first. Uniform is a candidate. The test text plays no part.';

function planCandidate(facts: ModelFacts, plan: NonNullable<PruneSettings['plan']>): Candidate {
  const rates = facts.linears.map(
    ({ name, block }) => [name, plan.blocks?.[block] ?? plan.linears?.[name] ?? 0] as const,
  );
  return candidateOf(facts, 'plan', {}, new Map(rates));
}
