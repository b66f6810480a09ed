// Binds attention to addresses. Threads share tokens to rotate the queries and to store keys and values in the caches
// of their sequences. Then threads share heads, and each takes one sequence's run of tokens after another.

import type { Rows, RuntimeKernels } from '../../kernels/index.js';
import {
  type Binding,
  type BoundOperation,
  bufferName,
  moved,
  type OperationOf,
  ranged,
  rowCount,
  rowsOf,
  shareOf,
} from './binding.js';

const NO_TABLES = { cosines: 0, sines: 0 };

type HeadCall = Omit<Parameters<RuntimeKernels['rotate']>[0], 'positions' | 'from' | 'to'>;

/**
 * Calls that copy heads of x, rotated or not, side by side into y: one call where x's heads are adjacent, else one per
 * head.
 */
function headCalls(
  { program, placement }: Binding,
  x: Rows,
  y: Rows,
  { heads, pitch, rope }: { readonly heads: number; readonly pitch: number; readonly rope: number | undefined },
): readonly HeadCall[] {
  const size = program.headDim;
  const tables = rope === undefined ? NO_TABLES : placement.ropes[rope]!;
  const rest = { size, rotary: rope === undefined ? 0 : program.ropes[rope]!.dims, ...tables };
  if (pitch === size) return [{ x, y, heads, ...rest }];
  return Array.from({ length: heads }, (_, head) => {
    return { x: moved(x, head * pitch), y: moved(y, head * size), heads: 1, ...rest };
  });
}

export function bindRotate(binding: Binding, operation: OperationOf<'rotate'>): BoundOperation {
  const { placement, kernels } = binding;
  const calls = headCalls(binding, rowsOf(binding, operation.x), rowsOf(binding, operation.y), operation).map((call) =>
    ranged({ ...call, positions: placement.tokenPositions }),
  );
  return {
    reads: [bufferName(operation.x)],
    writes: [bufferName(operation.y)],
    share: 'tokens',
    run: (step) => {
      const range = shareOf(rowCount(binding, step, operation.x), binding);
      for (const call of calls) kernels.rotate(call(range));
    },
  };
}

export function bindStore(binding: Binding, operation: OperationOf<'store'>): BoundOperation {
  const { program, placement, kernels, block } = binding;
  const cache = placement.caches[block]![operation.what];
  const x = rowsOf(binding, operation.x);
  const { kvHeads } = program.widths[block]!;
  const stride = 4 * kvHeads * program.headDim;
  const calls = headCalls(binding, x, { address: 0, stride }, { ...operation, heads: kvHeads });
  return {
    reads: [bufferName(operation.x)],
    writes: [operation.what],
    share: 'tokens',
    run: (step) => {
      const share = shareOf(rowCount(binding, step, operation.x), binding);
      for (const { sequence, start, from, count } of step.runs) {
        const range = { from: Math.max(share.from - from, 0), to: Math.min(share.to - from, count) };
        if (range.from >= range.to) continue;
        const target = cache + (sequence * placement.positions + start) * stride;
        const positions = placement.tokenPositions + 4 * from;
        for (const { x: head, y, heads, size, rotary, cosines, sines } of calls) {
          const source = { address: head.address + from * x.stride, stride: x.stride };
          const place = { address: target + y.address, stride };
          kernels.rotate({
            x: source,
            y: place,
            heads,
            size,
            rotary,
            cosines,
            sines,
            positions,
            from: range.from,
            to: range.to,
          });
        }
      }
    },
  };
}

export function bindAttend(binding: Binding, operation: OperationOf<'attend'>): BoundOperation {
  const { program, placement, kernels, thread, block } = binding;
  const { headDim: size } = program;
  const { heads, kvHeads } = program.widths[block]!;
  const { scale, cap = 0 } = program.attention;
  const [q, y] = [rowsOf(binding, operation.q), rowsOf(binding, operation.y)];
  const { keys, values } = placement.caches[block]!;
  const positionStride = 4 * kvHeads * size;
  const { scores } = placement.scratch[thread.index]!;
  const range = shareOf(heads, binding);
  const rest = { positionStride, headStride: 4 * size, size, shared: heads / kvHeads, scale, cap };
  return {
    reads: [bufferName(operation.q), 'keys', 'values'],
    writes: [bufferName(operation.y)],
    share: 'heads',
    run: (step) => {
      if (range.from === range.to) return;
      for (const { sequence, start, from, count } of step.runs) {
        const at = sequence * placement.positions * positionStride;
        kernels.attend({
          ...rest,
          q: { address: q.address + from * q.stride, stride: q.stride },
          keys: keys + at,
          values: values + at,
          y: { address: y.address + from * y.stride, stride: y.stride },
          start,
          tokens: count,
          window: operation.window,
          scores,
          ...range,
        });
      }
    },
  };
}
