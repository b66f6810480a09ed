// A program as dispatches: pure data, made once from its operations, those that share a dispatch together (fuse.ts). Each has
// its kernel (of a linear one for each number of tokens that share its weights), its places, and how its workgroups follow
// from the rows of a step. Between two dispatches WebGPU makes writes visible.

import {
  activateKernel,
  addKernel,
  attendKernel,
  chooseKernel,
  combineKernel,
  copyKernel,
  formOf,
  hasPrompt,
  headsKernel,
  type Kernel,
  LIKELIEST_GROUPS,
  type LinearShape,
  likeliestKernel,
  linearGroups,
  linearKernel,
  lookKernel,
  nameOf,
  nextKernel,
  normKernel,
  type Parameters,
  type PartParameter,
  pickKernel,
  promptShape,
  quantiseKernel,
  scaleKernel,
  sortKernel,
  TOKEN_TILES,
} from '../../gpu/portable.js';
import type { LinearLayout } from '../../layouts/portable.js';
import type { Limits } from '../backend.js';
import type { Operation, Program, Value } from '../program.js';
import { type Fused, fuse, type Heads, type OperationOf, separate } from './fuse.js';
import type { Placement } from './placement.js';

/** A kernel for so many rows, and its workgroups along x. */
export type Tile = { readonly kernel: Kernel; readonly tokens: number; readonly x: number };

export type Dispatch = {
  /** By rows of a workgroup along y, ascending. */
  readonly tiles: readonly [Tile, ...Tile[]];
  readonly parameters: Parameters;
  readonly shard: number;
  readonly block: number;
  readonly space: 'tokens' | 'picked';
  /** Rows for each token of the step. */
  readonly perToken: number;
  /** One workgroup along y has all rows. */
  readonly whole?: boolean;
};

type FusedOf<K extends Fused['kind']> = Fused & { readonly kind: K };
export type PlanOptions = {
  /** Threads of a workgroup, and of one that has a row for itself. */
  readonly threads: number;
  readonly rowThreads: number;
  /** Bytes of memory that a workgroup may have. */
  readonly memory: number;
  /** Whether operations share dispatches. */
  readonly fused: boolean;
};
type Context = PlanOptions & {
  readonly program: Program;
  readonly placement: Placement;
  readonly limits: Limits;
  readonly space: Dispatch['space'];
  readonly block: number;
};

/** Dispatches behind a step of one row a sequence that make the likeliest token of each its next input. */
export function planLikeliest(
  program: Program,
  { buffers, likeliest, step }: Placement,
  { threads, rowThreads }: PlanOptions,
): readonly Dispatch[] {
  const { buffer, offset } = program.logits;
  const parameters = {
    ...{ x: buffers[buffer]! + offset, xs: program.buffers[buffer]!.width, y: likeliest.pairs, a: likeliest.best },
    ...{ ids: step.ids, positions: step.positions, places: step.places },
  };
  const of = (kernel: Kernel, x: number): Dispatch => {
    return { tiles: [{ kernel, tokens: 1, x }], parameters, shard: 0, block: 0, space: 'picked', perToken: 1 };
  };
  const next = nextKernel(Math.min(rowThreads, LIKELIEST_GROUPS));
  return [of(likeliestKernel(threads, program.vocabulary), LIKELIEST_GROUPS), of(next, 1)];
}

/** The dispatches of a step; `space` says which are the head's, of picked tokens. */
export function planDispatches(
  program: Program,
  placement: Placement,
  limits: Limits,
  options: PlanOptions,
): readonly Dispatch[] {
  const alike = (one: string, other: string): boolean => {
    const [a, b] = [placement.tensors.get(one)!, placement.tensors.get(other)!];
    return a.shard === b.shard && formOf(a.layout) === formOf(b.layout);
  };
  const of = (operations: readonly Operation[], space: Dispatch['space'], block: number): Dispatch[] => {
    const context = { ...options, program, placement, limits, space, block };
    const joined = options.fused ? fuse(operations, alike) : separate(operations);
    return joined.flatMap((one) => dispatchesOf(context, one));
  };
  return [
    ...of(program.embed, 'tokens', 0),
    ...program.blocks.flatMap((operations, block) => of(operations, 'tokens', block)),
    ...of(program.head, 'picked', 0),
  ];
}

function dispatchesOf(context: Context, operation: Fused): readonly Dispatch[] {
  const { placement, threads, rowThreads } = context;
  const { step, routes } = placement;
  switch (operation.kind) {
    case 'normalise':
      return [normalise(context, operation)];
    case 'quantise': {
      const q = placement.quantised[operation.q]!;
      const kernel = quantiseKernel(rowThreads, operation.x.width, q.copies);
      return [
        perRow(context, kernel, operation.x, 1, { ...from(context, operation.x), ...integers(context, operation.q) }),
      ];
    }
    case 'linears':
      return [multiply(context, operation.linears, {})];
    case 'gated': {
      const { gate, up, activate } = operation;
      const activated = { activation: activate.activation, up: up !== undefined };
      const made = (one: Product): Product => ({ ...one, y: activate.y });
      return [multiply(context, up ? [made(gate), made(up)] : [made(gate)], { activated })];
    }
    case 'route':
      return route(context, operation);
    case 'gather':
      return [wide(context, pickKernel(threads, operation.x.width), operation, operation.y, { a: routes.tokens })];
    case 'experts':
      // An expert has at most all tokens of a step; those of its workgroups that have none end at once.
      return operation.weights.map((weight, expert) => multiply(context, [{ ...operation, weight }], { expert }));
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
    case 'heads':
      return [heads(context, operation.heads)];
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
  tiles: [{ kernel, tokens: 1, x }],
  ...{ parameters, space, block },
  shard: 0,
  perToken: rows.routed ?? 1,
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

function normalise(context: Context, { pick, norm, quantise }: FusedOf<'normalise'>): Dispatch {
  const { placement, rowThreads } = context;
  const { norm: kind, x, y, heads, weight, bias, epsilon } = norm;
  const vector = (name: string | undefined): number => (name === undefined ? 0 : placement.vectors.get(name)!.at);
  const kernel = normKernel(rowThreads, {
    ...{ layer: kind === 'layer', width: x.width / heads, epsilon },
    ...{ weight: weight !== undefined, bias: bias !== undefined },
    ...{ picked: pick !== undefined, copies: quantise && placement.quantised[quantise.q]!.copies },
  });
  return perRow(context, kernel, x, heads, {
    ...from(context, pick ? pick.x : x),
    ...to(context, y),
    ...{ a: vector(weight), bias: vector(bias) },
    ...(pick ? { picks: placement.step.picks } : {}),
    ...(quantise ? integers(context, quantise.q) : {}),
  });
}

type Product = Pick<OperationOf<'linear'>, 'x' | 'q' | 'y' | 'weight'> &
  Partial<Pick<OperationOf<'linear'>, 'bias' | 'addTo'>>;

/** Products of one input. `expert` is the expert whose rows they take. */
function multiply(
  context: Context,
  products: readonly [Product, ...Product[]],
  { expert, activated }: { readonly expert?: number; readonly activated?: LinearShape['activated'] },
): Dispatch {
  const { placement, threads, space, block } = context;
  const [{ q, bias, addTo }] = products;
  const tensors = products.map(({ weight }) => placement.tensors.get(weight)!);
  const layouts = tensors.map(({ layout }) => layout) as [LinearLayout, ...LinearLayout[]];
  const shape = {
    ...{ layouts, threads, activated },
    ...{ bias: bias !== undefined, adds: addTo !== undefined, expert: expert !== undefined },
  };
  const side = activated ? layouts.slice(0, 1) : layouts;
  const tile = (tokens: number, groups?: number): Tile => {
    const x = side.reduce((sum, layout) => sum + linearGroups(layout, groups), 0);
    return { tokens, x, kernel: linearKernel({ ...shape, tokens, groups }) };
  };
  const prompt = promptShape(threads, context.memory, activated !== undefined);
  const parts = products.map((product, part): Parameters => {
    const { layout, parts } = tensors[part]!;
    const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = parts;
    return ofPart(part, {
      ...{ w0, w1, w2, w3, ...to(context, product.y) },
      // Scales are the last part of integers.
      s: layout.values === 'f32' ? 0 : parts.at(-1)!,
      ...(product.bias === undefined ? {} : { bias: placement.vectors.get(product.bias)!.at }),
    });
  });
  return {
    tiles: [
      tile(1),
      ...TOKEN_TILES.slice(1).map((tokens) => tile(tokens)),
      ...(hasPrompt(layouts[0]) ? [tile(prompt.tokens, prompt.groups)] : []),
    ],
    parameters: {
      ...from(context, products[0].x),
      ...Object.assign({}, ...parts),
      ...(q === undefined ? {} : integers(context, q)),
      ...(addTo ? { a: at(context, addTo), as: stride(context, addTo) } : {}),
      ...(expert === undefined
        ? { count: placement.step.at + (space === 'tokens' ? 0 : 1) }
        : { expert: placement.routes.starts + expert }),
    },
    ...{ shard: tensors[0]!.shard, block, space },
    perToken: 1,
  };
}

/** Parameters under the names of a part. */
const ofPart = (part: number, parameters: Parameters): Parameters =>
  Object.fromEntries(Object.entries(parameters).map(([name, value]) => [nameOf(name as PartParameter, part), value]));

function route(context: Context, { logits, mixture }: OperationOf<'route'>): readonly Dispatch[] {
  const { placement, threads, limits } = context;
  const { starts, tokens, rows, shares } = placement.routes;
  const parameters = {
    ...from(context, logits),
    ...{ a: starts, packed: tokens, wide: rows, turned: shares, count: placement.step.at },
  };
  const one = (kernel: Kernel, x: number): Dispatch => ({
    ...perRow(context, kernel, logits, x, parameters),
    whole: true,
  });
  return [one(chooseKernel(threads, mixture), columns(context, limits.tokens)), one(sortKernel(threads, mixture), 1)];
}

/** Where the rows of a step are in their sequences. */
const rowsAt = ({ placement: { step } }: Context): Parameters => ({
  positions: step.positions,
  sequences: step.sequences,
});

function heads(context: Context, operations: readonly [Heads, ...Heads[]]): Dispatch {
  const { program, placement, limits, block, threads } = context;
  const { positions, sequences } = limits;
  const shapes = operations.map((one) => {
    const { rope, pitch } = one;
    const count = one.kind === 'rotate' ? one.heads : program.widths[block]!.kvHeads;
    const base = one.kind === 'store' && one.what === 'values' ? sequences * positions * count * program.headDim : 0;
    return {
      ...{ heads: count, size: program.headDim, pitch, rotary: rope === undefined ? 0 : program.ropes[rope]!.dims },
      to: one.kind === 'rotate' ? ('y' as const) : { base, positions },
    };
  });
  const parts = operations.map((one, part) =>
    ofPart(part, { ...from(context, one.x), ...(one.kind === 'rotate' ? to(context, one.y) : {}) }),
  );
  const rope = operations.map((one) => one.rope).find((one) => one !== undefined);
  const width = shapes.reduce((sum, one) => sum + one.heads * one.size, 0);
  return perRow(context, headsKernel(threads, shapes), operations[0].x, columns(context, width), {
    ...(rope === undefined ? {} : placement.ropes[rope]!),
    ...rowsAt(context),
    ...Object.assign({}, ...parts),
  });
}

function attend(context: Context, { q, y, window }: OperationOf<'attend'>): Dispatch {
  const { program, limits, threads, block } = context;
  const { headDim: size } = program;
  const { heads, kvHeads } = program.widths[block]!;
  const { scale, cap = 0 } = program.attention;
  const { positions, sequences } = limits;
  const shape = { size, kvHeads, shared: heads / kvHeads, positions, sequences, window, scale, cap };
  const parameters = { ...from(context, q), ...to(context, y), ...rowsAt(context) };
  return perRow(context, attendKernel(threads, shape), q, heads, parameters);
}
