// A packed model as its users see it, from a .lw file or from a checkpoint packed in memory. The weights are one piece
// that is read once, in order, into the caller's memory. Each part of a tensor is then at the piece's base plus the
// offset in the directory, a multiple of 64.

import { CheckpointError, InternalError, ShapeError } from '../base/portable.js';
import { type JsonObject, parseJsonObject } from '../checkpoint/portable.js';
import type { Directory, TensorEntry, TextFile } from './directory.js';
import type { PackedTensor } from './source.js';

export type ReadOptions = {
  /**
   * Compares each tensor's SHA-256 while reading. Defaults to false: only the index parts are checked, so a damaged
   * file can at worst give wrong numbers.
   */
  readonly verify?: boolean;
  /** Called after each tensor. */
  readonly onTensor?: (tensor: TensorEntry) => void;
};

export interface PackedModel {
  /** The file, or the checkpoint's folder. */
  readonly path: string;
  readonly directory: Directory;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** Bytes of the weights in one piece. */
  readonly weightBytes: number;
  /**
   * The content of a text file, its hash checked; undefined where the model has none.
   * @throws CheckpointError E_CHECKPOINT_PACKED_CHECKSUM, E_CHECKPOINT_CHANGED; ResourceError E_RESOURCE_…
   */
  readText(name: TextFile): Promise<string | undefined>;
  /**
   * Reads all weights into the first `weightBytes` bytes of `target`, which may be a view of shared memory, and checks
   * every column and tile number in them.
   * @throws CheckpointError E_CHECKPOINT_PACKED_TENSOR where a number points outside, E_CHECKPOINT_PACKED_CHECKSUM with
   * `verify`, E_CHECKPOINT_CHANGED; ShapeError E_SHAPE_TARGET where `target` is too small; ResourceError E_RESOURCE_…
   */
  readWeightsInto(target: Uint8Array, options?: ReadOptions): Promise<void>;
  close(): Promise<void>;
}

/** @throws ShapeError E_SHAPE_TARGET */
export function requireTarget(path: string, target: Uint8Array, bytes: number): void {
  if (target.length >= bytes) return;
  const message = `${path}: expected memory for ${bytes} bytes of weights, got ${target.length}.`;
  throw new ShapeError('E_SHAPE_TARGET', message, { file: path, expected: bytes, got: target.length });
}

/** The model's config.json. @throws CheckpointError E_CHECKPOINT_CONFIG; otherwise as `readText` */
export async function readPackedConfig(packed: PackedModel): Promise<JsonObject> {
  const text = await packed.readText('config.json');
  if (text === undefined) throw new InternalError('E_INTERNAL_PACKED', `${packed.path}: config.json was not packed.`);
  return parseJsonObject(new TextEncoder().encode(text), `${packed.path}: config.json`, 'E_CHECKPOINT_CONFIG');
}

/**
 * Checks that a packed model has exactly the tensors and shapes that its config requires.
 * @throws CheckpointError E_CHECKPOINT_MISSING, E_CHECKPOINT_SHAPE, E_CHECKPOINT_UNEXPECTED
 */
export function requireTensors(packed: PackedModel, wanted: readonly PackedTensor[]): void {
  const names = new Set(wanted.map(({ name }) => name));
  const refuse = (code: string, tensor: string, what: string): CheckpointError =>
    new CheckpointError(
      code,
      `${packed.path}: tensor ${JSON.stringify(tensor)} ${what}; pack the checkpoint again, or copy the file again.`,
      { file: packed.path, tensor },
    );
  for (const { name, role, rows, columns } of wanted) {
    const found = packed.tensors.get(name);
    if (!found) throw refuse('E_CHECKPOINT_MISSING', name, 'is missing; the config in the file requires it');
    const { layout } = found;
    if (layout.rows === rows && layout.columns === columns && found.role === role) continue;
    const got = `is a ${found.role} [${layout.rows}, ${layout.columns}]`;
    throw refuse('E_CHECKPOINT_SHAPE', name, `${got}; the config in the file requires a ${role} [${rows}, ${columns}]`);
  }
  for (const name of packed.tensors.keys()) {
    if (!names.has(name))
      throw refuse('E_CHECKPOINT_UNEXPECTED', name, 'is not part of the model that the config describes');
  }
}
