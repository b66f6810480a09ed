// The tiny checkpoints of every family that scripts/golden/families.py writes, and what transformers makes of them.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readSafetensors, readTensor } from '../../src/checkpoint/index.js';
import type { HostTensor } from '../../src/engine/index.js';
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

/** Names of the checkpoints with golden gradients. */
export const goldenGradientCases: readonly string[] = readdirSync(
  fileURLToPath(new URL('../golden/gradients/', import.meta.url)),
).map((file) => file.replace('.safetensors', ''));

export type GoldenGradients = {
  readonly block: number;
  readonly tensors: ReadonlyMap<string, HostTensor>;
  /** Of the whole model on the golden windows: the mean loss, and the norms of its gradients by tensor. */
  readonly loss: { readonly nll: number; readonly norms: Readonly<Record<string, number>> };
};

/** What scripts/golden/block_gradients.py wrote. */
export async function readGoldenGradients(name: string): Promise<GoldenGradients> {
  const dir = fileURLToPath(new URL('../golden/gradients', import.meta.url));
  const { tensors, metadata } = await readSafetensors(join(dir, `${name}.safetensors`));
  const holder = { dir, config: {}, tensors, shards: [], files: [] };
  const read = async (info: { name: string; dtype: string; shape: readonly number[] }): Promise<HostTensor> => {
    const { buffer } = await readTensor(holder, info.name);
    return info.dtype === 'I64'
      ? { type: 'i64', shape: info.shape, data: new BigInt64Array(buffer as ArrayBuffer) }
      : { type: 'f32', shape: info.shape, data: new Float32Array(buffer as ArrayBuffer) };
  };
  const all = await Promise.all([...tensors.values()].map(async (info) => [info.name, await read(info)] as const));
  return { block: Number(metadata.block), tensors: new Map(all), loss: JSON.parse(metadata.loss!) };
}
