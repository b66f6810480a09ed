// A cheap substitute for a trial: masks from dense statistics instead of those of the pruned blocks before, no calibration
// passes, few validation windows. It orders candidates; it never decides.

import { silent } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { countOf, type Samples } from '../stream/index.js';
import type { DensePass } from './dense.js';
import { scoreBlocks } from './sequential.js';
import { type Treating, treatBlock } from './treat.js';
import { withTreatedBlock } from './treated-block.js';

export type SurrogateInput = Treating & {
  readonly engine: Engine;
  readonly calibration: Samples | undefined;
  /** For temporary files of blocks that are too large for memory. */
  readonly dir: string;
};

/** Mean negative log-likelihood of each window of `text`, pruned by dense statistics. Leaves no files in `dir`. */
export async function scoreSurrogate(input: SurrogateInput, dense: DensePass, text: Samples): Promise<number[]> {
  const { engine, model, dir } = input;
  const sequences = input.calibration ? countOf(input.calibration.content) : 0;
  return await scoreBlocks(engine, model, text, silent, async (block, use) => {
    const treated = await treatBlock(input, block, { squareSums: dense.squareSums[block], sequences }, undefined);
    await withTreatedBlock(model, block, treated, dir, use);
  });
}
