// What a measure is: a name, what it looks at, and an accumulator that sees the model block by block. Measures know no
// checkpoint and no engine; collect.ts shows them each weight once, whatever their number.

import type { Linear } from '../model/index.js';
import type { Measured, MeasureName } from '../records/index.js';

/** A linear as measures see it. Its arrays are read-only and must not be kept beyond the block. */
export type LinearView = {
  readonly linear: Linear;
  /** W, row-major [rows, columns]. */
  readonly weights: Float32Array;
  /** |W_ij|·‖X_j‖₂, shaped like W; empty unless some measure looks at scores. */
  readonly scores: Float32Array;
  /** Σ xᵀx of the linear's input, [columns, columns]; empty unless some measure looks at Gram matrices. */
  readonly gram: Float32Array;
};

/** Activations of the sampled tokens, row-major [tokens, width]. */
export type Sample = { readonly width: number; readonly data: Float32Array };

/** What a block and its linears read, at the same tokens. */
export type BlockInputs = { readonly block: Sample; readonly sites: Readonly<Record<string, Sample>> };

export interface Accumulator<T> {
  /** Called for every linear, in the model's order. */
  linear?(view: LinearView): void;
  /** Called after the last linear of a block, with the scores of all. */
  block?(scores: readonly Float32Array[]): void;
  /** Called with what a block reads, for measures that look at inputs. */
  inputs?(inputs: BlockInputs, linears: readonly Linear[]): void;
  result(): T;
}

export interface Measure<N extends MeasureName = MeasureName> {
  readonly name: N;
  /** All but `weights` need calibration text. */
  readonly looksAt: 'weights' | 'scores' | 'inputs' | 'grams';
  start(): Accumulator<Measured[N]>;
}
