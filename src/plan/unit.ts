// What a decision is about. A language model has one trunk; its units are linears and blocks today, groups of heads or
// channels and experts once there are operators for them.

import { blockId, type Plan, type Treatment } from '../records/index.js';

export type Unit = {
  /** A linear's name in the checkpoint, or `blocks.<number>`. */
  readonly id: string;
  readonly kind: 'linear' | 'group' | 'block' | 'expert';
  readonly trunk: string;
  readonly block: number;
  /** q, k, v, o, gate, up, down, or what several of them are stored as. */
  readonly role: string;
  readonly weights: number;
};

/** A prunable linear: W is [rows, columns]. */
export type LinearUnit = Unit & { readonly kind: 'linear'; readonly rows: number; readonly columns: number };

/** The trunk of a model that has one. */
export const TRUNK = 'language';

/** What a plan says of a linear: its own treatment, else that of its block; undefined where it stays as it is. */
export const treatmentOf = ({ units }: Plan, { id, block }: Pick<Unit, 'id' | 'block'>): Treatment | undefined =>
  units[id] ?? units[blockId(block)];

/** The share of a linear's weights that a plan makes zero. */
export const zeroRate = (plan: Plan, unit: Pick<Unit, 'id' | 'block'>): number =>
  treatmentOf(plan, unit)?.zeros?.rate ?? 0;

/** A share of so many weights as a whole number; exact where the rate came from one. */
export const countOf = (rate: number, weights: number): number => Math.round(rate * weights);
