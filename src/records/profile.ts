// What was measured of a model, per block or per linear, in the order of the model's linears. A policy names the measures
// it needs; all that several policies need are collected together in one dense pass.

/**
 * How many scores fall into each bin: bin b holds the float32 scores whose bits, shifted right by HISTOGRAM_SHIFT, are b.
 * Scores are ≥ 0, so bins are in order and 0.8 % wide.
 */
export type Histogram = { readonly counts: Uint32Array; readonly total: number };
export const HISTOGRAM_SHIFT = 16;

export type Measured = {
  /** OWL: share (0 … 1) of a block's scores |W|·‖X‖ above M times their mean, by M: one number per block. */
  readonly outliers: Readonly<Record<number, readonly number[]>>;
  /** Per block, over the scores A = |W|·‖X‖ of all its linears: mean and median of A, variance of ln A over A > 0. */
  readonly scoreMoments: readonly { readonly mean: number; readonly median: number; readonly logVariance: number }[];
  /** Per linear: the distribution of |W|·‖X‖. */
  readonly scores: readonly Histogram[];
  /** Per linear: the distribution of LAMP scores w_u² / Σ_{v ≥ u} w_v². */
  readonly lamp: readonly Histogram[];
  /** AlphaPruning: Hill estimate of the power-law exponent of each linear's spectrum of WᵀW. */
  readonly alpha: readonly number[];
  /** Mean token KL(dense ‖ dense with only this linear pruned at the target), nats: one number per linear. */
  readonly sensitivity: readonly number[];
  /** ECoFLaP: zeroth-order estimate of ‖∂loss/∂W‖_F of each linear. */
  readonly gradient: readonly number[];
  /** ALS: normalised ‖X_iᵀX_j‖²_F between the inputs of blocks i and j, and between a block's linears' inputs. */
  readonly redundancy: {
    readonly blocks: readonly (readonly number[])[];
    readonly linears: readonly (readonly (readonly number[])[])[];
  };
};

export type MeasureName = keyof Measured;
