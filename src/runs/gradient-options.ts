// What of a run is taken from gradients of the loss, and how: checked before any weight is read.

import type { MeasureName } from '../records/index.js';
import { conflict, oneOf } from './checks.js';
import { DEFAULTS, GRADIENTS, type GradientKind } from './defaults.js';

export type GradientOptions = {
  /**
   * How the norms of gradients that `ecoflap` allocates by are had: `estimated` from forward passes alone, as published, or
   * `exact`, by one pass forward and back. Defaults to `estimated`.
   */
  readonly gradient?: string;
};

export type GradientSettings = { readonly gradient: GradientKind };

/**
 * `needs` are the measures that the run takes, and `what` is what they are for, such as `--allocation owl`.
 * @throws OptionError E_OPTION_GRADIENT; E_OPTION_CONFLICT where nothing that is measured is a gradient
 */
export function normaliseGradient(
  { gradient = DEFAULTS.gradient }: GradientOptions,
  needs: readonly MeasureName[],
  option: 'allocation' | 'allocations' | 'measures' | 'plan' = 'allocation',
): GradientKind {
  const kind = oneOf('gradient', gradient, GRADIENTS);
  if (kind === DEFAULTS.gradient || needs.includes('gradient')) return kind;
  const instead = option === 'measures' ? 'add gradient to --measures' : 'use --allocation ecoflap';
  return conflict('gradient', option, `it measures no gradients. Leave --gradient out, or ${instead}`);
}
