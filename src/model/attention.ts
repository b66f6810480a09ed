// Causal attention as a graph. Queries are computed in tiles of 64 or more, each over the keys that at least one of them
// sees. So most of what lies above the diagonal or before a sliding window is not computed, and the scores of a tile are T
// wide, not T × T (at T = 2,048 a sixteenth of the memory). The mask of a tile of n keys is the last n columns of one
// constant: a band that ends in a triangle.

import { type Attribute, type GraphBuilder, int } from '../graph/index.js';

/**
 * Queries in the smallest tile, and tiles in a sequence. Smaller or more tiles cost more in calls and copies than they
 * save.
 */
const SMALLEST_TILE = 64;
const MOST_TILES = 16;

/** Queries of each tile for sequences of T tokens; the last may be shorter. */
const tileOf = (T: number): number => Math.max(SMALLEST_TILE, Math.ceil(T / MOST_TILES));

export type AttentionRows = {
  /** T. */
  readonly length: number;
  /** How many keys a query sees, including its own; undefined where it sees all keys before it. */
  readonly window: number | undefined;
  /** Set where a row holds prefix trees instead of one window. */
  readonly trees?: PrefixTreeRow | undefined;
};

/**
 * A row of prefix trees, each token before its descendants. A token sees itself and its ancestors, of these the last
 * `window`. `positions` [B, T] is each token’s depth. `subtreeEnd` [B, 1, 1, T] is the place where each token’s subtree
 * ends, so a query at place i descends from the key at place j exactly if j ≤ i < subtreeEnd[j].
 */
export type PrefixTreeRow = { readonly positions: string; readonly subtreeEnd: string };

/** softmax(scale · q·kᵀ + mask)·v; q [B, T, heads · h], k and v [B, T, kvHeads · h] → [B, T, heads · h]. */
export function causalAttention(
  g: GraphBuilder,
  { q, k, v }: { readonly q: string; readonly k: string; readonly v: string },
  { length: T, window = T, trees }: AttentionRows,
  attributes: Readonly<Record<'q_num_heads' | 'kv_num_heads' | 'scale', Attribute> & { softcap?: Attribute }>,
): string {
  const S = Math.min(tileOf(T), T);
  if (S === T && window >= T && !trees) return g.op('Attention', [q, k, v], { ...attributes, is_causal: int(1) });
  const slice = (x: string, axis: number, from: number, to: number, size: number): string =>
    from === 0 && to === size ? x : g.op('Slice', [x, g.shape([from]), g.shape([to]), g.shape([axis])]);
  // In a tree a window counts ancestors, so it says nothing about places.
  const reach = trees ? T : window;
  const mask = g.constant('causal_mask', band(S, T, reach), [S, T]);
  const hide = trees && hiding(g, trees, T, window);
  const tiles: string[] = [];
  for (let from = 0; from < T; from += S) {
    const to = Math.min(from + S, T);
    // The first key that the tile's first query sees.
    const first = Math.max(0, from - reach + 1);
    // A shorter last tile uses the last rows of the band.
    const rows = slice(mask, 0, S - (to - from), S, S);
    const queries = slice(q, 1, from, to, T);
    const near = slice(rows, 1, T - (to - first), T, T);
    const seen = hide ? hide(near, from, to) : near;
    tiles.push(g.op('Attention', [queries, slice(k, 1, first, to, T), slice(v, 1, first, to, T), seen], attributes));
  }
  return tiles.length === 1 ? tiles[0]! : g.op('Concat', tiles, { axis: int(1) });
}

/**
 * Makes the mask of queries [from, to) over keys [0, to): also −∞ where a key is not an ancestor, or is beyond the window.
 */
function hiding(
  g: GraphBuilder,
  { positions, subtreeEnd }: PrefixTreeRow,
  T: number,
  window: number,
): (mask: string, from: number, to: number) => string {
  const never = g.constant('minus_infinity', Float32Array.of(Number.NEGATIVE_INFINITY), [1]);
  const part = (x: string, axis: number, from: number, to: number): string =>
    g.op('Slice', [x, g.shape([from]), g.shape([to]), g.shape([axis])]);
  const depths = window < T ? g.op('Cast', [positions], { to: int(1) }) : undefined;
  const ofKeys = depths && g.op('Reshape', [depths, g.shape([-1, 1, 1, T])]);
  const ofQueries = depths && g.op('Reshape', [depths, g.shape([-1, 1, T, 1])]);
  const width = g.constant('window', Float32Array.of(window), [1]);
  return (mask, from, to) => {
    const places = Float32Array.from({ length: to - from }, (_, r) => from + r);
    const over = g.op('LessOrEqual', [
      part(subtreeEnd, 3, 0, to),
      g.constant(`places_${from}`, places, [to - from, 1]),
    ]);
    const related = g.op('Where', [over, never, mask]);
    if (!ofKeys || !ofQueries) return related;
    const far = g.op('LessOrEqual', [g.op('Add', [part(ofKeys, 3, 0, to), width]), part(ofQueries, 2, from, to)]);
    return g.op('Where', [far, never, related]);
  };
}

/** [S, T]: row r is 0 in the `window` columns up to T − S + r and −∞ elsewhere. */
function band(S: number, T: number, window: number): Float32Array {
  const values = new Float32Array(S * T).fill(Number.NEGATIVE_INFINITY);
  for (let r = 0; r < S; r++) {
    const end = T - S + r + 1;
    values.fill(0, r * T + Math.max(0, end - window), r * T + end);
  }
  return values;
}
