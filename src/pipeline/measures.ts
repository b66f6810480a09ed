// Gives the collected measures access to one block of the dense model: its weights from the checkpoint, its scores with
// Wanda's rounding, and its inputs at the sampled tokens, and their Gram matrices.

import { InternalError, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { blockGraph, type Linear, type Model, readLinear } from '../model/index.js';
import { scoreWanda } from '../operators/index.js';
import {
  type BlockInputs,
  type Collection,
  fillGrams,
  type Grams,
  measureGrams,
  type SquareSums,
  sampleInputs,
} from '../profile/index.js';
import { type Activations, type Importance, refusePadding, tapFeeds } from '../stream/index.js';
import { requireFinite } from './block-file.js';

/** Calibration data of a block: the residual before it, and Σ x² at its taps. */
export type Calibrated = {
  readonly from: Activations;
  readonly squareSums: SquareSums;
  readonly sequences: number;
  /** Which rows are padding, where some are. */
  readonly padding: Importance | undefined;
};

/** @throws NumericError E_NUMERIC_WEIGHT if a weight is NaN or infinite */
export async function collectBlock(
  engine: Engine,
  model: Model,
  block: number,
  collection: Collection,
  calibrated: Calibrated | undefined,
): Promise<void> {
  const given = (): Calibrated => {
    if (calibrated) return calibrated;
    throw new InternalError('E_INTERNAL_MEASURE', `${collection.names} need calibration text; none was given.`);
  };
  const weights = async (linear: Linear): Promise<Float32Array> => {
    const W = await readLinear(model.checkpoint, linear);
    if (!W.every(Number.isFinite)) await requireFinite(model, block);
    return W;
  };
  const scores = ({ rows, columns, site }: Linear, data: Float32Array): Float32Array => {
    const { squareSums, sequences } = given();
    return scoreWanda({ rows, columns, data }, { squareSums: squareSums[site]!, sequences });
  };
  const inputs = (): Promise<BlockInputs> =>
    withResources(async (own) => {
      const { from, padding } = given();
      if (padding) refusePadding({ padding }, 'A measure of single inputs (ALS)');
      const session = await own(engine.load(blockGraph(model, block, { length: from.length, outputs: 'inputs' })));
      return await sampleInputs(engine, session, from);
    });
  const grams = (): Promise<Grams> =>
    withResources(async (own) => {
      const { from, padding } = given();
      const options = { length: from.length, outputs: 'gram', weighted: padding !== undefined } as const;
      const session = await own(engine.load(blockGraph(model, block, options)));
      const sums = await measureGrams(engine, session, from, tapFeeds(from, block, padding));
      fillGrams(sums);
      return sums;
    });
  await collection.block({ linears: model.linears[block]!, weights, scores, inputs, grams });
}
