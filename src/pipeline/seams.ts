// Repairs a removal of blocks in closed form, without a new parameter. Two streams of the calibration text run beside each other:
// x through all blocks of the checkpoint, x̃ through those that stay. Before a gap, block b ends with y = m̃ + W·X̃, and the blocks
// in the gap would have made x of it. So `down` is fitted to what they did, with r = x − y and μ = DAMPING·mean diag X̃X̃ᵀ:
//   W' = W + r·X̃ᵀ·(X̃X̃ᵀ + μI)⁻¹,   the least ‖x − m̃ − W'·X̃‖² + μ‖W' − W‖²
// Zeros of a sparse W stay zeros (operators/sparsify/refit.ts). Experts are fitted at once, each to the residual of its own
// tokens; a token's k experts take over 1/k of their fits each, by which the sum over tokens cannot grow. Where a norm ends the
// block, its gain (and bias) is fitted instead.
// Seams are repaired from the first to the last: each sees x̃ as the earlier ones left it.

import { NumericError, type OnProgress, UnsupportedError, withResources } from '../base/index.js';
import { readTensorFloat32, type TensorEdit } from '../checkpoint/index.js';
import type { Engine } from '../engine/index.js';
import { createGemm, type Gemm } from '../linalg/index.js';
import { type BlockEnd, type Model, NORM_SUMS, pullOf, SEAM_INPUTS, seamGraph, weightName } from '../model/index.js';
import { factoriseGram, type Matrix, type Prepared, refit, retarget } from '../operators/index.js';
import type { Seam } from '../plan/index.js';
import { type Grams, sumOverChunks } from '../profile/index.js';
import {
  type Activations,
  copyStream,
  countOf,
  passBlock,
  refusePadding,
  rowsOf,
  runChunks,
  type Samples,
  sameShape,
} from '../stream/index.js';
import { findNonFinite, fromFloat32 } from '../tensor/index.js';
import { blockFileSource, blockPath, isWholeBlock, writeBlockFile } from './block-file.js';
import { editLinear } from './edit-linear.js';

const DAMPING = 0.01;
/** A linear with more zeros than this is sparse. Others have a few by chance. */
const SPARSE = 0.01;
/** Conjugate gradients to a few digits of float32. */
const TURNS = 100;
/** Fewer tokens per column than this bend a fit to them (docs/lab/theory.md). */
const TOKENS_PER_COLUMN = 8;

export type SeamOptions = {
  readonly engine: Engine;
  readonly model: Model;
  readonly removed: ReadonlySet<number>;
  readonly seams: readonly Seam[];
  /** Calibration text. */
  readonly text: Samples;
  /** Receives a file of each repaired block; those of an earlier attempt are used as they are. */
  readonly dir: string;
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

/** The names of the tensors that a repair of `block` changes. */
export function tensorsOfSeam(model: Model, block: number): readonly string[] {
  const { end } = seamGraph(model, block, 1);
  if (end.kind === 'linears') return end.linears.map(weightName);
  return [end.gain, end.bias].filter((name) => name !== undefined);
}

/** Repairs all seams, and writes a file of each repaired block into `dir`. */
export async function repairSeams(options: SeamOptions): Promise<void> {
  const { engine, model, removed, seams, text, dir, onProgress } = options;
  const last = seams.at(-1);
  if (!last) return;
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
    const pass = async (block: number): Promise<void> => {
      const inBoth = treated !== undefined && !removed.has(block);
      await passBlock(engine, model, block, [
        [dense, stores.dense],
        ...(inBoth ? ([[treated!, stores.treated]] as const) : []),
      ]);
      dense = stores.dense;
      if (inBoth) treated = stores.treated;
      onProgress({ kind: 'advance', detail: `block ${block + 1} of ${last.until}` });
    };
    let at = 0;
    for (const seam of seams) {
      for (; at < seam.block; at++) {
        if (removed.has(at)) await part();
        await pass(at);
      }
      const before = await part();
      treated = undefined; // the dense stream goes on alone
      for (; at < seam.until; at++) await pass(at);
      const path = blockPath(dir, seam.block);
      if (!(await isWholeBlock(model, seam.block, path))) {
        const edits = await fitSeam(options, gemm, seam.block, before, dense);
        await writeBlockFile(model, seam.block, { edits, notes: { damping: {}, unseen: [] } }, path);
      }
      treated = before;
      if (seam === last) continue;
      await passBlock(engine, model, seam.block, [[before, stores.treated]], await blockFileSource(path));
      treated = stores.treated;
    }
  });
}

/** The edits that bring the block, run on `before`, nearest to the residual `target`. */
async function fitSeam(
  { engine, model, text, onProgress }: SeamOptions,
  gemm: Gemm,
  block: number,
  before: Activations,
  target: Activations,
): Promise<ReadonlyMap<string, TensorEdit>> {
  const { graph, end } = seamGraph(model, block, text.embedded.length);
  const sums = await withResources(async (own) => {
    const session = await own(engine.load(graph));
    const feeds = { [SEAM_INPUTS.x]: { from: before }, [SEAM_INPUTS.target]: { from: target } };
    return await sumOverChunks(engine, before.chunks.length, (chunk) => runChunks(session, feeds, chunk));
  });
  const sequences = countOf(text.content);
  const tokens = rowsOf(model, text.content, text.embedded.length);
  const fitted =
    end.kind === 'norm' ? fitNorm(model, end, sums, tokens) : fitLinears(model, end, sums, sequences, gemm);
  if (end.kind === 'linears') noteFewTokens(end, block, tokens, onProgress);
  return new Map((await fitted).map((edit) => [edit.name, edit]));
}

type LinearsEnd = Extract<BlockEnd, { readonly kind: 'linears' }>;
type NormEnd = Extract<BlockEnd, { readonly kind: 'norm' }>;

function noteFewTokens({ linears, perToken }: LinearsEnd, block: number, tokens: number, onProgress: OnProgress): void {
  const { columns, name } = linears[0]!;
  const each = (tokens * perToken) / linears.length;
  if (each >= TOKENS_PER_COLUMN * columns) return;
  const text = `Warning: ${name} of block ${block} is fitted to ${Math.floor(each)} tokens, and has ${columns} columns; ${TOKENS_PER_COLUMN} tokens per column or more are better. Raise --calibration-samples.`;
  onProgress({ kind: 'note', text });
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
    const gram = sums[linear.site]!;
    const pull = sums[pullOf(linear.site)]!;
    const prepared: Prepared = {
      apply: async (_unit, W) => {
        const fitted = await fitLinear(W, gram, pull, { name: linear.name, sequences, gemm });
        const weights = fitted.map((value, i) => W.data[i]! + (value - W.data[i]!) / perToken);
        return { zeroed: new Uint8Array(W.data.length), weights: perToken === 1 ? fitted : weights };
      },
    };
    const { name, dtype, shape, read } = editLinear(model, linear, prepared, {}).weights;
    const bytes = await read();
    edits.push({ name, dtype, shape, read: async () => bytes });
  }
  return edits;
}

/** The W' of the header. Overwrites `gram`. */
async function fitLinear(
  W: Matrix,
  gram: Float32Array,
  pull: Float32Array,
  { name, sequences, gemm }: { readonly name: string; readonly sequences: number; readonly gemm: Gemm },
): Promise<Float32Array> {
  const { columns, data } = W;
  const diagonal = Float64Array.from({ length: columns }, (_, j) => gram[j * (columns + 1)]!);
  const seen = diagonal.filter((value) => value !== 0);
  if (seen.length === 0) return data; // an expert that no token is given to
  const mean = seen.reduce((a, b) => a + b, 0) / seen.length;
  // A column that is always 0 has no pull either, so its weights stay, whatever stands here.
  for (let j = 0; j < columns; j++) if (diagonal[j] === 0) gram[j * (columns + 1)] = mean;
  const zeros = data.reduce((count, value) => count + (value === 0 ? 1 : 0), 0);
  if (zeros > SPARSE * data.length) {
    const mask = Uint8Array.from(data, (value) => (value === 0 ? 1 : 0));
    return await refit(W, mask, { H: gram, damping: DAMPING * mean, pull }, gemm, TURNS);
  }
  const factor = await factoriseGram(gram, columns, { gemm, sequences, damping: DAMPING, name });
  return (await retarget(W, pull, factor, gemm)).data;
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
  const { dtype, shape } = model.checkpoint.tensors.get(name)!;
  const values = await readTensorFloat32(model.checkpoint, name);
  const bytes = fromFloat32(
    values.map((value, j) => value + by[j]!),
    dtype,
  );
  const { first } = findNonFinite(bytes, dtype);
  if (first >= 0) {
    const message = `${name}: the repaired gain is not a finite ${dtype} in channel ${first}. Check the calibration text, or leave --repair out.`;
    throw new NumericError('E_NUMERIC_OVERFLOW', message, { tensor: name, dtype, channel: first });
  }
  return { name, dtype, shape, read: async () => bytes };
}
