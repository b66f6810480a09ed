// Binds a linear to addresses: threads share row groups, and add their own rows to the residual.

import { TILE_ROWS } from '../../layouts/portable.js';
import {
  type Binding,
  type BoundOperation,
  bufferName,
  integersName,
  type OperationOf,
  rowCount,
  rowsOf,
  shareOf,
} from './binding.js';

export function bindLinear(binding: Binding, operation: OperationOf<'linear'>): BoundOperation {
  const { placement, kernels, thread } = binding;
  const { layout, parts } = placement.tensors[operation.weight]!;
  const bias = operation.bias === undefined ? 0 : placement.tensors[operation.bias]!.parts[0]!;
  const linear = kernels.bindLinear(layout, parts, bias);
  const x = operation.q === undefined ? rowsOf(binding, operation.x) : placement.quantised[operation.q]!;
  const y = rowsOf(binding, operation.y);
  const target = operation.addTo && rowsOf(binding, operation.addTo);
  const { sums } = placement.scratch[thread.index]!;
  const range = shareOf(linear.groups, binding);
  const first = range.from * TILE_ROWS;
  const count = Math.min(range.to * TILE_ROWS, linear.rows) - first;
  return {
    reads: [operation.q === undefined ? bufferName(operation.x) : integersName(operation.q)],
    writes: [bufferName(operation.y), ...(operation.addTo ? [bufferName(operation.addTo)] : [])],
    share: 'rows',
    run: (step) => {
      if (count <= 0) return;
      const tokens = rowCount(binding, step, operation.x);
      linear.multiply({ x, y, tokens, sums, ...range });
      if (!target) return;
      for (let row = 0; row < tokens; row++) {
        const to = target.address + row * target.stride + 4 * first;
        kernels.add({ y: to, x: y.address + row * y.stride + 4 * first, from: 0, to: count });
      }
    },
  };
}
