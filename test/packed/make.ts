// Checkpoints of a few linears for tests of packing, and a packed file taken apart by hand.

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createRng, silent } from '../../src/base/index.js';
import { openCheckpoint, writeSafetensors } from '../../src/checkpoint/index.js';
import type { EncodedLinear } from '../../src/layouts/index.js';
import {
  type PackedModel,
  type PackedTensor,
  type PackSettings,
  type PackSource,
  partOffsets,
  writePacked,
} from '../../src/packed/index.js';
import { type DType, fromFloat32 } from '../../src/tensor/index.js';
import { makeCheckpoint, makeDir } from '../checkpoint/make.js';

export type Matrix = {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  readonly data: Float32Array;
  readonly role?: PackedTensor['role'];
};

export const INT8: PackSettings = { values: 'int8', layout: 'auto', head: 'int8' };
export const INT4: PackSettings = { values: 'int4', layout: 'auto', head: 'int8' };
export const F32: PackSettings = { values: 'f32', layout: 'auto', head: 'f32' };

/** A checkpoint that holds these matrices, as a source to pack. */
export async function makeSource(matrices: readonly Matrix[], dtype: DType = 'F32'): Promise<PackSource> {
  const dir = await makeCheckpoint({ 'tokenizer.json': { model: { vocab: {} } } });
  await writeSafetensors(
    join(dir, 'model.safetensors'),
    matrices.map(({ name, rows, columns, data, role }) => ({
      name,
      dtype,
      shape: role === 'vector' ? [columns] : [rows, columns],
      read: async () => fromFloat32(data, dtype),
    })),
  );
  const tensors = matrices.map(({ name, rows, columns, role = 'linear' }) => ({
    name,
    role,
    rows,
    columns,
    block: role === 'linear' ? 0 : undefined,
    transposed: false,
  }));
  return { checkpoint: await openCheckpoint(dir), tensors };
}

/** Packs matrices into a file and returns its path. */
export async function packMatrices(matrices: readonly Matrix[], settings: PackSettings): Promise<string> {
  const path = join(await makeDir(), 'model.lw');
  await writePacked(path, await makeSource(matrices), settings, silent);
  return path;
}

/** Values of about 1; the first `kept` of `of` columns by a random order stay in each group, or each with the chance `share`. */
export function randomMatrix(
  rows: number,
  columns: number,
  zeros: { readonly kept: number; readonly of: number } | { readonly share: number },
  seed = 1,
): Float32Array {
  const rng = createRng(seed);
  const data = Float32Array.from({ length: rows * columns }, () => (rng.uniform() - 0.5) * 2 + 1e-3);
  if ('share' in zeros) return data.map((value) => (rng.uniform() < zeros.share ? 0 : value));
  const { kept, of } = zeros;
  for (let row = 0; row < rows; row++) {
    for (let first = 0; first < columns; first += of) {
      const group = Array.from({ length: Math.min(of, columns - first) }, (_, i) => i);
      group.sort((a, b) => Math.abs(data[row * columns + first + a]!) - Math.abs(data[row * columns + first + b]!));
      for (const i of group.slice(0, Math.max(0, group.length - kept))) data[row * columns + first + i] = 0;
    }
  }
  return data;
}

/** A tensor of a packed model, from the memory that its weights were read into. */
export function takeTensor(packed: PackedModel, memory: Uint8Array, name: string): EncodedLinear {
  const tensor = packed.tensors.get(name)!;
  const offsets = partOffsets(tensor);
  return {
    layout: tensor.layout,
    parts: tensor.layout.parts.map(({ bytes }, i) => new Uint8Array(memory.subarray(offsets[i]!, offsets[i]! + bytes))),
  };
}

/** Everything after the preamble stays, and the preamble's lengths and hash are made to fit a new directory. */
export function withDirectory(file: Buffer, directory: string | Buffer): Buffer {
  const offset = Number(file.readBigUInt64LE(24));
  const bytes = Buffer.from(directory);
  const changed = Buffer.concat([file.subarray(0, offset), bytes]);
  changed.writeBigUInt64LE(BigInt(changed.length), 16);
  changed.writeBigUInt64LE(BigInt(bytes.length), 32);
  createHash('sha256').update(bytes).digest().copy(changed, 40);
  return changed;
}

export const directoryOf = (file: Buffer): string => file.subarray(Number(file.readBigUInt64LE(24))).toString();

export async function readBuffer(path: string): Promise<Buffer> {
  return await readFile(path);
}
