// What a measure is: a name, what it looks at, and an accumulator that is shown a model block by block. Measures know no
// checkpoint and no engine; collect.ts shows them each weight once, however many of them there are.

import type { Linear } from '../model/index.js';
import type { Measured, MeasureName } from '../records/index.js';

/** A linear as measures see it. Its arrays are only to be read, and not to be kept beyond the block. */
export type LinearView = {
  readonly linear: Linear;
  /** W, row-major [rows, columns]. */
  readonly weights: Float32Array;
  /** |W_ij|·‖X_j‖₂, like W; empty unless some measure looks at scores. */
  readonly scores: Float32Array;
};

/** Activations of the sampled tokens, row-major [tokens, width]. */
export type Sample = { readonly width: number; readonly data: Float32Array };

/** What a block and its linears read, at the same tokens. */
export type BlockInputs = { readonly block: Sample; readonly sites: Readonly<Record<string, Sample>> };

export interface Accumulator<T> {
  /** Every linear, in the order of the model's. */
  linear?(view: LinearView): void;
  /** The scores of all linears of a block, after the last of them. */
  block?(scores: readonly Float32Array[]): void;
  /** What a block reads, for measures that look at inputs. */
  inputs?(inputs: BlockInputs, linears: readonly Linear[]): void;
  result(): T;
}

export interface Measure<N extends MeasureName = MeasureName> {
  readonly name: N;
  /** `scores` and `inputs` need calibration text. */
  readonly looksAt: 'weights' | 'scores' | 'inputs';
  start(): Accumulator<Measured[N]>;
}
