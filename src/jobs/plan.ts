// A plan without doing anything: the rates a policy gives a checkpoint. Reads headers only.

import { OptionError } from '../base/index.js';
import { openModel } from '../model/index.js';
import { BUDGETS, findPolicy, maxBeta, validateTarget } from '../plan/index.js';
import type { Plan } from '../records/index.js';
import { oneOf, type PlanOptions } from './settings.js';

/** The plan of a policy for a checkpoint. @throws OptionError E_OPTION_…, CheckpointError E_CHECKPOINT_… */
export async function makePlan(options: PlanOptions & { readonly checkpoint: string }): Promise<Plan> {
  const { sparsity: target } = options;
  validateTarget(target);
  const policy = findPolicy(options.allocation ?? 'atp');
  const budget = oneOf('budget', options.budget ?? 'exact', BUDGETS);
  const model = await openModel(options.checkpoint);
  const blockWeights = model.linears.map((block) => block.reduce((n, { rows, columns }) => n + rows * columns, 0));
  const searched = policy.range(target, { blockWeights }) !== undefined;
  if (searched && options.beta === undefined) {
    throw new OptionError(
      'E_OPTION_BETA',
      `--beta: expected a number in [0, ${maxBeta(target, model.config.blocks)}]; ${policy.name} has one to choose. Give one here, or let layerwise prune search it on validation text.`,
      { option: 'beta' },
    );
  }
  if (!searched && options.beta !== undefined) {
    throw new OptionError(
      'E_OPTION_CONFLICT',
      `--beta cannot be combined with --allocation ${policy.name}, which has no β.`,
      {
        option: 'beta',
      },
    );
  }
  return {
    format: 'layerwise-plan',
    version: 1,
    target,
    budget,
    policy: { name: policy.name, hyperparameters: options.beta === undefined ? {} : { beta: options.beta } },
    blocks: [...policy.allocate(target, { blockWeights }, budget, options.beta)],
  };
}
