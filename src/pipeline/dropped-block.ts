// A block that a plan leaves out, while trials run. All weights and biases of its linears are zeros, so it adds nothing to the
// residual, as if it were not there, and everything that reads block files works as ever. The finished checkpoint does not
// have it (api/remove-blocks.ts).

import type { TensorEdit } from '../checkpoint/index.js';
import { blockTensorNames, type Model, unitOf, weightName } from '../model/index.js';
import { treatmentOf } from '../plan/index.js';
import type { Plan } from '../records/index.js';
import { bytesPerElement } from '../tensor/index.js';
import type { TreatedBlock } from './block-file.js';

/** Whether a plan leaves out a block. */
export const isDropped = (model: Model, plan: Plan, block: number): boolean =>
  model.linears[block]!.every((linear) => treatmentOf(plan, unitOf(linear))?.drop === true);

export function emptyBlock(model: Model, block: number): TreatedBlock {
  const weights = new Set(model.linears[block]!.map(weightName));
  const names = blockTensorNames(model, block).filter((name) => weights.has(name) || name.endsWith('.bias'));
  const edits = names.map((name): readonly [string, TensorEdit] => {
    const { dtype, shape } = model.checkpoint.tensors.get(name)!;
    const bytes = shape.reduce((a, b) => a * b, 1) * bytesPerElement(dtype);
    return [name, { name, dtype, shape, read: async () => new Uint8Array(bytes) }];
  });
  return { edits: new Map(edits), notes: { damping: {}, unseen: [] } };
}
