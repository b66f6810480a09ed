// A model with fewer slices (groups.ts): what each half of a block can lose, its tensors without some slices, and its widths then.
// Rows of the linears that make a value go with the columns of those that read it, in each section of a tensor that
// combines several, and so do numbers of biases. Values are moved, never computed.

import { UnsupportedError } from '../base/index.js';
import { type Move, type Moves, moveTensor, readTensorFloat32, type TensorEdit } from '../checkpoint/index.js';
import type { Half } from '../plan/index.js';
import { toFloat32 } from '../tensor/index.js';
import { columnsOfSlice, type GroupUnit, groupsOf, rowsOfSlice, type Span } from './groups.js';
import { biasName, hasBias, movesStored, toRows, weightName } from './linear.js';
import type { Model } from './model.js';
import { blockTensors, type Linear } from './tensor-names.js';
import type { Widths } from './widths.js';

/** What is cut: channels of MLPs and experts, heads with their keys, or both. */
export const CUT_UNITS = ['mlp', 'heads', 'all'] as const;
export type CutUnits = (typeof CUT_UNITS)[number];

const kindOf = ({ role }: GroupUnit): Half['kind'] => (role === 'attention_out' ? 'attention' : 'mlp');

/** The halves of all blocks that `units` names. A step of an MLP is `multiple` channels. */
export function cutHalves(model: Model, units: CutUnits, multiple: number): readonly Half[] {
  const kinds: readonly Half['kind'][] =
    units === 'all' ? ['attention', 'mlp'] : [units === 'mlp' ? 'mlp' : 'attention'];
  return model.linears.flatMap((linears, block) => {
    const groups = groupsOf(model.config, model.tensorNames, block);
    return kinds.flatMap((kind): Half[] => {
      const own = groups.filter((group) => kindOf(group) === kind);
      const [first] = own;
      if (!first) return [];
      const { count } = first.slices;
      return [
        {
          ...{ id: `blocks.${block}.${kind}`, block, kind, slices: count },
          experts: kind === 'mlp' && model.config.mixtures[block] !== undefined,
          parameters: own.reduce((sum, group) => sum + parametersOfSlice(model, linears, group), 0),
          step: kind === 'attention' ? 1 : Math.min(multiple, count),
          readers: own.flatMap(({ slices: { readers } }) => readers),
        },
      ];
    });
  });
}

function parametersOfSlice({ checkpoint }: Model, linears: readonly Linear[], { slices }: GroupUnit): number {
  const { count, feeders, readers } = slices;
  const named = (names: readonly string[]) => linears.filter(({ name }) => names.includes(name));
  const rows = named(feeders).reduce((sum, { name, rows, columns }) => {
    return sum + (rows / count) * (columns + (hasBias(checkpoint, { name }) ? 1 : 0));
  }, 0);
  return named(readers).reduce((sum, { rows, columns }) => sum + (columns / count) * rows, rows);
}

/** What each linear that reads a group must know to be cut. */
type GroupReader = {
  /** Columns of a slice. */
  readonly width: number;
  readonly bias: boolean;
  /** By row: what the residual gets of its output, where the block scales that (DINOv2). */
  readonly factors?: Float32Array;
};

/** What each linear that reads a group must know to be cut, by name. Reads vectors alone. */
export async function readersOf({
  config,
  tensorNames,
  checkpoint,
  linears,
}: Model): Promise<ReadonlyMap<string, GroupReader>> {
  const readers = new Map<string, GroupReader>();
  for (const block of linears.keys()) {
    const tensors = blockTensors(config, tensorNames, block);
    for (const group of groupsOf(config, tensorNames, block)) {
      const role = kindOf(group) === 'attention' ? 'attentionScale' : 'mlpScale';
      const scale = tensors.find((tensor) => tensor.role === role);
      const factors = scale && { factors: await readTensorFloat32(checkpoint, scale.name) };
      const { width, readers: names } = group.slices;
      for (const name of names) readers.set(name, { width, bias: hasBias(checkpoint, { name }), ...factors });
    }
  }
  return readers;
}

/** A treated block's tensors, by name. */
type FindEdit = (name: string) => TensorEdit;

/**
 * The tensors of a block without the slices that its readers no longer read. `keep` says of a reader how many slices are left;
 * `editOf` has its weights, with zeros in the columns of the others.
 */
export async function narrowBlock(
  model: Model,
  block: number,
  keep: ReadonlyMap<string, number>,
  editOf: FindEdit,
): Promise<ReadonlyMap<string, TensorEdit>> {
  const edits = new Map<string, TensorEdit>();
  const linears = new Map(model.linears[block]!.map((linear) => [linear.name, linear]));
  for (const group of groupsOf(model.config, model.tensorNames, block)) {
    const { feeders, readers } = group.slices;
    const left = keep.get(readers[0]!);
    if (left === undefined) continue;
    const kept = await keptSlices(
      group,
      readers.map((name) => linears.get(name)!),
      left,
      editOf,
    );
    for (const name of readers)
      edits.set(...takeOf(linears.get(name)!, editOf, { columns: kept.map((one) => columnsOfSlice(group, one)) }));
    for (const name of feeders) {
      const linear = linears.get(name)!;
      const spans = kept.map((slice) => rowsOfSlice(linear, group, slice));
      // Section by section, and in each the slices in order.
      const rows = linear.sections.flatMap((_, section) => spans.map((some) => some[section]!));
      edits.set(...takeOf(linear, editOf, { rows }));
      const bias = biasName(linear);
      if (hasBias(model.checkpoint, linear))
        edits.set(bias, moved(editOf(bias), vectorOf(movesOf([{ from: 0, to: 1 }], rows))));
    }
  }
  return edits;
}

/** The slices whose columns are not all zero; where these are fewer than `count`, the first of the others too. */
async function keptSlices(
  group: GroupUnit,
  readers: readonly Linear[],
  count: number,
  editOf: FindEdit,
): Promise<readonly number[]> {
  const all = Array.from({ length: group.slices.count }, (_, slice) => slice);
  if (count === all.length) return all;
  const read = new Uint8Array(group.slices.count);
  for (const reader of readers) {
    const edit = editOf(weightName(reader));
    if ('remove' in edit) continue;
    const W = toRows(reader, toFloat32(await edit.read(), edit.dtype));
    for (let i = 0; i < W.length; i++) {
      if (W[i] !== 0) read[Math.floor((i % reader.columns) / group.slices.width)] = 1;
    }
  }
  const order = [...all.filter((slice) => read[slice]), ...all.filter((slice) => !read[slice])];
  return order.slice(0, count).sort((a, b) => a - b);
}

type Taken = { readonly rows?: readonly Span[]; readonly columns?: readonly Span[] };

/** A linear's weights with some of its rows or columns. */
function takeOf(linear: Linear, editOf: FindEdit, { rows, columns }: Taken): readonly [string, TensorEdit] {
  const name = weightName(linear);
  const moves = movesOf(rows ?? [{ from: 0, to: linear.rows }], columns ?? [{ from: 0, to: linear.columns }]);
  return [name, moved(editOf(name), movesStored(linear, moves))];
}

const moved = (edit: TensorEdit, moves: Moves): TensorEdit => ('remove' in edit ? edit : moveTensor(edit, moves));

/** A vector is one row. */
const vectorOf = ({ shape, ...moves }: Moves): Moves => ({ ...moves, shape: shape.slice(1) });

/** Spans of rows and of columns, each one after another. */
const movesOf = (rows: readonly Span[], columns: readonly Span[]): Moves => ({
  shape: [rows, columns].map((spans) => spans.reduce((sum, { from, to }) => sum + to - from, 0)),
  rows: closeUp(rows),
  columns: closeUp(columns),
});

function closeUp(spans: readonly Span[]): readonly Move[] {
  let at = 0;
  return spans.map(({ from, to }) => {
    const move = { from, to, at };
    at += to - from;
    return move;
  });
}

/** The widths of all blocks after halves keep what `keep` says of their readers, by name. */
export function widthsAfter(
  { config }: Model,
  halves: readonly Half[],
  keep: ReadonlyMap<string, number>,
): readonly Widths[] {
  const widths = [...config.widths];
  for (const { block, kind, readers } of halves) {
    const left = keep.get(readers[0]!)!;
    const { heads, kvHeads } = widths[block]!;
    const made = kind === 'mlp' ? { intermediate: left } : { heads: (heads / kvHeads) * left, kvHeads: left };
    widths[block] = { ...widths[block]!, ...made };
  }
  return widths;
}

/**
 * Refuses heads of a family whose config cannot say that heads · head_dim is not the residual's width.
 * @throws UnsupportedError E_UNSUPPORTED_CUT
 */
export function requireHeadDim({ config }: Model): void {
  if (config.statesHeadDim) return;
  throw new UnsupportedError(
    'E_UNSUPPORTED_CUT',
    `--units: a ${config.family} model takes the size of a head from hidden_size and the number of heads, so a checkpoint with fewer heads and equal widths loads nowhere. Use --units mlp, or --widths free, which Layerwise itself reads.`,
    { family: config.family },
  );
}
