// How the plan is chosen: given, fixed by β, or searched on validation text.

import { InternalError } from '../base/index.js';
import { embedWindows, type Model } from '../model/index.js';
import type { Text } from '../pipeline/index.js';
import { allocate, completeValues, findPolicy, type ModelFacts, maxBeta, type Values } from '../plan/index.js';
import { searchBeta } from '../search/index.js';
import { factsOf, type PruneSettings } from './settings.js';
import { type Candidate, candidateOf, type TimedTrial, type Trials } from './trials.js';

/** Windows a surrogate scores. */
const SURROGATE_WINDOWS = 32;

export type Choice = {
  readonly candidate: Candidate;
  readonly trial: TimedTrial;
  /** The uniform baseline; undefined where nothing is evaluated. */
  readonly uniform: { readonly key: string; readonly trial: TimedTrial } | undefined;
  readonly trials: readonly TimedTrial[];
  readonly method: string | undefined;
};

export async function choosePlan(
  settings: PruneSettings,
  model: Model,
  trials: Trials,
  target: number,
  validation: Text | undefined,
): Promise<Choice> {
  const { policy, budget } = settings;
  const facts = factsOf(model);
  const uniformRates = allocate(findPolicy('uniform'), { target, facts, budget });
  const uniformly = candidateOf(facts, 'uniform', {}, uniformRates);
  const withValues = (values: Values): Candidate => {
    const complete = completeValues(policy, values, target, facts);
    const rates = allocate(policy, { target, facts, budget, values: complete });
    // A policy may come to uniform, as ATP does at β = 0; that is one trial, not two.
    const same = [...rates].every(([name, rate]) => rate === uniformRates.get(name));
    return same ? { ...uniformly, values: complete } : candidateOf(facts, policy.name, complete, rates);
  };

  if (!settings.searches) {
    const candidate = settings.plan ? planCandidate(facts, settings.plan) : withValues(settings.values);
    const evaluated = validation !== undefined || settings.test !== undefined;
    const uniform = evaluated ? await trials.exact(uniformly, undefined) : undefined;
    const trial =
      candidate.key === uniformly.key && uniform ? uniform : await trials.exact(candidate, uniform?.validation.nll);
    return {
      candidate,
      trial,
      uniform: uniform && { key: uniformly.key, trial: uniform },
      trials: [],
      method: undefined,
    };
  }

  if (!validation) throw new InternalError('E_INTERNAL_SEARCH', 'A search was begun without validation text.');
  const made: TimedTrial[] = [];
  const candidates = new Map<TimedTrial, Candidate>();
  let uniform: TimedTrial | undefined;
  let best: TimedTrial | undefined;
  const sample = await surrogateText(model, validation);
  const { beta } = await searchBeta({
    high: maxBeta(target, facts.blocks),
    maxTrials: settings.maxTrials,
    exact: async (value) => {
      const candidate = withValues({ beta: value });
      const trial = await trials.exact(candidate, uniform?.validation.nll);
      uniform ??= trial;
      made.push(trial);
      candidates.set(trial, candidate);
      const perplexity = trial.validation.perplexity.toPrecision(5);
      settings.onProgress({ kind: 'note', text: `β = ${value.toPrecision(4)}: validation perplexity ${perplexity}` });
      // Only uniform's and the best's blocks stay on disk.
      const loser = !best || loss(trial) < loss(best) ? best : trial;
      if (loser !== trial) best = trial;
      if (loser && loser !== uniform) await trials.discard(candidates.get(loser)!.key);
      return loss(trial);
    },
    surrogate: async (value) => {
      const nll = sample.indices.map((i) => uniform!.validation.nll[i]!);
      const trial = await trials.surrogate(withValues({ beta: value }), sample.text, nll);
      made.push(trial);
      return loss(trial);
    },
  });
  const trial = made.find((one) => one.exact && one.beta === beta)!;
  return {
    candidate: candidates.get(trial)!,
    trial,
    uniform: { key: uniformly.key, trial: uniform! },
    trials: made,
    method: METHOD,
  };
}

const METHOD =
  'The published grid, scaled to the legal range of β, is ordered by a surrogate (masks from dense statistics, few windows); exact trials on all validation windows walk downhill from its best point until both neighbours are worse, and a parabola refines between grid points. β = 0 is a candidate. The test text plays no part.';

const loss = (trial: TimedTrial): number => Math.log(trial.validation.perplexity);

function planCandidate(facts: ModelFacts, plan: NonNullable<PruneSettings['plan']>): Candidate {
  const rates = facts.linears.map(
    ({ name, block }) => [name, plan.blocks?.[block] ?? plan.linears?.[name] ?? 0] as const,
  );
  return candidateOf(facts, 'plan', {}, new Map(rates));
}

/** Windows spread evenly over the validation text, for surrogates. */
async function surrogateText(model: Model, validation: Text): Promise<{ text: Text; indices: readonly number[] }> {
  const all = validation.windows.windows;
  const count = Math.min(SURROGATE_WINDOWS, all.length);
  const indices = Array.from({ length: count }, (_, i) => Math.floor((i * all.length) / count));
  const windows = { ...validation.windows, windows: indices.map((i) => all[i]!) };
  return { text: { windows, embedded: await embedWindows(model, windows) }, indices };
}
