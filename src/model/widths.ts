// The widths of each block, where config.json has a list of them. `layer_widths` is our own: [query heads, key-value heads,
// width of the MLP or of every expert] for each block, with `head_dim` beside it. `block_configs` is DeciLM's (NVIDIA's
// Nemotron): all blocks have the model's query heads, and a block chooses how many of them share a key-value head.

import { malformed, unsupported } from './refuse.js';

/** Query heads, key-value heads, and the width of the MLP (F) or, in a block with experts, of every expert. */
export type Widths = { readonly heads: number; readonly kvHeads: number; readonly intermediate: number };

/** What a list is read with: the number of blocks, D, and the heads of all blocks. */
type Sizes = { readonly blocks: number; readonly hidden: number; readonly heads: number };

type Json = Readonly<Record<string, unknown>>;

/** The largest number a list may have; shapes are compared with the tensors afterwards. */
const MOST = 2 ** 31;

const isSize = (value: unknown): value is number =>
  Number.isInteger(value) && Number(value) >= 1 && Number(value) <= MOST;

/**
 * The widths that a list in config.json gives, one entry for each of `blocks`; undefined where there is no list.
 * @throws CheckpointError E_CHECKPOINT_CONFIG, UnsupportedError E_UNSUPPORTED_CONFIG
 */
export function readWidths(config: Json, model: Sizes): readonly Widths[] | undefined {
  const { blocks } = model;
  const { layer_widths: own, block_configs: decilm } = config;
  if (own != null && decilm != null) malformed('layer_widths', 'one list of widths, not block_configs too', 'both');
  const key = own == null ? 'block_configs' : 'layer_widths';
  const list = own ?? decilm;
  if (list == null) return undefined;
  if (!Array.isArray(list) || list.length !== blocks) {
    const got = Array.isArray(list) ? `${list.length} entries` : typeof list;
    return malformed(key, `a list with one entry for each of ${blocks} blocks`, got);
  }
  if (!isSize(config.head_dim) && decilm == null) {
    malformed(
      'head_dim',
      'the size of a head, because layer_widths gives the number of heads',
      config.head_dim ?? null,
    );
  }
  return list.map((entry, block) => (decilm == null ? ownWidths(entry, block) : decilmWidths(entry, block, model)));
}

function ownWidths(entry: unknown, block: number): Widths {
  const key = `layer_widths[${block}]`;
  if (!Array.isArray(entry) || entry.length !== 3 || !entry.every(isSize)) {
    const numbers = Array.isArray(entry) && entry.every((one) => typeof one === 'number');
    const got = numbers ? entry.slice(0, 4) : typeof entry;
    return malformed(key, 'three whole numbers above 0: heads, key-value heads, width of the MLP', got);
  }
  const [heads, kvHeads, intermediate] = entry as [number, number, number];
  if (heads % kvHeads !== 0) malformed(key, 'heads that are a multiple of the key-value heads', entry);
  return { heads, kvHeads, intermediate };
}

/** Keys of a block_configs entry by its part; others, where they have a value, would change the block. */
const DECILM: Readonly<Record<string, ReadonlySet<string>>> = {
  attention: new Set(['n_heads_in_group']),
  ffn: new Set(['intermediate_size', 'ffn_mult']),
};

function decilmWidths(entry: unknown, block: number, { heads, hidden }: Sizes): Widths {
  const [attention, ffn] = ['attention', 'ffn'].map((part): Json => {
    const key = `block_configs[${block}].${part}`;
    const value = (entry as Json | null)?.[part];
    if (typeof value !== 'object' || value === null) return malformed(key, 'an object', value ?? null);
    for (const [name, got] of Object.entries(value)) {
      if (got == null || got === false || DECILM[part]!.has(name)) continue;
      unsupported(`${key}.${name}`, got, `null or false; a block has attention and an MLP`);
    }
    return value as Json;
  });
  const { n_heads_in_group: shared } = attention!;
  if (!isSize(shared) || heads % shared !== 0) {
    return malformed(
      `block_configs[${block}].attention.n_heads_in_group`,
      `a divisor of ${heads} heads`,
      shared ?? null,
    );
  }
  return { heads, kvHeads: heads / shared, intermediate: decilmIntermediate(ffn!, block, hidden) };
}

/** DeciLM's rule: 2/3 of `ffn_mult` times D, up to the next multiple of 256. It wins over `intermediate_size`. */
function decilmIntermediate(
  { ffn_mult: times, intermediate_size: width }: Json,
  block: number,
  hidden: number,
): number {
  const key = `block_configs[${block}].ffn`;
  if (times == null)
    return isSize(width) ? width : malformed(`${key}.intermediate_size`, 'a whole number above 0', width ?? null);
  const made = typeof times === 'number' ? 256 * Math.ceil(Math.trunc((2 * times * hidden) / 3) / 256) : 0;
  return isSize(made) ? made : malformed(`${key}.ffn_mult`, 'a number above 0', times);
}
