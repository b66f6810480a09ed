// One pruned block as a safetensors file: all tensors of the block, pruned linears with zeros, everything else as it
// was, dtypes unchanged. A graph reads it in place; a killed run finds its finished blocks by these files.

import { dirname, join } from 'node:path';
import { LayerwiseError, NumericError } from '../base/index.js';
import { readSafetensors, readTensor, writeSafetensors } from '../checkpoint/index.js';
import {
  type BlockSource,
  blockTensorNames,
  GIVEN,
  inPlace,
  type Linear,
  type Model,
  requireFiniteTensors,
  toRows,
  toStored,
  weightName,
} from '../model/index.js';
import type { Mask, MaskCriterion, Matrix, Pattern, PreparedSolver } from '../operators/index.js';
import type { SquareSums } from '../profile/index.js';
import { type DType, findNonFinite, fromFloat32, LARGEST_NUMBER, toFloat32 } from '../tensor/index.js';

export const blockPath = (dir: string, block: number): string =>
  join(dir, `block-${String(block).padStart(5, '0')}.safetensors`);

/** Whether `path` holds the whole block: its header, and as many bytes as that says, of the tensors it should have. */
export async function isWholeBlock(model: Model, block: number, path: string): Promise<boolean> {
  try {
    const { tensors } = await readSafetensors(path);
    return blockTensorNames(model, block).every((name) => {
      const [found, source] = [tensors.get(name), model.checkpoint.tensors.get(name)!];
      return found?.dtype === source.dtype && String(found.shape) === String(source.shape);
    });
  } catch (error) {
    if (error instanceof LayerwiseError && error.code.startsWith('E_CHECKPOINT')) return false;
    throw error;
  }
}

/** The tensors of a block file, as a graph's source. */
export async function blockFileSource(path: string): Promise<BlockSource> {
  const { tensors } = await readSafetensors(path);
  return { folder: dirname(path), find: (name) => inPlace(tensors.get(name)!) };
}

/** Opens a block file for its tensors' bytes, by name: its header is read once, however many experts there are. */
export async function openBlockFile(model: Model, path: string): Promise<(name: string) => Promise<Uint8Array>> {
  const { tensors } = await readSafetensors(path);
  return (name) => readTensor({ ...model.checkpoint, dir: dirname(path), tensors }, name);
}

/** Of each tap site, a solver. */
export type Solvers = Readonly<Record<string, PreparedSolver>>;

/** What one block is pruned with: a criterion, and what it needs to know of the block's inputs. */
export type BlockPruning = {
  /** How many weights of each linear go. */
  readonly counts: ReadonlyMap<string, number>;
  /** Experts that no calibration token was given to, for the record. */
  readonly unseen?: readonly number[] | undefined;
} & (
  | {
      readonly criterion: MaskCriterion;
      readonly pattern: Pattern;
      readonly squareSums: SquareSums | undefined;
      readonly sequences: number;
      /** Σ x at the taps, and how many tokens those are, where the criterion needs them. */
      readonly columnSums?: SquareSums | undefined;
      readonly tokens?: number;
    }
  | {
      readonly pattern: Pattern;
      readonly solvers: Solvers;
    }
);

/**
 * The bytes of one linear's weights after pruning, as the checkpoint's dtype.
 * @throws NumericError E_NUMERIC_WEIGHT where a weight is no number, E_NUMERIC_OVERFLOW where one becomes none in that dtype
 */
export async function pruneLinear(model: Model, linear: Linear, pruning: BlockPruning): Promise<Uint8Array> {
  const { rows, columns, site } = linear;
  const name = weightName(linear);
  const { dtype } = model.checkpoint.tensors.get(name)!;
  const bytes = await readTensor(model.checkpoint, name);
  const W = { rows, columns, data: toRows(linear, toFloat32(bytes, dtype)) };
  const count = pruning.counts.get(linear.name)!;
  return await nameErrors(model, linear, async () => {
    if ('solvers' in pruning) {
      const { pattern, solvers } = pruning;
      const { weights, mask } = await solvers[site]!.solve(W, count, pattern);
      const solved = fromFloat32(toStored(linear, weights), dtype);
      zeroMasked(solved, dtype, toStored(linear, mask));
      requireStorable(linear, { ...W, data: weights }, solved, dtype);
      return solved;
    }
    const { criterion, pattern, squareSums, columnSums, sequences, tokens } = pruning;
    // An expert that was given none has no sums either, so that their number is all the same.
    const given = linear.expert === undefined ? undefined : squareSums?.[GIVEN]?.[linear.expert];
    const statistics = squareSums && {
      squareSums: squareSums[site]!,
      columnSums: columnSums?.[site],
      sequences,
      tokens: given || tokens,
    };
    zeroMasked(bytes, dtype, toStored(linear, criterion.mask(W, count, pattern, statistics)));
    return bytes;
  });
}

/** A criterion knows no names: a NumericError of it is given the linear's, and what is broken. */
async function nameErrors<T>(model: Model, linear: Linear, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof NumericError)) throw error;
    await requireFiniteTensors(model, [weightName(linear)]);
    const { name, block } = linear;
    if (error.code === OVERFLOW) throw error;
    const message = `Block ${block}, ${name}: its weights in the checkpoint are numbers. ${error.message}`;
    throw new NumericError(error.code, message, { ...error.facts, block, linear: name }, { cause: error });
  }
}

const OVERFLOW = 'E_NUMERIC_OVERFLOW';

/**
 * Refuses what a solver made of W where it is no number in the dtype it is written in: F16 ends at 65504.
 * @throws NumericError E_NUMERIC_OVERFLOW
 */
function requireStorable({ name, block }: Linear, { columns, data }: Matrix, stored: Uint8Array, dtype: DType): void {
  const { nan, infinite, first } = findNonFinite(stored, dtype);
  if (first < 0) return;
  let at = data.findIndex((weight) => Number.isNaN(weight));
  if (at < 0) {
    at = 0;
    for (let i = 0; i < data.length; i++) if (Math.abs(data[i]!) > Math.abs(data[at]!)) at = i;
  }
  const [count, largest, limit] = [nan + infinite, data[at]!, LARGEST_NUMBER[dtype]];
  const position = [Math.floor(at / columns), at % columns];
  const wider = dtype === 'F16' ? 'Prune a copy of the checkpoint in BF16 or F32' : 'Give more calibration text';
  throw new NumericError(
    OVERFLOW,
    `Block ${block}, ${name}: ${count} of the weights that were repaired ${count === 1 ? 'is' : 'are'} beyond what ${dtype} holds (${limit}); the largest is ${largest}, at [${position.join(', ')}]. ${wider}, or use a criterion that repairs no weights, such as wanda.`,
    { block, linear: name, tensor: weightName({ name }), dtype, count, largest, limit, position },
  );
}

/** @throws NumericError E_NUMERIC_WEIGHT where a tensor of the block holds NaN or an infinity, which it names */
export const requireFinite = (model: Model, block: number): Promise<void> =>
  requireFiniteTensors(model, blockTensorNames(model, block));

/** Prunes every linear of a block of the checkpoint and writes the block's file, whole or not at all. */
export async function writePrunedBlock(
  model: Model,
  block: number,
  pruning: BlockPruning,
  path: string,
): Promise<void> {
  const { checkpoint } = model;
  const linears = new Map(model.linears[block]!.map((linear) => [weightName(linear), linear]));
  const tensors = blockTensorNames(model, block).map((name) => {
    const { dtype, shape } = checkpoint.tensors.get(name)!;
    const linear = linears.get(name);
    const read = () => (linear ? pruneLinear(model, linear, pruning) : readTensor(checkpoint, name));
    return { name, dtype, shape, read };
  });
  const note = {
    ...('solvers' in pruning ? { [DAMPING_NOTE]: JSON.stringify(dampingOf(pruning.solvers)) } : {}),
    ...(pruning.unseen?.length ? { [UNSEEN_NOTE]: JSON.stringify(pruning.unseen) } : {}),
  };
  await writeSafetensors(path, tensors, { format: 'pt', ...note });
}

const DAMPING_NOTE = 'layerwise.damping';
const UNSEEN_NOTE = 'layerwise.unseen';

const dampingOf = (solvers: Solvers): Readonly<Record<string, number>> =>
  Object.fromEntries(Object.entries(solvers).map(([site, { damping }]) => [site, damping]));

/** What a block file says of its making. */
export type BlockNotes = {
  /** The damping that each Gram matrix of the block needed, by tap site; empty where no solver pruned it. */
  readonly damping: Readonly<Record<string, number>>;
  /** Experts that no calibration token was given to. */
  readonly unseen: readonly number[];
};

export async function readNotes(path: string): Promise<BlockNotes> {
  const { metadata } = await readSafetensors(path);
  return {
    damping: JSON.parse(metadata[DAMPING_NOTE] ?? '{}') as BlockNotes['damping'],
    unseen: JSON.parse(metadata[UNSEEN_NOTE] ?? '[]') as BlockNotes['unseen'],
  };
}

/** Writes +0 where the mask is 1, and turns every −0 into +0: sparse kernels elsewhere choke on negative zeros. */
function zeroMasked(bytes: Uint8Array, dtype: DType, mask: Mask): void {
  if (dtype === 'F32') {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, mask.length);
    for (let i = 0; i < mask.length; i++) if (mask[i] === 1 || words[i] === 0x80000000) words[i] = 0;
  } else {
    const words = new Uint16Array(bytes.buffer, bytes.byteOffset, mask.length);
    for (let i = 0; i < mask.length; i++) if (mask[i] === 1 || words[i] === 0x8000) words[i] = 0;
  }
}

/** Zeros among the prunable weights of a model's block files, counted from their bytes. */
export async function countBlockZeros(model: Model, dir: string): Promise<number> {
  let zeros = 0;
  for (const [block, linears] of model.linears.entries()) {
    const read = await openBlockFile(model, blockPath(dir, block));
    for (const name of linears.map(weightName)) {
      const { dtype } = model.checkpoint.tensors.get(name)!;
      for (const value of toFloat32(await read(name), dtype)) if (value === 0) zeros++;
    }
  }
  return zeros;
}
