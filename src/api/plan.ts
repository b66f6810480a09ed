// A plan without a pruned checkpoint: the rates a policy gives. With β (or a policy that has no number to find) only
// headers are read; with a profile nothing is measured again; otherwise what it needs is measured, and the number searched,
// as prune does it, in a workspace that is thrown away.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OptionError, readDocument, requireAbsent, silent, writeFileAtomic } from '../base/index.js';
import { blameWeights, type Model } from '../model/index.js';
import {
  type AllocationPolicy,
  allocate,
  BUDGETS,
  type Budget,
  blockRates,
  completeValues,
  findPolicy,
  type Values,
  validateTarget,
} from '../plan/index.js';
import { type Measured, type Plan, type Profile, parsePlan } from '../records/index.js';
import type { TaskOptions } from '../runs/index.js';
import {
  checkAgainstModel,
  checkProfile,
  factsOf,
  givenValues,
  isSearched,
  measuresOf,
  normalisePrune,
  oneOf,
  openSource,
  type PruneOptions,
  planOf,
  prepareTexts,
  runToChoice,
} from '../runs/index.js';

/** Reads a plan document. @throws OptionError E_OPTION_PLAN, ResourceError */
export async function readPlan(path: string): Promise<Plan> {
  return parsePlan(await readDocument(path), path);
}

export type MakePlanOptions = Omit<
  PruneOptions,
  'out' | 'plan' | 'test' | 'resume' | 'push' | 'private' | keyof TaskOptions
> & {
  /** What was measured of this checkpoint, by `profile`, so that it is not measured again. Defaults to none. */
  readonly profile?: Profile;
};

/**
 * The plan of a policy for a checkpoint, written to `out` where that is given. ATP without `beta` is searched, which
 * needs validation text and whatever the criterion needs.
 * @throws OptionError E_OPTION_…, CheckpointError E_CHECKPOINT_…; for a search as `prune`
 */
export async function makePlan(options: MakePlanOptions, out?: string): Promise<Plan> {
  if (out !== undefined) await requireAbsent(out);
  const plan = await planBy(options);
  if (out !== undefined) await writeFileAtomic(out, `${JSON.stringify(plan, null, 2)}\n`);
  return plan;
}

async function planBy({ profile, ...options }: MakePlanOptions): Promise<Plan> {
  const policy = findPolicy(options.allocation ?? 'atp');
  if (profile) return await planFromProfile(options, profile, policy);
  const textGiven = options.validation !== undefined || (policy.candidates && options.calibration !== undefined);
  const searched = isSearched(policy, givenValues(options)) && textGiven;
  return searched || policy.needs.length > 0 ? await searchPlan(options) : await planFromHeaders(options);
}

async function planFromProfile(options: MakePlanOptions, profile: Profile, policy: AllocationPolicy): Promise<Plan> {
  checkProfile(profile, policy, options);
  // The options that measuring would take are checked as if it did, so that they are not given in vain.
  const calibration = options.calibration ?? profile.calibration.name;
  const settings = normalisePrune({ ...options, calibration, out: '' });
  const model = await openSource(settings.checkpoint, settings.onProgress);
  checkAgainstModel(settings, model);
  const { onProgress, budget, values } = settings;
  const measured = await measuresOf(profile, model, options.calibration, onProgress);
  return allocatePlan(model, policy, { target: settings.sparsity!, budget, values, measured });
}

async function searchPlan(options: MakePlanOptions): Promise<Plan> {
  const scratch = await mkdtemp(join(tmpdir(), 'layerwise-plan-'));
  try {
    const settings = normalisePrune({ ...options, out: join(scratch, 'plan') });
    const model = await openSource(settings.checkpoint, settings.onProgress);
    checkAgainstModel(settings, model);
    const texts = await prepareTexts(settings, model);
    return await runToChoice(settings, model, texts, undefined, async ({ choice, target }) =>
      planOf(settings, model, choice, target),
    ).catch((error) => blameWeights(model, error));
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function planFromHeaders(options: MakePlanOptions): Promise<Plan> {
  const { sparsity: target = Number.NaN } = options;
  validateTarget(target);
  const policy = findPolicy(options.allocation ?? 'atp');
  const budget = oneOf('budget', options.budget ?? 'exact', BUDGETS);
  const model = await openSource(options.checkpoint, options.onProgress ?? silent);
  const values = givenValues(options);
  if (isSearched(policy, values)) {
    const facts = factsOf(model);
    const wanted = policy.hyperparameters
      .filter(({ name, fallback }) => fallback === undefined && values[name] === undefined)
      .map(({ name, range }) => `${name} in [${range(target, facts).join(', ')}]`);
    throw new OptionError(
      'E_OPTION_VALIDATION',
      `--allocation ${policy.name} has a number to find: expected ${wanted.join(' and ')}, or --calibration and --validation text to have it searched; neither was given.`,
      { option: 'validation', policy: policy.name },
    );
  }
  return allocatePlan(model, policy, { target, budget, values, measured: {} });
}

type Allocation = {
  readonly target: number;
  readonly budget: Budget;
  readonly values: Values;
  readonly measured: Partial<Measured>;
};

function allocatePlan(model: Model, policy: AllocationPolicy, allocation: Allocation): Plan {
  const { target, budget, values } = allocation;
  const facts = factsOf(model);
  const rates = allocate(policy, { ...allocation, facts });
  return {
    format: 'layerwise-plan',
    version: 1,
    target,
    budget,
    policy: { name: policy.name, hyperparameters: { ...completeValues(policy, values, target, facts) } },
    ...(policy.granularity === 'block' ? { blocks: blockRates(rates, facts) } : { linears: Object.fromEntries(rates) }),
  };
}
