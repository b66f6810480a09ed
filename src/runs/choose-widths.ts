// Chooses the widths of a cut. Policies give rates for halves of blocks; widths are made of them in whole slices (plan/widths.ts), so
// that a search runs as ever. What the choice needs of the dense model is measured first, each a step of the workspace.

import { digestOf, withResources } from '../base/index.js';
import { type Model, readersOf } from '../model/index.js';
import { measureFlapScores, measureSensitivity, measureSliceCosts, measureTaylorScores } from '../pipeline/index.js';
import { allocate, findPolicy, flapPlan, halfFacts, realiseWidths } from '../plan/index.js';
import type { Measured, Plan } from '../records/index.js';
import { requireText, takeEvenly } from '../stream/index.js';
import type { RequestOf } from './candidate.js';
import { type Choice, type ChoosingContext, choosePlan } from './choose.js';
import { type Cut, policyOf } from './cut-settings.js';
import type { ChoosePlan, Measuring } from './run.js';
import { SENSITIVITY_WINDOWS } from './samples.js';

/** Windows whose loss LLM-Pruner differentiates. */
const TAYLOR_WINDOWS = 10;

/** Chooses the widths of a cut, in place of a plan of zeros. */
export const chooseWidths =
  ({ settings, halves, remove, scores }: Cut): ChoosePlan =>
  async (_, model, context, measuring): Promise<Choice> => {
    const { engine, workspace, calibration, onProgress } = measuring;
    const { allocation, equal, units, importance } = settings;
    const text = calibration!;
    const slicing = { engine, model, halves, readers: await readersOf(model), onProgress };
    if (importance === 'taylor') {
      const taken = await workspace.step('taylor', () =>
        withResources(async (own) => {
          const sample = await takeEvenly(own, text, TAYLOR_WINDOWS);
          return await measureTaylorScores(slicing, requireText(sample, '--importance taylor'));
        }),
      );
      for (const [name, some] of Object.entries(taken)) scores.set(name, Float64Array.from(some));
    }
    const rated = allocation === 'layerwise' || allocation === 'flap';
    const costs =
      units === 'all' && !rated
        ? new Map(Object.entries(await workspace.step('costs', () => measureSliceCosts(slicing, text))))
        : undefined;
    const facts = halfFacts(model.config.blocks, halves);
    const widthsOf = (plan: Plan): Plan => realiseWidths(plan, halves, { remove, equal, costs });
    const requestOf: RequestOf = (candidate, fidelity, loss, windows) => {
      const { target, judge, ...request } = context.requestOf(candidate, 'exact', loss, windows);
      // Estimates are made without the streams: they order plans and never decide.
      const decides = fidelity === 'exact' ? { ...(target ? { target } : {}), ...(judge ? { judge } : {}) } : {};
      return { ...request, ...decides, plan: widthsOf(candidate.plan), fidelity };
    };
    const { target } = context;
    const plan =
      allocation === 'flap'
        ? flapPlan(halves, await workspace.step('fluctuations', () => measureFlapScores(slicing, text)), target)
        : undefined;
    const own = { ...settings, policy: policyOf(allocation), plan };
    const uniform = widthsOf(allocate(findPolicy('uniform'), { target, facts, counting: 'exact' }));
    const measured = allocation === 'layerwise' ? await measureHalves(settings, halves, uniform, model, measuring) : {};
    const choosing: ChoosingContext = { ...context, requestOf, facts, measured };
    return await choosePlan(own, model, choosing);
  };

/** How far the model goes from itself if only one half is cut, for each half. */
async function measureHalves(
  { criterion }: Cut['settings'],
  halves: Cut['halves'],
  plan: Plan,
  model: Model,
  { engine, workspace, calibration, dense, onProgress }: Measuring,
): Promise<Partial<Measured>> {
  const readers = Object.keys(plan.units);
  const order = model.linears.flat().filter(({ name }) => readers.includes(name));
  const each = await workspace.step(`sensitivity-${digestOf([criterion.name, plan])}`, () =>
    withResources(async (own) => {
      const sample = await takeEvenly(own, calibration!, SENSITIVITY_WINDOWS);
      const input = { engine, model, operator: criterion, plan, calibration, onProgress };
      return await measureSensitivity(input, dense, sample);
    }),
  );
  const byName = new Map(order.map(({ name }, i) => [name, each[i]!]));
  return { sensitivity: halves.map(({ readers }) => readers.reduce((sum, name) => sum + byName.get(name)!, 0)) };
}
