// How far treated blocks are from dense ones, ‖X − X̃‖_F / ‖X‖_F of a block's output on the traced windows. An error is
// *carried* if the treated blocks before it made the block's input, and *alone* if the dense blocks did.

import { NumericError, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import type { Model } from '../model/index.js';
import { type Activations, createActivations, passBlock, type Samples } from '../stream/index.js';
import { blockFileSource, blockPath } from './block-file.js';
import { type Trace, traceIndex } from './dense.js';

/** The error that each block of `dir` makes by itself, on the dense output of the block before it. */
export async function errorsAlone(
  engine: Engine,
  model: Model,
  trace: Trace,
  text: Samples,
  dir: string,
): Promise<readonly number[]> {
  const { length, width } = text.embedded;
  const chunks = text.embedded.chunks.slice(0, trace.chunks);
  return await withResources(async (own) => {
    const before = await own(createActivations(chunks, length, width));
    const errors: number[] = [];
    for (let block = 0; block < model.config.blocks; block++) {
      for (let chunk = 0; chunk < trace.chunks; chunk++) {
        const x = block === 0 ? text.embedded.read(chunk) : trace.store.read(traceIndex(trace, block - 1, chunk));
        await before.write(chunk, (await x).slice());
      }
      await passBlock(engine, model, block, [[before, before]], await blockFileSource(blockPath(dir, block)));
      errors.push(await relativeError(trace, block, before, text));
    }
    return errors;
  });
}

/** The error of `treated`, a block's output on `text`, whose first chunks are those of the trace. Padding does not count. */
export async function relativeError(
  trace: Trace,
  block: number,
  treated: Activations,
  text: Samples | undefined,
): Promise<number> {
  const own = Object.values(text?.padding?.[0] ?? {})[0];
  let difference = 0;
  let norm = 0;
  for (let chunk = 0; chunk < trace.chunks; chunk++) {
    const x = await trace.store.read(traceIndex(trace, block, chunk));
    const y = await treated.read(chunk);
    const rows = await own?.read(chunk);
    for (let i = 0; i < x.length; i++) {
      if (rows && rows[Math.floor(i / treated.width)] === 0) continue;
      difference += (x[i]! - y[i]!) ** 2;
      norm += x[i]! ** 2;
    }
  }
  const error = Math.sqrt(difference / norm);
  if (!Number.isFinite(error)) {
    throw new NumericError(
      'E_NUMERIC_ERROR',
      `The reconstruction error of block ${block} is NaN or infinite. Check the checkpoint and the validation text.`,
      { block },
    );
  }
  return error;
}
