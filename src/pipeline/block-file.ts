// One pruned block as a safetensors file: all tensors of the block, pruned linears with zeros, everything else as it
// was, dtypes unchanged. A graph reads it in place; a killed run finds its finished blocks by these files.

import { access } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { readSafetensors, readTensor, writeSafetensors } from '../checkpoint/index.js';
import { type BlockSource, blockTensorNames, inPlace, type Model, TAP_OF } from '../model/index.js';
import type { Criterion, Mask, Pattern } from '../operate/index.js';
import type { SquareSums } from '../profile/index.js';
import { type DType, toFloat32 } from '../tensor/index.js';

export const blockPath = (dir: string, block: number): string =>
  join(dir, `block-${String(block).padStart(5, '0')}.safetensors`);

export const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** The tensors of a block file, as a graph's source. */
export async function blockFileSource(path: string): Promise<BlockSource> {
  const { tensors } = await readSafetensors(path);
  return { folder: dirname(path), find: (name) => inPlace(tensors.get(name)!) };
}

/** The bytes of one tensor of a block file. */
export async function readBlockTensor(model: Model, path: string, name: string): Promise<Uint8Array> {
  const { tensors } = await readSafetensors(path);
  return await readTensor({ ...model.checkpoint, dir: dirname(path), tensors }, name);
}

export type BlockPruning = {
  readonly criterion: Criterion;
  readonly pattern: Pattern;
  /** How many weights of each linear go. */
  readonly counts: ReadonlyMap<string, number>;
  readonly squareSums: SquareSums | undefined;
  readonly sequences: number;
};

/** Prunes every linear of a block of the checkpoint and writes the block's file, whole or not at all. */
export async function writePrunedBlock(
  model: Model,
  block: number,
  pruning: BlockPruning,
  path: string,
): Promise<void> {
  const { checkpoint } = model;
  const linears = new Map(model.linears[block]!.map((linear) => [`${linear.name}.weight`, linear]));
  const tensors = blockTensorNames(model, block).map((name) => {
    const { dtype, shape } = checkpoint.tensors.get(name)!;
    const linear = linears.get(name);
    const read = async (): Promise<Uint8Array> => {
      const bytes = await readTensor(checkpoint, name);
      if (!linear) return bytes;
      const { rows, columns, kind } = linear;
      const W = { rows, columns, data: toFloat32(bytes, dtype) };
      const sums = pruning.squareSums?.[TAP_OF[kind]];
      const statistics = sums && { squareSums: sums, sequences: pruning.sequences };
      const mask = pruning.criterion.mask(W, pruning.counts.get(linear.name)!, pruning.pattern, statistics);
      zeroMasked(bytes, dtype, mask);
      return bytes;
    };
    return { name, dtype, shape, read };
  });
  await writeSafetensors(path, tensors, { format: 'pt' });
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
