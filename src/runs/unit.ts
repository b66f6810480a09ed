// What a policy gives one rate: a block, or the blocks of a stage together, where a model has stages (ConvNeXt).

import { OptionError } from '../base/index.js';
import type { Model } from '../model/index.js';
import type { AllocationPolicy } from '../plan/index.js';
import type { Plan } from '../records/index.js';
import { conflict, oneOf } from './checks.js';

export const UNITS = ['block', 'stage'] as const;

export type UnitOptions = {
  /** What gets one rate: a `block`, or the blocks of a `stage` together. Defaults to `block`. */
  readonly unit?: string;
};

/** Absent for the default, so that it is in no identity. */
export type UnitSettings = { readonly unit?: 'stage' };

/** Measures that are of linears, and so of stages by themselves. */
const OF_LINEARS: ReadonlySet<string> = new Set(['gradient']);

/** @throws OptionError E_OPTION_UNIT; E_OPTION_CONFLICT for a policy of other units, and with a plan */
export function normaliseUnit(
  { unit = 'block' }: UnitOptions,
  { plan, policy }: { readonly plan: Plan | undefined; readonly policy: AllocationPolicy },
): UnitSettings {
  const kind = oneOf('unit', unit, UNITS);
  if (kind === 'block') return {};
  if (plan) conflict('unit', 'plan', 'a plan already says what gets which rate');
  const blocks = policy.granularity === 'block' && policy.needs.every((name) => OF_LINEARS.has(name));
  if (!blocks) conflict('unit', 'allocation', `${policy.name} gives rates to linears, or measures single blocks`);
  return { unit: kind };
}

/** @throws OptionError E_OPTION_UNIT for a model without stages */
export function checkUnit({ unit }: UnitSettings, { config }: Model): void {
  if (unit === undefined || (config.image && config.image.stages.length > 0)) return;
  throw new OptionError(
    'E_OPTION_UNIT',
    `--unit: stage is for models with stages; ${config.family} has none. Leave it out.`,
    {
      option: 'unit',
      family: config.family,
    },
  );
}
