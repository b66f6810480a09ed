// What of a run is taken from gradients of the loss, and how: checked before any weight is read.

import { OptionError } from '../base/index.js';
import type { Operator } from '../operators/index.js';
import type { MeasureName } from '../records/index.js';
import { conflict, oneOf } from './checks.js';
import { DEFAULTS, GRADIENTS, type GradientKind, HESSIANS, type HessianKind } from './defaults.js';

export type GradientOptions = {
  /**
   * How the norms of gradients that `ecoflap` allocates by are had: `estimated` from forward passes alone, as published, or
   * `exact`, by one pass forward and back. Defaults to `estimated`.
   */
  readonly gradient?: string;
};

export type HessianOptions = {
  /**
   * What the Gram matrix of a linear's input measures: `output`, where every token counts alike, or `loss`, where a token counts
   * by the square of the loss's gradient at the linear's output. `loss` needs a criterion with a Gram matrix. Defaults to
   * `output`.
   */
  readonly hessian?: string;
};

export type GradientSettings = { readonly gradient: GradientKind };
export type HessianSettings = { readonly hessian: HessianKind };

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

/** @throws OptionError E_OPTION_HESSIAN */
export function normaliseHessian(
  { hessian = DEFAULTS.hessian }: HessianOptions,
  operator: Operator,
  instead = 'Use --criterion sparsegpt or admm, or --refit',
): HessianKind {
  const kind = oneOf('hessian', hessian, HESSIANS);
  if (kind === DEFAULTS.hessian || operator.needs.includes('gram')) return kind;
  throw new OptionError(
    'E_OPTION_HESSIAN',
    `--hessian: loss needs an operator with a Gram matrix; ${operator.name} has none. ${instead}, or leave --hessian out.`,
    { option: 'hessian', got: kind, operator: operator.name },
  );
}
