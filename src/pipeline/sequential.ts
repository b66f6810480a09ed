// Block-sequential pruning, as Wanda, SparseGPT and ATP do it: the statistics of block i are taken on the output of the
// pruned blocks before it, with the block itself still whole; all its linears are pruned; its pruned output feeds block
// i + 1. The validation windows travel along, so pruning and evaluation are one pass. A finished block is a file; a run
// that was killed continues after the last one and comes to the same bytes.

import { mkdir } from 'node:fs/promises';
import { fileError, handOver, NumericError, type OnProgress, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { scoreWindows } from '../evaluate/index.js';
import { createGemm, type Gemm } from '../linalg/index.js';
import { type BlockSource, blockGraph, checkpointSource, expertOf, GIVEN, type Model } from '../model/index.js';
import type { Criterion, MaskCriterion, Pattern, PreparedSolver, SolverCriterion } from '../operators/index.js';
import { fillGrams, measureGrams, type SquareSums, unseenExperts } from '../profile/index.js';
import { type Activations, type Move, passBlock, sameShape, type Text } from '../stream/index.js';
import {
  type BlockPruning,
  blockFileSource,
  blockPath,
  isWholeBlock,
  type Solvers,
  writePrunedBlock,
} from './block-file.js';
import { type Trace, tapBlock, traceIndex } from './dense.js';

export type SequentialInput = {
  readonly engine: Engine;
  readonly model: Model;
  readonly criterion: Criterion;
  readonly pattern: Pattern;
  /** How many weights of each linear go. */
  readonly counts: ReadonlyMap<string, number>;
  readonly calibration: Text | undefined;
  readonly validation: Text | undefined;
  readonly trace: Trace | undefined;
  /** Statistics of block 0, which no pruning precedes; the same for every plan. */
  readonly firstSquareSums?: SquareSums | undefined;
  /** Where the block files go. */
  readonly dir: string;
  readonly onProgress: OnProgress;
};

/** For what needs masks alone, from statistics of the dense pass. */
export type MaskInput = Pick<SequentialInput, 'engine' | 'model' | 'pattern' | 'counts' | 'calibration'> & {
  readonly criterion: MaskCriterion;
};

export type SequentialResult = {
  /** Mean negative log-likelihood of each validation window. */
  readonly nll: readonly number[];
  /** ‖X − X̃‖_F / ‖X‖_F of each block's output, X dense and X̃ pruned, on the traced windows. */
  readonly errors: readonly number[];
};

/** Prunes block after block into files in `dir` and scores the result on the validation windows. */
export async function pruneSequentially(input: SequentialInput): Promise<SequentialResult> {
  const { engine, model, criterion, calibration, validation, trace, dir, onProgress } = input;
  const { blocks } = model.config;
  await mkdir(dir, { recursive: true }).catch((error) => {
    throw fileError(error, dir);
  });
  return await withResources(async (own) => {
    const statistics = criterion.needsActivations ? calibration : undefined;
    const calibrated = statistics && (await own(sameShape(statistics.embedded)));
    const seen = validation && (await own(sameShape(validation.embedded)));
    const gemm = criterion.kind === 'solver' ? await own(createGemm(engine)) : undefined;
    const errors: number[] = [];
    for (let block = 0; block < blocks; block++) {
      const path = blockPath(dir, block);
      const first = block === 0;
      if (!(await isWholeBlock(model, block, path))) {
        const inputs = statistics && (first ? statistics.embedded : calibrated!);
        const known = first ? input.firstSquareSums : undefined;
        await writePrunedBlock(model, block, await prepareBlock(input, block, inputs, gemm, known), path);
      }
      const moves: Move[] = [];
      if (statistics && block < blocks - 1) moves.push([first ? statistics.embedded : calibrated!, calibrated!]);
      if (validation) moves.push([first ? validation.embedded : seen!, seen!]);
      if (moves.length > 0) await passBlock(engine, model, block, moves, await blockFileSource(path));
      if (trace && seen) errors.push(await relativeError(trace, block, seen));
      onProgress({ kind: 'advance', detail: `block ${block + 1} of ${blocks}` });
    }
    const nll = validation ? await scoreWindows(engine, model, seen!, validation.windows) : [];
    return { nll, errors };
  });
}

/** What `prepareBlock` looks at. */
export type BlockInput = Pick<SequentialInput, 'engine' | 'model' | 'criterion' | 'pattern' | 'counts' | 'calibration'>;

/**
 * What a block of the checkpoint is pruned with, its statistics taken on the residual `inputs` before it, which is
 * `calibration` behind whatever blocks come first. `gemm` is there where the criterion is a solver.
 */
export async function prepareBlock(
  { engine, model, criterion, pattern, counts, calibration }: BlockInput,
  block: number,
  inputs: Activations | undefined,
  gemm: Gemm | undefined,
  known?: SquareSums,
): Promise<BlockPruning> {
  const { windows = [], length = 0 } = calibration?.windows ?? {};
  const sequences = windows.length;
  const tokens = sequences * length;
  const columnSums =
    inputs && criterion.needsColumnSums ? await tapBlock(engine, model, block, inputs, 'sums') : undefined;
  const wantsSquares = inputs && (criterion.kind === 'mask' || columnSums);
  const squareSums = wantsSquares && (known ?? (await tapBlock(engine, model, block, inputs)));
  if (criterion.kind === 'solver') {
    const statistics = { squareSums, columnSums, sequences, tokens };
    return { counts, pattern, ...(await prepareSolvers(engine, model, criterion, block, inputs!, statistics, gemm!)) };
  }
  const unseen = squareSums && unseenExperts(squareSums);
  return { criterion, pattern, counts, squareSums, columnSums, sequences, tokens, unseen };
}

type SolverStatistics = {
  readonly sequences: number;
  readonly tokens: number;
  /** Where the solver needs them. */
  readonly squareSums: SquareSums | undefined;
  readonly columnSums: SquareSums | undefined;
};

/** Solvers from the Gram matrices of the block's inputs; linears that read the same input share one. */
async function prepareSolvers(
  engine: Engine,
  model: Model,
  criterion: SolverCriterion,
  block: number,
  inputs: Activations,
  { sequences, tokens, squareSums, columnSums }: SolverStatistics,
  gemm: Gemm,
): Promise<{ readonly solvers: Solvers; readonly unseen: readonly number[] }> {
  const grams = await withResources(async (own) => {
    const graph = blockGraph(model, block, { length: inputs.length, outputs: 'gram' });
    return await measureGrams(engine, await own(engine.load(graph)), inputs);
  });
  const unseen = unseenExperts(grams);
  fillGrams(grams);
  const { [GIVEN]: given, ...taps } = grams;
  const solvers: Record<string, PreparedSolver> = {};
  for (const [site, gram] of Object.entries(taps)) {
    const name = `block ${block}, ${site}`;
    // An expert that was given none has no sums either, so that their number is all the same.
    const own = given?.[expertOf(site) ?? -1] || tokens;
    const statistics = columnSums && {
      squareSums: squareSums![site]!,
      columnSums: columnSums[site]!,
      sequences,
      tokens: own,
    };
    solvers[site] = await criterion.prepare(gram, Math.sqrt(gram.length), { gemm, sequences, name, statistics });
  }
  return { solvers, unseen };
}

async function relativeError(trace: Trace, block: number, pruned: Activations): Promise<number> {
  let difference = 0;
  let norm = 0;
  for (let chunk = 0; chunk < trace.chunks; chunk++) {
    const x = await trace.store.read(traceIndex(trace, block, chunk));
    const y = await pruned.read(chunk);
    for (let i = 0; i < x.length; i++) {
      difference += (x[i]! - y[i]!) ** 2;
      norm += x[i]! ** 2;
    }
  }
  const error = Math.sqrt(difference / norm);
  if (!Number.isFinite(error)) {
    throw new NumericError('E_NUMERIC_ERROR', `The reconstruction error of block ${block} is not a number.`, { block });
  }
  return error;
}

/** Calls `use` with where a block's tensors lie; they need be there no longer. */
export type WithBlock = (block: number, use: (source: BlockSource) => Promise<void>) => Promise<void>;

/** The residual after the last block on `text`, through the blocks that `withBlock` gives (the checkpoint's by default). */
export async function runBlocks(
  engine: Engine,
  model: Model,
  text: Text,
  onProgress: OnProgress,
  withBlock: WithBlock = (_, use) => use(checkpointSource(model.checkpoint)),
): Promise<Activations> {
  return await handOver(await sameShape(text.embedded), async (seen) => {
    for (let block = 0; block < model.config.blocks; block++) {
      const move: Move = [block === 0 ? text.embedded : seen, seen];
      await withBlock(block, (source) => passBlock(engine, model, block, [move], source));
      onProgress({ kind: 'advance', detail: `block ${block + 1} of ${model.config.blocks}` });
    }
    return seen;
  });
}

/** The mean negative log-likelihood of each window, through the blocks that `withBlock` gives. */
export function scoreBlocks(
  engine: Engine,
  model: Model,
  text: Text,
  onProgress: OnProgress,
  withBlock?: WithBlock,
): Promise<number[]> {
  return withResources(async (own) => {
    const seen = await own(runBlocks(engine, model, text, onProgress, withBlock));
    return await scoreWindows(engine, model, seen, text.windows);
  });
}

/** The mean negative log-likelihood of each window, through the block files in `dir`; the checkpoint's blocks without. */
export function scoreBlockFiles(
  engine: Engine,
  model: Model,
  dir: string | undefined,
  text: Text,
  onProgress: OnProgress,
): Promise<number[]> {
  const withFile: WithBlock = async (block, use) => await use(await blockFileSource(blockPath(dir!, block)));
  return scoreBlocks(engine, model, text, onProgress, dir === undefined ? undefined : withFile);
}
