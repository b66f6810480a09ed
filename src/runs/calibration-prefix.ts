// Which blocks stand before a block while its calibration statistics are taken: the treated ones, as in SparseGPT and Wanda's code for
// language models, or the dense ones, as in Wanda's code for image classifiers, whose tables ATP's and AlphaPruning's are beside.

import type { Operator } from '../operators/index.js';
import { conflict, oneOf } from './checks.js';
import { DEFAULTS, PREFIXES, type PrefixKind } from './defaults.js';
import type { TargetSettings } from './stream-shares.js';

export type PrefixOptions = {
  /**
   * What stands before a block while its calibration statistics are taken: `pruned` blocks, or `dense` ones, for comparison with
   * published numbers of image classifiers. Defaults to `pruned`.
   */
  readonly calibrationPrefix?: string;
};

/** Absent for the default, so that it is in no identity and no request. */
export type PrefixSettings = { readonly calibrationPrefix?: Exclude<PrefixKind, typeof DEFAULTS.calibrationPrefix> };

/** @throws OptionError E_OPTION_CALIBRATION_PREFIX; E_OPTION_CONFLICT where the pruned blocks are what is followed */
export function normalisePrefix(
  { calibrationPrefix = DEFAULTS.calibrationPrefix }: PrefixOptions,
  {
    criterion,
    target,
    aligns,
  }: { readonly criterion: Operator; readonly target: TargetSettings; readonly aligns: boolean },
): PrefixSettings {
  const kind = oneOf('calibration-prefix', calibrationPrefix, PREFIXES);
  if (kind === DEFAULTS.calibrationPrefix) return {};
  const refuse = (other: string, why: string): never => conflict('calibration-prefix', other, why);
  if (criterion.needs.length === 0) refuse('criterion', `${criterion.name} takes no statistics. Leave it out`);
  if (target.kind === 'stream') refuse('target', 'a stream is followed from the pruned blocks. Use --target own');
  if (aligns) refuse('allocation', 'it is judged by the inputs of the pruned blocks. Use another, or fix its numbers');
  return { calibrationPrefix: kind };
}
