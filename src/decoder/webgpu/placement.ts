// Where everything is on the device: weights in shards as they lie in the file; a cache for each block; one arena for the
// rest, in numbers of four bytes. What no buffer can hold is refused by name here, before anything is read.

import { ResourceError } from '../../base/portable.js';
import { type Copies, LIKELIEST_GROUPS, PROMPT_TOKENS, readsOf, TOKEN_TILES } from '../../gpu/portable.js';
import { activationBytes, type LinearLayout } from '../../layouts/portable.js';
import { partOffsets } from '../../packed/portable.js';
import type { Limits, Weights } from '../backend.js';
import type { Operation, Program } from '../program.js';

export type Integers = {
  readonly packed: number;
  readonly turned: number;
  readonly packedStride: number;
  readonly wide: number;
  readonly wideStride: number;
  readonly scales: number;
  readonly copies: Copies;
};

export type Placement = {
  /** Bytes of each shard. */
  readonly shards: readonly number[];
  /** A tensor of a shard: its parts, in numbers of four bytes from the shard's start, and where it is in the file. */
  readonly tensors: ReadonlyMap<string, PlacedTensor>;
  /** Vectors of norms and biases, which are in the arena. */
  readonly vectors: ReadonlyMap<string, { readonly at: number; readonly offset: number; readonly count: number }>;
  readonly buffers: readonly number[];
  readonly quantised: readonly Integers[];
  readonly ropes: readonly { readonly cos: number; readonly sin: number }[];
  /** The rows of a step, which are written before it: two counts, then for each row four numbers and the picks. */
  readonly step: {
    readonly at: number;
    readonly ids: number;
    readonly positions: number;
    readonly places: number;
    readonly sequences: number;
    readonly picks: number;
    /** Where they end. */
    readonly end: number;
  };
  readonly routes: { readonly starts: number; readonly tokens: number; readonly rows: number; readonly shares: number };
  /** Of each picked row: the best logit of each workgroup as a pair, then the best of all. */
  readonly likeliest: { readonly pairs: number; readonly best: number };
  readonly arenaBytes: number;
  /** Of each block: keys of all sequences, then values. */
  readonly cacheBytes: readonly number[];
};

type PlacedTensor = {
  readonly layout: LinearLayout;
  readonly shard: number;
  readonly parts: readonly number[];
  readonly offset: number;
  readonly bytes: number;
};

const operationsOf = ({ embed, blocks, head }: Program): readonly Operation[] => [embed, ...blocks, head].flat();

/** Kernels read whole tiles of tokens, so a buffer of so many rows has room for a tile more. */
const spare = (rows: number): number => (rows > TOKEN_TILES.at(-1)! ? PROMPT_TOKENS : TOKEN_TILES.at(-1)!);
const ALIGNMENT = 64;
const align = (n: number): number => Math.ceil(n / ALIGNMENT) * ALIGNMENT;

/** @throws ResourceError E_RESOURCE_MEMORY */
export function place(program: Program, weights: Weights, limits: Limits, largestBuffer: number): Placement {
  const { tokens, picked, sequences, positions } = limits;
  let end = 0;
  const take = (count: number): number => {
    const at = end;
    end += align(count);
    return at;
  };
  const most = Math.max(tokens, picked);
  const rows = (index: number, head: number, perToken: number): number => {
    const count = index < head ? tokens : picked;
    return count * perToken + spare(count);
  };
  const step = {
    at: take(2),
    ids: take(most),
    positions: take(most),
    places: take(most),
    sequences: take(most),
    picks: take(most),
    end,
  };
  const copies = copiesOf(program, weights);
  const experts = Math.max(0, ...mixturesOf(program).map((one) => one.experts));
  const routed = most * Math.max(1, ...mixturesOf(program).map((one) => one.perToken));
  const placed = {
    step,
    routes: { starts: take(experts + 1), tokens: take(routed), rows: take(routed), shares: take(routed) },
    likeliest: { pairs: take(2 * LIKELIEST_GROUPS * picked), best: take(2 * picked) },
    buffers: program.buffers.map(({ width, perToken }, i) => take(width * rows(i, program.headBuffers, perToken))),
    quantised: program.quantised.map(({ width, perToken }, i): Integers => {
      const count = rows(i, program.headQuantised, perToken);
      const wideStride = activationBytes(width);
      const packedStride = wideStride / 4;
      const own = copies[i]!;
      return {
        packed: own.packed ? take(packedStride * count) : 0,
        turned: own.turned ? take(packedStride * count) : 0,
        wide: own.wide ? take(wideStride * count) : 0,
        ...{ packedStride, wideStride, copies: own },
        scales: take(count),
      };
    }),
    ropes: program.ropes.map(({ dims }) => ({ cos: take((positions * dims) / 2), sin: take((positions * dims) / 2) })),
    vectors: new Map(
      [...vectorsOf(program)].map((name) => {
        const entry = weights.tensors.get(name)!;
        const count = entry.layout.rows * entry.layout.columns;
        return [name, { at: take(count), offset: entry.offset, count }];
      }),
    ),
  };
  const arenaBytes = 4 * end;
  const cacheBytes = program.widths.map(({ kvHeads }) => 8 * sequences * positions * kvHeads * program.headDim);
  requireRoom('activations', arenaBytes, largestBuffer);
  const cache = `keys and values of a block, ${sequences} sequences of ${positions} positions`;
  for (const bytes of cacheBytes) requireRoom(cache, bytes, largestBuffer);
  return { ...placed, ...shard(program, weights, largestBuffer), arenaBytes, cacheBytes };
}

const requireRoom = (what: string, bytes: number, most: number): void => {
  if (bytes <= most) return;
  throw new ResourceError(
    'E_RESOURCE_MEMORY',
    `${what}: ${bytes} bytes are more than one buffer of this GPU holds (${most}). Take fewer positions or sequences, a smaller model, or the cpu.`,
    { what, bytes, most },
  );
};

const mixturesOf = (program: Program) =>
  operationsOf(program).flatMap((one) => (one.kind === 'route' ? [one.mixture] : []));

function vectorsOf(program: Program): ReadonlySet<string> {
  const names = operationsOf(program).flatMap((one) => {
    if (one.kind === 'norm') return [one.weight, one.bias];
    return one.kind === 'linear' ? [one.bias] : [];
  });
  return new Set(names.filter((name) => name !== undefined));
}

/** What of the activations the linears of each quantised buffer read. */
function copiesOf(program: Program, weights: Weights): readonly Copies[] {
  const copies = program.quantised.map(() => ({ packed: false, wide: false, turned: false }));
  for (const operation of operationsOf(program)) {
    if ((operation.kind !== 'linear' && operation.kind !== 'experts') || operation.q === undefined) continue;
    for (const name of operation.kind === 'linear' ? [operation.weight] : operation.weights) {
      const reads = readsOf(weights.tensors.get(name)!.layout);
      if (reads) copies[operation.q]![reads] = true;
    }
  }
  return copies;
}

/** Tensors in their order, as many to a shard as fit. */
function shard(program: Program, weights: Weights, largest: number): Pick<Placement, 'shards' | 'tensors'> {
  const used = new Set(
    operationsOf(program).flatMap((one) => {
      if (one.kind === 'linear') return [one.weight];
      if (one.kind === 'experts') return one.weights;
      return one.kind === 'look' ? [one.table] : [];
    }),
  );
  const shards: number[] = [];
  const tensors = new Map<string, PlacedTensor>();
  for (const entry of weights.tensors.values()) {
    if (!used.has(entry.name)) continue;
    const { name, layout, offset, bytes } = entry;
    requireRoom(`tensor ${name}`, bytes, largest);
    if (shards.length === 0 || shards.at(-1)! + bytes > largest) shards.push(0);
    const shard = shards.length - 1;
    const base = shards[shard]! - offset;
    const parts = partOffsets(entry).map((part) => (base + part) / 4);
    tensors.set(name, { layout, shard, parts, offset, bytes });
    shards[shard]! += bytes;
  }
  return { shards, tensors };
}
