// Chooses the plan: the given one, the one of the given hyperparameters, or the best of a search.

import { isDeepStrictEqual } from 'node:util';
import { createRng, InternalError } from '../base/index.js';
import type { Model } from '../model/index.js';
import type { StreamTarget } from '../pipeline/index.js';
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
import {
  createSearcher,
  levelsOf,
  type Searcher,
  walkDescent,
  walkGrid,
  walkInterval,
  walkLevels,
} from '../search/index.js';
import type { Scoring } from '../stream/index.js';
import { symbolOf } from '../words/index.js';
import type { Candidate, RequestOf } from './candidate.js';
import { describeCandidate } from './describe.js';
import type { LocalExecutor } from './executor.js';
import { factsOf } from './facts.js';
import { levelPlans, wholeOf } from './levels.js';
import { GENERATION_WINDOWS } from './samples.js';
import type { PruneSettings } from './settings.js';
import { DEFAULT_SHARES, openShares } from './stream-shares.js';
import { requestDigest } from './trial.js';
import { createLedger, type Entry, type Ledger, lossOf, noteTrial } from './trial-ledger.js';

export type Choice = Entry & {
  /** The uniform baseline; undefined if nothing is evaluated. */
  readonly uniform: Entry | undefined;
  /**
   * Where the chosen model follows the dense stream: a run in which every linear keeps its own output, of the same plan if
   * there is one, else of the plan that the shares were found with; undefined if there was none.
   */
  readonly own?: Entry | undefined;
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
  /** What is scored of a validation sample; undefined without any. */
  readonly scoring: Scoring | undefined;
  /** What policies decide about. Defaults to the model's linears. */
  readonly facts?: ModelFacts;
};

export async function choosePlan(settings: PruneSettings, model: Model, context: ChoosingContext): Promise<Choice> {
  const { policy, budget: counting, onProgress } = settings;
  const { executor, requestOf, target, measured, scoring } = context;
  const { facts = factsOf(model, settings.unit) } = context;
  const follows = settings.target.kind === 'stream';
  // There is a uniform plan to compare with where the plan is about rates.
  const plain: Candidate | undefined =
    settings.criterion.makes[0] !== 'bits'
      ? { plan: allocate(findPolicy('uniform'), { target, facts, counting }), values: {} }
      : undefined;
  const whole = wholeOf(settings);
  /** Given hyperparameters override those of a search. Of a policy with levels, the search’s numbers are levels. */
  const candidateAt = (values: Values): Candidate => {
    if (policy.levels) return candidateOfLevels(levelsOf(values, facts.linears.length));
    const complete = completeValues(policy, { ...values, ...settings.values }, target, facts);
    return { plan: allocate(policy, { target, facts, counting, measured, values: complete }), values: complete };
  };
  const candidateOfLevels = (levels: readonly number[]): Candidate => {
    const complete = completeValues(policy, settings.values, target, facts);
    const plan = allocate(policy, { target, facts, counting, of: whole.of, measured, values: complete, levels });
    // Half of what the levels are away from 0 is what was moved.
    const moved = levels.reduce((sum, level) => sum + Math.abs(level), 0) / 2;
    return { plan, values: { ...complete, moved } };
  };
  const ledger = createLedger({ executor, requestOf, facts, scoring, onProgress });
  const space = settings.plan
    ? undefined
    : searchSpace(policy, settings.values, target, facts, follows || counting === 'exact', whole);
  const searching = space !== undefined && space.kind !== 'candidates';
  const judged = space?.kind === 'candidates' ? await judge(space.points.map(candidateAt), executor, requestOf) : [];
  const fixed = (): Candidate =>
    settings.plan
      ? { plan: settings.plan, values: {} }
      : candidateAt(leastMisaligned(judged)?.hyperparameters ?? settings.values);
  const follow = await chooseShares(settings, (searching && plain) || fixed(), plain, ledger, scoring);
  const following = (candidate: Candidate): Candidate => (follow ? { ...candidate, target: follow } : candidate);
  const uniform = plain && following(plain);
  const uniformDigest = uniform && requestDigest(requestOf(uniform, 'exact'));
  const chosen = (entry: Entry, rest: Omit<Choice, keyof Entry | 'isUniform' | 'own'>): Choice => ({
    ...entry,
    ...rest,
    own: ownRunOf(entry, ledger),
    isUniform: entry.digest === uniformDigest,
  });

  if (space === undefined || space.kind === 'candidates') {
    const candidate = following(fixed());
    const evaluated = scoring !== undefined || settings.test !== undefined || settings.tasks !== undefined;
    const baseline = evaluated && uniform ? await ledger.run(uniform) : undefined;
    const entry = { ...(await ledger.run(candidate)), candidate };
    const method = space ? ALIGNMENT_METHOD : undefined;
    return chosen(entry, { uniform: baseline, entries: [], judged, method });
  }

  if (!scoring || !uniform) {
    throw new InternalError(
      'E_INTERNAL_SEARCH',
      'A search was started without validation text, or of other than zeros.',
    );
  }
  const first = following(candidateAt(firstPoint(space)));
  const startsUniform = requestDigest(requestOf(first, 'exact')) === uniformDigest;
  const baseline = await ledger.run(startsUniform ? first : uniform);
  noteTrial(baseline, onProgress);
  // Trials of shares count; the search of the plan keeps two at least.
  const shares = follows ? ledger.entries.filter(({ candidate }) => candidate.target) : [];
  const maxTrials = Math.max(2, settings.maxTrials - shares.length);
  const searcher = createSearcher(() =>
    space.kind === 'grid'
      ? walkGrid({ ...space, startsUniform, maxTrials })
      : space.kind === 'levels'
        ? walkLevels({ ...space, windows: GENERATION_WINDOWS, maxTrials, draws: () => createRng(settings.seed).below })
        : walkInterval({ ...space, startsUniform, maxTrials, surrogate: !follows }),
  );
  const levels = levelPlans(settings, model, target);
  if (levels) executor.levels.open(settings.criterion, levels);
  const told = space.kind === 'levels' ? reportEstimates(searcher, space.generations, settings) : searcher;
  const best = await ledger.search(told, (values) => following(candidateAt(values)), [baseline.digest]);
  await executor.levels.discard();
  const method = describeSearch(space, startsUniform, baseline.trial.calibration !== undefined);
  return chosen(best, { uniform: baseline, entries: ledger.entries, judged: [], method });
}

/**
 * How far the treated linears follow the dense stream, by the loss of `base` under the run's judge; undefined where each keeps its own output: that
 * is a candidate too, so following is never worse on validation text. Without validation text the default stands.
 */
export async function chooseShares(
  { target, onProgress }: Pick<PruneSettings, 'target' | 'onProgress'>,
  base: Candidate,
  uniform: Candidate | undefined,
  ledger: Ledger,
  scoring: Scoring | undefined,
): Promise<StreamTarget | undefined> {
  if (target.kind === 'own') return undefined;
  const open = openShares(target);
  if (!open || !scoring) return { ...DEFAULT_SHARES, ...target.shares };
  if (uniform) await ledger.run(uniform);
  const own = await ledger.run(base);
  noteTrial(own, onProgress);
  const at = (values: Values): Candidate => ({ ...base, target: { ...DEFAULT_SHARES, ...values } });
  const best = await ledger.search(
    createSearcher(() => walkDescent(open)),
    at,
    [own.digest],
  );
  if (lossOf(best) < lossOf(own)) return best.candidate.target;
  onProgress({
    kind: 'note',
    text: 'Following the dense stream does not help here; every linear keeps its own output.',
  });
  return undefined;
}

/** The exact run to compare a run with that follows the dense stream (Choice.own). */
function ownRunOf({ candidate, request }: Entry, { entries }: Ledger): Entry | undefined {
  if (!candidate.target) return undefined;
  const owns = entries.filter(({ candidate, request }) => !candidate.target && request.fidelity === 'exact');
  return owns.find(({ request: { plan } }) => isDeepStrictEqual(plan, request.plan)) ?? owns[0];
}

/** A search of hundreds of estimates, each of them silent: says how far it is. */
function reportEstimates(searcher: Searcher, generations: number, { onProgress }: PruneSettings): Searcher {
  // Each generation ends with estimates on the most windows.
  const last = GENERATION_WINDOWS.at(-1);
  let [estimates, ended, inLast] = [0, 0, false];
  onProgress({ kind: 'stage', stage: 'evolution', total: generations, unit: 'generation' });
  return {
    ...searcher,
    tell: (ask, loss) => {
      searcher.tell(ask, loss);
      if (ask.fidelity === 'exact') return;
      estimates++;
      if (inLast && ask.windows !== last) {
        ended++;
        onProgress({ kind: 'advance', detail: `generation ${ended} of ${generations}, ${estimates} estimates` });
      }
      inLast = ask.windows === last;
    },
  };
}

/** The misalignment of each candidate. */
async function judge(
  candidates: readonly Candidate[],
  executor: LocalExecutor,
  requestOf: RequestOf,
): Promise<readonly Judged[]> {
  const judged: Judged[] = [];
  for (const candidate of candidates) {
    const request = requestOf(candidate, 'exact', 'misalignment');
    const { losses } = await executor.run(request, { label: describeCandidate(candidate) });
    judged.push({ hyperparameters: { ...candidate.values }, misalignment: losses[0]! });
  }
  return judged;
}

const leastMisaligned = (judged: readonly Judged[]): Judged | undefined =>
  judged.reduce<Judged | undefined>((a, b) => (a && a.misalignment <= b.misalignment ? a : b), undefined);

const EVOLUTION_METHOD =
  'Zeros are moved between linears at random. Every linear is treated once at each level, by the criterion itself on the dense model’s inputs; estimates are stitched from that. Of each generation’s plans those that do best on a few windows are estimated again on more, and one that beats its parent there becomes the next. The last parent, and earlier ones while they are better, are tried exactly on all validation windows. The test text plays no part.';
const ALIGNMENT_METHOD =
  'Each of the published values prunes the model on 8 windows of calibration text; the one whose pruned blocks read inputs most like the dense blocks’ is taken. No loss plays a part, and uniform is not a candidate.';

/** How a search went, in a few sentences. */
function describeSearch(
  space: Exclude<SearchSpace, { kind: 'candidates' }>,
  startsUniform: boolean,
  both: boolean,
): string {
  const uniform = startsUniform ? 'Uniform is a candidate.' : 'Uniform is the baseline, and no candidate.';
  if (space.kind === 'levels') return EVOLUTION_METHOD;
  const how =
    space.kind === 'interval'
      ? `The published grid, scaled to the legal range of ${symbolOf(space.name)}, is ordered by a surrogate (masks from dense statistics, few windows); exact trials on all validation windows walk downhill from its best point until both neighbours are worse, and a parabola refines between grid points.${space.mirrored ? ` Where no value above ${space.low} is better than uniform, the walk goes on below.` : ''}`
      : 'All points of the grid are ordered by a surrogate (masks from dense statistics, few windows); the best of them and the best of those the policy always tries are tried exactly on all validation windows, then the neighbours of the best point known, most promising first.';
  const judges = both
    ? ' Plans are judged by the mean of ln perplexity on the validation windows and on a sample of the calibration windows.'
    : '';
  return `${how} ${uniform}${judges} The test text plays no part.`;
}
