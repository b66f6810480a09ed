// How far treated linears follow the dense stream (pipeline/stream-target.ts): given, or found on validation text.

import { OptionError } from '../base/index.js';
import type { Operator } from '../operators/index.js';
import type { StreamTarget } from '../pipeline/index.js';
import type { DescentInput } from '../search/index.js';
import { conflict, oneOf, realNumber } from './checks.js';
import { DEFAULTS } from './defaults.js';

const TARGETS = ['own', 'stream'] as const;

/** `own`: every linear keeps its own output on its real input. `stream`: it follows the dense model. */
export type TargetSettings = {
  readonly kind: (typeof TARGETS)[number];
  /** The given shares; the others are searched on validation text, or get the default without one. */
  readonly shares: Partial<Shares>;
};

export type Shares = Pick<StreamTarget, 'alpha' | 'gamma'>;

/** Half of both: full shares bend to the calibration text where its tokens are few (docs/lab/theory.md). */
export const DEFAULT_SHARES: Shares = { alpha: 0.5, gamma: 0.5 };

/** The most trials spent on shares. */
const SHARES_TRIALS = 4;

/** @throws OptionError E_OPTION_TARGET, E_OPTION_TARGET_SHARES, E_OPTION_CONFLICT */
export function normaliseTarget(
  { target = DEFAULTS.target, targetShares }: { readonly target?: string; readonly targetShares?: Partial<Shares> },
  criterion: Operator,
): TargetSettings {
  const kind = oneOf('target', target, TARGETS);
  if (kind === 'own') {
    if (targetShares) conflict('target-shares', 'target', '--target own follows no stream; use --target stream');
    return { kind, shares: {} };
  }
  if (!criterion.needs.includes('gram')) {
    throw new OptionError(
      'E_OPTION_TARGET',
      `--target: stream needs a criterion with a Gram matrix; ${criterion.name} has none. Use --criterion sparsegpt or admm, or --refit.`,
      { option: 'target', got: kind, criterion: criterion.name },
    );
  }
  return { kind, shares: parseTargetShares(targetShares) };
}

/** The given shares. @throws OptionError E_OPTION_TARGET_SHARES */
export function parseTargetShares(targetShares: Partial<Shares> = {}): Partial<Shares> {
  const { alpha, gamma, ...others } = targetShares;
  const unknown = Object.keys(others)[0];
  if (unknown !== undefined) {
    throw new OptionError(
      'E_OPTION_TARGET_SHARES',
      `--target-shares: expected alpha and gamma, got ${unknown}, such as alpha=0.5,gamma=0.5.`,
      { option: 'target-shares', got: unknown },
    );
  }
  const checked = (value: number | undefined): number | undefined =>
    value === undefined ? undefined : realNumber('target-shares', value, 0, 1);
  const [a, c] = [checked(alpha), checked(gamma)];
  return { ...(a === undefined ? {} : { alpha: a }), ...(c === undefined ? {} : { gamma: c }) };
}

/** What is left to search; undefined if both shares are given. */
export function openShares({ shares }: TargetSettings): DescentInput | undefined {
  const { alpha, gamma } = shares;
  if (alpha !== undefined && gamma !== undefined) return undefined;
  const axis = (given: number | undefined): readonly number[] => (given === undefined ? [0, 0.5, 1] : [given]);
  const starts = [0.5, 1].map((share) => ({ alpha: alpha ?? share, gamma: gamma ?? share }));
  return { axes: { alpha: axis(alpha), gamma: axis(gamma) }, starts, maxTrials: SHARES_TRIALS };
}
