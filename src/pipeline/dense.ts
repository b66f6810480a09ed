// One pass of the dense model over the validation windows, the calibration windows, or both. It gives the validation loss, the
// residual after every block on a few windows (to compare pruned blocks with), every block's statistics, and all measures
// that policies need. Nothing here depends on the rates, so a search does it once.

import { handOver, type OnProgress, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { scoreSamples } from '../evaluate/index.js';
import { type BlockSource, blockGraph, type Model } from '../model/index.js';
import {
  fillSquareSums,
  measureSquareSums,
  needCalibration,
  type SquareSums,
  startCollection,
} from '../profile/index.js';
import type { Measured, MeasureName } from '../records/index.js';
import {
  type Activations,
  countOf,
  createActivations,
  type Importance,
  type Move,
  passBlock,
  refusePadding,
  type Samples,
  sameShape,
  showMove,
  tapFeeds,
  type VisitResidual,
} from '../stream/index.js';
import { requireFinite } from './block-file.js';
import { collectBlock } from './measures.js';

/** The number of windows whose residual is compared block by block. */
export const TRACED_WINDOWS = 8;
/** The trace of all blocks stays in memory up to this many bytes. */
const TRACE_MEMORY = 64 << 20;

/** The dense residual after each block, on the first `chunks` chunks of the validation windows. */
export type Trace = { readonly chunks: number; readonly store: Activations };

export const traceIndex = (trace: Trace, block: number, chunk: number): number => block * trace.chunks + chunk;

export type DensePass = {
  /** Mean negative log-likelihood of each validation window; empty without validation text. */
  readonly nll: readonly number[];
  /** Present with validation text. The caller closes its store. */
  readonly trace: Trace | undefined;
  /** Σ x² at each block's taps on dense inputs; empty without calibration text, or if only `visit` reads it. */
  readonly squareSums: readonly SquareSums[];
  /** The requested measures. */
  readonly measured: Partial<Measured>;
};

/**
 * Runs the dense model once over `validation` (for its loss and the trace) and over `calibration` (for statistics). Without
 * both it takes only the measures of weights. `visit` receives the calibration residual before and after each block; with
 * it, the squares at the taps are taken only if a measure needs them.
 */
export async function runDense(
  engine: Engine,
  model: Model,
  validation: Samples | undefined,
  calibration: Samples | undefined,
  onProgress: OnProgress,
  measures: readonly MeasureName[] = [],
  visit?: VisitResidual,
): Promise<DensePass> {
  const { blocks } = model.config;
  if (visit) refusePadding(calibration, 'A measure of the residual');
  onProgress({ kind: 'stage', stage: 'dense', total: blocks });
  const trace = validation && (await createTrace(model, validation));
  return await handOver(trace?.store, () =>
    withResources(async (own) => {
      const seen = validation && (await own(sameShape(validation.embedded)));
      const calibrated: Activations[] = calibration ? [await own(sameShape(calibration.embedded))] : [];
      // A visitor sees the residual before and after a block, so the block must not write over its input.
      if (calibration && visit) calibrated.push(await own(sameShape(calibration.embedded)));
      const taps = visit === undefined || needCalibration(measures).length > 0;
      const collection = startCollection(measures);
      const squareSums: SquareSums[] = [];
      for (let block = 0; block < blocks; block++) {
        const first = block === 0;
        const from = first ? calibration?.embedded : calibrated[(block - 1) % calibrated.length];
        const to = calibrated[block % calibrated.length];
        if (from && taps)
          squareSums.push(await tapBlock(engine, model, block, from, 'taps', undefined, calibration!.padding));
        const sequences = calibration ? countOf(calibration.content) : 0;
        const known =
          from && taps ? { from, squareSums: squareSums[block]!, sequences, padding: calibration!.padding } : undefined;
        if (measures.length > 0) await collectBlock(engine, model, block, collection, known);
        const moves: Move[] = [];
        if (seen) moves.push([first ? validation!.embedded : seen, seen]);
        const walked: Move | undefined = from && to && (visit || block < blocks - 1) ? [from, to] : undefined;
        if (walked) moves.push(walked);
        await passBlock(engine, model, block, moves);
        if (walked && visit) await showMove(block, walked, visit);
        if (trace && seen) await keepTrace(model, block, seen, trace);
        onProgress({ kind: 'advance', detail: `block ${block + 1} of ${blocks}` });
      }
      const nll = seen ? await scoreSamples(engine, model, seen, validation!.content) : [];
      return { nll, trace, squareSums, measured: collection.result() };
    }),
  );
}

async function keepTrace(model: Model, block: number, seen: Activations, trace: Trace): Promise<void> {
  for (let chunk = 0; chunk < trace.chunks; chunk++) {
    const hidden = await seen.read(chunk);
    if (!hidden.every(Number.isFinite)) await requireFinite(model, block);
    await trace.store.write(traceIndex(trace, block, chunk), hidden.slice()); // the next block overwrites the chunk
  }
}

/**
 * Σ x² (with `sums`: Σ x) at the taps of one block over the residual `from`. The block is the checkpoint's unless `source`
 * is given. With `importance` every token has its weight. For Σ x², experts that received no token get substitute values (fillSquareSums).
 */
export async function tapBlock(
  engine: Engine,
  model: Model,
  block: number,
  from: Activations,
  outputs: 'taps' | 'sums' = 'taps',
  source?: BlockSource,
  importance?: Importance,
): Promise<SquareSums> {
  const weighted = importance !== undefined;
  const options = { length: from.length, outputs, weighted, ...(source ? { source } : {}) };
  return await withResources(async (own) => {
    const session = await own(engine.load(blockGraph(model, block, options)));
    const sums = await measureSquareSums(engine, session, from, tapFeeds(from, block, importance));
    // Of a leaf alone nobody knows yet which experts receive no token.
    return outputs === 'taps' && !from.isLeaf ? fillSquareSums(sums) : sums;
  });
}

async function createTrace(model: Model, validation: Samples): Promise<Trace> {
  const { chunks: sizes, length, width } = validation.embedded;
  const chunks = Math.min(sizes.length, Math.ceil(TRACED_WINDOWS / sizes[0]!));
  const all = Array.from({ length: model.config.blocks }, () => sizes.slice(0, chunks)).flat();
  return { chunks, store: await createActivations(all, length, width, TRACE_MEMORY) };
}
