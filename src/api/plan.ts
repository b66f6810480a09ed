// Makes a plan without pruning: the rates that a policy gives. If nothing is searched or measured, only headers are read. A
// profile replaces measuring. Otherwise the policy's measures are taken and open hyperparameters are searched, as in prune,
// in a workspace that is removed afterwards.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OptionError, readDocument, requireAbsent, silent, writeFileAtomic } from '../base/index.js';
import { blameWeights, type Model } from '../model/index.js';
import {
  type AllocationPolicy,
  allocate,
  COUNTINGS,
  type Counting,
  findPolicy,
  openHyperparameters,
  type Values,
  validateTarget,
  validateValues,
} from '../plan/index.js';
import { type Measured, type Plan, type Profile, parsePlan } from '../records/index.js';
import type { TaskOptions } from '../runs/index.js';
import {
  checkAgainstModel,
  checkProfile,
  checkSpace,
  DEFAULTS,
  factsOf,
  fixOpen,
  givenValues,
  measuresOf,
  normaliseGradient,
  normalisePrune,
  oneOf,
  openSource,
  type PruneOptions,
  prepareTexts,
  runToChoice,
  spaceForLevels,
} from '../runs/index.js';

/** Reads a plan document. @throws OptionError E_OPTION_PLAN, ResourceError */
export async function readPlan(path: string): Promise<Plan> {
  return parsePlan(await readDocument(path), path);
}

export type MakePlanOptions = Omit<
  PruneOptions,
  'out' | 'plan' | 'test' | 'resume' | 'push' | 'private' | keyof TaskOptions
> & {
  /** Measures of this checkpoint that `profile` wrote, to use instead of measuring. Defaults to none. */
  readonly profile?: Profile;
};

/**
 * The plan of a policy for a checkpoint; also written to `out` if given. Hyperparameters with neither a given value nor a
 * default are searched, which needs validation text and whatever the criterion needs.
 * @throws OptionError E_OPTION_…, CheckpointError E_CHECKPOINT_…; for a search as `prune`
 */
export async function makePlan(options: MakePlanOptions, out?: string): Promise<Plan> {
  if (out !== undefined) await requireAbsent(out);
  const plan = await planBy(options);
  if (out !== undefined) await writeFileAtomic(out, `${JSON.stringify(plan, null, 2)}\n`);
  return plan;
}

async function planBy(options: MakePlanOptions): Promise<Plan> {
  const policy = findPolicy(options.allocation ?? DEFAULTS.allocation);
  const gradient = normaliseGradient(options, policy.needs);
  const plan = await planOf(options, policy);
  const exact = gradient === 'exact' || options.profile?.gradient === 'exact';
  return exact && policy.needs.includes('gradient') && plan.from
    ? { ...plan, from: { ...plan.from, gradient: 'exact' } }
    : plan;
}

async function planOf({ profile, ...options }: MakePlanOptions, policy: AllocationPolicy): Promise<Plan> {
  if (profile) return await planFromProfile(options, profile, policy);
  const textGiven = options.validation !== undefined || (policy.candidates && options.calibration !== undefined);
  const searched = openHyperparameters(policy, givenValues(options)).length > 0 && textGiven;
  return searched || policy.levels || policy.needs.length > 0
    ? await searchPlan(options)
    : await planFromHeaders(options);
}

async function planFromProfile(options: MakePlanOptions, profile: Profile, policy: AllocationPolicy): Promise<Plan> {
  checkProfile(profile, policy, options);
  // Also check the options of measuring, so that wrong ones are not silently ignored.
  const calibration = options.calibration ?? profile.calibration.name;
  const settings = normalisePrune({ ...options, calibration, out: '' });
  const model = await openSource(settings.checkpoint, settings.onProgress);
  checkAgainstModel(settings, model);
  const { onProgress, budget: counting, values } = settings;
  const measured = await measuresOf(profile, model, options.calibration, onProgress);
  return allocatePlan(model, policy, { target: settings.sparsity!, counting, values, measured });
}

async function searchPlan(options: MakePlanOptions): Promise<Plan> {
  const scratch = await mkdtemp(join(tmpdir(), 'layerwise-plan-'));
  try {
    const settings = normalisePrune({ ...options, out: join(scratch, 'plan') });
    const model = await openSource(settings.checkpoint, settings.onProgress);
    checkAgainstModel(settings, model);
    const levels = spaceForLevels(settings, model);
    if (levels > 0) await checkSpace(settings.out, 4 * model.bytes + levels, 'the search needs up to');
    const texts = await prepareTexts(settings, model);
    return await runToChoice(settings, model, texts, undefined, async ({ choice }) => choice.candidate.plan).catch(
      (error) => blameWeights(model, error),
    );
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function planFromHeaders(options: MakePlanOptions): Promise<Plan> {
  const { sparsity: target = Number.NaN } = options;
  validateTarget(target);
  const policy = findPolicy(options.allocation ?? DEFAULTS.allocation);
  const counting = oneOf('budget', options.budget ?? DEFAULTS.budget, COUNTINGS);
  const model = await openSource(options.checkpoint, options.onProgress ?? silent);
  const values = givenValues(options);
  const open = openHyperparameters(policy, values);
  if (open.length > 0) {
    const facts = factsOf(model);
    validateValues(policy, values, target, facts);
    const ranges = open.map(({ name, range }) => `${name} in [${range(target, facts).join(', ')}]`);
    const texts = policy.candidates ? '--calibration' : '--calibration and --validation';
    throw new OptionError(
      'E_OPTION_VALIDATION',
      `--allocation ${policy.name} has no default for ${ranges.join(' and ')}. Fix ${fixOpen(open)}, or pass ${texts} text to have it searched.`,
      { option: 'validation', policy: policy.name },
    );
  }
  return allocatePlan(model, policy, { target, counting, values, measured: {} });
}

type Allocation = {
  readonly target: number;
  readonly counting: Counting;
  readonly values: Values;
  readonly measured: Partial<Measured>;
};

const allocatePlan = (model: Model, policy: AllocationPolicy, allocation: Allocation): Plan =>
  allocate(policy, { ...allocation, facts: factsOf(model) });
