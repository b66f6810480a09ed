// Which rows and columns of a block go only together. A group is a value inside the block: the linears that feed it lose
// rows where those that read it lose columns. It is cut into slices, the least that can go alone: a channel of an MLP or an
// expert, or the query heads that share their keys. Without all rows of a slice, its columns read zeros; so the two ways to
// take a slice out come to the same.

import { TRUNK, type Unit } from '../plan/index.js';
import { blockId } from '../records/index.js';
import { blockConfig } from './block-config.js';
import { sliceWidth } from './blocks/parts.js';
import type { ModelConfig } from './config.js';
import { type Linear, linearsOf, type TensorNames } from './tensor-names.js';

/**
 * A unit of a block's value: `blocks.<number>.<site>`. `width` is in columns of its readers; `weights` are all of its
 * feeders' and readers'.
 */
export type GroupUnit = Unit & { readonly kind: 'group'; readonly slices: NonNullable<Unit['slices']> };

/** Rows or columns [from, to). */
export type Span = { readonly from: number; readonly to: number };

/**
 * The groups of a block, in the order of their readers. What feeds or reads the residual is in none of them on that side:
 * its width is that of all blocks.
 */
export function groupsOf(config: ModelConfig, tensorNames: TensorNames, block: number): readonly GroupUnit[] {
  const linears = linearsOf(config, tensorNames, block);
  const own = blockConfig(config, block);
  const sites = [...new Set(linears.map(({ site }) => site))];
  return sites.flatMap((site): GroupUnit[] => {
    const feeders = linears.filter(({ feeds }) => feeds === site);
    if (feeders.length === 0) return [];
    const readers = linears.filter((linear) => linear.site === site);
    const width = sliceWidth(own, site);
    const named = (all: readonly Linear[]) => all.map(({ name }) => name);
    return [
      {
        id: `${blockId(block)}.${site}`,
        kind: 'group',
        trunk: TRUNK,
        block,
        role: site,
        weights: [...feeders, ...readers].reduce((sum, { rows, columns }) => sum + rows * columns, 0),
        slices: {
          count: readers[0]!.columns / width,
          width,
          feeders: named(feeders),
          readers: named(readers),
        },
      },
    ];
  });
}

/** The rows of a feeder, and the numbers of its bias, that go with a slice: a span in each of its sections. */
export function rowsOfSlice(
  { sections }: Pick<Linear, 'sections'>,
  { slices }: GroupUnit,
  slice: number,
): readonly Span[] {
  let start = 0;
  return sections.map((rows) => {
    const from = start + (rows / slices.count) * slice;
    start += rows;
    return { from, to: from + rows / slices.count };
  });
}

/** The columns of a reader that go with a slice. */
export const columnsOfSlice = ({ slices: { width } }: GroupUnit, slice: number): Span => ({
  from: width * slice,
  to: width * (slice + 1),
});
