// model.safetensors.index.json for tensors that were renamed, changed or removed.

import { join } from 'node:path';
import { readDocument } from '../base/index.js';
import { elementCount } from '../tensor/index.js';
import { isObject, type JsonObject } from './json.js';
import { type Checkpoint, INDEX, MAX_INDEX } from './open.js';
import type { TensorInfo } from './safetensors.js';

/** What an index counts of a tensor: its name, bytes and shape. */
export type Outline = { readonly name: string; readonly length: number; readonly shape: readonly number[] };

/** The source's index with what `outlinesOf` makes of its tensors; totals are counted again where they were given. */
export async function formatIndex(
  source: Checkpoint,
  outlinesOf: (tensor: TensorInfo) => readonly Outline[],
): Promise<string> {
  const index = JSON.parse(await readDocument(join(source.dir, INDEX), MAX_INDEX)) as JsonObject;
  const map: Record<string, string> = {};
  let [bytes, parameters] = [0, 0];
  for (const tensor of source.tensors.values()) {
    for (const { name, length, shape } of outlinesOf(tensor)) {
      map[name] = tensor.file;
      bytes += length;
      parameters += elementCount(shape);
    }
  }
  const totals = new Map([
    ['total_size', bytes],
    ['total_parameters', parameters],
  ]);
  const metadata =
    isObject(index.metadata) &&
    Object.fromEntries(Object.entries(index.metadata).map(([key, value]) => [key, totals.get(key) ?? value]));
  return `${JSON.stringify({ ...index, ...(metadata && { metadata }), weight_map: map }, null, 2)}\n`;
}
