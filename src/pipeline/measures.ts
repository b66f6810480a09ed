// Shows one block of the dense model to the measures that are being collected: its weights from the checkpoint, its scores
// as Wanda rounds them, its inputs at the sampled tokens.

import { InternalError, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { blockGraph, type Linear, type Model, readLinear } from '../model/index.js';
import { scoreWanda } from '../operators/index.js';
import { type BlockInputs, type Collection, type SquareSums, sampleInputs } from '../profile/index.js';
import type { Activations } from '../stream/index.js';
import { requireFinite } from './block-file.js';

/** What calibration says of a block: the residual before it, and Σ x² at its taps. */
export type Calibrated = {
  readonly from: Activations;
  readonly squareSums: SquareSums;
  readonly sequences: number;
};

/** @throws NumericError E_NUMERIC_WEIGHT where a weight is broken */
export async function collectBlock(
  engine: Engine,
  model: Model,
  block: number,
  collection: Collection,
  calibrated: Calibrated | undefined,
): Promise<void> {
  const given = (): Calibrated => {
    if (calibrated) return calibrated;
    throw new InternalError('E_INTERNAL_MEASURE', `${collection.names} were asked for without calibration text.`);
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
      const { from } = given();
      const session = await own(engine.load(blockGraph(model, block, { length: from.length, outputs: 'inputs' })));
      return await sampleInputs(engine, session, from);
    });
  await collection.block({ linears: model.linears[block]!, weights, scores, inputs });
}
