// A checkpoint with blocks of unequal width as a plain one: every block as wide as the widest, with zeros where it has nothing.
// A head or a channel of zeros adds nothing to the residual, so all logits stay. Key-value heads come after those that a block
// has, and query heads after those that share one, so that every block has as many of these to a key-value head.

import { join } from 'node:path';
import { readDocument, UnsupportedError } from '../base/index.js';
import {
  keepTensor,
  type Move,
  type Moves,
  moveTensor,
  type TensorInfo,
  type TensorToWrite,
} from '../checkpoint/index.js';
import {
  amendConfig,
  biasName,
  columnsOfSlice,
  findFamily,
  type GroupUnit,
  groupsOf,
  type Linear,
  linearsOf,
  type Model,
  type ModelConfig,
  movesStored,
  plainSizes,
  readModelConfig,
  rowsOfSlice,
  weightName,
  withoutLists,
} from '../model/index.js';
import { bytesPerElement, elementCount } from '../tensor/index.js';

export type PaddedPlan = {
  /** The text of config.json. */
  readonly config: string;
  readonly bytes: number;
  /** What a tensor becomes. */
  become(tensor: TensorInfo): readonly TensorToWrite[];
};

/** @throws UnsupportedError E_UNSUPPORTED_EXPORT where no plain config.json says such sizes; ResourceError E_RESOURCE_… */
export async function planPadded(model: Model): Promise<PaddedPlan> {
  const text = await readDocument(join(model.checkpoint.dir, 'config.json'));
  const config = evenConfig(model, text);
  const paddings = paddingsOf(model, readModelConfig(JSON.parse(config)));
  const become = (tensor: TensorInfo): readonly TensorToWrite[] => {
    const padding = paddings.get(tensor.name);
    const own = keepTensor(model.checkpoint, tensor);
    return [padding ? moveTensor(own, padding) : own];
  };
  const bytes = [...model.checkpoint.tensors.values()].reduce((sum, { name, dtype, shape }) => {
    return sum + elementCount(paddings.get(name)?.shape ?? shape) * bytesPerElement(dtype);
  }, 0);
  return { config, bytes, become };
}

/** Heads of a plain checkpoint that those of each block fit into, and whether the family's config.json can say so many. */
export function evenHeads({ widths, headDim, hidden, statesHeadDim: stated }: ModelConfig) {
  const kvHeads = !stated && hidden % headDim === 0 ? hidden / headDim : most(widths.map((one) => one.kvHeads));
  const heads = kvHeads * most(widths.map((one) => one.heads / one.kvHeads));
  const fits = stated || (heads * headDim === hidden && widths.every((one) => one.kvHeads <= kvHeads));
  return { heads, kvHeads, stated, fits };
}

const most = (of: readonly number[]): number => Math.max(1, ...of);

/** config.json with the widest block's sizes in place of the list. */
function evenConfig({ config, checkpoint }: Model, text: string): string {
  const family = findFamily(checkpoint.config);
  const { widths, mixtures, headDim, hidden } = config;
  const { heads, kvHeads, stated, fits } = evenHeads(config);
  if (!fits) {
    const message = `${config.family}: a plain checkpoint has heads that make ${hidden} together, and a block here has ${most(widths.map((one) => one.heads))} heads of ${headDim}. Pack it as a .lw file.`;
    throw new UnsupportedError('E_UNSUPPORTED_EXPORT', message, { family: config.family, heads, headDim });
  }
  const widest = (mixture: boolean): number | undefined => {
    const own = widths.filter((_, block) => (mixtures[block] !== undefined) === mixture);
    return own.length > 0 ? most(own.map(({ intermediate }) => intermediate)) : undefined;
  };
  const plain = withoutLists(checkpoint.config);
  const sizes = { heads, ...(stated ? { kvHeads, headDim } : {}), mlp: widest(false), experts: widest(true) };
  return amendConfig(text, {
    within: family.within,
    values: { ...plainSizes(family, sizes), ...plain.values },
    remove: [...plain.remove, 'auto_map', ...(stated ? [] : ['head_dim'])],
  });
}

function paddingsOf(model: Model, even: ModelConfig): ReadonlyMap<string, Moves> {
  const { config, tensorNames, linears } = model;
  const paddings = new Map<string, Moves>();
  for (const [block, own] of linears.entries()) {
    const groups = [config, even].map((one) => groupsOf(one, tensorNames, block)) as [GroupUnit[], GroupUnit[]];
    const wide = linearsOf(even, tensorNames, block);
    for (const [i, linear] of own.entries()) {
      const to = wide[i]!;
      if (linear.rows === to.rows && linear.columns === to.columns) continue;
      const rows = movesOf(groups, linear, 'feeders', linear.rows, (group, slice, which) =>
        rowsOfSlice([linear, to][which]!, group, slice),
      );
      const columns = movesOf(groups, linear, 'readers', linear.columns, (group, slice) => [
        columnsOfSlice(group, slice),
      ]);
      paddings.set(weightName(linear), movesStored(to, { shape: [to.rows, to.columns], rows, columns }));
      if (to.rows !== linear.rows) {
        paddings.set(biasName(linear), { shape: [to.rows], rows: [{ from: 0, to: 1, at: 0 }], columns: rows });
      }
    }
  }
  return paddings;
}

/** Where a linear's rows, or its columns, lie once each slice of their group is as wide as the widest. */
function movesOf(
  groups: readonly [readonly GroupUnit[], readonly GroupUnit[]],
  { name }: Linear,
  side: 'feeders' | 'readers',
  count: number,
  spansOf: (group: GroupUnit, slice: number, which: 0 | 1) => readonly { readonly from: number; readonly to: number }[],
): readonly Move[] {
  const own = groups[0].find(({ slices }) => slices[side].includes(name));
  if (!own) return [{ from: 0, to: count, at: 0 }];
  const wide = groups[1].find(({ id }) => id === own.id)!;
  const moves: Move[] = [];
  for (let slice = 0; slice < own.slices.count; slice++) {
    const targets = spansOf(wide, slice, 1);
    moves.push(...spansOf(own, slice, 0).map(({ from, to }, i) => ({ from, to, at: targets[i]!.from })));
  }
  return joinMoves(moves.sort((a, b) => a.from - b.from));
}

/** Neighbours that stay neighbours as one. */
function joinMoves(moves: readonly Move[]): readonly Move[] {
  const joined: Move[] = [];
  for (const move of moves) {
    const last = joined.at(-1);
    const follows = last?.to === move.from && last.at + last.to - last.from === move.at;
    if (follows) joined[joined.length - 1] = { ...last, to: move.to };
    else joined.push(move);
  }
  return joined;
}
