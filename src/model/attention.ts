// Causal attention as a graph. Queries go in tiles of 64 or more, each over the keys up to its own end: what lies above the
// diagonal is mostly not computed, and the scores of a tile are T wide, not T × T (at T = 2,048 a sixteenth of the
// memory). The mask of the tile that ends at key n is the last n columns of one constant: zeros, then a triangle.

import { type Attribute, type GraphBuilder, int } from '../graph/index.js';

/** Queries in the smallest tile, tiles in a sequence: less of either costs more in calls and copies than it saves. */
const SMALLEST_TILE = 64;
const MOST_TILES = 16;

/** Queries of each tile for sequences of T tokens; the last may be shorter. */
const tileOf = (T: number): number => Math.max(SMALLEST_TILE, Math.ceil(T / MOST_TILES));

/** softmax(scale · q·kᵀ + causal mask)·v; q [B, T, heads · h], k and v [B, T, kvHeads · h] → [B, T, heads · h]. */
export function causalAttention(
  g: GraphBuilder,
  { q, k, v }: { readonly q: string; readonly k: string; readonly v: string },
  T: number,
  attributes: Readonly<Record<'q_num_heads' | 'kv_num_heads' | 'scale', Attribute>>,
): string {
  const S = tileOf(T);
  if (S >= T) return g.op('Attention', [q, k, v], { ...attributes, is_causal: int(1) });
  const slice = (x: string, axis: number, from: number, to: number, size: number): string =>
    from === 0 && to === size ? x : g.op('Slice', [x, g.shape([from]), g.shape([to]), g.shape([axis])]);
  const mask = g.constant('causal_mask', triangle(S, T), [S, T]);
  const tiles: string[] = [];
  for (let from = 0; from < T; from += S) {
    const to = Math.min(from + S, T);
    // A last tile with fewer queries masks by the triangle's last rows.
    const rows = slice(mask, 0, S - (to - from), S, S);
    const queries = slice(q, 1, from, to, T);
    const seen = slice(rows, 1, T - to, T, T);
    tiles.push(g.op('Attention', [queries, slice(k, 1, 0, to, T), slice(v, 1, 0, to, T), seen], attributes));
  }
  return g.op('Concat', tiles, { axis: int(1) });
}

/** [S, T]: row r is 0 up to column T − S + r and −∞ after it. */
function triangle(S: number, T: number): Float32Array {
  const values = new Float32Array(S * T);
  for (let r = 0; r < S; r++) values.fill(Number.NEGATIVE_INFINITY, r * T + T - S + r + 1, (r + 1) * T);
  return values;
}
