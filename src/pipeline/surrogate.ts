// A cheap stand-in for a trial: masks from dense statistics instead of the pruned prefix's, no calibration passes, few
// validation windows. It orders candidates; it never decides.

import { mkdir, rm } from 'node:fs/promises';
import { fileError, silent } from '../base/index.js';
import type { Text } from '../stream/index.js';
import { blockPath, writePrunedBlock } from './block-file.js';
import type { DensePass } from './dense.js';
import { type MaskInput, type SequentialInput, scoreBlockFiles } from './sequential.js';

/** Mean negative log-likelihood of each window of `text` under masks from dense statistics. Leaves no files. */
export async function scoreSurrogate(
  input: MaskInput & Pick<SequentialInput, 'dir'>,
  dense: DensePass,
  text: Text,
): Promise<number[]> {
  const { engine, model, criterion, pattern, counts, dir } = input;
  await mkdir(dir, { recursive: true }).catch((error) => {
    throw fileError(error, dir);
  });
  const sequences = input.calibration?.windows.windows.length ?? 0;
  for (let block = 0; block < model.config.blocks; block++) {
    const squareSums = dense.squareSums[block];
    await writePrunedBlock(model, block, { criterion, pattern, counts, squareSums, sequences }, blockPath(dir, block));
  }
  const nll = await scoreBlockFiles(engine, model, dir, text, silent);
  await rm(dir, { recursive: true });
  return nll;
}
