// How the plan is chosen: given, fixed by its hyperparameters, searched on validation text, or found as its policy judges.

import { InternalError, withResources } from '../base/index.js';
import type { Model } from '../model/index.js';
import {
  allocate,
  completeValues,
  findPolicy,
  firstPoint,
  type ModelFacts,
  type SearchSpace,
  searchSpace,
  type Values,
} from '../plan/index.js';
import type { Measured } from '../records/index.js';
import { searchGrid, searchInterval } from '../search/index.js';
import { sampleText, type Text } from '../stream/index.js';
import { ALIGNMENT_WINDOWS } from './cost.js';
import { factsOf, type PruneSettings } from './settings.js';
import { type Book, createBook, type Entry } from './trial-ledger.js';
import { type Candidate, candidateOf, symbolOf, type TimedTrial, type Trials } from './trials.js';

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
  /** What was given is kept, whatever a search or a judgement asks for. */
  const candidateAt = (values: Values): Candidate => {
    const complete = completeValues(policy, { ...values, ...settings.values }, target, facts);
    const rates = allocate(policy, { target, facts, budget, measured, values: complete });
    // A policy may give uniform, as ATP does at β = 0; that is one trial, not two.
    const same = [...rates].every(([name, rate]) => rate === uniformRates.get(name));
    return same ? { ...uniformly, values: complete } : candidateOf(facts, policy.name, complete, rates);
  };

  const space = settings.plan ? undefined : searchSpace(policy, settings.values, target, facts);

  if (space === undefined || space.kind === 'candidates') {
    const text = calibration ?? validation;
    const judged = space && text ? await judge(model, trials, space.points.map(candidateAt), text) : [];
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
      method: space ? ALIGNMENT_METHOD : undefined,
    };
  }

  if (!validation) throw new InternalError('E_INTERNAL_SEARCH', 'A search was begun without validation text.');
  const first = candidateAt(firstPoint(space));
  const startsUniform = first.key === uniformly.key;
  return await withResources(async (own) => {
    const start = startsUniform ? first : uniformly;
    const book = await createBook(own, settings, model, trials, validation, start, candidateAt);
    await search(space, settings.maxTrials, startsUniform, book);
    return {
      ...book.best(),
      uniform: book.baseline,
      entries: book.entries,
      judged: [],
      method: describeSearch(space, startsUniform),
    };
  });
}

/** Fills the book. Where the space begins with uniform, that is the first trial and one of those to choose from. */
async function search(
  space: Exclude<SearchSpace, { kind: 'candidates' }>,
  maxTrials: number,
  startsUniform: boolean,
  { exact, surrogate }: Book,
): Promise<void> {
  if (space.kind === 'grid') {
    await searchGrid({ ...space, startsUniform, maxTrials, exact, surrogate });
    return;
  }
  const { name, low, high } = space;
  await searchInterval({
    low,
    high,
    startsUniform,
    maxTrials,
    exact: (value) => exact({ [name]: value }),
    surrogate: (value) => surrogate({ [name]: value }),
  });
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

/** How a search went, in a few sentences. */
function describeSearch(space: Exclude<SearchSpace, { kind: 'candidates' }>, startsUniform: boolean): string {
  const uniform = startsUniform ? 'Uniform is a candidate.' : 'Uniform is the baseline, and no candidate.';
  const how =
    space.kind === 'interval'
      ? `The published grid, scaled to the legal range of ${symbolOf(space.name)}, is ordered by a surrogate (masks from dense statistics, few windows); exact trials on all validation windows walk downhill from its best point until both neighbours are worse, and a parabola refines between grid points.`
      : 'All points of the grid are ordered by a surrogate (masks from dense statistics, few windows); the best of them and the best of those the policy always tries are tried exactly on all validation windows, then the neighbours of the best point known, most promising first.';
  return `${how} ${uniform} The test text plays no part.`;
}

function planCandidate(facts: ModelFacts, plan: NonNullable<PruneSettings['plan']>): Candidate {
  const rates = facts.linears.map(
    ({ name, block }) => [name, plan.blocks?.[block] ?? plan.linears?.[name] ?? 0] as const,
  );
  return candidateOf(facts, 'plan', {}, new Map(rates));
}
