// A plan without a pruned checkpoint: the rates a policy gives. With β (or a policy that has no number to find) only
// headers are read; otherwise the number is searched as prune searches it, in a workspace that is thrown away.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OptionError, readDocument, requireAbsent, silent, writeFileAtomic } from '../base/index.js';
import { allocate, BUDGETS, blockRates, completeValues, findPolicy, validateTarget } from '../plan/index.js';
import { type Plan, parsePlan } from '../records/index.js';
import { oneOf } from './checks.js';
import { planOf } from './manifest.js';
import { runToChoice } from './run.js';
import { checkAgainstModel, factsOf, givenValues, isSearched, normalisePrune, type PruneOptions } from './settings.js';
import { openSource } from './source.js';
import type { TaskOptions } from './task-options.js';
import { prepareTexts } from './texts.js';

/** Reads a plan document. @throws OptionError E_OPTION_PLAN, ResourceError */
export async function readPlan(path: string): Promise<Plan> {
  return parsePlan(await readDocument(path), path);
}

export type MakePlanOptions = Omit<
  PruneOptions,
  'out' | 'plan' | 'test' | 'resume' | 'push' | 'private' | keyof TaskOptions
>;

/**
 * The plan of a policy for a checkpoint, written to `out` where that is given. ATP without `beta` is searched, which
 * needs validation text and whatever the criterion needs.
 * @throws OptionError E_OPTION_…, CheckpointError E_CHECKPOINT_…; for a search as `prune`
 */
export async function makePlan(options: MakePlanOptions, out?: string): Promise<Plan> {
  if (out !== undefined) await requireAbsent(out);
  const policy = findPolicy(options.allocation ?? 'atp');
  const textGiven = options.validation !== undefined || (policy.candidates && options.calibration !== undefined);
  const searched = isSearched(policy, givenValues(options)) && textGiven;
  const plan = searched || policy.needs.length > 0 ? await searchPlan(options) : await planFromHeaders(options);
  if (out !== undefined) await writeFileAtomic(out, `${JSON.stringify(plan, null, 2)}\n`);
  return plan;
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
    );
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
  const facts = factsOf(model);
  const values = givenValues(options);
  if (isSearched(policy, values)) {
    const wanted = policy.hyperparameters
      .filter(({ name, fallback }) => fallback === undefined && values[name] === undefined)
      .map(({ name, range }) => `${name} in [${range(target, facts).join(', ')}]`);
    throw new OptionError(
      'E_OPTION_VALIDATION',
      `--allocation ${policy.name} has a number to find: expected ${wanted.join(' and ')}, or --calibration and --validation text to have it searched; neither was given.`,
      { option: 'validation', policy: policy.name },
    );
  }
  const rates = allocate(policy, { target, facts, budget, values });
  return {
    format: 'layerwise-plan',
    version: 1,
    target,
    budget,
    policy: { name: policy.name, hyperparameters: { ...completeValues(policy, values, target, facts) } },
    ...(policy.granularity === 'block' ? { blocks: blockRates(rates, facts) } : { linears: Object.fromEntries(rates) }),
  };
}
