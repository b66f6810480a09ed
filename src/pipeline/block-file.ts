// One treated block as a safetensors file that holds all its tensors, edited or not. Graphs read it in place. A run that was
// killed recognises its finished blocks by these files. Notes in the header say how the block was made and what was removed.
// Of a quantised linear there are also the scales, `<name of its weights>.scales`, and a note of its bits.

import { dirname, join } from 'node:path';
import { InternalError, LayerwiseError } from '../base/index.js';
import {
  readSafetensors,
  readTensor,
  type TensorEdit,
  type TensorToWrite,
  writeSafetensors,
} from '../checkpoint/index.js';
import {
  type BlockSource,
  blockTensorNames,
  inPlace,
  type Model,
  requireFiniteTensors,
  weightName,
} from '../model/index.js';
import { toFloat32 } from '../tensor/index.js';

/** Facts about a block's treatment, for the record. */
export type BlockNotes = {
  /** The damping of each Gram matrix of the block, by its input; empty without a solver. */
  readonly damping: Readonly<Record<string, number>>;
  /** Experts that received no calibration token. */
  readonly unseen: readonly number[];
};

/** The scales of a linear whose weights are on a grid; the tensor has the name of the weights, and is read after them. */
export type GridToWrite = { readonly bits: number; readonly scales: TensorToWrite };

/** A block's edits, by tensor name. An edit is computed when it is read. */
export type TreatedBlock = {
  readonly edits: ReadonlyMap<string, TensorEdit>;
  /** Of the quantised linears. */
  readonly grids?: readonly GridToWrite[];
  readonly notes: BlockNotes;
};

export const blockPath = (dir: string, block: number): string =>
  join(dir, `block-${String(block).padStart(5, '0')}.safetensors`);

/** Whether `path` holds the whole block: a valid header, all its bytes, readable notes, and all tensors but the removed. */
export async function isWholeBlock(model: Model, block: number, path: string): Promise<boolean> {
  try {
    const { tensors, metadata } = await readSafetensors(path);
    const notes = parseNotes(metadata);
    if (!notes) return false;
    const whole = blockTensorNames(model, block).every((name) => tensors.has(name) !== notes.removed.includes(name));
    return whole && Object.keys(notes.bits).every((name) => tensors.has(scalesName(name)));
  } catch (error) {
    if (error instanceof LayerwiseError && error.code.startsWith('E_CHECKPOINT')) return false;
    throw error;
  }
}

/** The tensors of a block file, as a graph's source. */
export async function blockFileSource(path: string): Promise<BlockSource> {
  const { tensors } = await readSafetensors(path);
  return {
    folder: dirname(path),
    find: (name) => {
      const tensor = tensors.get(name);
      if (!tensor) throw missing(path, name);
      return inPlace(tensor);
    },
  };
}

/**
 * A block file's tensors as edits of the checkpoint's. The header is read once, however many experts there are. Asking for
 * a tensor that the file neither holds nor notes as removed throws InternalError E_INTERNAL_BLOCK_FILE.
 */
export async function openBlockFile(model: Model, path: string): Promise<(name: string) => TensorEdit> {
  const { tensors, metadata } = await readSafetensors(path);
  const { removed } = requireNotes(path, metadata);
  return (name) => {
    const tensor = tensors.get(name);
    if (!tensor) {
      if (removed.includes(name)) return { name, remove: true };
      throw missing(path, name);
    }
    const { dtype, shape } = tensor;
    return { name, dtype, shape, read: () => readTensor({ ...model.checkpoint, dir: dirname(path), tensors }, name) };
  };
}

/** Reads tensors of a block file, by name. */
export async function readBlockFile(model: Model, path: string): Promise<(name: string) => Promise<Uint8Array>> {
  const { tensors } = await readSafetensors(path);
  return (name) => readTensor({ ...model.checkpoint, dir: dirname(path), tensors }, name);
}

/** @throws NumericError E_NUMERIC_WEIGHT with the name of a tensor of the block that holds NaN or infinity, if any does */
export const requireFinite = (model: Model, block: number): Promise<void> =>
  requireFiniteTensors(model, blockTensorNames(model, block));

/** Writes a block of the checkpoint with its edits, whole or not at all. Holds one tensor at a time. */
export async function writeBlockFile(
  model: Model,
  block: number,
  { edits, grids = [], notes }: TreatedBlock,
  path: string,
): Promise<void> {
  const { checkpoint } = model;
  const removed: string[] = [];
  const tensors = blockTensorNames(model, block).flatMap((name): TensorToWrite[] => {
    const { dtype, shape } = checkpoint.tensors.get(name)!;
    const edit = edits.get(name) ?? { name, dtype, shape, read: () => readTensor(checkpoint, name) };
    if (edit.name !== name) {
      throw new InternalError('E_INTERNAL_EDIT', `The edit of ${name} is of ${edit.name}; please report this.`);
    }
    if (!('remove' in edit)) return [edit];
    removed.push(name);
    return [];
  });
  const scales = grids.map((grid) => ({ ...grid.scales, name: scalesName(grid.scales.name) }));
  const bits = Object.fromEntries(grids.map((grid) => [grid.scales.name, grid.bits]));
  await writeSafetensors(path, [...tensors, ...scales], {
    format: 'pt',
    ...(grids.length > 0 ? { [BITS_NOTE]: JSON.stringify(bits) } : {}),
    ...(Object.keys(notes.damping).length > 0 ? { [DAMPING_NOTE]: JSON.stringify(notes.damping) } : {}),
    ...(notes.unseen.length > 0 ? { [UNSEEN_NOTE]: JSON.stringify(notes.unseen) } : {}),
    ...(removed.length > 0 ? { [REMOVED_NOTE]: JSON.stringify(removed) } : {}),
  });
}

/** The scales of a quantised linear. */
export type BlockScales = {
  readonly name: string;
  readonly bits: number;
  readonly rows: number;
  readonly scales: Float32Array;
};

/** The scales in a block file, in the order of its linears. */
export async function readBlockScales(model: Model, path: string): Promise<readonly BlockScales[]> {
  const { tensors, metadata } = await readSafetensors(path);
  const source = { ...model.checkpoint, dir: dirname(path), tensors };
  const all: BlockScales[] = [];
  for (const [name, bits] of Object.entries(requireNotes(path, metadata).bits)) {
    const tensor = tensors.get(scalesName(name));
    if (!tensor) throw missing(path, scalesName(name));
    const scales = toFloat32(await readTensor(source, tensor.name), tensor.dtype);
    all.push({ name, bits, rows: tensor.shape[0]!, scales });
  }
  return all;
}

const scalesName = (weights: string): string => `${weights}.scales`;

const DAMPING_NOTE = 'layerwise.damping';
const BITS_NOTE = 'layerwise.bits';
const UNSEEN_NOTE = 'layerwise.unseen';
const REMOVED_NOTE = 'layerwise.removed';

type Metadata = Readonly<Record<string, string>>;

type Notes = BlockNotes & {
  readonly removed: readonly string[];
  /** Bits of the quantised linears, by the name of their weights. */
  readonly bits: Readonly<Record<string, number>>;
};

/** The notes in a block file's header; undefined if one is malformed. */
function parseNotes(metadata: Metadata): Notes | undefined {
  const notes = [DAMPING_NOTE, UNSEEN_NOTE, REMOVED_NOTE, BITS_NOTE].map((note) => parse(metadata[note]));
  const [damping, unseen, removed, bits] = notes;
  if (damping !== undefined && !isNumbers(damping)) return undefined;
  if (unseen !== undefined && !isListOf('number', unseen)) return undefined;
  if (removed !== undefined && !isListOf('string', removed)) return undefined;
  if (bits !== undefined && !isNumbers(bits)) return undefined;
  return { damping: damping ?? {}, unseen: unseen ?? [], removed: removed ?? [], bits: bits ?? {} };
}

const isNumbers = (value: unknown): value is Readonly<Record<string, number>> =>
  typeof value === 'object' && !Array.isArray(value) && isListOf('number', Object.values(value ?? [null]));

/** The value of a note: undefined if there is no such note, null if it is not JSON. */
function parse(note: string | undefined): unknown {
  try {
    return note && JSON.parse(note);
  } catch {
    return null;
  }
}

type Named = { readonly number: number; readonly string: string };
const isListOf = <T extends keyof Named>(type: T, value: unknown): value is readonly Named[T][] =>
  Array.isArray(value) && value.every((one) => typeof one === type);

function requireNotes(path: string, metadata: Metadata): Notes {
  const notes = parseNotes(metadata);
  if (notes) return notes;
  const message = `${path}: expected notes that Layerwise wrote, got ${JSON.stringify(metadata)}; please report this.`;
  throw new InternalError('E_INTERNAL_BLOCK_FILE', message, { file: path });
}

const missing = (path: string, name: string): InternalError =>
  new InternalError('E_INTERNAL_BLOCK_FILE', `${path}: expected the tensor ${name}, got none; please report this.`, {
    file: path,
    tensor: name,
  });

/** The notes that were written with a block file. */
export async function readNotes(path: string): Promise<BlockNotes> {
  const { damping, unseen } = requireNotes(path, (await readSafetensors(path)).metadata);
  return { damping, unseen };
}

/** Counts the zeros among the prunable weights in a model's block files. */
export async function countBlockZeros(model: Model, dir: string): Promise<number> {
  let zeros = 0;
  for (const [block, linears] of model.linears.entries()) {
    const editOf = await openBlockFile(model, blockPath(dir, block));
    for (const edit of linears.map((linear) => editOf(weightName(linear)))) {
      if ('remove' in edit) continue;
      for (const value of toFloat32(await edit.read(), edit.dtype)) if (value === 0) zeros++;
    }
  }
  return zeros;
}
