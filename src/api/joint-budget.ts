// One budget over both trunks of a model that answers questions about images: the policy sees their blocks as one model's, the vision
// trunk's first. What it measures is of one loss, the answer's, on the dense model; so trunks can be compared, as ECoFLaP does.

import { OptionError, withResources } from '../base/index.js';
import type { Model } from '../model/index.js';
import { allocate, joinFacts, partPlan, validateValues } from '../plan/index.js';
import type { Plan } from '../records/index.js';
import {
  factsOf,
  measureOnce,
  openEngine,
  type PreparedTexts,
  type PruneSettings,
  type Workspace,
} from '../runs/index.js';
import { embedSamples } from '../stream/index.js';

export type Trunks = { readonly vision: Model; readonly language: Model };

/** The measures that are of the loss, and so of one scale in all trunks. */
const COMPARABLE: ReadonlySet<string> = new Set(['gradient']);

/** Before anything is measured. @throws OptionError E_OPTION_TOWER_BUDGET, E_OPTION_HYPERPARAMETERS */
export function checkJoint({ policy, values, sparsity, searches, aligns }: PruneSettings, trunks: Trunks): void {
  const own = policy.needs.filter((name) => !COMPARABLE.has(name));
  const why =
    searches || aligns
      ? 'has numbers to search, and a search is of one trunk. Fix them with --hyperparameters (--beta for atp)'
      : own.length > 0
        ? `measures ${own.join(', ')}, which cannot be compared between trunks. Use ecoflap`
        : undefined;
  if (why !== undefined) {
    const message = `--tower-budget: joint is one budget over both trunks; the allocation ${policy.name} ${why}, or --tower-budget each.`;
    throw new OptionError('E_OPTION_TOWER_BUDGET', message, { option: 'tower-budget', policy: policy.name });
  }
  validateValues(policy, values, sparsity!, joinFacts([factsOf(trunks.vision), factsOf(trunks.language)]));
}

/** The plan of each trunk. Measures are steps of the workspace. */
export async function allocateJointly(
  settings: PruneSettings,
  { vision, language }: Trunks,
  texts: PreparedTexts,
  workspace: Workspace,
): Promise<{ readonly vision: Plan; readonly language: Plan }> {
  const { policy, values, sparsity, budget: counting } = settings;
  const gradient: number[] = [];
  for (const model of [vision, language]) gradient.push(...(await measureTrunk(settings, model, texts, workspace)));
  const parts = [factsOf(vision), factsOf(language)];
  const measured = gradient.length > 0 ? { gradient } : {};
  const plan = allocate(policy, { target: sparsity!, facts: joinFacts(parts), counting, measured, values });
  const [first, second] = partPlan(plan, parts);
  return { vision: first!, language: second! };
}

/** The norms of gradients of a trunk's linears; none where the policy needs none. */
async function measureTrunk(
  settings: PruneSettings,
  model: Model,
  { calibration, validation }: PreparedTexts,
  workspace: Workspace,
): Promise<readonly number[]> {
  const prepared = calibration ?? validation;
  if (settings.policy.needs.length === 0 || !prepared) return [];
  return await withResources(async (own) => {
    const engine = await own(openEngine(model, settings));
    const samples = await embedSamples(own, engine, model, prepared.content, settings.onProgress);
    const step: Workspace['step'] = (name, make) => workspace.step(`${name}-${model.trunk}`, make);
    const where = { model, engine, workspace: { step }, calibration: samples, validation: undefined };
    return (await measureOnce(settings.policy.needs, settings, where)).gradient ?? [];
  });
}
