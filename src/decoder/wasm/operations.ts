// Binds operations to addresses and kernels, for one thread: what each reads and writes, how threads divide it, and its
// run. Linears, attention and experts have their own files; all others are divided by rows.

import { InternalError } from '../../base/portable.js';
import type { LinearLayout } from '../../layouts/portable.js';
import type { Operation } from '../program.js';
import { bindAttend, bindRotate, bindStore } from './bind-attention.js';
import { bindCombine, bindExperts, bindGather, bindRoute } from './bind-experts.js';
import { bindLinear } from './bind-linear.js';
import {
  type Binding,
  type BoundOperation,
  bufferName,
  integersName,
  moved,
  type OperationOf,
  ranged,
  rowCount,
  rowShare,
  rowsOf,
  shareOf,
} from './binding.js';

export function bindOperation(binding: Binding, operation: Operation): BoundOperation {
  switch (operation.kind) {
    case 'norm':
      return bindNorm(binding, operation);
    case 'quantise':
      return bindQuantise(binding, operation);
    case 'linear':
      return bindLinear(binding, operation);
    case 'route':
      return bindRoute(binding, operation);
    case 'gather':
      return bindGather(binding, operation);
    case 'experts':
      return bindExperts(binding, operation);
    case 'combine':
      return bindCombine(binding, operation);
    case 'activate':
      return bindActivate(binding, operation);
    case 'rotate':
      return bindRotate(binding, operation);
    case 'store':
      return bindStore(binding, operation);
    case 'attend':
      return bindAttend(binding, operation);
    case 'look':
      return bindLook(binding, operation);
    case 'pick':
      return bindPick(binding, operation);
    case 'scale':
      return bindScale(binding, operation);
    case 'copy':
      return bindCopy(binding, operation);
    case 'add':
      return bindAdd(binding, operation);
    default:
      return operation satisfies never;
  }
}

function bindNorm(binding: Binding, operation: OperationOf<'norm'>): BoundOperation {
  const { placement, kernels } = binding;
  const { heads, epsilon, norm, weight, bias } = operation;
  const [x, y] = [rowsOf(binding, operation.x), rowsOf(binding, operation.y)];
  const count = operation.x.width / heads;
  const vectors = {
    weight: weight === undefined ? placement.ones : placement.tensors[weight]!.parts[0]!,
    bias: bias === undefined ? 0 : placement.tensors[bias]!.parts[0]!,
  };
  const calls = Array.from({ length: heads }, (_, head) => {
    return ranged({ x: moved(x, head * count), y: moved(y, head * count), count, epsilon, ...vectors });
  });
  const normalise = norm === 'layer' ? kernels.normaliseLayer : kernels.normalise;
  return {
    reads: [bufferName(operation.x)],
    writes: [bufferName(operation.y)],
    share: rowShare(operation.x),
    run: (step) => {
      const range = shareOf(rowCount(binding, step, operation.x), binding);
      for (const call of calls) normalise(call(range));
    },
  };
}

function bindQuantise(binding: Binding, operation: OperationOf<'quantise'>): BoundOperation {
  const x = rowsOf(binding, operation.x);
  const y = binding.placement.quantised[operation.q]!;
  const call = ranged({ x, y, count: operation.x.width });
  return {
    reads: [bufferName(operation.x)],
    writes: [integersName(operation.q)],
    share: rowShare(operation.x),
    run: (step) => binding.kernels.quantise(call(shareOf(rowCount(binding, step, operation.x), binding))),
  };
}

/** Divided by columns where there are fewer rows than threads: of these operations, only this one takes long. */
function bindActivate(binding: Binding, operation: OperationOf<'activate'>): BoundOperation {
  const { activation, up } = operation;
  const [x, y] = [rowsOf(binding, operation.x), rowsOf(binding, operation.y)];
  const factor = up && rowsOf(binding, up);
  const { width } = operation.x;
  const activate = (row: number, from: number, to: number): void =>
    binding.kernels.activate({
      activation,
      x: x.address + row * x.stride,
      up: factor ? factor.address + row * factor.stride : 0,
      y: y.address + row * y.stride,
      from,
      to,
    });
  const columns = shareOf(width, binding, 16);
  return {
    reads: [bufferName(operation.x), ...(up ? [bufferName(up)] : [])],
    writes: [bufferName(operation.y)],
    share: binding.wide ? rowShare(operation.x) : 'columns',
    run: (step) => {
      const count = rowCount(binding, step, operation.x);
      const rows = binding.wide ? shareOf(count, binding) : { from: 0, to: count };
      const { from, to } = binding.wide ? { from: 0, to: width } : columns;
      for (let row = rows.from; row < rows.to; row++) activate(row, from, to);
    },
  };
}

/** Files with other tables are refused when they are opened. */
function tableValues(table: string, { values }: LinearLayout): 'f32' | 'int8' | 'int4' {
  if (values === 'f32' || values === 'int8' || values === 'int4') return values;
  throw new InternalError('E_INTERNAL_PROGRAM', `Table ${table} is stored in ${values}; please report this.`);
}

function bindLook(binding: Binding, operation: OperationOf<'look'>): BoundOperation {
  const { placement, kernels } = binding;
  const { layout, parts } = placement.tensors[operation.table]!;
  const call = {
    values: tableValues(operation.table, layout),
    table: parts[0]!,
    scales: parts[1] ?? 0,
    tokens: operation.by === 'token' ? placement.tokenIds : placement.tokenPlaces,
    y: rowsOf(binding, operation.y),
    count: operation.y.width,
  };
  return {
    reads: [],
    writes: [bufferName(operation.y)],
    share: 'tokens',
    run: (step) => kernels.look({ ...call, ...shareOf(step.tokens, binding) }),
  };
}

/**
 * The residual is a table whose rows are the tokens of the pass. All threads have met since it was written
 * (machine.ts).
 */
function bindPick(binding: Binding, operation: OperationOf<'pick'>): BoundOperation {
  const { placement, kernels } = binding;
  const call = {
    values: 'f32' as const,
    table: rowsOf(binding, operation.x).address,
    tokens: placement.picks,
    y: rowsOf(binding, operation.y),
    count: operation.x.width,
  };
  return {
    reads: [bufferName(operation.x)],
    writes: [bufferName(operation.y)],
    share: 'tokens',
    run: (step) => kernels.look({ ...call, ...shareOf(step.picked, binding) }),
  };
}

/** Runs once per pass, on rows as wide as the residual: plain TypeScript is fast enough. */
function bindScale(binding: Binding, operation: OperationOf<'scale'>): BoundOperation {
  const [x, y] = [rowsOf(binding, operation.x), rowsOf(binding, operation.y)];
  const { factor } = operation;
  const { width } = operation.x;
  return {
    reads: [bufferName(operation.x)],
    writes: [bufferName(operation.y)],
    share: rowShare(operation.x),
    run: (step) => {
      const { from, to } = shareOf(rowCount(binding, step, operation.x), binding);
      for (let row = from; row < to; row++) {
        const source = binding.floats(x.address + row * x.stride, width);
        const target = binding.floats(y.address + row * y.stride, width);
        for (let i = 0; i < width; i++) target[i] = source[i]! * factor;
      }
    },
  };
}

function bindCopy(binding: Binding, operation: OperationOf<'copy'>): BoundOperation {
  const { placement, kernels } = binding;
  const [x, y] = [rowsOf(binding, operation.x), rowsOf(binding, operation.y)];
  const nothing = { rotary: 0, cosines: 0, sines: 0, positions: placement.tokenPositions };
  const call = { x, y, heads: 1, size: operation.x.width, ...nothing };
  return {
    reads: [bufferName(operation.x)],
    writes: [bufferName(operation.y)],
    share: rowShare(operation.x),
    run: (step) => kernels.rotate({ ...call, ...shareOf(rowCount(binding, step, operation.x), binding) }),
  };
}

function bindAdd(binding: Binding, operation: OperationOf<'add'>): BoundOperation {
  const [x, y] = [rowsOf(binding, operation.x), rowsOf(binding, operation.y)];
  const { width } = operation.x;
  return {
    reads: [bufferName(operation.x), bufferName(operation.y)],
    writes: [bufferName(operation.y)],
    share: rowShare(operation.x),
    run: (step) => {
      const { from, to } = shareOf(rowCount(binding, step, operation.x), binding);
      for (let row = from; row < to; row++) {
        binding.kernels.add({ y: y.address + row * y.stride, x: x.address + row * x.stride, from: 0, to: width });
      }
    },
  };
}
