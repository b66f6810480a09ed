// Where a model grows, and of which blocks the new ones are made. Pure. `where` are blocks of the source, each of which gets a
// new block right after it; with `solar` they are a run that is copied as a whole, behind itself.
// Where nobody says: lesa and average fill the n deepest gaps between blocks (LESA, 32 → 48: between l and l+1 for l = 15 … 30);
// copy and llama-pro put a block behind each of n equal groups (LLaMA Pro, §3.1); solar repeats the middle (SOLAR, 32 → 48:
// blocks 0 … 23, then 8 … 31).

import { InternalError, OptionError } from '../base/index.js';

export type GrowMethod = {
  readonly name: 'lesa' | 'average' | 'copy' | 'solar' | 'llama-pro';
  readonly summary: string;
  /** Whether a new block is made of the blocks on both sides of it. */
  readonly between: boolean;
};

export const GROW_METHODS: ReadonlyMap<string, GrowMethod> = new Map(
  (
    [
      {
        name: 'lesa',
        summary:
          'linears predicted from the two neighbours, by ridge regression over all triples of blocks; norms averaged',
        between: true,
      },
      { name: 'average', summary: 'the mean of the two neighbours', between: true },
      { name: 'copy', summary: 'a copy of the block before it', between: false },
      { name: 'solar', summary: 'a run of blocks once more, behind itself', between: false },
      {
        name: 'llama-pro',
        summary: 'a copy of the block before it that writes nothing into the residual: the model computes what it did',
        between: false,
      },
    ] as const
  ).map((method) => [method.name, method]),
);

/** @throws OptionError E_OPTION_METHOD */
export function findGrowMethod(name: string): GrowMethod {
  const method = GROW_METHODS.get(name);
  if (method) return method;
  const known = [...GROW_METHODS.keys()];
  throw new OptionError(
    'E_OPTION_METHOD',
    `--method: expected one of ${known.join(', ')}, got ${JSON.stringify(name)}.`,
    { option: 'method', expected: known, got: name },
  );
}

/** A block of the deeper model: the block of the source it is, or is like; and for a new one, what it is made of. */
export type GrownBlock = {
  readonly source: number;
  /** One block or its two neighbours; undefined for a block of the source. */
  readonly of?: readonly number[];
};

/**
 * Reads `--where`: blocks as `3,5,8` or `15..30` (both ends included), ascending.
 * @throws OptionError E_OPTION_WHERE
 */
export function parseWhere(text: string): readonly number[] {
  const run = /^(\d+)\.\.(\d+)$/.exec(text.trim());
  if (run) {
    const [first, last] = [Number(run[1]), Number(run[2])];
    // A longer run is longer than any model; it is refused by its length later.
    if (first <= last && last - first < 10_000) return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  } else if (/^\d+(\s*,\s*\d+)*$/.test(text.trim())) {
    const list = text.split(',').map(Number);
    if (list.every((block, i) => i === 0 || block > list[i - 1]!)) return list;
  }
  return refuseWhere('blocks in ascending order, as 3,5,8 or 15..30', JSON.stringify(text));
}

function refuseWhere(expected: string, got: string): never {
  throw new OptionError('E_OPTION_WHERE', `--where: expected ${expected}, got ${got}.`, { option: 'where', got });
}

/**
 * The blocks of a model of `blocks` blocks that grows by `n`.
 * @throws OptionError E_OPTION_BLOCKS, E_OPTION_WHERE
 */
export function growBlocks(
  blocks: number,
  n: number,
  { name, between }: GrowMethod,
  where: readonly number[] | undefined,
): readonly GrownBlock[] {
  // Between two blocks there is one place fewer than there are blocks.
  const places = between ? blocks - 1 : blocks;
  if (!Number.isInteger(n) || n < 1 || n > places) {
    const message = `--blocks: expected a whole number from 1 to ${places} for --method ${name} and a model of ${blocks} blocks, got ${n}.`;
    throw new OptionError('E_OPTION_BLOCKS', message, { option: 'blocks', got: n, blocks });
  }
  const chosen = where ?? placesOf(blocks, n, name);
  const listed = chosen.join(', ');
  if (chosen.length !== n) refuseWhere(`${n} blocks, as many as --blocks`, `${chosen.length}: ${listed}`);
  if (chosen.some((block) => block >= places)) refuseWhere(`numbers of blocks from 0 to ${places - 1}`, listed);
  const last = chosen.at(-1)!;
  if (name === 'solar' && last - chosen[0]! !== n - 1) refuseWhere('a run of blocks for --method solar', listed);
  const after = new Set(chosen);
  return Array.from({ length: blocks }, (_, source): readonly GrownBlock[] => {
    const own = { source };
    if (name === 'solar') {
      return source === last ? [own, ...chosen.map((block) => ({ source: block, of: [block] }))] : [own];
    }
    return after.has(source) ? [own, { source, of: between ? [source, source + 1] : [source] }] : [own];
  }).flat();
}

function placesOf(blocks: number, n: number, name: GrowMethod['name']): readonly number[] {
  const from = (first: number): readonly number[] => Array.from({ length: n }, (_, i) => first + i);
  switch (name) {
    case 'lesa':
    case 'average':
      return from(blocks - 1 - n);
    case 'solar':
      return from(Math.floor((blocks - n) / 2));
    case 'copy':
    case 'llama-pro':
      return Array.from({ length: n }, (_, i) => Math.ceil(((i + 1) * blocks) / n) - 1);
    default:
      return name satisfies never;
  }
}

/** The numbers of the new blocks in the deeper model. */
export function newBlocks(grown: readonly GrownBlock[]): readonly number[] {
  const found = grown.flatMap(({ of }, at) => (of ? [at] : []));
  if (found.length === 0) throw new InternalError('E_INTERNAL_GROW', 'No block is new; please report this.');
  return found;
}
