// The units that a plan decides about. Today a language model has one trunk, with linears and blocks. Groups of heads or
// channels, and experts, become units once there are operators for them.

import { blockId, type Plan, type Treatment } from '../records/index.js';

export type Unit = {
  /** A linear's name in the checkpoint, `blocks.<number>`, or `blocks.<number>.<site>` of a group. */
  readonly id: string;
  readonly kind: 'linear' | 'group' | 'block' | 'expert';
  readonly trunk: string;
  readonly block: number;
  /** q, k, v, o, gate, up, down, or the name of several that are stored as one tensor; of a group its site. */
  readonly role: string;
  readonly weights: number;
  /** Of a group: its slices, the linears whose rows go with a slice, and those whose columns go with it, by name. */
  readonly slices?: {
    readonly count: number;
    readonly width: number;
    readonly feeders: readonly string[];
    readonly readers: readonly string[];
  };
};

/** A prunable linear: W is [rows, columns]. */
export type LinearUnit = Unit & { readonly kind: 'linear'; readonly rows: number; readonly columns: number };

/** The name of the only trunk. */
export const TRUNK = 'language';

/** The treatment of a linear: its own, else its block's; undefined if the linear stays unchanged. */
export const treatmentOf = ({ units }: Plan, { id, block }: Pick<Unit, 'id' | 'block'>): Treatment | undefined =>
  units[id] ?? units[blockId(block)];

/** The share of a linear's weights that a plan makes zero. */
export const zeroRate = (plan: Plan, unit: Pick<Unit, 'id' | 'block'>): number =>
  treatmentOf(plan, unit)?.zeros?.rate ?? 0;

/** A rate within rounding of 0 or 1, as at the end of a policy's range, becomes exactly 0 or 1. */
export const snapRate = (rate: number): number => (Math.abs(rate) < 1e-12 ? 0 : Math.abs(rate - 1) < 1e-12 ? 1 : rate);

/** The number of weights that a rate means; exact if the rate was made from a count. */
export const countOf = (rate: number, weights: number): number => Math.round(rate * weights);
