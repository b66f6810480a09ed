// Block-sequential pruning, as in Wanda, SparseGPT and ATP. The statistics of block i are taken on the output of the pruned
// blocks before it, while the block itself is still dense. Then all its linears are pruned, and its pruned output feeds block
// i + 1. The validation windows run along, so pruning and evaluation are one pass. A finished block is a file: a killed run
// continues after the last one and produces the same bytes. Statistics can be taken behind the dense blocks instead.

import { mkdir } from 'node:fs/promises';
import { fileError, handOver, type OnProgress, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { compareStreams, scoreSamples, summariseFidelity } from '../evaluate/index.js';
import { createGemm } from '../linalg/index.js';
import { type BlockSource, checkpointSource, type Model } from '../model/index.js';
import type { SquareSums } from '../profile/index.js';
import { type Activations, type Move, passBlock, type Samples, sameShape } from '../stream/index.js';
import { blockFileSource, blockPath, isWholeBlock, writeBlockFile } from './block-file.js';
import type { Trace } from './dense.js';
import { emptyBlock, isDropped } from './dropped-block.js';
import { relativeError } from './errors.js';
import { type PairRun, type StreamTarget, treatByPairs, treatToStream } from './stream-target.js';
import { type BlockEvidence, measureEvidence, type Treating, treatBlock } from './treat.js';

/** Measures the calibration text elsewhere (runs/remote-calibration.ts). It goes from block to block, in order. */
export interface RemoteCalibration {
  readonly sequences: number;
  readonly tokens: number;
  /** What the operator needs of the next block's inputs. */
  evidence(): Promise<BlockEvidence>;
  /** The runs over the pair of the next block. */
  pairs(target: StreamTarget): PairRun;
  /** Goes on behind the next block: the treated one in `path`, or the checkpoint's. */
  behind(path: string | undefined): Promise<void>;
}

export type SequentialInput = Treating & {
  readonly engine: Engine;
  readonly calibration: Samples | undefined;
  readonly validation: Samples | undefined;
  readonly trace: Trace | undefined;
  /** Statistics of block 0, which are the same for every plan. */
  readonly firstSquareSums?: SquareSums | undefined;
  /** Fits the treated linears to the dense stream; needs calibration text and an operator with a Gram matrix. */
  readonly target?: StreamTarget | undefined;
  /** `dense`: statistics are taken on the output of the dense blocks; not together with `target`. */
  readonly prefix?: 'dense' | undefined;
  /** The dense model's residual after the last block on `validation`, to measure the divergence from. */
  readonly reference?: Activations | undefined;
  /** Takes the statistics instead of `calibration`, with the same bits. */
  readonly remote?: RemoteCalibration | undefined;
  /** Where the block files go. */
  readonly dir: string;
  readonly onProgress: OnProgress;
};

export type SequentialResult = {
  /** Mean negative log-likelihood of each validation window. */
  readonly nll: readonly number[];
  /** Mean KL(dense ‖ treated) of each validation window; present with a reference. */
  readonly divergences?: readonly number[];
  /** ‖X − X̃‖_F / ‖X‖_F of each block's output, X dense and X̃ pruned, on the traced windows. */
  readonly errors: readonly number[];
};

/** Prunes all blocks into files in `dir` and scores the result on the validation windows. */
export async function pruneSequentially(input: SequentialInput): Promise<SequentialResult> {
  const { engine, model, operator, calibration, validation, trace, target, reference, remote, dir, onProgress } = input;
  const { blocks } = model.config;
  await mkdir(dir, { recursive: true }).catch((error) => {
    throw fileError(error, dir);
  });
  return await withResources(async (own) => {
    const statistics = operator.needs.length > 0 && !remote ? calibration : undefined;
    const calibrated = statistics && (await own(sameShape(statistics.embedded)));
    const seen = validation && (await own(sameShape(validation.embedded)));
    const dense = target && statistics && (await own(sameShape(statistics.embedded)));
    const gemm = operator.needs.includes('gram') ? await own(createGemm(engine)) : undefined;
    const errors: number[] = [];
    for (let block = 0; block < blocks; block++) {
      const path = blockPath(dir, block);
      const first = block === 0;
      const last = block === blocks - 1;
      let whole = await isWholeBlock(model, block, path);
      if (!whole && isDropped(model, input.plan, block)) {
        await writeBlockFile(model, block, emptyBlock(model, block), path);
        whole = true;
      }
      if (remote && !whole) {
        const treated = target
          ? await treatByPairs(input, target, block, remote.pairs(target), { ...remote, moves: !last }, gemm!)
          : await treatBlock(input, block, await remote.evidence(), gemm);
        await writeBlockFile(model, block, treated, path);
      } else if (dense && !whole) {
        const streams = {
          treated: first ? statistics!.embedded : calibrated!,
          dense: first ? statistics!.embedded : dense,
          next: last ? undefined : { treated: calibrated!, dense },
        };
        const treated = await treatToStream(input, target, block, engine, streams, statistics!, gemm!);
        await writeBlockFile(model, block, treated, path);
      } else if (dense && !last) {
        await passBlock(engine, model, block, [[first ? statistics!.embedded : dense, dense]]);
      } else if (!whole) {
        const inputs = statistics && (first ? statistics.embedded : calibrated!);
        const known = first ? input.firstSquareSums : undefined;
        const evidence = await measureEvidence(engine, model, operator, block, inputs, calibration, known);
        await writeBlockFile(model, block, await treatBlock(input, block, evidence, gemm), path);
      }
      await remote?.behind(input.prefix === 'dense' ? undefined : path);
      const moves: Move[] = [];
      if (statistics && !last && (whole || !dense)) {
        const move: Move = [first ? statistics.embedded : calibrated!, calibrated!];
        if (input.prefix === 'dense') await passBlock(engine, model, block, [move]);
        else moves.push(move);
      }
      if (validation) moves.push([first ? validation.embedded : seen!, seen!]);
      if (moves.length > 0) await passBlock(engine, model, block, moves, await blockFileSource(path));
      if (trace && seen) errors.push(await relativeError(trace, block, seen, validation));
      onProgress({ kind: 'advance', detail: `block ${block + 1} of ${blocks}` });
    }
    const nll = validation ? await scoreSamples(engine, model, seen!, validation.content) : [];
    if (!reference || !seen) return { nll, errors };
    const { divergence } = summariseFidelity(
      await compareStreams(engine, model, seen, reference, { content: validation!.content }),
    );
    return { nll, divergences: divergence, errors };
  });
}

/** Calls `use` with the source of a block's tensors. The source may be gone afterwards. */
export type WithBlock = (block: number, use: (source: BlockSource) => Promise<void>) => Promise<void>;

/** The residual after the last of `blocks` (by default all) on `text`, with those of `withBlock` (by default the checkpoint's). */
export async function runBlocks(
  engine: Engine,
  model: Model,
  text: Samples,
  onProgress: OnProgress,
  withBlock: WithBlock = (_, use) => use(checkpointSource(model.checkpoint)),
  blocks: readonly number[] = [...model.linears.keys()],
): Promise<Activations> {
  return await handOver(await sameShape(text.embedded), async (seen) => {
    for (const block of blocks) {
      const move: Move = [block === blocks[0] ? text.embedded : seen, seen];
      await withBlock(block, (source) => passBlock(engine, model, block, [move], source));
      onProgress({ kind: 'advance', detail: `block ${block + 1} of ${model.config.blocks}` });
    }
    return seen;
  });
}

/** The mean negative log-likelihood of each window, with `blocks` alone, as `runBlocks`. */
export function scoreBlocks(
  engine: Engine,
  model: Model,
  text: Samples,
  onProgress: OnProgress,
  withBlock?: WithBlock,
  blocks?: readonly number[],
): Promise<number[]> {
  return withResources(async (own) => {
    const seen = await own(runBlocks(engine, model, text, onProgress, withBlock, blocks));
    return await scoreSamples(engine, model, seen, text.content);
  });
}

/** The residual after the last block on `text`, with the block files in `dir`, or the checkpoint's blocks without. */
export function runBlockFiles(
  engine: Engine,
  model: Model,
  dir: string | undefined,
  text: Samples,
  onProgress: OnProgress,
): Promise<Activations> {
  return runBlocks(engine, model, text, onProgress, withFilesOf(dir));
}

/** The mean negative log-likelihood of each window, with the block files in `dir`, or the checkpoint's blocks without. */
export function scoreBlockFiles(
  engine: Engine,
  model: Model,
  dir: string | undefined,
  text: Samples,
  onProgress: OnProgress,
): Promise<number[]> {
  return scoreBlocks(engine, model, text, onProgress, withFilesOf(dir));
}

const withFilesOf = (dir: string | undefined): WithBlock | undefined =>
  dir === undefined ? undefined : async (block, use) => await use(await blockFileSource(blockPath(dir, block)));
