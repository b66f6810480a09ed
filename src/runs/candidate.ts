// What a run can try: plans with their hyperparameters, and the requests for their trials.

import { digestOf } from '../base/index.js';
import { linearUnits, type Model } from '../model/index.js';
import { formatPattern, type Operator, type Pattern, parsePattern, standInOf } from '../operators/index.js';
import type { StreamTarget } from '../pipeline/index.js';
import { realisePlan, type Values } from '../plan/index.js';
import type { Plan } from '../records/index.js';
import type { PruneSettings } from './settings.js';
import type { PreparedTexts } from './texts.js';
import type { TrialRequest } from './trial.js';

/** A plan, and the hyperparameters that it was made from. */
export type Candidate = {
  readonly plan: Plan;
  readonly values: Values;
  /** How far it follows the dense stream; absent where each linear keeps its own output. */
  readonly target?: StreamTarget;
};

/** The plan in whole weights, with counts that the pattern can have. */
export const realise = ({ budget }: Pick<PruneSettings, 'budget'>, model: Model, plan: Plan, pattern: Pattern): Plan =>
  realisePlan(plan, linearUnits(model), {
    counting: budget,
    pattern: formatPattern(pattern),
    of: pattern.kind === 'n:m' ? pattern.of : undefined,
  });

/** The cheaper stand-in for the run's operator, and its pattern: n:m if the run uses it, else the stand-in's default. */
export function standIn({ criterion, pattern }: PruneSettings): {
  readonly operator: Operator;
  readonly pattern: Pattern;
} {
  const operator = standInOf(criterion);
  const same = operator === criterion || pattern.kind === 'n:m';
  return { operator, pattern: same ? pattern : parsePattern(operator.patterns[0]!) };
}

/** Makes the requests for a run's trials. */
export type RequestOf = (
  candidate: Pick<Candidate, 'plan' | 'target'>,
  fidelity: TrialRequest['fidelity'],
  loss?: TrialRequest['loss'],
  windows?: number,
) => TrialRequest;

export function createRequests(
  settings: PruneSettings,
  model: Model,
  hashes: Readonly<Record<string, string>>,
  { calibration, validation }: Pick<PreparedTexts, 'calibration' | 'validation'>,
): RequestOf {
  const texts = {
    ...(calibration ? { calibration: digestOf(calibration.record) } : {}),
    ...(validation ? { validation: digestOf(validation.record) } : {}),
  };
  const judge: TrialRequest['judge'] =
    settings.judge === 'both' && calibration !== undefined
      ? 'both'
      : settings.judge === 'divergence' && validation !== undefined
        ? 'divergence'
        : undefined;
  const weighted = settings.hessian === 'loss' ? { hessian: settings.hessian } : {};
  const shared = {
    ...{ model: digestOf(hashes), operator: settings.criterion.name, ...texts, ...weighted, seed: settings.seed },
    ...(settings.calibrationPrefix ? { prefix: settings.calibrationPrefix } : {}),
  };
  return ({ plan, target }, fidelity, loss = 'likelihood', windows) => {
    // A policy with levels estimates from a database of treated linears.
    const stitched = settings.policy.levels !== undefined && fidelity === 'surrogate';
    // Estimates are made without the streams: they order plans and never decide.
    const follows = target && fidelity === 'exact' && loss === 'likelihood' ? { target } : {};
    const pattern = fidelity === 'surrogate' && !stitched ? standIn(settings).pattern : settings.pattern;
    const sample = windows === undefined ? {} : { windows };
    const judged = judge && fidelity === 'exact' && loss === 'likelihood' ? { judge } : {};
    const treated = { plan: realise(settings, model, plan, pattern), ...follows };
    const from = stitched ? { stitched } : {};
    return { ...shared, ...judged, ...treated, fidelity, ...from, ...sample, loss };
  };
}
