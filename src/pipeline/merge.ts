// Merges neighbouring blocks into one of the ordinary width (FlattenGPT, arXiv 2602.08858). The blocks are put side by side, all
// on the residual before the first (model/wide.ts), and then the wide block is cut back:
//   norms    their gains go into the linears that read them, W·diag(g), their biases into those linears' biases, b + W·β, so
//            that one norm with a gain of 1 serves the heads and channels of all members; exact
//   heads    as many groups of query heads as one block has stay: greedy OBS on what the wide `o` reads
//   channels the same for the MLP, on the residual behind the attention that was cut
// `o` is then the least squares of the wide attention's output on the heads that stay. `down` is that of the wide MLP's output
// too (the paper's Nyström approximation) or, with a target, of what is missing to the dense residual behind the last member.

import { UnsupportedError, withResources } from '../base/index.js';
import { readTensorFloat32, type TensorEdit } from '../checkpoint/index.js';
import type { Engine } from '../engine/index.js';
import type { Gemm } from '../linalg/index.js';
import {
  biasName,
  blockTensors,
  endOf,
  type GroupUnit,
  groupsOf,
  hasBias,
  type Linear,
  type Model,
  memberInput,
  readLinear,
  rowsOfSlice,
  toStored,
  WIDE_INPUTS,
  WIDE_OUTPUTS,
  type WidePart,
  weightName,
  wideOutput,
  wideSums,
} from '../model/index.js';
import { eliminationOf, factoriseGram, keepSlices, type Matrix, retarget } from '../operators/index.js';
import { sumOverChunks } from '../profile/index.js';
import { type Activations, type Feed, runChunks, sameShape } from '../stream/index.js';
import { fromFloat32, toFloat32 } from '../tensor/index.js';
import { DAMPING, fittedTensor } from './fit.js';

/**
 * Refuses a model whose blocks cannot stand side by side in one block of its family.
 * @throws UnsupportedError E_UNSUPPORTED_MERGE
 */
export function requireMergeable({ config }: Model): void {
  const why = reasonAgainst(config);
  if (why === undefined) return;
  throw new UnsupportedError(
    'E_UNSUPPORTED_MERGE',
    `--merge: ${why}, so two blocks of ${config.family} have no common block. Use --repair linear or --repair stream.`,
    { family: config.family },
  );
}

function reasonAgainst(config: Model['config']): string | undefined {
  if (config.mixtures.some((mixture) => mixture !== undefined)) return 'experts are routed by a router of their block';
  if (config.qkNorm) return 'queries and keys of each head are normed with a gain of their block';
  if (config.architecture === 'gemma' || !config.normFirst) return 'a norm of the block stands behind what is added';
  if (new Set(config.windows).size > 1) return 'attention reaches back differently from block to block';
  if (config.uneven) return 'heads and channels differ from block to block';
  const { qkv, mlp } = config.bias;
  if (config.norm === 'layer' && config.normAffine && !(qkv && mlp))
    return 'the bias of a norm has no bias of a linear to go into';
  if (config.layerScale || config.image !== undefined) return 'only blocks that read text are merged';
  return undefined;
}

export type Merging = {
  readonly engine: Engine;
  readonly model: Model;
  readonly gemm: Gemm;
  /** Neighbours, ascending; the merged block gets the names of `block`, one of them. */
  readonly members: readonly number[];
  readonly block: number;
  /** The residual before the first member. */
  readonly before: Activations;
  /** The dense residual behind the last member; undefined where the merged block should give what the wide one gives. */
  readonly target: Activations | undefined;
  readonly sequences: number;
};

/** All tensors of the merged block, by the names of `block`. @throws NumericError */
export async function mergeBlocks(merging: Merging): Promise<ReadonlyMap<string, TensorEdit>> {
  const { model, before } = merging;
  return await withResources(async (own) => {
    const attention = await cutPart(merging, 'attention', before, before);
    const middle = await own(sameShape(before));
    await runWide(merging, attention, before, middle);
    const reads = model.config.parallel ? before : middle;
    const mlp = await cutPart(merging, 'mlp', reads, middle);
    return await writeMerged(merging, [attention, mlp]);
  });
}

/** What stays of a half of the wide block. */
type Cut = {
  readonly part: WidePart;
  /** Member, and slice in it, in the order of the merged block. */
  readonly kept: readonly { readonly member: number; readonly slice: number }[];
  /** The last linear [D, n] of the merged block, as the file holds it. */
  readonly weights: Float32Array;
};

const groupOf = ({ config, tensorNames }: Model, block: number, part: WidePart): GroupUnit =>
  groupsOf(config, tensorNames, block).find(({ role }) => role === endOf(part).site)!;

const lastOf = (model: Model, block: number, part: WidePart): Linear =>
  model.linears[block]!.find(({ kind }) => kind === endOf(part).kind)!;

async function cutPart(merging: Merging, part: WidePart, reads: Activations, base: Activations): Promise<Cut> {
  const { engine, model, gemm, members, block, sequences } = merging;
  const target = part === 'mlp' ? merging.target : undefined;
  const feeds = {
    ...feedsOf(members, reads),
    ...(target ? { [WIDE_INPUTS.target]: { from: target }, [WIDE_INPUTS.base]: { from: base } } : {}),
  };
  const sums = await withResources(async (own) => {
    const graph = wideSums(model, members, part, { length: reads.length, target: target !== undefined });
    const session = await own(engine.load(graph));
    return await sumOverChunks(engine, reads, (chunk) => runChunks(session, feeds, chunk));
  });
  const gram = sums[WIDE_OUTPUTS.gram]!;
  const W = await wideLast(model, members, part);
  const { columns } = W;
  let pull: Float32Array | undefined;
  if (target) {
    const given = await gemm.multiply({ ...W, data: W.data.slice() }, { rows: columns, columns, data: gram.slice() });
    pull = sums[WIDE_OUTPUTS.toward]!.map((value, i) => value - given[i]!);
  }
  const name = `the ${part} of blocks ${members.join(' and ')}`;
  const factor = await factoriseGram(gram, columns, { gemm, sequences, damping: DAMPING, name });
  const wanted = await retarget(W, pull, factor, gemm);
  const { slices } = groupOf(model, block, part);
  const elimination = await eliminationOf(wanted, { width: slices.width }, factor, gemm);
  const { slices: kept, weights } = keepSlices(elimination, slices.count, name);
  const { dtype } = model.checkpoint.tensors.get(weightName(lastOf(model, block, part)))!;
  return {
    part,
    kept: kept.map((slice) => ({
      member: members[Math.floor(slice / slices.count)]!,
      slice: slice % slices.count,
    })),
    weights: toFloat32(fromFloat32(weights, dtype), dtype),
  };
}

const feedsOf = (members: readonly number[], from: Activations): Record<string, Feed> =>
  Object.fromEntries(members.map((member) => [memberInput(member), { from }]));

/** The last linears of all members beside each other, [D, n]. */
async function wideLast(model: Model, members: readonly number[], part: WidePart): Promise<Matrix> {
  const linears = members.map((member) => lastOf(model, member, part));
  const columns = linears.reduce((sum, linear) => sum + linear.columns, 0);
  const { rows } = linears[0]!;
  const data = new Float32Array(rows * columns);
  let left = 0;
  for (const linear of linears) {
    const W = await readLinear(model.checkpoint, linear);
    for (let row = 0; row < rows; row++) {
      data.set(W.subarray(row * linear.columns, (row + 1) * linear.columns), row * columns + left);
    }
    left += linear.columns;
  }
  return { rows, columns, data };
}

/** The residual behind the attention that was cut, into `to`. */
async function runWide({ engine, model, members, block }: Merging, cut: Cut, from: Activations, to: Activations) {
  const { count, width } = groupOf(model, block, cut.part).slices;
  const { rows, columns } = lastOf(model, block, cut.part);
  const all = columns * members.length;
  const W = new Float32Array(rows * all);
  for (const [i, { member, slice }] of cut.kept.entries()) {
    const at = (members.indexOf(member) * count + slice) * width;
    for (let row = 0; row < rows; row++) {
      for (let j = 0; j < width; j++) W[row * all + at + j] = cut.weights[row * columns + i * width + j]!;
    }
  }
  const feeds = { ...feedsOf(members, from), [WIDE_INPUTS.base]: { from } };
  await withResources(async (own) => {
    const session = await own(engine.load(wideOutput(model, members, cut.part, W, { length: from.length })));
    for (let chunk = 0; chunk < from.chunks.length; chunk++) {
      const { y } = await runChunks(session, feeds, chunk);
      await to.write(chunk, y!.data as Float32Array);
    }
  });
}

async function writeMerged({ model, members, block }: Merging, cuts: readonly Cut[]) {
  const { checkpoint, config, tensorNames } = model;
  const edits = new Map<string, TensorEdit>();
  const put = (name: string, values: Float32Array): void => {
    edits.set(name, fittedTensor(name, values, checkpoint.tensors.get(name)!));
  };
  for (const { role, name, shape } of blockTensors(config, tensorNames, block)) {
    const [part] = role.split('.');
    if (part !== 'attentionNorm' && part !== 'mlpNorm') continue;
    put(name, new Float32Array(shape[0]!).fill(role.endsWith('.weight') ? 1 : 0));
  }
  for (const cut of cuts) {
    const group = groupOf(model, block, cut.part);
    const last = lastOf(model, block, cut.part);
    put(weightName(last), toStored(last, cut.weights));
    const sums = await Promise.all(members.map((one) => readBias(model, lastOf(model, one, cut.part))));
    const [first, ...others] = sums;
    if (first)
      put(
        biasName(last),
        first.map((value, j) => others.reduce((sum, other) => sum + other![j]!, value)),
      );
    for (const feeder of model.linears[block]!.filter(({ name }) => group.slices.feeders.includes(name))) {
      const { W, bias } = await gather(model, group, feeder, cut);
      put(weightName(feeder), toStored(feeder, W));
      if (bias) put(biasName(feeder), bias);
    }
  }
  return edits;
}

const readBias = async ({ checkpoint }: Model, linear: Linear): Promise<Float32Array | undefined> =>
  hasBias(checkpoint, linear) ? await readTensorFloat32(checkpoint, biasName(linear)) : undefined;

/** The rows of the slices that stay, of all members' linears of `feeder`'s kind, in the order of its sections. */
async function gather(model: Model, group: GroupUnit, feeder: Linear, { kept }: Cut) {
  const { rows, columns, kind } = feeder;
  const folded = new Map<number, Awaited<ReturnType<typeof foldNorm>>>();
  for (const { member } of kept) {
    const own = model.linears[member]!.find((one) => one.kind === kind)!;
    if (!folded.has(member)) folded.set(member, await foldNorm(model, own));
  }
  const W = new Float32Array(rows * columns);
  const bias = (await readBias(model, feeder)) && new Float32Array(rows);
  let at = 0;
  for (const section of feeder.sections.keys()) {
    for (const { member, slice } of kept) {
      const { from, to } = rowsOfSlice(feeder, group, slice)[section]!;
      const made = folded.get(member)!;
      W.set(made.W.subarray(from * columns, to * columns), at * columns);
      bias?.set(made.bias!.subarray(from, to), at);
      at += to - from;
    }
  }
  return { W, bias };
}

/** A linear with the norm before it inside: W·diag(g), and b + W·β. */
async function foldNorm(model: Model, linear: Linear): Promise<{ W: Float32Array; bias: Float32Array | undefined }> {
  const { config, tensorNames, checkpoint } = model;
  const { rows, columns, site, block } = linear;
  const norm = site === 'attention_in' ? 'attentionNorm' : 'mlpNorm';
  const tensorOf = async (role: string): Promise<Float32Array | undefined> => {
    const found = blockTensors(config, tensorNames, block).find((one) => one.role === role);
    return found && (await readTensorFloat32(checkpoint, found.name));
  };
  const [gain, shift] = [await tensorOf(`${norm}.weight`), await tensorOf(`${norm}.bias`)];
  const W = await readLinear(checkpoint, linear);
  const bias = await readBias(model, linear);
  const folded = new Float32Array(W.length);
  for (let row = 0; row < rows; row++) {
    let moved = bias?.[row] ?? 0;
    for (let j = 0; j < columns; j++) {
      const weight = W[row * columns + j]!;
      folded[row * columns + j] = weight * (gain?.[j] ?? 1);
      moved += weight * (shift?.[j] ?? 0);
    }
    if (bias) bias[row] = moved;
  }
  return { W: folded, bias };
}
