// Binds experts to addresses. Every thread finds the routes of a pass's tokens by itself. Then rows are gathered, and
// threads share each expert's row groups as for a linear. An expert reads its weights once for all of its tokens;
// without tokens it reads nothing. A token's sum starts at the most probable of its experts, so it depends on nothing
// else.

import { InternalError } from '../../base/portable.js';
import {
  type Binding,
  type BoundOperation,
  bufferName,
  integersName,
  type OperationOf,
  rowCount,
  rowShare,
  rowsAfter,
  rowsOf,
  shareOf,
} from './binding.js';
import { findRoutes, type Routes } from './routes.js';

function routesOf({ routes }: Binding): Routes {
  if (!routes) throw new InternalError('E_INTERNAL_PROGRAM', 'Experts come before their router; please report this.');
  return routes;
}

export function bindRoute(binding: Binding, operation: OperationOf<'route'>): BoundOperation {
  const { mixture } = operation;
  const logits = rowsOf(binding, operation.logits);
  const routes = routesOf(binding);
  return {
    reads: [bufferName(operation.logits)],
    writes: [],
    share: 'all',
    run: (step) => {
      const rows = Array.from({ length: rowCount(binding, step, operation.logits) }, (_, row) =>
        binding.floats(rowsAfter(logits, row).address, mixture.experts),
      );
      findRoutes(rows, mixture, routes);
    },
  };
}

export function bindGather(binding: Binding, operation: OperationOf<'gather'>): BoundOperation {
  const [x, y] = [rowsOf(binding, operation.x), rowsOf(binding, operation.y)];
  const { width } = operation.x;
  const { tokens } = routesOf(binding);
  return {
    reads: [bufferName(operation.x)],
    writes: [bufferName(operation.y)],
    share: rowShare(operation.y),
    run: (step) => {
      const { from, to } = shareOf(rowCount(binding, step, operation.y), binding);
      for (let row = from; row < to; row++) {
        const source = binding.floats(rowsAfter(x, tokens[row]!).address, width);
        binding.floats(rowsAfter(y, row).address, width).set(source);
      }
    },
  };
}

export function bindExperts(binding: Binding, operation: OperationOf<'experts'>): BoundOperation {
  const { placement, kernels, thread } = binding;
  const [x, y] = [rowsOf(binding, operation.x), rowsOf(binding, operation.y)];
  const integers = operation.q === undefined ? undefined : placement.quantised[operation.q]!;
  const { sums } = placement.scratch[thread.index]!;
  const { starts } = routesOf(binding);
  const experts = operation.weights.map((weight) => {
    const { layout, parts } = placement.tensors[weight]!;
    const linear = kernels.bindLinear(layout, parts);
    return { linear, input: linear.quantised ? integers! : x, range: shareOf(linear.groups, binding) };
  });
  return {
    reads: [bufferName(operation.x), ...(operation.q === undefined ? [] : [integersName(operation.q)])],
    writes: [bufferName(operation.y)],
    share: 'rows',
    run: () => {
      for (const [expert, { linear, input, range }] of experts.entries()) {
        const [from, to] = [starts[expert]!, starts[expert + 1]!];
        if (from === to || range.from === range.to) continue;
        const tokens = to - from;
        linear.multiply({ x: rowsAfter(input, from), y: rowsAfter(y, from), tokens, sums, ...range });
      }
    },
  };
}

/**
 * Plain TypeScript is fast enough: with 128 experts of 768 rows of 2,048 it takes about a thirtieth of the experts'
 * time.
 */
export function bindCombine(binding: Binding, operation: OperationOf<'combine'>): BoundOperation {
  const [x, y] = [rowsOf(binding, operation.x), rowsOf(binding, operation.y)];
  const { width } = operation.x;
  const { perToken, rows, shares } = routesOf(binding);
  return {
    reads: [bufferName(operation.x)],
    writes: [bufferName(operation.y)],
    share: 'tokens',
    run: (step) => {
      const { from, to } = shareOf(rowCount(binding, step, operation.y), binding);
      for (let token = from; token < to; token++) {
        const sum = binding.floats(rowsAfter(y, token).address, width).fill(0);
        for (let i = token * perToken; i < (token + 1) * perToken; i++) {
          const made = binding.floats(rowsAfter(x, rows[i]!).address, width);
          const share = shares[i]!;
          for (let column = 0; column < width; column++) sum[column]! += share * made[column]!;
        }
      }
    },
  };
}
