// Measures beyond the dense pass: they change one linear at a time and run the rest of the model. Each is a step of the
// workspace, so an interrupted run does not repeat it.

import { digestOf, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import type { Model } from '../model/index.js';
import { type DensePass, measureSensitivity } from '../pipeline/index.js';
import { GRADIENT_DRAWS, measureExactGradients, measureGradients } from '../profile/index.js';
import type { Measured, MeasureName, Plan } from '../records/index.js';
import { requireText, type Samples, takeEvenly } from '../stream/index.js';
import { realise, standIn } from './candidate.js';
import { SENSITIVITY_WINDOWS } from './samples.js';
import type { PruneSettings } from './settings.js';
import type { Workspace } from './workspace.js';

type Where = {
  readonly model: Model;
  readonly engine: Engine;
  readonly workspace: Pick<Workspace, 'step'>;
  readonly calibration: Samples | undefined;
  readonly validation: Samples | undefined;
};

/** The measures of `needs` that do not depend on the target. */
export async function measureOnce(
  needs: readonly MeasureName[],
  { seed, gradient: kind, onProgress }: Pick<PruneSettings, 'seed' | 'gradient' | 'onProgress'>,
  { model, engine, workspace, calibration, validation }: Where,
): Promise<Partial<Measured>> {
  const text = calibration ?? validation;
  if (!needs.includes('gradient') || !text) return {};
  const gradient = await workspace.step('gradient', () =>
    withResources(async (own) => {
      const sample = await takeEvenly(own, text, GRADIENT_DRAWS);
      return kind === 'exact'
        ? await measureExactGradients(engine, model, requireText(sample, '--gradient exact'), onProgress)
        : await measureGradients(engine, model, sample, seed, onProgress);
    }),
  );
  return { gradient };
}

/** The policy's measures that depend on the target, the criterion and the pattern (today: sensitivity). */
export async function measureAt(
  settings: PruneSettings,
  target: number,
  { model, engine, workspace, calibration, validation, dense }: Where & { readonly dense: DensePass | undefined },
): Promise<Partial<Measured>> {
  const text = calibration ?? validation;
  if (!settings.policy.needs.includes('sensitivity') || !text || !dense) return {};
  const { criterion, pattern, onProgress } = settings;
  // All linears get one rate. Groups of M allow only multiples of 1 / M.
  const rate = pattern.kind === 'n:m' ? wholeParts(target, pattern.of) : target;
  // An operator with Gram matrices prunes itself. One that needs more than dense statistics uses its stand-in.
  const how = criterion.needs.includes('gram') ? { operator: criterion, pattern } : standIn(settings);
  const units = Object.fromEntries(model.linears.flat().map(({ name }) => [name, { zeros: { rate } }]));
  const even: Plan = { format: 'layerwise-plan', version: 2, units };
  const plan = realise(settings, model, even, how.pattern);
  const name = `sensitivity-${digestOf([how.operator.name, plan])}`;
  const sensitivity = await workspace.step(name, () =>
    withResources(async (own) => {
      const sample = await takeEvenly(own, text, SENSITIVITY_WINDOWS);
      const input = { engine, model, operator: how.operator, plan, calibration, onProgress };
      return await measureSensitivity(input, dense, sample);
    }),
  );
  return { sensitivity };
}

/** The nearest multiple of 1 / M between 0 and 1, both exclusive. */
const wholeParts = (rate: number, of: number): number => Math.min(of - 1, Math.max(1, Math.round(rate * of))) / of;
