// Chooses the plan: the given one, the one of the given hyperparameters, or the best of a search.

import { InternalError } from '../base/index.js';
import type { Model } from '../model/index.js';
import {
  allocate,
  completeValues,
  findPolicy,
  firstPoint,
  type SearchSpace,
  searchSpace,
  type Values,
} from '../plan/index.js';
import type { Measured } from '../records/index.js';
import { createSearcher, walkGrid, walkInterval } from '../search/index.js';
import { symbolOf } from '../words/index.js';
import type { Candidate, RequestOf } from './candidate.js';
import { describeCandidate } from './describe.js';
import type { LocalExecutor } from './executor.js';
import { factsOf } from './facts.js';
import type { PruneSettings } from './settings.js';
import { requestDigest } from './trial.js';
import { createLedger, type Entry, noteTrial } from './trial-ledger.js';

export type Choice = Entry & {
  /** The uniform baseline; undefined if nothing is evaluated. */
  readonly uniform: Entry | undefined;
  /** Whether the chosen plan equals uniform in whole weights. */
  readonly isUniform: boolean;
  readonly entries: readonly Entry[];
  /** The candidates that were compared by misalignment, not by loss. */
  readonly judged: readonly Judged[];
  readonly method: string | undefined;
};

export type Judged = { readonly hyperparameters: Values; readonly misalignment: number };

export type ChoosingContext = {
  readonly executor: LocalExecutor;
  readonly requestOf: RequestOf;
  readonly target: number;
  readonly measured: Partial<Measured>;
  /** Tokens per validation window; 0 without validation text. */
  readonly length: number;
};

export async function choosePlan(settings: PruneSettings, model: Model, context: ChoosingContext): Promise<Choice> {
  const { policy, budget: counting, onProgress } = settings;
  const { executor, requestOf, target, measured, length } = context;
  const facts = factsOf(model);
  const uniform: Candidate = { plan: allocate(findPolicy('uniform'), { target, facts, counting }), values: {} };
  const uniformDigest = requestDigest(requestOf(uniform.plan, 'exact'));
  /** Given hyperparameters override those of a search. */
  const candidateAt = (values: Values): Candidate => {
    const complete = completeValues(policy, { ...values, ...settings.values }, target, facts);
    return { plan: allocate(policy, { target, facts, counting, measured, values: complete }), values: complete };
  };
  const ledger = createLedger({ executor, requestOf, facts, length, onProgress });
  const chosen = (entry: Entry, rest: Omit<Choice, keyof Entry | 'isUniform'>): Choice => ({
    ...entry,
    ...rest,
    isUniform: entry.digest === uniformDigest,
  });
  const space = settings.plan ? undefined : searchSpace(policy, settings.values, target, facts);

  if (space === undefined || space.kind === 'candidates') {
    const judged = space ? await judge(space.points.map(candidateAt), executor, requestOf) : [];
    const values = leastMisaligned(judged)?.hyperparameters ?? settings.values;
    const candidate = settings.plan ? { plan: settings.plan, values: {} } : candidateAt(values);
    const evaluated = length > 0 || settings.test !== undefined || settings.tasks !== undefined;
    const baseline = evaluated ? await ledger.run(uniform) : undefined;
    const entry = { ...(await ledger.run(candidate)), candidate };
    const method = space ? ALIGNMENT_METHOD : undefined;
    return chosen(entry, { uniform: baseline, entries: [], judged, method });
  }

  if (length === 0) throw new InternalError('E_INTERNAL_SEARCH', 'A search was started without validation text.');
  const first = candidateAt(firstPoint(space));
  const startsUniform = requestDigest(requestOf(first.plan, 'exact')) === uniformDigest;
  const baseline = await ledger.run(startsUniform ? first : uniform);
  noteTrial(baseline, onProgress);
  const { maxTrials } = settings;
  const searcher = createSearcher(() =>
    space.kind === 'grid'
      ? walkGrid({ ...space, startsUniform, maxTrials })
      : walkInterval({ ...space, startsUniform, maxTrials, surrogate: true }),
  );
  const best = await ledger.search(searcher, candidateAt);
  const method = describeSearch(space, startsUniform);
  return chosen(best, { uniform: baseline, entries: ledger.entries, judged: [], method });
}

/** The misalignment of each candidate. */
async function judge(
  candidates: readonly Candidate[],
  executor: LocalExecutor,
  requestOf: RequestOf,
): Promise<readonly Judged[]> {
  const judged: Judged[] = [];
  for (const candidate of candidates) {
    const request = requestOf(candidate.plan, 'exact', 'misalignment');
    const { losses } = await executor.run(request, { label: describeCandidate(candidate) });
    judged.push({ hyperparameters: { ...candidate.values }, misalignment: losses[0]! });
  }
  return judged;
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
