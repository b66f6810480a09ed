// The tiny checkpoints of every family that scripts/golden/families.py writes, and what transformers makes of them.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readSafetensors, readTensor } from '../../src/checkpoint/index.js';
import type { Windows } from '../../src/text/index.js';

const root = fileURLToPath(new URL('../golden/families/', import.meta.url));

/** Names of the checkpoints. */
export const goldenCases: readonly string[] = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name);

/** The `model_type` of a checkpoint. */
export const goldenFamily = (name: string): string =>
  JSON.parse(readFileSync(join(root, name, 'config.json'), 'utf8')).model_type;

export const goldenDir = (name: string): string => join(root, name);

export type Golden = {
  readonly windows: Windows;
  /** [windows · T, V], of the model and of what Wanda left of it. */
  readonly logits: Float32Array;
  readonly prunedLogits: Float32Array;
  /** SHA-256 of each linear's mask, a byte a weight, by block and the module's name in it. */
  readonly masks: Readonly<Record<string, string>>;
};

export async function readGolden(name: string): Promise<Golden> {
  const dir = goldenDir(name);
  const { tensors, metadata } = await readSafetensors(join(dir, 'golden.safetensors'));
  const holder = { dir, config: {}, tensors, shards: [], files: [] };
  const [B, T] = tensors.get('input_ids')!.shape as [number, number];
  const ids = new BigInt64Array((await readTensor(holder, 'input_ids')).buffer);
  const windows = Array.from({ length: B }, (_, b) => Int32Array.from(ids.subarray(b * T, (b + 1) * T), Number));
  const read = async (tensor: string) => new Float32Array((await readTensor(holder, tensor)).buffer);
  return {
    windows: { length: T, windows },
    logits: await read('logits'),
    prunedLogits: await read('pruned_logits'),
    masks: JSON.parse(metadata.masks!) as Record<string, string>,
  };
}

/** The largest difference of two arrays of one length. */
export function furthest(got: Float32Array, expected: Float32Array): number {
  if (got.length !== expected.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  for (const [i, value] of got.entries()) largest = Math.max(largest, Math.abs(value - expected[i]!));
  return largest;
}
