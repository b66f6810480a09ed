// A program as dispatches: pure data, made once. Each has its kernel (of a linear one for each number of tokens that share
// its weights), its places, and how its workgroups follow from the rows of a step. Their order is the program's; between two
// dispatches WebGPU makes writes visible.

import {
  activateKernel,
  addKernel,
  attendKernel,
  chooseKernel,
  combineKernel,
  copyKernel,
  type Kernel,
  linearGroups,
  linearKernel,
  lookKernel,
  normKernel,
  type Parameters,
  pickKernel,
  quantiseKernel,
  rotateKernel,
  scaleKernel,
  sortKernel,
  TOKEN_TILES,
} from '../../gpu/portable.js';
import type { Limits } from '../backend.js';
import type { Operation, Program, Value } from '../program.js';
import type { Placement } from './placement.js';

export type Dispatch = {
  /** One for each of TOKEN_TILES where `y` is `tiles`, otherwise one. */
  readonly kernels: readonly Kernel[];
  readonly parameters: Parameters;
  readonly shard: number;
  readonly block: number;
  readonly space: 'tokens' | 'picked';
  /** Rows for each token of the step. */
  readonly perToken: number;
  readonly x: number;
  /** Workgroups along y: a row each, a tile of tokens each, or one. */
  readonly y: 'rows' | 'tiles' | 'one';
};

type OperationOf<K extends Operation['kind']> = Operation & { readonly kind: K };
type Context = {
  readonly program: Program;
  readonly placement: Placement;
  readonly limits: Limits;
  readonly threads: number;
  readonly space: Dispatch['space'];
  readonly block: number;
};

/** The dispatches of a step; `space` says which are the head's, of picked tokens. */
export function planDispatches(
  program: Program,
  placement: Placement,
  limits: Limits,
  threads: number,
): readonly Dispatch[] {
  const of = (operations: readonly Operation[], space: Dispatch['space'], block: number): Dispatch[] =>
    operations.flatMap((one) => dispatchesOf({ program, placement, limits, threads, space, block }, one));
  return [
    ...of(program.embed, 'tokens', 0),
    ...program.blocks.flatMap((operations, block) => of(operations, 'tokens', block)),
    ...of(program.head, 'picked', 0),
  ];
}

function dispatchesOf(context: Context, operation: Operation): readonly Dispatch[] {
  const { placement, threads } = context;
  const { step, routes } = placement;
  switch (operation.kind) {
    case 'norm':
      return [norm(context, operation)];
    case 'quantise': {
      const q = placement.quantised[operation.q]!;
      const kernel = quantiseKernel(threads, operation.x.width, q.copies);
      return [
        perRow(context, kernel, operation.x, 1, { ...from(context, operation.x), ...integers(context, operation.q) }),
      ];
    }
    case 'linear':
      return [linear(context, operation)];
    case 'route':
      return route(context, operation);
    case 'gather':
      return [wide(context, pickKernel(threads, operation.x.width), operation, operation.y, { a: routes.tokens })];
    case 'experts':
      // An expert has at most all tokens of a step; those of its workgroups that have none end at once.
      return operation.weights.map((weight, expert) => multiply(context, operation, weight, { expert }));
    case 'combine': {
      const { perToken } = context.program.buffers[operation.x.buffer]!;
      const own = { wide: routes.rows, turned: routes.shares };
      return [wide(context, combineKernel(threads, operation.y.width, perToken), operation, operation.y, own)];
    }
    case 'activate': {
      const { activation, x, up } = operation;
      const kernel = activateKernel(threads, x.width, activation, up !== undefined);
      const factor = up ? { a: at(context, up), as: stride(context, up) } : {};
      return [wide(context, kernel, operation, x, factor)];
    }
    case 'rotate':
      return [rotate(context, operation)];
    case 'store':
      return [store(context, operation)];
    case 'attend':
      return [attend(context, operation)];
    case 'look': {
      const { layout, parts, shard } = placement.tensors.get(operation.table)!;
      const a = operation.by === 'token' ? step.ids : step.places;
      const more = { w0: parts[0]!, s: parts[1] ?? 0, a, ...to(context, operation.y) };
      return [
        {
          ...perRow(context, lookKernel(threads, layout), operation.y, columns(context, operation.y.width), more),
          shard,
        },
      ];
    }
    case 'pick':
      return [wide(context, pickKernel(threads, operation.x.width), operation, operation.y, { a: step.picks })];
    case 'scale':
      return [wide(context, scaleKernel(threads, operation.x.width, operation.factor), operation, operation.x)];
    case 'copy':
      return [wide(context, copyKernel(threads, operation.x.width), operation, operation.x)];
    case 'add':
      return [wide(context, addKernel(threads, operation.x.width), operation, operation.x)];
    default:
      return operation satisfies never;
  }
}

const at = ({ placement }: Context, { buffer, offset }: Value): number => placement.buffers[buffer]! + offset;
const stride = ({ program }: Context, { buffer }: Value): number => program.buffers[buffer]!.width;
const from = (context: Context, x: Value): Parameters => ({ x: at(context, x), xs: stride(context, x) });
const to = (context: Context, y: Value): Parameters => ({ y: at(context, y), ys: stride(context, y) });
const columns = ({ threads }: Context, width: number): number => Math.ceil(width / threads);

function integers({ placement }: Context, q: number): Parameters {
  const { packed, turned, wide, packedStride, wideStride, scales } = placement.quantised[q]!;
  return { packed, turned, wide, packedStride, wideStride, scales };
}

/** A workgroup a row, `x` of them side by side. */
const perRow = (
  { space, block }: Context,
  kernel: Kernel,
  rows: Value,
  x: number,
  parameters: Parameters,
): Dispatch => ({
  kernels: [kernel],
  ...{ parameters, space, block, x },
  shard: 0,
  perToken: rows.routed ?? 1,
  y: 'rows',
});

/** A thread a number of a row. */
const wide = (
  context: Context,
  kernel: Kernel,
  { x, y }: { readonly x: Value; readonly y: Value },
  rows: Value,
  more: Parameters = {},
): Dispatch =>
  perRow(context, kernel, rows, columns(context, y.width), { ...from(context, x), ...to(context, y), ...more });

function norm(context: Context, operation: OperationOf<'norm'>): Dispatch {
  const { placement, threads } = context;
  const { norm: kind, x, y, heads, weight, bias, epsilon } = operation;
  const vector = (name: string | undefined): number => (name === undefined ? 0 : placement.vectors.get(name)!.at);
  const shape = {
    ...{ layer: kind === 'layer', width: x.width / heads, epsilon },
    ...{ weight: weight !== undefined, bias: bias !== undefined },
  };
  const more = { a: vector(weight), bias: vector(bias) };
  return perRow(context, normKernel(threads, shape), x, heads, { ...from(context, x), ...to(context, y), ...more });
}

type Product = Pick<OperationOf<'linear'>, 'x' | 'q' | 'y'>;
/** What a product has beside its weight: a bias and what it is added to, or the expert whose rows it takes. */
type Beside = Partial<Pick<OperationOf<'linear'>, 'bias' | 'addTo'>> & { readonly expert?: number };

const linear = (context: Context, operation: OperationOf<'linear'>): Dispatch =>
  multiply(context, operation, operation.weight, { bias: operation.bias, addTo: operation.addTo });

function multiply(context: Context, { x, q, y }: Product, weight: string, { bias, addTo, expert }: Beside): Dispatch {
  const { placement, threads, space, block } = context;
  const { layout, parts, shard } = placement.tensors.get(weight)!;
  const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = parts;
  const shape = { layout, threads, bias: bias !== undefined, adds: addTo !== undefined, expert: expert !== undefined };
  return {
    kernels: TOKEN_TILES.map((tokens) => linearKernel({ ...shape, tokens })),
    parameters: {
      ...from(context, x),
      ...to(context, y),
      // Scales are the last part of integers.
      ...{ w0, w1, w2, w3, s: layout.values === 'f32' ? 0 : parts.at(-1)! },
      ...(q === undefined ? {} : integers(context, q)),
      ...(bias === undefined ? {} : { bias: placement.vectors.get(bias)!.at }),
      ...(addTo ? { a: at(context, addTo), as: stride(context, addTo) } : {}),
      ...(expert === undefined
        ? { count: placement.step.at + (space === 'tokens' ? 0 : 1) }
        : { expert: placement.routes.starts + expert }),
    },
    ...{ shard, block, space },
    perToken: 1,
    x: linearGroups(layout),
    y: 'tiles',
  };
}

function route(context: Context, { logits, mixture }: OperationOf<'route'>): readonly Dispatch[] {
  const { placement, threads, limits } = context;
  const { starts, tokens, rows, shares } = placement.routes;
  const parameters = {
    ...from(context, logits),
    ...{ a: starts, packed: tokens, wide: rows, turned: shares, count: placement.step.at },
  };
  const one = (kernel: Kernel, x: number): Dispatch => ({
    ...perRow(context, kernel, logits, x, parameters),
    y: 'one',
  });
  return [one(chooseKernel(threads, mixture), columns(context, limits.tokens)), one(sortKernel(threads, mixture), 1)];
}

function headShape({ program, block }: Context, operation: OperationOf<'rotate' | 'store'>) {
  const { pitch, rope } = operation;
  const heads = operation.kind === 'rotate' ? operation.heads : program.widths[block]!.kvHeads;
  return { heads, size: program.headDim, rotary: rope === undefined ? 0 : program.ropes[rope]!.dims, pitch };
}

function rotation({ placement }: Context, rope: number | undefined): Parameters {
  const { positions, sequences } = placement.step;
  const tables = rope === undefined ? {} : placement.ropes[rope]!;
  return { ...tables, positions, sequences };
}

function rotate(context: Context, operation: OperationOf<'rotate'>): Dispatch {
  const shape = headShape(context, operation);
  const parameters = {
    ...from(context, operation.x),
    ...to(context, operation.y),
    ...rotation(context, operation.rope),
  };
  const kernel = rotateKernel(context.threads, shape, undefined);
  return perRow(context, kernel, operation.x, columns(context, shape.heads * shape.size), parameters);
}

function store(context: Context, operation: OperationOf<'store'>): Dispatch {
  const { positions, sequences } = context.limits;
  const shape = headShape(context, operation);
  const width = shape.heads * shape.size;
  const s = operation.what === 'keys' ? 0 : sequences * positions * width;
  const parameters = { ...from(context, operation.x), ...rotation(context, operation.rope), s };
  const kernel = rotateKernel(context.threads, shape, { positions });
  return perRow(context, kernel, operation.x, columns(context, width), parameters);
}

function attend(context: Context, { q, y, window }: OperationOf<'attend'>): Dispatch {
  const { program, limits, threads, block } = context;
  const { headDim: size } = program;
  const { heads, kvHeads } = program.widths[block]!;
  const { scale, cap = 0 } = program.attention;
  const { positions, sequences } = limits;
  const shape = { size, kvHeads, shared: heads / kvHeads, positions, sequences, window, scale, cap };
  const parameters = { ...from(context, q), ...to(context, y), ...rotation(context, undefined) };
  return perRow(context, attendKernel(threads, shape), q, heads, parameters);
}
