// Repairs a removal of blocks in closed form, without a new parameter. Two streams of the calibration text run beside each other:
// x through all blocks of the checkpoint, x̃ through those that stay. Before a gap, block b ends with y = m̃ + W·X̃, and the blocks
// in the gap would have made x of it. So `down` is fitted to what they did, r = x − y (fit.ts; ReplaceMe, arXiv 2505.02819).
// Experts are fitted at once, each to the residual of its own tokens; a token's k experts take over 1/k of their fits each, by
// which the sum over tokens cannot grow. Where a norm ends the block, its gain (and bias) is fitted instead.
// Besides or instead of that,
//   merge    the blocks of a seam become one block with the best heads and channels of all of them (merge.ts)
//   follow   the blocks that stay behind the first gap follow the dense stream, linear by linear (stream-target.ts)
// Blocks are made from the first to the last: each sees x̃ as the earlier ones left it.

import { type OnProgress, UnsupportedError, withResources } from '../base/index.js';
import { readTensorFloat32, type TensorEdit } from '../checkpoint/index.js';
import type { Engine } from '../engine/index.js';
import { createGemm, type Gemm } from '../linalg/index.js';
import {
  type BlockEnd,
  blockTensorNames,
  type Linear,
  type Model,
  NORM_SUMS,
  pullOf,
  SEAM_INPUTS,
  seamGraph,
  weightName,
} from '../model/index.js';
import type { Prepared } from '../operators/index.js';
import type { Seam } from '../plan/index.js';
import { type Grams, sumOverChunks } from '../profile/index.js';
import { blockId, type Plan } from '../records/index.js';
import {
  type Activations,
  copyStream,
  countOf,
  type Move,
  passBlock,
  refusePadding,
  rowsOf,
  runChunks,
  type Samples,
  sameShape,
} from '../stream/index.js';
import type { TreatedBlock } from './block-file.js';
import type { BlockShelf } from './block-shelf.js';
import { computed, editLinear } from './edit-linear.js';
import { DAMPING, fittedTensor, followStream, prepareFit } from './fit.js';
import { mergeBlocks } from './merge.js';
import { type Streams, type StreamTarget, treatToStream } from './stream-target.js';
import { editedSource } from './treated-block.js';

/** Fewer tokens per column than this bend a fit to them (docs/lab/theory.md). */
const TOKENS_PER_COLUMN = 8;

/** How a removal is repaired. */
export type RepairWay = {
  /** Whether the blocks of a seam are merged, or the one that stays is kept as it is. */
  readonly merge: boolean;
  /** Whether the block of a seam is fitted to what removed blocks did. Without, a merged block gives what the wide one gives. */
  readonly fit: boolean;
  /** How far the blocks behind the first seam follow the dense stream; undefined where they stay as they are. */
  readonly follow: StreamTarget | undefined;
};

export type SeamOptions = {
  readonly engine: Engine;
  readonly model: Model;
  readonly seams: readonly Seam[];
  readonly way: RepairWay;
  /** Calibration text. */
  readonly text: Samples;
  /** Receives each changed block; those of an earlier attempt are used as they are. */
  readonly shelf: BlockShelf;
  readonly onProgress: OnProgress;
};

/** Refuses a model whose blocks have nothing to fit. @throws UnsupportedError E_UNSUPPORTED_REPAIR */
export function requireRepairable(model: Model): void {
  for (let block = 0; block < model.config.blocks; block++) {
    const { end } = seamGraph(model, block, 1);
    if (end.kind === 'linears' || end.gain !== undefined) continue;
    throw new UnsupportedError(
      'E_UNSUPPORTED_REPAIR',
      `--repair linear: block ${block} ends with a norm that has no gain, so nothing in it can take over what removed blocks did. Leave --repair out.`,
      { family: model.config.family, block },
    );
  }
}

/** The blocks that a repair changes, ascending, and the names of the tensors in each. */
export function changedTensors(
  model: Model,
  removed: ReadonlySet<number>,
  seams: readonly Seam[],
  { merge, fit, follow }: RepairWay,
): ReadonlyMap<number, readonly string[]> {
  const changed = new Map<number, readonly string[]>();
  for (let block = seams[0]?.block ?? model.config.blocks; block < model.config.blocks; block++) {
    if (removed.has(block)) continue;
    const seam = seams.find((one) => one.block === block);
    const behind = block > seams[0]!.block;
    const names = new Set<string>();
    if (follow && behind && !(seam && merge)) {
      for (const linear of model.linears[block]!) if (linear.expert === undefined) names.add(weightName(linear));
    }
    if (seam && merge) for (const name of blockTensorNames(model, block)) names.add(name);
    else if (seam && fit) for (const name of endTensors(model, block)) names.add(name);
    if (names.size > 0) changed.set(block, [...names]);
  }
  return changed;
}

function endTensors(model: Model, block: number): readonly string[] {
  const { end } = seamGraph(model, block, 1);
  if (end.kind === 'linears') return end.linears.map(weightName);
  return [end.gain, end.bias].filter((name) => name !== undefined);
}

/** The number of blocks that a repair passes. */
export const stepsOf = (model: Model, seams: readonly Seam[], { follow }: RepairWay): number =>
  follow ? model.config.blocks : (seams.at(-1)?.until ?? 0);

/** Repairs all seams, and puts each changed block on the shelf. */
export async function repairSeams(options: SeamOptions): Promise<void> {
  const { engine, model, seams, way, text, shelf, onProgress } = options;
  const steps = stepsOf(model, seams, way);
  if (steps === 0) return;
  refusePadding(text, 'The repair of seams');
  await withResources(async (own) => {
    const gemm = await own(createGemm(engine));
    const stores = { dense: await own(sameShape(text.embedded)), treated: await own(sameShape(text.embedded)) };
    let dense: Activations = text.embedded;
    /** The stream without the removed blocks, where it is another one. */
    let treated: Activations | undefined;
    const part = async (): Promise<Activations> => {
      if (!treated) {
        await copyStream(dense, stores.treated);
        treated = stores.treated;
      }
      return treated;
    };
    const passDense = async (block: number): Promise<void> => {
      await passBlock(engine, model, block, [[dense, stores.dense]]);
      dense = stores.dense;
    };
    const passTreated = async (block: number, from: Activations): Promise<void> => {
      const moves: readonly Move[] = [[from, stores.treated]];
      await shelf.read(block, (source) => passBlock(engine, model, block, moves, source));
      treated = stores.treated;
    };
    const passed = (block: number): void => onProgress({ kind: 'advance', detail: `block ${block + 1} of ${steps}` });
    for (let at = 0; at < steps; ) {
      const seam = seams.find(({ block, gap }) => Math.min(block, ...gap) === at);
      if (!seam) {
        if (treated && way.follow && !(await shelf.has(at))) {
          const next = at + 1 < steps ? stores : undefined;
          await shelf.put(at, await follow(options, gemm, at, { treated, dense, next }));
          [dense, treated] = [stores.dense, stores.treated];
        } else if (treated && !way.follow) {
          // The block is the checkpoint's in both streams: it is loaded once.
          const moves: readonly Move[] = [
            [dense, stores.dense],
            [treated, stores.treated],
          ];
          await passBlock(engine, model, at, moves);
          [dense, treated] = [stores.dense, stores.treated];
        } else {
          await passDense(at);
          if (treated) await passTreated(at, treated);
        }
        passed(at++);
        continue;
      }
      const { block, until } = seam;
      const apart = treated !== undefined;
      const before = await part();
      const ready = await shelf.has(block);
      const followed =
        apart && way.follow && !way.merge && !ready
          ? await follow(options, gemm, block, { treated: before, dense })
          : undefined;
      treated = undefined; // the dense stream goes on alone
      for (; at < until; at++) {
        await passDense(at);
        passed(at);
      }
      if (!ready) await shelf.put(block, await mend(options, gemm, seam, before, dense, followed));
      if (until < steps) await passTreated(block, before);
    }
  });
}

/** The block with linears that follow the dense stream. */
async function follow(
  { engine, model, way, text, onProgress }: SeamOptions,
  gemm: Gemm,
  block: number,
  streams: Streams,
): Promise<TreatedBlock> {
  const plan: Plan = { format: 'layerwise-plan', version: 2, units: { [blockId(block)]: { zeros: { rate: 0 } } } };
  noteFewTokens(model, block, model.linears[block]!, 1, text, onProgress);
  const treating = { model, operator: followStream, plan };
  return await treatToStream(treating, way.follow!, block, engine, streams, text, gemm);
}

/** The block of a seam, changed so that it ends nearest to the dense residual `target`. */
async function mend(
  options: SeamOptions,
  gemm: Gemm,
  { block, gap }: Seam,
  before: Activations,
  target: Activations,
  followed: TreatedBlock | undefined,
): Promise<TreatedBlock> {
  const { engine, model, way, text } = options;
  const notes = { damping: {}, unseen: [] };
  if (way.merge) {
    const members = [block, ...gap].sort((a, b) => a - b);
    const wanted = way.fit ? target : undefined;
    const sequences = countOf(text.content);
    const edits = await mergeBlocks({ engine, model, gemm, members, block, before, target: wanted, sequences });
    return { edits, notes };
  }
  const ends = endTensors(model, block);
  const kept = new Map([...(followed?.edits ?? [])].filter(([name]) => !ends.includes(name)));
  const fitted = await fitSeam(options, gemm, block, before, target, kept);
  return { edits: new Map([...kept, ...fitted]), notes };
}

/** The edits that bring the block, run on `before` with the edits `made`, nearest to the residual `target`. */
async function fitSeam(
  { engine, model, text, onProgress }: SeamOptions,
  gemm: Gemm,
  block: number,
  before: Activations,
  target: Activations,
  made: ReadonlyMap<string, TensorEdit>,
): Promise<ReadonlyMap<string, TensorEdit>> {
  const { graph, end } = seamGraph(model, block, text.embedded.length, await editedSource(model, made));
  const sums = await withResources(async (own) => {
    const session = await own(engine.load(graph));
    const feeds = { [SEAM_INPUTS.x]: { from: before }, [SEAM_INPUTS.target]: { from: target } };
    return await sumOverChunks(engine, before, (chunk) => runChunks(session, feeds, chunk));
  });
  const sequences = countOf(text.content);
  const tokens = rowsOf(model, text.content, text.embedded.length);
  const fitted =
    end.kind === 'norm' ? fitNorm(model, end, sums, tokens) : fitLinears(model, end, sums, sequences, gemm);
  if (end.kind === 'linears') noteFewTokens(model, block, end.linears, end.perToken, text, onProgress);
  return new Map((await fitted).map((edit) => [edit.name, edit]));
}

type LinearsEnd = Extract<BlockEnd, { readonly kind: 'linears' }>;
type NormEnd = Extract<BlockEnd, { readonly kind: 'norm' }>;

/** `perToken` of the linears write for one token where they are those of experts. */
function noteFewTokens(
  model: Model,
  block: number,
  linears: readonly Linear[],
  perToken: number,
  text: Samples,
  onProgress: OnProgress,
): void {
  const shared = linears.filter(({ expert }) => expert === undefined);
  const [widest] = (shared.length > 0 ? [...shared] : [...linears]).sort((a, b) => b.columns - a.columns);
  const { name, columns } = widest!;
  const share = shared.length > 0 ? 1 : perToken / linears.length;
  const each = rowsOf(model, text.content, text.embedded.length) * share;
  if (each >= TOKENS_PER_COLUMN * columns) return;
  const note = `Warning: ${name} of block ${block} is fitted to ${Math.floor(each)} tokens, and has ${columns} columns; ${TOKENS_PER_COLUMN} tokens per column or more are better. Raise --calibration-samples.`;
  onProgress({ kind: 'note', text: note });
}

async function fitLinears(
  model: Model,
  { linears, perToken }: LinearsEnd,
  sums: Grams,
  sequences: number,
  gemm: Gemm,
): Promise<TensorEdit[]> {
  const edits: TensorEdit[] = [];
  for (const linear of linears) {
    const pull = sums[pullOf(linear.site)]!;
    const fit = prepareFit(sums[linear.site]!, linear.columns, { name: linear.name, sequences, gemm });
    const prepared: Prepared = {
      apply: async (_unit, W) => {
        const fitted = await fit(W, pull);
        const weights = fitted.map((value, i) => W.data[i]! + (value - W.data[i]!) / perToken);
        return { zeroed: new Uint8Array(W.data.length), weights: perToken === 1 ? fitted : weights };
      },
    };
    edits.push(await computed(editLinear(model, linear, prepared, {}).weights));
  }
  return edits;
}

/** Least squares of r on n (and 1, where there is a bias) for each channel. */
async function fitNorm(model: Model, { gain, bias }: NormEnd, sums: Grams, tokens: number): Promise<TensorEdit[]> {
  const squares = sums[NORM_SUMS.squares]!;
  const [pull, values, missing] = [sums[NORM_SUMS.pull]!, sums[NORM_SUMS.values]!, sums[NORM_SUMS.missing]!];
  const mu = (DAMPING * squares.reduce((a, b) => a + b, 0)) / squares.length;
  const moved = { gain: new Float64Array(squares.length), bias: new Float64Array(squares.length) };
  for (let j = 0; j < squares.length; j++) {
    const a = squares[j]! + mu;
    if (bias === undefined) {
      moved.gain[j] = pull[j]! / a;
      continue;
    }
    const [b, c] = [values[j]!, tokens + DAMPING * tokens];
    const determinant = a * c - b * b;
    moved.gain[j] = (c * pull[j]! - b * missing[j]!) / determinant;
    moved.bias[j] = (a * missing[j]! - b * pull[j]!) / determinant;
  }
  const edits = [await moveVector(model, gain!, moved.gain)];
  if (bias !== undefined) edits.push(await moveVector(model, bias, moved.bias));
  return edits;
}

async function moveVector(model: Model, name: string, by: Float64Array): Promise<TensorEdit> {
  const values = await readTensorFloat32(model.checkpoint, name);
  const moved = values.map((value, j) => value + by[j]!);
  return fittedTensor(name, moved, model.checkpoint.tensors.get(name)!);
}
