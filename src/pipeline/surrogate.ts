// A cheap stand-in for a trial: masks from dense statistics instead of the pruned prefix's, no calibration passes, few
// validation windows. It orders candidates; it never decides.

import { silent } from '../base/index.js';
import type { Text } from '../stream/index.js';
import type { DensePass } from './dense.js';
import { withPrunedBlock } from './pruned-block.js';
import { type MaskInput, type SequentialInput, scoreBlocks } from './sequential.js';

/** Mean negative log-likelihood of each window of `text` under masks from dense statistics. Leaves no files in `dir`. */
export async function scoreSurrogate(
  input: MaskInput & Pick<SequentialInput, 'dir'>,
  dense: DensePass,
  text: Text,
): Promise<number[]> {
  const { engine, model, criterion, pattern, counts, dir } = input;
  const sequences = input.calibration?.windows.windows.length ?? 0;
  return await scoreBlocks(engine, model, text, silent, (block, use) => {
    const squareSums = dense.squareSums[block];
    return withPrunedBlock(model, block, { criterion, pattern, counts, squareSums, sequences }, dir, use);
  });
}
